"""What Stripe does not let a merchant's credential do: noted as it is refused, forgotten when it works. Over HTTP."""

from datetime import timedelta
from typing import Any

import psycopg
import pytest
from sqlalchemy.exc import OperationalError

from core import db
from core.clock import ManualClock
from models.merchant import Merchant
from services.integrations.stripe import repository
from services.integrations.stripe.access import Capability, capability_of
from services.integrations.stripe.client import ScopedStripe, client_for
from services.integrations.stripe.errors import (
    StripeAuthenticationError,
    StripeCardDeclinedError,
    StripeNotFoundError,
    StripePermissionError,
    StripePortalError,
)
from tests.phantom_app.api.fake_stripe import FakeStripe
from tests.support.factories import make_merchant

PAY, PORTAL = "/v1/invoices/in_1/pay", "/v1/billing_portal/sessions"
DENIED = (403, {"error": {"type": "invalid_request_error", "message": "The provided key 'rk_…' does not have …"}})


@pytest.fixture
def merchant(database: object, clock: ManualClock) -> str:
    return make_merchant()


def client(merchant: str) -> ScopedStripe:
    with db.tenant_session(merchant) as session:
        return client_for(session, merchant)


def refusals(merchant: str) -> dict[str, Any]:
    with db.tenant_session(merchant) as session:
        found = session.get(Merchant, merchant)
        assert found is not None
        return found.stripe_refusals


def pay(merchant: str) -> None:
    client(merchant).pay_invoice("in_1", idempotency_key="k")


def open_portal(merchant: str) -> None:
    client(merchant).create_portal_session(
        "cus_1", return_url="https://x.example", idempotency_key="k", flow="payment_method_update"
    )


class TestNoted:
    def test_what_was_refused_since_when_and_how_lately(
        self, fake: FakeStripe, merchant: str, clock: ManualClock
    ) -> None:
        began = clock.now()
        for _ in range(3):
            fake.answers[PAY] = [DENIED]
            with pytest.raises(StripePermissionError):
                pay(merchant)
            clock.advance(timedelta(hours=2))
        assert refusals(merchant) == {
            "pay": {
                "code": "not_permitted",
                "since": began.isoformat(),
                "last": (began + timedelta(hours=4)).isoformat(),
            }
        }

    def test_not_each_time_anew(self, fake: FakeStripe, merchant: str, clock: ManualClock) -> None:
        began = clock.now()
        for _ in range(2):
            fake.answers[PAY] = [DENIED]
            with pytest.raises(StripePermissionError):
                pay(merchant)
            clock.advance(timedelta(minutes=59))
        assert refusals(merchant)["pay"]["last"] == began.isoformat()

    def test_another_reason_is_another_refusal(self, fake: FakeStripe, merchant: str, clock: ManualClock) -> None:
        fake.answers[PORTAL] = [DENIED, portal_refusal("No configuration provided")]
        with pytest.raises(StripePermissionError):
            open_portal(merchant)
        clock.advance(timedelta(minutes=1))
        with pytest.raises(StripePortalError):
            open_portal(merchant)
        assert refusals(merchant)["portal"]["code"] == "not_configured"
        assert refusals(merchant)["portal"]["since"] == clock.now().isoformat()

    @pytest.mark.parametrize(
        ("answer", "code"),
        [
            ((401, {"error": {"type": "invalid_request_error", "message": "Invalid API Key"}}), "key_refused"),
            ((403, {"error": {"type": "invalid_request_error", "code": "account_invalid", "message": ""}}), "revoked"),
        ],
    )
    def test_a_credential_that_is_worth_nothing(
        self, fake: FakeStripe, merchant: str, answer: tuple[int, Any], code: str
    ) -> None:
        fake.answers[PAY] = [answer]
        with pytest.raises((StripeAuthenticationError, StripePermissionError)):
            pay(merchant)
        assert {name: entry["code"] for name, entry in refusals(merchant).items()} == {"account": code}

    def test_other_errors_say_nothing(self, fake: FakeStripe, merchant: str) -> None:
        fake.answers[PAY] = [(400, {"error": {"type": "invalid_request_error", "code": "resource_missing"}})]
        with pytest.raises(StripeNotFoundError):
            pay(merchant)
        assert refusals(merchant) == {}

    def test_another_merchant_is_not_concerned(self, fake: FakeStripe, merchant: str) -> None:
        other = make_merchant()
        fake.answers[PAY] = [DENIED]
        with pytest.raises(StripePermissionError):
            pay(merchant)
        assert refusals(other) == {}

    def test_stripes_answer_counts_more_than_the_note(
        self, fake: FakeStripe, merchant: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def away(*_: object) -> None:
            raise OperationalError("update", {}, psycopg.OperationalError("gone"))

        monkeypatch.setattr(repository, "note_refusal", away)
        fake.answers[PAY] = [DENIED]
        with pytest.raises(StripePermissionError):
            pay(merchant)
        assert refusals(merchant) == {}


class TestForgotten:
    @pytest.mark.parametrize(
        "answer",
        [(200, {"id": "in_1"}), (402, {"error": {"type": "card_error", "code": "card_declined", "message": "No"}})],
        ids=["paid", "declined, which is the card's answer"],
    )
    def test_when_it_works(self, fake: FakeStripe, merchant: str, answer: tuple[int, Any]) -> None:
        fake.answers[PAY] = [DENIED]
        with pytest.raises(StripePermissionError):
            pay(merchant)
        fake.answers[PAY] = [answer]
        if answer[0] == 200:
            pay(merchant)
        else:
            with pytest.raises(StripeCardDeclinedError):
                pay(merchant)
        assert refusals(merchant) == {}

    def test_only_what_works(self, fake: FakeStripe, merchant: str) -> None:
        fake.answers |= {PAY: [DENIED], PORTAL: [DENIED, (200, {"url": "https://billing.example/p"})]}
        with pytest.raises(StripePermissionError):
            pay(merchant)
        with pytest.raises(StripePermissionError):
            open_portal(merchant)
        open_portal(merchant)
        assert list(refusals(merchant)) == ["pay"]

    def test_by_the_same_client_too(self, fake: FakeStripe, merchant: str) -> None:
        asking = client(merchant)
        fake.answers[PAY] = [DENIED, (200, {"id": "in_1"})]
        with pytest.raises(StripePermissionError):
            asking.pay_invoice("in_1", idempotency_key="k")
        asking.pay_invoice("in_1", idempotency_key="k")
        assert refusals(merchant) == {}


def portal_refusal(message: str, **more: Any) -> tuple[int, Any]:
    """A 400 without a code, as the portal's are."""
    return 400, {"error": {"type": "invalid_request_error", "message": message, **more}}


class TestPortal:
    @pytest.mark.parametrize(
        ("answer", "reason"),
        [
            (
                portal_refusal(
                    "No configuration provided and your live mode default configuration has not been created. Provide "
                    "a configuration or create your default by saving your customer portal settings in live mode at "
                    "https://dashboard.stripe.com/settings/billing/portal."
                ),
                "not_configured",
            ),
            (
                portal_refusal(
                    "You can’t create a portal session in live mode until you save your customer portal settings."
                ),
                "not_configured",
            ),
            (
                portal_refusal(
                    "This flow cannot be used: payment_method_update is not enabled in the configuration.",
                    param="flow_data[type]",
                ),
                "no_card_update",
            ),
            (portal_refusal("Something else"), "refused"),
        ],
    )
    def test_a_refusal_without_a_code_is_one_of_ours(
        self, fake: FakeStripe, merchant: str, answer: tuple[int, Any], reason: str
    ) -> None:
        fake.answers[PORTAL] = [answer]
        with pytest.raises(StripePortalError) as caught:
            open_portal(merchant)
        assert caught.value.reason == reason
        assert refusals(merchant)["portal"]["code"] == reason

    def test_a_customer_it_does_not_know_is_no_matter_of_the_portal(self, fake: FakeStripe, merchant: str) -> None:
        fake.answers[PORTAL] = [portal_refusal("No such customer: 'cus_1'", code="resource_missing", param="customer")]
        with pytest.raises(StripeNotFoundError):
            open_portal(merchant)
        assert refusals(merchant) == {}


@pytest.mark.parametrize(
    ("method", "path", "needed"),
    [
        ("post", "/v1/invoices/in_1/pay", Capability.PAY),
        ("get", "/v1/invoices/in_1", Capability.READ_INVOICES),
        ("get", "/v1/invoices", Capability.READ_INVOICES),
        ("get", "/v1/invoice_payments", Capability.READ_INVOICES),
        ("get", "/v1/invoiceitems", Capability.OTHER),
        ("post", "/v1/invoices/in_1", Capability.OTHER),
        ("get", "/v1/subscriptions/sub_1", Capability.READ_SUBSCRIPTIONS),
        ("post", "/v1/subscriptions/sub_1", Capability.SET_CARD),
        ("post", "/v1/customers/cus_1", Capability.SET_CARD),
        ("post", "/v1/customers", Capability.OTHER),
        ("get", "/v1/customers/cus_1", Capability.READ_CUSTOMERS),
        ("get", "/v1/payment_methods/pm_1", Capability.READ_CUSTOMERS),
        ("get", "/v1/payment_intents/pi_1", Capability.READ_PAYMENTS),
        ("get", "/v1/refunds", Capability.READ_CHARGES),
        ("get", "/v1/charges/ch_1", Capability.READ_CHARGES),
        ("get", "/v1/disputes", Capability.READ_DISPUTES),
        ("post", "/v1/billing_portal/sessions", Capability.PORTAL),
        ("get", "/v1/account", Capability.OTHER),
    ],
)
def test_every_request_needs_one_permission(method: str, path: str, needed: Capability) -> None:
    assert capability_of(method, path) is needed
