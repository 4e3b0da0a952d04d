"""What people and banks do, as Python calls: for pages, populations, tests and drivers in the same process.

Every method takes the account's id (or a Space), holds the world's lock, commits, and emits the events Stripe
would. Methods return the live object (treat it as read-only). Unknown ids raise KeyError, refused acts
`StripeError`. A refused payment is not an error here: look at the returned `Outcome`.
"""

from typing import Any

from sandbox.stripe import billing, cards, drafts, invoicing, lookups, reversals, standing, subscribing
from sandbox.stripe.account_actions import AccountActions
from sandbox.stripe.acting import Account
from sandbox.stripe.card_actions import CardActions
from sandbox.stripe.cards import Outcome
from sandbox.stripe.events import change, emit
from sandbox.stripe.resources import catalog
from sandbox.stripe.store import Json


class Actions(AccountActions, CardActions):
    """All of them, on one world: what is here, in AccountActions and in CardActions."""

    # -- catalog and subscriptions ------------------------------------------------------------------------------

    def create_price(
        self,
        account: Account,
        *,
        unit_amount: int,
        currency: str,
        product: str = "Plan",
        interval: str = "month",
        interval_count: int = 1,
    ) -> Json:
        """A recurring price with a new product of that name (or of that `prod_` id)."""
        with self.world.transaction():
            space = self.world.space(account)
            if not product.startswith("prod_"):
                made = catalog.new_product(self.world, space, {"name": product})
                emit(self.world, space, "product.created", made)
                product = made["id"]
            recurring = {"interval": interval, "interval_count": interval_count}
            given = {"unit_amount": unit_amount, "currency": currency, "recurring": recurring}
            price = catalog.new_price(self.world, space, given, product)
            emit(self.world, space, "price.created", price)
            return price

    def create_subscription(
        self, account: Account, customer: str, price: str, *, quantity: int = 1, **given: Any
    ) -> Json:
        """Start a subscription (first invoice tried at once); `given` are fields of subscribing.Plan."""
        with self.world.transaction():
            space, owner = self._get(account, "customer", customer)
            items = [(space.table("price").objects[price], quantity)]
            return subscribing.start(self.world, space, subscribing.Plan(customer=owner, items=items, **given))

    def cancel_subscription(
        self, account: Account, subscription: str, *, at_period_end: bool = False, feedback: str | None = None
    ) -> Json:
        """The customer leaves, now or when the period ends."""
        with self.world.transaction():
            space, found = self._get(account, "subscription", subscription)
            if not at_period_end:
                standing.cancel(self.world, space, found, reason="cancellation_requested", feedback=feedback)
                return found
            details = {"comment": None, "feedback": feedback, "reason": "cancellation_requested"}
            previous = change(
                found,
                cancel_at_period_end=True,
                cancel_at=billing.period_of(found)[1],
                canceled_at=self.world.now(),
                cancellation_details=details,
            )
            space.save("subscription", found)
            billing.plan_next(self.world, space, found)
            emit(self.world, space, "customer.subscription.updated", found, previous)
            return found

    def keep_subscription(self, account: Account, subscription: str) -> Json:
        """The customer takes a cancellation at the period's end back."""
        with self.world.transaction():
            space, found = self._get(account, "subscription", subscription)
            details = {"comment": None, "feedback": None, "reason": None}
            previous = change(
                found, cancel_at_period_end=False, cancel_at=None, canceled_at=None, cancellation_details=details
            )
            space.save("subscription", found)
            billing.plan_next(self.world, space, found)
            emit(self.world, space, "customer.subscription.updated", found, previous)
            return found

    # -- paying -------------------------------------------------------------------------------------------------

    def pay_invoice(
        self, account: Account, invoice: str, payment_method: str | None = None, *, authenticated: bool = False
    ) -> Outcome | None:
        """A customer pays an open invoice on its hosted page; `authenticated`: 3-D Secure was passed.

        Returns the bank's outcome, or None when there is no payment method. Without one, the usual order applies.
        """
        with self.world.transaction():
            space, found = self._get(account, "invoice", invoice)
            if found["status"] not in ("open", "uncollectible"):
                raise ValueError(f"invoice {invoice} is {found['status']}")
            method = space.table("payment_method").objects[payment_method] if payment_method else None
            return invoicing.attempt(
                self.world, space, found, payment_method=method, source="customer", authenticated=authenticated
            )

    def complete_action(self, account: Account, invoice: str, *, succeed: bool = True) -> Outcome | None:
        """The customer answers the 3-D Secure challenge an invoice's PaymentIntent waits for."""
        with self.world.transaction():
            space, found = self._get(account, "invoice", invoice)
            intent = lookups.intent_of(space, found)
            if intent is None or intent["status"] != "requires_action":
                raise ValueError(f"invoice {invoice} waits for no authentication")
            method = space.table("payment_method").objects[intent["payment_method"]]
            if succeed:
                return self.pay_invoice(space, invoice, method["id"], authenticated=True)
            error = {
                "code": "payment_intent_authentication_failure",
                "doc_url": "https://stripe.com/docs/error-codes/payment-intent-authentication-failure",
                "message": "The provided PaymentMethod has failed authentication. You can provide payment_method_data "
                "or a new PaymentMethod to attempt to fulfill this PaymentIntent again.",
                "payment_method": dict(method),
                "type": "invalid_request_error",
            }
            change(intent, status="requires_payment_method", next_action=None, last_payment_error=error)
            intent["payment_method"] = None
            space.save("payment_intent", intent)
            emit(self.world, space, "payment_intent.payment_failed", intent)
            return None

    def settle_debit(self, account: Account, invoice: str, *, decline_code: str = "") -> None:
        """The bank's word of a debit that is processing: the money came, or with a code it did not."""
        with self.world.transaction():
            space, found = self._get(account, "invoice", invoice)
            outcome = cards.declined(decline_code) if decline_code else cards.APPROVED
            invoicing.settle_debit(self.world, space, found, outcome)

    def create_invoice(self, account: Account, customer: str, amount: int, currency: str, **given: Any) -> Json:
        """A one-off invoice, finalised and open (manual, no subscription)."""
        with self.world.transaction():
            space, owner = self._get(account, "customer", customer)
            invoice = drafts.new_invoice(
                self.world, space, owner, currency=currency, billing_reason="manual", auto_advance=False, **given
            )
            line = drafts.plain_line(self.world, space, amount, currency, "One-off")
            line["invoice"] = invoice["id"]
            invoice["lines"]["data"].append(line)
            drafts.recount(invoice)
            space.save("invoice", invoice)
            emit(self.world, space, "invoice.created", invoice)
            return invoicing.finalize(self.world, space, invoice)

    def void_invoice(self, account: Account, invoice: str) -> Json:
        """The merchant voids it."""
        with self.world.transaction():
            space, found = self._get(account, "invoice", invoice)
            invoicing.void(self.world, space, found)
            return found

    def mark_uncollectible(self, account: Account, invoice: str) -> Json:
        """The merchant writes it off."""
        with self.world.transaction():
            space, found = self._get(account, "invoice", invoice)
            invoicing.mark_uncollectible(self.world, space, found)
            return found

    def refund(self, account: Account, charge: str, amount: int | None = None) -> Json:
        """Money back."""
        with self.world.transaction():
            space, found = self._get(account, "charge", charge)
            return reversals.refund(self.world, space, found, amount=amount)

    def fail_refund(self, account: Account, refund: str) -> Json:
        """A refund that was made comes back: the bank could not credit it."""
        with self.world.transaction():
            space, found = self._get(account, "refund", refund)
            return reversals.fail_refund(self.world, space, found)

    def open_dispute(self, account: Account, charge: str, reason: str = "fraudulent") -> Json:
        """The cardholder disputes."""
        with self.world.transaction():
            space, found = self._get(account, "charge", charge)
            return reversals.open_dispute(self.world, space, found, reason=reason)

    def close_dispute(self, account: Account, dispute: str, *, won: bool) -> Json:
        """The bank decides."""
        with self.world.transaction():
            space, found = self._get(account, "dispute", dispute)
            return reversals.close_dispute(self.world, space, found, won=won)
