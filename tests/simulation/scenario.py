"""A merchant and its customers out of a seed: who they are, which cards they have, and when those fail."""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

from sandbox.stripe.cards import APPROVED, REQUIRES_ACTION, Attempt, Outcome, declined
from sandbox.stripe.periods import shift

HOUR, DAY = 3600, 86_400
GHOSTS = 10
RETRIES: tuple[tuple[float, ...], ...] = ((3, 5, 7, 7), (3, 5, 7, 7), (1, 3, 5), (2,))

# Country, currency, a usual and a high price in minor units, and zones whose hours the recipient lives by.
PLACES: tuple[tuple[str, str, int, int, tuple[str, ...]], ...] = (
    ("US", "usd", 4_900, 180_000, ("America/New_York", "America/Chicago", "America/Los_Angeles", "Pacific/Honolulu")),
    ("US", "usd", 2_900, 150_000, ("America/New_York", "America/Chicago", "America/Los_Angeles", "Pacific/Honolulu")),
    ("GB", "gbp", 3_900, 120_000, ("Europe/London",)),
    ("DE", "eur", 4_500, 130_000, ("Europe/Berlin",)),
    ("JP", "jpy", 6_800, 210_000, ("Asia/Tokyo",)),
    ("KW", "kwd", 14_500, 400_000, ("Asia/Kuwait",)),
)

PHONES = {
    "US": "+12015550{:03}", "GB": "+4474001234{:02}", "DE": "+49151234567{:02}", "JP": "+8190123456{:02}",
    "KW": "+965500123{:02}",
}  # fmt: skip
# The language somebody is written to in where Stripe knows none that PHANTOM writes: their country's, else English.
SPOKEN = {"DE": "de"}

# Decline code, weight, and after how many hours the same card works again (None: never).
TROUBLES: tuple[tuple[str, float, tuple[float, float] | None], ...] = (
    ("insufficient_funds", 5, (12, 30 * 24)),
    ("expired_card", 3, None),
    ("requires_action", 2.5, None),
    ("authentication_required", 1, None),
    ("do_not_honor", 2, (24, 40 * 24)),
    ("generic_decline", 1.5, None),
    ("processing_error", 2, (2, 72)),
    ("lost_card", 1, None),
    ("fraudulent", 0.5, None),
    ("card_velocity_exceeded", 0.7, (24, 96)),
    ("transaction_not_allowed", 0.5, None),
    ("stop_payment_order", 0.6, None),
    ("duplicate_transaction", 0.2, (24, 48)),
    ("invalid_amount", 0.2, None),
    ("never_heard_of_it", 0.3, (24, 240)),
)


@dataclass
class Customer:
    """One customer. Moments are Unix seconds."""

    name: str
    email: str
    country: str
    currency: str
    zones: tuple[str, ...]
    amount: int
    interval: str
    renews_at: int
    subscriptions: int = 1
    code: str = ""  # empty: the card is fine
    cured_at: float = float("inf")
    id: str = ""
    phone: str = ""
    agrees: bool = False  # to texts
    bounces: bool = False  # mail to them comes back
    language: str = ""  # as Stripe knows it; empty: that of the country
    expires: bool = False  # the card ends before the charge
    held_out: bool = False  # of those from whom messages and charges are withheld, to learn what they are worth
    high: bool = False  # above the merchant's line: a person decides
    subscription_ids: list[str] = field(default_factory=list)

    @property
    def reads(self) -> str:
        """The language they are to be written to in."""
        known = self.language.partition("-")[0]
        return known if known in ("en", "de", "es", "fr", "pt") else SPOKEN.get(self.country, "en")

    @property
    def needs_a_person(self) -> bool:
        """Whether a failed payment of theirs waits for somebody at the merchant's."""
        return self.code not in ("", "stop_payment_order") and (self.high or self.code == "invalid_amount")


@dataclass(frozen=True)
class Scenario:
    """What a seed begins with."""

    begins: float
    customers: tuple[Customer, ...]
    policy: dict[str, Any]
    timezone: str
    shape: str
    retry_days: list[float]
    after_last: str
    own_mail: bool  # the merchant sends with a mail key of its own
    carrier_stops: bool  # Twilio itself lets nothing through after a STOP
    has_team: bool  # an owner gets the weekly digest
    is_billed: bool  # the operator bills the merchant by what is recovered
    keeps_days: int  # after how many days people are forgotten; 0: later than any seed goes
    own_words: tuple[str, ...]  # the languages in which the merchant has words of its own
    promises: bool  # and those of its first message speak of another attempt

    @property
    def mail_hours(self) -> tuple[int, int]:
        """From which hour to which the merchant lets mail go."""
        return self.policy.get("quiet_until_hour", 8), self.policy.get("quiet_from_hour", 21)

    @classmethod
    def draw(cls, chance: Random, days: int) -> "Scenario":
        begins = 1_767_225_600 + chance.randrange(330 * DAY) + chance.random()  # some moment of 2026
        policy = _policy(chance)
        people = [_customer(chance, number, begins, days, policy) for number in range(GHOSTS + 2)]
        for lucky in people[GHOSTS:]:
            lucky.code = ""
        held_out = chance.choice((0.0, 0.0, 0.0, 0.0, 0.0, 0.3))
        for one in people:
            one.held_out = chance.random() < held_out
        return cls(
            begins=begins,
            customers=tuple(people),
            policy=policy,
            timezone=chance.choice(("UTC", "Europe/Berlin", "America/New_York", "Asia/Tokyo")),
            shape=chance.choice(("basil", "basil", "acacia")),
            retry_days=list(chance.choice(RETRIES)),
            after_last=chance.choice(("unpaid", "unpaid", "cancel", "past_due")),
            own_mail=chance.random() < 0.4,
            carrier_stops=chance.random() < 0.5,
            has_team=chance.random() < 0.25,
            is_billed=chance.random() < 0.25,
            keeps_days=chance.choice((0, 0, 0, 9, 20)),
            own_words=chance.choice(((), (), ("en", "de"), ("es", "fr", "pt"))),
            promises=chance.random() < 0.5,
        )


def _customer(chance: Random, number: int, begins: float, days: int, policy: dict[str, Any]) -> Customer:
    country, currency, usual, high, zones = chance.choice(PLACES)
    code, _, cure = chance.choices(TROUBLES, [weight for _, weight, _ in TROUBLES])[0]
    is_high = chance.random() < 0.06
    reached, expires = chance.random(), chance.random() < 0.12
    if expires:
        code, cure = chance.choice(("expired_card", "expired_card", "")), None
    renews = int(begins + chance.uniform(0.02, 0.6) * days * DAY)
    # Where the merchant texts, many are there whom nothing else reaches.
    nowhere, has_phone, agrees = (0.45, 0.95, 0.85) if policy["sms"] else (0.1, 0.6, 0.7)
    return Customer(
        name=f"Customer {number:02}",
        email=f"customer{number:02}@example.com" if reached > nowhere else "",
        phone=PHONES[country].format(number) if chance.random() < has_phone else "",
        agrees=chance.random() < agrees,
        bounces=nowhere < reached < nowhere + 0.1,
        language=chance.choice(("", "", "de-AT", "es", "fr", "pt-BR", "en", "nl")),
        country=country,
        currency=currency,
        zones=zones,
        amount=high if is_high else usual,
        high=is_high,
        expires=expires,
        interval=chance.choices(("year", "month", "week"), (70, 18, 12))[0],
        renews_at=renews,
        subscriptions=2 if chance.random() < 0.08 else 1,
        code=code,
        cured_at=renews + chance.uniform(*cure) * HOUR if cure else float("inf"),
    )


def _policy(chance: Random) -> dict[str, Any]:
    hours = {"quiet_until_hour": 7, "quiet_from_hour": 23} if chance.random() < 0.3 else {}
    return hours | {
        "paused": False,
        "cooldown_hours": chance.choice((24, 48, 72, 72)),
        "messages_per_ghost": chance.choice((1, 2, 3, 3, 3)),
        "messages_per_customer_week": chance.choice((1, 2, 2, 3)),
        "window_days": chance.choice((10, 21, 28)),
        "quiet_first_message": chance.random() < 0.4,
        "unpaid_has_access": chance.random() < 0.8,
        "own_retries": chance.choice(("after_stripe", "after_stripe", "with_stripe", "off")),
        "sms": chance.random() < 0.65,
        "protection_mails": chance.random() < 0.5,
        "alert_lines": {currency: (usual + high) // 2 for _, currency, usual, high, _ in PLACES}
        if chance.random() < 0.3
        else {},
        "polite_note": chance.random() < 0.7,
        "grace_hours": chance.choice(({"technical": 24}, {}, {"technical": 24, "funds": 48})),
    }


def month_before(moment: int) -> tuple[int, int]:
    """The last month, and its year, in which a card is good that ends before `moment`."""
    day = datetime.fromtimestamp(moment, UTC).replace(day=1) - timedelta(days=1)
    return day.month, day.year


def began_at(customer: Customer) -> int:
    """When a subscription began that renews at the customer's moment for the first time."""
    return shift(customer.renews_at, -1, customer.interval)


def bank(customer: Customer | None, attempt: Attempt, chance: Random) -> Outcome:
    """Whether the bank lets a charge pass. Cards beyond the first are new ones, and most of them work."""
    if customer is None or (attempt.invoice or {}).get("billing_reason") == "subscription_create":
        return APPROVED
    told = attempt.behaviour.get("told")
    if told is None:  # the card that fails
        if not customer.code or attempt.now >= customer.cured_at:
            return APPROVED
        if customer.code in ("requires_action", "authentication_required"):
            if attempt.authenticated:
                return APPROVED
            if customer.code == "requires_action" or attempt.source == "customer":
                return REQUIRES_ACTION
        return declined(customer.code)
    return APPROVED if told == "good" else declined("do_not_honor")
