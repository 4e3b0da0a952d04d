"""Codes of the domain in the words and tones a person reads; the one place where both are decided."""

import re

from core.true_time import ClockAheadError
from phantom_app.theme import Tone
from services.analytics.schemas import MERIT_WORDS
from services.integrations.stripe.errors import StripeRateLimitedError, StripeUnavailableError
from services.tasks.errors import NotStorableError, ResultTooLargeError, UnknownKindError

STATES: dict[str, tuple[str, Tone]] = {
    "open": ("Open", Tone.LEAKING),
    "contacted": ("Contacted", Tone.IN_RECOVERY),
    "clicked": ("Clicked", Tone.IN_RECOVERY),
    "paused": ("Paused", Tone.NEUTRAL),
    "exhausted": ("Exhausted", Tone.LEAKING),
    "stopped": ("Stopped", Tone.NEUTRAL),
    "lost": ("Lost", Tone.NEUTRAL),
    "recovered": ("Recovered", Tone.RECOVERED),
    "reversed": ("Reversed", Tone.LEAKING),
    "impending": ("Impending", Tone.AT_RISK),
    "protected": ("Protected", Tone.PROTECTED),
}

STRATEGIES: dict[str, str] = {
    "technical_bridge": "Technical bridge",
    "smart_retry": "Smart retry",
    "card_refresh": "Card refresh",
    "high_value_manual": "High value, by hand",
    "stopped": "Stopped",
    "none": "None",
}

ACTIONS: dict[str, str] = {
    "send_message": "Send message",
    "exhaust": "Stop asking",
}

MECHANISMS: dict[str, str] = {mechanism.value: said for mechanism, said in MERIT_WORDS.items()}

EVENTS: dict[str, str] = {"purged": "Personal data removed"}
"""What happened to a ghost, where its name says it to engineers alone."""

CLOSE_REASONS: dict[str, str] = {
    "given_up": "nobody asks any more, and a payment still counts",
    "no_charge": "the charge never came",
    "went_through": "the charge went through",
}

MESSAGE_STATES: dict[str, tuple[str, Tone]] = {
    "planned": ("Planned", Tone.NEUTRAL),
    "sending": ("Sending", Tone.IN_RECOVERY),
    "sent": ("Sent", Tone.IN_RECOVERY),
    "delivered": ("Delivered", Tone.IN_RECOVERY),
    "bounced": ("Bounced", Tone.LEAKING),
    "complained": ("Marked as spam", Tone.LEAKING),
    "outbox": ("In the outbox", Tone.NEUTRAL),
    "skipped": ("Skipped", Tone.NEUTRAL),
    "failed": ("Failed", Tone.LEAKING),
    "uncertain": ("Uncertain", Tone.AT_RISK),
}

TASK_STATES: dict[str, tuple[str, Tone]] = {
    "pending": ("Waiting", Tone.NEUTRAL),
    "running": ("Running", Tone.IN_RECOVERY),
    "done": ("Done", Tone.NEUTRAL),
    "dead": ("Needs a person", Tone.LEAKING),
}

HUNT_STATES: dict[str, tuple[str, Tone]] = {
    "running": ("Running", Tone.IN_RECOVERY),
    "done": ("Done", Tone.NEUTRAL),
    "failed": ("Failed", Tone.LEAKING),
}

LEVELS: dict[str, Tone] = {"warning": Tone.AT_RISK, "error": Tone.LEAKING}

GROUPS: dict[str, str] = {
    "authentication": "Bank wants confirmation",
    "technical": "Technical fault",
    "funds": "Funds and limits",
    "issuer_vague": "Declined without a reason",
    "card_data": "Card dead or mistyped",
    "not_usable": "Card not usable here",
    "lost_stolen_fraud": "Lost, stolen or blocked",
    "customer_stopped": "Customer stopped it",
    "not_a_failure": "Not a failure",
    "unknown": "Unknown code",
}


# What a task's error begins with, and what that means to a person.
FAILURES: tuple[tuple[str, str], ...] = (
    ("The process that ran this task died", "The process that ran it died, three times."),
    ("It took longer than", "It took too long and was ended."),
    ("stripe_rate_limited", "Stripe asked us to slow down, again and again."),
    ("StripeRateLimitedError", "Stripe asked us to slow down, again and again."),
    ("StripeUnavailableError", "Stripe did not answer."),
    ("StripeAuthenticationError", "Stripe did not accept the key: connect the account again."),
    ("StripePermissionError", "Stripe no longer allows this: connect the account again."),
    ("StripeNotFoundError", "Stripe does not know the object any more."),
    ("MerchantNotConnectedError", "No Stripe account is connected."),
    (UnknownKindError.code, "This version does not know how to do it."),
    (NotStorableError.code, "What it needs or found out cannot be stored."),
    (ResultTooLargeError.code, "What it found out is too large to keep."),
    ("OperationalError", "The database was not there when it was needed."),
    ("IntegrityError", "The database refused what it wanted to write."),
)
# What a task that waits gives as its reason, where that is a code and no sentence.
WAITS: tuple[tuple[str, str], ...] = (
    (StripeUnavailableError.code, "Stripe did not answer. It is tried again by itself."),
    (StripeRateLimitedError.code, "Stripe asked us to slow down. It goes on by itself."),
    (ClockAheadError.code, "The clock is ahead of the database's. It waits until they agree."),
    ("database: ", "The database was away. It is tried again by itself."),
)
_AN_ERROR = re.compile(r"\w+: ")  # how the queue writes down what a handler raised
_TRIED_AGAIN = "It met an error. It is tried again by itself."
_UNFORESEEN = "It met something nobody foresaw. Run it again; if it comes back, the text below is for support."

EVENT_OUTCOMES: dict[str, tuple[str, Tone]] = {
    "": ("Waiting", Tone.IN_RECOVERY),
    "ignored": ("Not for us", Tone.NEUTRAL),
    "unknown_account": ("Unknown account", Tone.AT_RISK),
}


def failure(error: str) -> str:
    """Why a task gave up, for somebody who does not read exceptions."""
    if not error:
        return "It gave no reason."
    return next((plain_words for begins, plain_words in FAILURES if error.startswith(begins)), _UNFORESEEN)


def waits(reason: str) -> str:
    """Why a task has not run to its end yet, for the same reader: nothing is asked of anybody."""
    known = next((plain_words for begins, plain_words in WAITS if reason.startswith(begins)), "")
    if known or not reason:
        return known
    is_error = _AN_ERROR.match(reason) or any(reason.startswith(begins) for begins, _ in FAILURES)
    if is_error:
        return _TRIED_AGAIN
    return reason[:1].upper() + reason[1:] if " " in reason else plain(reason)


def event_outcome(code: str) -> tuple[str, str]:
    """What became of a webhook, and its tone."""
    return of(EVENT_OUTCOMES, code)


def of(table: dict[str, tuple[str, Tone]], code: str) -> tuple[str, str]:
    """The word and the tone of a code; a code that is new here is shown as it is."""
    word, tone = table.get(code, (plain(code), Tone.NEUTRAL))
    return word, tone.value


def state_of(kind: str, state: str) -> tuple[str, str]:
    """The word and the tone of a ghost's state; a charge that never came, or simply went through, was no loss."""
    return ("Over", Tone.NEUTRAL.value) if (kind, state) == ("impending", "lost") else of(STATES, state)


def plain(code: str) -> str:
    """`invoice.payment_failed` and `next_action` as words."""
    text = code.replace("_", " ").replace(".", " ").strip()
    return text[:1].upper() + text[1:]
