"""MoneyHero: the figures a merchant opens PHANTOM for, the largest first."""

from typing import Any

import reflex as rx

from phantom_app.components.parts import skeleton
from phantom_app.state.dashboard import Dashboard, FigureView


def figure_value(value: Any, test_id: Any) -> rx.Component:
    """A figure on one line: what is long gets smaller on a narrow screen, for a number never breaks."""
    size = rx.cond(value.length() > 15, "longest", rx.cond(value.length() > 9, "long", ""))
    return rx.el.span(value, class_name=f"figure-value number {size}", data_testid=test_id)


def _figure(figure: FigureView, leading: bool = False) -> rx.Component:
    return rx.el.div(
        rx.el.dt(figure.label, class_name=f"key tone-{figure.tone}"),
        rx.el.dd(
            figure_value(figure.value, f"figure-{figure.key}-value"),
            rx.el.span(
                rx.cond(figure.change != "", rx.el.span(figure.change, class_name="figure-change")),
                rx.el.span(figure.period),
                class_name="figure-line number",
            ),
            rx.el.span(figure.note, class_name="figure-note number"),
        ),
        class_name="figure leading" if leading else "figure",
        data_testid=f"figure-{figure.key}",
    )


def money_hero() -> rx.Component:
    return rx.el.section(
        rx.el.h2("Money", class_name="hidden-visually"),
        rx.cond(
            Dashboard.loaded,
            rx.el.dl(
                _figure(Dashboard.guarded, leading=True),
                rx.foreach(Dashboard.figures, lambda figure: _figure(figure)),
                class_name="hero",
            ),
            rx.el.div(
                *[
                    rx.el.div(
                        skeleton("14px", "45%"),
                        skeleton("34px", "60%"),
                        skeleton("14px", "80%"),
                        class_name="figure leading skeletons" if index == 0 else "figure skeletons",
                    )
                    for index in range(5)
                ],
                class_name="hero",
                role="status",
                aria_label="Loading the figures",
                data_testid="loading",
            ),
        ),
        aria_label="Money",
        data_testid="money-hero",
    )
