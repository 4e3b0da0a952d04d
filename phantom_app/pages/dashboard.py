"""Dashboard: what is leaking, what came back, and where it is stuck."""

import reflex as rx

from phantom_app import routes
from phantom_app.components import charts
from phantom_app.components.health_card import health_notice
from phantom_app.components.money_hero import money_hero
from phantom_app.components.next_hour import next_hour_panel
from phantom_app.components.parts import badge, calling, empty, link, page_head, panel, segments, skeletons
from phantom_app.components.sending import off_notice
from phantom_app.components.shell import framed
from phantom_app.pages.page import Page
from phantom_app.state.dashboard import PERIODS, Dashboard
from phantom_app.state.health_card import HealthCard
from phantom_app.state.next_hour import NextHour
from phantom_app.state.sending import Sending
from phantom_app.state.shell import Shell


def _controls() -> tuple[rx.Component, ...]:
    return (
        rx.cond(
            Dashboard.several_currencies,
            rx.el.select(
                rx.foreach(Dashboard.currencies, lambda code: rx.el.option(code.upper(), value=code)),
                value=Dashboard.currency,
                on_change=Dashboard.choose_currency,
                class_name="select",
                aria_label="Currency",
                data_testid="currency",
            ),
        ),
        segments(
            "Period",
            *[(f"{days} days", Dashboard.days == days, calling(Dashboard.choose_days, days)) for days in PERIODS],
            test_id="period",
        ),
    )


def _nothing_yet() -> rx.Component:
    return empty(
        "No ghost has been found yet",
        "PHANTOM looks through your open Stripe invoices twice a day and listens to Stripe in between. "
        "Start a hunt now, and what it finds appears here.",
        link("Start a hunt", to=routes.WELCOME, class_name="button primary"),
    )


def _presence() -> rx.Component:
    seen = rx.el.p(
        rx.el.strong(Dashboard.presence.customers, class_name="number", data_testid="active-customers"),
        " used your product in the last 7 days and have not paid: ",
        rx.el.strong(Dashboard.presence.amount, class_name="number", data_testid="active-amount"),
        ". ",
        link("Show them first", to=routes.RECOVERIES, class_name="text-link"),
    )
    untold = rx.el.p(
        "PHANTOM has not been told of any use yet. Once your application asks who may come in, customers who use it "
        "without having paid appear here.",
        class_name="soft",
        data_testid="no-presence",
    )
    return panel(
        "Unpaid and active",
        f"As of now, {Dashboard.currency.upper()}",
        rx.cond(Dashboard.loaded, rx.cond(Dashboard.presence.is_told, seen, untold), skeletons(1, "24px")),
        test_id="presence-panel",
    )


def _merits() -> rx.Component:
    """Under the headline: by what it came back, and that this is no proof of what PHANTOM caused."""
    nothing = empty("Nothing came back yet", "What is paid after it was found appears here.", inset=True)
    caveat = rx.el.p(
        "This is what came before each payment, not what caused it: some would have paid anyway. How much came back "
        "because of PHANTOM needs a holdout, and none is running.",
        class_name="soft tiny",
        data_testid="merits-caveat",
    )
    shown = rx.fragment(charts.merits(), caveat)
    return panel(
        "How it came back",
        f"Recovered, {Dashboard.period}, {Dashboard.currency.upper()}",
        rx.cond(Dashboard.loaded, rx.cond(Dashboard.merits, shown, nothing), skeletons(3, "24px")),
        test_id="merits-panel",
    )


def _made_safe() -> rx.Component:
    """Only where something was: most merchants watch no charge before it fails."""
    return rx.cond(
        Dashboard.made_safe,
        panel(
            "How it was made safe",
            f"Protected, {Dashboard.period}, {Dashboard.currency.upper()}",
            rx.fragment(
                charts.made_safe(),
                rx.el.p(
                    "This is what came before each charge was made safe, not what caused it. What is refunded of it "
                    "later stays in the sum: the charge went through.",
                    class_name="soft tiny",
                    data_testid="made-safe-said",
                ),
            ),
            test_id="made-safe-panel",
        ),
    )


def _funnel() -> rx.Component:
    """With what its last step leaves out, so that nobody looks there for the figure Recovered."""
    said = rx.el.p(
        "Each step counts those of the step before. What was paid without a click on our link is in Recovered above, "
        "and what was refunded in full does not count here.",
        class_name="soft tiny",
        data_testid="funnel-said",
    )
    return rx.fragment(charts.funnel(), said)


def _charts() -> rx.Component:
    return rx.fragment(
        _merits(),
        _made_safe(),
        rx.el.div(next_hour_panel(), _presence(), class_name="columns stretch"),
        panel(
            "Found and guarded",
            f"{Dashboard.period}, {Dashboard.currency.upper()}",
            rx.cond(Dashboard.loaded, charts.trend(), skeletons(5, "34px")),
            aside=rx.el.div(badge("Found", "leaking"), badge("Guarded", "recovered"), class_name="legend"),
            test_id="trend-panel",
        ),
        rx.el.div(
            panel(
                "From found to recovered",
                f"Ghosts found in the last {Dashboard.days} days: who was written to, clicked, and then paid",
                rx.cond(Dashboard.loaded, _funnel(), skeletons(4, "24px")),
                test_id="funnel-panel",
            ),
            panel(
                "Why it leaks",
                f"Open ghosts as of now, {Dashboard.currency.upper()}",
                rx.cond(
                    Dashboard.loaded,
                    rx.cond(
                        Dashboard.slices,
                        charts.slices(),
                        empty("Nothing is leaking", "Every recurring invoice is paid.", inset=True, test_id="no-leak"),
                    ),
                    skeletons(4, "24px"),
                ),
                test_id="categories-panel",
            ),
            class_name="columns stretch",
        ),
    )


def dashboard() -> rx.Component:
    under = rx.cond(
        Dashboard.last_hunt != "", f"{Dashboard.period} · last hunt {Dashboard.last_hunt}", Dashboard.period
    )
    return framed(
        routes.DASHBOARD,
        page_head("Dashboard", rx.cond(Dashboard.loaded, under, "Loading your figures"), *_controls()),
        health_notice(),
        off_notice(),
        money_hero(),
        rx.cond(Dashboard.loaded & Dashboard.empty, _nothing_yet(), _charts()),
    )


PAGE = Page(
    routes.DASHBOARD,
    "Dashboard – PHANTOM",
    dashboard,
    on_load=[Shell.enter, Dashboard.load, Sending.load, HealthCard.load, NextHour.load],
)
