"""The figures the screens show, for one currency and period.

Flow figures (recovered, protected, lost) count what happened in the period, and what went back in it is taken off:
each is the sum of the ledger's rows of these days. Leakage, funnel and recovery rate are
those of the cohort found in the period. Health always looks at the last 30 days, as its definition says. Every
sum is over a few rows a day, read from indexes alone, so a dashboard costs the same for a day of history or ten
years, and for one open ghost or a hundred thousand.
"""

from collections.abc import Callable, Iterable, Sequence
from datetime import date, timedelta

from sqlmodel import Session

from core import clock
from core.errors import BadRequestError, NotFoundError
from models.ghost import Mechanism
from models.merits import MeritKind
from services.analytics import repository
from services.analytics.schemas import (
    CategorySlice,
    Dashboard,
    DayPoint,
    DaySums,
    Figure,
    Funnel,
    Hero,
    MadeSafe,
    Merit,
)

PERIODS = (7, 30, 90)
HEALTH_DAYS = 30


def dashboard(
    session: Session, merchant_id: str, *, days: int = 30, currency: str | None = None, until: date | None = None
) -> Dashboard:
    """Everything the dashboard shows. `days` is one of 7, 30, 90; `until` (UTC) is the period's last day, None today.

    What is open is so now, whatever the period. `currency` None means the merchant's default, or the one with most
    money where the default has none. Raises `NotFoundError` for an unknown merchant, `BadRequestError` for another
    period.
    """
    if days not in PERIODS:
        raise BadRequestError(f"the period is one of {PERIODS} days")
    merchant = repository.get_merchant(session, merchant_id)
    if merchant is None:
        raise NotFoundError("There is no such merchant")
    totals = {row.currency: row for row in repository.list_totals(session, merchant_id)}
    chosen = _choose(currency, merchant.default_currency, {code: row.leakage_cents for code, row in totals.items()})
    today = until or clock.now().date()
    since = today - timedelta(days=days - 1)
    reach = max(2 * days, HEALTH_DAYS)
    rows = repository.list_days(session, merchant_id, chosen, today - timedelta(days=reach - 1), today)
    period = [row for row in rows if row.day >= since]
    former = [row for row in rows if since - timedelta(days=days) <= row.day < since]
    recent = [row for row in rows if row.day > today - timedelta(days=HEALTH_DAYS)]
    open_now = totals.get(chosen)
    return Dashboard(
        merchant_name=str(merchant.brand.get("name") or merchant.name),
        currency=chosen,
        currencies=tuple(sorted({*totals, chosen})),
        days=days,
        since=since,
        until=today,
        hero=Hero(
            revenue_guarded=_figure(period, former, _guarded),
            recovered=_figure(period, former, _recovered),
            protected=_figure(period, former, _summing("protected_cents")),
            recovered_count=_figure(period, former, _summing("recovered_count")),
            reversed=_figure(period, former, _summing("reversed_cents")),
            reversed_count=_sum(period, "reversed_count"),
            leakage=Figure(_leaked(period), _leaked(former)),
            leakage_now=open_now.leakage_cents if open_now else 0,
            shadow_leakage=open_now.shadow_leakage_cents if open_now else 0,
            impending_risk=open_now.impending_leakage_cents if open_now else 0,
            open_ghosts=open_now.open_ghosts if open_now else 0,
            health=health(_leaked(recent), _sum(recent, "billed_cents")),
            recovery_rate=rate(_kept(period), _sum(period, "found_cents")),
        ),
        funnel=Funnel(
            found=_sum(period, "found_count"),
            messaged=_sum(period, "cohort_messaged_count"),
            clicked=_sum(period, "cohort_clicked_count"),
            recovered=_sum(period, "cohort_clicked_recovered_count"),
        ),
        series=_series(period, since, today),
        categories=tuple(
            CategorySlice(group or "unknown", amount, number)
            for group, amount, number in repository.list_open_by_group(session, merchant_id, chosen)
        ),
        last_hunt_at=repository.last_hunt_at(session, merchant_id),
        as_of=clock.now(),
    )


def by_mechanism(
    session: Session, merchant_id: str, currency: str, since: date, until: date
) -> tuple[tuple[Merit, ...], MadeSafe]:
    """By what money came back in these days (UTC, both included), and by what charges were made safe.

    What came back, less what went back, is the figure Recovered; what was made safe, less what of it failed, Protected.
    In the order of `Mechanism`, those alone that anything came by. Which one it was says what came before a payment,
    not what caused it. A few rows a day, from an index alone.
    """
    found = repository.list_merits(session, merchant_id, currency, since, until)
    gone = [(-amount, number) for kind, _, amount, number in found if kind == MeritKind.FAILED]
    failed, times = (sum(each) for each in zip(*gone, strict=True)) if gone else (0, 0)
    return _merits(found, MeritKind.RECOVERED), MadeSafe(_merits(found, MeritKind.PROTECTED), failed, times)


def merits(session: Session, merchant_id: str, currency: str, since: date, until: date) -> tuple[Merit, ...]:
    """By what money came back in these days, as `by_mechanism` says it."""
    return by_mechanism(session, merchant_id, currency, since, until)[0]


def _merits(found: Iterable[tuple[str, str, int, int]], wanted: MeritKind) -> tuple[Merit, ...]:
    merits = [Merit(Mechanism(name), amount, number) for kind, name, amount, number in found if kind == wanted]
    return tuple(sorted(merits, key=lambda each: list(Mechanism).index(each.mechanism)))


def currencies_of(session: Session, merchant_id: str) -> tuple[str, ...]:
    """Every currency in which anything was found, and the merchant's default one, by their codes.

    Raises `NotFoundError` for an unknown merchant.
    """
    merchant = repository.get_merchant(session, merchant_id)
    if merchant is None:
        raise NotFoundError("There is no such merchant")
    return tuple(
        sorted({row.currency for row in repository.list_totals(session, merchant_id)} | {merchant.default_currency})
    )


def health(leakage: int, billed: int) -> int | None:
    """Leakage health: 100 × (1 − leakage ÷ recurring amount billed), within 0–100; None when nothing was billed."""
    if billed <= 0:
        return None
    return max(0, min(100, round(100 * (1 - leakage / billed))))


def rate(part: int, whole: int) -> float | None:
    """`part ÷ whole`, None when there is no whole."""
    return part / whole if whole > 0 else None


def _choose(asked: str | None, default: str, leaking: dict[str, int]) -> str:
    if asked and asked in leaking:
        return asked
    if default in leaking or not leaking:
        return default
    return max(leaking, key=lambda code: leaking[code])


def _sum(rows: Sequence[DaySums], column: str) -> int:
    return sum(getattr(row, column) for row in rows)


def _summing(column: str) -> Callable[[Sequence[DaySums]], int]:
    return lambda rows: _sum(rows, column)


def _recovered(rows: Sequence[DaySums]) -> int:
    """What came back in these days less what went back in them: the sum of the ledger's rows."""
    return _sum(rows, "recovered_cents") - _sum(rows, "reversed_cents")


def _guarded(rows: Sequence[DaySums]) -> int:
    return _recovered(rows) + _sum(rows, "protected_cents")


def _kept(rows: Sequence[DaySums]) -> int:
    """What was found in these days, recovered since and not taken back."""
    return _sum(rows, "cohort_recovered_cents") - _sum(rows, "cohort_reversed_cents")


def _figure(period: Sequence[DaySums], former: Sequence[DaySums], of: Callable[[Sequence[DaySums]], int]) -> Figure:
    return Figure(of(period), of(former) if former else None)


def _leaked(rows: Sequence[DaySums]) -> int:
    """Found in these days and not recovered since; a reversed payment left the figure with its recovery."""
    return max(0, _sum(rows, "found_cents") - _sum(rows, "cohort_recovered_cents"))


def _series(rows: Sequence[DaySums], since: date, until: date) -> tuple[DayPoint, ...]:
    known = {row.day: row for row in rows}
    points = []
    day = since
    while day <= until:
        row = known.get(day)
        points.append(
            DayPoint(day, row.found_cents, _recovered([row]), row.protected_cents) if row else DayPoint(day, 0, 0, 0)
        )
        day += timedelta(days=1)
    return tuple(points)
