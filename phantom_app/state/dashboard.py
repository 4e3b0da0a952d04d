"""The dashboard's figures as text, for one currency and one period."""

from collections.abc import Sequence
from dataclasses import dataclass

import reflex as rx

from core import clock
from phantom_app import live
from phantom_app.guard import allow, principal
from phantom_app.state import charts, formats, words
from phantom_app.state.access import as_tenant
from phantom_app.state.charts import Column
from phantom_app.state.next_hour import NextHour
from phantom_app.theme import Tone
from services.analytics import service as analytics
from services.analytics.schemas import (
    FAILED_AFTER_ALL,
    GIVEN_BACK,
    MERIT_WORDS,
    WENT_BACK,
    Figure,
    Funnel,
    Hero,
    MadeSafe,
    Merit,
)
from services.analytics.schemas import Dashboard as Figures
from services.identity.permissions import Permission
from services.recovery.overview import Overview, overview
from services.recovery.presence import Active

PERIODS = analytics.PERIODS


@dataclass(frozen=True)
class FigureView:
    """One figure with what it may never be without: its period, its currency and its change."""

    key: str
    label: str
    value: str
    period: str
    change: str
    note: str
    tone: str


@dataclass(frozen=True)
class StepView:
    """One step of the funnel; `share` is of the first step."""

    label: str
    count: str
    share: str
    width: str
    tone: str


@dataclass(frozen=True)
class SliceView:
    """A part of a whole, as a bar."""

    label: str
    amount: str
    count: str
    width: str
    tone: str


@dataclass(frozen=True)
class PresenceView:
    """Who uses the product without having paid; `is_told` False as long as nobody was seen at all."""

    is_told: bool
    customers: str
    amount: str


class Dashboard(rx.State):
    """Everything the dashboard shows; rebuilt by every load."""

    loaded: bool = False
    empty: bool = False
    days: int = 30
    currency: str = ""
    currencies: list[str] = []
    several_currencies: bool = False
    period: str = ""
    as_of: str = ""
    last_hunt: str = ""
    guarded: FigureView = FigureView("", "", "", "", "", "", "")
    figures: list[FigureView] = []
    funnel: list[StepView] = []
    columns: list[Column] = []
    axis: list[str] = []
    slices: list[SliceView] = []
    merits: list[SliceView] = []
    made_safe: list[SliceView] = []
    trend_summary: str = ""
    presence: PresenceView = PresenceView(False, "", "")

    async def _fill(self) -> None:
        currency, days = self.currency or None, self.days

        self._show(await as_tenant(lambda session, merchant: overview(session, merchant, currency=currency, days=days)))

    def _show(self, found: Overview) -> None:
        now, shown = clock.now(), found.figures
        self.currency = shown.currency
        self.currencies, self.several_currencies = list(shown.currencies), len(shown.currencies) > 1
        self.period = f"{formats.day(shown.since)} – {formats.day(shown.until)}"
        self.as_of = formats.moment(shown.as_of)
        self.last_hunt = formats.distance(shown.last_hunt_at, now) if shown.last_hunt_at else ""
        self.empty = not shown.funnel.found and not shown.hero.open_ghosts and not shown.hero.revenue_guarded.value
        self.guarded, *self.figures = figures_of(shown)
        self.funnel = steps_of(shown.funnel)
        self.columns, self.axis = charts.trend(shown.series, shown.currency)
        leaked = sum(point.found for point in shown.series)
        guarded = shown.hero.revenue_guarded.value
        self.trend_summary = (
            f"{formats.money(leaked, shown.currency)} found and {formats.money(guarded, shown.currency)} "
            f"guarded from {self.period}"
        )
        whole = max((each.amount for each in shown.categories), default=0)
        self.slices = [
            SliceView(
                words.GROUPS.get(each.group, words.plain(each.group)),
                formats.money(each.amount, shown.currency),
                formats.plural(each.count, "ghost"),
                formats.width(each.amount, whole),
                Tone.LEAKING.value,
            )
            for each in sorted(shown.categories, key=lambda each: -each.amount)
        ]
        self.merits = merit_views(found.came_by, shown.hero, shown.currency)
        self.made_safe = made_safe_views(found.made_safe, shown.currency)
        self.presence = presence_view(found.active, shown.currency)
        self.loaded = True

    @rx.event
    @allow(Permission.DASHBOARD_READ)
    async def load(self) -> None:
        live.watch(self, principal().merchant_id, Dashboard.refresh)
        await self._fill()

    @rx.event
    @allow(Permission.DASHBOARD_READ)
    async def refresh(self) -> None:
        """The merchant's figures changed while somebody looks at them."""
        await self._fill()
        await (await self.get_state(NextHour))._fill()

    @rx.event
    @allow(Permission.DASHBOARD_READ)
    async def choose_days(self, days: int) -> None:
        self.days = days if days in PERIODS else 30
        await self._fill()

    @rx.event
    @allow(Permission.DASHBOARD_READ)
    async def choose_currency(self, currency: str) -> None:
        self.currency = currency if currency in self.currencies else ""
        await self._fill()


def figures_of(shown: Figures) -> list[FigureView]:
    """MoneyHero's figures, the one that matters most first."""
    hero, currency = shown.hero, shown.currency
    period = f"last {shown.days} days, {currency.upper()}"
    before = f"against the {shown.days} days before"

    def moved(key: str, label: str, figure: Figure, note: str, tone: Tone) -> FigureView:
        change = formats.change(figure.value, figure.previous)
        suffix = f" {before}" if figure.previous is not None else ""
        return FigureView(
            key, label, formats.money(figure.value, currency), period, f"{change}{suffix}", note, tone.value
        )

    def standing(key: str, label: str, amount: int, note: str, tone: Tone) -> FigureView:
        return FigureView(
            key, label, formats.money(amount, currency), f"as of now, {currency.upper()}", "", note, tone.value
        )

    rate = f"{hero.recovery_rate:.0%} of what was found" if hero.recovery_rate is not None else "nothing found yet"
    back = formats.plural(hero.recovered_count.value, "invoice")
    if (gone := hero.reversed.value) > 0:
        back += f" less {formats.money(gone, currency)} that went back"
    elif gone:
        back += f" and {formats.money(-gone, currency)} given back"
    return [
        moved(
            "guarded", "Revenue guarded", hero.revenue_guarded,
            "recovered and protected together, less refunds and disputes", Tone.NEUTRAL,
        ),
        moved(
            "recovered", "Recovered", hero.recovered, f"{back}, {rate}", Tone.RECOVERED,
        ),
        standing(
            "shadow", "Shadow leakage", hero.shadow_leakage,
            "a month, of subscriptions with an unpaid ghost", Tone.LEAKING,
        ),
        standing("impending", "Impending risk", hero.impending_risk, "next charges likely to fail", Tone.AT_RISK),
        FigureView(
            "health", "Leakage health", f"{hero.health} / 100" if hero.health is not None else formats.NONE,
            f"last 30 days, {currency.upper()}", "",
            "100 is nothing lost of what was billed"
            if hero.health is not None else "nothing billed in the last 30 days",
            Tone.NEUTRAL.value,
        ),
    ]  # fmt: skip


def merit_views(came_by: Sequence[Merit], hero: Hero, currency: str) -> list[SliceView]:
    """By what money came back, as shares of it, and what went back: together the figure Recovered."""
    gone = hero.reversed.value
    whole = max(sum(each.amount for each in came_by), abs(gone))
    views = [_by(each, currency, "payment", whole, Tone.RECOVERED) for each in came_by]
    if gone:
        label, tone = (WENT_BACK, Tone.LEAKING) if gone > 0 else (GIVEN_BACK, Tone.RECOVERED)
        times = formats.times(abs(hero.reversed_count)) if hero.reversed_count else ""
        share = formats.width(abs(gone), whole)
        views.append(SliceView(label, formats.money(-gone, currency), times, share, tone.value))
    return views


def made_safe_views(found: MadeSafe, currency: str) -> list[SliceView]:
    """By what charges were made safe, and what of them failed after all: together the figure Protected."""
    whole = max(sum(each.amount for each in found.merits), found.failed)
    views = [_by(each, currency, "charge", whole, Tone.PROTECTED) for each in found.merits]
    if found.failed_count:
        views.append(
            SliceView(
                FAILED_AFTER_ALL,
                formats.money(-found.failed, currency),
                formats.plural(found.failed_count, "charge"),
                formats.width(found.failed, whole),
                Tone.LEAKING.value,
            )
        )
    return views


def _by(merit: Merit, currency: str, what: str, whole: int, tone: Tone) -> SliceView:
    return SliceView(
        MERIT_WORDS[merit.mechanism],
        formats.money(merit.amount, currency),
        formats.plural(merit.count, what),
        formats.width(merit.amount, whole),
        tone.value,
    )


def presence_view(active: Active, currency: str) -> PresenceView:
    """The measure in words; nothing is claimed before anybody was seen."""
    word = "customer" if active.customers == 1 else "customers"
    return PresenceView(
        active.is_told, f"{formats.count(active.customers)} {word}", formats.money(active.amount, currency)
    )


def steps_of(funnel: Funnel) -> list[StepView]:
    """The cohort of the period from found to recovered, each of the step before."""
    steps = (
        ("Found", funnel.found, Tone.LEAKING),
        ("Messaged", funnel.messaged, Tone.IN_RECOVERY),
        ("Clicked", funnel.clicked, Tone.IN_RECOVERY),
        ("Recovered", funnel.recovered, Tone.RECOVERED),
    )
    return [
        StepView(
            label,
            formats.count(number),
            formats.share(number, funnel.found),
            formats.width(number, funnel.found),
            tone.value,
        )
        for label, number, tone in steps
    ]
