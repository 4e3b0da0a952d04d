"""What providers tell of a message after they took it: delivered, bounced, complained, failed.

Repeated and shuffled like all webhooks, so a state only ever moves forward. A message whose fate was not known
(`sending` after a crash, `uncertain`) is settled by it, because our id is in its tags. A complaint, a bounce for good
and whatever else says that nothing reaches an address suppress it for this merchant at once.
"""

import re
from dataclasses import dataclass
from typing import Any

from sqlmodel import Session

from core import clock, db
from models.ghost import GhostTarget
from models.messaging import Channel, Message, MessageState
from services.audit import service as audit
from services.messaging import links, provider_text
from services.messaging import repository as messages
from services.messaging.reach import WHY_SILENT
from services.messaging.wording import called
from services.recovery import neighbours, repository
from services.recovery.messages import optout, settlement
from services.recovery.work import Work, merchant_context

MESSAGE_TAG, MERCHANT_TAG = "phantom_message", "phantom_merchant"
OF_NO_GHOST = "of_no_ghost"
_STATE_OF = {
    "email.delivered": MessageState.DELIVERED,
    "email.bounced": MessageState.BOUNCED,
    "email.complained": MessageState.COMPLAINED,
    "email.failed": MessageState.FAILED,
    "email.suppressed": MessageState.FAILED,
}
HANDLED = frozenset(_STATE_OF) | {"email.sent", "email.delivery_delayed"}
# Who was delivered to may still complain; nothing follows a complaint.
_ENDS = {"email.bounced": "bounced", "email.complained": "complained", "email.suppressed": "suppressed"}
# Resend fails a mail for its recipient's sake, and for quotas, keys and domains of the account (docs: email.failed).
_OF_RECIPIENT = re.compile(r"recipient|mailbox|user unknown|no such user|\b5\.1\.[1-6]\b", re.IGNORECASE)
_RANK = {
    MessageState.SENT: 1,
    MessageState.DELIVERED: 2,
    MessageState.FAILED: 3,
    MessageState.BOUNCED: 3,
    MessageState.COMPLAINED: 4,
}


def tag(data: Any, name: str) -> str:
    """A tag of a webhook's `data`; empty where there is none. Resend sends an object, and once sent a list."""
    tags = data.get("tags") if isinstance(data, dict) else None
    if isinstance(tags, list):
        tags = {entry.get("name"): entry.get("value") for entry in tags if isinstance(entry, dict)}
    value = tags.get(name) if isinstance(tags, dict) else None
    return value if isinstance(value, str) else ""


@dataclass(frozen=True, slots=True)
class Report:
    """What a provider says became of a message, and its reason in words.

    `ends` is why nothing more may go to the address it went to; empty where that may well work again.
    """

    state: MessageState
    provider: str
    provider_id: str
    reason: str = ""
    ends: str = ""


def handle(merchant_id: str, kind: str, data: dict[str, Any]) -> str:
    """Act on an event of the mail provider, of a type in `HANDLED`; `data` is its body's. The outcome. Idempotent."""
    message_id, provider_id = tag(data, MESSAGE_TAG), str(data.get("email_id") or "")[:128]
    with db.tenant_session(merchant_id) as session:
        message = messages.get_message(session, merchant_id, message_id)
        if message is None:  # of another installation that shares the provider's account
            return "unknown_message"
        if message.state == MessageState.SENDING:  # whatever became of it, the provider had taken it
            settlement.settle_sent(session, merchant_id, message_id, "resend", provider_id)
        state = _STATE_OF.get(kind, MessageState.SENT)
        if state is MessageState.BOUNCED and not _for_good(data):
            return "passing_bounce"
        reason = _reason(kind, data)
        return note(session, merchant_id, message_id, Report(state, "resend", provider_id, reason, _ends(kind, reason)))


def note(session: Session, merchant_id: str, message_id: str, told: Report) -> str:
    """Write down what a provider says of a message that exists; the outcome. A state only ever moves forward."""
    needed = neighbours.of_message(session, merchant_id, message_id)
    work = Work.begin(session, merchant_context(session, merchant_id), clock.now(), needed)
    message = messages.get_message(session, merchant_id, message_id, lock=True)
    if message is None:
        return "unknown_message"
    state = told.state
    if _RANK.get(MessageState(message.state), 0) >= _RANK[state]:
        return "already_known"
    ghost = repository.get_ghost(session, merchant_id, message.ghost_id, lock=True)
    if ghost is None:  # a member's own trial, or mail to the team: nothing moves by it
        return OF_NO_GHOST
    was_uncertain = message.state == MessageState.UNCERTAIN
    message.state, message.reason = state, provider_text.to_keep(message, told.reason)
    if not message.provider_message_id:  # it was uncertain until now
        message.provider, message.provider_message_id = told.provider, told.provider_id
        message.sent_at = message.sent_at or message.intent_at
    who = "mail" if message.channel == Channel.EMAIL else "text message"
    text = _SAID[state].format(it=called(message.template, message.step), who=who)
    text = text[:1].upper() + text[1:]
    if was_uncertain and state is not MessageState.FAILED:
        settlement.find_out(work, ghost, message)
    work.event(ghost, f"message_{state.value}", text, message_id=message.id)
    if told.ends:
        _suppress(work, ghost, message, told.ends)
    if told.ends or state is MessageState.FAILED:  # what never went leaves its place of the week to the next
        for each in optout.all_of_customer(session, ghost):
            work.plan(each)
    work.finish()
    return state.value


_SAID = {
    MessageState.SENT: "The {who} provider has sent {it}.",
    MessageState.DELIVERED: "{it} was delivered.",
    MessageState.FAILED: "The {who} provider could not send {it}.",
    MessageState.BOUNCED: "{it} came back: the address does not work.",
    MessageState.COMPLAINED: "The customer marked {it} as spam.",
}


def _for_good(data: dict[str, Any]) -> bool:
    """Resend's bounce types are Permanent, Transient and Undetermined; only the first ends an address."""
    bounce = data.get("bounce")
    return isinstance(bounce, dict) and str(bounce.get("type", "")).lower() == "permanent"


def _ends(kind: str, reason: str) -> str:
    if kind == "email.failed" and _OF_RECIPIENT.search(reason):
        return "suppressed"
    return _ENDS.get(kind, "")


def _reason(kind: str, data: dict[str, Any]) -> str:
    details = data.get(kind.removeprefix("email."))
    details = data.get("bounce") if kind == "email.bounced" else details
    said = details.get("message") or details.get("reason") if isinstance(details, dict) else ""
    return str(said or "")


def _suppress(work: Work, ghost: GhostTarget, message: Message, why: str) -> None:
    """A person's no is theirs, even where nobody knows any more which address the message went to."""
    person = ghost.customer_id if why in messages.A_PERSONS_NO else None
    if not message.recipient and not person:
        return
    if message.recipient:
        links.suppress(work.session, ghost.merchant_id, Channel(message.channel), message.recipient, why)
    if person:
        links.suppress_customer(work.session, ghost.merchant_id, person, why)
    audit.log_event(
        work.session,
        ghost.merchant_id,
        f"messaging.{why}",
        WHY_SILENT[why],
        level="warning",
        facts={"ghost_id": ghost.id, "message_id": message.id},
    )
