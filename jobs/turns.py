"""A handler's turn with a sender: now, in a moment, or its task comes back."""

import threading
from datetime import timedelta

from core import clock
from services.messaging.senders import pace
from services.messaging.senders import service as senders
from services.messaging.senders.carriers import Carrier
from services.tasks.errors import Retry

RATE = "sender_rate"
A_MOMENT = 0.12  # seconds: what is put off costs about half of that in work, and comes back no sooner
_TRIES = 3

_nap = threading.Event()  # never set: to wait on


def await_turn(carrier: Carrier | None, merchant_id: str, who: str, put_off: int = 0) -> None:
    """Nothing where it may send now. Raises `Retry` while the sender is paused or its provider's rate is used up.

    No worker stands and waits for longer than a moment. `who` names the message, the same at each try, `put_off` says
    how often its task was put off; without a carrier there is no line.
    """
    if carrier is None:
        return
    if carrier.paused:
        raise Retry(after=senders.look_again(put_off), reason=senders.PAUSED)
    for left in reversed(range(_TRIES)):
        now = clock.now()
        seconds = pace.turn(carrier.key_print, who, carrier.rate, merchant_id)
        if seconds <= 0:
            return
        if seconds > A_MOMENT or not left:
            # A moment in time, not a pause: what is put off is written down a little later, together with others.
            raise Retry(at=now + timedelta(seconds=seconds), reason=RATE)
        _nap.wait(seconds)
