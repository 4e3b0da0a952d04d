"""The question about Stripe's own mails, at onboarding and in Settings."""

import reflex as rx

from phantom_app.components.parts import calling, segments
from phantom_app.state.stripe_mails import StripeMails

QUESTION = "Does Stripe e-mail your customers about failed payments?"
_WORDS = {"yes": "Yes", "no": "No", "unknown": "I don't know"}


def stripe_mails_question() -> rx.Component:
    """Three answers, and what follows from each."""
    return rx.el.div(
        rx.el.p(
            "Stripe can write to customers itself, and does not tell PHANTOM whether it does. With both on, a customer "
            "gets two mails about one payment.",
            class_name="soft small",
        ),
        rx.cond(
            StripeMails.may_change,
            segments(
                QUESTION,
                *[
                    (text, StripeMails.answer == answer, calling(StripeMails.choose, answer))
                    for answer, text in _WORDS.items()
                ],
                test_id="stripe-mails-answer",
            ),
            rx.el.p(
                rx.match(
                    StripeMails.answer,
                    *[(answer, f"Answered: {text}.") for answer, text in _WORDS.items()],
                    "Not answered yet.",
                ),
                rx.el.span(" An owner or admin can answer.", class_name="soft"),
                class_name="small",
                data_testid="stripe-mails-said",
            ),
        ),
        rx.match(
            StripeMails.answer,
            ("no", rx.el.p("Good: PHANTOM alone writes.", class_name="small", role="status")),
            ("yes", _warning("Switch Stripe's mails off, then answer No.")),
            ("unknown", _warning("Look whether Stripe's mails are on, and switch them off if they are.")),
            rx.fragment(),
        ),
        class_name="question",
        data_testid="stripe-mails",
    )


def _warning(text: str) -> rx.Component:
    return rx.el.p(
        rx.el.strong("Customers may get two mails. "),
        text,
        " It is in Stripe under Settings, Billing, Subscriptions and emails. ",
        rx.el.a(
            "Open it in Stripe",
            href=StripeMails.switch,
            target="_blank",
            rel="noopener noreferrer",
            class_name="text-link",
        ),
        class_name="small",
        role="status",
        data_testid="stripe-mails-warning",
    )
