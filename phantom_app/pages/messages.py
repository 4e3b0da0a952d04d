"""Settings, messages: what customers are told and how it looks."""

import reflex as rx

from phantom_app import routes
from phantom_app.components.brand_form import brand_form
from phantom_app.components.message_editor import choices, editor, look, overview
from phantom_app.components.parts import empty, link, page_head, skeletons
from phantom_app.components.shell import framed
from phantom_app.pages.page import Page
from phantom_app.state.branding import Branding
from phantom_app.state.messages import Messages
from phantom_app.state.shell import Shell


def messages() -> rx.Component:
    return framed(
        routes.SETTINGS,
        page_head(
            "Messages",
            rx.fragment(link("Settings", to=routes.SETTINGS, class_name="text-link"), ": what customers are told"),
            choices(),
        ),
        rx.cond(
            Messages.loaded,
            rx.cond(
                Messages.may_read,
                rx.fragment(
                    overview(),
                    rx.el.div(editor(), look(), class_name="columns even with-look"),
                ),
                empty(
                    "Messages are not shown to your role", "Ask an owner or admin of this account for the member role."
                ),
            ),
            skeletons(8, "24px"),
        ),
        brand_form(),
    )


PAGE = Page(routes.MESSAGES, "Messages – PHANTOM", messages, on_load=[Shell.enter, Messages.load, Branding.load])
