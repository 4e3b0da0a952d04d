"""A finding of the health card."""

from dataclasses import dataclass
from enum import StrEnum


class Severity(StrEnum):
    PROBLEM = "problem"  # money is not found, or not got back
    ATTENTION = "attention"  # something goes worse than it could
    NOTE = "note"  # good to know


class Place(StrEnum):
    """Where a finding is put right."""

    NOWHERE = "nowhere"  # by waiting, or by whoever runs this PHANTOM
    SETTINGS = "settings"
    HUNTS = "hunts"
    STRIPE_KEYS = "stripe_keys"
    STRIPE_MAILS = "stripe_mails"
    STRIPE_PORTAL = "stripe_portal"
    STRIPE_WEBHOOKS = "stripe_webhooks"
    STRIPE_INVOICES = "stripe_invoices"
    RESEND_DOMAINS = "resend_domains"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong. `code` is stable; `details` may name objects and carry a provider's own words."""

    code: str
    severity: Severity
    title: str
    meaning: str
    remedy: str
    place: Place
    details: tuple[str, ...] = ()
