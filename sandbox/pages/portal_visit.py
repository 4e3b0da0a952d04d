"""One visit to the Customer Portal: the session behind an address, how long it lives, and where it ends."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from starlette.requests import Request
from starlette.responses import Response

from sandbox.pages.rendering import notice, origin, page, see_other
from sandbox.stripe.actions import Actions
from sandbox.stripe.store import Json, Space

if TYPE_CHECKING:
    from sandbox.stripe.world import World

UNUSED_SECONDS = 300  # an address nobody opened
USED_SECONDS = 3600  # after the last visit
DONE = {
    "added": "Your card was saved and will be used from now on.",
    "default": "Your default card was changed.",
    "removed": "The card was removed.",
    "canceled": "Your plan was cancelled.",
    "kept": "Your plan goes on.",
}


@dataclass(frozen=True)
class Visit:
    """One request with a good session."""

    space: Space
    session: Json
    customer: Json
    home: str

    @property
    def return_url(self) -> str | None:
        """Where the merchant wants the customer back; None unless it is a web address."""
        url: str | None = self.session["return_url"]
        return url if origin(url) else None

    @property
    def flow(self) -> Json:
        found: Json = self.session["flow"] or {}
        return found


class Desk:
    """What all pages of the portal share."""

    def __init__(self, world: "World") -> None:
        self.world, self.actions = world, Actions(world)

    def visit(self, request: Request) -> Visit | Response:
        """The session behind the address, kept alive by the visit; or the page that says it is over."""
        account, identifier = request.path_params["account"], request.path_params["session"]
        with self.world.transaction():
            try:
                session = self.actions.find_portal_session(account, identifier)
            except KeyError:
                session = None
            if session is None:
                return notice("Page not found", "This address does not belong to a portal session.", status=404)
            space = self.world.space(account, live=session["livemode"])
            private, now = space.private(identifier), self.world.now()
            last = private.get("visited")
            if now > (session["created"] + UNUSED_SECONDS if last is None else last + USED_SECONDS):
                text = "For your safety this address works only for a short time. Please ask for a new one."
                return notice("This session has expired", text, status=410)
            customer = space.get("customer", session["customer"])
            if customer is None or customer.get("deleted"):
                return notice("Page not found", "This customer no longer exists.", status=404)
            if request.method != "HEAD":
                private["visited"] = now
                space.save("billing_portal.session", session)
            return Visit(space, session, customer, f"/p/session/{account}/{identifier}")

    def page(self, visit: Visit, template: str, **values: Any) -> Response:
        """A page of the portal."""
        return page(
            template,
            leaves=self.after(visit) is not None,
            merchant=self.merchant(visit),
            home=visit.home,
            return_url=visit.return_url,
            **values,
        )

    def merchant(self, visit: Visit) -> str:
        """Whose portal it is."""
        return str(self.world.account(visit.space.account)["business_profile"]["name"])

    def after(self, visit: Visit) -> str | None:
        """Where a completed flow redirects to, when the session asked for a redirect to a web address."""
        after = visit.flow.get("after_completion") or {}
        url = (after.get("redirect") or {}).get("return_url") or visit.return_url
        return url if after.get("type") == "redirect" and origin(url) else None

    def leave(self, visit: Visit, done: str) -> Response:
        """Something was completed: a flow ends as its session asked for, everything else at the overview."""
        private = visit.space.private(visit.session["id"])
        first = bool(visit.flow) and not private.get("flow_done")
        if not first:
            return see_other(f"{visit.home}?done={done}")
        private["flow_done"] = True
        visit.space.save("billing_portal.session", visit.session)
        after = self.after(visit)
        if after:
            return see_other(after)
        confirmation = visit.flow["after_completion"]["hosted_confirmation"] or {}
        if visit.flow["after_completion"]["type"] == "hosted_confirmation":
            link = ("Return to merchant", visit.return_url) if visit.return_url else None
            return notice("Thank you", confirmation.get("custom_message") or DONE[done], link=link)
        return see_other(f"{visit.home}?done={done}")
