"""The form of the merchant's brand."""

from typing import Any

import reflex as rx

from phantom_app.components.parts import panel
from phantom_app.state.branding import Branding
from phantom_app.state.message_views import LANGUAGES


def _field(name: str, label: str, under: str, control: Any) -> rx.Component:
    problem = Branding.problems[name]
    return rx.el.div(
        rx.el.label(label, html_for=f"brand-{name}"),
        control,
        rx.el.p(under, class_name="faint tiny", id=f"brand-{name}-help"),
        rx.cond(problem != "", rx.el.p(problem, role="alert", class_name="small wrong", data_testid=f"wrong-{name}")),
        class_name="field",
    )


def _text(name: str, label: str, under: str, **more: Any) -> rx.Component:
    control = rx.el.input(
        id=f"brand-{name}",
        name=name,
        default_value=Branding.form[name],
        key=f"{name}-{Branding.edited}",
        disabled=~Branding.may_edit,
        aria_describedby=f"brand-{name}-help",
        class_name="input",
        data_testid=f"brand-{name}",
        **more,
    )
    return _field(name, label, under, control)


def _signature() -> rx.Component:
    control = rx.el.textarea(
        id="brand-signature",
        name="signature",
        default_value=Branding.form["signature"],
        key=f"signature-{Branding.edited}",
        disabled=~Branding.may_edit,
        rows="3",
        aria_describedby="brand-signature-help",
        class_name="input area",
        data_testid="brand-signature",
    )
    return _field("signature", "Signature", "Up to four lines, below the button.", control)


def _language() -> rx.Component:
    control = rx.el.select(
        *[rx.el.option(name, value=code) for code, name in LANGUAGES.items()],
        id="brand-language",
        name="language",
        default_value=rx.cond(Branding.form["language"] != "", Branding.form["language"], "en"),
        key=f"language-{Branding.edited}",
        disabled=~Branding.may_edit,
        aria_describedby="brand-language-help",
        class_name="select",
        data_testid="brand-language",
    )
    return _field("language", "Default language", "For customers whose language and country say none.", control)


def _swatch() -> rx.Component:
    return rx.el.p(
        rx.el.span("Button", class_name="swatch", style={"background": Branding.accent, "color": Branding.ink}),
        rx.el.span("Contrast ", Branding.contrast, class_name="faint tiny number"),
        class_name="swatch-line",
        data_testid="contrast",
    )


def brand_form() -> rx.Component:
    """How messages look, for all of them at once."""
    return panel(
        "Brand",
        "On every message",
        rx.el.form(
            _text("name", "Name", "Empty: as Stripe knows your business.", placeholder=Branding.business),
            _text("reply_to", "Answers go to", "Where customers' replies arrive.", type="email", auto_complete="off"),
            _text("accent", "Colour of the button", "Like #1d4ed8; its text turns black or white by itself."),
            _swatch(),
            _text(
                "logo_url",
                "Logo",
                "An https address, or empty. It is not loaded here, and many mail programs block pictures: then your "
                "name stands in its place, as in the preview.",
                auto_complete="off",
            ),
            _signature(),
            _text("address", "Postal address", "One line at the foot; some countries ask for it."),
            _language(),
            rx.cond(
                Branding.may_edit,
                rx.el.button("Save brand", type="submit", class_name="button primary", data_testid="save-brand"),
            ),
            rx.el.p(Branding.note, role="status", class_name="small", data_testid="brand-note"),
            on_submit=Branding.save,
            class_name="stack brand-form",
            no_validate=True,
        ),
        test_id="brand-panel",
    )
