"""What comes of handing a message over, besides that it was sent: taken back, or refused because of an opt-out."""

from sqlmodel import Session

from core import clock
from models.messaging import MessageState
from services.messaging import repository as messages
from services.recovery.messages import optout, settlement

REPEATED = "It is handed over again, because the first try was cut short."
"""What a message under way says from its second handing over on: whoever began it speaks for it no longer."""


def take_back(session: Session, merchant_id: str, message_id: str) -> bool:
    """Undo an intent that nobody ever took: its slot is free again. False when it is settled already.

    Only for a message that was handed over once and certainly not taken, for its sender's sake or because its provider
    takes nothing for now: what a crash may have handed over before is never taken back, nor what another run took up
    while this one stood still.
    """
    slot = messages.get_message(session, merchant_id, message_id, lock=True)
    if slot is None or slot.state != MessageState.SENDING or slot.reason == REPEATED:
        return False
    messages.delete_message(session, merchant_id, message_id)
    return True


def opted_out(session: Session, merchant_id: str, message_id: str, number: str, reason: str) -> None:
    """The provider lets nothing through to this number any more: the message failed, and none follows."""
    optout.hold_texted(session, merchant_id, message_id, number)
    settlement.settle_failed(session, merchant_id, message_id, reason)
    optout.stop_texts(session, merchant_id, number, clock.now())
