"""Preview before you start: every message of the next two weeks, for real ghosts, before anything is sent."""

import reflex as rx

from phantom_app import routes
from phantom_app.components.icons import icon
from phantom_app.components.parts import badge, calling, empty, link, page_head, pager, skeletons
from phantom_app.components.sending import start_button
from phantom_app.components.shell import framed
from phantom_app.pages.page import Page
from phantom_app.state.dry_run import ComingView, DryRun, OutlookView
from phantom_app.state.sending import Sending
from phantom_app.state.shell import Shell


def _preview(title: str) -> rx.Component:
    """Made from customers' data: an empty `sandbox` gives it no script, form or origin, and its links lead nowhere."""
    return rx.cond(
        DryRun.html != "",
        rx.el.iframe(src_doc=DryRun.html, sandbox="", title=title, class_name="mail", data_testid="mail-preview"),
        rx.el.pre(DryRun.plain, class_name="mail-plain", data_testid="mail-preview"),
    )


def _coming(view: ComingView) -> rx.Component:
    reading = DryRun.reading == view.key
    return rx.el.li(
        rx.el.button(
            rx.el.span(
                rx.el.span(view.subject, class_name="cell-main"),
                rx.el.span(view.about, class_name="cell-sub"),
            ),
            rx.el.span(
                rx.el.span(view.when, class_name="number nowrap"),
                rx.el.span(view.zone, " time", class_name="cell-sub"),
                class_name="end",
            ),
            on_click=calling(DryRun.toggle, view.ghost_id, view.step),
            aria_expanded=rx.cond(reading, "true", "false"),
            class_name="letter-head",
            type="button",
        ),
        rx.el.p(view.reason, class_name="soft small letter-reason"),
        rx.cond(reading, _preview(view.subject)),
        class_name="letter",
        data_testid="coming",
    )


def _outlook(view: OutlookView) -> rx.Component:
    return rx.el.li(
        rx.el.div(
            link(view.customer, to=view.link, class_name="cell-main"),
            rx.cond(view.standing != "", badge(view.standing, view.tone, data_testid="standing")),
            rx.el.span(view.amount, class_name="number strong outlook-amount"),
            class_name="outlook-head",
        ),
        rx.cond(
            view.silent,
            rx.el.p(view.ending, class_name="soft small outlook-none"),
            rx.fragment(
                rx.el.ol(rx.foreach(view.messages, _coming), class_name="letters"),
                rx.el.p("Then: ", view.ending, class_name="faint tiny outlook-none"),
            ),
        ),
        class_name="outlook",
        data_testid="outlook",
    )


def _list() -> rx.Component:
    return rx.fragment(
        rx.el.ul(rx.foreach(DryRun.rows, _outlook), class_name="outlooks"),
        pager(DryRun.range_text, DryRun.page > 1, DryRun.page < DryRun.pages, DryRun.go_back, DryRun.go_forward),
    )


def _disconnected() -> rx.Component:
    return rx.cond(
        ~DryRun.connected,
        rx.el.div(
            rx.el.span(
                rx.el.strong("No Stripe account is connected. "), "Nothing goes out until one is connected again."
            ),
            link("Settings", to=routes.SETTINGS, class_name="button"),
            class_name="notice calm",
            role="status",
            data_testid="disconnected",
        ),
    )


def _nobody() -> rx.Component:
    return empty(
        "Nobody would be written to",
        "There is no open ghost. When a recurring invoice fails, its messages appear here.",
        link("Start a hunt", to=routes.WELCOME, class_name="button"),
    )


def _not_allowed() -> rx.Component:
    return empty(
        "Messages are not yours to read",
        "Your role shows figures and ghosts. An owner or admin can give you one that reads messages.",
        test_id="not-allowed",
    )


def dry_run() -> rx.Component:
    return framed(
        routes.SETTINGS,
        link(icon("back"), "Settings", to=routes.SETTINGS, class_name="crumb small soft"),
        page_head(
            rx.cond(Sending.loaded & Sending.on, "Preview", "Preview before you start"),
            rx.cond(DryRun.loaded, DryRun.summary, "Playing the next two weeks"),
            rx.cond(Sending.loaded & ~Sending.on & DryRun.connected, start_button()),
        ),
        rx.el.p(
            "What would go out if nobody paid and nothing changed. Each message is checked with Stripe again right "
            "before it is sent; nothing is sent from this page.",
            class_name="soft small",
        ),
        rx.cond(
            DryRun.loaded,
            rx.fragment(
                _disconnected(),
                rx.cond(DryRun.may_read, rx.cond(DryRun.rows, _list(), _nobody()), _not_allowed()),
            ),
            skeletons(8, "36px"),
        ),
    )


PAGE = Page(routes.DRY_RUN, "Preview – PHANTOM", dry_run, on_load=[Shell.enter, DryRun.load, Sending.load])
