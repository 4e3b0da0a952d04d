"""The weekly digest: what a merchant's team is told of the last seven days, from the same sums as the dashboard."""

from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

from babel.dates import format_date
from sqlmodel import Session

from core.money import Money, format_money
from services.analytics import service
from services.analytics.schemas import Dashboard, Figure
from services.messaging.layout import html_layout, plain_layout
from services.tasks import service as tasks

DAYS = 7
SEND_AT = time(8, 0)  # of a Monday, in the merchant's own time
_TEMPLATES = Path(__file__).parent / "templates"
_NOT_MEASURED = "How much of it came back because of PHANTOM needs a holdout, and none is running."


@dataclass(frozen=True, slots=True)
class Line:
    """One figure with what it is compared with."""

    name: str
    value: str
    change: str


@dataclass(frozen=True, slots=True)
class Digest:
    """A mail without its recipient."""

    subject: str
    html: str
    plain: str


def next_sending(now: datetime, timezone: str) -> datetime:
    """The first Monday, 8 o'clock in `timezone`, after `now`; aware UTC in, aware local time out (DST-correct)."""
    zone = ZoneInfo(timezone)
    local = now.astimezone(zone)
    monday = local.date() + timedelta(days=-local.weekday() % 7)
    for day in (monday, monday + timedelta(days=7)):
        moment = datetime.combine(day, SEND_AT, zone)
        if moment > now:
            return moment
    raise AssertionError("one of two Mondays is ahead")  # pragma: no cover


def weekly(session: Session, merchant_id: str, url: str) -> Digest | None:
    """The last seven days of a merchant in its main currency; None when nothing was billed, open or recovered.

    `url` is where the dashboard stands. Raises `NotFoundError` for an unknown merchant.
    """
    found = service.dashboard(session, merchant_id, days=DAYS)
    lines = _lines(found)
    hero = found.hero
    if not (hero.open_ghosts or hero.recovered.value or hero.leakage.value or hero.health is not None):
        return None
    recovered = format_money(Money(hero.recovered.value, found.currency))
    values = {
        "merchant": found.merchant_name,
        "subject": f"{recovered} recovered last week",
        "heading": f"{recovered} came back",
        "period": f"{_day(found.since)} to {_day(found.until)}, compared with the seven days before, in "
        f"{found.currency.upper()}",
        "lines": lines,
        "proof": _NOT_MEASURED,
        "url": url,
    }
    return Digest(
        subject=values["subject"],  # type: ignore[arg-type]  # a text above
        html=html_layout(_TEMPLATES / "digest.mjml.j2").render(values),
        plain=plain_layout(_TEMPLATES / "digest.txt.j2").render(values),
    )


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


def _ghosts(number: int) -> str:
    return f"{number:,} ghost" + ("" if number == 1 else "s")


def _day(day: date) -> str:
    return format_date(day, "d MMMM", locale="en")


def schedule_next(session: Session, merchant_id: str, timezone: str, now: datetime) -> datetime:
    """Have the next digest sent on the coming Monday, once whoever asks how often; when that is."""
    at = next_sending(now, timezone)
    tasks.schedule(
        session, kind="send_weekly_digest", merchant_id=merchant_id, key=f"digest:{merchant_id}:{at:%G-%V}", run_at=at
    )
    return at
