"""The judge of charges: none twice, and PHANTOM's own within what the bank, the networks and the merchant allow."""

from collections import Counter, defaultdict
from datetime import timedelta
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from tests.simulation.ledger import Charge

if TYPE_CHECKING:
    from tests.simulation.play import Play

NEARLY_A_DAY = timedelta(hours=23)  # a crash lets the same charge be made some minutes later
CARD_LIMIT, MORNING = 20, 10
AT_ONCE = timedelta(hours=2)
# Stripe's list of what it does not execute, and what the bank or the customer has ended.
NEVER_AGAIN = frozenset(
    {
        *("incorrect_number", "lost_card", "pickup_card", "stolen_card", "revocation_of_authorization"),
        *("revocation_of_all_authorizations", "authentication_required", "highest_risk_level"),
        *("transaction_not_allowed", "expired_card", "do_not_try_again", "stop_payment_order", "fraudulent"),
    }
)


def at_the_end(play: "Play") -> None:
    approved = Counter(one.invoice for one in play.ledger.charges if one.approved)
    for invoice, times in approved.items():
        if times > 1:
            play.ledger.violated("no invoice is charged twice", f"{invoice} was, {times} times")
    by_card: dict[str, list[Charge]] = defaultdict(list)
    held_out = {customer.id for customer in play.scenario.customers if customer.held_out}
    for one in play.ledger.charges:
        if one.source != "customer":
            by_card[one.method].append(one)
        if one.source == "api" and one.customer in held_out:
            play.ledger.violated("nothing is charged of who is held out", f"{one.invoice} at {one.at:%d %H:%M}")
    for method, made in by_card.items():
        for index, one in enumerate(made):
            if one.source == "api":
                _own_charge_is_allowed(play, method, made, index)


def _own_charge_is_allowed(play: "Play", method: str, made: list[Charge], index: int) -> None:
    """A first try of a card on an invoice may come at once; every other keeps off Stripe's, the bank and the limits."""
    one, before = made[index], made[:index]
    spent = sum(not each.approved and one.at - each.at < timedelta(days=30) for each in before)
    if spent >= CARD_LIMIT:
        play.ledger.violated("never more charges than the networks allow", f"{method} has had {spent} declines")
    same = [each for each in before if each.invoice == one.invoice]
    if not same or method in play.ledger.renewed:
        return
    _policy_lets_it(play, method, one)
    _at_its_hour(play, method, one)
    if same[-1].code in NEVER_AGAIN:
        play.ledger.violated("no card is charged again after such a decline", f"{method} after {same[-1].code}")
    after = [each for each in made[index + 1 :] if each.invoice == one.invoice][:1]
    if one.at - same[-1].at < NEARLY_A_DAY or any(each.at - one.at < NEARLY_A_DAY for each in after):
        play.ledger.violated("own retries keep a day from every other attempt", f"{method} at {one.at:%d %H:%M}")


def _policy_lets_it(play: "Play", method: str, one: Charge) -> None:
    """The merchant's word on charging a failed card again: never, once Stripe is done, or a day before it goes on."""
    chosen, left = play.scenario.policy["own_retries"], one.next_at - one.at.timestamp()
    allowed = {
        "off": False,
        "after_stripe": left <= 0,
        "with_stripe": left <= 0 or left >= NEARLY_A_DAY.total_seconds(),
    }
    if not allowed[chosen]:
        play.ledger.violated(
            "own retries are what the merchant chose",
            f"{chosen}: {method} at {one.at:%d %H:%M}, Stripe in {left:.0f} s",
        )


def _at_its_hour(play: "Play", method: str, one: Charge) -> None:
    """In the customer's morning, where most people of their country live; it may be late by what was down."""
    local = one.at.astimezone(ZoneInfo(play.by_id[one.customer].zones[0]))
    late = local - local.replace(hour=MORNING, minute=0, second=0, microsecond=0)
    if not play.ledger.interrupted and not timedelta() <= late < AT_ONCE + play.ledger.down:
        play.ledger.violated("own retries are made in the morning", f"{method} at {local:%d %H:%M}, local")
