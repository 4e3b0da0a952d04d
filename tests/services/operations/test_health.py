"""The facts of the health card: read from indexes, the same few whatever a merchant has behind them; nobody else's."""

from datetime import timedelta
from typing import Any

import psycopg
import pytest

from core import db
from core.clock import ManualClock
from models.health import IntakeOutcome, ReadVia
from models.merchant import Merchant, StripeMails
from models.messaging import Channel, MessageState
from models.sending import MerchantSender, SenderState
from services.audit import unreadable
from services.audit.unreadable import Unreadable
from services.handshake.outcomes import BAD_SIGNATURE, CONNECT
from services.integrations.stripe.access import Capability
from services.messaging.senders import service as senders
from services.operations import health
from services.operations.health_facts import HealthFacts, MailOutcomes, SenderFacts
from tests.services.operations.test_signs import hunted
from tests.support import environment
from tests.support.database import WorkerDatabase
from tests.support.factories import make_merchant
from tests.support.plans import Node, reads_of, statements_of
from tests.support.wait import wait_until

pytestmark = pytest.mark.usefixtures("database")

_MAILS = """
insert into messages (merchant_id, id, ghost_id, customer_id, step, channel, state, reason, template, language, sender,
    subject, html, plain, unsubscribe_url, idempotency_key, provider, provider_message_id, due_at, sent_at, created_at)
select %(merchant)s, 'msg_' || %(name)s || n, 'gh_' || %(name)s || n, '', 1, %(channel)s, %(state)s, '', '', 'en', '',
    '', '', '', '', 'k', '', '', %(at)s, %(at)s - n * interval '1 minute', %(at)s
from generate_series(1, %(number)s) n
"""


def facts_of(merchant: str) -> HealthFacts:
    with db.tenant_session(merchant) as session, db.system_session() as platform:
        return health.with_intake(health.merchant_facts(session, merchant), platform)


def change(merchant: str, **values: Any) -> None:
    with db.tenant_session(merchant) as session:
        found = session.get(Merchant, merchant)
        assert found is not None
        for name, value in values.items():
            setattr(found, name, value)


def mailed(
    database: WorkerDatabase,
    merchant: str,
    number: int,
    state: MessageState,
    clock: ManualClock,
    *,
    channel: Channel = Channel.EMAIL,
    ago: timedelta = timedelta(),
) -> None:
    values = {"merchant": merchant, "name": f"{channel}{state}{ago.days}", "state": state, "number": number}
    with psycopg.connect(database.admin_url, autocommit=True) as owner:
        owner.execute(_MAILS, {**values, "channel": channel, "at": clock.now() - ago})


def add_sender(merchant: str, clock: ManualClock, **changes: Any) -> None:
    row = {
        "merchant_id": merchant,
        "channel": Channel.EMAIL,
        "provider": "resend",
        "address": "billing@acme.example",
        "key_print": "p",
        "webhook_token": "t",
        "created_at": clock.now(),
        "updated_at": clock.now(),
    }
    with db.tenant_session(merchant) as session:
        session.add(MerchantSender(**(row | changes)))


class TestFacts:
    def test_of_the_account(self, clock: ManualClock) -> None:
        merchant = make_merchant(paused=True)
        refusal = {"code": "not_permitted", "since": clock.now().isoformat(), "last": clock.now().isoformat()}
        change(merchant, stripe_mails=StripeMails.YES, oauth_scope="read_only", stripe_refusals={"pay": refusal})
        facts = facts_of(merchant)
        assert (facts.account.scope, facts.account.stripe_mails, facts.account.messages_on) == (
            "read_only",
            StripeMails.YES,
            False,
        )
        assert [(each.capability, each.code, each.since) for each in facts.refusals] == [
            (Capability.PAY, "not_permitted", clock.now())
        ]

    def test_of_a_merchant_that_never_connected(self, clock: ManualClock) -> None:
        merchant = make_merchant()
        change(merchant, stripe_user_id=None, connected_at=None)
        assert not facts_of(merchant).account.connected
        assert [each.code for each in health.judge(facts_of(merchant)).findings] == ["not_connected"]

    def test_of_what_could_not_be_read_hunts_and_webhooks(self, clock: ManualClock) -> None:
        merchant = make_merchant()
        hunted(merchant, "hu_1", "done", 14)
        hunted(merchant, "hu_2", "failed", 2, "Because.")
        with db.tenant_session(merchant) as session:
            unreadable.note_of_webhook(session, merchant, Unreadable("no_id", "basil"))
        with db.system_session() as session:
            session.connection().exec_driver_sql(
                "insert into webhook_sightings values (%s, 'invoice.paid', %s)", (merchant, clock.now())
            )
        facts = facts_of(merchant)
        assert [(each.state, each.error) for each in facts.hunts] == [("failed", "Because."), ("done", "")]
        assert [each.via for each in facts.unreadable] == [ReadVia.WEBHOOK]
        assert facts.seen == {"invoice.paid": clock.now()}
        seen = health.judge(facts).seen
        assert (seen["invoice.paid"], seen["invoice.payment_failed"]) == (clock.now(), None)

    def test_of_refused_deliveries(self, clock: ManualClock) -> None:
        with db.system_session() as session:
            session.add(
                IntakeOutcome(
                    endpoint=CONNECT, outcome=BAD_SIGNATURE, number=7, first_at=clock.now(), last_at=clock.now()
                )
            )
        facts = facts_of(make_merchant())
        assert facts.bad_signatures is not None
        assert facts.bad_signatures.number == 7
        assert facts.wrong_mode is None


class TestSenders:
    def test_the_platforms_where_the_merchant_has_none(self, clock: ManualClock) -> None:
        merchant = make_merchant()
        with environment.changed(RESEND_API_KEY="re_test_platform", RESEND_WEBHOOK_SECRET=""):
            mail = facts_of(merchant).senders[Channel.EMAIL]
        assert (mail.own, mail.paused, mail.hears_back) == (False, False, False)
        with environment.changed(RESEND_API_KEY=""):
            assert facts_of(merchant).senders == {}

    def test_the_platforms_texts_too_and_whether_the_rules_allow_any(self, clock: ManualClock) -> None:
        merchant = make_merchant(policy={"sms": True})
        with environment.changed(RESEND_API_KEY="", TWILIO_ACCOUNT_SID="", TWILIO_AUTH_TOKEN=""):
            facts = facts_of(merchant)
        assert (facts.account.texts_on, dict(facts.senders)) == (True, {})
        given = {"TWILIO_ACCOUNT_SID": "AC" + "0" * 32, "TWILIO_AUTH_TOKEN": "t" * 32, "TWILIO_FROM": "+15005550006"}
        with environment.changed(RESEND_API_KEY="", **given):
            assert dict(facts_of(merchant).senders) == {Channel.SMS: SenderFacts(own=False)}
        assert not facts_of(make_merchant()).account.texts_on

    def test_the_platforms_key_that_was_refused_lately(self, clock: ManualClock, redis_url: str) -> None:
        """All merchants without a key of their own are told, whoever's message it was."""
        merchant, other = make_merchant(), make_merchant()
        with environment.changed(RESEND_API_KEY="re_test_platform"):
            carrier = senders.platform_sender(Channel.EMAIL)
            assert carrier is not None
            with db.tenant_session(other) as session:
                senders.pause(session, other, Channel.EMAIL, carrier, "API key is invalid")
            mail = facts_of(merchant).senders[Channel.EMAIL]
        assert (mail.own, mail.paused, mail.paused_reason) == (False, True, "API key is invalid")
        with environment.changed(RESEND_API_KEY="re_test_another"):  # a new one begins anew
            assert not facts_of(merchant).senders[Channel.EMAIL].paused

    def test_the_merchants_own_first(self, clock: ManualClock) -> None:
        merchant = make_merchant()
        add_sender(merchant, clock, state=SenderState.PAUSED, paused_reason="No.", has_webhook_secret=True)
        with environment.changed(RESEND_API_KEY="re_test_platform"):
            mail = facts_of(merchant).senders[Channel.EMAIL]
        assert (mail.own, mail.paused, mail.paused_reason, mail.hears_back) == (True, True, "No.", True)


class TestMailOutcomes:
    def test_counts_what_went_out_by_mail_within_a_month(self, database: WorkerDatabase, clock: ManualClock) -> None:
        merchant, other = make_merchant(), make_merchant()
        for number, state in ((5, MessageState.SENT), (4, MessageState.DELIVERED), (3, MessageState.BOUNCED)):
            mailed(database, merchant, number, state, clock)
        mailed(database, merchant, 2, MessageState.COMPLAINED, clock)
        for state in (MessageState.OUTBOX, MessageState.FAILED, MessageState.UNCERTAIN, MessageState.SENDING):
            mailed(database, merchant, 9, state, clock)
        mailed(database, merchant, 9, MessageState.BOUNCED, clock, channel=Channel.SMS)
        mailed(database, merchant, 9, MessageState.BOUNCED, clock, ago=timedelta(days=31))
        mailed(database, other, 9, MessageState.BOUNCED, clock)
        assert facts_of(merchant).mails == MailOutcomes(14, 3, 2)

    def test_looks_at_the_latest_thousand(self, database: WorkerDatabase, clock: ManualClock) -> None:
        merchant = make_merchant()
        mailed(database, merchant, 990, MessageState.DELIVERED, clock)
        mailed(database, merchant, 500, MessageState.BOUNCED, clock, ago=timedelta(days=1))
        assert facts_of(merchant).mails == MailOutcomes(1000, 10, 0)


class TestCost:
    def test_is_the_same_few_index_reads_whatever_a_merchant_has(
        self, database: WorkerDatabase, clock: ManualClock
    ) -> None:
        young, old = make_merchant(), make_merchant()
        for merchant in (young, *(make_merchant() for _ in range(20))):
            mailed(database, merchant, 10, MessageState.DELIVERED, clock)
        mailed(database, old, 30_000, MessageState.DELIVERED, clock)
        with psycopg.connect(database.admin_url, autocommit=True) as owner:
            wait_until(lambda: settled(owner, old), timeout=60, what="an index that needs no table")
        assert asked(young) == asked(old) == 6
        (mails,) = [node for node in reads(old) if node.table == "messages"]
        assert (mails.kind, mails.index) == ("Index Only Scan", "ix_messages_went_out")
        assert (mails.rows, mails.heap_fetches) == (health.MAILS_LOOKED_AT, 0)


def reads(merchant: str) -> list[Node]:
    with db.tenant_session(merchant) as session:
        return reads_of(session, lambda: health.merchant_facts(session, merchant))


def asked(merchant: str) -> int:
    """How many statements a card costs in the merchant's own tables."""
    with db.tenant_session(merchant) as session, statements_of(session) as statements:
        health.merchant_facts(session, merchant)
    return len(statements)


def settled(owner: "psycopg.Connection[Any]", merchant: str) -> bool:
    """Vacuum; whether PostgreSQL now answers from the index, which another transaction's snapshot can delay."""
    owner.execute("vacuum analyze messages")
    return all(not node.heap_fetches for node in reads(merchant) if node.table == "messages")


class TestWalls:
    def test_another_merchants_troubles_are_not_seen(self, database: WorkerDatabase, clock: ManualClock) -> None:
        troubled, mine = make_merchant(), make_merchant()
        add_sender(troubled, clock, state=SenderState.PAUSED)
        hunted(troubled, "hu_1", "failed", 1)
        refusal = {"code": "revoked", "since": clock.now().isoformat(), "last": clock.now().isoformat()}
        change(troubled, stripe_refusals={"account": refusal})
        with db.tenant_session(troubled) as session:
            unreadable.note_of_webhook(session, troubled, Unreadable("no_id"))
        mailed(database, troubled, 100, MessageState.BOUNCED, clock)
        facts = facts_of(mine)
        assert (facts.refusals, facts.unreadable, facts.hunts, facts.mails) == ((), (), (), MailOutcomes())
        assert not facts.senders[Channel.EMAIL].own
