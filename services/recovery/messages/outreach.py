"""Sending one message of a ghost: intent committed, handed over, settled; never twice, never after paying.

The boundary (jobs/send_message.py) runs three steps, each safe to repeat:

1. What the message depends on is read fresh from Stripe (`fresh`), outside any transaction.
2. `prepare` brings the ghost up to date with it and, if it is still to be written to, fills the message's slot
   with the rendered text and commits the intent and its idempotency key.
3. The message is handed to the provider; `settlement` writes down what came of it.

A crash after step 2 finds the slot in `sending` and repeats step 3 with the same key, which the provider honours for
24 hours. Past that nobody can know, so the message becomes `uncertain` and is never sent again.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlmodel import Session

from core import clock, ids
from models.ghost import GhostState, GhostTarget
from models.messaging import Channel, LinkPurpose, Message, MessageState
from services.messaging import links, schedule
from services.messaging import repository as messages
from services.messaging.own import OwnWords
from services.messaging.own_service import own_words
from services.messaging.reach import address_of
from services.messaging.senders import service as senders
from services.messaging.senders.schemas import OutgoingMessage
from services.messaging.wording import SINGLE_TEMPLATES, Template
from services.recovery import neighbours, repository
from services.recovery.messages import fresh, handover, settlement
from services.recovery.messages.composing import compose, ends_with
from services.recovery.plans import plan_repository, planning
from services.recovery.work import Work, merchant_context

QUIET = "Held for the customer's daytime."
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


def prepare(session: Session, merchant_id: str, ghost_id: str, step: int, seen: fresh.Seen) -> Prepared:
    """Step 2: bring the ghost up to date with what was seen, then fill the slot or say why not. The caller commits."""
    now = clock.now()
    merchant = merchant_context(session, merchant_id)
    fresh.take(session, merchant, seen, now)
    work = Work.begin(session, merchant, now, neighbours.of_ghosts(session, merchant_id, [ghost_id]))
    ghost = repository.get_ghost(session, merchant_id, ghost_id, lock=True)
    if ghost is None:
        return Prepared("", None, "", "there is no such ghost")
    slot = messages.get_slot(session, merchant_id, ghost_id, step)
    if slot is not None and slot.state != MessageState.SENDING:
        # Whatever asked for this step again: it is taken, and the ghost gets on with what follows.
        work.plan(ghost)
        work.finish()
        return Prepared(slot.id, None, "", f"the slot is {slot.state}")
    held = fresh.against(seen, merchant, ghost, now)
    action = work.plan_now(ghost, held=held)
    if slot is not None:
        prepared = _repeat(work, ghost, slot, _refusal(ghost, action, slot) or held)
    elif action.name == schedule.SEND and action.at is not None and action.at <= now and action.step == step:
        prepared = _handed(work, _fill_slot(work, ghost, action), fresh=True)
    else:
        prepared = Prepared("", None, "", action.reason)
    work.finish()
    return prepared


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
    slot = messages.get_slot(session, merchant_id, ghost_id, step)
    if slot is not None and slot.state == MessageState.SENDING:
        settlement.give_up(work, ghost, slot, reason)
    work.plan_now(ghost, held=reason)
    work.finish()


def _refusal(ghost: GhostTarget, action: schedule.Action, slot: Message) -> str:
    """Why a message that was begun may not be handed over any more; caps and hours had their say before."""
    if action.name != schedule.SEND or action.reason.startswith(planning.HELD):
        return action.reason
    if action.step != slot.step or (ghost.state == GhostState.STOPPED and slot.template != Template.STOP):
        return "what it says holds no longer"
    return "" if action.channel == slot.channel else "the customer is not written to on this channel any more"


def _repeat(work: Work, ghost: GhostTarget, slot: Message, refusal: str) -> Prepared:
    """A slot left in `sending` by a crash: the same message with the same key, while the provider remembers it."""
    assert slot.intent_at is not None  # noqa: S101  # set with the state
    unknown = refusal
    if work.now - slot.intent_at > messages.PROVIDER_MEMORY - _SAFETY:
        unknown = unknown or "the provider no longer knows the key"
    if slot.channel == Channel.SMS and slot.sender_key:
        unknown = unknown or "it may have gone out, and a text is never sent twice"
    if not unknown:
        country = planning.where(ghost, Channel(slot.channel))
        daytime = schedule.may_go(
            Channel(slot.channel), slot.step, country, work.merchant.policy, work.now, work.merchant.timezone,
            by_day=slot.template in SINGLE_TEMPLATES,
        )  # fmt: skip
        if daytime > work.now:
            return Prepared(slot.id, None, "", QUIET, daytime)
        if slot.sender_key:  # of the outbox nobody ever had it
            slot.reason = handover.REPEATED
        return _handed(work, slot, fresh=False)
    settlement.give_up(work, ghost, slot, unknown)
    work.plan(ghost)
    return Prepared(slot.id, None, "", unknown)


def _fill_slot(work: Work, ghost: GhostTarget, action: schedule.Action) -> Message:
    message_id = ids.new_id("msg")
    origin = senders.origin_of(work.session, ghost.merchant_id, action.channel, work.merchant.name)
    pay_url = links.create(work.session, ghost.merchant_id, ghost.id, message_id, LinkPurpose.PAY)
    stop_url = links.create(work.session, ghost.merchant_id, ghost.id, message_id, LinkPurpose.UNSUBSCRIBE)
    own = own_words(work.session, ghost.merchant_id)
    composed = compose(
        work.merchant,
        ghost,
        action.number,
        pay_url=pay_url,
        unsubscribe_url=stop_url,
        channel=action.channel,
        own=own,
        is_last=_is_last(work, ghost, action, own),
    )
    slot = Message(
        merchant_id=ghost.merchant_id,
        id=message_id,
        ghost_id=ghost.id,
        customer_id=ghost.customer_id or "",
        step=action.step,
        channel=action.channel,
        state=MessageState.SENDING,
        template=composed.template,
        language=composed.language,
        recipient=address_of(action.channel, ghost),
        sender=origin.line,
        sender_key=origin.key_print,
        subject=composed.subject,
        html=composed.html,
        plain=composed.plain,
        unsubscribe_url=stop_url,
        idempotency_key=f"phantom-{message_id}",
        due_at=ghost.next_action_at or work.now,
        intent_at=work.now,
        created_at=work.now,
    )
    work.session.add(slot)
    return slot


def _is_last(work: Work, ghost: GhostTarget, action: schedule.Action, own: OwnWords) -> bool:
    """Whether the ghost's days or the customer's weeks leave no other message room. Ours are the same then."""
    policy = work.merchant.policy
    if not own.templates or action.number >= policy.messages_per_ghost:
        return False
    ends = policy.ends(ghost.found_at, ghost.reopened_at)
    others = plan_repository.read_chased_of_customers
    played = planning.ahead(work.session, work.merchant, [ghost], work.now, ends, others)
    return ends_with(action.step, played[ghost.id])


def _handed(work: Work, slot: Message, *, fresh: bool) -> Prepared:
    outgoing = _outgoing(slot, work.merchant.reply_to)
    return Prepared(slot.id, outgoing, slot.idempotency_key, "", fresh=fresh, key_print=slot.sender_key)


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
