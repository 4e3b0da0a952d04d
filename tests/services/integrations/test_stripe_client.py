"""Stripe scoped to one account: what is sent, how patiently, and which errors come back. Over real HTTP."""

import threading
from typing import Any

import pytest
import stripe
from hypothesis import given
from hypothesis import strategies as st

from core import clock
from core.db import tenant_session
from core.errors import ConfigurationError, NotFoundError
from jobs import registry
from models.merchant import CredentialMode, Merchant, MerchantState
from services.integrations.stripe import errors, transport
from services.integrations.stripe.client import MerchantNotConnectedError, ScopedStripe, client_for
from services.integrations.stripe.transport import BATCH, INTERACTIVE, TASK, Patience, wait_before
from services.vault import service as vault
from services.vault.secret import Secret
from tests.phantom_app.api.fake_stripe import FakeStripe
from tests.support import environment

A, B = "mer_a", "mer_b"
NO_RETRIES = Patience(network_retries=0, busy_retries=0)


@pytest.fixture
def waits() -> list[float]:
    return []


@pytest.fixture
def scoped(fake: FakeStripe, waits: list[float]) -> ScopedStripe:
    patience = Patience(network_retries=0, busy_retries=3)
    return ScopedStripe(Secret("sk_test_x"), "acct_1", header=True, patience=patience, sleep=waits.append)


def make_merchant(merchant_id: str, account: str | None, mode: CredentialMode, token: str | None = None) -> None:
    with tenant_session(merchant_id) as session:
        now = clock.now()
        merchant = Merchant(
            id=merchant_id, stripe_user_id=account, credential_mode=mode, created_at=now, updated_at=now
        )
        if token:
            vault.seal_merchant_token(merchant, Secret(token))
        session.add(merchant)


def failure(kind: str = "invalid_request_error", **more: Any) -> dict[str, Any]:
    return {"error": {"type": kind, "message": "It did not work", **more}}


@pytest.mark.usefixtures("database")
class TestScope:
    def test_in_platform_mode_is_our_key_and_their_account(self, fake: FakeStripe) -> None:
        make_merchant(A, "acct_a", CredentialMode.PLATFORM)
        fake.answers["/v1/invoices"] = [(200, {"data": []})]
        with tenant_session(A) as session:
            client_for(session, A).raw_get("/v1/invoices")
        headers = fake.requests[0][3]
        assert (headers["authorization"], headers["stripe-account"]) == ("Bearer sk_test_platform", "acct_a")

    @pytest.mark.parametrize("mode", [CredentialMode.OAUTH, CredentialMode.RESTRICTED_KEY])
    def test_in_the_other_modes_is_their_own_key_alone(self, fake: FakeStripe, mode: CredentialMode) -> None:
        make_merchant(A, "acct_a", mode, "rk_test_their_own")
        fake.answers["/v1/invoices"] = [(200, {"data": []})]
        with tenant_session(A) as session:
            client_for(session, A).raw_get("/v1/invoices")
        headers = fake.requests[0][3]
        assert headers["authorization"] == "Bearer rk_test_their_own"
        assert "stripe-account" not in headers

    def test_never_reaches_another_tenant(self) -> None:
        make_merchant(B, "acct_b", CredentialMode.PLATFORM)
        with tenant_session(A) as session, pytest.raises(NotFoundError):
            client_for(session, B)

    def test_ends_with_the_connection(self) -> None:
        make_merchant(A, "acct_a", CredentialMode.PLATFORM)
        with tenant_session(A) as session:
            session.get_one(Merchant, A).state = MerchantState.DISCONNECTED
        with tenant_session(A) as session, pytest.raises(MerchantNotConnectedError):
            client_for(session, A)

    def test_needs_an_account(self) -> None:
        make_merchant(A, None, CredentialMode.PLATFORM)
        with tenant_session(A) as session, pytest.raises(MerchantNotConnectedError):
            client_for(session, A)

    def test_needs_our_key_in_platform_mode(self, fake: FakeStripe) -> None:
        make_merchant(A, "acct_a", CredentialMode.PLATFORM)
        with (
            environment.changed(STRIPE_SECRET_KEY=""),
            tenant_session(A) as session,
            pytest.raises(ConfigurationError),
        ):
            client_for(session, A)


class TestRequests:
    def test_are_plain_dicts_with_nested_parameters(self, scoped: ScopedStripe, fake: FakeStripe) -> None:
        fake.answers["/v1/invoices"] = [
            (200, {"data": [{"id": "in_1", "unit_amount_decimal": "1.5"}], "has_more": False})
        ]
        answer = scoped.raw_get(
            "/v1/invoices", {"status": "open", "created": {"gte": 1}, "expand": ["data.customer"], "limit": 100}
        )
        assert type(answer["data"]) is list
        assert isinstance(answer["data"][0], dict)
        assert answer["data"][0]["unit_amount_decimal"] == "1.5"
        sent = fake.requests[0][2]
        assert (sent["created[gte]"], sent["expand[0]"], sent["limit"]) == ("1", "data.customer", "100")

    def test_name_the_version_the_sdk_pins(self, scoped: ScopedStripe, fake: FakeStripe) -> None:
        fake.answers["/v1/account"] = [(200, {})]
        scoped.retrieve_account()
        assert fake.requests[0][3]["stripe-version"].startswith("2026-10-28")

    @pytest.mark.parametrize("hostile", ["in_1/pay", "../charges", "in_1?expand=x", "in_1#x", "in 1", "%2e%2e"])
    def test_keep_an_id_inside_its_place(self, scoped: ScopedStripe, fake: FakeStripe, hostile: str) -> None:
        with pytest.raises(errors.StripeNotFoundError):
            scoped.retrieve_invoice(hostile)
        path = fake.requests[0][1]
        assert path.startswith("/v1/invoices/")
        assert path.count("/") == 3

    @pytest.mark.parametrize("hostile", ["", ".", ".."])
    def test_without_a_real_id_are_not_sent(self, scoped: ScopedStripe, fake: FakeStripe, hostile: str) -> None:
        with pytest.raises(NotFoundError):
            scoped.retrieve_invoice(hostile)
        assert not fake.requests

    def test_come_page_by_page_and_resume(self, scoped: ScopedStripe, fake: FakeStripe) -> None:
        fake.answers["/v1/invoices"] = [
            (200, {"data": [{"id": "in_1"}, {"id": "in_2"}], "has_more": True}),
            (200, {"data": [{"id": "in_3"}], "has_more": False}),
        ]
        pages = list(scoped.pages("/v1/invoices", {"status": "open"}, after="in_0"))
        assert [item["id"] for page in pages for item in page["data"]] == ["in_1", "in_2", "in_3"]
        assert [request[2]["starting_after"] for request in fake.requests] == ["in_0", "in_2"]
        assert scoped.requests == 2

    def test_an_empty_page_that_promises_more_ends_the_list(self, scoped: ScopedStripe, fake: FakeStripe) -> None:
        fake.answers["/v1/invoices"] = [(200, {"data": [], "has_more": True})]
        assert len(list(scoped.pages("/v1/invoices"))) == 1

    def test_that_change_something_carry_their_key(self, scoped: ScopedStripe, fake: FakeStripe) -> None:
        for path in ("/v1/invoices/in_1/pay", "/v1/customers/cus_1", "/v1/subscriptions/sub_1"):
            fake.answers[path] = [(200, {"id": "x"})]
        fake.answers["/v1/billing_portal/sessions"] = [(200, {"url": "https://billing.example/p"})]
        scoped.pay_invoice("in_1", idempotency_key="k1", payment_method="pm_1", expand=["payments"])
        scoped.set_customer_default_payment_method("cus_1", "pm_1", idempotency_key="k2")
        scoped.set_subscription_default_payment_method("sub_1", "pm_1", idempotency_key="k3")
        url = scoped.create_portal_session(
            "cus_1", return_url="https://x.example", idempotency_key="k4", flow="payment_method_update", locale="de"
        )
        assert url == "https://billing.example/p"
        assert [request[3]["idempotency-key"] for request in fake.requests] == ["k1", "k2", "k3", "k4"]
        assert fake.requests[1][2] == {"invoice_settings[default_payment_method]": "pm_1"}
        assert fake.requests[3][2]["flow_data[type]"] == "payment_method_update"

    def test_that_change_something_never_go_without_a_key(self, scoped: ScopedStripe, fake: FakeStripe) -> None:
        with pytest.raises(ValueError, match="idempotency"):
            scoped.pay_invoice("in_1", idempotency_key="")
        assert not fake.requests

    def test_of_threads_are_all_counted(self, scoped: ScopedStripe, fake: FakeStripe) -> None:
        fake.answers["/v1/account"] = [(200, {}) for _ in range(40)]
        threads = [threading.Thread(target=lambda: [scoped.retrieve_account() for _ in range(10)]) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert scoped.requests == len(fake.requests) == 40

    def test_never_show_the_key(self, scoped: ScopedStripe) -> None:
        assert "sk_test_x" not in repr(scoped)


class TestPatience:
    def busy(self, times: int, **headers: str) -> list[tuple[int, Any]]:
        return [(429, {**failure(code="rate_limit"), "_headers": headers}) for _ in range(times)]

    def test_asks_again_when_stripe_is_busy(self, scoped: ScopedStripe, fake: FakeStripe, waits: list[float]) -> None:
        fake.answers["/v1/account"] = [*self.busy(3), (200, {"id": "acct_1"})]
        assert scoped.retrieve_account()["id"] == "acct_1"
        assert len(waits) == 3
        assert waits[0] < waits[2]
        assert scoped.requests == 4

    def test_gives_up_in_the_end(self, scoped: ScopedStripe, fake: FakeStripe, waits: list[float]) -> None:
        fake.answers["/v1/account"] = self.busy(9, **{"Retry-After": "7"})
        with pytest.raises(errors.StripeRateLimitedError) as caught:
            scoped.retrieve_account()
        assert caught.value.retry_after == 7.0
        assert scoped.requests == 4
        assert all(wait >= 7 for wait in waits)

    def test_is_left_alone_at_once_when_it_asks_for_longer_than_there_is_patience(
        self, fake: FakeStripe, waits: list[float]
    ) -> None:
        fake.answers["/v1/account"] = self.busy(9, **{"Retry-After": "2"})
        hasty = ScopedStripe(Secret("sk_test_x"), "acct_1", header=True, patience=TASK, sleep=waits.append)
        with pytest.raises(errors.StripeRateLimitedError) as caught:
            hasty.retrieve_account()
        assert (caught.value.retry_after, hasty.requests, waits) == (2.0, 1, [])

    def test_keeps_no_lane_of_tasks_waiting(self) -> None:
        longest = [wait_before(retry, TASK, TASK.longest_wait, lambda: 1.0) for retry in range(TASK.busy_retries)]
        assert sum(longest) <= 2.0
        assert (1 + TASK.network_retries) * TASK.read_timeout < registry.Kind("").limit.total_seconds()

    def test_repeats_a_change_with_the_same_key(self, scoped: ScopedStripe, fake: FakeStripe) -> None:
        fake.answers["/v1/invoices/in_1/pay"] = [*self.busy(1), (200, {"id": "in_1"})]
        scoped.pay_invoice("in_1", idempotency_key="k1")
        assert [request[3]["idempotency-key"] for request in fake.requests] == ["k1", "k1"]

    def test_does_not_repeat_what_is_no_rush_hour(
        self, scoped: ScopedStripe, waits: list[float], fake: FakeStripe
    ) -> None:
        fake.answers["/v1/account"] = [(401, failure())]
        with pytest.raises(errors.StripeAuthenticationError):
            scoped.retrieve_account()
        assert not waits

    @given(st.integers(0, 30), st.floats(0, 1, exclude_max=True), st.none() | st.floats(0, 1000))
    def test_waits_are_jittered_and_bounded(self, retry: int, chance: float, asked: float | None) -> None:
        for patience in (BATCH, TASK, INTERACTIVE):
            wait = wait_before(retry, patience, asked, lambda: chance)
            assert patience.first_wait / 2 <= wait <= patience.longest_wait
            assert asked is None or wait >= min(asked, patience.longest_wait)

    @pytest.mark.parametrize(
        ("header", "seconds"), [("3", 3.0), ("0.5", 0.5), ("-1", 0.0), ("9999", 600.0), ("", None), ("soon", None)]
    )
    def test_reads_retry_after(self, header: str, seconds: float | None) -> None:
        assert errors.retry_after({"Retry-After": header}) == seconds


class TestErrors:
    @pytest.mark.parametrize(
        ("status", "body", "expected"),
        [
            (429, failure(code="lock_timeout"), errors.StripeRateLimitedError),
            (500, failure("api_error"), errors.StripeUnavailableError),
            (503, failure("api_error"), errors.StripeUnavailableError),
            (409, failure("idempotency_error", code="idempotency_key_in_use"), errors.StripeUnavailableError),
            (401, failure(), errors.StripeAuthenticationError),
            (403, failure(code="account_invalid"), errors.StripePermissionError),
            (403, failure(), errors.StripePermissionError),
            (404, failure(code="resource_missing"), errors.StripeNotFoundError),
            (400, failure(code="resource_missing", param="customer"), errors.StripeNotFoundError),
            (400, failure("idempotency_error"), errors.StripeIdempotencyConflictError),
            (400, failure(code="invoice_already_paid"), errors.StripeAlreadyPaidError),
            (400, {"error": {"type": "x", "message": "Invoice is already paid"}}, errors.StripeAlreadyPaidError),
            (402, failure("card_error", code="card_declined"), errors.StripeCardDeclinedError),
        ],
    )
    def test_on_the_list_are_ours(
        self, fake: FakeStripe, status: int, body: dict[str, Any], expected: type[errors.StripeCallError]
    ) -> None:
        scoped = ScopedStripe(Secret("sk_test_x"), "acct_1", header=True, patience=NO_RETRIES)
        fake.answers["/v1/account"] = [(status, body)]
        with pytest.raises(expected) as caught:
            scoped.retrieve_account()
        assert type(caught.value) is expected
        assert caught.value.request_id == "req_fake"
        assert "It did not work" not in caught.value.detail, "Stripe's words may carry a piece of a key"

    @pytest.mark.parametrize(
        ("status", "body"), [(400, failure(code="parameter_unknown")), (400, failure()), (418, failure("api_error"))]
    )
    def test_not_on_the_list_stay_stripes(self, fake: FakeStripe, status: int, body: dict[str, Any]) -> None:
        scoped = ScopedStripe(Secret("sk_test_x"), "acct_1", header=True, patience=NO_RETRIES)
        fake.answers["/v1/account"] = [(status, body)]
        with pytest.raises(stripe.StripeError):
            scoped.retrieve_account()

    def test_of_a_card_say_why(self, scoped: ScopedStripe, fake: FakeStripe) -> None:
        body = failure(
            "card_error", code="card_declined", decline_code="insufficient_funds", advice_code="try_again_later",
            payment_intent={"id": "pi_1", "status": "requires_payment_method"},
        )  # fmt: skip
        fake.answers["/v1/invoices/in_1/pay"] = [(402, body)]
        with pytest.raises(errors.StripeCardDeclinedError) as caught:
            scoped.pay_invoice("in_1", idempotency_key="k")
        declined = caught.value
        assert (declined.decline_code, declined.advice_code) == ("insufficient_funds", "try_again_later")
        assert (declined.stripe_code, declined.payment_intent_id) == ("card_declined", "pi_1")
        assert not declined.requires_action

    def test_of_a_card_say_when_the_bank_wants_to_ask(self, scoped: ScopedStripe, fake: FakeStripe) -> None:
        body = failure("card_error", code="invoice_payment_intent_requires_action")
        fake.answers["/v1/invoices/in_1/pay"] = [(402, body)]
        with pytest.raises(errors.StripeCardDeclinedError) as caught:
            scoped.pay_invoice("in_1", idempotency_key="k")
        assert caught.value.requires_action

    def test_tell_a_withdrawn_permission_from_a_missing_one(self, scoped: ScopedStripe, fake: FakeStripe) -> None:
        fake.answers["/v1/account"] = [(403, failure(code="account_invalid")), (403, failure())]
        with pytest.raises(errors.StripePermissionError) as caught:
            scoped.retrieve_account()
        assert caught.value.revoked
        with pytest.raises(errors.StripePermissionError) as caught:
            scoped.retrieve_account()
        assert not caught.value.revoked

    def test_of_the_network_are_ours(self, fake: FakeStripe) -> None:
        with environment.changed(STRIPE_API_BASE="http://127.0.0.1:1"):
            scoped = ScopedStripe(Secret("sk_test_x"), "acct_1", header=True, patience=NO_RETRIES)
        with pytest.raises(errors.StripeUnavailableError):
            scoped.retrieve_account()

    def test_of_a_slow_stripe_are_ours(self, fake: FakeStripe) -> None:
        hold = threading.Event()
        fake.before = lambda path: (hold.wait(5) and None) or None
        patience = Patience(network_retries=0, busy_retries=0, read_timeout=0.05)
        scoped = ScopedStripe(Secret("sk_test_x"), "acct_1", header=True, patience=patience)
        try:
            with pytest.raises(errors.StripeUnavailableError):
                scoped.retrieve_account()
        finally:
            hold.set()

    def test_of_an_answer_that_is_no_json_are_not_taken_for_success(self, fake: FakeStripe) -> None:
        scoped = ScopedStripe(Secret("sk_test_x"), "acct_1", header=True, patience=NO_RETRIES)
        fake.answers["/v1/account"] = [(502, "<html>Bad gateway</html>")]
        with pytest.raises(errors.StripeUnavailableError):
            scoped.retrieve_account()


def test_connections_are_shared_within_a_process_and_never_across_a_fork(monkeypatch: pytest.MonkeyPatch) -> None:
    first = transport.shared_client(BATCH)
    assert transport.shared_client(BATCH) is first
    monkeypatch.setattr("os.getpid", lambda: -1)
    assert transport.shared_client(BATCH) is not first
    transport._shared_client.cache_clear()
