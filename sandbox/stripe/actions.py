"""What people and banks do, as Python calls: for pages, populations, tests and drivers in the same process.

Every method takes the account's id (or a Space), holds the world's lock, commits, and emits the events Stripe
would. Methods return the live object (treat it as read-only). Unknown ids raise KeyError, refused acts
`StripeError`. A refused payment is not an error here: look at the returned `Outcome`.
"""

from typing import TYPE_CHECKING, Any

from sandbox.stripe import (
    accounts,
    billing,
    cards,
    drafts,
    invoicing,
    lookups,
    methods,
    reversals,
    standing,
    subscribing,
)
from sandbox.stripe.cards import Outcome
from sandbox.stripe.events import change, emit
from sandbox.stripe.resources import catalog, customers, oauth, portal, webhook_endpoints
from sandbox.stripe.store import Json, Space

if TYPE_CHECKING:
    from sandbox.stripe.world import World

Account = str | Space


class Actions:
    """All of them, on one world."""

    def __init__(self, world: "World") -> None:
        self.world = world

    def _get(self, account: Account, kind: str, identifier: str) -> tuple[Space, Json]:
        space = self.world.space(account)
        return space, space.table(kind).objects[identifier]

    # -- accounts and Connect -----------------------------------------------------------------------------------

    def create_account(self, **given: Any) -> Json:
        """See accounts.create_account: name, email, country, currency, shape, account_id, rules."""
        with self.world.transaction():
            return accounts.create_account(self.world, **given)

    def set_rules(self, account: str, *, shape: str | None = None, **rules: Any) -> None:
        """Change shape (`acacia`/`basil`) or any of world.ACCOUNT_RULES."""
        with self.world.transaction():
            accounts.set_rules(self.world, account, shape=shape, **rules)

    def create_authorization_code(self, account: str, **given: Any) -> str:
        """Consent: scope, redirect_uri, code_challenge, code_challenge_method, live."""
        with self.world.transaction():
            return oauth.create_authorization_code(self.world, account, **given)

    def connect(self, account: str, *, live: bool = False, scope: str = "read_write") -> Json:
        """Consent and exchange in one; returns the connection with its `tokens`."""
        with self.world.transaction():
            return accounts.connect(self.world, account, live=live, scope=scope)

    def disconnect(self, account: str, *, live: bool = False) -> bool:
        """The owner withdraws the authorisation."""
        with self.world.transaction():
            return accounts.disconnect(self.world, account, live=live)

    def create_webhook_endpoint(
        self,
        account: Account,
        url: str,
        events: list[str] | None = None,
        *,
        connect: bool = False,
        api_version: str | None = None,
        secret: str | None = None,
    ) -> tuple[Json, str]:
        """An endpoint and its secret; `connect` on the platform's account receives connected accounts' events."""
        with self.world.transaction():
            return webhook_endpoints.new_endpoint(
                self.world,
                self.world.space(account),
                url=url,
                events=events or ["*"],
                connect=connect,
                api_version=api_version,
                secret=secret,
            )

    def roll_webhook_secret(self, account: Account, endpoint: str, *, keep_seconds: int = 86_400) -> str:
        """A new secret; the old one signs too for `keep_seconds`."""
        with self.world.transaction():
            space, found = self._get(account, "webhook_endpoint", endpoint)
            return webhook_endpoints.roll_secret(self.world, space, found, keep_seconds=keep_seconds)

    # -- customers and cards ------------------------------------------------------------------------------------

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

    # -- oddities -----------------------------------------------------------------------------------------------

    def edit_object(self, account: Account, kind: str, identifier: str, fields: Json) -> Json:
        """Set fields as no API would allow (an invoice without customer, a negative amount); no event."""
        with self.world.transaction():
            space, found = self._get(account, kind, identifier)
            found.update(fields)
            return space.save(kind, found)

    def send_event(self, account: Account, name: str, obj: Json) -> Json | None:
        """Any event, also of a type Stripe does not know, about any object."""
        with self.world.transaction():
            return emit(self.world, self.world.space(account), name, obj)

    # -- pages --------------------------------------------------------------------------------------------------

    def find_hosted_invoice(self, account: str, token: str) -> Json | None:
        """The invoice behind `{public_url}/i/{account}/{token}`, in either mode."""
        for live in (False, True):
            space = self.world.space(account, live=live)
            for identifier, hidden in space.hidden.items():
                if hidden.get("token") == token:
                    return space.get("invoice", identifier)
        return None

    def find_portal_session(self, account: str, session: str) -> Json | None:
        """The session behind `{public_url}/p/session/{account}/{session}`."""
        spaces = (self.world.space(account, live=live) for live in (False, True))
        return next((s for s in (sp.get("billing_portal.session", session) for sp in spaces) if s), None)

    def create_portal_session(self, account: Account, customer: str, return_url: str | None = None) -> Json:
        """As POST /v1/billing_portal/sessions."""
        with self.world.transaction():
            space, owner = self._get(account, "customer", customer)
            configuration = portal.default_configuration(self.world, space)
            return portal.new_session(
                self.world, space, owner, return_url=return_url, flow=None, configuration=configuration
            )
