"""The merchant's team and its weekly digest: once a week, from Monday's eight o'clock on, with the week's true sums."""

from collections import Counter
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from core import clock, db
from core.money import Money, format_money
from models.identity import Role, User
from sandbox.outbox.store import Message
from services.identity import repository as identity
from services.messaging.team_mail import KIND_TAG
from tests.simulation.ledger import Digest

if TYPE_CHECKING:
    from tests.simulation.play import Play

OWNER = "owner@northwind.example"
EIGHT, WEEK, DAY = time(8), timedelta(days=7), timedelta(days=1)
_ALLOWED = timedelta(minutes=10)  # for a task and its mail, where nothing is in their way
_AHEAD = timedelta(hours=20)  # how long before the earliest Monday's eight o'clock a week's digest is scheduled
_WAITED = timedelta(days=4)  # longer than outages, and a Sentinel's absence, take together
_LINE = "Recovered: "


@dataclass
class Team:
    """Who works at the merchant's, and the judge of what they are told."""

    play: "Play"
    before: tuple[str, ...] = ()  # what there was to tell when the digest's task began

    def join(self) -> None:
        """One owner with a confirmed address."""
        now, merchant = clock.now(), self.play.merchant
        with db.tenant_session(merchant) as session:
            user = User(id="usr_owner", email=OWNER, created_at=now, updated_at=now, email_verified_at=now)
            identity.insert_user(session, user)
            identity.put_membership(session, merchant, user.id, Role.OWNER, now)

    def monday(self, at: datetime) -> datetime:
        """The Monday, eight o'clock, since which it is this week at the merchant's; UTC."""
        zone = ZoneInfo(self.play.scenario.timezone)
        local = at.astimezone(zone)
        found = datetime.combine(local.date() - timedelta(days=local.weekday()), EIGHT, zone)
        return (found if found <= local else self._eight(found.date() - WEEK)).astimezone(UTC)

    def _eight(self, day: date) -> datetime:
        return datetime.combine(day, EIGHT, ZoneInfo(self.play.scenario.timezone))

    # -- what there is to tell ------------------------------------------------------------------------------------

    def begins(self) -> None:
        """A digest's task begins: what it tells may be of now, or of the moment when its mail is taken."""
        self.before = self.came_back(self.monday(clock.now()))

    def came_back(self, monday: datetime, *, known_by: datetime | None = None) -> tuple[str, ...]:
        """What the seven days before brought, less what went back in them, by currency and as a person reads it."""
        until = monday.date() - DAY
        rows = self.play.place.owner.execute(
            "select currency, sum(amount_cents) from recoveries where kind <> 'protected' and recorded_at <= %s and"
            " (occurred_at at time zone 'UTC')::date between %s and %s group by currency",
            (known_by or clock.now(), until - WEEK + DAY, until),
        ).fetchall()
        return tuple(sorted(format_money(Money(int(amount), currency)) for currency, amount in rows if amount))

    # -- the judge ------------------------------------------------------------------------------------------------

    def accepted(self, message: Message) -> None:
        """The provider took a mail to the team that it had not taken before."""
        kind, text = message.tags[KIND_TAG], str(message.body["text"])
        self.play.ledger.trace.say(f"{kind} to {message.to[0]}")
        self.play.ledger.came_of_it[f"{kind} mails"] += 1
        if kind == "digest":
            self._digest(message.to[0], text)
        else:
            self._alert(text)

    def _digest(self, recipient: str, text: str) -> None:
        ledger, now = self.play.ledger, clock.now()
        monday = self.monday(now)
        if any(one.recipient == recipient and self.monday(one.at) == monday for one in ledger.digests):
            ledger.violated("one digest a week", f"two to {recipient} since {monday:%Y-%m-%d}")
        nothing = {format_money(Money(0, one.currency)) for one in self.play.scenario.customers}
        lines = [line.removeprefix(_LINE).split(" (")[0] for line in text.splitlines() if line.startswith(_LINE)]
        told = tuple(sorted(line for line in lines if line not in nothing))
        if told not in (self.before, self.came_back(monday)):
            ledger.violated("a digest's sums are the week's", f"{told} instead of {self.before}, to {recipient}")
        ledger.digests.append(Digest(now, recipient, told))

    def _alert(self, text: str) -> None:
        """Which customers' payments wait for a decision; each task is told of once."""
        ledger = self.play.ledger
        for customer in self.play.scenario.customers:
            ledger.alerts[customer.id] += text.count(f"{customer.name}: ")
            known = self.play.place.owner.execute(
                "select count(*) from manual_tasks m join ghost_targets g on g.merchant_id = m.merchant_id"
                " and g.id = m.ghost_id where g.customer_id = %s",
                (customer.id,),
            ).fetchone()
            if known is not None and ledger.alerts[customer.id] > known[0]:
                ledger.violated("a task is told of once", f"{customer.name}: {ledger.alerts[customer.id]} times")

    def at_the_end(self) -> None:
        self._weeks_are_told()
        self._tasks_are_told()

    def _tasks_are_told(self) -> None:
        """Whatever waited for a person for days, unless a mail was given up because its provider was away for a day."""
        owner, ledger = self.play.place.owner, self.play.ledger
        given_up = owner.execute(
            "select exists (select from scheduled_tasks where kind = 'notify_action_required'"
            " and (last_error like '%too late%' or result::text like '%too late%'))"
        ).fetchone()
        rows = owner.execute(
            "select g.customer_id, count(*) from manual_tasks m join ghost_targets g on g.merchant_id = m.merchant_id"
            " and g.id = m.ghost_id where coalesce(m.closed_at, %s) - m.created_at > %s group by 1 order by 1",
            (clock.now(), _WAITED),
        ).fetchall()
        ledger.came_of_it["decisions that waited for days"] += sum(waited for _, waited in rows)
        for customer, waited in rows:
            if customer not in ledger.erased and ledger.alerts[customer] < waited and given_up == (False,):
                told = f"{self.play.by_id[customer].name}: {ledger.alerts[customer]} of {waited}"
                ledger.violated("every task is told of", told)

    def _weeks_are_told(self) -> None:
        """With the account connected, every week in which something came back: no trouble is as long as a week."""
        play = self.play
        told = Counter(self.monday(one.at) for one in play.ledger.digests)
        since = datetime.fromtimestamp(max(play.scenario.begins, play.staff.connected_at), UTC)
        monday, until = self.monday(since), datetime.fromtimestamp(play.quiet_at, UTC)
        while (monday := self.monday(monday + WEEK + DAY)) + _ALLOWED < until:
            missed = self.came_back(monday, known_by=monday)
            if missed and not told[monday] and monday - _AHEAD > since:
                play.ledger.violated("a week's digest comes", f"none since {monday:%Y-%m-%d}, and {missed} came back")
