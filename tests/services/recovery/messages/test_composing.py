"""What goes out for a ghost: the merchant's words and brand, the customer's language, and a text as a text."""

from datetime import UTC, datetime
from typing import Any

import pytest
from sqlmodel import select

from core import db
from core.clock import ManualClock, now
from models.ghost import FoundVia, GhostTarget
from models.messaging import Channel, Message
from services.integrations.stripe.facts import DeclineFacts
from services.integrations.stripe.parsing import parse_invoice
from services.messaging import own_service, wording
from services.messaging.lint import Source
from services.messaging.own import NO_WORDS, OwnWords
from services.messaging.wording import Template, template_of
from services.recovery import repository
from services.recovery.messages import outreach
from services.recovery.messages.composing import Composed, compose
from services.recovery.observe import observe
from services.recovery.strategy import GROUP_OF_CODE, decide
from services.recovery.work import merchant_context
from tests.support.factories import make_merchant, raw_invoice

FAILED = parse_invoice(raw_invoice())
MINE = Source(
    "From {{ merchant }}", "Hi", "{{ amount }}, card {{ card | default('none') }}, {{ date | default('-') }}.", "Go"
)


@pytest.fixture
def merchant(database: object, clock: ManualClock) -> str:
    merchant = make_merchant(brand={"name": "Aurora", "signature": "Yours\nAda", "language": "fr"})
    with db.tenant_session(merchant) as session:
        observe(session, merchant_context(session, merchant), [FAILED], FoundVia.WEBHOOK, clock.now())
    return merchant


def composed(merchant: str, own: OwnWords = NO_WORDS, channel: Channel = Channel.EMAIL, **changes: Any) -> Composed:
    with db.tenant_session(merchant) as session:
        ghost = repository.get_ghost(session, merchant, the_ghost(merchant))
        assert ghost is not None
        session.expunge(ghost)
        for name, value in changes.items():
            setattr(ghost, name, value)
        return compose(
            merchant_context(session, merchant), ghost, 1, pay_url="https://p/r/x", unsubscribe_url="https://p/u/x",
            channel=channel, own=own,
        )  # fmt: skip


def the_ghost(merchant: str) -> str:
    with db.tenant_session(merchant) as session:
        return session.exec(select(GhostTarget.id)).one()


def save(merchant: str, source: Source, **of: str) -> None:
    named = {"decline_group": "*", "moment": "first", "channel": "email", "language": "en", **of}
    with db.tenant_session(merchant) as session:
        own_service.save(session, merchant, own_service.target_of(**named), source, based_on=0, actor_id="usr_1")


class TestComposed:
    def test_language_of_the_customer_of_the_country_of_the_merchant(self, merchant: str):
        said = {
            "de": composed(merchant, customer_language="de", customer_country="ES"),
            "es": composed(merchant, customer_language="ja", customer_country="MX"),
            "fr": composed(merchant, customer_language="", customer_country=""),
        }
        assert {language: each.language for language, each in said.items()} == {each: each for each in said}

    def test_the_brand_is_on_it(self, merchant: str):
        mail = composed(merchant)
        assert "Aurora" in mail.subject
        assert "Yours\nAda" in mail.plain

    def test_a_text_is_a_text(self, merchant: str):
        text = composed(merchant, channel=Channel.SMS, customer_language="en")
        assert (text.subject, text.html) == ("", "")
        assert text.plain.startswith("Aurora: your payment of $49.00")
        assert text.plain.endswith("https://p/r/x Reply STOP for no more.")

    @pytest.mark.parametrize(
        ("amount", "currency", "language", "said"),
        [
            (4900, "jpy", "en-US", "¥4,900"),
            (4900, "kwd", "en-US", "KWD\u00a04.900"),
            (123456789, "eur", "de-DE", "1.234.567,89\u00a0€"),
            (490000, "krw", "fr-FR", "490\u202f000\u00a0₩"),
        ],
    )
    def test_amounts_of_every_currency(self, merchant: str, amount: int, currency: str, language: str, said: str):
        mail = composed(merchant, amount_cents=amount, currency=currency, customer_language=language)
        assert said in mail.plain


class TestSent:
    def test_the_merchants_own_words_go_out(self, merchant: str):
        save(merchant, MINE, language="en")
        with db.tenant_session(merchant) as session:
            ghost = repository.get_ghost(session, merchant, the_ghost(merchant), lock=True)
            assert ghost is not None
            ghost.customer_language, ghost.original_invoice_date = "en", datetime(2026, 3, 1, tzinfo=UTC)
        with db.tenant_session(merchant) as session:
            prepared = outreach.prepare(session, merchant, the_ghost(merchant), 1, FAILED)
        assert prepared.message is not None
        with db.tenant_session(merchant) as session:
            message = session.get(Message, (merchant, prepared.message_id))
            assert message is not None
            assert message.subject == "From Aurora"
            assert "$49.00, card 0341, March 1, 2026." in message.plain


AGAIN = Source("{{ merchant }} tries again", "Hi", "We will try your card again in three days.", "Pay")


def subject_of_the_first(policy: dict[str, Any], others: int = 0) -> str:
    """Under which subject a customer with some other unpaid invoices gets a first message, in words that promise."""
    merchant = make_merchant(policy=policy)
    save(merchant, AGAIN)
    ada = {"id": "cus_1", "email": "ada@example.com", "name": "Ada Example"}
    seen = [parse_invoice(raw_invoice(number, customer=ada)) for number in range(1, others + 2)]
    with db.tenant_session(merchant) as session:
        observe(session, merchant_context(session, merchant), seen, FoundVia.WEBHOOK, now())
    with db.tenant_session(merchant) as session:
        ghost = session.exec(select(GhostTarget.id).where(GhostTarget.invoice_id == seen[0].id)).one()
    with db.tenant_session(merchant) as session:
        prepared = outreach.prepare(session, merchant, ghost, 1, seen[0])
    assert prepared.message is not None
    return prepared.message.subject


@pytest.mark.usefixtures("database", "clock")
class TestTheLastOne:
    """What promises another attempt is passed over where no message follows, whatever the count would allow."""

    def test_where_others_follow_the_merchants_promise_stands(self) -> None:
        assert subject_of_the_first({}) == "Northwind Analytics tries again"
        assert subject_of_the_first({"window_days": 6}) == "Northwind Analytics tries again"

    @pytest.mark.parametrize(
        "policy",
        [
            {"messages_per_ghost": 1},
            {"window_days": 2},  # shorter than the usual pause between two messages
            {"window_days": 6, "messages_per_customer_week": 1},
        ],
    )
    def test_a_first_one_that_none_can_follow(self, policy: dict[str, Any]) -> None:
        assert subject_of_the_first(policy) == "Your payment to Northwind Analytics did not go through"

    def test_a_week_that_other_invoices_fill(self) -> None:
        filled = subject_of_the_first({"window_days": 6}, others=1)
        assert filled == "Your payment to Northwind Analytics did not go through"


class TestWhereAPersonDecides:
    def test_a_refused_amount_asks_for_no_other_card(self) -> None:
        """FACTS: the bank refuses the amount itself, so nothing is wrong with the card."""
        refused = decide(DeclineFacts(decline_code="invalid_amount"), attempts=1, amount=4900, high_value_line=None)
        assert template_of(refused.group, refused.strategy) is Template.FUNDS

    def test_words_by_strategy_are_those_of_pairs_that_occur(self) -> None:
        lines = (None, 1)
        decided = [
            decide(
                DeclineFacts(decline_code=code, advice_code=advice), attempts=tries, amount=4900, high_value_line=line
            )
            for code in ("", *GROUP_OF_CODE)
            for advice in ("", "do_not_try_again")
            for tries in (1, 9)
            for line in lines
        ]
        pairs = {(each.group.value, each.strategy.value) for each in decided}
        assert set(wording._OF_STRATEGY) <= pairs
