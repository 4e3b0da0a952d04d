"""The choice of when PHANTOM charges a card again by itself."""

import reflex as rx

from phantom_app.components.parts import calling, panel, skeletons
from phantom_app.state.own_retries import WORDS, OwnRetries


def own_retries_panel() -> rx.Component:
    """One of three, with what it means under it."""
    choices = [rx.el.option(name, value=code) for code, (name, _about) in WORDS.items()]
    return panel(
        "Charging again",
        "When PHANTOM tries a card again that had no funds",
        rx.cond(
            OwnRetries.loaded,
            rx.el.div(
                rx.el.select(
                    *choices,
                    value=OwnRetries.chosen,
                    on_change=lambda value: calling(OwnRetries.choose, value),
                    disabled=~OwnRetries.may_change,
                    class_name="select",
                    aria_label="When PHANTOM charges again",
                    data_testid="own-retries",
                ),
                rx.el.p(OwnRetries.about, class_name="soft small", role="status", data_testid="own-retries-about"),
                rx.el.p(
                    "Never a lost, stolen or blocked card, never against the bank's advice, never while the customer "
                    "is paying, and never beyond what the card networks allow.",
                    class_name="faint tiny",
                ),
                class_name="choice",
            ),
            skeletons(2),
        ),
        test_id="own-retries-panel",
    )
