"""Whose turn it is: what one claimer remembers between its claims."""

from collections.abc import Iterable
from dataclasses import dataclass, field


@dataclass
class Turns:
    """Where in the round of merchants each priority stopped, and how many claims there were.

    It lives as long as its claimer (a lane of a worker process) and is nobody else's: several claimers go round
    each for itself. Losing it begins a new round and loses nothing else.
    """

    claims: int = 0
    _after: dict[int, str] = field(default_factory=dict)

    def after(self) -> tuple[list[int], list[str]]:
        """Priorities, and the merchant each stopped at."""
        return list(self._after), list(self._after.values())

    def took(self, visits: Iterable[tuple[int, int, str]]) -> None:
        """A claim took something at these (priority, number of the visit, merchant)."""
        self.claims += 1
        for priority, _, merchant in sorted(visits):
            self._after[priority] = merchant
