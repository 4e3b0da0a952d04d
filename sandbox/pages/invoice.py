"""The hosted invoice page: a customer pays an open invoice, with 3-D Secure where the bank asks for it."""

import re
from typing import TYPE_CHECKING, Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from sandbox.pages import cards
from sandbox.pages.pdf import document
from sandbox.pages.rendering import form_of, money, notice, page, see_other
from sandbox.stripe import lookups
from sandbox.stripe.actions import Actions
from sandbox.stripe.store import Json, Space

if TYPE_CHECKING:
    from sandbox.stripe.world import World

PAYABLE = ("open", "uncollectible")


class HostedInvoice:
    """The handlers of `/i/{account}/{token}`."""

    def __init__(self, world: "World") -> None:
        self.world, self.actions = world, Actions(world)

    def routes(self) -> list[Route]:
        """The page, paying, the bank's page, and the receipt."""
        base = "/i/{account}/{token}"
        return [
            Route(base, self.show),
            Route(f"{base}/pdf", self.download),
            Route(f"{base}/pay", self.pay, methods=["POST"]),
            Route(f"{base}/authenticate", self.challenge),
            Route(f"{base}/authenticate", self.answer, methods=["POST"]),
            Route("/3ds/{intent}", self.from_intent),
            Route("/receipts/{charge}", self.receipt),
        ]

    # -- finding ------------------------------------------------------------------------------------------------

    def _find(self, request: Request) -> tuple[Space, Json] | None:
        account, token = request.path_params["account"], request.path_params["token"]
        with self.world.lock:
            try:
                invoice = self.actions.find_hosted_invoice(account, token)
            except KeyError:
                return None
            return (self.world.space(account, live=invoice["livemode"]), invoice) if invoice else None

    @staticmethod
    def _home(request: Request) -> str:
        return f"/i/{request.path_params['account']}/{request.path_params['token']}"

    # -- looking ------------------------------------------------------------------------------------------------

    async def show(self, request: Request) -> Response:
        """GET: what is owed and a way to pay it, or what became of it."""
        with self.world.lock:
            found = self._find(request)
            if found is None:
                return _unknown()
            space, invoice = found
            return page("invoice.html", **self._values(request, space, invoice))

    def _values(self, request: Request, space: Space, invoice: Json) -> dict[str, Any]:
        intent = lookups.intent_of(space, invoice)
        failed = request.query_params.get("attempt") == "failed" and intent and intent["last_payment_error"]
        saved = saved_methods(space, invoice["customer"])
        usual = lookups.method_for(space, invoice)
        charge = space.get("charge", intent["latest_charge"]) if intent else None
        return {
            "invoice": invoice,
            "merchant": invoice["account_name"] or self.world.account(space.account)["business_profile"]["name"],
            "home": self._home(request),
            "payable": invoice["status"] in PAYABLE and invoice["amount_remaining"] > 0,
            "failure": failed["message"] if failed else None,
            "saved": [(method["id"], cards.method_label(method)) for method in saved],
            "usual": usual["id"] if usual else None,
            "choices": cards.CHOICES,
            "paid_with": _paid_with(charge) if invoice["status"] == "paid" else None,
            "paid_at": invoice["status_transitions"]["paid_at"],
        }

    async def download(self, request: Request) -> Response:
        """GET: the same as a PDF."""
        with self.world.lock:
            found = self._find(request)
            if found is None:
                return _unknown()
            invoice = found[1]
        lines = [
            "PHANTOM sandbox - not Stripe",
            f"From: {invoice['account_name']}",
            f"To: {invoice['customer_name'] or invoice['customer_email'] or ''}",
            f"Status: {invoice['status']}",
            "",
            *(
                f"{line['description'] or 'Item'}: {money(line['amount'], line['currency'])}"
                for line in _lines(invoice)
            ),
            "",
            f"Total: {money(invoice['total'], invoice['currency'])}",
            f"Amount due: {money(invoice['amount_remaining'], invoice['currency'])}",
        ]
        name = re.sub(r"[^A-Za-z0-9-]", "_", f"Invoice-{invoice['number'] or invoice['id']}")  # goes into a header
        headers = {"content-disposition": f'attachment; filename="{name}.pdf"', "cache-control": "no-store"}
        return Response(document(name, lines), media_type="application/pdf", headers=headers)

    # -- paying -------------------------------------------------------------------------------------------------

    async def pay(self, request: Request) -> Response:
        """POST `payment_method` (`pm_...` of this customer, or `new:<card>`), `save`: pays, once."""
        form, home = await form_of(request), self._home(request)
        with self.world.transaction():
            found = self._find(request)
            if found is None:
                return _unknown()
            space, invoice = found
            if invoice["status"] not in PAYABLE:
                return see_other(home)  # a second submit meets a paid invoice: nothing more is charged
            method = self._chosen(space, invoice, form.get("payment_method", ""))
            if method is None:
                return see_other(home)
            save = form.get("save") == "yes" and method["customer"] is None
            intent = lookups.intent_of(space, invoice)
            waiting = intent and intent["status"] == "requires_action" and intent["payment_method"] == method["id"]
            if waiting:  # the bank has asked already: answering is no new attempt
                return see_other(f"{home}/authenticate")
            outcome = self.actions.pay_invoice(space, invoice["id"], method["id"])
            if outcome and outcome.requires_action:
                return see_other(f"{home}/authenticate{'?save=yes' if save else ''}")
            if outcome is None or not outcome.approved:
                return see_other(f"{home}?attempt=failed")
            if save:
                self._keep(space, invoice, method)
        return see_other(home)

    def _chosen(self, space: Space, invoice: Json, given: str) -> Json | None:
        kind, _, token = given.partition(":")
        if kind == "new" and token in cards.BY_TOKEN:
            return self.actions.create_card(space, token)
        usual = lookups.method_for(space, invoice)
        known = [*saved_methods(space, invoice["customer"]), *([usual] if usual else [])]
        return next((method for method in known if method["id"] == given), None)

    def _keep(self, space: Space, invoice: Json, method: Json) -> None:
        """Use the card from now on: where the subscription has a card of its own, that one would be charged first."""
        self.actions.attach_payment_method(space, method["id"], invoice["customer"], default=True)
        subscription = lookups.subscription_of(space, invoice)
        if subscription and subscription["default_payment_method"]:
            self.actions.set_default_payment_method(
                space, invoice["customer"], method["id"], subscription=subscription["id"]
            )

    # -- 3-D Secure ---------------------------------------------------------------------------------------------

    async def challenge(self, request: Request) -> Response:
        """GET: the bank asks."""
        with self.world.lock:
            found = self._find(request)
            if found is None:
                return _unknown()
            space, invoice = found
            intent = lookups.intent_of(space, invoice)
            if invoice["status"] not in PAYABLE or intent is None or intent["status"] != "requires_action":
                return see_other(self._home(request))
            method = space.table("payment_method").objects[intent["payment_method"]]
            what = f"A payment of {_amount(invoice)} to {invoice['account_name']}."
            return challenge_page(
                f"{self._home(request)}/authenticate", method, what, save=request.query_params.get("save") == "yes"
            )

    async def answer(self, request: Request) -> Response:
        """POST `answer=complete|fail`: goes back to the invoice."""
        form, home = await form_of(request), self._home(request)
        with self.world.transaction():
            found = self._find(request)
            if found is None:
                return _unknown()
            space, invoice = found
            intent = lookups.intent_of(space, invoice)
            if invoice["status"] not in PAYABLE or intent is None or intent["status"] != "requires_action":
                return see_other(home)
            method = space.table("payment_method").objects[intent["payment_method"]]
            outcome = self.actions.complete_action(space, invoice["id"], succeed=form.get("answer") == "complete")
            if outcome is None or not outcome.approved:
                return see_other(f"{home}?attempt=failed")
            if form.get("save") == "yes" and method["customer"] is None:
                self._keep(space, invoice, method)
        return see_other(home)

    async def from_intent(self, request: Request) -> Response:
        """GET /3ds/{intent}: an intent's `next_action` leads to its invoice's challenge."""
        identifier = request.path_params["intent"]
        with self.world.lock:
            for space in list(self.world.store.spaces.values()):
                for payment in space.table("invoice_payment").where("payment_intent", identifier):
                    token = space.private(payment["invoice"]).get("token")
                    return see_other(f"/i/{space.account}/{token}/authenticate")
        return notice("Page not found", "There is no such payment in this sandbox.", status=404)

    async def receipt(self, request: Request) -> Response:
        """GET /receipts/{charge}"""
        with self.world.lock:
            for space in list(self.world.store.spaces.values()):
                charge = space.get("charge", request.path_params["charge"])
                if charge and charge["paid"]:
                    return page(
                        "receipt.html",
                        charge=charge,
                        merchant=self.world.account(space.account)["business_profile"]["name"],
                        paid_with=_paid_with(charge),
                    )
        return notice("Receipt not found", "There is no such receipt in this sandbox.", status=404)


def challenge_page(action: str, method: Json, what: str, *, save: bool = False, leaves: bool = False) -> Response:
    """The bank's page: complete or fail."""
    return page("challenge.html", leaves=leaves, action=action, card=cards.method_label(method), what=what, save=save)


def saved_methods(space: Space, customer: str | None) -> list[Json]:
    """A customer's payment methods, newest first."""
    return space.table("payment_method").where("customer", customer)[::-1] if customer else []


def _lines(invoice: Json) -> list[Json]:
    found: list[Json] = invoice["lines"]["data"]
    return found


def _amount(invoice: Json) -> str:
    return money(invoice["amount_remaining"], invoice["currency"])


def _paid_with(charge: Json | None) -> str | None:
    card = charge["payment_method_details"].get("card") if charge and charge["paid"] else None
    return cards.shown(card["brand"], card["last4"]) if card else None


def _unknown() -> Response:
    return notice("Invoice not found", "This link does not belong to an invoice in this sandbox.", status=404)
