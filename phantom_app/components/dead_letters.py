"""Dead letters: each with why it gave up, and what may be done about it."""

import reflex as rx

from phantom_app.components.parts import calling, empty, pager, question
from phantom_app.state.dead_letters import EVERY, DeadLetter, DeadLetters


def _question(view: DeadLetter) -> rx.Component:
    return question(
        "Delete it for good?",
        "Yes, delete",
        calling(DeadLetters.delete, view.id),
        calling(DeadLetters.ask, ""),
        label=f"Delete task {view.id}",
        test_id="delete",
    )


def _buttons(view: DeadLetter) -> rx.Component:
    return rx.el.div(
        rx.el.button(
            "Run again",
            on_click=calling(DeadLetters.run_again, view.id),
            class_name="button",
            type="button",
            aria_label=f"Run task {view.id} again",
            data_testid="run-again",
        ),
        rx.el.button(
            "Delete",
            on_click=calling(DeadLetters.ask, view.id),
            class_name="button bare",
            type="button",
            aria_label=f"Delete task {view.id}",
            data_testid="delete",
        ),
        class_name="controls",
    )


def _every() -> rx.Component:
    """After an outage nobody wants to press a button a task."""
    return rx.cond(
        DeadLetters.asking == EVERY,
        question(
            "Run all of them again, those of other pages too?",
            "Yes, run all",
            DeadLetters.run_every,
            calling(DeadLetters.ask, ""),
            label="Run all tasks again",
            test_id="run-every",
        ),
        rx.el.button(
            "Run all again",
            on_click=DeadLetters.ask_every,
            class_name="button",
            type="button",
            data_testid="run-every",
        ),
    )


def _letter(view: DeadLetter) -> rx.Component:
    return rx.el.li(
        rx.el.div(
            rx.el.h2(view.kind, rx.el.span(f" #{view.id}", class_name="mono faint small"), class_name="dead-kind"),
            rx.el.p(view.why),
            rx.cond(
                view.detail != "",
                rx.el.details(
                    rx.el.summary("What was written down", class_name="faint tiny"),
                    rx.el.pre(view.detail, class_name="dead-detail mono"),
                ),
            ),
            rx.el.p(
                rx.el.span(view.attempts, class_name="number"),
                " · gave up ",
                rx.el.time(view.when, title=view.at, class_name="number"),
                class_name="faint tiny",
            ),
            class_name="dead-text",
        ),
        rx.cond(
            DeadLetters.may_manage,
            rx.cond(DeadLetters.asking == view.id, _question(view), _buttons(view)),
            rx.fragment(),
        ),
        class_name="dead-letter",
        data_testid="dead-letter",
    )


def dead_letters() -> rx.Component:
    """The list, its pages, and what was done last."""
    return rx.el.div(
        rx.el.p(DeadLetters.note, role="status", class_name="soft small dead-note", data_testid="dead-note"),
        rx.cond(
            DeadLetters.letters,
            rx.fragment(
                rx.cond(
                    DeadLetters.may_manage,
                    rx.el.div(_every(), class_name="controls"),
                    rx.el.p("To run or delete them takes the admin or owner role.", class_name="faint small"),
                ),
                rx.el.ul(
                    rx.foreach(DeadLetters.letters, _letter),
                    class_name="dead-letters",
                    aria_label="Tasks that gave up, newest first",
                    data_testid="dead-letters",
                ),
                rx.cond(
                    DeadLetters.has_more | DeadLetters.has_former,
                    pager(
                        DeadLetters.range_text,
                        DeadLetters.has_former,
                        DeadLetters.has_more,
                        DeadLetters.go_back,
                        DeadLetters.go_forward,
                    ),
                ),
            ),
            empty(
                "No task gave up",
                "A task that fails five times, or whose process dies three times, waits here for a person.",
                test_id="no-dead-letters",
            ),
        ),
        class_name="dead",
    )
