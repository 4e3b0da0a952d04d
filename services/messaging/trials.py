"""A message to oneself, to see how it arrives: through the merchant's own sender, or into the outbox.

Three steps, as for every effect outside: `begin` keeps the intent, `carry` hands over without a transaction, `settle`
writes down what came of it. A trial belongs to no ghost, counts for nothing and carries no tag, so that what its
provider tells of it moves nothing. At most twenty are kept.
"""

from dataclasses import dataclass
from datetime import timedelta

from sqlmodel import Session

from core import clock, ids
from core.errors import TooManyRequestsError
from models.messaging import Channel, Message, MessageState
from services.integrations.carriers import (
    MessageKeyUsedError,
    MessageLaterError,
    MessageRefusedError,
    MessageUnknownError,
)
from services.messaging import repository, trials_repository
from services.messaging.preview import Preview
from services.messaging.senders import service as senders
from services.messaging.senders.carriers import Carrier
from services.messaging.senders.schemas import OutgoingMessage
from services.messaging.senders.trial import admit_mail, admit_text

AN_HOUR, MOST_AN_HOUR, KEPT = timedelta(hours=1), 20, 20
OF_NO_GHOST = "trial"


class TooManyTrialsError(TooManyRequestsError):
    code, title = "too_many_trials", "That were many test messages; please wait an hour"


@dataclass(frozen=True, slots=True)
class Trial:
    """A test message about to be handed over; without a carrier it stays in the outbox."""

    outgoing: OutgoingMessage
    carrier: Carrier | None


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of it; `reason` is for a person."""

    state: MessageState
    provider: str = ""
    provider_id: str = ""
    reason: str = ""


def begin(
    session: Session,
    merchant_id: str,
    shown: Preview,
    *,
    recipient: str,
    merchant_name: str,
    reply_to: str,
    channel: Channel = Channel.EMAIL,
) -> Trial:
    """Keep the intent to send what is shown to a member; `recipient` is an address of the channel, a number in E.164.

    Raises `TooManyTrialsError` after twenty in an hour, and what `senders.trial` says against the recipient.
    """
    now = clock.now()
    if trials_repository.count_since(session, merchant_id, OF_NO_GHOST, now - AN_HOUR) >= MOST_AN_HOUR:
        raise TooManyTrialsError
    carrier = senders.sender_for(session, merchant_id, channel)
    if carrier is not None:
        admit_one = admit_text if channel is Channel.SMS else admit_mail
        admit_one(session, merchant_id, carrier, recipient)
    origin = senders.origin_of(session, merchant_id, channel, merchant_name)
    message_id = ids.new_id("msg")
    session.add(
        Message(
            merchant_id=merchant_id,
            id=message_id,
            ghost_id=ids.new_id(OF_NO_GHOST),
            step=0,
            channel=channel,
            state=MessageState.SENDING,
            template="test_message",
            recipient=recipient,
            sender=origin.line,
            subject=shown.subject,
            html=shown.html,
            plain=shown.plain,
            idempotency_key=f"phantom-{message_id}",
            due_at=now,
            intent_at=now,
            created_at=now,
        )
    )
    session.flush()
    trials_repository.keep_latest(session, merchant_id, OF_NO_GHOST, KEPT)
    outgoing = OutgoingMessage(
        channel=channel,
        merchant_id=merchant_id,
        message_id=message_id,
        sender=origin.line,
        recipient=recipient,
        plain=shown.plain,
        subject=shown.subject,
        html=shown.html,
        reply_to=reply_to,
    )
    return Trial(outgoing, carrier)


def carry(trial: Trial) -> Outcome:
    """Hand it over, outside any transaction."""
    carrier = trial.carrier
    if carrier is None:
        return Outcome(MessageState.OUTBOX)
    if carrier.paused:
        return Outcome(MessageState.FAILED, reason=f"Your sender is paused: {carrier.paused}")
    try:
        provider_id = carrier.send(trial.outgoing, idempotency_key=f"phantom-{trial.outgoing.message_id}")
    except (MessageRefusedError, MessageKeyUsedError, MessageLaterError) as error:
        return Outcome(MessageState.FAILED, carrier.name, reason=error.title)
    except MessageUnknownError as error:
        return Outcome(MessageState.UNCERTAIN, carrier.name, reason=error.title)
    return Outcome(MessageState.SENT, carrier.name, provider_id)


def settle(session: Session, merchant_id: str, trial: Trial, outcome: Outcome) -> None:
    """Write down what came of it."""
    message = repository.get_message(session, merchant_id, trial.outgoing.message_id, lock=True)
    if message is None or message.state != MessageState.SENDING:
        return
    message.state, message.reason = outcome.state, outcome.reason
    message.provider, message.provider_message_id = outcome.provider, outcome.provider_id
    if outcome.state in (MessageState.SENT, MessageState.OUTBOX):
        message.sent_at = clock.now()
