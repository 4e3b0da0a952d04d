"""Which ways to a customer are open: what was asked for, taken back or agreed to, and on which channel it counts."""

from dataclasses import dataclass, replace
from datetime import timedelta

import pytest
from sqlmodel import select

from core import clock as core_clock
from core import db
from core.clock import ManualClock
from models.messaging import Channel
from models.work import ScheduledTask
from services.messaging import consents, links, reach, suppression
from services.messaging.addresses import spellings
from services.messaging.consents_csv import read_sheet
from services.messaging.consents_import import record_sheet
from services.messaging.reach import ASKED, NO_CONSENT, WHY_SILENT, WITHDRAWN, Closed
from services.messaging.schedule import SMS_IS_OFF
from tests.support.factories import make_merchant

EMAIL, PHONE = "Ada@Example.com", "+12025550143"


@dataclass(frozen=True)
class Customer:
    customer_id: str | None = "cus_1"
    customer_email: str | None = EMAIL
    customer_phone: str | None = PHONE
    customer_country: str = "US"


@pytest.fixture
def merchant(database: object, clock: ManualClock) -> str:
    return make_merchant(policy={"sms": True})


def closed(merchant: str, *, sms: bool = True) -> Closed:
    with db.tenant_session(merchant) as session:
        (found,) = reach.closed(session, merchant, [Customer()], sms=sms)
    return found


def suppress(merchant: str, channel: Channel, address: str, reason: str) -> None:
    with db.tenant_session(merchant) as session:
        links.suppress(session, merchant, channel, address, reason)


def say(merchant: str, clock: ManualClock, channel: Channel, state: str) -> None:
    """One word on a channel, an hour after whatever was said before."""
    clock.advance(timedelta(hours=1))
    address = EMAIL if channel is Channel.EMAIL else PHONE
    given = consents.read(channel=channel, address=address, happened_at=clock.now(), state=state)
    with db.tenant_session(merchant) as session:
        consents.record(session, merchant, [given], "usr_1")


class TestTakenBack:
    def test_a_row_of_a_file_ends_mail(self, merchant: str) -> None:
        assert closed(merchant).no_email == ""
        sheet = read_sheet(b"email,date,state\nada@example.com,2026-01-15,withdrawn\n")
        with db.tenant_session(merchant) as session:
            record_sheet(session, merchant, sheet, "usr_1")
        assert closed(merchant) == Closed(WITHDRAWN, NO_CONSENT)
        assert closed(merchant, sms=False) == Closed(WITHDRAWN, SMS_IS_OFF)

    def test_and_a_later_yes_opens_it_again(self, merchant: str, clock: ManualClock) -> None:
        say(merchant, clock, Channel.EMAIL, "withdrawn")
        say(merchant, clock, Channel.EMAIL, "granted")
        assert closed(merchant).no_email == ""

    def test_a_text_goes_instead_only_to_who_agreed_to_texts_after_it(self, merchant: str, clock: ManualClock) -> None:
        say(merchant, clock, Channel.SMS, "granted")
        say(merchant, clock, Channel.EMAIL, "withdrawn")
        assert closed(merchant) == Closed(WITHDRAWN, NO_CONSENT)
        say(merchant, clock, Channel.SMS, "granted")
        assert closed(merchant) == Closed(WITHDRAWN, "")

    @pytest.mark.parametrize("channel", list(Channel))
    def test_on_whichever_channel_it_was_nothing_needless_is_said(
        self, merchant: str, clock: ManualClock, channel: Channel
    ) -> None:
        say(merchant, clock, channel, "withdrawn")
        with db.tenant_session(merchant) as session:
            assert reach.opted_out(session, merchant, [Customer(), Customer("cus_2", "b@example.com", None)]) == [
                ASKED,
                "",
            ]

    @pytest.mark.parametrize(("channel", "sms", "planned"), [("email", False, 1), ("sms", False, 0), ("sms", True, 1)])
    def test_what_it_changes_is_planned_anew(
        self, database: object, clock: ManualClock, channel: str, sms: bool, planned: int
    ) -> None:
        mine = make_merchant(policy={"sms": sms})
        say(mine, clock, Channel(channel), "withdrawn")
        with db.tenant_session(mine) as session:
            pulses = session.exec(select(ScheduledTask).where(ScheduledTask.kind == "pulse")).all()
        assert len(pulses) == planned


WRITTEN = ["ada@xn--mnchen-3ya.de", "ada@münchen.de", "Ada@XN--Mnchen-3ya.de", " ADA@MÜNCHEN.DE"]


class TestSpellings:
    """Programs, customers and Stripe write one address in several ways; a word counts for it, not for its spelling."""

    @pytest.mark.parametrize("at_stripe", WRITTEN)
    @pytest.mark.parametrize("said", WRITTEN)
    def test_a_word_is_heard_however_either_side_writes_the_address(
        self, merchant: str, clock: ManualClock, at_stripe: str, said: str
    ) -> None:
        ada, other = Customer(customer_email=at_stripe), Customer("cus_2", "ada@munchen.de")

        def after(state: str) -> list[str]:
            clock.advance(timedelta(hours=1))
            given = consents.read(channel="email", address=said, happened_at=clock.now(), state=state)
            with db.tenant_session(merchant) as session:
                consents.record(session, merchant, [given], "usr_1")
                return [each.no_email for each in reach.closed(session, merchant, [ada, other], sms=False)]

        assert after("withdrawn") == [WITHDRAWN, ""]
        assert after("granted") == ["", ""]

    @pytest.mark.parametrize("at_stripe", WRITTEN)
    @pytest.mark.parametrize("bounced", WRITTEN)
    def test_so_is_a_dead_address_also_one_that_was_written_down_as_it_came(
        self, merchant: str, monkeypatch: pytest.MonkeyPatch, at_stripe: str, bounced: str
    ) -> None:
        with db.tenant_session(merchant) as session:
            with monkeypatch.context() as before:
                before.setattr(links, "spelled", lambda _, text: text.strip().casefold())
                links.suppress(session, merchant, Channel.EMAIL, at_stripe, "bounced")
            links.suppress(session, merchant, Channel.EMAIL, bounced, "bounced")
            (found,) = reach.closed(session, merchant, [Customer(customer_email=at_stripe)], sms=False)
            assert found.no_email == WHY_SILENT["bounced"]
            assert suppression.lift(session, merchant, Channel.EMAIL, at_stripe, "bounced", core_clock.now())
            (found,) = reach.closed(session, merchant, [Customer(customer_email=bounced)], sms=False)
            assert found.no_email == ""

    @pytest.mark.parametrize("text", ["customer:cus_1", "no address", "ada@xn--0.de", "ä" * 400, "", "Ada@Example.com"])
    def test_what_is_no_such_address_stays_as_it_is(self, text: str) -> None:
        assert spellings(Channel.EMAIL, text) == (text.casefold(),)
        assert spellings(Channel.SMS, text) == (text.casefold(),)


class TestNoMore:
    @pytest.mark.parametrize("reason", ["unsubscribed", "complained"])
    def test_who_said_so_by_mail_gets_no_text_instead(self, merchant: str, clock: ManualClock, reason: str) -> None:
        say(merchant, clock, Channel.SMS, "granted")
        suppress(merchant, Channel.EMAIL, EMAIL, reason)
        assert closed(merchant) == Closed(WHY_SILENT[reason], WHY_SILENT[reason])

    def test_nor_at_another_address(self, merchant: str, clock: ManualClock) -> None:
        say(merchant, clock, Channel.SMS, "granted")
        with db.tenant_session(merchant) as session:
            assert links.suppress_customer(session, merchant, "cus_1", "complained")
            moved, other = Customer(customer_email="new@example.com"), Customer("cus_2", "b@example.com", PHONE)
            nobody = replace(other, customer_id=None)
            asked = [moved, other, nobody]
            found = reach.closed(session, merchant, asked, sms=True)
            said = reach.opted_out(session, merchant, asked)
        no = WHY_SILENT["complained"]
        assert found == [Closed(no, no), Closed("", ""), Closed("", "")]
        assert said == [no, "", ""]

    def test_whose_address_is_dead_does(self, merchant: str, clock: ManualClock) -> None:
        say(merchant, clock, Channel.SMS, "granted")
        suppress(merchant, Channel.EMAIL, EMAIL, "bounced")
        assert closed(merchant) == Closed(WHY_SILENT["bounced"], "")

    @pytest.mark.parametrize("reason", ["unsubscribed", "complained"])
    def test_nor_who_says_so_after_their_address_is_dead(self, merchant: str, clock: ManualClock, reason: str) -> None:
        """From a mail that had arrived before; and a mailbox that dies later takes nothing of it back."""
        say(merchant, clock, Channel.SMS, "granted")
        for why in ("bounced", reason, "bounced"):
            suppress(merchant, Channel.EMAIL, EMAIL, why)
        assert closed(merchant).no_sms == WHY_SILENT[reason]

    def test_stop_ends_texts_alone(self, merchant: str, clock: ManualClock) -> None:
        say(merchant, clock, Channel.SMS, "granted")
        suppress(merchant, Channel.SMS, PHONE, "stopped")
        assert closed(merchant) == Closed("", WHY_SILENT["stopped"])
