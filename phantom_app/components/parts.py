"""Small parts: links, badges, headings, skeletons, empty and error states, buttons that page."""

from typing import Any

import reflex as rx
from reflex_components_core.react_router.dom import ReactRouterLink  # type: ignore[import-untyped]  # ships no types

from phantom_app.components.icons import icon


def calling(handler: Any, *arguments: Any) -> Any:
    """A handler with its arguments bound (to a type checker `rx.event` makes something that cannot be called)."""
    return handler(*arguments)


def debounced(handler: Any, milliseconds: int) -> Any:
    """A handler that runs when nothing more came for a while."""
    return handler.debounce(milliseconds)


def link(*children: Any, to: Any, class_name: Any = "", **props: Any) -> rx.Component:
    """A link inside the application: no page load."""
    return ReactRouterLink.create(*children, to=to, class_name=class_name, **props)


def leaving(*children: Any, to: Any, class_name: Any = "", **props: Any) -> rx.Component:
    """A link to one of our HTTP routes: a page load. A plain `a` with a path becomes a link of the router's here."""
    return ReactRouterLink.create(*children, to=to, reload_document=True, class_name=class_name, **props)


def badge(word: Any, tone: Any, **props: Any) -> rx.Component:
    """A word with the colour of its meaning; never the colour alone."""
    return rx.el.span(word, class_name=f"badge tone-{tone}", **props)


def page_head(title: Any, under: Any, *controls: rx.Component) -> rx.Component:
    return rx.el.header(
        rx.el.div(rx.el.h1(title), rx.el.p(under, class_name="soft small")),
        rx.el.div(*controls, class_name="controls") if controls else rx.fragment(),
        class_name="page-head",
    )


def panel(title: str, under: Any, *children: Any, test_id: str, aside: Any = None) -> rx.Component:
    """A bordered region with a heading that names it."""
    heading = f"{test_id}-title"
    return rx.el.section(
        rx.el.div(
            rx.el.div(rx.el.h2(title, id=heading), rx.el.p(under, class_name="faint tiny")),
            aside if aside is not None else rx.fragment(),
            class_name="panel-head",
        ),
        rx.el.div(*children, class_name="panel-body"),
        class_name="panel",
        aria_labelledby=heading,
        data_testid=test_id,
    )


def table(caption: str, heads: tuple[str, ...], body: Any, test_id: str = "") -> rx.Component:
    """Rows under headings, cards on a narrow screen: each cell but the first names itself there by `data-label`."""
    return rx.el.div(
        rx.el.table(
            rx.el.caption(caption, class_name="hidden-visually"),
            rx.el.thead(rx.el.tr(*[rx.el.th(head, scope="col") for head in heads])),
            rx.el.tbody(body),
            class_name="table cards",
        ),
        class_name="table-wrap",
        **({"data_testid": test_id} if test_id else {}),
    )


def skeleton(height: str, width: str = "100%") -> rx.Component:
    return rx.el.span(class_name="skeleton", style={"height": height, "width": width})


def skeletons(rows: int, height: str = "20px") -> rx.Component:
    """Something is being loaded; said once, drawn as grey lines."""
    return rx.el.div(
        rx.el.span("Loading", class_name="hidden-visually"),
        *[skeleton(height, f"{100 - 9 * (row % 4)}%") for row in range(rows)],
        class_name="skeletons",
        role="status",
        data_testid="loading",
    )


def empty(title: Any, advice: Any, *actions: rx.Component, inset: bool = False, test_id: str = "empty") -> rx.Component:
    """Nothing here, and what to do about it."""
    return rx.el.div(
        rx.el.h2(title),
        rx.el.p(advice, class_name="soft small"),
        *actions,
        class_name="empty inset" if inset else "empty",
        data_testid=test_id,
    )


def notice(text: Any, on_dismiss: Any) -> rx.Component:
    """Something failed; stays until it is dismissed or the page changes."""
    return rx.el.div(
        rx.el.span(text),
        rx.el.div(
            rx.el.a("Load again", href="", class_name="text-link"),
            rx.el.button(
                icon("close"), on_click=on_dismiss, class_name="button icon bare", aria_label="Dismiss", type="button"
            ),
            class_name="controls",
        ),
        role="alert",
        class_name="notice",
        data_testid="problem",
    )


def segments(label: str, *choices: tuple[str, Any, Any], test_id: str) -> rx.Component:
    """A small set of exclusive choices: (text, is it chosen, what choosing does)."""
    return rx.el.div(
        *[
            rx.el.button(text, on_click=choose, aria_pressed=rx.cond(chosen, "true", "false"), type="button")
            for text, chosen, choose in choices
        ],
        class_name="segments",
        role="group",
        aria_label=label,
        data_testid=test_id,
    )


def question(text: Any, yes: Any, on_yes: Any, on_keep: Any, *, label: Any, test_id: str) -> rx.Component:
    """Asked before what has no way back, in the place of the button that was pressed."""
    return rx.el.div(
        rx.el.span(text, class_name="small"),
        rx.el.button(
            yes,
            on_click=on_yes,
            class_name="button primary",
            type="button",
            auto_focus=True,
            data_testid=f"{test_id}-yes",
        ),
        rx.el.button("Keep", on_click=on_keep, class_name="button", type="button", data_testid=f"{test_id}-no"),
        class_name="controls",
        role="group",
        aria_label=label,
    )


def pager(text: Any, has_back: Any, has_next: Any, back: Any, forward: Any) -> rx.Component:
    return rx.el.nav(
        rx.el.span(text, class_name="soft small number", data_testid="range", aria_live="polite"),
        rx.el.div(
            rx.el.button(
                icon("back"), "Previous", on_click=back, disabled=~has_back, class_name="button", type="button"
            ),
            rx.el.button(
                "Next", icon("next"), on_click=forward, disabled=~has_next, class_name="button", type="button"
            ),
            class_name="controls",
        ),
        class_name="pager",
        aria_label="Pages",
    )
