"""System: what the engine did, does and will do, what gave up, what came in, and every mail as it was rendered."""

import reflex as rx

from phantom_app import routes
from phantom_app.components.dead_letters import dead_letters
from phantom_app.components.health_card import health_card
from phantom_app.components.letters import letter
from phantom_app.components.machinery import health, intake, schedules
from phantom_app.components.parts import badge, calling, empty, link, page_head, panel, skeletons, table
from phantom_app.components.shell import framed
from phantom_app.pages.page import Page
from phantom_app.state.reader import Reader
from phantom_app.state.shell import Shell
from phantom_app.state.system import Count, HuntView, Line, System, Task

_TABS = (
    ("log", "Live log"),
    ("hunts", "Schedules"),
    ("tasks", "Task queue"),
    ("dead", "Dead letters"),
    ("intake", "Webhooks"),
    ("outbox", "Outbox"),
    ("health", "Health"),
)


def _tabs() -> rx.Component:
    return rx.el.div(
        *[
            rx.el.button(
                text,
                role="tab",
                id=f"tab-{key}",
                aria_selected=rx.cond(System.tab == key, "true", "false"),
                aria_controls="tab-panel",
                on_click=calling(System.choose, key),
                type="button",
                data_testid=f"tab-{key}",
            )
            for key, text in _TABS
        ],
        role="tablist",
        aria_label="System",
        class_name="tabs",
    )


def _log() -> rx.Component:
    def entry(view: Line) -> rx.Component:
        return rx.el.li(
            rx.el.span(view.when, class_name="log-when number faint"),
            rx.el.span(view.event, class_name="log-event mono faint"),
            rx.el.span(
                rx.cond(view.level != "", badge(view.level, view.tone)), rx.el.span(view.message), class_name="log-text"
            ),
            class_name="log-line",
        )

    return rx.cond(
        System.lines,
        rx.el.ol(rx.foreach(System.lines, entry), class_name="log", aria_label="Live log, newest first", role="log"),
        empty(
            "Nothing has happened yet",
            "Every find, message, click and payment is written here the moment it happens.",
            link("Start a hunt", to=routes.WELCOME, class_name="button primary"),
        ),
    )


_HUNT_HEADS = ("Started", "State", "By", "Listed", "Found", "Updated", "Unreadable", "Requests", "Took")


def _hunts() -> rx.Component:
    def row(view: HuntView) -> rx.Component:
        return rx.el.tr(
            rx.el.td(view.started, class_name="number nowrap"),
            rx.el.td(
                badge(view.state, view.tone),
                rx.cond(view.error != "", rx.el.span(view.error, class_name="cell-sub")),
                custom_attrs={"data-label": "State"},
            ),
            *[
                rx.el.td(value, class_name="number nowrap", custom_attrs={"data-label": head})
                for head, value in zip(
                    _HUNT_HEADS[2:],
                    (view.trigger, view.listed, view.found, view.updated, view.unreadable, view.requests, view.took),
                    strict=True,
                )
            ],
        )

    return rx.fragment(
        schedules(),
        rx.cond(
            System.hunts,
            panel(
                "Hunts",
                "The last twenty",
                table("Hunts", _HUNT_HEADS, rx.foreach(System.hunts, row), "hunts"),
                test_id="hunts-panel",
            ),
            empty(
                "No hunt yet",
                "A hunt reads your open invoices; it runs every twelve hours by itself.",
                link("Start a hunt", to=routes.WELCOME, class_name="button primary"),
            ),
        ),
    )


def _tasks() -> rx.Component:
    def number(view: Count) -> rx.Component:
        return rx.el.div(
            rx.el.dt(view.label, class_name=f"key tone-{view.tone}"),
            rx.el.dd(view.value, class_name="count-value number"),
            class_name="figure",
            data_testid=f"queue-{view.key}",
        )

    def row(view: Task) -> rx.Component:
        return rx.el.tr(
            rx.el.td(view.kind, rx.el.span("#", view.id, class_name="cell-sub mono")),
            rx.el.td(badge(view.state, view.tone), custom_attrs={"data-label": "State"}),
            rx.el.td(view.attempts, class_name="number nowrap", custom_attrs={"data-label": "Attempts"}),
            rx.el.td(view.when, class_name="number nowrap", custom_attrs={"data-label": "When"}),
            rx.el.td(view.error, class_name="soft anywhere", custom_attrs={"data-label": "Last error"}),
        )

    return rx.fragment(
        rx.el.dl(rx.foreach(System.counts, number), class_name="hero counts"),
        rx.cond(
            System.tasks,
            table("Tasks", ("Task", "State", "Attempts", "When", "Last error"), rx.foreach(System.tasks, row), "tasks"),
            empty("The queue is empty", "Work appears here when a hunt, a webhook or a message needs doing."),
        ),
    )


def _outbox() -> rx.Component:
    return rx.cond(
        System.may_read_messages,
        rx.cond(
            System.letters,
            rx.el.div(
                rx.cond(
                    System.mailbox != "",
                    rx.el.p(
                        "This is the demo: ",
                        rx.el.a(
                            "open the customers' mailbox",
                            href=System.mailbox,
                            target="_blank",
                            rel="noopener noreferrer",
                            class_name="text-link",
                            data_testid="mailbox",
                        ),
                        " and play one of them.",
                        class_name="soft small",
                    ),
                ),
                rx.el.ul(rx.foreach(System.letters, letter), class_name="letters"),
                class_name="panel panel-body",
                data_testid="outbox",
            ),
            empty(
                "No message yet",
                "Each mail appears here exactly as the customer gets it. Without a sender it stays here, unsent.",
            ),
        ),
        empty("Messages are not shown to your role", "Ask an owner or admin of this account for the member role."),
    )


def system() -> rx.Component:
    return framed(
        routes.SYSTEM,
        page_head("System", rx.cond(System.as_of != "", f"As of {System.as_of}", "Loading")),
        _tabs(),
        rx.el.div(
            rx.cond(
                System.loaded,
                rx.match(
                    System.tab,
                    ("hunts", _hunts()),
                    ("tasks", _tasks()),
                    ("dead", dead_letters()),
                    ("intake", intake()),
                    ("outbox", _outbox()),
                    ("health", rx.fragment(health_card(), health())),
                    _log(),
                ),
                skeletons(8, "24px"),
            ),
            role="tabpanel",
            id="tab-panel",
            aria_labelledby=f"tab-{System.tab}",
            class_name="stack",
        ),
    )


PAGE = Page(routes.SYSTEM, "System – PHANTOM", system, on_load=[Shell.enter, System.load, Reader.close])
