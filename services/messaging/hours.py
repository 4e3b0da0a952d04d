"""The recipient's hours: when a country may be written to, and when an hour of its day comes next. Pure.

A country of several zones is held to the hours that are legal in all of them, and so are the countries of somebody who
may be in any of several. Everything is decided by quarters of an
hour in UTC: the offsets of all zones in use, and the moments at which they change, are multiples of that.
"""

import functools
from datetime import UTC, datetime, time, timedelta
from importlib import resources
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from services.merchants.policies import RecoveryPolicy

Country = str | tuple[str, ...]
"""Where a recipient is, ISO 3166; of several the likeliest first."""
TEXTS_FROM, TEXTS_UNTIL = 8, 21  # when text messages may be sent at all, by the recipient's clock
_MOST_PEOPLE = {
    "AU": "Australia/Sydney",
    "BR": "America/Sao_Paulo",
    "CA": "America/Toronto",
    "RU": "Europe/Moscow",
    "UA": "Europe/Kyiv",
}
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_QUARTER = timedelta(minutes=15)
_HOUR = timedelta(hours=1)
_REACH = timedelta(days=2)


@functools.cache
def _zones_by_country() -> dict[str, tuple[str, ...]]:
    table = resources.files("tzdata.zoneinfo").joinpath("zone.tab").read_text(encoding="utf-8")
    found: dict[str, tuple[str, ...]] = {}
    for line in table.splitlines():
        if line and not line.startswith("#"):
            country, _, zone = line.split("\t")[:3]
            found[country] = (*found.get(country, ()), zone)
    return found


@functools.lru_cache(maxsize=1024)
def zones_of(country: str) -> tuple[str, ...]:
    """The zones of an ISO 3166 country from the tz database's zone.tab; empty where it names none.

    First where most people live. The table goes from east to west in some countries, and begins with an island.
    """
    code = country.strip().upper()
    zones = _zones_by_country().get(code, ())
    return tuple(dict.fromkeys((_MOST_PEOPLE[code], *zones))) if code in _MOST_PEOPLE else zones


@functools.lru_cache(maxsize=1024)
def zone_named(name: str) -> ZoneInfo:
    """The zone of this name; UTC for a name that means none, as Stripe, a CSV or a person may give."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return ZoneInfo("UTC")


@functools.lru_cache(maxsize=4096)
def zones_for(country: Country, default_zone: str) -> tuple[ZoneInfo, ...]:
    """The recipient's zones, where most people live first: the country's, else the merchant's, else UTC."""
    names = dict.fromkeys(name for each in _known(country) for name in zones_of(each))
    return tuple(zone_named(name) for name in names or (default_zone,))


def _known(country: Country) -> list[str]:
    return [each for each in ((country,) if isinstance(country, str) else country) if zones_of(each)]


@functools.lru_cache(maxsize=4096)
def _choices(country: Country, default_zone: str) -> tuple[tuple[ZoneInfo, ...], ...]:
    """Zones to be legal in: all there are; where those share no hour the likeliest country's; at last its first."""
    own = zones_for(tuple(_known(country)[:1]), default_zone)
    return tuple(dict.fromkeys((zones_for(country, default_zone), own, own[:1])))


def within_hours(moment: datetime, country: Country, policy: RecoveryPolicy, default_zone: str = "UTC") -> datetime:
    """The first moment from `moment` (aware) on that lies in the allowed local hours of the whole country.

    Countries that have no such hour in common are held to the first of them, and one so wide that no hour is legal
    everywhere (with a narrow policy) to the zone where most people live; else the message would never go.
    """
    begins = _floor(moment)
    found = _legal_quarter(begins, *_rules(country, policy, default_zone))
    return moment if found == begins else found


def at_hour(
    moment: datetime, hour: int, country: Country, policy: RecoveryPolicy, default_zone: str = "UTC"
) -> datetime:
    """The first moment from `moment` on in `hour` (0–23) of the recipient's day, and inside the allowed hours.

    `moment` itself when its hour is that one already. Where the hour is not an allowed one, the next that is. A
    recipient of several zones has the hour of the first. On a day whose clocks skip the hour, the one after the gap;
    on a day that has it twice, the first.
    """
    begins = _floor(moment)
    found = _quarter_at_hour(begins, hour, *_rules(country, policy, default_zone))
    return max(moment, found)


def by_law(policy: RecoveryPolicy, country: Country, default_zone: str, moment: datetime) -> RecoveryPolicy:
    """The policy as it holds for texts around `moment`: within 8 to 21 o'clock, whatever the merchant chose for mail.

    Where that leaves no hour, or none that is one in all zones of the country, texts have the legal hours as they are.
    """
    narrow = max(policy.quiet_until_hour, TEXTS_FROM), min(policy.quiet_from_hour, TEXTS_UNTIL)
    begins, ends = next(
        hours
        for zones in _choices(country, default_zone)
        for hours in (narrow, (TEXTS_FROM, TEXTS_UNTIL))
        if _have_common(zones, *hours, moment.year)
    )
    return policy.model_copy(update={"quiet_until_hour": begins, "quiet_from_hour": ends})


@functools.lru_cache(maxsize=4096)
def _have_common(zones: tuple[ZoneInfo, ...], from_hour: int, to_hour: int, year: int) -> bool:
    """Whether all zones have a moment of the day in common between these hours, in summer and in winter."""
    days = (datetime(year, 1, 15, tzinfo=UTC), datetime(year, 7, 15, tzinfo=UTC))
    return all(any(_is_legal(day + n * _QUARTER, zones, from_hour, to_hour) for n in range(96)) for day in days)


def _rules(
    country: Country, policy: RecoveryPolicy, default_zone: str
) -> tuple[tuple[tuple[ZoneInfo, ...], ...], int, int]:
    return _choices(country, default_zone), policy.quiet_until_hour, policy.quiet_from_hour


def _floor(moment: datetime) -> datetime:
    return _EPOCH + (moment - _EPOCH) // _QUARTER * _QUARTER


def _is_legal(quarter: datetime, zones: tuple[ZoneInfo, ...], from_hour: int, to_hour: int) -> bool:
    return all(from_hour <= quarter.astimezone(zone).hour < to_hour for zone in zones)


@functools.lru_cache(maxsize=16_384)
def _legal_quarter(
    begins: datetime, choices: tuple[tuple[ZoneInfo, ...], ...], from_hour: int, to_hour: int
) -> datetime:
    """The first quarter from `begins` on that is legal in all of the zones, of the first choice that has one."""
    for zones in choices:
        quarter = begins
        while quarter <= begins + _REACH:
            if _is_legal(quarter, zones, from_hour, to_hour):
                return quarter
            quarter += _QUARTER
    raise AssertionError("every day has an hour between two different ones")


@functools.lru_cache(maxsize=16_384)
def _quarter_at_hour(
    begins: datetime, hour: int, choices: tuple[tuple[ZoneInfo, ...], ...], from_hour: int, to_hour: int
) -> datetime:
    first = choices[0][0]
    today = begins.astimezone(first).date()
    for days in range(-2, 4):
        starts = datetime.combine(today + timedelta(days=days), time(hour), tzinfo=first).astimezone(UTC)
        starts = _legal_quarter(_floor(starts), choices, from_hour, to_hour)
        if begins < starts + _HOUR:
            return _legal_quarter(max(starts, begins), choices, from_hour, to_hour)
    raise AssertionError("each day has every hour, or the one after its gap")
