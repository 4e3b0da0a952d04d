"""The portal's cards: adding, confirming, choosing the default, removing."""

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from sandbox.pages import cards, saving
from sandbox.pages.invoice import challenge_page
from sandbox.pages.portal_visit import Desk, Visit
from sandbox.pages.rendering import form_of, see_other
from sandbox.stripe.store import Json


class Cards:
    """The handlers below `/p/session/{account}/{session}/cards`."""

    def __init__(self, desk: Desk) -> None:
        self.desk, self.world, self.actions = desk, desk.world, desk.actions

    def routes(self, base: str) -> list[Route]:
        """All of them."""
        return [
            Route(f"{base}/cards/new", self.new_card),
            Route(f"{base}/cards/new", self.add_card, methods=["POST"]),
            Route(f"{base}/cards/confirm/{{intent}}", self.challenge),
            Route(f"{base}/cards/confirm/{{intent}}", self.answer, methods=["POST"]),
            Route(f"{base}/cards/{{card}}/default", self.set_default, methods=["POST"]),
            Route(f"{base}/cards/{{card}}/remove", self.remove, methods=["POST"]),
        ]

    async def new_card(self, request: Request) -> Response:
        """GET: choose a card."""
        visit = self.desk.visit(request)
        return visit if isinstance(visit, Response) else self._new_card(visit)

    def _new_card(self, visit: Visit, error: str | None = None) -> Response:
        return self.desk.page(visit, "portal_card.html", choices=cards.CHOICES, error=error, flow=bool(visit.flow))

    async def add_card(self, request: Request) -> Response:
        """POST `card`: save it and use it for invoices."""
        visit, form = self.desk.visit(request), await form_of(request)
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
        return self.desk.leave(visit, "added")

    def _setup(self, visit: Visit, request: Request) -> Json | None:
        intent = visit.space.get("setup_intent", request.path_params["intent"])
        mine = intent and intent["customer"] == visit.customer["id"] and intent["status"] == "requires_action"
        return intent if mine else None

    async def challenge(self, request: Request) -> Response:
        """GET: the bank asks."""
        visit = self.desk.visit(request)
        if isinstance(visit, Response):
            return visit
        intent = self._setup(visit, request)
        if intent is None:
            return see_other(visit.home)
        method = visit.space.table("payment_method").objects[intent["payment_method"]]
        what = f"Saving a card for future payments to {self.desk.merchant(visit)}."
        action, leaves = f"{visit.home}/cards/confirm/{intent['id']}", self.desk.after(visit) is not None
        return challenge_page(action, method, what, leaves=leaves)

    async def answer(self, request: Request) -> Response:
        """POST `answer=complete|fail`"""
        visit, form = self.desk.visit(request), await form_of(request)
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
        visit = self.desk.visit(request)
        if isinstance(visit, Response):
            return visit
        card = self._card(visit, request)
        if card is None:
            return see_other(visit.home)
        self.actions.set_default_payment_method(visit.space, visit.customer["id"], card["id"])
        return see_other(f"{visit.home}?done=default")

    async def remove(self, request: Request) -> Response:
        """POST: take the card away."""
        visit = self.desk.visit(request)
        if isinstance(visit, Response):
            return visit
        card = self._card(visit, request)
        if card is None:
            return see_other(visit.home)
        self.actions.detach_payment_method(visit.space, card["id"])
        return see_other(f"{visit.home}?done=removed")
