"""Sending one message of a ghost: intent committed, handed over, settled; never twice, never after paying.

The boundary (jobs/send_message.py) runs three steps, each safe to repeat:

1. `facts` are read fresh from Stripe, outside any transaction.
2. `prepare` brings the ghost up to date with them and, if it is still to be written to, fills the message's slot
   with the rendered text and commits the intent and its idempotency key.
3. The message is handed to the provider; `settle_sent` or `settle_failed` writes down what came of it.

A crash after step 2 finds the slot in `sending` and repeats step 3 with the same key, which the provider honours for
24 hours. Past that nobody can know, so the message becomes `uncertain` and is never sent again.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlmodel import Session

from core import clock, ids
from core.money import Money
from models.ghost import FoundVia, GhostState, GhostTarget, Strategy
from models.messaging import Channel, LinkPurpose, Message, MessageState
from services.audit import service as audit
from services.integrations.stripe.facts import InvoiceFacts
from services.messaging import links, provider_text, schedule
from services.messaging import repository as messages
from services.messaging.render import Brand, render
from services.messaging.senders import service as senders
from services.messaging.senders.schemas import OutgoingMessage
from services.recovery import neighbours, repository
from services.recovery.classify import Verdict, classify
from services.recovery.lifecycle import Trigger, can
from services.recovery.observe import observe
from services.recovery.optout import ASKED, WHY_SILENT
from services.recovery.work import Work, merchant_context

HOLD = timedelta(hours=6)
QUIET = "Held for the customer's daytime."
PROVIDER_REFUSED = "The mail provider refused the message: see the outbox."
PROVIDER_MEMORY = timedelta(hours=24)
_SAFETY = timedelta(minutes=10)  # clocks differ; a key about to expire is treated as expired


@dataclass(frozen=True, slots=True)
class Prepared:
    """What to do next: hand over `message` with `idempotency_key`, or nothing, and why."""

    message_id: str
    message: OutgoingMessage | None
    idempotency_key: str
    reason: str
    not_before: datetime | None = None
    """A message under way waits for the customer's daytime: the same task again then."""
    fresh: bool = False
    """Its slot was filled just now: nobody can have handed it over before."""
    key_print: str = ""
    """Which sender's key it was begun with; empty where there was none, so that it was never handed to anybody."""


def invoice_of(session: Session, merchant_id: str, ghost_id: str) -> str | None:
    """The invoice to read fresh before a message; None when the ghost is gone or no message can follow."""
    ghost = repository.get_ghost(session, merchant_id, ghost_id)
    if ghost is None or not can(GhostState(ghost.state), Trigger.MESSAGE_SENT):
        return None
    return ghost.invoice_id


def prepare(session: Session, merchant_id: str, ghost_id: str, step: int, fresh: InvoiceFacts) -> Prepared:
    """Step 2: bring the ghost up to date with `fresh`, then fill the slot or say why not. The caller commits."""
    now = clock.now()
    merchant = merchant_context(session, merchant_id)
    observe(session, merchant, [fresh], FoundVia.WEBHOOK, now)
    work = Work.begin(session, merchant, now, neighbours.of_ghosts(session, merchant_id, [ghost_id]))
    ghost = repository.get_ghost(session, merchant_id, ghost_id, lock=True)
    if ghost is None:
        return Prepared("", None, "", "there is no such ghost")
    slot = messages.get_slot(session, merchant_id, ghost_id, step, Channel.EMAIL)
    if slot is not None and slot.state != MessageState.SENDING:
        # Whatever asked for this step again: it is taken, and the ghost gets on with what follows.
        work.plan(ghost, silent=PROVIDER_REFUSED if slot.state == MessageState.FAILED else "")
        work.finish()
        return Prepared(slot.id, None, "", f"the slot is {slot.state}")
    refusal = _refusal(work, ghost, step, fresh, settled=slot is not None)
    if slot is not None:
        return _repeat(work, ghost, slot, refusal)
    if refusal:
        silenced = refusal in WHY_SILENT.values()
        work.plan(ghost, silent=refusal if silenced else "")
        if not silenced and ghost.next_action_at is not None and ghost.next_action_at <= now:
            ghost.next_action_at, ghost.next_action_reason = now + HOLD, f"Held: {refusal}."
        work.finish()
        return Prepared("", None, "", refusal)
    daytime = _daytime(work, ghost, step)
    if daytime > now:
        ghost.next_action_at, ghost.next_action_reason = daytime, QUIET
        work.finish()
        return Prepared("", None, "", QUIET)
    slot = _fill_slot(work, ghost, step)
    work.finish()
    return _ready(slot, merchant.reply_to, fresh=True)


def hold(session: Session, merchant_id: str, ghost_id: str, step: int, reason: str) -> None:
    """No message can be prepared now: settle what a crash left open, and look again in some hours.

    A slot in `sending` becomes `uncertain` and counts, because the provider may have accepted it.
    """
    now = clock.now()
    needed = neighbours.of_ghosts(session, merchant_id, [ghost_id])
    work = Work.begin(session, merchant_context(session, merchant_id), now, needed)
    ghost = repository.get_ghost(session, merchant_id, ghost_id, lock=True)
    if ghost is None:
        return
    slot = messages.get_slot(session, merchant_id, ghost_id, step, Channel.EMAIL)
    if slot is not None and slot.state == MessageState.SENDING:
        _give_up(work, ghost, slot, reason)
    work.plan(ghost)
    if ghost.next_action_at is not None and ghost.next_action_at <= now:
        ghost.next_action_at, ghost.next_action_reason = now + HOLD, f"Held: {reason}."
    work.finish()


def _give_up(work: Work, ghost: GhostTarget, slot: Message, reason: str) -> None:
    slot.state, slot.reason = MessageState.UNCERTAIN, reason
    _count_message(work, ghost, slot, slot.intent_at or work.now)
    work.event(ghost, "message_uncertain", f"It is not known whether message {slot.step} went out.", step=slot.step)


def _refusal(work: Work, ghost: GhostTarget, step: int, fresh: InvoiceFacts, *, settled: bool) -> str:
    """Why nothing may be sent now, in the order of what decides; empty when it may."""
    email = ghost.customer_email
    if not email:
        return "no email address is known"
    if suppressed := links.suppression_of(work.session, ghost.merchant_id, Channel.EMAIL, email):
        return WHY_SILENT.get(suppressed, ASKED)
    if not can(GhostState(ghost.state), Trigger.MESSAGE_SENT):
        return f"the ghost is {ghost.state}"
    if ghost.strategy in (Strategy.HIGH_VALUE_MANUAL, Strategy.STOPPED, Strategy.NONE):
        return f"the strategy is {ghost.strategy}"
    now_is = classify(fresh, work.merchant.policy)
    if now_is.verdict is not Verdict.GHOST:
        return now_is.reason.rstrip(".").lower()
    if not work.merchant.active:
        return "the Stripe account is disconnected"
    if work.merchant.policy.paused:
        return "the merchant has paused messages"
    if settled:
        return ""
    if step != ghost.messages_sent + 1:
        return f"step {step} does not follow {ghost.messages_sent} messages"
    if step > work.merchant.policy.messages_per_ghost:
        return "all messages were sent"
    if not ghost.customer_id:
        return ""
    week = messages.count_sent_to_customer(
        work.session, ghost.merchant_id, ghost.customer_id, work.now - timedelta(days=7)
    )
    if week >= work.merchant.policy.messages_per_customer_week:
        return "the customer's weekly limit is reached"
    return ""


def _repeat(work: Work, ghost: GhostTarget, slot: Message, refusal: str) -> Prepared:
    """A slot left in `sending` by a crash: the same message with the same key, while the provider remembers it."""
    assert slot.intent_at is not None  # noqa: S101  # set with the state
    expired = work.now - slot.intent_at > PROVIDER_MEMORY - _SAFETY
    if not refusal and not expired and (daytime := _daytime(work, ghost, slot.step)) > work.now:
        return Prepared(slot.id, None, "", QUIET, daytime)
    if not refusal and not expired:
        return _ready(slot, work.merchant.reply_to)
    _give_up(work, ghost, slot, refusal or "the provider no longer knows the key")
    work.plan(ghost)
    work.finish()
    return Prepared(slot.id, None, "", slot.reason)


def _daytime(work: Work, ghost: GhostTarget, step: int) -> datetime:
    country = ghost.customer_country or ghost.country_code
    return schedule.earliest(step, country, work.merchant.policy, work.now, work.merchant.timezone)


def _ready(slot: Message, reply_to: str, *, fresh: bool = False) -> Prepared:
    key = slot.idempotency_key
    return Prepared(slot.id, _outgoing(slot, reply_to), key, "", fresh=fresh, key_print=slot.sender_key)


def _fill_slot(work: Work, ghost: GhostTarget, step: int) -> Message:
    message_id = ids.new_id("msg")
    origin = senders.origin_of(work.session, ghost.merchant_id, Channel.EMAIL, work.merchant.name)
    pay_url = links.create(work.session, ghost.merchant_id, ghost.id, message_id, LinkPurpose.PAY)
    stop_url = links.create(work.session, ghost.merchant_id, ghost.id, message_id, LinkPurpose.UNSUBSCRIBE)
    rendered = render(
        decline_group=ghost.decline_group,
        step=step,
        last_step=work.merchant.policy.messages_per_ghost,
        amount=Money(ghost.amount_cents, ghost.currency),
        customer_name=ghost.customer_name,
        brand=Brand(work.merchant.name, work.merchant.accent),
        pay_url=pay_url,
        unsubscribe_url=stop_url,
        locale=ghost.customer_language,
    )
    slot = Message(
        merchant_id=ghost.merchant_id,
        id=message_id,
        ghost_id=ghost.id,
        customer_id=ghost.customer_id or "",
        step=step,
        channel=Channel.EMAIL,
        state=MessageState.SENDING,
        template=rendered.template,
        language=rendered.language,
        recipient=ghost.customer_email,
        sender=origin.line,
        sender_key=origin.key_print,
        subject=rendered.subject,
        html=rendered.html,
        plain=rendered.plain,
        unsubscribe_url=stop_url,
        idempotency_key=f"phantom-{message_id}",
        due_at=ghost.next_action_at or work.now,
        intent_at=work.now,
        created_at=work.now,
    )
    work.session.add(slot)
    return slot


def _outgoing(slot: Message, reply_to: str) -> OutgoingMessage:
    return OutgoingMessage(
        channel=Channel(slot.channel),
        merchant_id=slot.merchant_id,
        message_id=slot.id,
        sender=slot.sender,
        recipient=slot.recipient or "",
        subject=slot.subject,
        html=slot.html,
        plain=slot.plain,
        reply_to=reply_to,
        headers={
            "X-Entity-Ref-ID": slot.id,
            "List-Unsubscribe": f"<{slot.unsubscribe_url}>",
            "List-Unsubscribe-Post": "List-Unsubscribe=One-Click",
        },
        tags={"phantom_message": slot.id, "phantom_merchant": slot.merchant_id},
    )


def settle_sent(session: Session, merchant_id: str, message_id: str, provider: str, provider_id: str) -> bool:
    """Step 3, accepted: the message counts, the ghost is contacted. False when that was already written down.

    `provider` empty means that there is no sender: the message rests in the outbox, and still counts as sent, so
    that a sandbox without a key shows the whole sequence.
    """
    now = clock.now()
    needed = neighbours.of_message(session, merchant_id, message_id)
    work = Work.begin(session, merchant_context(session, merchant_id), now, needed)
    slot = messages.get_message(session, merchant_id, message_id, lock=True)
    if slot is None or slot.state != MessageState.SENDING:
        return False
    slot.state = MessageState.SENT if provider else MessageState.OUTBOX
    slot.provider, slot.provider_message_id, slot.sent_at = provider, provider_id, now
    ghost = repository.get_ghost(session, merchant_id, slot.ghost_id, lock=True)
    assert ghost is not None  # noqa: S101  # a message belongs to a ghost
    _count_message(work, ghost, slot, now)
    text = f"Message {slot.step} sent: {slot.template.replace('_', ' ')}."
    if not work.move(ghost, Trigger.MESSAGE_SENT, text, message_id=slot.id, step=slot.step):
        work.event(ghost, "message_sent", text, message_id=slot.id, step=slot.step)
    ghost.last_action, ghost.last_action_at = f"message {slot.step} sent", now
    work.plan(ghost)
    work.finish()
    if provider:
        audit.record_usage(session, merchant_id, "message.sent", 1, reference=slot.id)
    audit.log_event(
        session,
        merchant_id,
        "recovery.message_sent",
        text if provider else f"Message {slot.step} written to the outbox: no sender is configured.",
        facts={"ghost_id": ghost.id, "message_id": slot.id},
    )
    return True


def _count_message(work: Work, ghost: GhostTarget, slot: Message, at: datetime) -> None:
    """An uncertain message counts too: the customer may have it."""
    if ghost.messages_sent == 0:
        work.changes.day(ghost.found_on, ghost.currency, cohort_messaged_count=1)
    work.changes.day(at.date(), ghost.currency, messages_count=1)
    ghost.messages_sent = max(ghost.messages_sent, slot.step)
    ghost.contacted_at = at


def settle_failed(session: Session, merchant_id: str, message_id: str, reason: str) -> None:
    """Step 3, refused for good: nothing was sent; the slot stays taken and the ghost shows why."""
    needed = neighbours.of_message(session, merchant_id, message_id)
    work = Work.begin(session, merchant_context(session, merchant_id), clock.now(), needed)
    slot = messages.get_message(session, merchant_id, message_id, lock=True)
    if slot is None or slot.state != MessageState.SENDING:
        return
    slot.state, slot.reason = MessageState.FAILED, provider_text.to_keep(slot, reason)
    ghost = repository.get_ghost(session, merchant_id, slot.ghost_id, lock=True)
    assert ghost is not None  # noqa: S101  # a message belongs to a ghost
    work.plan(ghost, silent=PROVIDER_REFUSED)
    work.event(ghost, "message_failed", slot.reason or PROVIDER_REFUSED, message_id=slot.id, step=slot.step)
    work.finish()
    audit.log_event(
        session,
        merchant_id,
        "recovery.message_failed",
        "The mail provider refused a message.",
        level="error",
        facts={"ghost_id": ghost.id, "message_id": slot.id},
    )
