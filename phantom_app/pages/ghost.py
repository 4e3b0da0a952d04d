"""A ghost's own page: what happened, why this strategy, why now, and every message as it was sent."""

import reflex as rx

from phantom_app import routes
from phantom_app.components.erasure import erasure_panel
from phantom_app.components.icons import icon
from phantom_app.components.letters import letter
from phantom_app.components.parts import badge, empty, link, panel, question, skeletons
from phantom_app.components.shell import framed
from phantom_app.pages.page import Page
from phantom_app.state.erasure import Erasure
from phantom_app.state.ghost import Fact, Ghost, Moment
from phantom_app.state.reader import Reader
from phantom_app.state.shell import Shell
from phantom_app.state.write_off import WriteOff


def _head() -> rx.Component:
    ghost = Ghost.ghost
    return rx.el.header(
        rx.el.div(
            rx.el.h1(ghost.name, data_testid="ghost-name"),
            rx.el.p(
                rx.el.span(ghost.email),
                rx.cond(Ghost.phone != "", rx.el.span(Ghost.phone, class_name="number", data_testid="ghost-phone")),
                class_name="soft small reach",
            ),
            rx.el.p(
                badge(ghost.state, ghost.tone, data_testid="ghost-state"),
                rx.el.span("found ", ghost.found, class_name="faint small", title=Ghost.found_exact),
                class_name="ghost-state",
            ),
        ),
        rx.el.div(
            rx.el.span(ghost.amount, class_name="ghost-amount number", data_testid="ghost-amount"),
            rx.cond(WriteOff.asking, _write_off(), rx.cond(Ghost.open | Ghost.paused, _deeds())),
            class_name="ghost-side",
        ),
        class_name="page-head ghost-head",
    )


def _deeds() -> rx.Component:
    return rx.el.div(
        rx.cond(
            Ghost.paused,
            rx.el.button("Resume", on_click=Ghost.resume, class_name="button", type="button"),
            rx.el.button("Pause messages", on_click=Ghost.pause, class_name="button", type="button"),
        ),
        rx.el.button("Write off", on_click=WriteOff.ask, class_name="button", type="button", data_testid="write-off"),
        class_name="controls",
    )


def _write_off() -> rx.Component:
    return question(
        "It counts as lost, and no message goes out any more. A payment still counts.",
        "Write off",
        WriteOff.act,
        WriteOff.keep,
        label="Write off this ghost?",
        test_id="write-off",
    )


def _waiting() -> rx.Component:
    return rx.el.div(
        rx.el.span(rx.el.strong("A person decides. "), "Nobody is written to before somebody lets the message go."),
        link("Open tasks", to=routes.TASKS, class_name="button"),
        class_name="notice calm",
        role="status",
        data_testid="waits-for-a-person",
    )


def _reasons() -> rx.Component:
    ghost = Ghost.ghost
    return panel(
        "Why this, why now",
        "Decided by the engine, for this ghost",
        rx.el.dl(
            rx.el.div(
                rx.el.dt("Strategy"),
                rx.el.dd(rx.el.strong(ghost.strategy), rx.el.span(Ghost.strategy_reason, class_name="soft")),
                data_testid="ghost-strategy",
            ),
            rx.el.div(
                rx.el.dt("Next action"),
                rx.el.dd(
                    rx.el.strong(ghost.next, rx.cond(ghost.next_when != "", f", {ghost.next_when}", "")),
                    rx.el.span(Ghost.next_reason, class_name="soft"),
                    rx.el.span(Ghost.next_exact, class_name="faint tiny number"),
                ),
                data_testid="ghost-next",
            ),
            rx.el.div(
                rx.el.dt("Card attempts"),
                rx.el.dd(
                    rx.el.strong(Ghost.attempts, class_name="number"),
                    rx.el.span("Next: ", Ghost.next_charges, class_name="soft number"),
                    rx.el.span(Ghost.charge_reason, class_name="soft"),
                ),
                data_testid="ghost-charges",
            ),
            rx.cond(
                Ghost.outcome != "",
                rx.el.div(rx.el.dt("Outcome"), rx.el.dd(Ghost.outcome), data_testid="ghost-outcome"),
            ),
            class_name="reasons",
        ),
        test_id="reasons-panel",
    )


def _facts() -> rx.Component:
    def fact(view: Fact) -> rx.Component:
        return rx.el.div(rx.el.dt(view.label), rx.el.dd(view.value, class_name="number"))

    def identifier(view: Fact) -> rx.Component:
        return rx.el.div(rx.el.dt(view.label), rx.el.dd(view.value, class_name="mono"))

    return panel(
        "Forensics",
        "As the bank and Stripe told it",
        rx.el.dl(rx.foreach(Ghost.facts, fact), rx.foreach(Ghost.ids, identifier), class_name="facts"),
        rx.cond(
            Ghost.at_stripe != "",
            rx.el.a(
                "Open the invoice at Stripe",
                href=Ghost.at_stripe,
                target="_blank",
                rel="noopener noreferrer",
                class_name="text-link small",
                data_testid="at-stripe",
            ),
        ),
        test_id="forensics-panel",
    )


def _timeline() -> rx.Component:
    def entry(view: Moment) -> rx.Component:
        return rx.el.li(
            rx.el.div(
                rx.el.strong(view.title),
                rx.el.span(view.when, class_name="faint tiny number nowrap", title=view.exact),
                class_name="moment-head",
            ),
            rx.cond(view.reason != "", rx.el.p(view.reason, class_name="soft small")),
            rx.cond(view.change != "", rx.el.p(view.change, class_name="faint tiny")),
            class_name=f"moment tone-{view.tone}",
        )

    return panel(
        "Timeline",
        "Newest first",
        rx.el.ol(rx.foreach(Ghost.timeline, entry), class_name="timeline"),
        test_id="timeline-panel",
    )


def _letters() -> rx.Component:
    return panel(
        "Messages",
        "Each as it was rendered",
        rx.cond(
            Ghost.letters,
            rx.el.ul(rx.foreach(Ghost.letters, letter), class_name="letters"),
            rx.cond(
                Ghost.may_read_letters,
                empty(
                    rx.cond(Ghost.next_exact != "", "No message yet", "No message"),
                    Ghost.no_letter,
                    inset=True,
                    test_id="no-letters",
                ),
                empty("Not for your role", "Ask an admin what was written.", inset=True, test_id="letters-not-shown"),
            ),
        ),
        test_id="letters-panel",
    )


def ghost() -> rx.Component:
    return framed(
        routes.RECOVERIES,
        link(icon("back"), "Recoveries", to=routes.RECOVERIES, class_name="crumb small soft"),
        rx.cond(
            Ghost.missing,
            empty(
                "There is no such ghost",
                "It may have been removed, or the address is not complete.",
                link("All recoveries", to=routes.RECOVERIES, class_name="button"),
                test_id="not-found",
            ),
            rx.cond(
                Ghost.loaded,
                rx.fragment(
                    _head(),
                    rx.cond(Ghost.waits_for_a_person, _waiting()),
                    rx.el.div(
                        rx.el.div(_reasons(), _letters(), class_name="stack"),
                        _timeline(),
                        class_name="columns",
                    ),
                    _facts(),
                    erasure_panel(),
                ),
                skeletons(8, "28px"),
            ),
        ),
    )


PAGE = Page(
    routes.GHOST, "Ghost – PHANTOM", ghost, on_load=[Shell.enter, Ghost.load, Erasure.load, WriteOff.load, Reader.close]
)
