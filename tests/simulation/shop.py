"""The merchant's account at Stripe as the play has it: its customers, their cards, and what their bank decides."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from core import clock
from core.config import settings
from sandbox.stripe.api import Request, Response
from sandbox.stripe.cards import Attempt, Outcome
from sandbox.stripe.store import Json
from tests.simulation import merit
from tests.simulation.ledger import Charge, NewCard
from tests.simulation.scenario import Customer, bank, began_at, month_before

if TYPE_CHECKING:
    from tests.simulation.play import Play


@dataclass
class Shop:
    """What stands at Stripe, beside what PHANTOM makes of it."""

    play: "Play"

    # -- customers ------------------------------------------------------------------------------------------------

    def join(self, customer: Customer) -> None:
        """A customer with a running subscription, before PHANTOM hears of anything."""
        play, actions, account = self.play, self.play.actions, self.play.account
        known: Json = {
            "email": customer.email or None,
            "phone": customer.phone or None,
            "address": {"country": customer.country},
            "preferred_locales": [customer.language] if customer.language else [],
        }
        customer.id = actions.create_customer(account, name=customer.name, **known)["id"]
        play.by_id[customer.id] = customer
        play.by_address |= {address: customer for address in (customer.email, customer.phone) if address}
        month, year = month_before(customer.renews_at) if customer.expires else (12, 2034)
        card = actions.create_card(account, "visa", country=customer.country, exp_month=month, exp_year=year)
        actions.attach_payment_method(account, card["id"], customer.id, default=True)
        for _ in range(customer.subscriptions):
            price = actions.create_price(
                account, unit_amount=customer.amount, currency=customer.currency, interval=customer.interval
            )
            subscription = actions.create_subscription(account, customer.id, price["id"], backdate=began_at(customer))
            customer.subscription_ids.append(subscription["id"])

    def is_deleted(self, customer: Customer) -> bool:
        found = self.play.space.get("customer", customer.id)
        return found is None or bool(found.get("deleted"))

    def delete(self, customer: Customer) -> None:
        self.as_platform("DELETE", f"/v1/customers/{customer.id}", account=self.play.account)

    def as_platform(self, method: str, path: str, body: str = "", account: str = "") -> Response:
        """A request of the operator's own, past all trouble."""
        headers = {"authorization": f"Bearer {platform_key()}", "content-type": "application/x-www-form-urlencoded"}
        if account:
            headers["stripe-account"] = account
        return self.play.api.handle(Request(method, path, "", headers, body.encode()))

    # -- cards ----------------------------------------------------------------------------------------------------

    def new_card(self, customer: Customer) -> Json:
        """Another card of theirs; most work."""
        play = self.play
        card = play.actions.create_card(play.account, "mastercard", country=customer.country)
        told = "good" if play.streams("cards").random() < 0.8 else "bad"
        play.space.private(card["id"])["told"] = told
        return card

    def prefer(self, customer: Customer, card: Json) -> None:
        """This card is charged from now on."""
        play = self.play
        play.actions.attach_payment_method(play.account, card["id"], customer.id, default=True)
        events = reversed(play.space.table("event").objects.values())
        told = next((event["id"] for event in events if event["type"] == "payment_method.attached"), "")
        play.ledger.new_cards.append(NewCard(clock.now(), customer.id, told))

    # -- invoices -------------------------------------------------------------------------------------------------

    def open_invoices(self, customer: Customer) -> list[Json]:
        found = self.play.space.table("invoice").where("customer", customer.id)
        return [invoice for invoice in found if invoice["status"] == "open" and invoice["attempted"]]

    def charges_of(self, invoice: str) -> list[Json]:
        """Every charge that was tried for an invoice."""
        space = self.play.space
        payments = space.table("invoice_payment").where("invoice", invoice)
        intents = [payment["payment"].get("payment_intent") for payment in payments]
        return [charge for intent in intents for charge in space.table("charge").where("payment_intent", intent)]

    def decide(self, attempt: Attempt) -> Outcome:
        """Whether the bank lets a charge pass; who paid may regret it."""
        play, owner = self.play, (attempt.customer or {}).get("id")
        outcome = bank(play.by_id.get(owner or ""), attempt, play.streams("bank"))
        invoice = attempt.invoice or {}
        if invoice.get("billing_reason") == "subscription_create":
            return outcome
        made = Charge(
            clock.now(),
            invoice.get("id", ""),
            owner or "",
            attempt.payment_method["id"],
            attempt.source,
            outcome.approved,
            attempt.amount,
            outcome.decline_code or "",
            float(invoice.get("next_payment_attempt") or 0),
            foreseen=outcome.approved and merit.foreseen(play, invoice.get("id", ""), clock.now()),
        )
        play.ledger.charges.append(made)
        if outcome.approved and not play.draining:
            play.people.plan_regret(made.invoice)
        answer = outcome.decline_code or ("3ds" if outcome.requires_action else "approved")
        play.ledger.trace.say(f"bank: {made.invoice} {made.source} {answer}")
        return outcome


def platform_key() -> str:
    key = settings().stripe_secret_key
    assert key is not None
    return key.get_secret_value()
