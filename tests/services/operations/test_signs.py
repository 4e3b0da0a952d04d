"""Health of each part as the System page shows it."""

from datetime import timedelta

import pytest
from sqlalchemy import text

from core import clock as core_clock
from core import db, queue
from core.clock import ManualClock
from core.embedded.process import free_port
from models.messaging import Channel
from models.sending import MerchantSender, SenderState
from services.operations.signs import Health, Sign, merchant_signs, platform_signs
from tests.support import environment
from tests.support.factories import make_merchant

pytestmark = pytest.mark.usefixtures("database", "redis_url")


def of_platform() -> dict[str, Sign]:
    with db.system_session() as session:
        return {sign.part: sign for sign in platform_signs(session)}


def of_merchant(merchant: str) -> dict[str, Sign]:
    with db.tenant_session(merchant) as session:
        return {sign.part: sign for sign in merchant_signs(session, merchant)}


def hunted(merchant: str, name: str, state: str, hours_ago: float, error: str = "") -> None:
    with db.tenant_session(merchant) as session:
        session.execute(
            text(
                "insert into hunts (merchant_id, id, state, trigger, sweep, cursor, listed, found, updated, unreadable,"
                " requests, seconds, error, started_at, finished_at) values (:merchant, :name, :state, 'schedule', '',"
                " '{}', 0, 0, 0, 0, 0, 0, :error, :at, :at)"
            ),
            {
                "merchant": merchant,
                "name": name,
                "state": state,
                "error": error,
                "at": core_clock.from_timestamp(core_clock.timestamp() - hours_ago * 3600),
            },
        )


def written(merchant: str, name: str, state: str, hours_ago: int, channel: str = "email") -> None:
    at = core_clock.now() - timedelta(hours=hours_ago)
    with db.tenant_session(merchant) as session:
        session.execute(
            text(
                "insert into messages (merchant_id, id, ghost_id, customer_id, step, channel, state, reason, template,"
                " language, sender, subject, html, plain, unsubscribe_url, idempotency_key, provider,"
                " provider_message_id, due_at, sent_at, created_at) values (:merchant, :name, :name, '', 1, :channel,"
                " :state, :reason, 't', 'en', '', '', '', '', '', :name, '', '', :at, :sent_at, :at)"
            ),
            {
                "merchant": merchant,
                "name": name,
                "state": state,
                "channel": channel,
                "reason": "No such address" if state == "failed" else "",
                "at": at,
                "sent_at": None if state == "failed" else at,
            },
        )


class TestPlatform:
    def test_without_workers_and_sentinel(self) -> None:
        found = of_platform()
        assert found["postgresql"].health is Health.WORKING
        assert found["redis"].health is Health.WORKING
        assert (found["workers"].health, found["workers"].number) == (Health.AWAY, 0)
        assert found["sentinel"].health is Health.AWAY

    def test_without_redis_nobody_is_called_dead(self) -> None:
        with environment.changed(REDIS_URL=f"redis://127.0.0.1:{free_port()}/0"):
            queue.disconnect()
            found = of_platform()
        queue.disconnect()
        assert found["redis"].health is Health.AWAY
        assert found["workers"].health is Health.TROUBLE


class TestMerchant:
    def test_connected_and_hunted(self, clock: ManualClock) -> None:
        merchant = make_merchant()
        hunted(merchant, "hu_1", "failed", 14, "Stripe does not accept the key")
        hunted(merchant, "hu_2", "done", 2)
        found = of_merchant(merchant)["stripe"]
        assert (found.health, found.reason) == (Health.WORKING, "")  # what is mended is no trouble
        assert found.good_at is not None
        assert found.bad_at is not None
        assert found.good_at > found.bad_at

    def test_a_last_hunt_that_failed_says_why(self, clock: ManualClock) -> None:
        merchant = make_merchant()
        hunted(merchant, "hu_1", "done", 14)
        hunted(merchant, "hu_2", "failed", 2, "Stripe does not accept the key")
        found = of_merchant(merchant)["stripe"]
        assert (found.health, found.reason) == (Health.TROUBLE, "Stripe does not accept the key")

    def test_another_merchants_hunts_say_nothing(self, clock: ManualClock) -> None:
        hunted(make_merchant(), "hu_1", "failed", 1, "Stripe does not accept the key")
        assert of_merchant(make_merchant())["stripe"].health is Health.WORKING

    def test_without_a_sender(self, clock: ManualClock) -> None:
        merchant = make_merchant()
        assert of_merchant(merchant)["mail"].health is Health.WORKING
        with environment.changed(RESEND_API_KEY=""):
            assert of_merchant(merchant)["mail"].health is Health.NOT_SET_UP

    def test_mails_that_arrived_after_a_refused_one_are_good(self, clock: ManualClock) -> None:
        merchant = make_merchant()
        written(merchant, "msg_1", "failed", 5)
        assert of_merchant(merchant)["mail"].health is Health.TROUBLE
        assert of_merchant(merchant)["mail"].reason == "No such address"
        for number, state in enumerate(["sent", "delivered", "bounced"], start=2):
            written(merchant, f"msg_{number}", state, 5 - number)
        found = of_merchant(merchant)["mail"]
        assert (found.health, found.reason, found.good_at) == (Health.WORKING, "", clock.now() - timedelta(hours=1))

    def test_texts_are_no_mail(self, clock: ManualClock) -> None:
        merchant = make_merchant()
        written(merchant, "msg_1", "failed", 5)
        written(merchant, "msg_2", "delivered", 4, channel="sms")
        assert of_merchant(merchant)["mail"].health is Health.TROUBLE
        written(merchant, "msg_3", "delivered", 3)
        written(merchant, "msg_4", "failed", 2, channel="sms")
        assert of_merchant(merchant)["mail"].health is Health.WORKING

    def test_a_sender_of_its_own_that_was_refused(self, clock: ManualClock) -> None:
        merchant = make_merchant()
        with db.tenant_session(merchant) as session:
            session.add(
                MerchantSender(
                    merchant_id=merchant,
                    channel=Channel.EMAIL,
                    provider="resend",
                    address="billing@acme.example",
                    key_print="p",
                    webhook_token="t",
                    state=SenderState.PAUSED,
                    paused_reason="API key is invalid",
                    paused_at=clock.now(),
                    created_at=clock.now(),
                    updated_at=clock.now(),
                )
            )
        with environment.changed(RESEND_API_KEY=""):
            found = of_merchant(merchant)["mail"]
        assert (found.health, found.reason, found.bad_at) == (Health.TROUBLE, "API key is invalid", clock.now())
