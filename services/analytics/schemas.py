"""The figures the screens show, per currency, with their period; money in minor units."""

from dataclasses import dataclass
from datetime import date, datetime

from models.ghost import Mechanism


@dataclass(frozen=True, slots=True)
class OpenTotals:
    """What stands open now in one currency, over all shards; money in minor units."""

    currency: str
    leakage_cents: int
    shadow_leakage_cents: int
    impending_leakage_cents: int
    recovered_cents: int
    protected_cents: int
    open_ghosts: int
    impending_ghosts: int


@dataclass(frozen=True, slots=True)
class DaySums:
    """A day's sums in one currency, over all shards, as far as the dashboard needs them; money in minor units."""

    day: date
    billed_cents: int
    found_count: int
    found_cents: int
    recovered_count: int
    recovered_cents: int
    reversed_count: int
    reversed_cents: int
    protected_cents: int
    cohort_messaged_count: int
    cohort_clicked_count: int
    cohort_clicked_recovered_count: int
    cohort_recovered_cents: int
    cohort_reversed_cents: int


@dataclass(frozen=True, slots=True)
class Figure:
    """An amount of the period and of the equally long one before it (`previous` None: nothing to compare)."""

    value: int
    previous: int | None = None


@dataclass(frozen=True, slots=True)
class Hero:
    """What MoneyHero shows. `health` is 0–100, None when nothing was billed in the last 30 days.

    What was recovered is net, as the ledger adds it up: less what went back in the same days, which `reversed` is.
    So it is below zero where more went back than came, as `reversed` is where refunds came to nothing later.
    """

    revenue_guarded: Figure  # recovered and protected, net as well
    recovered: Figure
    protected: Figure
    recovered_count: Figure  # invoices that were paid
    reversed: Figure
    reversed_count: int  # refunds, disputes and payments undone, once for each ghost they concerned
    leakage: Figure  # found in the period, still unpaid
    leakage_now: int  # all that stands open now
    shadow_leakage: int  # now, per month
    impending_risk: int  # now
    open_ghosts: int
    health: int | None
    recovery_rate: float | None  # of the cohort found in the period, by amount, net, 0–1


@dataclass(frozen=True, slots=True)
class Funnel:
    """The cohort found in the period, by count: found ≥ messaged ≥ clicked (confirmed) ≥ recovered.

    Each counts those of the step before: recovered are who clicked and then paid, without what was refunded whole.
    """

    found: int
    messaged: int
    clicked: int
    recovered: int


@dataclass(frozen=True, slots=True)
class DayPoint:
    """A day of the series; `recovered` is net."""

    day: date
    found: int
    recovered: int
    protected: int


@dataclass(frozen=True, slots=True)
class CategorySlice:
    """Open leakage of one decline group now."""

    group: str
    amount: int
    count: int


MERIT_WORDS = {
    Mechanism.OWN_ATTEMPT: "PHANTOM's own charge",
    Mechanism.CLICK: "A click on our link",
    Mechanism.MESSAGE: "After our message",
    Mechanism.STRIPE_RETRY: "Stripe's retry",
    Mechanism.ORGANIC: "On its own",
}


WENT_BACK = "Refunded or disputed"
FAILED_AFTER_ALL = "Failed after all"
GIVEN_BACK = "Refunds that failed"  # where more of what went back came again than went


@dataclass(frozen=True, slots=True)
class Merit:
    """What came back in a period by one mechanism, before anything of it was reversed; money in minor units."""

    mechanism: Mechanism
    amount: int
    count: int


@dataclass(frozen=True, slots=True)
class MadeSafe:
    """What was protected in a period by mechanism, and what of it failed after all: less that, the figure Protected."""

    merits: tuple[Merit, ...]
    failed: int  # minor units
    failed_count: int


@dataclass(frozen=True, slots=True)
class Dashboard:
    """Everything the dashboard shows, for one currency and period; `since` and `until` are UTC days, inclusive."""

    merchant_name: str
    currency: str
    currencies: tuple[str, ...]
    days: int
    since: date
    until: date
    hero: Hero
    funnel: Funnel
    series: tuple[DayPoint, ...]
    categories: tuple[CategorySlice, ...]
    last_hunt_at: datetime | None
    as_of: datetime
