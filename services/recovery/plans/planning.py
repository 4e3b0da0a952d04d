"""The next actions of ghosts, from what is stored: a few queries however many ghosts, then the pure schedule.

The ghosts of one customer are always planned together, because they share the places of each week: what one of them
gets the others wait for, and what one leaves they move up to.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Protocol, TypeVar

from sqlmodel import Session

from models.ghost import CHASED_STATES, GhostState, GhostTarget, Strategy
from models.messaging import Channel, MessageState
from services.merchants.policies import RecoveryPolicy
from services.messaging import repository as messages
from services.messaging import schedule
from services.messaging.advice import Holdout, nobody
from services.messaging.history import PROTECTION_STEP
from services.messaging.hours import Country
from services.messaging.reach import Closed, address_of, closed, opted_out, texted_in
from services.messaging.schedule import Action, Charge, History
from services.recovery.plans import plan_repository as repository
from services.recovery.protection.risk import group_of_risk
from services.recovery.schemas import Apart, Planned

FIRST_CHARGE = timedelta(hours=1)
"""How long after making a recurring invoice Stripe charges it."""
PROVIDER_REFUSED = "The provider refused the message: see the outbox."
HELD = "Held: "
_NOBODY: Mapping[str, str] = {}


class Merchant(Protocol):
    """What of the merchant decides."""

    @property
    def id(self) -> str: ...
    @property
    def policy(self) -> RecoveryPolicy: ...
    @property
    def timezone(self) -> str: ...
    @property
    def active(self) -> bool: ...


Ghost = TypeVar("Ghost", bound=Planned)
Others = Callable[[Session, str, Sequence[str], Sequence[str]], Sequence[Ghost]]
"""(session, merchant id, customers, ids of the ghosts asked for) → these customers' other chased ghosts."""


def plans(
    session: Session,
    merchant: Merchant,
    ghosts: Sequence[Ghost],
    now: datetime,
    others: Others[Ghost],
    held: Mapping[str, str] = _NOBODY,
) -> list[tuple[Ghost, Action]]:
    """What comes next for these ghosts and for their customers' other ones; nothing is written.

    `held` says of a ghost why a fresh look at Stripe lets it wait.

    `others` reads all chased ghosts of some customers, locked where the plans are to be written. One that waits for a
    fresh look at Stripe goes on waiting for it and is left out.
    """
    families = _families(session, merchant.id, ghosts, now, others)
    found = []
    for family, histories in zip(families, read_histories(session, merchant, families, now, held), strict=True):
        actions = schedule.together(histories, merchant.policy, now, merchant.timezone)
        found += list(zip(family, actions, strict=True))
    return found


def ahead(
    session: Session, merchant: Merchant, ghosts: Sequence[Ghost], now: datetime, until: datetime, others: Others[Ghost]
) -> dict[str, list[Action]]:
    """What each of these ghosts gets until then if nothing else happens, and last what follows; nothing is written.

    What is held for a fresh look at Stripe is played on as held.
    """
    families = _families(session, merchant.id, ghosts, now, others)
    found: dict[str, list[Action]] = {}
    held = {ghost.id: why for ghost in ghosts if (why := why_held(ghost, now))}
    for family, histories in zip(families, read_histories(session, merchant, families, now, held), strict=True):
        played = schedule.forward(histories, merchant.policy, now, until, merchant.timezone)
        found |= {ghost.id: actions for ghost, actions in zip(family, played, strict=True)}
    return found


def lasting_moment(ghost: Planned, action: Action, now: datetime) -> datetime | None:
    """When the action is due; one that was due already and still is keeps its moment, and so its task's key."""
    due = ghost.next_action_at
    return due if due is not None and _is_the_same(ghost, action) and due <= now == action.at else action.at


def _is_the_same(ghost: Planned, action: Action) -> bool:
    return ghost.next_action == action.name == schedule.SEND


def _families(
    session: Session, merchant_id: str, ghosts: Sequence[Ghost], now: datetime, others: Others[Ghost]
) -> list[list[Ghost]]:
    """The ghosts by customer, with those of the same customers that are chased as well."""
    families: dict[str, list[Ghost]] = {}
    for ghost in ghosts:  # whose customer is not known has no family
        families.setdefault(ghost.customer_id or ghost.id, []).append(ghost)
    customers = sorted({ghost.customer_id for ghost in ghosts if ghost.customer_id})
    for other in others(session, merchant_id, customers, [ghost.id for ghost in ghosts]):
        if not _waits(other, now):
            families[other.customer_id or ""].append(other)
    return list(families.values())


def _waits(ghost: Planned, now: datetime) -> bool:
    """Whether it is held for what only another look can free."""
    at = ghost.next_action_at
    return ghost.next_action_reason.startswith(HELD) and at is not None and at > now


def why_held(ghost: Planned, now: datetime) -> str:
    """What the last look at Stripe found that lets it wait for the next one; empty where it waits for none."""
    return ghost.next_action_reason.removeprefix(HELD).partition(". ")[0].rstrip(".") if _waits(ghost, now) else ""


_UNDECIDED = (None, False)


def read_histories(
    session: Session,
    merchant: Merchant,
    families: Sequence[Sequence[Planned]],
    now: datetime,
    held: Mapping[str, str] = _NOBODY,
    holdout: Holdout = nobody,
) -> Iterator[list[History]]:
    """What the schedule must know of each ghost, a family (the ghosts of one customer) at a time."""
    spoken = [ghost for family in families for ghost in family if _may_be_spoken_to(ghost, merchant.policy)]
    ways = dict(zip([ghost.id for ghost in spoken], _ways(session, merchant, spoken), strict=True))
    refused, never_got, under_way = _slots(session, merchant.id, spoken)
    written = _weeks(session, merchant.id, spoken, now)
    charges, wants_none = _apart(session, merchant, spoken)
    by_people = repository.list_by_people(session, merchant.id, [
        ghost.id for ghost in spoken if ghost.strategy == Strategy.HIGH_VALUE_MANUAL
    ])  # fmt: skip
    for family in families:
        yield [
            History(
                state=GhostState(ghost.state),
                strategy=Strategy(ghost.strategy),
                decline_group=ghost.decline_group,
                country=ghost.customer_country or ghost.country_code,
                text_country=where(ghost, Channel.SMS) if merchant.policy.sms else "",
                failed_at=min(ghost.found_at, ghost.original_invoice_date + FIRST_CHARGE),
                found_at=ghost.found_at,
                reopened_at=ghost.reopened_at,
                ended=ghost.next_action_reason if ghost.state == GhostState.EXHAUSTED else "",
                messages_sent=ghost.messages_sent,
                last_message_at=ghost.contacted_at,
                ghost_id=ghost.id,
                no_email=refused.get((ghost.id, Channel.EMAIL), "") or _way(ways, ghost).no_email,
                no_sms=refused.get((ghost.id, Channel.SMS), "") or _way(ways, ghost).no_sms,
                held_out=holdout(merchant.id, ghost.customer_id or ""),
                held=held.get(ghost.id, ""),
                disconnected=not merchant.active,
                released_at=by_people.get(ghost.id, _UNDECIDED)[0],
                decided=by_people.get(ghost.id, _UNDECIDED)[1],
                week=written.get(ghost.customer_id or "", ()),
                never_got=frozenset(never_got.get(ghost.id, ())),
                under_way=ghost.id in under_way,
                planned_at=ghost.next_action_at if ghost.next_action == schedule.SEND else None,
                planned_why=ghost.next_action_reason,
                charge=charges.get(ghost.id),
                wants_none=wants_none.get(ghost.id, ""),
            )
            for ghost in family
        ]


def where(ghost: Planned, channel: Channel) -> Country:
    """Whose hours a message keeps to; the card's country only where neither a number nor an address says one."""
    known = texted_in(ghost) if channel is Channel.SMS else ()
    return known or ghost.customer_country or ghost.country_code


def _may_be_spoken_to(ghost: Planned, policy: RecoveryPolicy) -> bool:
    """Whether a message may follow at all, by its state: of those that are not chased, few ghosts are worth a look."""
    if ghost.state == GhostState.STOPPED:
        return policy.polite_note and ghost.strategy == Strategy.STOPPED and not ghost.messages_sent
    return ghost.state in CHASED_STATES or (ghost.state == GhostState.IMPENDING and policy.protection_mails)


def _apart(session: Session, merchant: Merchant, ghosts: Sequence[Planned]) -> tuple[dict[str, Charge], dict[str, str]]:
    """What only those need that are not chased: the charges of impending ones, and why the stopped get no note."""
    seen = _facts_apart(session, merchant.id, [ghost for ghost in ghosts if ghost.state not in CHASED_STATES])
    impending = {ghost.id for ghost in ghosts if ghost.state == GhostState.IMPENDING}
    charges, ended = {}, {}
    for ghost_id, facts in seen.items():
        if facts.charge_at is not None and ghost_id in impending:
            line = merchant.policy.high_value_line(facts.currency)
            is_high = line is not None and facts.amount_cents > line
            charges[ghost_id] = Charge(facts.charge_at, group_of_risk(facts.risk), is_high)
        if facts.subscription_status == "canceled":
            ended[ghost_id] = "The subscription is over: there is nothing left to say."
    stopped = [ghost for ghost in ghosts if ghost.state == GhostState.STOPPED]
    asked = opted_out(session, merchant.id, stopped) if stopped else []
    return charges, ended | {ghost.id: why for ghost, why in zip(stopped, asked, strict=True) if why}


def _facts_apart(session: Session, merchant_id: str, ghosts: Sequence[Planned]) -> dict[str, Apart]:
    """Read where only a plan's columns are at hand; a ghost that is not written yet is nowhere to be read."""
    known = {ghost.id: Apart.of(ghost) for ghost in ghosts if isinstance(ghost, GhostTarget)}
    return known | repository.read_apart(session, merchant_id, [ghost.id for ghost in ghosts if ghost.id not in known])


_UNKNOWN = Closed(schedule.NO_EMAIL, schedule.SMS_IS_OFF)


def _way(ways: dict[str, Closed], ghost: Planned) -> Closed:
    return ways.get(ghost.id, _UNKNOWN)


def _ways(session: Session, merchant: Merchant, ghosts: Sequence[Planned]) -> list[Closed]:
    return closed(session, merchant.id, ghosts, sms=merchant.policy.sms) if ghosts else []


def _slots(
    session: Session, merchant_id: str, ghosts: Iterable[Planned]
) -> tuple[dict[tuple[str, str], str], dict[str, set[int]], set[str]]:
    """The channels that a provider refused for good, the steps that nobody got, and whose next step is on its way.

    What it took at first and could not deliver is no refusal, unless that is all that is known of the step. Another
    address opens the channel again.
    """
    known = {ghost.id: ghost for ghost in ghosts}
    sent = {ghost_id: _last_step(ghost) for ghost_id, ghost in known.items()}
    slots = messages.list_unsettled(session, merchant_id, list(sent))
    failed = [each for each in slots if each.state == MessageState.FAILED]
    refused = [each for each in failed if not each.taken or each.step > sent[each.ghost_id]]
    never_got: dict[str, set[int]] = defaultdict(set)
    for each in slots:
        if each.state in messages.NEVER_GOT and each.step != PROTECTION_STEP:
            never_got[each.ghost_id].add(each.step)
    closed_ways = {
        (each.ghost_id, each.channel): PROVIDER_REFUSED
        for each in refused
        if each.recipient == address_of(Channel(each.channel), known[each.ghost_id])
    }
    return closed_ways, never_got, {
        each.ghost_id for each in slots if each.state == MessageState.SENDING and each.step > sent[each.ghost_id]
    }  # fmt: skip


def _last_step(ghost: Planned) -> int:
    return PROTECTION_STEP - 1 if ghost.state == GhostState.IMPENDING else ghost.messages_sent


def _weeks(
    session: Session, merchant_id: str, ghosts: Iterable[Planned], now: datetime
) -> dict[str, tuple[datetime, ...]]:
    customers = sorted({ghost.customer_id for ghost in ghosts if ghost.customer_id})
    found: dict[str, list[datetime]] = defaultdict(list)
    for customer_id, at in messages.list_written(session, merchant_id, customers, now, now - schedule.WEEK):
        found[customer_id].append(at)
    return {customer_id: tuple(moments) for customer_id, moments in found.items()}
