"""The judge of the providers' rates: however many messages fall due at once, never more knocks than a key allows.

Between its turn and its request a message looks at Stripe once more, which takes what it takes. So two requests are
judged by how far apart their turns can have been at most: from the beginning of one's task to the other's request.
Two requests of one task are another matter: a step that goes out twice.
"""

from core import clock
from tests.simulation.ledger import Knock, Ledger

PER_SECOND = 0.05
APART = 1 / PER_SECOND
_TRIFLE = 1.0  # a turn may come a moment early, and a task begins a moment before it asks
_LOOKED_AT = 5  # earlier requests that may be near


def knocked(ledger: Ledger, key: str, began: float) -> None:
    """A message is handed over with this key, by a task that began then."""
    mine, before = Knock(began, clock.now().timestamp()), ledger.knocks.setdefault(key, [])
    for other in before[-_LOOKED_AT:]:
        farthest = max(mine.at - other.began, other.at - mine.began)
        if other.began != mine.began and farthest < APART - _TRIFLE:
            ledger.violated("never faster than a provider allows", f"two within {farthest:.1f} s")
    before.append(mine)
