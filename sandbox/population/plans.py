"""What the merchant sells: plans, their prices in each currency, and who buys which."""

from dataclasses import dataclass

CURRENCIES = ("usd", "eur", "gbp", "jpy", "kwd")

# What one dollar of the price list costs in minor units of a currency: a price list, no exchange rate.
_MINOR_PER_DOLLAR = {"usd": 100, "eur": 95, "gbp": 80, "jpy": 150, "kwd": 310}
_ROUND_TO = {"usd": 100, "eur": 100, "gbp": 100, "jpy": 100, "kwd": 50}


@dataclass(frozen=True)
class Plan:
    """A plan; `dollars` is its price in the default currency, `weight` how many of a thousand customers choose it."""

    name: str
    dollars: int
    interval: str
    weight: float


PLANS = (
    Plan("Starter", 29, "month", 400),
    Plan("Team", 99, "month", 320),
    Plan("Business", 249, "month", 130),
    Plan("Scale", 749, "month", 45),
    Plan("Enterprise", 1_900, "month", 14),
    Plan("Enterprise Plus", 4_800, "month", 6),
    Plan("Starter yearly", 290, "year", 40),
    Plan("Team yearly", 950, "year", 33),
    Plan("Business yearly", 2_400, "year", 12),
)


def amount(plan: Plan, currency: str) -> int:
    """The plan's price in minor units, rounded as price lists are."""
    step = _ROUND_TO[currency]
    return max(step, round(plan.dollars * _MINOR_PER_DOLLAR[currency] / step) * step)
