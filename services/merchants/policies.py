"""What a merchant may decide about recovery, with their defaults; stored as JSON on the merchant."""

import functools
import json
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from core.errors import BadRequestError
from services.merchants.usual_lines import usual_line

LONGEST_GRACE = 24 * 28
BILLING_REASONS = ("subscription_cycle", "subscription_update", "subscription_threshold")


class InvalidPolicyError(BadRequestError):
    code, title = "invalid_policy", "This policy cannot be used"


class OwnRetries(StrEnum):
    AFTER_STRIPE = "after_stripe"
    WITH_STRIPE = "with_stripe"
    OFF = "off"


class RecoveryPolicy(BaseModel):
    """Hours and counts; lines in minor units per currency."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    # Nothing is sent to anybody until a person has seen what was found and says go.
    paused: bool = True
    going_since: datetime | None = None  # when the merchant last said go: written with it, and not to be chosen
    billing_reasons: frozenset[str] = frozenset({"subscription_cycle"})
    unpaid_has_access: bool = True
    grace_hours: dict[str, int] = Field(default_factory=lambda: {"technical": 24})
    cooldown_hours: int = Field(default=72, ge=1, le=24 * 28)
    messages_per_ghost: int = Field(default=3, ge=1, le=3)
    messages_per_customer_week: int = Field(default=2, ge=1, le=7)
    window_days: int = Field(default=28, ge=1, le=60)
    quiet_from_hour: int = Field(default=21, ge=0, le=24)
    quiet_until_hour: int = Field(default=8, ge=0, le=23)
    quiet_first_message: bool = False
    sms: bool = False  # where mail cannot, and only with recorded consent
    own_retries: OwnRetries = OwnRetries.AFTER_STRIPE
    high_value_lines: dict[str, int | None] = Field(default_factory=dict)
    alert_lines: dict[str, int] = Field(default_factory=dict)  # a coming charge above it is at risk
    protection_mails: bool = False  # before a charge at risk; off, because banks and networks renew most cards
    polite_note: bool = True  # one, to who told their bank to stop, and nothing after it

    @model_validator(mode="after")
    def _hours_make_a_window(self) -> "RecoveryPolicy":
        if self.quiet_until_hour >= self.quiet_from_hour:
            raise ValueError("the hours in which messages may go must begin before they end")
        if not self.billing_reasons <= set(BILLING_REASONS):
            raise ValueError(f"billing reasons are {', '.join(BILLING_REASONS)}")
        if any(line < 0 for line in self.alert_lines.values()):
            raise ValueError("an alert line is an amount")
        if any(not 0 <= hours <= LONGEST_GRACE for hours in self.grace_hours.values()):
            raise ValueError(f"grace is 0 to {LONGEST_GRACE} hours")
        return self

    def high_value_line(self, currency: str) -> int | None:
        """The line above which a person decides, minor units; None when it is switched off or no usual one is known."""
        if currency in self.high_value_lines:
            return self.high_value_lines[currency]
        return usual_line(currency)

    def grace(self, decline_group: str) -> timedelta:
        """How long after the failure the first message waits."""
        return timedelta(hours=self.grace_hours.get(decline_group, 0))

    @property
    def cooldown(self) -> timedelta:
        return timedelta(hours=self.cooldown_hours)

    @property
    def window(self) -> timedelta:
        return timedelta(days=self.window_days)

    def ends(self, found_at: datetime, reopened_at: datetime | None = None) -> datetime:
        """When a ghost's window is over. It begins when it was found or opened again, and not before the merchant's go:
        who takes a month to decide has not used it up."""
        begins = (each for each in (found_at, reopened_at, self.going_since) if each is not None)
        return max(begins) + self.window


def parse_policy(stored: dict[str, Any]) -> RecoveryPolicy:
    """The policy stored on a merchant, defaults filled in. Raises `InvalidPolicyError` with the field named."""
    try:
        return RecoveryPolicy.model_validate(stored)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        where = ".".join(map(str, first["loc"])) or "policy"
        raise InvalidPolicyError(f"{where}: {first['msg']}") from None


@functools.lru_cache(maxsize=1024)
def stored_policy(text: str) -> RecoveryPolicy:
    """The same of a policy as JSON text: nearly each transaction asks, and a policy changes a few times a year."""
    return parse_policy(json.loads(text))
