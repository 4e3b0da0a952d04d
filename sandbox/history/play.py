"""Living through the months: from one event to the next, with the engine called whenever something concerns it."""

from collections.abc import Callable
from dataclasses import dataclass, field

from sandbox.history.engine import Engine
from sandbox.history.timetravel import TravelClock
from sandbox.people import Letter, People
from sandbox.population.business import Agenda, Business
from sandbox.population.persons import Person

# Events that somebody has to answer now. Of the others (a renewal that went well) many are delivered together, at
# the engine's next turn: Stripe may be late with a webhook, and a start must not take minutes.
URGENT = frozenset(
    {
        "charge.dispute.closed",
        "charge.refunded",
        "customer.subscription.deleted",
        "invoice.marked_uncollectible",
        "invoice.payment_action_required",
        "invoice.payment_failed",
        "invoice.voided",
        "payment_method.attached",
    }
)


@dataclass
class Play:
    """The loop over all that happens. `progress` is told the moment now and then."""

    clock: TravelClock
    business: Business
    engine: Engine | None = None
    progress: Callable[[int], None] = lambda moment: None
    agenda: Agenda = field(default_factory=Agenda)
    people: People | None = None
    _last_event: str = ""
    _engine_at: int = 0

    def until(self, end: Callable[[], int]) -> None:
        """Live until `end()`, which may move as real time does."""
        while True:
            moment = self._next()
            if moment > end():
                return
            self._step(moment)
            self.progress(moment)

    def _next(self) -> int:
        found = [self.business.world.clockwork.next_due(), self.agenda.next_at()]
        if self.engine:
            found.append(self._engine_at)
        return min(moment for moment in found if moment is not None)

    def _step(self, moment: int) -> None:
        world, planned = self.business.world, self.agenda.next_at()
        self.clock.move_on(moment)
        if planned is not None and planned <= moment:
            self._act(*self.agenda.take())
        elif (world.clockwork.next_due() or moment + 1) <= moment:
            world.clockwork.step(moment)
        if self.engine and (moment >= self._engine_at or self._is_urgent()):
            self.turn()

    def turn(self) -> None:
        """The engine's turn."""
        if self.engine is None:
            return
        if self.clock.now().timestamp() >= self._engine_at:
            self.engine.tick()
        self.engine.settle()
        if self.people:
            self.people.read_mail()
        self._is_urgent()  # what the engine itself brought about is settled
        self._engine_at = self.engine.next_at()

    def _is_urgent(self) -> bool:
        table = self.business.space.table("event")
        urgent, last = False, self._last_event
        for _, _, identifier in reversed(table.order):
            if identifier == last:
                break
            event = table.objects[identifier]
            urgent = urgent or event["type"] in URGENT or _pays_late(event)
        if table.order:
            self._last_event = table.order[-1][2]
        return urgent

    def _act(self, moment: int, what: str, subject: object) -> None:
        if isinstance(subject, Person) and what == "join":
            self.business.join(subject)
        elif isinstance(subject, Person):
            self.business.leave(subject)
        elif self.people and isinstance(subject, Letter):
            self.people.act(what, subject)
        elif self.people and isinstance(subject, str):
            self.people.regret(what, subject)


def _pays_late(event: dict[str, object]) -> bool:
    """A payment after a failure: the ghost is waiting for it."""
    return event["type"] == "invoice.paid" and '"attempt_count":1,' not in str(event["data"])
