"""Start: what PHANTOM is, in one screen, and three ways in."""

import reflex as rx

from phantom_app import routes
from phantom_app.components.parts import badge, link
from phantom_app.components.public import connect_button, demo_button, public_frame
from phantom_app.pages.page import Page
from phantom_app.state.shell import Shell

_STAGES = (
    (
        "Find",
        "Ghost Hunter reads your open invoices twice a day and hears of every failed payment within a second. "
        "Each ghost carries what the bank really said.",
    ),
    (
        "Recover",
        "A lost card, an empty account and a missing confirmation need different words at different hours. "
        "The customer gets one clear message, one link, no login.",
    ),
    (
        "Protect",
        "Cards that expire before the next charge are seen before it fails, while there is still time.",
    ),
    (
        "Prove",
        "Every figure names its period, its currency and its invoices, and what came before each payment: "
        "a click, a message, a charge of ours, or nothing.",
    ),
)


def _ways_in() -> rx.Component:
    return rx.cond(
        Shell.signed_in,
        rx.el.div(
            link("Open your dashboard", to=routes.DASHBOARD, class_name="button primary large"), class_name="ways-in"
        ),
        rx.el.div(
            connect_button(),
            demo_button(),
            class_name="ways-in",
        ),
    )


def _example() -> rx.Component:
    """One ghost as it stands on the page of a merchant; said to be an example, because figures here are real."""

    def fact(label: str, value: rx.Component | str) -> rx.Component:
        return rx.el.div(rx.el.dt(label), rx.el.dd(value))

    return rx.el.figure(
        rx.el.figcaption("A ghost, as an example", class_name="faint tiny"),
        rx.el.div(
            rx.el.div(
                rx.el.strong("Northwind Studio"),
                rx.el.span("$249.00", class_name="number example-amount"),
                class_name="example-head",
            ),
            rx.el.dl(
                fact("Subscription", "Active"),
                fact("Invoice", badge("Unpaid for 12 days", "leaking")),
                fact("The bank said", "Card expired"),
                fact("Strategy", "Card refresh"),
                fact("Next", badge("Message today, 10:00 their time", "in-recovery")),
            ),
            class_name="example-body",
        ),
        class_name="example",
    )


def start() -> rx.Component:
    return public_frame(
        rx.el.section(
            rx.el.div(
                rx.el.h1("Customers who still use it, and no longer pay."),
                rx.el.p(
                    "PHANTOM finds the recurring revenue your business has earned and is not getting, gets it back, "
                    "and shows where every number comes from.",
                    class_name="lead",
                ),
                _ways_in(),
                rx.el.p("Connects through Stripe. No card number is ever seen or kept here.", class_name="faint small"),
                class_name="pitch",
            ),
            _example(),
            class_name="opening",
        ),
        rx.el.section(
            rx.el.h2("From a failed charge to money in the bank", class_name="hidden-visually"),
            rx.el.ol(
                *[
                    rx.el.li(
                        rx.el.span(f"{number}", class_name="faint number small"),
                        rx.el.h3(title),
                        rx.el.p(text, class_name="soft"),
                    )
                    for number, (title, text) in enumerate(_STAGES, 1)
                ],
                class_name="stages",
            ),
        ),
    )


PAGE = Page(routes.START, "PHANTOM – revenue intelligence for Stripe", start, on_load=Shell.visit)
