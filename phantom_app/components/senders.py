"""The senders: what goes out with whose key, a form for an own one, a test, and taking it away."""

from typing import Any

import reflex as rx

from phantom_app.components.parts import calling, panel, question, skeletons
from phantom_app.state.senders import MAIL, TEXT, Senders

_LONG = {"overflow_wrap": "anywhere"}


def _fact(label: str, value: Any, class_name: str = "") -> rx.Component:
    return rx.el.div(rx.el.dt(label), rx.el.dd(value, class_name=class_name))


def _own(line: Any, key: str) -> rx.Component:
    """What is set; of the key its last characters."""
    return rx.fragment(
        rx.cond(
            line.paused != "",
            rx.el.p(
                rx.el.strong("Paused. "),
                "Its provider refused it: ",
                line.paused,
                " Messages wait, none is lost. Set a key that works and they go on.",
                role="alert",
                class_name="small wrong",
                data_testid=f"{key}-paused",
            ),
        ),
        rx.el.dl(
            _fact("Provider", line.provider),
            _fact("From", line.address, "mono"),
            _fact("Key", rx.fragment("ends in ", rx.el.span(line.hint, class_name="mono"))),
            _fact("Set", line.since, "number"),
            rx.el.div(rx.el.dt("Webhook"), rx.el.dd(line.webhook_url, class_name="mono", style=_LONG)),
            class_name="facts",
            data_testid=f"{key}-own",
        ),
    )


def _question(channel: str, key: str) -> rx.Component:
    return question(
        "Remove it, with its secrets?",
        "Yes, remove",
        calling(Senders.remove, channel),
        calling(Senders.ask, ""),
        label="Remove this sender",
        test_id=f"{key}-remove",
    )


def _remove(channel: str, line: Any, key: str) -> rx.Component:
    return rx.cond(
        line.own,
        rx.cond(
            Senders.asking == channel,
            _question(channel, key),
            rx.el.button(
                "Remove",
                on_click=calling(Senders.ask, channel),
                class_name="button bare",
                type="button",
                data_testid=f"{key}-remove",
            ),
        ),
    )


def _input(key: str, name: str, label: str, under: str, **more: Any) -> rx.Component:
    return rx.el.div(
        rx.el.label(label, html_for=f"{key}-{name}"),
        rx.el.input(
            id=f"{key}-{name}",
            name=name,
            key=f"{name}-{Senders.edited}",
            auto_complete="off",
            spell_check=False,
            aria_describedby=f"{key}-{name}-help",
            class_name="input",
            data_testid=f"{key}-{name}",
            **more,
        ),
        rx.el.p(under, class_name="faint tiny", id=f"{key}-{name}-help"),
        class_name="field",
    )


def _form(channel: str, key: str, save: Any, *fields: rx.Component) -> rx.Component:
    return rx.el.details(
        rx.el.summary("Use a key of your own", class_name="small", data_testid=f"{key}-open"),
        rx.el.form(
            *fields,
            rx.el.button(
                rx.cond(Senders.busy == channel, "Asking the provider", "Save"),
                type="submit",
                disabled=Senders.busy != "",
                class_name="button primary",
                data_testid=f"{key}-save",
            ),
            on_submit=save,
            class_name="stack",
            style={"margin_top": "16px"},
            no_validate=True,
        ),
    )


def _said(channel: str, key: str) -> rx.Component:
    note, wrong = Senders.notes[channel], Senders.wrong[channel]
    return rx.fragment(
        rx.cond(wrong != "", rx.el.p(wrong, role="alert", class_name="small wrong", data_testid=f"{key}-wrong")),
        rx.el.p(note, role="status", class_name="small", data_testid=f"{key}-note"),
    )


def _who(line: Any, platform: Any, kind: str) -> rx.Component:
    return rx.cond(
        line.own,
        rx.fragment(),
        rx.el.p(
            rx.cond(
                platform,
                f"{kind} go out with PHANTOM's sender, under your name.",
                f"No sender is set: {kind.lower()} are written to the outbox on the System page and go nowhere.",
            ),
            class_name="soft small",
        ),
    )


def _mail() -> rx.Component:
    test = rx.el.button(
        "Send me a test",
        on_click=Senders.test_mail,
        disabled=Senders.busy != "",
        class_name="button",
        type="button",
        data_testid="mail-test",
    )
    return _panel(
        "Mail",
        MAIL,
        "mail",
        Senders.mail,
        _who(Senders.mail, Senders.platform_mail, "Mails"),
        rx.el.div(test, _remove(MAIL, Senders.mail, "mail"), class_name="controls"),
        _form(
            MAIL,
            "mail",
            Senders.save_mail,
            _input("mail", "api_key", "Resend API key", "Kept encrypted and never shown again.", type="password"),
            _input("mail", "address", "From", "An address of a domain that Resend has verified.", type="email"),
            _input(
                "mail",
                "webhook_secret",
                "Webhook signing secret",
                "Of a webhook in Resend to the address shown once this is saved. Empty keeps the one set before.",
                type="password",
            ),
        ),
    )


def _text() -> rx.Component:
    test = rx.el.form(
        _input("text", "number", "Send a test to", "Your own number, like +15005550006.", type="tel"),
        rx.el.button(
            "Send a test", type="submit", disabled=Senders.busy != "", class_name="button", data_testid="text-test"
        ),
        on_submit=Senders.test_text,
        class_name="stack",
        no_validate=True,
    )
    return _panel(
        "Text messages",
        TEXT,
        "text",
        Senders.text,
        _who(Senders.text, Senders.platform_text, "Text messages"),
        rx.cond(Senders.text.own | Senders.platform_text, test),
        rx.el.div(_remove(TEXT, Senders.text, "text"), class_name="controls"),
        _form(
            TEXT,
            "text",
            Senders.save_text,
            _input("text", "account", "Twilio account SID", "AC and 32 characters."),
            _input("text", "auth_token", "Auth token", "Kept encrypted and never shown again.", type="password"),
            _input(
                "text",
                "sender",
                "From",
                "A number like +15005550006 or a messaging service (MG…). Let its replies come to the address shown "
                "here once you have saved, so that STOP is heard.",
            ),
        ),
    )


def _panel(title: str, channel: str, key: str, line: Any, who: rx.Component, *actions: rx.Component) -> rx.Component:
    return panel(
        title,
        rx.cond(line.own, "Your own sender", "Who sends for you"),
        rx.cond(
            Senders.loaded,
            rx.el.div(
                who,
                rx.cond(line.own, _own(line, key)),
                rx.cond(
                    Senders.may_manage,
                    rx.fragment(*actions),
                    rx.el.p("An owner or admin can change this.", class_name="faint small"),
                ),
                _said(channel, key),
                class_name="stack",
            ),
            skeletons(3),
        ),
        test_id=f"{key}-sender-panel",
    )


def senders_panels() -> tuple[rx.Component, rx.Component]:
    """Mail and text messages, a panel each."""
    return _mail(), _text()
