"""What Twilio tells of texts: what became of one, and who asked for no more or for more of them (`replies`).

A text has no idempotency key, so a callback is the only thing that settles one whose fate was not known; our id is in
the address that was called. Repeated and shuffled like all webhooks: states only move forward.
"""

from datetime import datetime
from typing import Any

from core import db
from models.messaging import Channel, MessageState
from services.integrations.twilio import UNSUBSCRIBED
from services.messaging import repository as messages
from services.recovery.messages import delivery, optout, settlement
from services.recovery.messages.replies import STOP

STATUS, REPLY = "sms.status", "sms.reply"
_STATE_OF = {
    "sent": MessageState.SENT,
    "delivered": MessageState.DELIVERED,
    "undelivered": MessageState.FAILED,
    "failed": MessageState.FAILED,
}
# No such number, none for texts, out of service, a landline (twilio.com/docs/api/errors). 30003, switched off, passes.
_NO_NUMBER = frozenset({"21211", "21614", "30005", "30006"})
HANDLED_STATUS = frozenset(_STATE_OF)


def handle(merchant_id: str, kind: str, data: dict[str, Any], at: datetime) -> str:
    """Act on a webhook of Twilio that was stored `at`; the outcome. Idempotent.

    Tasks of one merchant run side by side, and one may be put off: what somebody said last is not what is handled last.
    """
    if kind == REPLY:
        return _reply(merchant_id, str(data.get("from", "")), str(data.get("asks", "")), at)
    return _status(merchant_id, data, at)


def _reply(merchant_id: str, number: str, asked: str, at: datetime) -> str:
    act, word = (optout.stop_texts, "stopped") if asked == STOP else (optout.start_texts, "started")
    with db.tenant_session(merchant_id) as session:
        return word if act(session, merchant_id, number, at) else "already_known"


def _status(merchant_id: str, data: dict[str, Any], at: datetime) -> str:
    message_id, status, sid = (str(data.get(name) or "") for name in ("message", "status", "sid"))
    state, code = _STATE_OF.get(status), str(data.get("error") or "")
    if state is None:
        return "ignored"
    with db.tenant_session(merchant_id) as session:
        message = messages.get_message(session, merchant_id, message_id)
        if message is None or message.channel != Channel.SMS:
            return "unknown_message"
        if code == str(UNSUBSCRIBED) and message.recipient:
            optout.hold_texted(session, merchant_id, message_id, message.recipient)
        if message.state == MessageState.SENDING:  # whatever became of it, the provider had taken it
            settlement.settle_sent(session, merchant_id, message_id, "twilio", sid[:128])
        reason = f"Twilio's error {code}." if code.isdecimal() else ""
        ends = "undelivered" if state is MessageState.FAILED and code in _NO_NUMBER else ""
        told = delivery.Report(state, "twilio", sid[:128], reason, ends)
        outcome = delivery.note(session, merchant_id, message_id, told)
        if code == str(UNSUBSCRIBED) and message.recipient:
            optout.stop_texts(session, merchant_id, message.recipient, at)
        return outcome
