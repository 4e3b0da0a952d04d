"""The health card: what is wrong, with a remedy each, or one calm line; and its short form for the dashboard."""

import reflex as rx

from phantom_app import routes
from phantom_app.components.parts import badge, link, panel, table
from phantom_app.state.health_card import FindingRow, HealthCard, SeenRow
from phantom_app.state.machinery import Machinery


def _finding(view: FindingRow) -> rx.Component:
    return rx.el.li(
        rx.el.div(
            badge(view.word, view.tone),
            rx.el.h3(view.title),
            class_name="finding-head",
        ),
        rx.el.p(view.meaning, class_name="soft small"),
        rx.cond(
            view.details,
            rx.el.ul(
                rx.foreach(view.details, lambda text: rx.el.li(text, class_name="mono tiny anywhere")),
                class_name="finding-details",
                aria_label="Details",
            ),
        ),
        rx.el.p(rx.el.strong("What to do: "), view.remedy, class_name="small"),
        rx.cond(
            view.link != "",
            rx.cond(
                view.outside,
                rx.el.a(
                    view.link_text,
                    href=view.link,
                    target="_blank",
                    rel="noopener noreferrer",
                    class_name="text-link small",
                ),
                link(view.link_text, to=view.link, class_name="text-link small"),
            ),
        ),
        class_name="finding",
        data_testid=f"finding-{view.code}",
    )


def _seen() -> rx.Component:
    def row(view: SeenRow) -> rx.Component:
        return rx.el.tr(
            rx.el.td(view.what, rx.el.span(view.type, class_name="cell-sub mono anywhere")),
            rx.el.td(view.when, class_name="number nowrap", custom_attrs={"data-label": "Last seen"}),
            custom_attrs={"data-testid": f"seen-{view.type}"},
        )

    return panel(
        "Webhooks",
        "When Stripe last told of what matters most; what it does not tell, hunts find within twelve hours",
        table("Webhooks last seen", ("What", "Last seen"), rx.foreach(HealthCard.seen, row)),
        test_id="webhooks-seen",
    )


def health_card() -> rx.Component:
    """On the System page, above the parts that it leans on."""
    return rx.fragment(
        panel(
            "Health",
            "What PHANTOM needs to find money and get it back",
            rx.cond(
                HealthCard.findings,
                rx.el.ul(rx.foreach(HealthCard.findings, _finding), class_name="findings", aria_label="Findings"),
                rx.el.p(
                    rx.cond(
                        Machinery.all_alive,
                        "Everything PHANTOM needs is in place.",
                        "Your account is set up rightly. A part of PHANTOM itself is away; it stands below.",
                    ),
                    data_testid="all-well",
                ),
            ),
            test_id="health-card",
        ),
        rx.cond(HealthCard.connected, _seen()),
    )


def health_notice() -> rx.Component:
    """On the dashboard, only while something needs somebody."""
    return rx.cond(
        HealthCard.urgent != "",
        rx.el.div(
            rx.el.span(rx.el.strong(HealthCard.urgent_head, ": "), HealthCard.urgent),
            link("See what to do", to=routes.system("health"), class_name="button"),
            class_name="notice attention",
            role="status",
            data_testid="health-notice",
        ),
    )
