"""Choosing ghosts in the list, and the bar that acts on all that are chosen."""

from typing import Any

import reflex as rx

from phantom_app.components.parts import calling, question
from phantom_app.state.recoveries import GhostView
from phantom_app.state.selection import Selection

_DEEDS = (("pause", "Pause"), ("resume", "Resume"), ("write_off", "Write off"))


def _tick(label: Any, checked: Any, on_change: Any, test_id: str) -> rx.Component:
    return rx.el.label(
        rx.el.input(type="checkbox", checked=checked, on_change=on_change, aria_label=label, data_testid=test_id),
        class_name="pick",
    )


def choose_all() -> rx.Component:
    """The head of the column: all of the page."""
    return rx.cond(
        Selection.may_manage,
        rx.el.th(
            rx.el.button(
                "All",
                on_click=Selection.turn_page,
                class_name="sort",
                type="button",
                aria_label="Choose all ghosts of this page, or none",
                data_testid="choose-page",
            ),
            scope="col",
            class_name="picking",
        ),
    )


def choose(ghost: GhostView, chosen: Any) -> rx.Component:
    """A row's tick; nothing for who may only look."""
    return rx.cond(
        Selection.may_manage,
        rx.el.td(
            _tick(f"Choose {ghost.name}", chosen.contains(ghost.id), calling(Selection.turn, ghost.id), "choose"),
            class_name="picking",
        ),
    )


def bar() -> rx.Component:
    """What can be done with what is chosen, asked once more before it is; what came of it after."""
    buttons = [
        rx.el.button(
            text,
            on_click=calling(Selection.ask, what),
            class_name="button",
            type="button",
            data_testid=f"many-{what}",
        )
        for what, text in _DEEDS
    ]
    asked = question(
        Selection.question,
        rx.match(Selection.asked, *_DEEDS, "Yes"),
        Selection.act,
        Selection.keep,
        label="Are you sure?",
        test_id="many",
    )
    chosen = rx.el.div(
        rx.el.strong(Selection.counted, class_name="small number", data_testid="counted"),
        *buttons,
        rx.el.button("Choose none", on_click=Selection.clear, class_name="button", type="button"),
        class_name="controls",
    )
    return rx.el.div(
        rx.cond(Selection.asked != "", asked, rx.cond(Selection.counted != "", chosen)),
        rx.cond(Selection.told != "", rx.el.p(Selection.told, class_name="small", role="status", data_testid="told")),
        class_name="many",
        aria_live="polite",
    )
