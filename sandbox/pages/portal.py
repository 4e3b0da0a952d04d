"""The Customer Portal: cards, plan and open invoices of one customer, behind a short-lived session's address."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from sandbox.pages import cards, saving
from sandbox.pages.invoice import challenge_page, saved_methods
from sandbox.pages.rendering import form_of, notice, origin, page, see_other
from sandbox.stripe import billing
from sandbox.stripe.actions import Actions
from sandbox.stripe.store import Json, Space

if TYPE_CHECKING:
    from sandbox.stripe.world import World

UNUSED_SECONDS = 300  # an address nobody opened
USED_SECONDS = 3600  # after the last visit
RUNNING = ("active", "past_due", "unpaid", "trialing", "paused", "incomplete")
_DONE = {
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


class Portal:
    """The handlers of `/p/session/{account}/{session}`."""

    def __init__(self, world: "World") -> None:
        self.world, self.actions = world, Actions(world)

    def routes(self) -> list[Route]:
        """The pages and their forms."""
        base = "/p/session/{account}/{session}"
        return [
            Route(base, self.show),
            Route(f"{base}/cards/new", self.new_card),
            Route(f"{base}/cards/new", self.add_card, methods=["POST"]),
            Route(f"{base}/cards/confirm/{{intent}}", self.challenge),
            Route(f"{base}/cards/confirm/{{intent}}", self.answer, methods=["POST"]),
            Route(f"{base}/cards/{{card}}/default", self.set_default, methods=["POST"]),
            Route(f"{base}/cards/{{card}}/remove", self.remove, methods=["POST"]),
            Route(f"{base}/plans/{{plan}}/cancel", self.ask_cancel),
            Route(f"{base}/plans/{{plan}}/cancel", self.cancel, methods=["POST"]),
            Route(f"{base}/plans/{{plan}}/keep", self.keep, methods=["POST"]),
        ]

    def _visit(self, request: Request) -> Visit | Response:
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

    def _page(self, visit: Visit, template: str, **values: Any) -> Response:
        return page(
            template,
            leaves=self._after(visit) is not None,
            merchant=self._merchant(visit),
            home=visit.home,
            return_url=visit.return_url,
            **values,
        )

    def _merchant(self, visit: Visit) -> str:
        return str(self.world.account(visit.space.account)["business_profile"]["name"])

    # -- home ---------------------------------------------------------------------------------------------------

    async def show(self, request: Request) -> Response:
        """GET: the overview; a session with a flow goes straight to it."""
        visit = self._visit(request)
        if isinstance(visit, Response):
            return visit
        done = _DONE.get(request.query_params.get("done", ""))
        if visit.flow and not visit.space.private(visit.session["id"]).get("flow_done"):
            if visit.flow["type"] == "payment_method_update":
                return see_other(f"{visit.home}/cards/new")
            if visit.flow["type"] == "subscription_cancel" and visit.flow["subscription_cancel"]:
                return see_other(f"{visit.home}/plans/{visit.flow['subscription_cancel']['subscription']}/cancel")
        with self.world.lock:
            space, customer = visit.space, visit.customer
            default = customer["invoice_settings"]["default_payment_method"]
            invoices = space.table("invoice").where("customer", customer["id"])[::-1]
            return self._page(
                visit,
                "portal.html",
                done=done,
                customer=customer,
                plans=[_plan(space, one) for one in space.table("subscription").where("customer", customer["id"])],
                cards=[
                    {
                        "id": method["id"],
                        "label": cards.method_label(method),
                        "expiry": cards.method_expiry(method),
                        "default": method["id"] == default,
                    }
                    for method in saved_methods(space, customer["id"])
                ],
                due=[one for one in invoices if one["status"] == "open" and one["hosted_invoice_url"]],
                history=[one for one in invoices if one["status"] in ("paid", "void", "uncollectible")][:12],
            )

    # -- cards --------------------------------------------------------------------------------------------------

    async def new_card(self, request: Request) -> Response:
        """GET: choose a card."""
        visit = self._visit(request)
        return visit if isinstance(visit, Response) else self._new_card(visit)

    def _new_card(self, visit: Visit, error: str | None = None) -> Response:
        return self._page(visit, "portal_card.html", choices=cards.CHOICES, error=error, flow=bool(visit.flow))

    async def add_card(self, request: Request) -> Response:
        """POST `card`: save it and use it for invoices."""
        visit, form = self._visit(request), await form_of(request)
        if isinstance(visit, Response):
            return visit
        if form.get("card") not in cards.BY_TOKEN:
            return self._new_card(visit, "Choose a card.")
        with self.world.transaction():
            method = self.actions.create_card(visit.space, form["card"])
            # A saved card is charged without its owner; banks ask for 3-D Secure once, while it is saved.
            try:
                intent = saving.begin(self.world, visit.space, visit.customer["id"], method)
            except saving.CardRefusedError as refused:
                return self._new_card(visit, str(refused))
            if intent["status"] == "requires_action":
                return see_other(f"{visit.home}/cards/confirm/{intent['id']}")
            return self._added(visit, method)

    def _added(self, visit: Visit, method: Json) -> Response:
        """As the real portal: the customer's default for invoices. A subscription's own card stays in front of it."""
        self.actions.set_default_payment_method(visit.space, visit.customer["id"], method["id"])
        return self._leave(visit, "added")

    def _setup(self, visit: Visit, request: Request) -> Json | None:
        intent = visit.space.get("setup_intent", request.path_params["intent"])
        mine = intent and intent["customer"] == visit.customer["id"] and intent["status"] == "requires_action"
        return intent if mine else None

    async def challenge(self, request: Request) -> Response:
        """GET: the bank asks."""
        visit = self._visit(request)
        if isinstance(visit, Response):
            return visit
        intent = self._setup(visit, request)
        if intent is None:
            return see_other(visit.home)
        method = visit.space.table("payment_method").objects[intent["payment_method"]]
        what = f"Saving a card for future payments to {self._merchant(visit)}."
        return challenge_page(f"{visit.home}/cards/confirm/{intent['id']}", method, what)

    async def answer(self, request: Request) -> Response:
        """POST `answer=complete|fail`"""
        visit, form = self._visit(request), await form_of(request)
        if isinstance(visit, Response):
            return visit
        with self.world.transaction():
            intent = self._setup(visit, request)
            if intent is None:
                return see_other(visit.home)
            method = saving.finish(self.world, visit.space, intent, succeed=form.get("answer") == "complete")
            if method is None:
                return self._new_card(visit, "We are unable to authenticate your card. Please choose another one.")
            return self._added(visit, method)

    def _card(self, visit: Visit, request: Request) -> Json | None:
        found = visit.space.get("payment_method", request.path_params["card"])
        return found if found and found["customer"] == visit.customer["id"] else None

    async def set_default(self, request: Request) -> Response:
        """POST: use this card for invoices."""
        visit = self._visit(request)
        if isinstance(visit, Response):
            return visit
        card = self._card(visit, request)
        if card is None:
            return see_other(visit.home)
        self.actions.set_default_payment_method(visit.space, visit.customer["id"], card["id"])
        return see_other(f"{visit.home}?done=default")

    async def remove(self, request: Request) -> Response:
        """POST: take the card away."""
        visit = self._visit(request)
        if isinstance(visit, Response):
            return visit
        card = self._card(visit, request)
        if card is None:
            return see_other(visit.home)
        self.actions.detach_payment_method(visit.space, card["id"])
        return see_other(f"{visit.home}?done=removed")

    # -- plans --------------------------------------------------------------------------------------------------

    def _subscription(self, visit: Visit, request: Request) -> Json | None:
        found = visit.space.get("subscription", request.path_params["plan"])
        mine = found and found["customer"] == visit.customer["id"] and found["status"] in RUNNING
        return found if mine else None

    def _cancel_mode(self, visit: Visit) -> bool:
        """True: at the period's end."""
        configuration = visit.space.table("billing_portal.configuration").objects[visit.session["configuration"]]
        return bool(configuration["features"]["subscription_cancel"]["mode"] == "at_period_end")

    async def ask_cancel(self, request: Request) -> Response:
        """GET: are you sure?"""
        visit = self._visit(request)
        if isinstance(visit, Response):
            return visit
        plan = self._subscription(visit, request)
        if plan is None:
            return see_other(visit.home)
        return self._page(
            visit, "portal_cancel.html", plan=_plan(visit.space, plan), at_period_end=self._cancel_mode(visit)
        )

    async def cancel(self, request: Request) -> Response:
        """POST: cancelled, as the portal's configuration says."""
        visit = self._visit(request)
        if isinstance(visit, Response):
            return visit
        with self.world.transaction():
            plan = self._subscription(visit, request)
            if plan is None or plan["cancel_at_period_end"]:
                return see_other(visit.home)
            # What is unpaid already ends at once: there is no paid period left to use up.
            later = self._cancel_mode(visit) and plan["status"] in ("active", "trialing")
            self.actions.cancel_subscription(visit.space, plan["id"], at_period_end=later)
            return self._leave(visit, "canceled")

    async def keep(self, request: Request) -> Response:
        """POST: a planned cancellation is taken back."""
        visit = self._visit(request)
        if isinstance(visit, Response):
            return visit
        plan = self._subscription(visit, request)
        if plan is None or not plan["cancel_at_period_end"]:
            return see_other(visit.home)
        self.actions.keep_subscription(visit.space, plan["id"])
        return see_other(f"{visit.home}?done=kept")

    # -- leaving ------------------------------------------------------------------------------------------------

    def _after(self, visit: Visit) -> str | None:
        """Where a completed flow redirects to, when the session asked for a redirect to a web address."""
        after = visit.flow.get("after_completion") or {}
        url = (after.get("redirect") or {}).get("return_url") or visit.return_url
        return url if after.get("type") == "redirect" and origin(url) else None

    def _leave(self, visit: Visit, done: str) -> Response:
        private = visit.space.private(visit.session["id"])
        first = bool(visit.flow) and not private.get("flow_done")
        if not first:
            return see_other(f"{visit.home}?done={done}")
        private["flow_done"] = True
        visit.space.save("billing_portal.session", visit.session)
        after = self._after(visit)
        if after:
            return see_other(after)
        confirmation = visit.flow["after_completion"]["hosted_confirmation"] or {}
        if visit.flow["after_completion"]["type"] == "hosted_confirmation":
            link = ("Return to merchant", visit.return_url) if visit.return_url else None
            return notice("Thank you", confirmation.get("custom_message") or _DONE[done], link=link)
        return see_other(f"{visit.home}?done={done}")


def _plan(space: Space, subscription: Json) -> dict[str, Any]:
    item = subscription["items"]["data"][0]
    price = item["price"]
    product = space.get("product", price["product"]) if isinstance(price["product"], str) else price["product"]
    return {
        "id": subscription["id"],
        "name": product["name"] if product else "Plan",
        "amount": (price["unit_amount"] or 0) * (item["quantity"] or 1),
        "currency": subscription["currency"],
        "interval": price["recurring"]["interval"] if price["recurring"] else None,
        "status": subscription["status"],
        "running": subscription["status"] in RUNNING,
        "ends": subscription["cancel_at"] if subscription["cancel_at_period_end"] else None,
        "period_end": billing.period_of(subscription)[1],
    }
