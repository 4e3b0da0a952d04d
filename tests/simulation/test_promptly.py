"""Proof for the rules of what is done in time, and stopped in time: an engine that is late is found out."""

from dataclasses import replace
from datetime import datetime, time, timedelta
from typing import Any

import pytest

from services.integrations.stripe.facts import InvoiceFacts
from services.merchants.policies import RecoveryPolicy
from services.messaging import once, reach, schedule
from services.messaging.schedule import Action, History
from services.recovery import classify, observe, strategy
from services.recovery.charging import retries
from services.recovery.messages import fresh
from services.recovery.protection import impending
from tests.simulation import people, rules, staff
from tests.simulation.broken import (
    Broken,
    a_word_ahead,
    charged_by_us,
    ends_soon,
    is_found_out,
    somebody_is,
    texted,
    written_to_twice,
)
from tests.simulation.place import Place

pytestmark = pytest.mark.timeout(300)  # several seeds a test, on a machine that may be busy

# -- what a broken PHANTOM does -----------------------------------------------------------------------------------

_begins, _classify = schedule._begins, classify.classify


def _as_if_it_went_on(facts: InvoiceFacts, policy: RecoveryPolicy) -> classify.Classification:
    return _classify(replace(facts, is_ending=False), policy)


def _tomorrow(history: History, policy: RecoveryPolicy) -> tuple[datetime, str]:
    at, why = _begins(history, policy)
    return (at + timedelta(hours=20), why) if history.last_message_at is None else (at, why)


def _no_word(*_: Any) -> Action:
    return Action("", None, "No.")


def _none(*_: Any) -> int:
    return 0


def _no_texts(*_: Any) -> str:
    return "No texts."


# Nobody stands in the engine's way, and few do its work.
_UNHINDERED = (
    (rules, "SHARE", 0.0), (staff, "ACTS", ("lose",)), (people, "ANSWERS", (("ignore", 1),)),
    (people, "BY_THEMSELVES", (("nothing", 1),)), (people, "BEFORE_IT_ENDS", (("nothing", 1),)),
)  # fmt: skip
_ALL_LEAVE = (
    (people, "BY_THEMSELVES", (("leave", 1),)), (people, "STAYS", 0.0), (people, "ANSWERS", (("ignore", 1),)),
)  # fmt: skip

BROKEN: dict[str, Broken] = {
    "the first word comes tomorrow": Broken(
        schedule, "_begins", _tomorrow, "a first message goes at its moment", written_to_twice, more=_UNHINDERED
    ),
    "no word ahead": Broken(
        once, "_protection", _no_word, "who may lose their charge is told ahead", a_word_ahead, more=_UNHINDERED
    ),
    "who leaves is chased": Broken(
        observe, "classify", _as_if_it_went_on, "no message after a cancellation", written_to_twice, 3,
        more=(*_ALL_LEAVE, (fresh, "classify", _as_if_it_went_on)),
    ),
    "no risk is seen": Broken(impending, "_create", _none, "what is at risk is found", ends_soon),
    "nobody is texted": Broken(reach, "_no_sms", _no_texts, "who can be written to is", texted, more=_UNHINDERED),
    "another card never helps": Broken(
        strategy, "VAGUE_ATTEMPTS_BEFORE_CARD", 99, "the strategy fits the bank's word",
        somebody_is("do_not_honor", "generic_decline"),
    ),
    "charged in the night": Broken(
        retries, "LOCAL_HOUR", time(3), "own retries are made in the morning", charged_by_us, more=_UNHINDERED
    ),
}  # fmt: skip


@pytest.mark.parametrize("broken", BROKEN)
def test_a_broken_engine_is_found_out(where: Place, monkeypatch: pytest.MonkeyPatch, broken: str) -> None:
    is_found_out(where, monkeypatch, BROKEN[broken])
