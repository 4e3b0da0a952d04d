"""The dashboard's next hour: whom PHANTOM is about to write to, and why now."""

import reflex as rx

from phantom_app import routes
from phantom_app.components.parts import empty, link, panel, skeletons
from phantom_app.state.next_hour import NextHour
from phantom_app.state.recoveries import GhostView


def _row(view: GhostView) -> rx.Component:
    return rx.el.li(
        rx.el.span(
            link(view.name, to=view.link, class_name="cell-main"),
            rx.el.span(view.next_reason, class_name="cell-sub"),
        ),
        rx.el.span(
            rx.el.span(view.amount, class_name="number strong nowrap"),
            rx.el.span(view.next_when, class_name="cell-sub number"),
            class_name="end",
        ),
        class_name="letter letter-head",
        data_testid="next-message",
    )


def next_hour_panel() -> rx.Component:
    return panel(
        "Next hour",
        rx.cond(NextHour.loaded, NextHour.count, "Looking ahead"),
        rx.cond(
            NextHour.loaded,
            rx.cond(
                NextHour.rows,
                rx.fragment(
                    rx.el.ul(rx.foreach(NextHour.rows, _row), class_name="letters"),
                    rx.cond(NextHour.rest != "", rx.el.p(NextHour.rest, class_name="faint tiny")),
                ),
                empty(
                    "Nothing goes out within the hour",
                    rx.cond(
                        NextHour.why_none != "",
                        NextHour.why_none,
                        "The preview shows the next two weeks, message by message.",
                    ),
                    link("Preview", to=routes.DRY_RUN, class_name="button"),
                    inset=True,
                    test_id="no-next",
                ),
            ),
            skeletons(3, "28px"),
        ),
        test_id="next-hour-panel",
    )
