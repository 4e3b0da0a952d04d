"""The portal's plans: cancelling one, and taking a planned cancellation back."""

from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from sandbox.pages.portal_visit import Desk, Visit
from sandbox.pages.rendering import see_other
from sandbox.stripe import billing
from sandbox.stripe.store import Json, Space

RUNNING = ("active", "past_due", "unpaid", "trialing", "paused", "incomplete")


class Plans:
    """The handlers below `/p/session/{account}/{session}/plans`."""

    def __init__(self, desk: Desk) -> None:
        self.desk, self.world, self.actions = desk, desk.world, desk.actions

    def routes(self, base: str) -> list[Route]:
        """All of them."""
        return [
            Route(f"{base}/plans/{{plan}}/cancel", self.ask_cancel),
            Route(f"{base}/plans/{{plan}}/cancel", self.cancel, methods=["POST"]),
            Route(f"{base}/plans/{{plan}}/keep", self.keep, methods=["POST"]),
        ]

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
        visit = self.desk.visit(request)
        if isinstance(visit, Response):
            return visit
        plan = self._subscription(visit, request)
        if plan is None:
            return see_other(visit.home)
        return self.desk.page(
            visit, "portal_cancel.html", plan=shown_plan(visit.space, plan), at_period_end=self._cancel_mode(visit)
        )

    async def cancel(self, request: Request) -> Response:
        """POST: cancelled, as the portal's configuration says."""
        visit = self.desk.visit(request)
        if isinstance(visit, Response):
            return visit
        with self.world.transaction():
            plan = self._subscription(visit, request)
            if plan is None or plan["cancel_at_period_end"]:
                return see_other(visit.home)
            # What is unpaid already ends at once: there is no paid period left to use up.
            later = self._cancel_mode(visit) and plan["status"] in ("active", "trialing")
            self.actions.cancel_subscription(visit.space, plan["id"], at_period_end=later)
            return self.desk.leave(visit, "canceled")

    async def keep(self, request: Request) -> Response:
        """POST: a planned cancellation is taken back."""
        visit = self.desk.visit(request)
        if isinstance(visit, Response):
            return visit
        plan = self._subscription(visit, request)
        if plan is None or not plan["cancel_at_period_end"]:
            return see_other(visit.home)
        self.actions.keep_subscription(visit.space, plan["id"])
        return see_other(f"{visit.home}?done=kept")


def shown_plan(space: Space, subscription: Json) -> dict[str, Any]:
    """A subscription as its owner sees it."""
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
