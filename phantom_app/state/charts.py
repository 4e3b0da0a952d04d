"""Series as what a chart draws: heights in per cent under a round axis, and the text of each day."""

from collections.abc import Sequence
from dataclasses import dataclass

from phantom_app.state import formats
from services.analytics.schemas import DayPoint


@dataclass(frozen=True)
class Column:
    """One day of the trend: found, and guarded, which is recovered and protected together.

    `label` is empty where the axis would be crowded; `side` keeps the readout inside.
    """

    day: str
    label: str
    found: str
    guarded: str
    found_height: str
    guarded_height: str
    side: str


def round_up(value: int) -> int:
    """The next 1, 2, 2.5 or 5 times a power of ten."""
    if value <= 0:
        return 100
    power = 10 ** (len(str(value)) - 1)
    for factor in (1, 2, 2.5, 5, 10):
        if value <= factor * power:
            return int(factor * power)
    return 10 * power


def trend(series: Sequence[DayPoint], currency: str) -> tuple[list[Column], list[str]]:
    """Columns for each day and the axis from its top to zero. A day on which more went back than came has no bar."""
    top = round_up(max((max(point.found, point.recovered + point.protected) for point in series), default=0))
    last = len(series) - 1
    every = max(1, round(len(series) / 6))
    labelled = {index for index in range(len(series)) if (last - index) % every == 0}
    if last % every > every / 2:  # the first day too, where the next label leaves it room
        labelled.add(0)
    columns = [
        Column(
            formats.day(point.day),
            formats.short_day(point.day) if index in labelled else "",
            formats.money(point.found, currency),
            formats.money(point.recovered + point.protected, currency),
            formats.width(point.found, top),
            formats.width(max(0, point.recovered + point.protected), top),
            "end" if index > last / 2 else "start",
        )
        for index, point in enumerate(series)
    ]
    return columns, [formats.money(top, currency), formats.money(top // 2, currency), formats.money(0, currency)]
