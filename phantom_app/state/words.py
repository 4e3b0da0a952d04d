"""Codes of the domain in the words and tones a person reads; the one place where both are decided."""

from phantom_app.theme import Tone

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

MECHANISMS: dict[str, str] = {
    "own_attempt": "PHANTOM's own charge",
    "click": "A click on our link",
    "message": "After our message",
    "stripe_retry": "Stripe's retry",
    "organic": "On its own",
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


def of(table: dict[str, tuple[str, Tone]], code: str) -> tuple[str, str]:
    """The word and the tone of a code; a code that is new here is shown as it is."""
    word, tone = table.get(code, (plain(code), Tone.NEUTRAL))
    return word, tone.value


def plain(code: str) -> str:
    """`invoice.payment_failed` and `next_action` as words."""
    text = code.replace("_", " ").replace(".", " ").strip()
    return text[:1].upper() + text[1:]
