"""One ghost's whole story, in words."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import reflex as rx

from core import clock
from core.errors import NotFoundError
from models.ghost import OPEN_STATES, GhostState
from phantom_app import live
from phantom_app.guard import allow, principal
from phantom_app.state import formats, words
from phantom_app.state.access import as_tenant, change_as_tenant, named_last
from phantom_app.state.recoveries import NOBODY, GhostView, ghost_view
from services.identity.permissions import Permission
from services.manual_tasks import service as manual_tasks
from services.messaging.schedule import SEND
from services.messaging.schemas import MessageView
from services.messaging.wording import called
from services.recovery import service as recovery
from services.recovery.charging import charges
from services.recovery.charging.charges import CardAttempts
from services.recovery.lifecycle import Trigger
from services.recovery.schemas import GhostDetail, GhostRow, TimelineEntry

_TOOK = (Trigger.REVERSED.value, "partly_reversed")
_MOVED_MONEY = (Trigger.PAID.value, *_TOOK, Trigger.GIVEN_BACK.value)


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
        subject=message.subject or ("(no subject)" if message.recipient else "Removed with the customer's data"),
        recipient=message.recipient or "recipient removed",
        about=f"{words.plain(called(message.template, message.step))} · {words.plain(message.channel)} · {about}",
        state=state,
        tone=tone,
        reason=message.reason,
        when=formats.distance(message.sent_at or message.due_at, now),
    )


def _amount(entry: TimelineEntry) -> int:
    """What came or went with an entry, minor units; 0 where no money moved."""
    amount = entry.facts.get("amount") if entry.name in _MOVED_MONEY else 0
    return amount if isinstance(amount, int) else 0


def moment(entry: TimelineEntry, now: datetime, currency: str) -> Moment:
    before, after = words.of(words.STATES, entry.from_state)[0], words.of(words.STATES, entry.to_state)
    moved = entry.from_state and entry.to_state and entry.to_state != entry.from_state
    title = words.EVENTS.get(entry.name, words.plain(entry.name))
    return Moment(
        title=f"{title}, {formats.money(amount, currency)}" if (amount := _amount(entry)) else title,
        reason=entry.reason,
        when=formats.distance(entry.occurred_at, now),
        exact=formats.moment(entry.occurred_at),
        change=f"{before} → {after[0]}" if moved else "",
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
    phone: str = ""
    at_stripe: str = ""
    timeline: list[Moment] = []
    letters: list[Letter] = []
    no_letter: str = ""
    may_read_letters: bool = False

    def _asked_for(self) -> str:
        return named_last(self.router.url.path)

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
        self.attempts = attempts(card)
        coming = (("Stripe", card.next_by_stripe), ("PHANTOM", card.next_by_us))
        now = clock.now()  # what Stripe announced before it gave up is told as a fact below, and does not come any more
        times = [f"by {who} {formats.moment(at)}" for who, at in coming if at is not None and at > now]
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
        self.outcome, self.no_letter = outcome(found), no_letter(row)
        self.phone, self.at_stripe = found.phone, found.at_stripe
        self.facts = [Fact(fact.label, fact.value) for fact in found.forensics]
        self.ids = [
            Fact("Invoice id", found.invoice_id),
            Fact("Subscription id", found.subscription_id or formats.NONE),
            Fact("Customer id", row.customer_id or formats.NONE),
        ]
        self.timeline = [moment(entry, now, row.currency) for entry in reversed(found.timeline)]
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


def attempts(card: CardAttempts) -> str:
    """How much of the card's budget is used, and by whom besides Stripe."""
    said = f"{card.used} of {card.limit} in {formats.plural(card.days, 'day')}"
    if card.by_us:
        said += f", {card.by_us} by PHANTOM"
    if card.by_customer:
        said += f"; the customer tried {formats.times(card.by_customer)}"
    return said


def outcome(found: GhostDetail) -> str:
    """How it ended and whose merit that was; empty while it is open."""
    row = found.row
    if not row.closed_at:
        return ""
    ended = formats.moment(row.closed_at)
    gone = went_back(found.timeline)
    if row.recovered or gone:
        came = f"{formats.money(row.recovered + gone, row.currency)} came back on {ended}. {_merit(found)}"
        back = formats.money(gone, row.currency) if row.recovered else "All of it"
        return f"{came} {back} went back again." if gone else came
    if row.state is GhostState.PROTECTED:
        return f"{formats.money(row.amount, row.currency)} made safe on {ended}. {_merit(found)}"
    word = words.state_of(row.kind.value, row.state.value)[0]
    why = "" if found.close_reason == row.state else words.CLOSE_REASONS.get(found.close_reason, found.close_reason)
    return f"{word} on {ended}: {why.replace('_', ' ')}." if why else f"{word} on {ended}."


def _merit(found: GhostDetail) -> str:
    return f"Merit: {words.MECHANISMS.get(found.mechanism, words.plain(found.mechanism))}."


def went_back(timeline: Sequence[TimelineEntry]) -> int:
    """What was taken of the latest payment, minor units: refunded or disputed, and not given back since."""
    gone = 0
    for entry in timeline:
        if entry.name == Trigger.PAID:
            gone = 0
        elif entry.name in _TOOK:
            gone += _amount(entry)
        elif entry.name == Trigger.GIVEN_BACK:
            gone -= _amount(entry)
    return max(0, gone)


def no_letter(row: GhostRow) -> str:
    """Why there is no message, for a ghost that has none."""
    if row.next_action == SEND:
        return "The next action above says when one goes out, and why then."
    if row.closed_at:
        return "It ended before one went out."
    return "None is planned. The next action above says why."
