"""What became of deliveries at each endpoint, kept where every process and a person can see it.

A refused delivery belongs to nobody: whoever sent it may not be Stripe. So what is kept is one row an endpoint and
outcome, added up in memory and written twice a minute at most; a flood of forgeries costs no more than one.
"""

from collections import Counter
from datetime import datetime
from typing import Any

from psycopg import AsyncConnection

CONNECT, PLATFORM = "connect", "platform"
ACCEPTED, BAD_SIGNATURE, WRONG_MODE = "accepted", "bad_signature", "wrong_mode"

_ADD = """
insert into intake_outcomes as known (endpoint, outcome, number, first_at, last_at)
values (%b::text, %b::text, %b::int, %b::timestamptz, %b::timestamptz)
on conflict (endpoint, outcome) do update set
    number = case when excluded.outcome = 'accepted' then excluded.number
        else least(known.number::bigint + excluded.number, 1000000000)::int end,
    last_at = greatest(known.last_at, excluded.last_at)
"""
# A genuine delivery of our mode says that the endpoint is set up rightly, whatever else somebody sends to it.
_ALL_IS_WELL = "delete from intake_outcomes where endpoint = %b::text and outcome <> 'accepted'"


class Outcomes:
    """What one process has not written yet."""

    def __init__(self) -> None:
        self._counts: Counter[tuple[bool, str]] = Counter()

    def add(self, outcome: str, *, connect: bool) -> None:
        self._counts[(connect, outcome)] += 1

    def __bool__(self) -> bool:
        return bool(self._counts)

    async def write(self, connection: AsyncConnection[Any], now: datetime) -> None:
        """Write what there is and begin anew; what could not be written is kept for the next time."""
        taken, self._counts = self._counts, Counter()
        try:
            async with connection.transaction():
                for connect in (True, False):
                    await _write(connection, connect, taken, now)
        except BaseException:
            self._counts += taken
            raise


async def _write(
    connection: AsyncConnection[Any], connect: bool, taken: Counter[tuple[bool, str]], now: datetime
) -> None:
    endpoint, accepted = CONNECT if connect else PLATFORM, taken[(connect, ACCEPTED)]
    if accepted:
        await connection.execute(_ADD, (endpoint, ACCEPTED, accepted, now, now))
        await connection.execute(_ALL_IS_WELL, (endpoint,))
        return
    for outcome in (BAD_SIGNATURE, WRONG_MODE):
        if number := taken[(connect, outcome)]:
            await connection.execute(_ADD, (endpoint, outcome, number, now, now))
