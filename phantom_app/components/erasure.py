"""Forgetting a customer who asks for it, at the end of a ghost's page; owners alone see the button."""

import reflex as rx

from phantom_app.components.parts import panel, question
from phantom_app.state.erasure import Erasure

_GOES = (
    "Name, addresses, card digits and every message leave PHANTOM at once, for all invoices of this customer. "
    "Amounts and dates stay in your figures. Data at Stripe and at your senders is not touched."
)


def _first() -> rx.Component:
    return question(
        "Erase this customer's data?",
        "Yes, erase",
        Erasure.ask,
        Erasure.keep,
        label="Erase this customer's data",
        test_id="erase-first",
    )


def _second() -> rx.Component:
    return question(
        "Nothing brings it back, and nothing of this customer is imported again. Really erase?",
        "Erase for good",
        Erasure.erase,
        Erasure.keep,
        label="Erase for good",
        test_id="erase-second",
    )


def _button() -> rx.Component:
    return rx.el.div(
        rx.el.button(
            "Erase this customer's data", on_click=Erasure.ask, class_name="button", type="button", data_testid="erase"
        )
    )


def _possible() -> rx.Component:
    return rx.fragment(
        rx.el.p(_GOES, class_name="soft small"),
        rx.cond(
            Erasure.may,
            rx.match(Erasure.asked, (1, _first()), (2, _second()), _button()),
            rx.el.p("Only an owner can erase it.", class_name="faint small"),
        ),
    )


def erasure_panel() -> rx.Component:
    """What an erasure takes, the button and its two questions, and what came of it."""
    done = "It was removed on request, and nothing of this customer is imported again."
    return panel(
        "Personal data",
        "Removed by itself 90 days after a ghost is found, or when a customer asks",
        rx.el.div(
            rx.match(
                Erasure.can,
                ("yes", _possible()),
                ("done", rx.el.p(done, class_name="small")),
                ("nobody", rx.el.p("Stripe never named the customer of this invoice.", class_name="small soft")),
                rx.fragment(),
            ),
            rx.el.p(Erasure.note, class_name="small", role="status", data_testid="erasure-note"),
            class_name="stack",
        ),
        test_id="erasure-panel",
    )
