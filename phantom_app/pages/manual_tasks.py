"""Tasks: what the engine leaves to a person, with the draft to let go and the way to close it."""

import reflex as rx

from phantom_app import routes
from phantom_app.components.parts import badge, calling, empty, link, page_head, pager, segments, skeletons
from phantom_app.components.shell import framed
from phantom_app.pages.page import Page
from phantom_app.state.manual_tasks import CLOSING, DRAFT, ManualTasks, Person, TaskView
from phantom_app.state.shell import Shell


def _assignee(view: TaskView) -> rx.Component:
    def choice(person: Person) -> rx.Component:
        return rx.el.option(person.name, value=person.id)

    return rx.cond(
        ManualTasks.may_manage,
        rx.el.select(
            rx.el.option("Nobody yet", value=""),
            rx.foreach(ManualTasks.people, choice),
            value=view.assignee_id,
            on_change=lambda value: calling(ManualTasks.assign, view.id, value),
            class_name="select",
            aria_label=f"Who takes {view.customer}",
            data_testid="assignee",
        ),
        rx.el.span(rx.cond(view.assignee != "", view.assignee, "Nobody yet"), class_name="soft small"),
    )


def _button(text: str, handler: object, view: TaskView, test_id: str, class_name: str = "button") -> rx.Component:
    return rx.el.button(
        text,
        on_click=calling(handler, view.id),
        class_name=class_name,
        type="button",
        aria_label=f"{text}: {view.customer}",
        data_testid=test_id,
    )


def _controls(view: TaskView) -> rx.Component:
    return rx.el.div(
        _assignee(view),
        rx.cond(
            ManualTasks.may_manage,
            rx.fragment(
                rx.cond(view.released == "", _button("Review draft", ManualTasks.review, view, "review")),
                _button("Close", ManualTasks.ask_close, view, "close"),
            ),
        ),
        class_name="controls",
    )


def _draft(view: TaskView) -> rx.Component:
    """The mail's HTML is made from customers' data: an empty `sandbox` gives it no script, form or origin."""
    return rx.el.section(
        rx.el.p(
            rx.el.strong(rx.cond(ManualTasks.subject != "", ManualTasks.subject, "Text message")),
            rx.el.br(),
            "to ",
            ManualTasks.recipient,
            class_name="small",
        ),
        rx.el.div(
            _button("Send this message", ManualTasks.release, view, "release", "button primary"),
            rx.el.button("Not now", on_click=ManualTasks.put_away, class_name="button", type="button"),
            rx.el.span("Once, and only if it is still unpaid.", class_name="soft small"),
            class_name="controls",
        ),
        rx.cond(
            ManualTasks.html != "",
            rx.el.iframe(
                src_doc=ManualTasks.html, sandbox="", title=ManualTasks.subject, class_name="mail", data_testid="draft"
            ),
            rx.el.pre(ManualTasks.plain, class_name="mail-plain", data_testid="draft"),
        ),
        class_name="task-part",
        aria_label=f"Draft for {view.customer}",
    )


def _closing(view: TaskView) -> rx.Component:
    return rx.el.form(
        rx.el.label("Why is it done?", html_for="task-reason", class_name="small"),
        rx.el.input(
            id="task-reason",
            name="reason",
            max_length=200,
            required=True,
            auto_focus=True,
            auto_complete="off",
            placeholder="They pay by wire on Friday",
            class_name="input",
            data_testid="reason",
        ),
        rx.el.label(
            rx.el.input(type="checkbox", name="write_off", data_testid="close-write-off"),
            rx.el.span("Write the invoice off, too: it counts as lost. A payment still counts."),
            class_name="tick small",
        ),
        rx.el.div(
            rx.el.button("Close task", type="submit", class_name="button primary", data_testid="close-yes"),
            rx.el.button("Keep it", on_click=ManualTasks.put_away, class_name="button", type="button"),
            class_name="controls",
        ),
        on_submit=ManualTasks.close,
        class_name="task-part",
        aria_label=f"Close {view.customer}",
    )


def _task(view: TaskView) -> rx.Component:
    chosen = ManualTasks.open_id == view.id
    return rx.el.li(
        rx.el.div(
            rx.el.div(
                rx.el.h2(link(view.customer, to=view.link, class_name="text-link"), class_name="dead-kind"),
                rx.el.p(
                    rx.el.span(view.amount, class_name="number strong"),
                    badge(view.ghost_state, view.tone),
                    class_name="task-what",
                ),
                rx.cond(
                    view.reach,
                    rx.el.p(
                        rx.foreach(view.reach, lambda way: rx.el.span(way)),
                        class_name="small number reach",
                        data_testid="reach",
                    ),
                ),
                rx.el.p(view.reason, class_name="soft"),
                rx.el.p(rx.el.time(view.age, title=view.since, class_name="number"), class_name="faint tiny"),
                rx.cond(view.released != "", rx.el.p(view.released, class_name="small", data_testid="released")),
                rx.cond(
                    view.closed != "",
                    rx.el.p(view.closed, ": ", view.closed_why, class_name="small", data_testid="closed"),
                ),
                class_name="dead-text",
            ),
            rx.cond(
                ManualTasks.done,
                rx.cond(
                    ManualTasks.may_manage & view.reopens, _button("Open again", ManualTasks.reopen, view, "reopen")
                ),
                _controls(view),
            ),
            class_name="task-head",
        ),
        rx.cond(chosen & (ManualTasks.open_part == DRAFT), _draft(view)),
        rx.cond(chosen & (ManualTasks.open_part == CLOSING), _closing(view)),
        class_name="task",
        data_testid="task",
    )


def _nothing() -> rx.Component:
    return rx.cond(
        ManualTasks.done,
        empty("Nothing is done yet", "Tasks you close, and those that close themselves when paid, are kept here."),
        empty(
            "Nothing waits for you",
            "Invoices above your high-value line wait here for a person: nobody is written to before.",
            link("All recoveries", to=routes.RECOVERIES, class_name="button"),
        ),
    )


def manual_tasks() -> rx.Component:
    return framed(
        routes.TASKS,
        page_head(
            "Tasks",
            "What waits for a person to decide",
            segments(
                "Which tasks",
                ("Open", ~ManualTasks.done, calling(ManualTasks.show_done, False)),
                ("Done", ManualTasks.done, calling(ManualTasks.show_done, True)),
                test_id="which",
            ),
        ),
        rx.el.p(ManualTasks.note, role="status", class_name="soft small dead-note", data_testid="note"),
        rx.cond(
            ManualTasks.loaded,
            rx.cond(
                ManualTasks.rows,
                rx.fragment(
                    rx.el.ul(
                        rx.foreach(ManualTasks.rows, _task), class_name="tasks", aria_label="Tasks", data_testid="tasks"
                    ),
                    rx.cond(
                        ManualTasks.pages > 1,
                        pager(
                            ManualTasks.range_text,
                            ManualTasks.page > 1,
                            ManualTasks.page < ManualTasks.pages,
                            ManualTasks.go_back,
                            ManualTasks.go_forward,
                        ),
                    ),
                ),
                _nothing(),
            ),
            skeletons(6, "64px"),
        ),
    )


PAGE = Page(routes.TASKS, "Tasks – PHANTOM", manual_tasks, on_load=[Shell.enter, ManualTasks.load])
