"""The weekly digest: what a merchant's team is told of seven days, from the same sums as the dashboard.

PRODUCT §5.4 has it schedule its own successor. The Sentinel's slots do that: a chain ends for ever with its first
missing link, while a slot is filled by whoever looks, for merchants of all ages, once.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path

from babel.dates import format_date
from sqlmodel import Session

from core import clock
from core.money import Money, format_money
from services.analytics import service
from services.analytics.schemas import GIVEN_BACK, MERIT_WORDS, WENT_BACK, Dashboard, Figure
from services.identity import service as identity
from services.messaging.hours import zone_named
from services.messaging.layout import html_layout, plain_layout
from services.tasks import service as tasks
from services.tasks.schedules import DIGEST

DAYS = 7
NAMED = 2  # amounts in the subject
SEND_AT = time(8, 0)  # of a Monday, in the merchant's own time
LONGEST_TRY = timedelta(hours=23)  # the provider remembers a key for 24 hours
_TEMPLATES = Path(__file__).parent / "templates"
_NO_CAUSE = "This is what came before each payment, not what caused it. "
_NOT_MEASURED = "How much of it came back because of PHANTOM needs a holdout, and none is running."


@dataclass(frozen=True, slots=True)
class Line:
    """One figure with what it is compared with."""

    name: str
    value: str
    change: str


@dataclass(frozen=True, slots=True)
class Block:
    """What is told of one currency; `name` is empty where there is one alone."""

    name: str
    lines: list[Line]
    merits: list[Line]


@dataclass(frozen=True, slots=True)
class Digest:
    """A mail without its recipient."""

    subject: str
    html: str
    plain: str


@dataclass(frozen=True, slots=True)
class Week:
    """The week in which a digest goes out, by its Monday; what it tells of are the seven days before."""

    monday: date
    timezone: str

    @classmethod
    def of_slot(cls, merchant_id: str, slot: int, timezone: str) -> "Week":
        """The week of a period of the schedule, which begins on the Sunday before."""
        return cls(DIGEST.begins(merchant_id, slot).date() + timedelta(days=1), timezone)

    @property
    def name(self) -> str:
        return f"{self.monday:%G-W%V}"

    @property
    def begins(self) -> datetime:
        """When the digest is due: Monday, 8 o'clock in the merchant's own time (DST-correct), as UTC."""
        return self._eight(self.monday)

    @property
    def ends(self) -> datetime:
        """When the next one is due, and this one is too late."""
        return self._eight(self.monday + timedelta(days=DAYS))

    @property
    def until(self) -> date:
        """The last day it tells of: the latest that is over at Monday's 8 o'clock; days are UTC, as all our sums."""
        return self.begins.date() - timedelta(days=1)

    def _eight(self, day: date) -> datetime:
        return datetime.combine(day, SEND_AT, zone_named(self.timezone)).astimezone(UTC)


def weekly(session: Session, merchant_id: str, until: date, url: str) -> Digest | None:
    """A merchant's seven days up to `until`, each currency for itself, the one with most of it first.

    None when nothing was billed, open or recovered in any. `url` is where the dashboard stands. Raises `NotFoundError`
    for an unknown merchant.
    """
    main = service.dashboard(session, merchant_id, days=DAYS, until=until)
    others = [code for code in main.currencies if code != main.currency]
    told = [
        found
        for found in (
            main,
            *(service.dashboard(session, merchant_id, days=DAYS, currency=code, until=until) for code in others),
        )
        if _is_worth_telling(found)
    ]
    if not told:
        return None
    back = _came_back(told)
    blocks = [
        Block(found.currency.upper() if len(told) > 1 else "", _lines(found), _merits(session, merchant_id, found))
        for found in told
    ]
    subject = f"{back} recovered last week"
    values = {
        "merchant": main.merchant_name,
        "subject": subject,
        "heading": f"{back} came back",
        "period": f"{_day(main.since)} to {_day(main.until)}, compared with the seven days before"
        + (f", in {told[0].currency.upper()}" if len(told) == 1 else ", each currency for itself"),
        "blocks": blocks,
        "proof": (_NO_CAUSE if any(block.merits for block in blocks) else "") + _NOT_MEASURED,
        "url": url,
    }
    return Digest(
        subject=subject,
        html=html_layout(_TEMPLATES / "digest.mjml.j2").render(values),
        plain=plain_layout(_TEMPLATES / "digest.txt.j2").render(values),
    )


def _is_worth_telling(found: Dashboard) -> bool:
    hero = found.hero
    return bool(hero.open_ghosts or hero.recovered.value or hero.leakage.value or hero.health is not None)


def _came_back(told: Sequence[Dashboard]) -> str:
    """What came back and stayed, in each currency in which anything did; never added up."""
    found = [each for each in told if each.hero.recovered.value > 0] or told[:1]
    amounts = [format_money(Money(max(0, each.hero.recovered.value), each.currency)) for each in found]
    if len(amounts) > NAMED:
        more = len(amounts) - NAMED
        amounts[NAMED:] = [f"amounts in {more} more {'currency' if more == 1 else 'currencies'}"]
    return f"{', '.join(amounts[:-1])} and {amounts[-1]}" if len(amounts) > 1 else amounts[0]


def _merits(session: Session, merchant_id: str, found: Dashboard) -> list[Line]:
    """By what the recovered amount came back, and what of it went back again."""
    merits = service.merits(session, merchant_id, found.currency, found.since, found.until)
    lines = [
        Line(MERIT_WORDS[each.mechanism], format_money(Money(each.amount, found.currency)), _payments(each.count))
        for each in merits
    ]
    if gone := found.hero.reversed.value:
        sign, label = ("−", WENT_BACK) if gone > 0 else ("+", GIVEN_BACK)
        lines.append(Line(label, f"{sign}{format_money(Money(abs(gone), found.currency))}", ""))
    return lines


def address(session: Session, merchant_id: str, week: Week) -> int:
    """A task for each of the team, in the caller's transaction; how many are new. Ask as often as you like.

    Each carries the days it tells of and when to give it up: before the provider forgets its key, and when the week
    is over. So nobody gets two, whatever happens between; who could not be reached within a day gets none.
    """
    give_up_at = min(clock.now() + LONGEST_TRY, week.ends)
    new = 0
    for user_id in identity.team_addresses(session, merchant_id):
        new += None is not tasks.schedule(
            session,
            kind=DIGEST.kind,
            merchant_id=merchant_id,
            key=f"digest:{merchant_id}:{week.name}:{user_id}",
            payload={"user_id": user_id, "until": week.until.isoformat(), "give_up_at": give_up_at.isoformat()},
            priority=DIGEST.priority,
        )
    return new


def _lines(found: Dashboard) -> list[Line]:
    hero, currency = found.hero, found.currency

    def money(name: str, figure: Figure) -> Line:
        return Line(name, format_money(Money(figure.value, currency)), _money_change(figure, currency))

    lines = [
        money("Recovered", hero.recovered),
        Line("Payments recovered", f"{hero.recovered_count.value:,}", _count_change(hero.recovered_count)),
        money("Found and still unpaid", hero.leakage),
        Line("Open now", format_money(Money(hero.leakage_now, currency)), _ghosts(hero.open_ghosts)),
        Line("Monthly value behind it", format_money(Money(hero.shadow_leakage, currency)), ""),
    ]
    if hero.protected.value:
        lines.insert(2, money("Protected", hero.protected))
    if hero.recovery_rate is not None:
        lines.append(Line("Recovery rate of last week's ghosts", f"{hero.recovery_rate:.0%}", "still rising"))
    if hero.health is not None:
        lines.append(Line("Leakage health, 30 days", f"{hero.health} of 100", ""))
    return lines


def _money_change(figure: Figure, currency: str) -> str:
    if figure.previous is None:
        return ""
    difference = figure.value - figure.previous
    if not difference:
        return "as the week before"
    return f"{'+' if difference > 0 else '−'}{format_money(Money(abs(difference), currency))}"


def _count_change(figure: Figure) -> str:
    if figure.previous is None:
        return ""
    difference = figure.value - figure.previous
    return f"{'+' if difference > 0 else '−'}{abs(difference):,}" if difference else "as the week before"


def _payments(number: int) -> str:
    return f"{number:,} payment" + ("" if number == 1 else "s")


def _ghosts(number: int) -> str:
    return f"{number:,} ghost" + ("" if number == 1 else "s")


def _day(day: date) -> str:
    return format_date(day, "d MMMM", locale="en")
