"""Stripe for one merchant: every call is scoped to that merchant's account, by construction.

All answers are plain dicts through `raw_request`: typed objects of SDK 16 are not dicts and cost ten times as long
to build.
"""

import re
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import quote

import stripe
from sqlmodel import Session

from core.config import settings
from core.errors import ConfigurationError, ConflictError, NotFoundError
from models.merchant import CredentialMode, MerchantState
from services.integrations.stripe import repository
from services.integrations.stripe.access import expected, meter_error, payment_error, portal_error
from services.integrations.stripe.errors import StripeCallError, translated
from services.integrations.stripe.refusals import Refusals
from services.integrations.stripe.transport import (
    BATCH,
    TASK,
    CountingClient,
    Patience,
    shared_client,
    with_patience,
)
from services.vault import service as vault
from services.vault.secret import Secret

Plain = dict[str, Any]
PAGE = 100
_PORTAL_SESSIONS = "/v1/billing_portal/sessions"
_METER_EVENTS = "/v1/billing/meter_events"
_PAYING = re.compile("/v1/invoices/[^/]+/pay")


class MerchantNotConnectedError(ConflictError):
    code, title = "merchant_not_connected", "No Stripe account is connected"


class ScopedStripe:
    """Stripe's API as one account. Raises `StripeCallError` types; unknown errors come as the SDK raised them."""

    def __init__(
        self,
        key: Secret,
        account: str | None,
        *,
        header: bool,
        patience: Patience = BATCH,
        sleep: Callable[[float], None] = time.sleep,
        refusals: Refusals | None = None,
    ) -> None:
        self.account, self._key, self._refusals = account, key, refusals
        self.requests = 0
        """HTTP requests sent so far, retries included; a hunt may send from several threads."""
        self._lock, self._patience, self._sleep = threading.Lock(), patience, sleep
        self._http = CountingClient(shared_client(patience), self._count, keeps_answers=True)
        self._client = stripe.StripeClient(
            key.reveal(),
            stripe_account=account if header else None,
            base_addresses={"api": settings().stripe_api_base, "connect": settings().stripe_connect_base},
            max_network_retries=patience.network_retries,
            http_client=self._http,
        )

    def raw_get(self, path: str, params: Mapping[str, Any] | None = None) -> Plain:
        """GET `path` (`/v1/invoices`) as a plain dict. `expand` is a list; nested parameters are dicts."""
        return self._call("get", path, expected(self._key.reveal(), dict(params or {})))

    def raw_post(self, path: str, params: Mapping[str, Any] | None = None, *, idempotency_key: str) -> Plain:
        """POST to `path`. The key makes a repeat after a crash or time-out harmless; a mutation never goes without."""
        if not idempotency_key:
            raise ValueError("a mutation needs an idempotency key")
        return self._call("post", path, {**(params or {}), "idempotency_key": idempotency_key})

    def pages(self, path: str, params: Mapping[str, Any] | None = None, *, after: str | None = None) -> Iterator[Plain]:
        """The pages of a list, 100 objects each unless `params` says otherwise, beginning after object `after`.

        One page in memory at a time. The next cursor is the last object's id, so a caller can stop and resume.
        """
        asked: Plain = {"limit": PAGE, **(params or {})}
        while True:
            page = self.raw_get(path, {**asked, "starting_after": after} if after else asked)
            yield page
            if not page.get("has_more") or not page["data"]:
                return
            after = page["data"][-1]["id"]

    def retrieve_invoice(self, invoice_id: str, expand: Sequence[str] = ()) -> Plain:
        return self._retrieve("invoices", invoice_id, expand)

    def retrieve_subscription(self, subscription_id: str, expand: Sequence[str] = ()) -> Plain:
        return self._retrieve("subscriptions", subscription_id, expand)

    def retrieve_customer(self, customer_id: str) -> Plain:
        return self._retrieve("customers", customer_id, ())

    def retrieve_charge(self, charge_id: str, expand: Sequence[str] = ()) -> Plain:
        return self._retrieve("charges", charge_id, expand)

    def retrieve_dispute(self, dispute_id: str, expand: Sequence[str] = ()) -> Plain:
        return self._retrieve("disputes", dispute_id, expand)

    def retrieve_account(self) -> Plain:
        """The account this client speaks as."""
        return self.raw_get("/v1/account")

    def pay_invoice(
        self,
        invoice_id: str,
        *,
        idempotency_key: str,
        payment_method: str | None = None,
        expand: Sequence[str] = (),
    ) -> Plain:
        """Try to collect an open invoice now. The invoice after it.

        Raises `StripeCardDeclinedError` (the attempt counted), `StripeAlreadyPaidError`, `StripePaymentRefusedError`
        (no bank was asked), and `StripeUnavailableError` when it is unknown whether the charge happened: repeat with
        the same key.
        """
        params: Plain = {"payment_method": payment_method} if payment_method else {}
        if expand:
            params["expand"] = list(expand)
        return self.raw_post(f"/v1/invoices/{_quoted(invoice_id)}/pay", params, idempotency_key=idempotency_key)

    def create_portal_session(
        self,
        customer_id: str,
        *,
        return_url: str,
        idempotency_key: str,
        flow: str | None = None,
        locale: str | None = None,
    ) -> str:
        """The address of a Customer Portal session, good for minutes: make it at the click.

        `flow` such as `payment_method_update` opens that page of the portal directly. Raises `StripePortalError`
        where the merchant never set the portal up, or up without that page.
        """
        params: Plain = {"customer": customer_id, "return_url": return_url}
        if flow:
            # Without it the customer ends on the portal's own start page instead of coming back to us.
            back = {"type": "redirect", "redirect": {"return_url": return_url}}
            params["flow_data"] = {"type": flow, "after_completion": back}
        if locale:
            params["locale"] = locale
        return str(self.raw_post(_PORTAL_SESSIONS, params, idempotency_key=idempotency_key)["url"])

    def set_customer_default_payment_method(
        self, customer_id: str, payment_method_id: str, *, idempotency_key: str
    ) -> Plain:
        """Make a card the customer's default. Stripe looks here only after the subscription's own default."""
        params = {"invoice_settings": {"default_payment_method": payment_method_id}}
        return self.raw_post(f"/v1/customers/{_quoted(customer_id)}", params, idempotency_key=idempotency_key)

    def set_subscription_default_payment_method(
        self, subscription_id: str, payment_method_id: str, *, idempotency_key: str
    ) -> Plain:
        """Make a card the subscription's default: what Stripe charges first."""
        params = {"default_payment_method": payment_method_id}
        return self.raw_post(f"/v1/subscriptions/{_quoted(subscription_id)}", params, idempotency_key=idempotency_key)

    def _count(self) -> None:
        with self._lock:
            self.requests += 1

    def _retrieve(self, resource: str, identifier: str, expand: Sequence[str]) -> Plain:
        return self.raw_get(f"/v1/{resource}/{_quoted(identifier)}", {"expand": list(expand)} if expand else None)

    def _call(self, method: str, path: str, params: Plain) -> Plain:
        def once() -> Plain:
            with translated(_uncoded(path)):
                answered = self._client.raw_request(method, path, **params)
            plain = self._http.take_answer()
            return answered.data if plain is None else plain

        try:
            answered = with_patience(once, self._patience, sleep=self._sleep)
        except StripeCallError as error:
            if self._refusals is not None:
                self._refusals.refused(method, path, error)
            raise
        if self._refusals is not None:
            self._refusals.went_through(method, path)
        return answered


def _uncoded(path: str) -> Callable[[stripe.InvalidRequestError], StripeCallError] | None:
    """What a refusal means where Stripe gives it no code that the closed list could have."""
    if path == _PORTAL_SESSIONS:
        return portal_error
    if path == _METER_EVENTS:
        return meter_error
    return payment_error if _PAYING.fullmatch(path) else None


def client_for(session: Session, merchant_id: str, *, patience: Patience = TASK) -> ScopedStripe:
    """Stripe as the account of `merchant_id`, by that merchant's credential mode, with the patience of a quick task.

    `session` is a tenant session of the same merchant. Raises `NotFoundError` for an unknown merchant,
    `MerchantNotConnectedError` without a connected account, `VaultError` when the credential cannot be trusted.
    """
    session.flush()
    merchant = repository.read_credential(session, merchant_id)
    if merchant is None:
        raise NotFoundError
    if merchant.stripe_user_id is None or merchant.state == MerchantState.DISCONNECTED:
        raise MerchantNotConnectedError
    by_header = merchant.credential_mode == CredentialMode.PLATFORM
    key = platform_key() if by_header else vault.open_merchant_token(merchant)
    refusals = Refusals(merchant_id, merchant.stripe_refusals)
    return ScopedStripe(key, merchant.stripe_user_id, header=by_header, patience=patience, refusals=refusals)


def platform_key() -> Secret:
    """Our own secret key. Raises `ConfigurationError` when STRIPE_SECRET_KEY is not set."""
    configured = settings().stripe_secret_key
    if configured is None:
        raise ConfigurationError("STRIPE_SECRET_KEY is not set")
    return Secret(configured.get_secret_value())


def _quoted(identifier: str) -> str:
    """An id as one path segment: an id that came from a webhook must not choose another endpoint."""
    if not identifier or identifier in (".", ".."):
        raise NotFoundError
    return quote(identifier, safe="")
