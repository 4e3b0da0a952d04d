"""Consents: the form that imports them, the search, and the list with a way to take one back."""

import reflex as rx

from phantom_app import routes
from phantom_app.components.forms import posted_form
from phantom_app.components.parts import badge, calling, debounced, empty, link, pager, panel, question, table
from phantom_app.state.consents import ConsentLine, Consents

_WAIT = 350  # milliseconds without a key


def consents_link() -> rx.Component:
    """On Settings: what consents are for, and where they are."""
    return panel(
        "Consents",
        "Text messages go only to customers who agreed",
        rx.el.p(
            "Each is kept with its source and its date. They come from your programs, a CSV file, or both.",
            class_name="soft small",
        ),
        link("See and import", to=routes.CONSENTS, class_name="button panel-action", data_testid="see-consents"),
        test_id="consents-panel",
    )


def import_panel() -> rx.Component:
    """Who agreed, out of a file."""
    return panel(
        "Import",
        "From a CSV file",
        rx.el.p(
            "The columns are phone and date, and where you have them customer_id, country, state (granted or "
            "withdrawn), source and text_version. Rows that cannot be read are named; the others are kept.",
            class_name="soft small",
        ),
        rx.cond(
            Consents.may_import,
            posted_form(
                rx.el.div(
                    rx.el.label("File", html_for="consents-file"),
                    rx.el.input(
                        id="consents-file",
                        name="file",
                        type="file",
                        accept=".csv,text/csv",
                        data_testid="consents-file",
                    ),
                    class_name="field",
                ),
                rx.el.button("Import", type="submit", class_name="button", data_testid="consents-import"),
                to=routes.IMPORT_CONSENTS,
                enc_type="multipart/form-data",
                class_name="stack import-form",
            ),
            rx.el.p("An owner or admin can import them.", class_name="faint small"),
        ),
        test_id="import-panel",
    )


def search() -> rx.Component:
    """Numbers are stored as hashes, so the whole of one is needed."""
    return rx.el.div(
        rx.el.div(
            rx.el.input(
                type="search",
                placeholder="Phone, mail address or customer id",
                default_value=Consents.search,
                on_change=debounced(Consents.look_for, _WAIT),
                max_length=200,
                aria_label="Look for consents by phone, mail address or customer id",
                aria_describedby="consents-search-help",
                auto_complete="off",
                class_name="input search",
                data_testid="consents-search",
            ),
            class_name="toolbar",
        ),
        rx.el.p(
            "Numbers and addresses are kept as fingerprints and shown nowhere: type a whole one to find it.",
            class_name="faint tiny",
            id="consents-search-help",
        ),
        rx.cond(
            Consents.wrong != "",
            rx.el.p(Consents.wrong, role="alert", class_name="small wrong", data_testid="consents-wrong"),
        ),
        class_name="rule-pair",
    )


def _withdraw(line: ConsentLine) -> rx.Component:
    asked = question(
        "Take it back?",
        "Yes, withdraw",
        calling(Consents.withdraw, line.id),
        calling(Consents.ask, ""),
        label=f"Withdraw the consent of {line.customer}",
        test_id="withdraw",
    )
    button = rx.el.button(
        "Withdraw",
        on_click=calling(Consents.ask, line.id),
        class_name="button bare",
        type="button",
        aria_label=f"Withdraw the consent of {line.customer}",
        data_testid="withdraw",
    )
    return rx.cond(
        Consents.may_withdraw & line.may_withdraw,
        rx.cond(Consents.asking == line.id, asked, button),
    )


def _row(line: ConsentLine) -> rx.Component:
    return rx.el.tr(
        rx.el.td(
            rx.el.span(line.customer, class_name="cell-main mono"),
            rx.el.span(line.channel, class_name="cell-sub nowrap"),
        ),
        rx.el.td(badge(line.state, line.tone), data_label="State"),
        rx.el.td(
            rx.el.span(line.given, class_name="cell-line number nowrap"),
            rx.el.span("Recorded ", line.recorded, class_name="cell-sub"),
            data_label="Said",
        ),
        rx.el.td(
            rx.el.span(line.source, class_name="cell-line"),
            rx.cond(line.version != "", rx.el.span("Wording ", line.version, class_name="cell-sub")),
            data_label="Source",
        ),
        rx.el.td(_withdraw(line), class_name="consent-acts"),
        data_testid="consent",
    )


def _nobody() -> rx.Component:
    return rx.cond(
        Consents.search != "",
        empty("Nothing was found", "Nobody with this number, address or id ever agreed or refused."),
        empty(
            "Nobody has agreed yet",
            "Import a file here, or let your programs record consents at /api/v1/consents.",
        ),
    )


def consents_list() -> rx.Component:
    """The page that is shown, and what was done last."""
    return rx.fragment(
        rx.el.p(Consents.note, role="status", class_name="soft small dead-note", data_testid="consents-note"),
        rx.cond(
            Consents.rows,
            rx.fragment(
                table(
                    "Consents, newest first",
                    ("Customer", "State", "Said", "Source", ""),
                    rx.foreach(Consents.rows, _row),
                    test_id="consents",
                ),
                pager(
                    Consents.range_text, Consents.has_former, Consents.has_more, Consents.go_back, Consents.go_forward
                ),
            ),
            _nobody(),
        ),
    )
