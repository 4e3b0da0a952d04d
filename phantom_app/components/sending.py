"""The words and buttons around the switch that lets messages go out."""

import reflex as rx

from phantom_app import routes
from phantom_app.components.parts import link
from phantom_app.state.sending import Sending


def start_button(class_name: str = "button primary") -> rx.Component:
    return rx.cond(
        Sending.may_change,
        rx.el.button(
            rx.cond(Sending.busy, "Starting", "Start messages"),
            on_click=Sending.start,
            disabled=Sending.busy,
            class_name=class_name,
            type="button",
            data_testid="start-messages",
        ),
        rx.el.span("An owner or admin can start messages.", class_name="soft small"),
    )


def off_notice() -> rx.Component:
    """On the dashboard, while nothing goes out."""
    return rx.cond(
        Sending.loaded & ~Sending.on,
        rx.el.div(
            rx.el.span(
                rx.el.strong("Messages are off. "),
                "Ghosts are found and planned, and nobody is written to until you say so.",
            ),
            link("Review and start", to=routes.SETTINGS, class_name="button"),
            class_name="notice calm",
            role="status",
            data_testid="messages-off",
        ),
    )
