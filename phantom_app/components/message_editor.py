"""Editing one message: the overview to choose from, its fields, what is wrong with them, and how it will look."""

from typing import Any

import reflex as rx

from phantom_app.components.parts import calling, debounced, panel, segments
from phantom_app.state.message_look import Look
from phantom_app.state.message_views import LANGUAGES, PASSED_OVER, Edition, Flaw, Row, Slot
from phantom_app.state.messages import Messages

_WAIT = 350  # milliseconds without a key: then what was typed is looked at
_HELP = (
    "Empty lines make paragraphs. Values: {{ merchant }}, {{ amount }}, {{ when }}, "
    '{{ name | default("there") }}, {{ card | default("on file") }}, {{ date | default("recently") }}. '
    "Greeting, signature and the way to unsubscribe are added around it."
)
_SMS_HELP = (
    "Needed: {{ merchant }}, {{ pay_link }} and {{ opt_out }}. Also: {{ amount }}, {{ when }}. At most two segments, "
    "with a long link."
)


def choices() -> rx.Component:
    """Channel and language of the overview."""
    return rx.el.div(
        segments(
            "Channel",
            ("Mail", Messages.channel == "email", calling(Messages.choose_channel, "email")),
            ("Text message", Messages.channel == "sms", calling(Messages.choose_channel, "sms")),
            test_id="channel",
        ),
        rx.el.select(
            *[rx.el.option(name, value=code) for code, name in LANGUAGES.items()],
            value=Messages.language,
            on_change=Messages.choose_language,
            class_name="select",
            aria_label="Language",
            data_testid="language",
        ),
        class_name="controls",
    )


def _slot(slot: Slot) -> rx.Component:
    chosen = (Messages.group == slot.group) & (Messages.moment == slot.moment)
    return rx.el.td(
        rx.cond(
            slot.label != "",
            rx.el.button(
                slot.label,
                on_click=calling(Messages.choose, slot.group, slot.moment),
                aria_pressed=rx.cond(chosen, "true", "false"),
                class_name=rx.cond(slot.own, "slot own", "slot"),
                type="button",
                data_testid=f"slot-{slot.group}-{slot.moment}",
            ),
        ),
    )


def overview() -> rx.Component:
    """Every message, and whose words it is in."""

    def row(view: Row) -> rx.Component:
        return rx.el.tr(rx.el.th(view.name, scope="row"), rx.foreach(view.slots, _slot))

    return rx.el.div(
        rx.el.table(
            rx.el.caption("Messages", class_name="hidden-visually"),
            rx.el.thead(rx.el.tr(*[rx.el.th(head, scope="col") for head in ("About", "First", "Reminder", "Last")])),
            rx.el.tbody(rx.foreach(Messages.rows, row)),
            class_name="table slots",
        ),
        rx.el.p(PASSED_OVER, class_name="faint tiny"),
        class_name="table-wrap",
        data_testid="overview",
    )


def _field(name: str, label: str, lines: int, help_text: Any = None) -> rx.Component:
    """Uncontrolled, so that typing never waits for the server; drawn anew when another message is loaded."""
    common: dict[str, Any] = {
        "id": f"message-{name}",
        "name": name,
        "default_value": Messages.draft[name],
        "on_change": calling(debounced(Messages.write, _WAIT), name, Messages.edited),
        # a button is pressed before that: what was typed last must be there first
        "on_blur": calling(Messages.write, name, Messages.edited),
        "key": f"{name}-{Messages.edited}",
        "disabled": ~Messages.may_edit,
        "dir": "auto",
        "data_testid": f"field-{name}",
    }
    if lines > 1:
        control = rx.el.textarea(**common, rows=str(lines), class_name="input area", aria_describedby="message-help")
    else:
        control = rx.el.input(**common, class_name="input", auto_complete="off")
    return rx.el.div(
        rx.el.label(label, html_for=f"message-{name}"),
        control,
        rx.el.p(help_text, class_name="faint tiny", id="message-help") if help_text is not None else rx.fragment(),
        class_name="field",
    )


def _flaw(view: Flaw) -> rx.Component:
    return rx.el.li(
        rx.el.p(rx.el.strong(view.field, ", ", view.place, ": "), view.message),
        rx.el.p(
            rx.el.span(view.before),
            rx.el.mark(view.here),
            rx.el.span(view.after),
            class_name="flaw-line mono",
            dir="auto",
        ),
        class_name="flaw",
        data_testid="flaw",
    )


def _flaws() -> rx.Component:
    return rx.cond(
        Messages.flaws,
        rx.el.div(
            rx.el.p(
                "This cannot be sent yet. The preview shows the last version without mistakes.", class_name="small"
            ),
            rx.el.ul(rx.foreach(Messages.flaws, _flaw)),
            role="alert",
            class_name="flaws",
            data_testid="flaws",
        ),
    )


def _buttons() -> rx.Component:
    return rx.cond(
        Messages.may_edit,
        rx.el.div(
            rx.el.button(
                "Save", on_click=Messages.save, class_name="button primary", type="button", data_testid="save-message"
            ),
            rx.cond(
                Messages.channel == "email",
                rx.el.button(
                    rx.cond(Messages.busy, "Sending", "Send a test to me"),
                    on_click=Messages.send_test,
                    disabled=Messages.busy,
                    class_name="button",
                    type="button",
                    data_testid="send-test",
                ),
            ),
            rx.cond(
                Messages.own,
                rx.el.button(
                    "Back to PHANTOM’s words",
                    on_click=Messages.reset_to_ours,
                    class_name="button",
                    type="button",
                    data_testid="reset-message",
                ),
            ),
            class_name="controls",
        ),
        rx.el.p("To change messages takes the admin or owner role.", class_name="faint small"),
    )


def _text_to_me() -> rx.Component:
    """A test of a text message; nobody's number is known here, so it is asked for and not kept."""
    return rx.el.form(
        rx.el.div(
            rx.el.label("Your number, with its country", html_for="test-number"),
            rx.el.input(
                id="test-number",
                name="number",
                type="tel",
                auto_complete="tel",
                placeholder="+1 202 555 0143",
                max_length=40,
                class_name="input",
                data_testid="test-number",
            ),
            class_name="field",
        ),
        rx.el.button(
            rx.cond(Messages.busy, "Sending", "Send a test to me"),
            disabled=Messages.busy,
            class_name="button",
            type="submit",
            data_testid="send-test-text",
        ),
        on_submit=Messages.send_test_text,
        class_name="stack",
        no_validate=True,
    )


def _editions() -> rx.Component:
    def line(view: Edition) -> rx.Component:
        button = rx.el.button(
            "Put back",
            on_click=calling(Messages.put_back, view.number),
            class_name="button bare",
            type="button",
            aria_label=f"Put {view.version} back",
            data_testid="put-back",
        )
        return rx.el.li(
            rx.el.div(
                rx.el.p(view.version, ": ", view.what, ", ", view.when),
                rx.cond(view.begins != "", rx.el.p(view.begins, class_name="faint tiny", dir="auto")),
            ),
            rx.cond(view.present, rx.el.span("Now", class_name="faint"), rx.cond(Messages.may_edit, button)),
            class_name="edition small soft",
            data_testid="edition",
        )

    return rx.cond(
        Messages.editions,
        rx.el.details(
            rx.el.summary("Versions", class_name="faint small", data_testid="versions"),
            rx.el.ul(rx.foreach(Messages.editions, line), class_name="editions"),
        ),
    )


def editor() -> rx.Component:
    """The fields of the chosen message."""
    is_mail = Messages.channel == "email"
    return panel(
        "Words",
        Messages.whose,
        rx.el.div(
            rx.cond(is_mail, rx.fragment(_field("subject", "Subject", 1), _field("heading", "Heading", 1))),
            _field("body", "Text", 9, rx.cond(is_mail, _HELP, _SMS_HELP)),
            rx.cond(is_mail, _field("button", "Button, which carries the link to pay", 1)),
            _flaws(),
            _buttons(),
            rx.cond(Messages.may_edit & ~is_mail, _text_to_me()),
            rx.el.p(Messages.note, role="status", class_name="small", data_testid="message-note"),
            _editions(),
            class_name="stack",
        ),
        test_id="editor-panel",
    )


def look() -> rx.Component:
    """The preview, with made-up values."""
    return panel(
        "Preview",
        "With made-up values, and your brand",
        rx.cond(
            Messages.channel == "email",
            rx.fragment(
                rx.el.div(
                    segments(
                        "Part",
                        ("HTML", Look.part == "html", calling(Look.choose_part, "html")),
                        ("Plain", Look.part == "plain", calling(Look.choose_part, "plain")),
                        test_id="part",
                    ),
                    segments(
                        "Reader's colours",
                        ("Light", ~Look.dark, calling(Look.choose_scheme, "light")),
                        ("Dark", Look.dark, calling(Look.choose_scheme, "dark")),
                        test_id="scheme",
                    ),
                    segments(
                        "Width",
                        ("Wide", ~Look.narrow, calling(Look.choose_width, "wide")),
                        ("Narrow", Look.narrow, calling(Look.choose_width, "narrow")),
                        test_id="width",
                    ),
                    class_name="controls look-tools",
                ),
                rx.el.p(
                    rx.el.span("Subject: ", class_name="faint"),
                    Look.subject,
                    class_name="small look-subject",
                    dir="auto",
                ),
                rx.cond(
                    Look.part == "html",
                    # customers' and merchants' texts: an empty `sandbox` gives it no script, form or origin
                    rx.el.div(
                        rx.el.iframe(
                            src_doc=Look.html,
                            sandbox="",
                            title="Preview of the message",
                            class_name=rx.cond(Look.narrow, "mail look narrow", "mail look"),
                            data_testid="look",
                        ),
                        class_name="look-frame",
                    ),
                    rx.el.pre(Look.plain, class_name="mail-plain", data_testid="look-plain"),
                ),
            ),
            rx.fragment(
                rx.el.p(Look.cost, class_name="small number look-subject", data_testid="sms-cost"),
                rx.el.pre(Look.plain, class_name="mail-plain sms", data_testid="look-plain"),
            ),
        ),
        test_id="look-panel",
    )
