"""The merchant's rules, which it may change in the middle: what was decided when, and by which a message is judged."""

import functools
from datetime import datetime
from typing import TYPE_CHECKING, Any

from core import clock, db
from core.clock import from_timestamp
from services.merchants.policy_fields import NEVER, Edit
from services.merchants.usual_lines import usual_line
from services.recovery.plans import rules
from tests.simulation.ledger import Mail
from tests.simulation.scenario import DAY, HOUR, Customer

if TYPE_CHECKING:
    from tests.simulation.play import Play

SHARE = 0.3  # of the seeds
LINE = "high_value_lines"
CHANGES: tuple[tuple[str, tuple[int, ...]], ...] = (
    ("cooldown_hours", (24, 48, 72, 120, 168)),
    ("messages_per_ghost", (1, 2, 3)),
    ("messages_per_customer_week", (1, 2, 3)),
    (LINE, ()),
)
ACTOR = "staff"
_KEPT = "select policy -> %s from merchants where id = %s"

Policy = dict[str, Any]


class Rules:
    """What the merchant wants, from moment to moment. Each change is one step of the play."""

    def __init__(self, play: "Play") -> None:
        self.play = play
        self._held: list[tuple[datetime, Policy]] = [(from_timestamp(0), play.scenario.policy | {LINE: {}})]

    # -- changing them --------------------------------------------------------------------------------------------

    def plan(self, begins: float, ends: float) -> None:
        """In some seeds one or two changes."""
        chance = self.play.streams("rules")
        if chance.random() >= SHARE:
            return
        for _ in range(chance.choice((1, 2))):
            name, values = chance.choice(CHANGES)
            at = chance.uniform(begins, ends)
            if name == LINE:
                customer = chance.choice(self.play.scenario.customers)
                line = chance.choice((NEVER, customer.amount // 2))
                self._plan_line(customer, line, at, at + chance.uniform(12 * HOUR, 8 * DAY))
            else:
                change = functools.partial(self.change, name, chance.choice(values))
                self.play.plan(at, f"staff: {name}", change)

    def _plan_line(self, customer: Customer, line: int | str, at: float, until: float) -> None:
        """For some days a person decides about all in a currency, or nobody about any; and somebody looks at tasks."""
        name = f"{LINE}.{customer.currency}"
        self.play.plan(at, f"staff: {name} {line}", functools.partial(self.change, name, line))
        self.play.plan(until, f"staff: {name} as usual", functools.partial(self.change, name, None))
        while (at := at + DAY) < until:
            self.play.plan(at, "staff: tasks", self.play.staff.look_at_tasks)

    def change(self, name: str, wanted: int | str | None) -> None:
        """On the screen of the rules. Whoever's process died looks whether it was kept."""
        play, (field, _, key) = self.play, name.partition(".")
        former = self.now[field].get(key) if key else self.now[field]
        seen = NEVER if key and key in self.now[field] and former is None else former
        if seen == wanted:
            return

        def keep() -> None:
            with db.tenant_session(play.merchant) as session:
                rules.change(session, play.merchant, [Edit(name, seen, wanted)], actor_id=ACTOR)

        came = play.machine.run("web", keep)
        present: Any = wanted
        if key:
            present = {each: line for each, line in self.now[field].items() if each != key}
            present |= {} if wanted is None else {key: None if wanted == NEVER else wanted}
        if not came:
            row = play.place.owner.execute(_KEPT, (field, play.merchant)).fetchone()
            if ((row and row[0]) or {} if key else row and row[0]) != present:
                play.plan(play.now() + HOUR, f"staff: {name} again", functools.partial(self.change, name, wanted))
                return
        play.sleep(0.01)  # what is begun from now on is begun by the new ones
        self._held.append((clock.now(), self.now | {field: present}))
        play.ledger.came_of_it["rules changed"] += 1
        play.machine.announce()

    # -- what held ------------------------------------------------------------------------------------------------

    @property
    def now(self) -> Policy:
        return self._held[-1][1]

    def at(self, moment: datetime) -> Policy:
        """Those by which something that was begun then is judged."""
        return next(policy for since, policy in reversed(self._held) if since <= moment)

    def of(self, mail: Mail) -> Policy:
        """Those by which a message was begun, which nothing takes back: a crash may have kept it since."""
        return self.at(mail.begun or mail.at)

    def in_the_task(self) -> list[Policy]:
        """All that held at any time since the task under way began."""
        process = self.play.machine.current
        began = from_timestamp(process.began) if process and process.began else clock.now()
        return [self.at(began), *(policy for since, policy in self._held if since > began)]

    def ever(self) -> list[Policy]:
        return [policy for _, policy in self._held]


def is_above(policy: Policy, customer: Customer, amount: int) -> bool:
    """Whether so much is above the line from which on a person decides."""
    line = policy[LINE].get(customer.currency, usual_line(customer.currency))
    return line is not None and amount > line
