"""The Customer Portal: cards, plan and open invoices of one customer, behind a short-lived session's address."""

from typing import TYPE_CHECKING

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from sandbox.pages import cards
from sandbox.pages.invoice import saved_methods
from sandbox.pages.portal_cards import Cards
from sandbox.pages.portal_plans import Plans, shown_plan
from sandbox.pages.portal_visit import DONE, Desk
from sandbox.pages.rendering import see_other

if TYPE_CHECKING:
    from sandbox.stripe.world import World

BASE = "/p/session/{account}/{session}"


class Portal:
    """The overview, and the parts below it."""

    def __init__(self, world: "World") -> None:
        self.world, self.desk = world, Desk(world)

    def routes(self) -> list[Route]:
        """The pages and their forms."""
        return [Route(BASE, self.show), *Cards(self.desk).routes(BASE), *Plans(self.desk).routes(BASE)]

    async def show(self, request: Request) -> Response:
        """GET: the overview; a session with a flow goes straight to it."""
        visit = self.desk.visit(request)
        if isinstance(visit, Response):
            return visit
        done = DONE.get(request.query_params.get("done", ""))
        if visit.flow and not visit.space.private(visit.session["id"]).get("flow_done"):
            if visit.flow["type"] == "payment_method_update":
                return see_other(f"{visit.home}/cards/new")
            if visit.flow["type"] == "subscription_cancel" and visit.flow["subscription_cancel"]:
                return see_other(f"{visit.home}/plans/{visit.flow['subscription_cancel']['subscription']}/cancel")
        with self.world.lock:
            space, customer = visit.space, visit.customer
            default = customer["invoice_settings"]["default_payment_method"]
            invoices = space.table("invoice").where("customer", customer["id"])[::-1]
            return self.desk.page(
                visit,
                "portal.html",
                done=done,
                customer=customer,
                plans=[shown_plan(space, one) for one in space.table("subscription").where("customer", customer["id"])],
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
