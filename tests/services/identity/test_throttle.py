"""Guessing passwords stays slow, with Redis and without."""

import logging
from datetime import timedelta

import pytest
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from core import queue
from core.clock import ManualClock
from services.identity import throttle
from services.identity.errors import TooManySignInsError

EMAIL, ADDRESS = "ada@merchant.example", "192.0.2.1"


def attempts_until_refused(email: str = EMAIL, address: str = ADDRESS, most: int = 200) -> int:
    for number in range(most):
        try:
            throttle.count_attempt(email, address)
        except TooManySignInsError:
            return number
    return most


@pytest.fixture
def redis_away(monkeypatch: pytest.MonkeyPatch) -> None:
    nobody = redis.Redis(port=1, socket_connect_timeout=0.1, retry=Retry(NoBackoff(), 0))
    monkeypatch.setattr(queue, "connection", lambda: nobody)
    monkeypatch.setattr(throttle, "_local", throttle._Local())
    monkeypatch.setattr(throttle, "_outage", throttle._Outage())


@pytest.mark.usefixtures("redis_url")
class TestWithRedis:
    def test_limits_an_account_wherever_it_is_tried_from(self, caplog: pytest.LogCaptureFixture) -> None:
        for number in range(throttle.PER_ACCOUNT):
            throttle.count_attempt(EMAIL, f"192.0.2.{number}")
        with pytest.raises(TooManySignInsError):
            throttle.count_attempt(EMAIL, "192.0.2.200")
        throttle.count_attempt("other@merchant.example", "192.0.2.200")
        assert not [record for record in caplog.records if record.levelno >= logging.WARNING]

    def test_limits_an_address_whatever_it_tries(self) -> None:
        for number in range(throttle.PER_ADDRESS):
            throttle.count_attempt(f"{number}@merchant.example", ADDRESS)
        with pytest.raises(TooManySignInsError):
            throttle.count_attempt("new@merchant.example", ADDRESS)

    def test_counts_an_ipv6_customer_as_one(self) -> None:
        for number in range(throttle.PER_ADDRESS):
            throttle.count_attempt(f"{number}@merchant.example", f"2001:db8:0:1::{number:x}")
        with pytest.raises(TooManySignInsError):
            throttle.count_attempt("new@merchant.example", "2001:db8:0:1:ffff::1")
        throttle.count_attempt("new@merchant.example", "2001:db8:0:2::1")

    def test_forgets_an_account_after_a_right_password(self) -> None:
        for _ in range(throttle.PER_ACCOUNT):
            throttle.count_attempt(EMAIL, ADDRESS)
        throttle.forget_account(EMAIL)
        throttle.count_attempt(EMAIL, ADDRESS)

    def test_ends_by_itself_and_is_not_prolonged_by_trying(self) -> None:
        throttle.count_attempt(EMAIL, ADDRESS)
        client = queue.connection()
        key = next(iter(client.keys("phantom:sign-in:account:*")))
        client.expire(key, 100)
        throttle.count_attempt(EMAIL, ADDRESS)
        assert 0 < client.ttl(key) <= 100

    def test_keeps_no_email_or_address_in_redis(self) -> None:
        throttle.count_attempt(EMAIL, ADDRESS)
        names = b" ".join(queue.connection().keys("*"))
        assert b"ada" not in names
        assert b"192.0.2" not in names


@pytest.mark.usefixtures("redis_away")
class TestWithoutRedis:
    def test_limits_tighter_and_lets_people_in(self, clock: ManualClock) -> None:
        assert attempts_until_refused() == throttle.PER_ACCOUNT_ALONE
        clock.advance(throttle.WINDOW + timedelta(seconds=1))
        throttle.count_attempt(EMAIL, ADDRESS)

    def test_asks_redis_again_only_after_a_while(self, caplog: pytest.LogCaptureFixture) -> None:
        for _ in range(throttle.PER_ACCOUNT_ALONE):
            throttle.count_attempt(EMAIL, ADDRESS)
        assert [record.message for record in caplog.records] == ["identity.throttle_alone"]

    def test_forgets_after_a_right_password_too(self) -> None:
        attempts_until_refused(most=throttle.PER_ACCOUNT_ALONE)
        throttle.forget_account(EMAIL)
        throttle.count_attempt(EMAIL, ADDRESS)

    def test_a_flood_of_names_does_not_grow_memory(self, clock: ManualClock, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(throttle, "_REMEMBERED", 50)
        for number in range(200):
            try:
                throttle.count_attempt(f"{number}@merchant.example", f"192.0.2.{number}")
            except TooManySignInsError:
                continue
        assert len(throttle._local.counts) <= 50
        clock.advance(throttle.WINDOW + timedelta(seconds=1))
        throttle.count_attempt(EMAIL, ADDRESS)
