"""Proof for the rules of ghosts, charges and links: an engine that breaks one is found out."""

import functools
from dataclasses import replace
from datetime import datetime
from typing import Any

import pytest

from models.ghost import GhostState, GhostTarget
from phantom_app.api import links
from sandbox.stripe.cards import Attempt, Outcome
from services.integrations.stripe.facts import InvoiceFacts
from services.merchants.policies import RecoveryPolicy
from services.messaging import schedule
from services.messaging.schedule import Action, History
from services.recovery import lifecycle, presence, presence_repository, strategy
from services.recovery.charging import new_cards, retries
from services.recovery.credit import evidence, settle
from services.recovery.lifecycle import Trigger
from services.recovery.messages import clicks
from services.recovery.strategy import DeclineGroup
from tests.simulation import opening, people, rules, settling, shop, staff, wire
from tests.simulation.broken import (
    Broken,
    between_stripes,
    charged_after_stripe,
    charged_by_us,
    is_found_out,
    somebody_is,
    texted_after_mail,
    written_to_twice,
)
from tests.simulation.place import Place
from tests.simulation.scenario import DAY, HOUR

pytestmark = pytest.mark.timeout(300)  # several seeds a test, on a machine that may be busy

# -- what a broken PHANTOM does -----------------------------------------------------------------------------------

_landing = clicks.landing


def _closed(*about: Any) -> clicks.Landing:
    return replace(_landing(*about), standing=clicks.Standing.CLOSED)


def _open(*about: Any) -> clicks.Landing:
    return replace(_landing(*about), standing=clicks.Standing.PAY)


def _obeys(token: str, *_: Any) -> Any:
    return links.unsubscribe(token)


def _nothing(*_: Any, **__: Any) -> bool:
    return False


def _kept(*_: Any, **__: Any) -> None: ...


def _hears_nothing(self: wire.Wire) -> None:
    self.world.deliveries.take_deliveries()


def _of_the_schedule(ghost: GhostTarget, _: InvoiceFacts) -> datetime | None:
    return ghost.next_payment_attempt


_decide = shop.Shop.decide


def _then_paid_outside(self: shop.Shop, attempt: Attempt) -> Outcome:
    """Half an hour after each retry of Stripe's somebody marks an invoice as paid outside it."""
    decided, again = _decide(self, attempt), (attempt.invoice or {}).get("attempt_count")
    if again and attempt.source == "automatic" and not decided.approved:
        paid = functools.partial(settling.settle, self.play, "outside")
        self.play.plan(self.play.now() + HOUR / 2, "staff: settle", paid)
    return decided


def _all_that_was_paid(_: GhostTarget, facts: InvoiceFacts) -> int:
    return facts.amount_paid


def _all_of_it(ghost: GhostTarget, _: InvoiceFacts) -> int:
    return ghost.found_cents or ghost.amount_cents


def _at_once(_: retries.Case, now: datetime) -> datetime:
    return now


def _for_money(policy: RecoveryPolicy, case: retries.Case) -> str:
    return retries.why_untouchable(policy, case) or ("" if case.card_id else "It is not known which card failed.")


_next_action = schedule.next_action


def _silent(history: History, policy: RecoveryPolicy, now: datetime, *more: Any) -> Action:
    said = _next_action(history, policy, now, *more)
    return said if said.name != schedule.SEND else Action("exhaust", max(now, policy.ends(history.found_at)), "Later.")


def _silent_after_one(history: History, policy: RecoveryPolicy, now: datetime, *more: Any) -> Action:
    return (_silent if history.messages_sent else _next_action)(history, policy, now, *more)


def _no_card(*_: Any) -> int:
    return 0


def _no_retry(*_: Any, **__: Any) -> retries.Retry:
    return retries.Retry(None, "Not today.")


# Nobody stands in the engine's way, and few do its work.
_UNHINDERED = (
    (rules, "SHARE", 0.0), (staff, "ACTS", ("lose",)), (people, "ANSWERS", (("ignore", 1),)),
    (people, "BY_THEMSELVES", (("nothing", 1),)),
)  # fmt: skip
_NEW_CARDS = (*_UNHINDERED[:-1], (people, "BY_THEMSELVES", (("card", 1),)))

_never_clicked = lifecycle.TRANSITIONS | {(GhostState.CLICKED, Trigger.MESSAGE_SENT): GhostState.CONTACTED}
_confirmed = strategy.GROUP_OF_CODE | {"expired_card": DeclineGroup.AUTHENTICATION}

BROKEN: dict[str, Broken] = {
    "a wrong road": Broken(
        strategy, "GROUP_OF_CODE", _confirmed, "the strategy fits the bank's word", somebody_is("expired_card")
    ),
    "clicks are forgotten": Broken(
        lifecycle, "TRANSITIONS", _never_clicked, "every move is one that may be", written_to_twice,
        more=((people, "ANSWERS", (("follow", 1),)),),
    ),
    "a refund that fails is gone": Broken(
        settle, "give_back", _nothing, "reversals are what Stripe gave back",
        more=((people, "REGRETS", (("refund_fails", 1),)),),
    ),
    "what is lost is not": Broken(settle, "lose", _nothing, "a ghost is what its invoice is", staff="void"),
    "what is credited came in": Broken(
        settle, "_came_back", _all_of_it, "recoveries are what Stripe collected",
        more=((settling, "SHARE", 1.0), (settling, "WAYS", ("credit",))),
    ),
    "a part paid before is paid twice": Broken(
        settle, "_came_back", _all_that_was_paid, "recoveries are what Stripe collected", begin=41,
        more=(
            (settling, "SHARE", 1.0), (settling, "WAYS", ("part outside",)), (wire.Wire, "collect", _hears_nothing),
            (opening, "HUNTS_EVERY", (8 * DAY,)),
        ),
    ),
    "what came in elsewhere is Stripe's retry": Broken(
        evidence, "_retry_due_at", _of_the_schedule, "whose merit",
        more=(
            (shop.Shop, "decide", _then_paid_outside), (wire.Wire, "collect", _hears_nothing),
            (opening, "HUNTS_EVERY", (DAY // 2,)), (people, "ANSWERS", (("ignore", 1),)),
        ),
    ),
    "who stays is let go": Broken(
        settle, "reopen", _nothing, "who stays is asked again",
        more=((people, "STAYS", 1.0), (people, "BY_THEMSELVES", (("leave", 1),))),
    ),
    "a scanner unsubscribes": Broken(links, "ask_unsubscribe", _obeys, "reading a link changes nothing"),
    "dead links": Broken(clicks, "landing", _closed, "a link works until its ghost closes"),
    "links that never end": Broken(
        clicks, "landing", _open, "a link of what is paid leads nowhere", written_to_twice, 3,
        more=((people, "ANSWERS", (("follow", 1),)), (people, "BY_THEMSELVES", (("alone", 1),))),
    ),
    "charged whatever the bank says": Broken(
        retries, "why_never", _for_money, "no card is charged again after such a decline", charged_after_stripe, 14
    ),
    "charged day and night": Broken(
        # Too near to one that was, or to Stripe's next one: the day is kept from both.
        retries, "clear_from", _at_once,
        ("own retries keep a day from every other attempt", "own retries are what the merchant chose"),
        between_stripes, 9,
    ),
    "nobody is written to": Broken(
        schedule, "next_action", _silent, "who can be written to is", written_to_twice, more=_UNHINDERED
    ),
    "nobody is reminded": Broken(
        schedule, "next_action", _silent_after_one, "who can be written to is", written_to_twice, more=_UNHINDERED
    ),
    "what came back counts": Broken(
        History, "messages_got", property(lambda history: history._taken), "who can be written to is",
        texted_after_mail, 112, more=_UNHINDERED,
    ),
    "new cards stay where they are": Broken(
        # Whichever of two ways: it is tried when it comes, and by the next own retry.
        new_cards, "schedule", _no_card, "a new card is charged", written_to_twice,
        more=(*_NEW_CARDS, (retries, "next_retry", _no_retry)),
    ),
    "nobody is charged again": Broken(
        retries, "next_retry", _no_retry, "what may be charged again is", charged_by_us, more=_UNHINDERED
    ),
    "nobody is seen": Broken(presence_repository, "mark_ghosts", _kept, "who owes and is active"),
    "who was seen before is not": Broken(presence, "take_over", _kept, "who owes and is active"),
}  # fmt: skip


@pytest.mark.parametrize("broken", BROKEN)
def test_a_broken_engine_is_found_out(where: Place, monkeypatch: pytest.MonkeyPatch, broken: str) -> None:
    is_found_out(where, monkeypatch, BROKEN[broken])
