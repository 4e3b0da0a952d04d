"""Proof for the rules of recovery: an engine that breaks one is found out, in a seed where the rule matters."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from models.ghost import FunnelStep, GhostState, GhostTarget, Mechanism
from models.messaging import Channel
from models.sending import ConsentState
from services.analytics import ledger
from services.integrations.stripe.client import ScopedStripe
from services.integrations.stripe.errors import StripeAuthenticationError, StripePermissionError
from services.integrations.twilio import OutgoingText, TwilioSender
from services.merchants import service as merchants
from services.merchants.policies import RecoveryPolicy
from services.messaging import reach, render, schedule
from services.messaging.own import OwnWords
from services.messaging.senders import pace
from services.messaging.senders import repository as senders
from services.messaging.senders import service as sender_service
from services.recovery import strategy
from services.recovery.charging import retries
from services.recovery.credit import funnel, settle
from services.recovery.credit.attribution import Credit
from services.recovery.messages import composing, outreach
from services.recovery.messages.composing import Composed
from services.recovery.protection import outcomes
from tests.simulation.broken import (
    Broken,
    a_promise_too_late,
    a_word_ahead,
    dead_boxes,
    ends_soon,
    held_out,
    held_out_from_charges,
    in_their_words,
    is_found_out,
    needs_a_person,
    nobody_reaches,
    not_texted,
    own_mail,
    somebody_is,
    stripe_first,
    texted,
    two_at_once,
    withdraws_from_texts,
)
from tests.simulation.place import Place

pytestmark = pytest.mark.timeout(300)  # several seeds a test, on a machine that may be busy

# Whichever of what one break breaks comes first.
NO_MAIL_TO = ("no mail to a dead address", "nothing after a complaint", "nothing after an unsubscribe")
NO_TEXT_TO = ("no text without consent", "nothing after an unsubscribe", "a text only where mail cannot")


# -- what a broken PHANTOM does -----------------------------------------------------------------------------------

_day = ledger.Changes.day


def _no_losses(self: ledger.Changes, day: Any, currency: str, **figures: int) -> None:
    _day(self, day, currency, **{name: figure for name, figure in figures.items() if not name.startswith("lost_")})


_step_of = funnel.step_of


def _with_or_without_a_click(ghost: GhostTarget) -> FunnelStep:
    return FunnelStep.RECOVERED if ghost.state == GhostState.RECOVERED else _step_of(ghost)


def _nobodys(*_: Any) -> Credit:
    return Credit(Mechanism.ORGANIC)


def _nothing_in_the_way(*_: Any) -> str:
    return ""


def _for_ever(*_: Any) -> timedelta:
    return timedelta(days=4000)


_shut, _compose = reach._shut, composing.compose


def _blind_to_mailboxes(session: Any, merchant_id: str, channel: Channel, hashes: Any) -> dict[str, str]:
    return {} if channel is Channel.EMAIL else _shut(session, merchant_id, channel, hashes)


def _deaf_to_stop(session: Any, merchant_id: str, channel: Channel, hashes: Any) -> dict[str, str]:
    return {} if channel is Channel.SMS else _shut(session, merchant_id, channel, hashes)


def _nothing_said(*_: Any, **__: Any) -> bool:
    return False


def _one_for_all(*_: Any) -> str:
    return "fr"


def _promising(*given: Any, **named: Any) -> Composed:
    said = _compose(*given, **named)
    return replace(said, plain=f"{said.plain}\nWe will charge your card again tomorrow.")


# -- of texts, and of who comes and goes


_send_text, _is_no_sms, _put_sender = TwilioSender.send, reach._no_sms, senders.put_sender


def _at_night(policy: RecoveryPolicy, *_: Any) -> RecoveryPolicy:
    return policy.model_copy(update={"quiet_until_hour": 0, "quiet_from_hour": 24})


def _text_twice(self: TwilioSender, text: OutgoingText) -> str:
    _send_text(self, text)
    return _send_text(self, text)


def _once_agreed(number: str, known: Any, *more: Any) -> str:
    words = {address: (at, ConsentState.GRANTED) for address, (at, _) in known.words.items()}
    return _is_no_sms(number, replace(known, words=words), *more)


def _still_paused(session: Any, row: dict[str, Any]) -> None:
    former = senders.get_sender(session, row["merchant_id"], row["channel"])
    _put_sender(session, row | ({"state": former.state} if former else {}))


_retrieve = ScopedStripe.retrieve_invoice
_read: dict[str, Any] = {}


def _by_heart(self: ScopedStripe, invoice_id: str, expand: Sequence[str] = ()) -> Any:
    """A look that, where Stripe refuses it, is what was read before."""
    try:
        _read[invoice_id] = _retrieve(self, invoice_id, expand)
    except (StripeAuthenticationError, StripePermissionError):
        if invoice_id not in _read:
            raise
    return _read[invoice_id]


def _at_once(*_: Any) -> float:
    return 0.0


def _kept(*_: Any, **__: Any) -> None: ...


def _ours(*_: Any, **__: Any) -> None:
    """No words of the merchant's own."""


_next, _why_untouchable, _choose = schedule.next_action, retries.why_untouchable, OwnWords.choose


def _for_all(history: schedule.History, *more: Any) -> schedule.Action:
    return _next(replace(history, held_out=False), *more)


def _charged_all(policy: RecoveryPolicy, case: retries.Case) -> str:
    return _why_untouchable(policy, replace(case, held_out=False))


def _whatever_it_promises(self: OwnWords, *about: Any, is_last: bool) -> Any:
    return _choose(self, *about, is_last=False)


_debts = {code: group for code, group in strategy.GROUP_OF_CODE.items() if code != "stop_payment_order"}


BROKEN: dict[str, Broken] = {
    "nobody's merit": Broken(settle, "credit_of", _nobodys, "whose merit"),
    "nobody is asked first": Broken(
        schedule, "_not_ours", _nothing_in_the_way, "no message before a person lets it go", needs_a_person
    ),
    "who stopped is chased": Broken(
        strategy, "GROUP_OF_CODE", _debts, "no message to who told their bank to stop",
        somebody_is("stop_payment_order"), 29,
    ),
    "Stripe's turn is ours": Broken(
        retries, "_waits_for_stripe", _nothing_in_the_way, "own retries are what the merchant chose", stripe_first, 27
    ),
    "mail to dead boxes": Broken(reach, "_shut", _blind_to_mailboxes, NO_MAIL_TO, dead_boxes, 24),
    "deaf to STOP": Broken(reach, "_shut", _deaf_to_stop, "no text after a STOP", texted, 80),
    "texts unasked": Broken(reach, "_no_sms", _nothing_in_the_way, NO_TEXT_TO, not_texted, 30),
    "everybody reads French": Broken(render, "language_of", _one_for_all, "messages are in the customer's language"),
    "promises": Broken(outreach, "compose", _promising, "the last message promises nothing"),
    "at risk for ever": Broken(outcomes, "protect", _nothing_said, "every risk ends", ends_soon, 4),
    "losses are not added up": Broken(ledger.Changes, "day", _no_losses, "daily_metrics equal a recount"),
    "who paid had clicked": Broken(funnel, "step_of", _with_or_without_a_click, "daily_metrics equal a recount"),
    "texts at night": Broken(schedule, "by_law", _at_night, "quiet hours", texted),
    "every text twice": Broken(TwilioSender, "send", _text_twice, "no step goes out twice", texted),
    "deaf to who takes back": Broken(
        reach, "_no_sms", _once_agreed, "nothing after a consent was taken back", withdraws_from_texts, 9
    ),
    "acts on without permission": Broken(
        ScopedStripe, "retrieve_invoice", _by_heart, "nothing while the merchant is disconnected",
        begin=6, staff="disconnect", more=((merchants, "mark_disconnected", _kept),),
    ),
    "a new key changes nothing": Broken(
        senders, "put_sender", _still_paused, ("what is due is sent", "what waited for a key goes on"), own_mail, 3,
        more=((sender_service, "LOOK_AGAIN", timedelta(days=1)),),  # or a seed is mostly looking again
    ),
    "all at once": Broken(pace, "turn", _at_once, "never faster than a provider allows", two_at_once, 31),
    "only our words": Broken(OwnWords, "choose", _ours, "messages are in the merchant's own words", in_their_words),
    "a promise too late": Broken(
        OwnWords, "choose", _whatever_it_promises, "the last message promises nothing", a_promise_too_late, 6
    ),
    "the held out are told": Broken(schedule, "next_action", _for_all, "nothing to who is held out", held_out),
    "the held out are charged": Broken(
        retries, "why_untouchable", _charged_all, "nothing is charged of who is held out", held_out_from_charges, 171
    ),
    "safe by nobody's doing": Broken(outcomes, "credit_of", _nobodys, "whose merit", a_word_ahead, 6),
    "no end": Broken(RecoveryPolicy, "window", property(_for_ever), "every ghost ends", nobody_reaches, 2),
}  # fmt: skip


@pytest.mark.parametrize("broken", BROKEN)
def test_a_broken_engine_is_found_out(where: Place, monkeypatch: pytest.MonkeyPatch, broken: str) -> None:
    is_found_out(where, monkeypatch, BROKEN[broken])
