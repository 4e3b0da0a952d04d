"""Figures, dates and spans as text: the only place where a screen formats anything."""

from datetime import date, datetime, timedelta

from babel.core import get_global
from babel.dates import format_date, format_datetime
from babel.numbers import format_decimal, get_currency_name, get_territory_currencies

from core.money import Money, format_money

LOCALE = "en_US"
NONE = "–"
# Every currency that is legal tender somewhere today, by its code; the names are CLDR's.
CURRENCIES: dict[str, str] = {
    code.lower(): str(get_currency_name(code, locale=LOCALE))
    for code in sorted(
        {code for place in get_global("territory_currencies") for code in get_territory_currencies(place)}
    )
}


def money(amount: int, currency: str) -> str:
    """Minor units as a person reads them."""
    return format_money(Money(amount, currency), LOCALE)


def currency(code: str) -> str:
    """What a currency is called; its code where that is all there is."""
    return CURRENCIES.get(code, code.upper())


def count(number: int) -> str:
    return str(format_decimal(number, locale=LOCALE))


def share(part: float, whole: float) -> str:
    """A part as per cent, without decimals; nothing of nothing is a dash."""
    return f"{round(100 * part / whole)}%" if whole else NONE


def width(part: float, whole: float) -> str:
    """A part as a CSS width; what exists is at least a visible sliver."""
    if not whole or not part:
        return "0%"
    return f"{max(1.0, min(100.0, 100 * part / whole)):.2f}%"


def change(value: int, previous: int | None) -> str:
    """How a figure moved against the period before, in words that stand alone."""
    if previous is None:
        return "no earlier period"
    if previous == value:
        return "no change"
    if previous == 0:
        return "from zero"
    moved = 100 * (value - previous) / abs(previous)
    number = f"{abs(moved):.1f}" if abs(moved) < 100 else f"{abs(moved):,.0f}"
    return f"{'▲' if moved > 0 else '▼'} {number}%"


def day(moment: date | datetime) -> str:
    """`3 Mar 2026`."""
    return str(format_date(moment, "d MMM y", locale=LOCALE))


def short_day(moment: date) -> str:
    """`3 Mar`."""
    return str(format_date(moment, "d MMM", locale=LOCALE))


def moment(at: datetime | None) -> str:
    """`3 Mar 2026, 14:05 UTC`."""
    return f"{format_datetime(at, 'd MMM y, HH:mm', locale=LOCALE)} UTC" if at else NONE


def local(at: datetime) -> str:
    """`Thu 5 Mar, 10:00`, in the zone that the moment carries: say which beside it."""
    return str(format_datetime(at, "EEE d MMM, HH:mm", tzinfo=at.tzinfo, locale=LOCALE))


def clock_time(at: datetime) -> str:
    """`3 Mar 14:05:09`: for logs, where seconds matter."""
    return str(format_datetime(at, "d MMM HH:mm:ss", locale=LOCALE))


def distance(at: datetime | None, now: datetime) -> str:
    """`5 min ago`, `in 3 h`, `2 d ago`."""
    if at is None:
        return NONE
    gap = at - now
    text = _span(abs(gap))
    if not text:
        return "now"
    return f"in {text}" if gap > timedelta() else f"{text} ago"


def _span(gap: timedelta) -> str:
    seconds = int(gap.total_seconds())
    for size, unit in ((86_400, "d"), (3_600, "h"), (60, "min")):
        if seconds >= size:
            return f"{seconds // size} {unit}"
    return ""


def seconds(value: float) -> str:
    return f"{value:.1f} s" if value < 100 else f"{value:,.0f} s"


def duration(value: float) -> str:
    """How long something took: `40 ms`, `2.5 s`, `4 min`, `3 h`."""
    if value < 1:
        return f"{round(value * 1000)} ms"
    if value < 60:
        return f"{value:.1f} s"
    return f"{value / 60:.0f} min" if value < 3600 else f"{value / 3600:.0f} h"


def plural(number: int, noun: str) -> str:
    """`1 attempt`, `3 attempts`."""
    return f"{count(number)} {noun}" + ("" if number == 1 else "s")


def times(number: int) -> str:
    """`once`, `twice`, `3 times`."""
    return {1: "once", 2: "twice"}.get(number) or plural(number, "time")
