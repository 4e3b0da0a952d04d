"""Customers and their cards."""

from typing import Any

from sandbox.stripe import cards, methods
from sandbox.stripe.acting import Account, Acting
from sandbox.stripe.events import change, emit
from sandbox.stripe.resources import customers
from sandbox.stripe.store import Json


class CardActions(Acting):
    """Part of `actions.Actions`."""

    def create_customer(self, account: Account, *, created: int | None = None, **given: Any) -> Json:
        """name, email, phone, description, address, metadata, preferred_locales."""
        with self.world.transaction():
            space = self.world.space(account)
            customer = customers.new_customer(self.world, space, given, created=created)
            emit(self.world, space, "customer.created", customer)
            return customer

    def update_customer(self, account: Account, customer: str, **given: Any) -> Json:
        """Set fields as they are on the object."""
        with self.world.transaction():
            space, found = self._get(account, "customer", customer)
            previous = change(found, **given)
            space.save("customer", found)
            emit(self.world, space, "customer.updated", found, previous)
            return found

    def create_card(
        self,
        account: Account,
        token: str = "visa",  # noqa: S107 - the name of a test card
        *,
        last4: str | None = None,
        brand: str | None = None,
        funding: str | None = None,
        country: str | None = None,
        exp_month: int = 12,
        exp_year: int = 2034,
        decline_code: str | None = None,
        advice_code: str | None = None,
        requires_action: bool | None = None,
        billing_details: Json | None = None,
    ) -> Json:
        """A card, not yet attached. `token` is a name of cards.TOKENS; the rest overrides it.

        `decline_code` makes every charge on it fail so; `requires_action` asks for 3-D Secure each time.
        """
        base = cards.TOKENS[token]
        behaviour = dict(base[4])
        given = {"decline_code": decline_code, "advice_code": advice_code, "requires_action": requires_action}
        behaviour |= {name: value for name, value in given.items() if value is not None}
        card = (last4 or base[0], brand or base[1], funding or base[2], country or base[3], behaviour)
        with self.world.transaction():
            return methods.new_card(
                self.world,
                self.world.space(account),
                card,
                exp_month=exp_month,
                exp_year=exp_year,
                billing_details=billing_details,
            )

    def create_debit(self, account: Account, kind: str = "sepa_debit") -> Json:
        """A bank account, not yet attached: what is charged to it is `processing` until `settle_debit`."""
        with self.world.transaction():
            return methods.new_other(self.world, self.world.space(account), kind)

    def set_card_behaviour(
        self, account: Account, payment_method: str, *, decline_code: str | None, requires_action: bool = False
    ) -> None:
        """From now on the card is declined so, asks for 3-D Secure, or (both empty) works."""
        with self.world.transaction():
            space, found = self._get(account, "payment_method", payment_method)
            private = space.private(payment_method)
            private.update(decline_code=decline_code, requires_action=requires_action)
            space.save("payment_method", found)

    def attach_payment_method(
        self, account: Account, payment_method: str, customer: str, *, default: bool = False
    ) -> Json:
        """Save a card to a customer; with `default` also for its invoices."""
        with self.world.transaction():
            space, method = self._get(account, "payment_method", payment_method)
            owner = space.table("customer").objects[customer]
            if method["customer"] != customer:
                methods.attach_to(self.world, space, method, owner)
            if default:
                methods.set_default(self.world, space, owner, method["id"])
            return method

    def detach_payment_method(self, account: Account, payment_method: str) -> Json:
        """Take a card away."""
        with self.world.transaction():
            space, method = self._get(account, "payment_method", payment_method)
            methods.detach(self.world, space, method)
            return method

    def set_default_payment_method(
        self, account: Account, customer: str, payment_method: str | None, *, subscription: str | None = None
    ) -> None:
        """The customer's default for invoices, or one subscription's own."""
        with self.world.transaction():
            space, owner = self._get(account, "customer", customer)
            if subscription is None:
                methods.set_default(self.world, space, owner, payment_method)
                return
            found = space.table("subscription").objects[subscription]
            previous = change(found, default_payment_method=payment_method)
            space.save("subscription", found)
            emit(self.world, space, "customer.subscription.updated", found, previous)

    def automatically_update_card(self, account: Account, payment_method: str, **card: Any) -> Json:
        """The network's updater gives new `exp_month`, `exp_year`, `last4`; the card works again."""
        with self.world.transaction():
            space, method = self._get(account, "payment_method", payment_method)
            methods.automatically_update(self.world, space, method, **card)
            return method
