"""The words and buttons around the switch that lets messages go out."""

import reflex as rx

from phantom_app import routes
from phantom_app.components.parts import link, panel
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


def messages_panel(*links: rx.Component) -> rx.Component:
    """Whether messages go out, the switch for it, and where more is said of them."""
    stop = rx.el.button(
        "Stop messages",
        on_click=Sending.stop,
        disabled=Sending.busy,
        class_name="button",
        type="button",
        data_testid="stop-messages",
    )
    return panel(
        "Messages",
        rx.cond(Sending.on, "On", "Off"),
        rx.el.p(
            rx.cond(
                Sending.on,
                "Customers are written to at the hour planned for them, at most three times, "
                "and never after they have paid.",
                "Nobody is written to. Each ghost's page shows what would go out, when and why.",
            ),
            class_name="soft small",
            data_testid="messages-state",
        ),
        rx.cond(Sending.planned != "", rx.el.p(Sending.planned, class_name="small", role="status")),
        rx.el.div(
            rx.cond(Sending.on, rx.cond(Sending.may_change, stop), start_button()),
            *links,
            class_name="panel-action controls",
        ),
        test_id="messages-panel",
    )
