"""The health card as text: what is wrong, what it means, what to do, and when webhooks were last seen."""

from dataclasses import dataclass
from datetime import datetime

import reflex as rx

from core import clock
from phantom_app import routes
from phantom_app.guard import allow, principal
from phantom_app.state import formats
from phantom_app.state.access import as_platform, as_tenant
from phantom_app.theme import Tone
from services.identity.permissions import Permission
from services.operations import health
from services.operations.health_schemas import Finding, Place, Severity

_SHOWN = 2
"""How many findings the dashboard names; the rest are counted."""

_SEVERITIES = {
    Severity.PROBLEM: ("Problem", Tone.LEAKING),
    Severity.ATTENTION: ("Needs attention", Tone.AT_RISK),
    Severity.NOTE: ("Good to know", Tone.NEUTRAL),
}
_HERE = {
    Place.SETTINGS: ("Open Settings", routes.SETTINGS),
    Place.HUNTS: ("Look at hunts", routes.system("hunts")),
}
_AT_STRIPE = {
    Place.STRIPE_KEYS: ("Open keys in Stripe", "apikeys"),
    Place.STRIPE_MAILS: ("Open the mail settings in Stripe", "settings/billing/automatic"),
    Place.STRIPE_PORTAL: ("Open the portal's settings in Stripe", "settings/billing/portal"),
    Place.STRIPE_WEBHOOKS: ("Open webhooks in Stripe", "webhooks"),
    Place.STRIPE_INVOICES: ("Open invoices in Stripe", "invoices"),
}
_ELSEWHERE = {Place.RESEND_DOMAINS: ("Open domains at Resend", "https://resend.com/domains")}
_TYPES = {
    "invoice.payment_failed": "A payment failed",
    "invoice.payment_action_required": "A bank asks the customer to confirm",
    "invoice.paid": "An invoice was paid",
    "customer.subscription.updated": "A subscription changed",
    "payment_method.attached": "A customer added a card",
}


@dataclass(frozen=True)
class FindingRow:
    """One finding. `link` is empty where there is nothing to open; `outside` says that it leads away from PHANTOM."""

    code: str
    word: str
    tone: str
    title: str
    meaning: str
    remedy: str
    link: str
    link_text: str
    outside: bool
    details: list[str]


@dataclass(frozen=True)
class SeenRow:
    type: str
    what: str
    when: str


def stripe_page(path: str, *, livemode: bool) -> str:
    """A page of Stripe's dashboard, in the mode of the account."""
    return f"https://dashboard.stripe.com/{'' if livemode else 'test/'}{path}"


def finding_row(finding: Finding, *, livemode: bool, with_details: bool) -> FindingRow:
    """`with_details`: whether this person may see ids and providers' own words."""
    word, tone = _SEVERITIES[finding.severity]
    text, link, outside = _link(finding.place, livemode)
    return FindingRow(
        finding.code,
        word,
        tone.value,
        finding.title,
        finding.meaning,
        finding.remedy,
        link,
        text,
        outside,
        list(finding.details) if with_details else [],
    )


def _link(place: Place, livemode: bool) -> tuple[str, str, bool]:
    if place in _AT_STRIPE:
        text, path = _AT_STRIPE[place]
        return text, stripe_page(path, livemode=livemode), True
    if place in _ELSEWHERE:
        return *_ELSEWHERE[place], True
    text, path = _HERE.get(place, ("", ""))
    return text, path, False


def seen_row(kind: str, at: datetime | None, now: datetime) -> SeenRow:
    return SeenRow(kind, _TYPES.get(kind, kind), formats.distance(at, now) if at else "Never")


def summary(urgent: list[Finding]) -> str:
    """What the dashboard says of findings that need somebody: the first ones by name."""
    named = ". ".join(each.title for each in urgent[:_SHOWN])
    more = len(urgent) - _SHOWN
    return f"{named}." + (f" And {formats.count(more)} more." if more > 0 else "")


class HealthCard(rx.State):
    """Filled by the System page's Health tab, and by the dashboard for its short form."""

    loaded: bool = False
    connected: bool = False
    findings: list[FindingRow] = []
    seen: list[SeenRow] = []
    urgent: str = ""
    urgent_head: str = ""

    async def _fill(self) -> None:
        now = clock.now()
        facts = await as_tenant(health.merchant_facts)
        card = health.judge(await as_platform(lambda session, _merchant: health.with_intake(facts, session)))
        with_details = Permission.SETTINGS_READ in principal().permissions
        self.findings = [finding_row(each, livemode=card.livemode, with_details=with_details) for each in card.findings]
        self.seen = [seen_row(kind, at, now) for kind, at in card.seen.items()]
        self.connected = card.connected
        urgent = [each for each in card.findings if each.severity is not Severity.NOTE]
        self.urgent = summary(urgent) if urgent else ""
        self.urgent_head = f"{formats.plural(len(urgent), 'thing')} {'needs' if len(urgent) == 1 else 'need'} attention"
        self.loaded = True

    @rx.event
    @allow(Permission.DASHBOARD_READ)
    async def load(self) -> None:
        await self._fill()
