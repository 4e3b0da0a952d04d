"""Onboarding: connected, hunting, found, go."""

from typing import Any

import reflex as rx

from phantom_app import routes
from phantom_app.components.money_hero import figure_value
from phantom_app.components.parts import empty, link, page_head, skeletons
from phantom_app.components.public import connect_button
from phantom_app.components.sending import start_button
from phantom_app.components.shell import framed
from phantom_app.components.stripe_mails import QUESTION, stripe_mails_question
from phantom_app.pages.page import Page
from phantom_app.state.sending import Sending
from phantom_app.state.shell import Shell
from phantom_app.state.stripe_mails import StripeMails
from phantom_app.state.welcome import Welcome


def _number(label: str, value: Any, under: Any, test_id: str, tone: str = "neutral") -> rx.Component:
    return rx.el.div(
        rx.el.dt(label, class_name=f"key tone-{tone}"),
        rx.el.dd(
            figure_value(value, test_id),
            rx.el.span(under, class_name="figure-note"),
        ),
        class_name="figure",
    )


def _progress() -> rx.Component:
    return rx.el.section(
        rx.el.h2(
            rx.cond(
                Welcome.finished,
                "The hunt is done",
                rx.cond(
                    Welcome.failed,
                    "The hunt stopped",
                    rx.cond(
                        Welcome.running, "Hunting now", rx.cond(Welcome.waiting, "Starting", "No hunt has run yet")
                    ),
                ),
            ),
            aria_live="polite",
            data_testid="hunt-state",
        ),
        rx.cond(
            Welcome.running | Welcome.waiting,
            rx.el.div(
                rx.el.span(class_name="progress-run"), class_name="progress", role="progressbar", aria_label="Hunt"
            ),
        ),
        rx.el.dl(
            _number("Objects read", Welcome.listed, "invoices, payments, subscriptions", "hunt-listed"),
            _number("Ghosts found", Welcome.found, "unpaid, with access", "hunt-found", "leaking"),
            _number("Already known", Welcome.updated, "looked at again", "hunt-updated"),
            _number("Requests to Stripe", Welcome.requests, Welcome.took, "hunt-requests"),
            class_name="hero",
        ),
        class_name="stack",
        data_testid="hunt",
    )


def _result() -> rx.Component:
    return rx.cond(
        Welcome.finished,
        rx.el.section(
            rx.el.dl(
                _number("Leaking", Welcome.leaking, f"not recovered, {Welcome.currency}", "found-leaking", "leaking"),
                _number("Shadow leakage", Welcome.shadow, f"a month, {Welcome.currency}", "found-shadow", "leaking"),
                class_name="hero two",
            ),
            rx.cond(
                Sending.on,
                rx.el.p("Messages are on. ", Sending.planned, class_name="soft", role="status"),
                rx.el.p(
                    "Messages are off. Look first: the preview shows whom the next two weeks write to, when and why.",
                    class_name="soft",
                ),
            ),
            rx.el.p(
                "Choose ",
                link(
                    "who sends them",
                    to=routes.SETTINGS,
                    class_name="text-link",
                    data_testid="senders",
                ),
                " and ",
                link("by which rules", to=routes.RULES, class_name="text-link", data_testid="rules"),
                ", now or later.",
                class_name="soft",
            ),
            rx.cond(
                StripeMails.loaded,
                rx.el.div(rx.el.h2(QUESTION, class_name="question-head"), stripe_mails_question(), class_name="asked"),
            ),
            rx.el.div(
                rx.cond(~Sending.on, start_button("button primary large")),
                link("Preview every message", to=routes.DRY_RUN, class_name="button large", data_testid="dry-run"),
                link(
                    "Go to the dashboard",
                    to=routes.DASHBOARD,
                    class_name=rx.cond(Sending.on, "button primary large", "button large"),
                ),
                link("See every ghost", to=routes.RECOVERIES, class_name="button large"),
                class_name="ways-in",
            ),
            class_name="stack",
            aria_label="What was found",
            data_testid="hunt-result",
        ),
    )


def _connect_first() -> rx.Component:
    return empty(
        "No Stripe account is connected",
        "PHANTOM reads invoices through Stripe, and Stripe asks you first. You can take the permission back there "
        "at any time.",
        connect_button(),
        test_id="connect-first",
    )


def _start() -> rx.Component:
    return rx.el.div(
        rx.el.button(
            rx.cond(Welcome.finished | Welcome.failed, "Hunt again", "Start the hunt"),
            on_click=Welcome.start_hunt,
            disabled=Welcome.running | Welcome.waiting,
            class_name=rx.cond(Welcome.finished, "button large", "button primary large"),
            type="button",
            data_testid="start-hunt",
        ),
        rx.cond(Welcome.error != "", rx.el.p(Welcome.error, class_name="soft small", role="alert")),
        class_name="ways-in",
    )


def welcome() -> rx.Component:
    return framed(
        routes.WELCOME,
        page_head(
            rx.cond(Shell.merchant != "", f"Hunting in {Shell.merchant}", "Hunting"),
            "PHANTOM reads your open invoices and subscriptions. Nothing is sent to anybody while it looks.",
        ),
        rx.cond(
            Welcome.loaded,
            rx.cond(Welcome.connected, rx.fragment(_progress(), _result(), _start()), _connect_first()),
            skeletons(6, "32px"),
        ),
    )


PAGE = Page(
    routes.WELCOME, "Welcome – PHANTOM", welcome, on_load=[Shell.enter, Welcome.load, Sending.load, StripeMails.load]
)
