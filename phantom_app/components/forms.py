"""Forms that the browser posts itself. Reflex's own form keeps every submit in the page."""

from typing import Any

import reflex as rx
from reflex_components_core.el.elements.base import BaseHTML  # type: ignore[import-untyped]  # ships no types


class PostedForm(BaseHTML):
    """A plain <form method="post">: a full page load, so that the socket opens with the cookie it sets."""

    tag = "form"

    action: rx.Var[str]
    method: rx.Var[str]
    enc_type: rx.Var[str]


def posted_form(*children: Any, to: str, **props: Any) -> rx.Component:
    """A form that is posted to a route of the HTTP API."""
    form: rx.Component = PostedForm.create(*children, action=to, method="post", **props)
    return form
