"""Settings: who is signed in and which account is connected."""

from typing import Any

import reflex as rx

from phantom_app import routes
from phantom_app.components.consents import consents_link
from phantom_app.components.forms import posted_form
from phantom_app.components.parts import leaving, link, page_head, panel
from phantom_app.components.programs import programs_panel
from phantom_app.components.senders import senders_panels
from phantom_app.components.sending import messages_panel
from phantom_app.components.shell import framed
from phantom_app.components.stripe_mails import QUESTION, stripe_mails_question
from phantom_app.pages.page import Page
from phantom_app.state.programs import Programs
from phantom_app.state.senders import Senders
from phantom_app.state.sending import Sending
from phantom_app.state.settings import Settings
from phantom_app.state.shell import Shell
from phantom_app.state.stripe_mails import StripeMails


def _fact(label: str, value: Any, class_name: str = "") -> rx.Component:
    return rx.el.div(rx.el.dt(label), rx.el.dd(value, class_name=class_name))


def _messages() -> rx.Component:
    return messages_panel(
        link("Preview", to=routes.DRY_RUN, class_name="button", data_testid="dry-run"),
        link("Words and looks", to=routes.MESSAGES, class_name="button", data_testid="edit-messages"),
        link("Rules", to=routes.RULES, class_name="button", data_testid="edit-rules"),
    )


def _stripes_own_mails() -> rx.Component:
    return panel("Stripe's own mails", QUESTION, stripe_mails_question(), test_id="stripe-mails-panel")


def settings() -> rx.Component:
    return framed(
        routes.SETTINGS,
        page_head("Settings", "You, and the account PHANTOM works for"),
        rx.el.div(
            panel(
                "Profile",
                "As you signed in",
                rx.el.dl(
                    _fact("Name", Shell.person),
                    _fact("Email", Shell.email),
                    _fact("Role", Shell.role.capitalize()),
                    class_name="facts",
                ),
                posted_form(
                    rx.el.button("Sign out", type="submit", class_name="button"),
                    to=routes.AUTH_SIGN_OUT,
                    class_name="panel-action",
                ),
                test_id="profile-panel",
            ),
            panel(
                "Stripe account",
                rx.cond(Settings.connected, "Connected", "Not connected"),
                rx.el.dl(
                    _fact("Business", Shell.merchant),
                    _fact("Account", Settings.account, "mono"),
                    _fact("Mode", Settings.mode),
                    _fact("Connected", Settings.since, "number"),
                    _fact("Default currency", Settings.currency),
                    class_name="facts",
                ),
                leaving(
                    rx.cond(Settings.connected, "Reconnect Stripe", "Connect Stripe"),
                    to=routes.CONNECT_STRIPE,
                    class_name="button panel-action",
                    data_testid="connect-stripe",
                ),
                test_id="account-panel",
            ),
            _messages(),
            *senders_panels(),
            consents_link(),
            programs_panel(),
            _stripes_own_mails(),
            class_name="columns even stretch",
        ),
    )


PAGE = Page(
    routes.SETTINGS,
    "Settings – PHANTOM",
    settings,
    on_load=[Shell.enter, Settings.load, Sending.load, Senders.load, Programs.load, StripeMails.load],
)
