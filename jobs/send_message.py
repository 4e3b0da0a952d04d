"""Send one message of a ghost: look fresh, commit the intent, hand over, settle.

The decisions and their order stand in services/recovery/messages/outreach.py.
"""

import logging
from datetime import timedelta
from typing import Any

from core import clock, db, metrics
from core.crash_points import crash_point
from jobs.turns import await_turn
from models.messaging import Channel
from services.integrations.carriers import (
    KeyRefusedError,
    MessageKeyUsedError,
    MessageLaterError,
    MessageRefusedError,
    MessageUnfitError,
    MessageUnknownError,
    OptedOutError,
    OutOfQuotaError,
)
from services.integrations.stripe.client import MerchantNotConnectedError, client_for
from services.integrations.stripe.errors import (
    StripeAuthenticationError,
    StripeNotFoundError,
    StripePermissionError,
    StripeRateLimitedError,
    StripeUnavailableError,
)
from services.integrations.stripe.parsing import UnreadableInvoiceError
from services.messaging import suppression
from services.messaging.addresses import masked
from services.messaging.senders import pace, refusals
from services.messaging.senders import service as senders
from services.messaging.senders.carriers import Carrier
from services.messaging.senders.schemas import OutgoingMessage
from services.recovery.messages import fresh, handover, outreach, settlement
from services.tasks import service as tasks
from services.tasks.errors import Retry
from services.tasks.schemas import ClaimedTask

BUSY_PAUSE = timedelta(seconds=30)
OTHER_SENDER = "it was begun with another sender, which may have it"
NEW_SENDER = "sender_set"
NOT_TWICE = "it may have gone out, and a text is never sent twice"

log = logging.getLogger(__name__)


def run(task: ClaimedTask) -> dict[str, Any]:
    """The task of kind `send_message`: `{"ghost_id", "step", "channel"}`; step 0: of a charge that has not failed."""
    merchant_id, ghost_id, step = task.tenant, str(task.payload["ghost_id"]), int(task.payload["step"])
    who = f"{merchant_id}:{ghost_id}:{step}"
    channel = Channel(task.payload.get("channel", Channel.EMAIL))  # as it was planned; if it still is, planning says
    try:
        with db.tenant_session(merchant_id) as session:
            subject = fresh.subject_of(session, merchant_id, ghost_id, step)
            carrier = senders.sender_for(session, merchant_id, channel) if subject else None
            stripe = client_for(session, merchant_id) if subject else None
        if subject is None or stripe is None:
            return _held(merchant_id, ghost_id, step, "the ghost takes no message any more")
        await_turn(carrier, merchant_id, who, task.put_off)
        seen = fresh.look(stripe, subject)
    except (StripeRateLimitedError, StripeUnavailableError) as error:
        raise Retry(after=BUSY_PAUSE, reason=error.code) from error
    except (
        MerchantNotConnectedError,
        StripeNotFoundError,
        StripeAuthenticationError,
        StripePermissionError,
        UnreadableInvoiceError,
    ) as error:
        return _held(merchant_id, ghost_id, step, error.title.lower())
    with db.tenant_session(merchant_id) as session:
        prepared = outreach.prepare(session, merchant_id, ghost_id, step, seen)
    if prepared.not_before is not None:
        raise Retry(at=prepared.not_before, reason="quiet_hours")
    if prepared.message is None:
        metrics.MESSAGES.add("held")
        return {"sent": False, "reason": prepared.reason}
    crash_point("message.intended")
    carrier = _carrier_of(prepared.message)
    if doubt := _doubt(prepared, carrier):
        return _held(merchant_id, ghost_id, step, doubt)
    if carrier is not None and not prepared.key_print:
        _begin_anew(prepared.message)
    if prepared.message.channel is not channel and prepared.fresh:
        _await_turn_of(prepared, prepared.message, carrier, who)
    try:
        return _hand_over(prepared, prepared.message, carrier)
    except MessageUnfitError as error:
        return _unfit(task, prepared, prepared.message, carrier, error)
    except MessageKeyUsedError:
        # A crash after the provider's accept, and since then the merchant has changed what every message carries.
        return _held(merchant_id, ghost_id, step, "it was handed over before, with another reply address")
    except MessageUnknownError as error:
        metrics.MESSAGES.add("uncertain")
        if carrier is None or carrier.repeats_safely:
            # The intent stays; the repeat carries the same key, so an accepted message is not sent again.
            raise Retry(after=BUSY_PAUSE, reason=error.code) from error
        return _held(merchant_id, ghost_id, step, NOT_TWICE)


def _await_turn_of(prepared: outreach.Prepared, message: OutgoingMessage, carrier: Carrier | None, who: str) -> None:
    """The turn, once planning chose another channel: the slot is free again while it waits."""
    try:
        await_turn(carrier, message.merchant_id, who)
    except Retry:
        _take_back(prepared, message)
        raise


def _carrier_of(message: OutgoingMessage) -> Carrier | None:
    """Who carries it; that the platform's own number is about to write to somebody is remembered for their STOP."""
    with db.tenant_session(message.merchant_id) as session:
        carrier = senders.sender_for(session, message.merchant_id, message.channel)
        if carrier is not None and not carrier.own and message.channel is Channel.SMS:
            suppression.remember_texted(session, message.merchant_id, message.recipient)
    return carrier


def _doubt(prepared: outreach.Prepared, carrier: Carrier | None) -> str:
    """Why what a crash left under way must not be handed over again; empty where it may."""
    if prepared.fresh or not prepared.key_print:
        return ""
    if carrier is None or carrier.key_print != prepared.key_print:
        return OTHER_SENDER  # another key's provider knows nothing of the idempotency key
    return "" if carrier.repeats_safely else NOT_TWICE


def _held(merchant_id: str, ghost_id: str, step: int, reason: str) -> dict[str, Any]:
    """Nothing is sent now; the pulse comes back to this ghost by itself."""
    with db.tenant_session(merchant_id) as session:
        outreach.hold(session, merchant_id, ghost_id, step, reason)
    metrics.MESSAGES.add("held")
    return {"sent": False, "reason": reason}


def _hand_over(prepared: outreach.Prepared, message: OutgoingMessage, carrier: Carrier | None) -> dict[str, Any]:
    name, provider_id = "", ""
    if carrier is None:
        facts = {"channel": message.channel.value, "to": masked(message.recipient), "message_id": message.message_id}
        log.info("messaging.outbox", extra={"facts": facts})
    elif carrier.paused or (prepared.fresh and carrier.key_print != prepared.key_print):
        _postpone(prepared, message, senders.LOOK_AGAIN if carrier.paused else timedelta(), senders.PAUSED)
    else:
        try:
            provider_id = carrier.send(message, idempotency_key=prepared.idempotency_key)
        except KeyRefusedError as error:
            _pause_sender(message, carrier, error.detail)
            _postpone(prepared, message, senders.LOOK_AGAIN, senders.PAUSED)
        except MessageUnfitError:
            raise
        except MessageRefusedError as error:
            return _refused(message, error)
        except MessageLaterError as error:
            _put_off(prepared, message, carrier, error)
        name = carrier.name
        crash_point("message.handed_over")
    with db.tenant_session(message.merchant_id) as session:
        settlement.settle_sent(session, message.merchant_id, message.message_id, name, provider_id)
    crash_point("message.settled")
    metrics.MESSAGES.add("accepted" if name else "outbox")
    return {"sent": True, "message_id": message.message_id}


def _pause_sender(message: OutgoingMessage, carrier: Carrier, reason: str) -> None:
    """The first refusal stops the sender: ten thousand more would tell the provider and us nothing new."""
    metrics.MESSAGES.add("sender_refused")
    if not carrier.own:
        pace.hold(carrier.key_print, senders.LOOK_AGAIN.total_seconds())
    with db.tenant_session(message.merchant_id) as session:
        senders.pause(session, message.merchant_id, message.channel, carrier, reason)


def _unfit(
    task: ClaimedTask,
    prepared: outreach.Prepared,
    message: OutgoingMessage,
    carrier: Carrier | None,
    error: MessageUnfitError,
) -> dict[str, Any]:
    """Not taken as it is: this merchant's others wait a while and nobody else's, and after so many tries it failed."""
    assert carrier is not None  # noqa: S101  # it has just refused
    merchant_id, times = message.merchant_id, int(task.payload.get(refusals.UNFIT, 0)) + 1
    with db.queue_session() as session:
        tasks.note(session, task, **{refusals.UNFIT: times})
    pace.hold(carrier.key_print, senders.LOOK_AGAIN.total_seconds(), merchant_id)
    with db.tenant_session(merchant_id) as session:
        refusals.tell_unfit(session, merchant_id, message.channel, carrier, error.detail)
    if times >= senders.MOST_UNFIT:
        return _refused(message, error)
    metrics.MESSAGES.add("unfit")
    _take_back(prepared, message)
    raise Retry(at=clock.now() + senders.look_again(times - 1), reason=refusals.UNFIT)


def _put_off(prepared: outreach.Prepared, message: OutgoingMessage, carrier: Carrier, error: MessageLaterError) -> None:
    """Not taken this time: nobody else need ask the provider for a while. Always raises."""
    used_up = isinstance(error, OutOfQuotaError)
    pause = error.after or (senders.LOOK_AGAIN if used_up else BUSY_PAUSE)
    pace.hold(carrier.key_print, pause.total_seconds())
    metrics.MESSAGES.add("later")
    if used_up:
        with db.tenant_session(message.merchant_id) as session:
            refusals.tell_quota(session, message.merchant_id, message.channel, carrier, error.detail)
    _postpone(prepared, message, pause, refusals.NO_QUOTA if used_up else error.code)


def _postpone(prepared: outreach.Prepared, message: OutgoingMessage, pause: timedelta, reason: str) -> None:
    """Certainly not sent by this run, and to be tried again. Always raises.

    What an earlier run may have handed over keeps its slot and its key: this refusal says nothing of that one.
    """
    _take_back(prepared, message)
    if reason in (senders.PAUSED, refusals.NO_QUOTA):  # for days, or until a person brings a new key: no outage
        raise Retry(at=clock.now() + pause, reason=reason)
    raise Retry(after=pause, reason=reason)


def _begin_anew(message: OutgoingMessage) -> None:
    """Begun for the outbox, and now there is a sender: its From is another one's. Nobody ever had it. Always raises."""
    with db.tenant_session(message.merchant_id) as session:
        handover.take_back(session, message.merchant_id, message.message_id)
    raise Retry(at=clock.now(), reason=NEW_SENDER)


def _take_back(prepared: outreach.Prepared, message: OutgoingMessage) -> None:
    """Undo the intent of this very run, which nobody has seen: any sender may take the message up then."""
    if prepared.fresh:
        with db.tenant_session(message.merchant_id) as session:
            handover.take_back(session, message.merchant_id, message.message_id)


def _refused(message: OutgoingMessage, error: MessageRefusedError) -> dict[str, Any]:
    metrics.MESSAGES.add("refused")
    merchant_id, message_id = message.merchant_id, message.message_id
    with db.tenant_session(merchant_id) as session:
        if isinstance(error, OptedOutError):
            handover.opted_out(session, merchant_id, message_id, message.recipient, error.detail)
        else:
            settlement.settle_failed(session, merchant_id, message_id, error.detail)
    return {"sent": False, "reason": error.code}
