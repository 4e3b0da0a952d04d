"""What a provider says of one message is one merchant's: the platform's key is everybody's, and goes on for the others.

The tasks run through the queue itself, because it keeps how often a message was refused.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest

from core import db
from core.clock import ManualClock
from jobs import team_mail
from jobs.runner import Runner
from models.audit import SystemLog
from models.ghost import GhostEvent
from models.messaging import Message, MessageState
from models.work import ScheduledTask, TaskState
from sandbox.outbox import resend as sandbox_resend
from sandbox.outbox.validation import ResendError
from services.messaging.senders import pace, service
from services.messaging.senders.given import OwnMail
from services.messaging.team_mail import TeamMail
from services.operations import health
from services.operations.health_findings import findings
from tests.support import environment
from tests.support.factories import make_merchant
from tests.support.post_office import PostOffice
from tests.support.shop import Shop

SAID = "We may have found a security issue with the request."
ODD = "Odd, Name (Ltd) @ Co"
REFUSALS = [(422, "invalid_from_address"), (451, "security_error")]


@dataclass
class Provider:
    """Says of mails from an odd name what it is told to say; `asked` counts them."""

    status: int = 0
    name: str = ""
    asked: int = 0

    def says(self, status: int, name: str) -> None:
        self.status, self.name = status, name

    def check(self, given: Any) -> None:
        if self.status and "Odd" in given["from"]:
            self.asked += 1
            raise ResendError(self.status, self.name, SAID)


@dataclass
class Street:
    """Two merchants behind the platform's key, each with customers to be written to."""

    good: Shop
    odd: Shop
    provider: Provider

    def send(self) -> None:
        """Whatever is due now."""
        Runner(chance=lambda: 0.5).run_due(1000, ["send_message"])

    def hours(self, number: int, step: timedelta = timedelta(minutes=5, seconds=1)) -> None:
        until = self.good.clock.now() + timedelta(hours=number)
        while self.good.clock.now() < until:
            self.send()
            self.good.clock.advance(step)

    def states(self, shop: Shop) -> dict[str, int]:
        return dict(Counter(row.state for row in shop.rows(Message)))

    def findings(self, shop: Shop) -> dict[str, tuple[str, ...]]:
        with db.tenant_session(shop.merchant) as session:
            facts = health.merchant_facts(session, shop.merchant)
        return {each.code: each.details for each in findings(facts) if each.code.startswith(("unfit", "platform_ref"))}

    def logged(self, shop: Shop, event: str) -> int:
        return sum(row.event == event for row in shop.rows(SystemLog))


@pytest.fixture
def street(database: object, redis_url: str, clock: ManualClock, monkeypatch: pytest.MonkeyPatch) -> Iterator[Street]:
    monkeypatch.setattr(pace, "_alone", pace.Lines())
    provider, real = Provider(), sandbox_resend.check_email
    monkeypatch.setattr(sandbox_resend, "check_email", lambda given: provider.check(given) or real(given))
    good = Shop.open(clock, monkeypatch, paused=False)
    account = good.actions.create_account(name=ODD, email="odd@example.com", shape="basil")["id"]
    good.actions.connect(account)
    merchant = make_merchant(stripe_user_id=account, name=ODD)
    odd = Shop(good.world, good.api, good.actions, account, merchant, clock)
    with PostOffice.of(good.world), environment.changed(RESEND_RATE="2"):
        for shop in (good, odd):
            for number in range(2):
                shop.subscriber(decline_code="expired_card", email=f"ada{number}@{shop.account[-6:].lower()}.com")
        whose = {shop.account: shop for shop in (good, odd)}
        good.world.clockwork.advance_to(good.world.now() + 31 * 86_400 + 7200)
        while stored := good.take():
            for each in stored:
                each.merchant_id = whose[each.account].merchant
                whose[each.account].handle(each)
        yield Street(good, odd, provider)


@pytest.mark.parametrize(("status", "name"), REFUSALS)
def test_one_merchants_mail_stops_nobody_else(street: Street, status: int, name: str) -> None:
    street.provider.says(status, name)
    street.hours(1, timedelta(seconds=20))
    assert street.states(street.good) == {MessageState.SENT: 2}
    assert street.states(street.odd) == {}
    assert (street.findings(street.good), street.findings(street.odd)) == ({}, {"unfit_email": (SAID,)})
    assert street.logged(street.odd, "messaging.message_unfit") == 1
    assert street.provider.asked <= 12  # one of its messages in five minutes, however many there are


@pytest.mark.parametrize(("status", "name"), REFUSALS)
def test_what_is_mended_in_time_goes_once(street: Street, status: int, name: str) -> None:
    street.provider.says(status, name)
    street.hours(3)
    street.provider.says(0, "")
    street.hours(2)
    assert street.states(street.odd) == {MessageState.SENT: 2}


@pytest.mark.parametrize("own", [False, True])
def test_what_is_refused_again_and_again_ends_after_a_day_and_its_ghost_says_so(street: Street, own: bool) -> None:
    if own:
        with db.tenant_session(street.odd.merchant) as session:
            service.set_mail(session, street.odd.merchant, OwnMail.read("re_odd_0123456789", "a@odd.example"), "usr_1")
    street.provider.says(*REFUSALS[1])
    street.hours(20, timedelta(minutes=15))
    assert street.states(street.odd) == {}  # there was all day to mend it
    street.hours(28, timedelta(minutes=15))
    assert street.states(street.odd) == {MessageState.FAILED: 2}
    assert {row.reason for row in street.odd.rows(Message)} == {SAID}
    assert sum(row.name == "message_failed" for row in street.odd.rows(GhostEvent)) == 2
    assert street.provider.asked <= 2 * 3 * service.MOST_UNFIT  # every six hours a message has another task
    asked = street.provider.asked
    street.hours(24, timedelta(minutes=30))
    assert street.provider.asked == asked
    assert not [task for task in tasks_of(street.odd) if task.state == TaskState.DEAD]


def tasks_of(shop: Shop) -> list[ScheduledTask]:
    return [task for task in shop.rows(ScheduledTask) if task.kind == "send_message"]


def test_a_new_sender_lets_what_waits_go_at_once(street: Street) -> None:
    street.provider.says(*REFUSALS[0])
    street.hours(3)
    street.provider.says(0, "")
    with db.tenant_session(street.odd.merchant) as session:
        service.set_mail(session, street.odd.merchant, OwnMail.read("re_odd_0123456789", "a@odd.example"), "usr_1")
    for _ in range(3):
        street.send()
        street.good.clock.advance(timedelta(seconds=2))
    assert street.states(street.odd) == {MessageState.SENT: 2}


@pytest.mark.parametrize(("status", "name"), REFUSALS)
def test_nor_does_a_mail_to_the_team(street: Street, status: int, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """An alert that is not taken as it is: tried once, told in its merchant's log."""
    monkeypatch.setattr(street.provider, "check", lambda given: refuse(status, name, given))
    mail = TeamMail("alert-1", "alert", "owner@example.com", "Odd subject", "<p>Odd</p>", "Odd")
    assert team_mail.carry(street.odd.merchant, mail) == {"sent": False, "reason": "email_unfit"}
    assert street.logged(street.odd, "team_mail.refused") == 1
    street.hours(1, timedelta(seconds=30))
    assert street.states(street.good) == {MessageState.SENT: 2}


def refuse(status: int, name: str, given: Any) -> None:
    if given["subject"].startswith("Odd"):
        raise ResendError(status, name, SAID)
