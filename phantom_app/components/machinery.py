"""Panels of what keeps the engine going: webhooks, schedules, and each part's health."""

import reflex as rx

from phantom_app.components.parts import badge, empty, panel, table
from phantom_app.state.machinery import EventRow, Figure, Machinery, Part, ScheduleRow, TypeRow


def _figure(view: Figure) -> rx.Component:
    return rx.el.div(
        rx.el.dt(view.label, class_name="key"),
        rx.el.dd(
            rx.el.span(view.value, class_name="count-value number"), rx.el.span(view.note, class_name="faint tiny")
        ),
        class_name="figure",
        data_testid=f"intake-{view.key}",
    )


def intake() -> rx.Component:
    """What came from Stripe, how fast it was handled, and what became of it."""

    def type_row(view: TypeRow) -> rx.Component:
        return rx.el.tr(
            rx.el.td(view.type, class_name="mono anywhere"),
            rx.el.td(badge(view.outcome, view.tone), custom_attrs={"data-label": "Outcome"}),
            rx.el.td(view.count, class_name="number", custom_attrs={"data-label": "Events"}),
        )

    def event_row(view: EventRow) -> rx.Component:
        return rx.el.tr(
            rx.el.td(view.type, rx.el.span(view.id, class_name="cell-sub mono anywhere"), class_name="anywhere"),
            rx.el.td(badge(view.outcome, view.tone), custom_attrs={"data-label": "Outcome"}),
            rx.el.td(view.received, class_name="number nowrap", custom_attrs={"data-label": "Received"}),
            rx.el.td(view.took, class_name="number nowrap", custom_attrs={"data-label": "Took"}),
        )

    return rx.fragment(
        rx.el.dl(rx.foreach(Machinery.figures, _figure), class_name="hero counts", data_testid="intake-figures"),
        rx.cond(
            Machinery.events,
            rx.fragment(
                panel(
                    "By type and outcome",
                    "Last 24 hours",
                    table("Webhooks by type", ("Type", "Outcome", "Events"), rx.foreach(Machinery.types, type_row)),
                    test_id="intake-types",
                ),
                panel(
                    "Last events",
                    "Newest first; of types that mean something to recovery",
                    table(
                        "Last webhooks",
                        ("Type", "Outcome", "Received", "Took"),
                        rx.foreach(Machinery.events, event_row),
                    ),
                    test_id="intake-events",
                ),
            ),
            empty(
                "No webhook in the last 24 hours",
                "Stripe tells here of failed and paid invoices. What it never tells, the next hunt finds.",
            ),
        ),
    )


def schedules() -> rx.Component:
    """What runs by itself: when last, when next."""

    def row(view: ScheduleRow) -> rx.Component:
        return rx.el.tr(
            rx.el.td(view.name, rx.el.span(view.every, class_name="cell-sub faint")),
            rx.el.td(
                badge(view.state, view.tone),
                rx.cond(view.error != "", rx.el.span(view.error, class_name="cell-sub")),
                custom_attrs={"data-label": "Last run"},
            ),
            rx.el.td(view.last, class_name="number", custom_attrs={"data-label": "When"}),
            rx.el.td(view.upcoming, class_name="number", custom_attrs={"data-label": "Next"}),
            custom_attrs={"data-testid": f"schedule-{view.key}"},
        )

    return panel(
        "Schedules",
        "What runs by itself; a missed run is caught up once",
        table("Schedules", ("Schedule", "Last run", "When", "Next"), rx.foreach(Machinery.schedules, row)),
        test_id="schedules",
    )


def health() -> rx.Component:
    """Every part that recovery leans on, each with a word and a reason."""

    def row(view: Part) -> rx.Component:
        return rx.el.li(
            rx.el.h2(view.name),
            badge(view.word, view.tone),
            rx.el.p(view.detail, class_name="soft small anywhere"),
            rx.el.p(view.when, class_name="faint tiny number"),
            class_name="part",
            data_testid=f"part-{view.key}",
        )

    return rx.el.ul(
        rx.foreach(Machinery.parts, row),
        class_name="health-parts",
        aria_label="Health of each part",
        data_testid="health-parts",
    )
