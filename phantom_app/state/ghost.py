"""One ghost's whole story, in words."""

from dataclasses import dataclass
from datetime import datetime

import reflex as rx

from core import clock
from core.errors import NotFoundError
from models.ghost import OPEN_STATES, GhostState
from phantom_app import live
from phantom_app.guard import allow, principal
from phantom_app.state import formats, words
from phantom_app.state.access import as_tenant, change_as_tenant, identifier
from phantom_app.state.recoveries import NOBODY, GhostView, ghost_view
from services.identity.permissions import Permission
from services.manual_tasks import service as manual_tasks
from services.messaging.schemas import MessageView
from services.messaging.wording import called
from services.recovery import service as recovery
from services.recovery.charging import charges
from services.recovery.charging.charges import CardAttempts
from services.recovery.schemas import GhostDetail, TimelineEntry


@dataclass(frozen=True)
class Fact:
    label: str
    value: str


@dataclass(frozen=True)
class Moment:
    """One entry of the timeline."""

    title: str
    reason: str
    when: str
    exact: str
    change: str
    tone: str


@dataclass(frozen=True)
class Letter:
    """A message as a list shows it; `Reader` shows it whole."""

    id: str
    ghost_id: str
    subject: str
    recipient: str
    about: str
    state: str
    tone: str
    reason: str
    when: str


def letter(message: MessageView, now: datetime) -> Letter:
    state, tone = words.of(words.MESSAGE_STATES, message.state)
    about = words.GROUPS.get(message.template, words.plain(message.template))
    return Letter(
        id=message.id,
        ghost_id=message.ghost_id,
        subject=message.subject or "(no subject)",
        recipient=message.recipient or "recipient removed",
        about=f"{words.plain(called(message.template, message.step))} · {words.plain(message.channel)} · {about}",
        state=state,
        tone=tone,
        reason=message.reason,
        when=formats.distance(message.sent_at or message.due_at, now),
    )


def moment(entry: TimelineEntry, now: datetime) -> Moment:
    before, after = words.of(words.STATES, entry.from_state)[0], words.of(words.STATES, entry.to_state)
    moved = entry.to_state and entry.to_state != entry.from_state
    return Moment(
        title=words.plain(entry.name),
        reason=entry.reason,
        when=formats.distance(entry.occurred_at, now),
        exact=formats.moment(entry.occurred_at),
        change=(f"{before} → {after[0]}" if entry.from_state else after[0]) if moved else "",
        tone=after[1] if entry.to_state else "neutral",
    )


class Ghost(rx.State):
    """The ghost of the page's address; another merchant's id is as unknown as one that never was."""

    loaded: bool = False
    missing: bool = False
    ghost: GhostView = NOBODY
    strategy_reason: str = ""
    next_reason: str = ""
    next_exact: str = ""
    found_exact: str = ""
    outcome: str = ""
    attempts: str = ""
    next_charges: str = ""
    charge_reason: str = ""
    waits_for_a_person: bool = False
    open: bool = False
    paused: bool = False
    facts: list[Fact] = []
    ids: list[Fact] = []
    timeline: list[Moment] = []
    letters: list[Letter] = []
    may_read_letters: bool = False

    def _asked_for(self) -> str:
        return identifier(str(self.router.url.path).rstrip("/").rpartition("/")[2])

    async def _fill(self) -> None:
        ghost_id = self._asked_for()
        try:
            found, card, task = await as_tenant(
                lambda session, merchant: (
                    recovery.ghost_detail(session, merchant, ghost_id),
                    charges.of_ghost(session, merchant, ghost_id),
                    manual_tasks.task_of_ghost(session, merchant, ghost_id),
                )
            )
        except NotFoundError:
            self.missing, self.loaded, self.ghost = True, True, NOBODY
            return
        self._show(found)
        self._show_card(card)
        self.waits_for_a_person = bool(task)

    def _show_card(self, card: CardAttempts) -> None:
        self.attempts = f"{card.used} of {card.limit} in {card.days} days"
        if card.by_us or card.by_customer:
            self.attempts += f", {card.by_us} by PHANTOM; the customer tried {formats.plural(card.by_customer, 'time')}"
        coming = (("Stripe", card.next_by_stripe), ("PHANTOM", card.next_by_us))
        times = [f"by {who} {formats.moment(at)}" for who, at in coming if at is not None]
        self.next_charges = ", ".join(times) or "none planned"
        self.charge_reason = card.reason if card.is_open else ""

    def _show(self, found: GhostDetail) -> None:
        now, row = clock.now(), found.row
        self.missing = False
        self.ghost = ghost_view(row, now)
        self.strategy_reason = row.strategy_reason
        self.next_reason = row.next_action_reason
        self.next_exact = formats.moment(row.next_action_at) if row.next_action_at else ""
        self.found_exact = formats.moment(row.found_at)
        self.open = row.state in OPEN_STATES
        self.paused = row.state is GhostState.PAUSED
        self.outcome = outcome(found)
        self.facts = [Fact(fact.label, fact.value) for fact in found.forensics]
        self.ids = [
            Fact("Invoice id", found.invoice_id),
            Fact("Subscription id", found.subscription_id or formats.NONE),
            Fact("Customer id", row.customer_id or formats.NONE),
        ]
        self.timeline = [moment(entry, now) for entry in reversed(found.timeline)]
        # what was written to whom is not for every role that may see the ghost
        self.may_read_letters = Permission.MESSAGES_READ in principal().permissions
        self.letters = [letter(message, now) for message in found.messages] if self.may_read_letters else []
        self.loaded = True

    @rx.event
    @allow(Permission.GHOSTS_READ)
    async def load(self) -> None:
        """Empty the page first: another ghost's story must not stand there for a moment."""
        self.loaded, self.missing, self.ghost = False, False, NOBODY
        live.watch(self, principal().merchant_id, Ghost.refresh)
        await self._fill()

    @rx.event
    @allow(Permission.GHOSTS_READ)
    async def refresh(self) -> None:
        await self._fill()

    @rx.event
    @allow(Permission.GHOSTS_MANAGE)
    async def pause(self) -> None:
        """No more messages to this ghost until it is resumed."""
        ghost_id, actor = self._asked_for(), principal().user_id
        await change_as_tenant(lambda session, merchant: recovery.pause(session, merchant, [ghost_id], actor))
        await self._fill()

    @rx.event
    @allow(Permission.GHOSTS_MANAGE)
    async def resume(self) -> None:
        ghost_id, actor = self._asked_for(), principal().user_id
        await change_as_tenant(lambda session, merchant: recovery.resume(session, merchant, [ghost_id], actor))
        await self._fill()


def outcome(found: GhostDetail) -> str:
    """How it ended and whose merit that was; empty while it is open."""
    row = found.row
    if not row.closed_at:
        return ""
    ended = formats.moment(row.closed_at)
    if row.recovered:
        merit = words.MECHANISMS.get(found.mechanism, words.plain(found.mechanism))
        return f"{formats.money(row.recovered, row.currency)} came back on {ended}. Merit: {merit}."
    why = f": {found.close_reason.replace('_', ' ')}" if found.close_reason else ""
    return f"{words.state_of(row.kind.value, row.state.value)[0]} on {ended}{why}."
