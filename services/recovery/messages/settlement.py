"""What came of a message that was handed to a provider: accepted, refused, or nobody knows; each written down once."""

from datetime import datetime
from typing import Any

from sqlmodel import Session

from core import clock
from models.ghost import GhostKind, GhostTarget
from models.messaging import Message, MessageState
from services.audit import service as audit
from services.messaging import provider_text, schedule
from services.messaging import repository as messages
from services.messaging.wording import called
from services.recovery import neighbours, repository
from services.recovery.lifecycle import Trigger
from services.recovery.plans import planning
from services.recovery.work import Work, merchant_context


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
    ghost = repository.get_ghost(session, merchant_id, slot.ghost_id, lock=True)
    if ghost is None:  # a member's own trial: who sends it settles it
        return False
    slot.state, slot.reason = MessageState.SENT if provider else MessageState.OUTBOX, ""
    slot.provider, slot.provider_message_id, slot.sent_at = provider, provider_id, now
    _count_message(work, ghost, slot, now)
    name = called(slot.template, slot.step)
    text = f"{name.capitalize()} sent: {slot.template.replace('_', ' ')}."
    facts: dict[str, Any] = {"message_id": slot.id, "step": slot.step}
    if slot.step == schedule.PROTECTION_STEP or not work.move(ghost, Trigger.MESSAGE_SENT, text, **facts):
        work.event(ghost, "message_sent", text, **facts)
    ghost.last_action, ghost.last_action_at = f"{name} sent", now
    work.plan(ghost)
    work.finish()
    if provider:
        audit.record_usage(session, merchant_id, "message.sent", 1, reference=slot.id)
    audit.log_event(
        session,
        merchant_id,
        "recovery.message_sent",
        text if provider else f"{name.capitalize()} written to the outbox: no sender is configured.",
        facts={"ghost_id": ghost.id, "message_id": slot.id},
    )
    return True


def find_out(work: Work, ghost: GhostTarget, slot: Message) -> None:
    """An uncertain message, which was counted, turns out to have gone: the rest of what follows from a sent one."""
    name = called(slot.template, slot.step)
    if slot.step != schedule.PROTECTION_STEP:
        said = f"{name.capitalize()} had gone out after all."
        work.move(ghost, Trigger.MESSAGE_SENT, said, message_id=slot.id, step=slot.step)
    if slot.sent_at is not None and (ghost.last_action_at is None or ghost.last_action_at < slot.sent_at):
        ghost.last_action, ghost.last_action_at = f"{name} sent", slot.sent_at
    audit.record_usage(work.session, ghost.merchant_id, "message.sent", 1, reference=slot.id)


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
    work.plan(ghost)
    work.event(ghost, "message_failed", slot.reason or planning.PROVIDER_REFUSED, message_id=slot.id, step=slot.step)
    work.finish()
    audit.log_event(
        session,
        merchant_id,
        "recovery.message_failed",
        "The mail provider refused a message.",
        level="error",
        facts={"ghost_id": ghost.id, "message_id": slot.id},
    )


def give_up(work: Work, ghost: GhostTarget, slot: Message, reason: str) -> None:
    """It cannot be known any more whether a message that was begun went out: it counts, and never goes again."""
    slot.state, slot.reason = MessageState.UNCERTAIN, provider_text.to_keep(slot, reason)
    _count_message(work, ghost, slot, slot.intent_at or work.now)
    name = called(slot.template, slot.step)
    work.event(ghost, "message_uncertain", f"It is not known whether {name} went out.", step=slot.step)


def _count_message(work: Work, ghost: GhostTarget, slot: Message, at: datetime) -> None:
    """An uncertain message counts too: the customer may have it."""
    work.changes.day(at.date(), ghost.currency, messages_count=1)
    if slot.step == schedule.PROTECTION_STEP:
        # Of a charge that failed meanwhile it says nothing: what follows the failure begins anew.
        ghost.contacted_at = at if ghost.kind == GhostKind.IMPENDING else ghost.contacted_at
        return
    ghost.messages_sent = max(ghost.messages_sent, slot.step)
    ghost.contacted_at = at
