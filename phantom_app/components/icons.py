"""A handful of 16-pixel line icons; they carry no meaning of their own and are hidden from readers."""

import reflex as rx

_PATHS = {
    "dashboard": "M2.5 13.5v-5M6.2 13.5v-9M9.8 13.5v-6M13.5 13.5v-11",
    "recoveries": "M2.5 8a5.5 5.5 0 0 1 9.6-3.7L13.5 6M13.5 2.5V6H10M13.5 8a5.5 5.5 0 0 1-9.6 3.7L2.5 10M2.5 13.5V10H6",
    "tasks": "M2 4l1.5 1.5L6 3M2 11l1.5 1.5L6 10M8.5 4.5H14M8.5 11.5H14",
    "system": "M1.5 8.5h3l2-5 3 9 2-4h3",
    "settings": "M2 4.5h7M12.5 4.5H14M2 11.5h1.5M7 11.5h7M9 2.5v4h3.5v-4zM3.5 9.5v4H7v-4z",
    "theme": "M8 2a6 6 0 1 0 0 12zM8 2a6 6 0 0 1 0 12",
    "leave": "M6 2.5H2.5v11H6M7 8h6.5M10.5 5l3 3-3 3",
    "back": "M9.5 3.5 5 8l4.5 4.5",
    "next": "M6.5 3.5 11 8l-4.5 4.5",
    "close": "M3.5 3.5l9 9M12.5 3.5l-9 9",
    "arrow": "M2.5 8h11M9.5 4l4 4-4 4",
}


def icon(name: str) -> rx.Component:
    """One of the icons, in the colour of the text around it."""
    return rx.el.svg(
        rx.el.path(d=_PATHS[name], fill="none", stroke="currentColor", stroke_width="1.25"),
        view_box="0 0 16 16",
        aria_hidden="true",
        focusable="false",
    )


def ghost() -> rx.Component:
    """The mark: a ghost of square corners."""
    return rx.el.svg(
        rx.el.path(
            d="M0 18V6a6 6 0 0 1 6-6h4a6 6 0 0 1 6 6v12l-4-2.6L8 18l-4-2.6zM4 7v3h2.4V7zm5.6 0v3H12V7z",
            fill="currentColor",
            fill_rule="evenodd",
        ),
        view_box="0 0 16 18",
        aria_hidden="true",
        focusable="false",
    )


def wordmark() -> rx.Component:
    return rx.el.span(ghost(), "PHANTOM", class_name="wordmark")
