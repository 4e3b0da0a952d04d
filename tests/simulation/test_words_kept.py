"""Proof for what customers and merchants have said: an engine that forgets one word of theirs is found out."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from models.messaging import Channel
from services.integrations.stripe.renewals import RenewalFacts
from services.merchants import policies
from services.merchants import service as merchants
from services.merchants.policies import RecoveryPolicy
from services.messaging import advice, reach, schedule
from services.messaging import repository as messages
from services.recovery import strategy
from services.recovery.messages import composing, fresh, outreach
from services.recovery.messages.composing import Composed
from tests.simulation import ahead, opening, people, providers, rules, staff, wire
from tests.simulation.broken import (
    Broken,
    a_word_ahead,
    dead_boxes,
    is_found_out,
    no_word_ahead,
    somebody_is,
    texted,
    written_to_twice,
)
from tests.simulation.place import Place
from tests.simulation.scenario import DAY

pytestmark = pytest.mark.timeout(300)  # several seeds a test, on a machine that may be busy

# -- what a broken PHANTOM does -----------------------------------------------------------------------------------

_suppressed, _no_email = messages.list_suppressed, reach._no_email
_take, _against = fresh.take, fresh.against
_next, _forward, _compose = schedule.next_action, schedule.forward, composing.compose


def _deaf_to(reason: str) -> Any:
    def list_suppressed(session: Any, merchant_id: str, channel: Channel, hashes: Sequence[str]) -> dict[str, str]:
        found = _suppressed(session, merchant_id, channel, hashes)
        return {address: why for address, why in found.items() if why != reason}

    return list_suppressed


def _once_agreed(address: str, known: Any) -> str:
    return _no_email(address, replace(known, words={}))


def _going_on(history: schedule.History, policy: RecoveryPolicy, *more: Any) -> schedule.Action:
    return _next(history, policy.model_copy(update={"paused": False}), *more)


def _of_tomorrow(histories: Any, policy: Any, now: datetime, *more: Any) -> Any:
    return _forward(histories, policy, now + timedelta(days=4), *more)


def _unasked(text: str) -> RecoveryPolicy:
    return policies.stored_policy(text).model_copy(update={"protection_mails": True})


def _text_first(history: schedule.History) -> Channel:
    return Channel.EMAIL if history.no_sms else Channel.SMS


def _outspoken(*given: Any, **named: Any) -> Composed:
    said = _compose(*given, **named)
    return replace(said, plain=f"{said.plain}\nThe bank says: insufficient funds.")


def _kept(*_: Any, **__: Any) -> None: ...


def _all_answer(what: str) -> tuple[Any, str, Any]:
    return people, "ANSWERS", ((what, 1),)


def _hears_nothing(self: wire.Wire) -> None:
    self.world.deliveries.take_deliveries()


def _blind_ahead(session: Any, merchant: Any, seen: fresh.Seen, *more: Any) -> None:
    if not isinstance(seen, RenewalFacts):
        _take(session, merchant, seen, *more)


def _rash_ahead(seen: fresh.Seen, *about: Any) -> str:
    return "" if isinstance(seen, RenewalFacts) else _against(seen, *about)


def _nothing_against_it(*_: Any, **__: Any) -> str:
    return ""


_no_debts = {code: group for code, group in strategy.GROUP_OF_CODE.items() if code != "duplicate_transaction"}

# -- what makes it likelier that a rule matters -------------------------------------------------------------------

_UNSEEN = (fresh, "against", _nothing_against_it)
_COMPLAIN = (providers, "FATES", (("complained", 0.6),))
_CHANGED = (rules, "SHARE", 1.0)
_STOP = (staff, "ACTS", ("stop",))
_PAY_UNHEARD = ((people, "BY_THEMSELVES", (("alone", 1),)), (wire.Wire, "collect", _hears_nothing))
_MEND_UNHEARD = (
    (people, "BEFORE_IT_ENDS", (("card", 1),)),
    (wire.Wire, "collect", _hears_nothing),
    (opening, "HUNTS_EVERY", (20 * DAY,)),
)

BROKEN: dict[str, Broken] = {
    "deaf to unsubscribes": Broken(
        messages, "list_suppressed", _deaf_to("unsubscribed"), "nothing after an unsubscribe", written_to_twice,
        more=(_all_answer("unsubscribe"),),
    ),
    "deaf to complaints": Broken(
        messages, "list_suppressed", _deaf_to("complained"), "nothing after a complaint", written_to_twice,
        more=(_COMPLAIN,),
    ),
    "deaf to bounces": Broken(
        messages, "list_suppressed", _deaf_to("bounced"), "no mail to a dead address", dead_boxes, 26
    ),
    "deaf to who takes mail back": Broken(
        reach, "_no_email", _once_agreed, "nothing after a consent was taken back", written_to_twice,
        more=(_all_answer("withdraw"),),
    ),
    "goes on though told to stop": Broken(
        schedule, "next_action", _going_on, "nothing while the merchant has stopped messages", written_to_twice,
        staff="stop", more=(_STOP,),
    ),
    "blind to what is paid": Broken(
        fresh, "take", _kept, ("no message after paid or void", "no message after a subscription's end"),
        more=(_UNSEEN, *_PAY_UNHEARD),
    ),
    "words ahead unasked": Broken(
        merchants, "stored_policy", _unasked, "a word before a charge only where the merchant wants it",
        no_word_ahead, 3,
    ),
    "words ahead of what is safe": Broken(
        fresh, "take", _blind_ahead, "no word about a charge that is safe", a_word_ahead, 10,
        more=((fresh, "against", _rash_ahead), *_MEND_UNHEARD),
    ),
    "new rules are not kept": Broken(
        merchants, "edit_policy", _kept, ("at most the policy's messages a ghost", "the last message promises nothing"),
        written_to_twice,
        more=(_CHANGED, (rules, "CHANGES", (("messages_per_ghost", (1,)),))),
    ),
    "a new line is not kept": Broken(
        merchants, "edit_policy", _kept, "no message before a person lets it go", written_to_twice,
        more=(_CHANGED, (rules, "CHANGES", ((rules.LINE, ()),))),
    ),
    "a dry run of tomorrow": Broken(
        schedule, "forward", _of_tomorrow, "the dry run is what is planned", written_to_twice,
        more=((ahead, "TIMES", 20),),
    ),
    "texts first": Broken(schedule, "channel_of", _text_first, "a text only where mail cannot", texted),
    "the afternoon": Broken(advice, "MORNING", 15, "the preferred hour", written_to_twice, 3),
    "a bank's word": Broken(outreach, "compose", _outspoken, "a bank's reason stays private"),
    "asks for what is no debt": Broken(
        strategy, "GROUP_OF_CODE", _no_debts, "no message where there is nothing to ask for",
        somebody_is("duplicate_transaction"),
    ),
}  # fmt: skip


@pytest.mark.parametrize("broken", BROKEN)
def test_a_broken_engine_is_found_out(where: Place, monkeypatch: pytest.MonkeyPatch, broken: str) -> None:
    is_found_out(where, monkeypatch, BROKEN[broken])
