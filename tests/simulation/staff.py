"""What the merchant's own people do: on PHANTOM's screens, and in Stripe's dashboard."""

import functools
from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import TYPE_CHECKING, Any

from sqlmodel import Session, col, select

from core import db
from core.errors import PhantomError
from models.ghost import OPEN_STATES, GhostState, GhostTarget, ManualTask, ManualTaskState, Strategy
from models.messaging import Channel
from services.integrations.stripe.connect import AccountFacts, Grant
from services.manual_tasks import service as manual_tasks
from services.merchants.joining import Joining, _attach, _required
from services.recovery import service as recovery
from services.vault.secret import Secret
from tests.simulation import forgetting
from tests.simulation.scenario import DAY, HOUR

if TYPE_CHECKING:
    from tests.simulation.play import Play

ACTS = ("pause", "pause", "lose", "void", "write_off", "stop", "withdraw", "disconnect", "erase")
ON_TASKS = ("release", "release", "release", "close", "reopen")
ACTOR = "staff"


def drawn(chance: Random, begins: float, ends: float) -> list[tuple[str, float]]:
    """What the merchant's people do in a seed, and when; the first thing that is drawn from their stream."""
    return [(chance.choice(ACTS), chance.uniform(begins, ends)) for _ in range(chance.choice((0, 1, 2, 4)))]


@dataclass
class Staff:
    """The merchant's people. Each act is one step of the play."""

    play: "Play"
    connected_at: float = 0.0  # again, by the owner

    def plan(self, begins: float, ends: float) -> None:
        """A few acts a seed, and a look at what waits for a person every other day."""
        chance = self.play.streams("staff")
        for what, at in drawn(chance, begins, ends):
            self.play.plan(at, f"staff: {what}", functools.partial(self.act, what))
        if any(customer.needs_a_person for customer in self.play.scenario.customers):
            for day in range(int((ends - begins) // (2 * DAY))):
                at = begins + 2 * DAY * day + chance.uniform(0, 2 * DAY)
                self.play.plan(at, "staff: tasks", self.look_at_tasks)

    def act(self, what: str) -> None:
        play, chance = self.play, self.play.streams("staff")
        if what in ("pause", "lose"):
            ghosts = self.ghost_ids()
            if ghosts:
                chosen = [chance.choice(ghosts)]
                if what == "lose":
                    self._do(recovery.mark_lost, chosen)
                elif self._do(recovery.pause, chosen):
                    later = play.now() + chance.uniform(HOUR, 10 * DAY)
                    play.plan(later, "staff: resume", lambda: self._do(recovery.resume, chosen))
        elif what in ("void", "write_off"):
            opened = [invoice for one in play.scenario.customers for invoice in play.shop.open_invoices(one)]
            if opened:
                act = play.actions.void_invoice if what == "void" else play.actions.mark_uncollectible
                act(play.account, chance.choice(opened)["id"])
        elif what == "stop":
            self._messages(on=False)
            play.plan(play.now() + chance.uniform(HOUR, 4 * DAY), "staff: start", lambda: self._messages(on=True))
        elif what == "disconnect":
            self.disconnect()
        elif what == "erase":
            self.erase()
        elif what == "withdraw":
            channel = chance.choice((Channel.EMAIL, Channel.EMAIL, Channel.SMS))
            play.providers.withdraw(chance.choice(play.scenario.customers), channel)

    def erase(self) -> None:
        """A customer wants to be forgotten; mostly one who was written to."""
        play, chance = self.play, self.play.streams("staff")
        written_to = sorted({play.by_address[mail.recipient].name for mail in play.ledger.mails})
        known = [one for one in play.scenario.customers if one.name in written_to and chance.random() < 0.8]
        forgetting.erase(play, chance.choice(known or play.scenario.customers), ACTOR)

    def disconnect(self) -> None:
        """The owner takes PHANTOM's permission back at Stripe, and gives it again some time later."""
        play, ledger = self.play, self.play.ledger
        if ledger.disconnected_at is None and play.actions.disconnect(play.account):
            ledger.disconnected_at, ledger.interrupted = ledger.trace.steps, True
            later = play.now() + self.play.streams("staff").uniform(2 * HOUR, 3 * DAY)
            play.plan(later, "staff: connect again", self.connect_again)

    def connect_again(self) -> None:
        play = self.play
        token = Secret(play.actions.connect(play.account)["tokens"][-1])
        facts = AccountFacts(play.account, "Northwind", None, "US", "usd", play.scenario.timezone, "")
        joining = Joining(Grant(play.account, token, None, "read_write", False), facts, None, True, f"{play.now():.0f}")

        def attach(session: Session) -> None:
            _attach(session, _required(session, play.merchant), joining, ACTOR)

        play.ledger.disconnected_at, self.connected_at = None, play.now()  # before: it may die after its commit
        if not self._run(attach):
            play.plan(play.now() + HOUR, "staff: connect again", self.connect_again)
            return
        play.machine.announce()

    def _messages(self, *, on: bool) -> None:
        act = recovery.start_messages if on else recovery.stop_messages
        if on:  # before: whoever dies after the commit has said so
            self.play.ledger.messages_on(on)
        else:
            self.play.ledger.interrupted = True  # also where nobody was told that it is so
        if self._run(lambda session: act(session, self.play.merchant, ACTOR)):
            self.play.ledger.messages_on(on)
            self.play.machine.announce()

    # -- manual tasks ---------------------------------------------------------------------------------------------

    def look_at_tasks(self) -> None:
        """Somebody looks at one task and lets a message go, closes it, or opens it again."""
        play, chance = self.play, self.play.streams("tasks")
        with db.tenant_session(play.merchant) as session:
            asked = select(ManualTask.id, ManualTask.ghost_id, ManualTask.state).order_by(col(ManualTask.id))
            found = list(session.exec(asked))
        if not found or chance.random() < 0.4:
            return
        task, ghost, state = chance.choice(found)
        what = chance.choice(ON_TASKS)
        if (what == "reopen") == (state == ManualTaskState.OPEN):
            return
        play.ledger.trace.say(f"staff: {what} {task}")
        if what == "release":
            play.ledger.released.append(ghost)  # before: whoever dies after the commit has let it go
            self._run(lambda session: manual_tasks.release(session, play.merchant, task, actor_id=ACTOR))
            play.machine.announce()
        elif what == "close":
            self._run(lambda session: manual_tasks.close(session, play.merchant, task, "Called them.", actor_id=ACTOR))
        else:
            self._run(lambda session: manual_tasks.reopen(session, play.merchant, task, actor_id=ACTOR))

    # -- the end --------------------------------------------------------------------------------------------------

    def tidy_up(self) -> None:
        """At the end the merchant decides what waits for a person, and that alone: PHANTOM has to end the rest."""
        self._messages(on=True)
        self._do(recovery.resume, self.ghost_ids(state="paused"))
        with db.tenant_session(self.play.merchant) as session:
            waits = col(GhostTarget.next_action_at).is_(None)
            manual = GhostTarget.strategy == Strategy.HIGH_VALUE_MANUAL
            asked = select(GhostTarget.id).where(col(GhostTarget.state).in_(sorted(OPEN_STATES)), waits, manual)
            left = list(session.exec(asked.order_by(col(GhostTarget.id))))
        self._do(recovery.mark_lost, left)

    def ghost_ids(self, *, state: str = "") -> list[str]:
        """Open ghosts as the merchant's screen lists them."""
        states = [GhostState(state)] if state else sorted(OPEN_STATES)
        with db.tenant_session(self.play.merchant) as session:
            found = select(GhostTarget.id).where(col(GhostTarget.state).in_(states)).order_by(col(GhostTarget.id))
            return list(session.exec(found))

    def _do(self, act: Callable[..., Any], ghosts: list[str]) -> bool:
        return bool(ghosts) and self._run(lambda session: act(session, self.play.merchant, ghosts, ACTOR))

    def _run(self, act: Callable[[Session], Any]) -> bool:
        """In PHANTOM's web process, which may die; what PHANTOM refuses by now is no longer done."""

        def change() -> None:
            try:
                with db.tenant_session(self.play.merchant) as session:
                    act(session)
            except PhantomError as error:
                self.play.ledger.trace.say(f"PHANTOM refuses: {type(error).__name__}")

        return self.play.machine.run("web", change)
