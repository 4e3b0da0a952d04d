"""What falls due: renewals, finalisations, attempts, card expiry; processed in order of time."""

import heapq
from collections.abc import Callable
from typing import TYPE_CHECKING

from sandbox.stripe.store import Json, Space

if TYPE_CHECKING:
    from sandbox.stripe.world import World

Handler = Callable[["World", Space, Json], None]


class Clockwork:
    """A heap over the `due` entries kept in objects' hidden parts; stale heap entries are skipped."""

    COMMIT_EVERY = 200

    def __init__(self, world: "World") -> None:
        self._world = world
        self._heap: list[tuple[int, int, str, str, str, str]] = []
        self._sequence = 0
        self._handlers: dict[str, Handler] = {}
        self.processed = 0
        self._load()

    def _load(self) -> None:
        for space in self._world.store.spaces.values():
            for identifier, hidden in space.hidden.items():
                for name, moment in hidden.get("due", {}).items():
                    self._push(space, space.kinds[identifier], identifier, name, moment)

    def _push(self, space: Space, kind: str, identifier: str, name: str, moment: int) -> None:
        self._sequence += 1
        heapq.heappush(self._heap, (moment, self._sequence, space.key, kind, identifier, name))

    def schedule(self, space: Space, kind: str, identifier: str, name: str, moment: int) -> None:
        """Let `name` happen to the object at `moment` (replacing the former moment). Save the object afterwards."""
        due = space.private(identifier).setdefault("due", {})
        if due.get(name) != moment:
            due[name] = moment
            self._push(space, kind, identifier, name, moment)
            self._world.store.dirty[space.key, kind, identifier] = None

    def cancel(self, space: Space, identifier: str, name: str | None = None) -> None:
        """Let it not happen; without a name, nothing that was planned for the object."""
        due = space.private(identifier).get("due")
        if due:
            due.clear() if name is None else due.pop(name, None)

    def next_due(self) -> int | None:
        """When the next thing happens, or None."""
        while self._heap and not self._valid(self._heap[0]):
            heapq.heappop(self._heap)
        return self._heap[0][0] if self._heap else None

    def _valid(self, entry: tuple[int, int, str, str, str, str]) -> bool:
        moment, _, key, _, identifier, name = entry
        due: Json = self._world.store.space(key).hidden.get(identifier, {}).get("due", {})
        return due.get(name) == moment

    def step(self, limit: int) -> bool:
        """Let the next thing due at or before `limit` happen, at its own time. False when there was none."""
        with self._world.transaction():
            moment = self.next_due()
            if moment is None or moment > limit:
                return False
            _, _, key, kind, identifier, name = heapq.heappop(self._heap)
            space = self._world.store.space(key)
            del space.private(identifier)["due"][name]
            self.move_to(moment)
            obj = space.get(kind, identifier)
            if obj is not None:
                self._world.store.dirty[key, kind, identifier] = None
                self._handler(name)(self._world, space, obj)
                self.processed += 1
            return True

    def _handler(self, name: str) -> Handler:
        if not self._handlers:
            from sandbox.stripe import billing

            self._handlers = billing.HANDLERS
        return self._handlers[name]

    def move_to(self, moment: int) -> None:
        """Move the shared clock forward to `moment`, where this world owns it; never back."""
        if self._world.move_clock and moment > self._world.now():
            self._world.move_clock(moment)

    def advance_to(self, moment: int) -> int:
        """Process everything due until `moment` in order, then stand at `moment`. Returns how many things."""
        with self._world.transaction():
            done = 0
            while self.step(moment):
                done += 1
                if done % self.COMMIT_EVERY == 0:
                    self._world.commit()
            self.move_to(moment)
            return done
