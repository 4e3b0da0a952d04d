"""Messages: a list of subjects, and one of them as it was rendered, in a frame that can do nothing."""

import reflex as rx

from phantom_app.components.parts import badge, calling
from phantom_app.state.ghost import Letter
from phantom_app.state.reader import Reader


def _preview(title: str) -> rx.Component:
    """The mail's HTML is made from customers' data: an empty `sandbox` gives it no script, form or origin."""
    return rx.cond(
        Reader.html != "",
        rx.el.iframe(src_doc=Reader.html, sandbox="", title=title, class_name="mail", data_testid="mail-preview"),
        rx.el.pre(Reader.plain, class_name="mail-plain", data_testid="mail-preview"),
    )


def letter(view: Letter) -> rx.Component:
    """A message that unfolds to its rendering."""
    reading = Reader.open == view.id
    return rx.el.li(
        rx.el.button(
            rx.el.span(
                rx.el.span(view.subject, class_name="cell-main"),
                rx.el.span(view.about, " · ", view.recipient, class_name="cell-sub"),
            ),
            rx.el.span(
                badge(view.state, view.tone), rx.el.span(view.when, class_name="cell-sub number"), class_name="end"
            ),
            on_click=calling(Reader.toggle, view.ghost_id, view.id),
            aria_expanded=rx.cond(reading, "true", "false"),
            class_name="letter-head",
            type="button",
        ),
        rx.cond(view.reason != "", rx.el.p(view.reason, class_name="soft small letter-reason")),
        rx.cond(reading, _preview(view.subject)),
        class_name="letter",
        data_testid="letter",
    )
