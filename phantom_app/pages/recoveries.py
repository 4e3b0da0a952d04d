"""Recoveries: every ghost with what was done, what comes next, and why."""

import reflex as rx

from phantom_app import routes
from phantom_app.components import selection
from phantom_app.components.parts import badge, calling, debounced, empty, leaving, link, page_head, pager, skeletons
from phantom_app.components.shell import framed
from phantom_app.pages.page import Page
from phantom_app.state import words
from phantom_app.state.recoveries import GhostView, Recoveries
from phantom_app.state.selection import Selection
from phantom_app.state.shell import Shell


def _toolbar() -> rx.Component:
    states = [("", "Every state"), ("still-open", "Still open")]
    states += [(code, word) for code, (word, _tone) in words.STATES.items()]
    strategies = [("", "Every strategy"), *words.STRATEGIES.items()]
    return rx.el.div(
        rx.el.input(
            type="search",
            placeholder="Customer, email, invoice",
            default_value=Recoveries.search,
            on_change=debounced(Recoveries.look_for, 250),
            class_name="input search",
            aria_label="Search ghosts",
            data_testid="search",
        ),
        rx.el.select(
            *[rx.el.option(word, value=code) for code, word in states],
            value=Recoveries.state_filter,
            on_change=Recoveries.choose_state,
            class_name="select",
            aria_label="State",
            data_testid="state-filter",
        ),
        rx.el.select(
            *[rx.el.option(word, value=code) for code, word in strategies],
            value=Recoveries.strategy_filter,
            on_change=Recoveries.choose_strategy,
            class_name="select",
            aria_label="Strategy",
            data_testid="strategy-filter",
        ),
        class_name="toolbar",
        role="search",
    )


def _sortable(text: str, column: str, class_name: str = "") -> rx.Component:
    chosen = Recoveries.sort == column
    return rx.el.th(
        rx.el.button(
            text,
            rx.el.span(rx.cond(chosen, rx.cond(Recoveries.ascending, "↑", "↓"), ""), aria_hidden="true"),
            on_click=calling(Recoveries.sort_by, column),
            class_name="sort",
            type="button",
        ),
        scope="col",
        class_name=class_name,
        aria_sort=rx.cond(chosen, rx.cond(Recoveries.ascending, "ascending", "descending"), "none"),
    )


def _row(ghost: GhostView) -> rx.Component:
    return rx.el.tr(
        selection.choose(ghost, Selection.chosen),
        rx.el.td(
            link(ghost.name, to=ghost.link, class_name="cell-main row-link", title=ghost.name),
            rx.el.span(ghost.email, class_name="cell-sub", title=ghost.email),
            rx.cond(ghost.seen != "", badge(ghost.seen, "at-risk", data_testid="seen")),
            class_name="customer",
        ),
        rx.el.td(ghost.amount, class_name="number right strong", custom_attrs={"data-label": "Amount"}),
        rx.el.td(badge(ghost.state, ghost.tone), custom_attrs={"data-label": "State"}),
        rx.el.td(
            rx.el.span(ghost.reason, class_name="cell-line"),
            rx.el.span(ghost.card, class_name="cell-sub number nowrap"),
            class_name="roomy-only",
            custom_attrs={"data-label": "Decline"},
        ),
        rx.el.td(ghost.strategy, class_name="wide-only wider-only"),
        rx.el.td(
            rx.el.span(ghost.last, class_name="cell-line"),
            rx.el.span(ghost.last_when, class_name="cell-sub number"),
            class_name="wide-only wider-only",
        ),
        rx.el.td(
            rx.el.span(ghost.next, class_name="cell-line"),
            rx.el.span(ghost.next_when, class_name="cell-sub number"),
            rx.el.span(ghost.next_reason, class_name="cell-sub next-reason", title=ghost.next_reason),
            custom_attrs={"data-label": "Next"},
        ),
        rx.el.td(ghost.found, class_name="number nowrap wide-only widest-only"),
        class_name="goes",
        data_testid="ghost-row",
        custom_attrs={"data-ghost": ghost.id},
    )


def _list() -> rx.Component:
    return rx.el.div(
        rx.el.table(
            rx.el.caption("Ghosts", class_name="hidden-visually"),
            rx.el.thead(
                rx.el.tr(
                    selection.choose_all(),
                    _sortable("Customer, last active first", "active"),
                    _sortable("Amount", "amount", "right"),
                    rx.el.th("State", scope="col"),
                    rx.el.th("Decline", scope="col", class_name="roomy-only"),
                    rx.el.th("Strategy", scope="col", class_name="wider-only"),
                    rx.el.th("Last action", scope="col", class_name="wider-only"),
                    _sortable("Next action", "next"),
                    _sortable("Found", "found", "widest-only"),
                )
            ),
            rx.el.tbody(rx.foreach(Recoveries.rows, _row)),
            class_name="table cards",
        ),
        class_name="table-wrap",
        data_testid="ghosts",
    )


def _nothing() -> rx.Component:
    return rx.cond(
        Recoveries.filtered,
        empty(
            "Nothing matches",
            "No ghost has this state, strategy and text together.",
            rx.el.button("Show all ghosts", on_click=Recoveries.clear, class_name="button", type="button"),
        ),
        empty(
            "No ghosts",
            "When a recurring invoice fails while the customer keeps access, it appears here within a second.",
            link("Start a hunt", to=routes.WELCOME, class_name="button primary"),
        ),
    )


def recoveries() -> rx.Component:
    return framed(
        routes.RECOVERIES,
        page_head(
            "Recoveries",
            "Unpaid recurring invoices of customers who still have access",
            rx.cond(
                Recoveries.export_link != "",
                leaving("Export CSV", to=Recoveries.export_link, class_name="button", data_testid="export"),
            ),
        ),
        _toolbar(),
        selection.bar(),
        rx.cond(
            Recoveries.loaded,
            rx.cond(
                Recoveries.rows,
                rx.fragment(
                    _list(),
                    pager(
                        Recoveries.range_text,
                        Recoveries.page > 1,
                        Recoveries.page < Recoveries.pages,
                        Recoveries.go_back,
                        Recoveries.go_forward,
                    ),
                ),
                _nothing(),
            ),
            skeletons(10, "36px"),
        ),
    )


PAGE = Page(
    routes.RECOVERIES, "Recoveries – PHANTOM", recoveries, on_load=[Shell.enter, Recoveries.load, Selection.load]
)
