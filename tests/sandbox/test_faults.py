"""Injected trouble and rate limits."""

import pytest
import stripe

from sandbox.stripe.api import Request
from sandbox.stripe.faults import Fault, Limits
from tests.sandbox.conftest import Play


class TestFaults:
    def test_before_the_effect_nothing_happens_after_it_something_did(self, play: Play) -> None:
        client = play.client()
        play.world.faults.add(Fault("error_before", path="/v1/customers", times=1))
        play.world.faults.add(Fault("unavailable_after", path="/v1/customers", times=1))
        for status, customers in ((500, 0), (503, 1)):
            with pytest.raises(stripe.APIError) as caught:
                client.v1.customers.create({"name": "Ada"})
            assert caught.value.http_status == status
            assert len(play.space.table("customer")) == customers
        client.v1.customers.create({"name": "Ada"})

    def test_a_lost_answer_is_recovered_by_the_idempotency_key(self, play: Play) -> None:
        client = play.client()
        play.world.faults.add(Fault("cut_after", method="POST", times=1))
        with pytest.raises(stripe.APIConnectionError):
            client.v1.customers.create({"name": "Ada"}, options={"idempotency_key": "k"})
        client.v1.customers.create({"name": "Ada"}, options={"idempotency_key": "k"})
        assert len(play.space.table("customer")) == 1

    def test_a_hanging_request_keeps_its_key_busy(self, play: Play) -> None:
        play.world.faults.add(Fault("hang", method="POST", times=1, seconds=30))
        key = f"sk_test_{play.account.removeprefix('acct_')}"
        headers = {"authorization": f"Bearer {key}", "idempotency-key": "k"}
        request = Request("POST", "/v1/customers", headers=headers, body=b"name=Ada")
        hanging = play.api.handle(request)
        assert hanging.hang == 30
        meanwhile = play.api.handle(request)
        assert meanwhile.status == 409
        assert b"idempotency_key_in_use" in meanwhile.body
        assert hanging.release is not None
        hanging.release()
        assert play.api.handle(request).headers["idempotent-replayed"] == "true"

    def test_lock_timeouts_and_bursts_of_429(self, play: Play) -> None:
        client = play.client()
        play.world.faults.add(Fault("lock_timeout", times=1))
        play.world.faults.add(Fault("rate_limit", times=2))
        codes = []
        for _ in range(3):
            with pytest.raises(stripe.RateLimitError) as caught:
                client.v1.customers.list()
            assert caught.value.error is not None
            codes.append(caught.value.error.code)
        assert codes == ["lock_timeout", "rate_limit", "rate_limit"]
        client.v1.customers.list()

    def test_probability_is_repeatable(self, play: Play) -> None:
        def strikes() -> list[bool]:
            play.world.faults.seed("x")
            return [play.world.faults.strike("GET", "/v1/x", "a") is not None for _ in range(40)]

        play.world.faults.add(Fault("unavailable", probability=0.3))
        first = strikes()
        assert first == strikes()
        assert 0 < sum(first) < 40


class TestLimits:
    def test_the_bucket_of_an_endpoint_is_smaller_than_the_accounts(self) -> None:
        now = [0.0]
        limits = Limits(100, 25, monotonic=lambda: now[0])
        answers = [limits.refuse("acct_1", "/v1/invoices") for _ in range(26)]
        assert answers == [None] * 25 + ["endpoint-rate"]
        assert limits.refuse("acct_2", "/v1/invoices") is None, "accounts do not share buckets"
        others = [limits.refuse("acct_1", f"/v1/{n}") for n in range(76)]
        assert others[-1] == "global-rate"
        now[0] += 0.04
        assert limits.refuse("acct_1", "/v1/invoices") is None, "one token is back after 1/25 s"

    def test_the_sdk_sees_a_rate_limit_error_with_its_reason(self, play: Play) -> None:
        play.world.limits.configure(1, None)
        play.world.limits.monotonic = lambda: 0.0
        client = play.client()
        client.v1.customers.list()
        with pytest.raises(stripe.RateLimitError) as caught:
            client.v1.customers.list()
        assert caught.value.headers is not None
        assert caught.value.headers["stripe-rate-limited-reason"] == "global-rate"
