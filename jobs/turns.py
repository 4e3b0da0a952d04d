"""A handler's turn with a sender: now, or its task comes back."""

from datetime import timedelta

from core import clock
from services.messaging.senders import pace
from services.messaging.senders import service as senders
from services.messaging.senders.carriers import Carrier
from services.tasks.errors import Retry

RATE = "sender_rate"


def await_turn(carrier: Carrier | None, merchant_id: str, who: str) -> None:
    """Nothing where it may send now. Raises `Retry` while the sender is paused or its provider's rate is used up.

    No worker stands and waits. `who` names the message, the same at each try; without a carrier there is no line.
    """
    if carrier is None:
        return
    now = clock.now()
    if carrier.paused:  # until a person brings a new key: no outage that grows longer, and none that ends by itself
        raise Retry(at=now + senders.LOOK_AGAIN, reason=senders.PAUSED)
    seconds = pace.turn(carrier.key_print, who, carrier.rate, merchant_id)
    if seconds > 0:
        # A moment, not a pause: what is put off is written down a little later, together with others.
        raise Retry(at=now + timedelta(seconds=seconds), reason=RATE)
