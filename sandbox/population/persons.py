"""Customers, each a pure function of the seed and a number: what everyone can see of them, and what nobody can."""

from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from functools import cached_property
from zoneinfo import ZoneInfo

from sandbox.population import names
from sandbox.population.draws import Draws
from sandbox.population.plans import PLANS, Plan

DAY, HOUR = 86_400, 3_600


class Nature(StrEnum):
    """Why payments of this customer fail, if they do. Hidden: it only shows in outcomes."""

    STEADY = "steady"
    PAYDAY = "payday"  # funds come once a month
    VAGUE = "vague"  # an issuer that declines without a reason
    SECURE = "secure"  # an issuer that wants 3-D Secure now and then
    EXPIRING = "expiring"  # a card that ends within the history
    FLAGGED = "flagged"  # lost, stolen, blocked from some day on
    LEAVER = "leaver"  # tells the bank to stop
    UNUSABLE = "unusable"  # a card that cannot be charged here any more


_NATURES = (
    (Nature.STEADY, 0.695), (Nature.PAYDAY, 0.105), (Nature.VAGUE, 0.06), (Nature.SECURE, 0.055),
    (Nature.EXPIRING, 0.045), (Nature.FLAGGED, 0.02), (Nature.LEAVER, 0.012), (Nature.UNUSABLE, 0.013),
)  # fmt: skip
_COUNTRIES = (
    ("us", 0.47), ("gb", 0.12), ("de", 0.10), ("ca", 0.06), ("fr", 0.055), ("in", 0.04), ("br", 0.035),
    ("es", 0.03), ("jp", 0.035), ("au", 0.025), ("nl", 0.02), ("kw", 0.01),
)  # fmt: skip
_ZONES = {
    "us": ("America/New_York", "America/Chicago", "America/Denver", "America/Los_Angeles"),
    "gb": ("Europe/London",), "de": ("Europe/Berlin",), "fr": ("Europe/Paris",), "es": ("Europe/Madrid",),
    "br": ("America/Sao_Paulo",), "jp": ("Asia/Tokyo",), "kw": ("Asia/Kuwait",), "in": ("Asia/Kolkata",),
    "ca": ("America/Toronto", "America/Vancouver"), "au": ("Australia/Sydney",), "nl": ("Europe/Amsterdam",),
}  # fmt: skip
_LANGUAGES = {"de": "de-DE", "fr": "fr-FR", "es": "es-ES", "br": "pt-BR", "jp": "ja-JP", "nl": "nl-NL", "gb": "en-GB"}
# Local currency and how many of the country's customers are billed in it; the rest pay in the merchant's own.
_BILLED_IN = {
    "de": ("eur", 0.5), "fr": ("eur", 0.5), "es": ("eur", 0.4), "nl": ("eur", 0.5),
    "gb": ("gbp", 0.5), "jp": ("jpy", 0.7), "kw": ("kwd", 0.8),
}  # fmt: skip
_BRANDS = (("visa", 0.52), ("mastercard", 0.33), ("amex", 0.1), ("discover", 0.05))
_PAYDAYS = ((1, 0.35), (15, 0.2), (25, 0.25), (28, 0.2))
MONTHLY_CHURN = 0.016


@dataclass(frozen=True)
class CardLook:
    """What a card shows."""

    brand: str
    funding: str
    country: str
    last4: str
    exp_month: int
    exp_year: int


@dataclass(frozen=True)
class Person:
    """One customer. `origin` is when the business opens its books (Unix seconds), `span` how long they are kept."""

    draws: Draws
    index: int
    origin: int
    span: int

    # -- what everyone can see -----------------------------------------------------------------------------------

    @cached_property
    def country(self) -> str:
        return self.draws.weighted(_COUNTRIES, "country")

    @cached_property
    def name(self) -> str:
        return names.full_name(self.draws, self.country)

    @cached_property
    def email(self) -> str:
        return names.email(self.draws, self.name, self.index)

    @property
    def locale(self) -> str:
        return _LANGUAGES.get(self.country, "en-US")

    @cached_property
    def zone(self) -> ZoneInfo:
        return ZoneInfo(self.draws.pick(_ZONES[self.country], "zone"))

    @cached_property
    def currency(self) -> str:
        local, share = _BILLED_IN.get(self.country, ("usd", 1.0))
        return local if self.draws.chance(share, "currency") else "usd"

    @cached_property
    def plan(self) -> Plan:
        return self.draws.weighted([(plan, plan.weight) for plan in PLANS], "plan")

    def card(self, serial: int) -> CardLook:
        """Their card number `serial`, 0 being the first."""
        draws = self.draws.of("card", serial)
        brand = "jcb" if self.country == "jp" and draws.chance(0.3, "jcb") else draws.weighted(_BRANDS, "brand")
        tight = self.nature is Nature.PAYDAY
        fundings = (("debit", 0.6 if tight else 0.25), ("prepaid", 0.12 if tight else 0.02), ("credit", 0.4))
        expires = datetime.fromtimestamp(self._expiry(serial), UTC)
        abroad = draws.chance(0.04, "abroad")
        return CardLook(
            brand=brand,
            funding=draws.weighted(fundings, "funding"),
            country=(draws.pick(("us", "de", "fr"), "country") if abroad else self.country).upper(),
            last4=f"{int(draws.unit('last4') * 10_000):04d}",
            exp_month=expires.month,
            exp_year=expires.year,
        )

    def _expiry(self, serial: int) -> int:
        if serial == 0 and self.nature is Nature.EXPIRING:
            kept = self.origin + self.span - self.joins_at
            return self.joins_at + int(self.draws.between(0.1, 0.85, "expiry") * kept)
        years = 1 + 3 * self.draws.unit("expiry", serial)
        return self.origin + self.span + int(years * 365 * DAY)

    # -- when they come and go -----------------------------------------------------------------------------------

    @cached_property
    def joins_at(self) -> int:
        """Six in ten were there before the books open; the others come, more of them the later it gets."""
        if self.draws.chance(0.6, "base"):
            return self.origin
        return self.origin + int(self.span * self.draws.unit("joins") ** 0.8)

    @cached_property
    def since(self) -> int:
        """When the subscription's cycle began: for those who were there already, up to fourteen months ago."""
        if self.joins_at > self.origin:
            return self.joins_at
        return self.origin - int(self.draws.between(1, 420, "tenure") * DAY)

    @cached_property
    def leaves_at(self) -> int | None:
        """When they cancel of their own will, or None."""
        months = (self.origin + self.span - self.joins_at) / (30 * DAY)
        if not self.draws.chance(MONTHLY_CHURN * months, "leaves"):
            return None
        return self.joins_at + int(self.draws.between(0.1, 1, "leaves at") * (self.origin + self.span - self.joins_at))

    # -- what nobody can see -------------------------------------------------------------------------------------

    @cached_property
    def nature(self) -> Nature:
        return self.draws.weighted(_NATURES, "nature")

    @cached_property
    def payday(self) -> int:
        return self.draws.weighted(_PAYDAYS, "payday")

    @cached_property
    def tightness(self) -> float:
        """How empty the account is before payday, 0 to 1."""
        return self.draws.between(0.3, 0.98, "tightness")

    @cached_property
    def turns_at(self) -> int:
        """When a flagged, leaving or unusable card turns bad."""
        begin = max(self.joins_at, self.origin)
        return begin + int(self.draws.between(0.02, 0.95, "turns") * (self.origin + self.span - begin))

    def local(self, moment: int) -> datetime:
        """The clock on their wall."""
        return datetime.fromtimestamp(moment, self.zone)


@dataclass(frozen=True)
class Population:
    """All customers there could ever be, from one seed."""

    seed: str
    origin: int
    span: int

    def person(self, index: int) -> Person:
        return Person(Draws(f"{self.seed}:{index}"), index, self.origin, self.span)
