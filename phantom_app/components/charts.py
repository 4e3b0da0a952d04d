"""Charts of plain elements: bars whose heights the server worked out, readable as a table, no script at all."""

from typing import Any

import reflex as rx

from phantom_app.state.charts import Column
from phantom_app.state.dashboard import Dashboard, SliceView, StepView


def funnel() -> rx.Component:
    """Found, messaged, clicked, recovered: the cohort of the period."""

    def step(view: StepView) -> rx.Component:
        return rx.el.li(
            rx.el.span(view.label, class_name="funnel-label"),
            rx.el.span(
                rx.el.span(class_name=f"bar tone-{view.tone}", style={"width": view.width}),
                class_name="bar-track",
                aria_hidden="true",
            ),
            rx.el.span(view.count, class_name="funnel-count number"),
            rx.el.span(view.share, class_name="funnel-share number faint"),
            data_testid=f"funnel-{view.label.lower()}",
        )

    return rx.el.ol(rx.foreach(Dashboard.funnel, step), class_name="funnel", data_testid="funnel")


def slices() -> rx.Component:
    """Open leakage by the reason of the decline."""
    return _shares(Dashboard.slices, "categories")


def merits() -> rx.Component:
    """What came back, by what came before it, and what of it went back."""
    return _shares(Dashboard.merits, "merits")


def made_safe() -> rx.Component:
    """What was protected, by what came before it, and what of it failed after all."""
    return _shares(Dashboard.made_safe, "made-safe")


def _shares(views: Any, test_id: str) -> rx.Component:
    def part(view: SliceView) -> rx.Component:
        return rx.el.li(
            rx.el.span(view.label, class_name="slice-label"),
            rx.el.span(view.amount, class_name="number"),
            rx.el.span(
                rx.el.span(class_name=f"bar tone-{view.tone}", style={"width": view.width}),
                class_name="bar-track",
                aria_hidden="true",
            ),
            rx.el.span(view.count, class_name="number faint tiny"),
        )

    return rx.el.ol(rx.foreach(views, part), class_name="slices", data_testid=test_id)


def trend() -> rx.Component:
    """Found and guarded (recovered and protected) by day."""

    def column(view: Column) -> rx.Component:
        return rx.el.div(
            rx.el.span(class_name="trend-bar tone-leaking", style={"height": view.found_height}),
            rx.el.span(class_name="trend-bar tone-recovered", style={"height": view.guarded_height}),
            rx.el.span(view.label, class_name="trend-label number"),
            rx.el.div(
                rx.el.span(view.day, class_name="faint"),
                rx.el.span(view.found, " found", class_name="badge tone-leaking"),
                rx.el.span(view.guarded, " guarded", class_name="badge tone-recovered"),
                class_name=f"trend-readout number {view.side}",
            ),
            class_name="trend-column",
        )

    def line(view: Column) -> rx.Component:
        return rx.el.tr(
            rx.el.th(view.day, scope="row"),
            rx.el.td(view.found, class_name="number right"),
            rx.el.td(view.guarded, class_name="number right"),
        )

    return rx.el.figure(
        rx.el.div(
            rx.el.div(
                rx.foreach(Dashboard.axis, lambda text: rx.el.span(text)), class_name="trend-axis number faint tiny"
            ),
            rx.el.div(rx.foreach(Dashboard.columns, column), class_name="trend-plot"),
            class_name="trend",
            role="img",
            aria_label=Dashboard.trend_summary,
        ),
        rx.el.details(
            rx.el.summary("Show as a table"),
            rx.el.div(
                rx.el.table(
                    rx.el.thead(
                        rx.el.tr(
                            rx.el.th("Day", scope="col"),
                            rx.el.th("Found", scope="col", class_name="right"),
                            rx.el.th("Guarded", scope="col", class_name="right"),
                        )
                    ),
                    rx.el.tbody(rx.foreach(Dashboard.columns, line)),
                    class_name="table",
                ),
                class_name="table-wrap trend-table",
            ),
            class_name="disclosure",
        ),
        data_testid="trend",
    )
