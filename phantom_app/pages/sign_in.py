"""Sign in: a plain form that is posted as a page load, because the cookie it sets is read when a socket opens."""

import reflex as rx

from phantom_app import routes
from phantom_app.components.forms import posted_form
from phantom_app.components.public import connect_button, demo_button, public_frame
from phantom_app.pages.page import Page
from phantom_app.state.shell import Shell
from phantom_app.state.sign_in import SignIn


def _field(label: str, name: str, kind: str, autocomplete: str) -> rx.Component:
    return rx.el.div(
        rx.el.label(label, html_for=name),
        rx.el.input(id=name, name=name, type=kind, auto_complete=autocomplete, required=True, class_name="input large"),
        class_name="field",
    )


def sign_in() -> rx.Component:
    return public_frame(
        rx.el.h1("Sign in"),
        rx.cond(
            SignIn.problem != "",
            rx.el.p(SignIn.problem, role="alert", class_name="notice", data_testid="sign-in-problem"),
        ),
        posted_form(
            _field("Email", "email", "email", "username"),
            _field("Password", "password", "password", "current-password"),
            rx.el.input(type="hidden", name="next", value=SignIn.after),
            rx.el.button("Sign in", type="submit", class_name="button primary large wide", data_testid="sign-in"),
            to=routes.AUTH_SIGN_IN,
            class_name="form",
            data_testid="sign-in-form",
        ),
        rx.el.div(
            rx.el.span("or", class_name="faint small"),
            connect_button("button large wide"),
            demo_button("button large wide"),
            class_name="form others",
        ),
        class_name="narrow",
    )


PAGE = Page(routes.SIGN_IN, "Sign in – PHANTOM", sign_in, on_load=[Shell.visit, SignIn.load])
