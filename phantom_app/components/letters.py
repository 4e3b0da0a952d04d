"""A message as it was rendered, in a frame that can run nothing, load nothing and reach nothing."""

import reflex as rx

from phantom_app.components.parts import badge
from phantom_app.state.ghost import Letter


def preview(html: str, title: str) -> rx.Component:
    """The mail's HTML is made from customers' data: an empty `sandbox` gives it no script, form or origin."""
    return rx.el.iframe(
        src_doc=html, sandbox="", title=title, class_name="mail", loading="lazy", data_testid="mail-preview"
    )


def letter(view: Letter) -> rx.Component:
    """A message that unfolds to its rendering."""
    return rx.el.li(
        rx.el.details(
            rx.el.summary(
                rx.el.span(
                    rx.el.span(view.subject, class_name="cell-main"),
                    rx.el.span(view.about, " · ", view.recipient, class_name="cell-sub"),
                ),
                rx.el.span(
                    badge(view.state, view.tone), rx.el.span(view.when, class_name="cell-sub number"), class_name="end"
                ),
                class_name="letter-head",
            ),
            rx.cond(view.reason != "", rx.el.p(view.reason, class_name="soft small letter-reason")),
            rx.cond(
                view.html != "",
                preview(view.html, view.subject),
                rx.el.pre(view.plain, class_name="mail-plain"),
            ),
        ),
        class_name="letter",
        data_testid="letter",
    )
