"""The judge of ghosts' lives: each strategy is what the bank's word asks for, each move one that may be.

The tables here are those of the specification, written down a second time on purpose.
"""

from collections import defaultdict
from typing import TYPE_CHECKING, Any

from tests.simulation.rules import is_above

if TYPE_CHECKING:
    from tests.simulation.play import Play

_CHASED = {"open", "contacted", "clicked"}
_ENDS = {"exhausted", "stopped", "lost", "recovered"}
MOVES: dict[str, set[str]] = {
    "open": {"contacted", "clicked", "paused"} | _ENDS,
    "contacted": {"contacted", "clicked", "paused"} | _ENDS,
    "clicked": {"clicked", "paused"} | _ENDS,
    "paused": {"paused"} | _CHASED | _ENDS,  # what is under way comes of it, and it goes on where it would be by now
    # Closed to messages, open to money. A link that was sent still works, and moves nothing.
    "exhausted": {"exhausted", "stopped", "lost", "recovered"},
    "stopped": {"stopped", "lost", "recovered", "open"},  # open: the cancellation was taken back
    "lost": {"lost", "recovered", "open"},  # open: a charge was called off, came all the same, and failed
    "recovered": {"reversed", "open"},  # open: the payment was undone
    "reversed": {"recovered"},  # the refund failed
    "impending": {"protected", "open", "lost"},
    "protected": {"open"},
}
# What the bank says (nothing: that the customer has to confirm), and the strategies for it.
STRATEGIES: dict[str, set[str]] = {
    "": {"technical_bridge"},
    "authentication_required": {"technical_bridge"},
    "processing_error": {"technical_bridge"},
    "insufficient_funds": {"smart_retry"},
    "card_velocity_exceeded": {"smart_retry"},
    "never_heard_of_it": {"smart_retry"},
    "do_not_honor": {"smart_retry", "card_refresh"},
    "generic_decline": {"smart_retry", "card_refresh"},
    "expired_card": {"card_refresh"},
    "transaction_not_allowed": {"card_refresh"},
    "lost_card": {"card_refresh"},
    "fraudulent": {"card_refresh"},
    "invalid_amount": {"high_value_manual"},
    "duplicate_transaction": {"none"},
    "stop_payment_order": {"stopped"},
}
VAGUE, ENOUGH = {"do_not_honor", "generic_decline"}, 2  # after so many charges another card is the likelier way
ABOVE_THE_LINE = {"high_value_manual"}


def at_the_end(play: "Play", ghosts: list[dict[str, Any]]) -> None:
    asked = "select ghost_id, name, from_state, to_state, reason from ghost_events order by id"
    lived: dict[str, list[tuple[str, str, str, str]]] = defaultdict(list)
    for ghost_id, *event in play.place.owner.execute(asked.encode()).fetchall():
        lived[ghost_id].append(tuple(event))
    for ghost in ghosts:
        _moved_as_it_may(play, ghost, lived[ghost["id"]])
        if ghost["kind"] == "failed":
            _strategy_fits(play, ghost)


def _moved_as_it_may(play: "Play", ghost: dict[str, Any], events: list[tuple[str, str, str, str]]) -> None:
    """From state to state without a gap, by moves that may be, each with a reason; and it stands where they led."""
    state = ""
    for name, former, then, reason in events:
        if former and (former != state or then not in MOVES[former]):
            play.ledger.violated("every move is one that may be", f"{ghost['id']}, {state}: {name} {former} → {then}")
        if not reason:
            play.ledger.violated("every move has its reason", f"{ghost['id']}: {name}")
        state = then
    if state != ghost["state"]:
        play.ledger.violated("every move is one that may be", f"{ghost['id']} is {ghost['state']} after {state}")


def _strategy_fits(play: "Play", ghost: dict[str, Any]) -> None:
    """To one of the bank's words on this invoice, for PHANTOM may not have heard the last one; and it says why."""
    said = {one.code for one in play.ledger.charges if one.invoice == ghost["invoice_id"] and not one.approved}
    fitting = set().union(*(STRATEGIES[code] for code in said))
    above = _above(play, ghost) if said - {"stop_payment_order", "duplicate_transaction"} else {False}
    if True in above:
        fitting = ABOVE_THE_LINE | (fitting if False in above else fitting & {"stopped", "none"})
    if said <= VAGUE and ghost["attempt_count"] >= ENOUGH:
        fitting -= {"smart_retry"}
    if ghost["strategy"] not in fitting:
        play.ledger.violated("the strategy fits the bank's word", f"{ghost['id']}: {ghost['strategy']} after {said}")
    if not ghost["strategy_reason"]:
        play.ledger.violated("every strategy has its reason", ghost["id"])


def _above(play: "Play", ghost: dict[str, Any]) -> set[bool]:
    """Whether it was above the merchant's line, for as long as line and amount were what they were."""
    customer = play.by_id[ghost["customer_id"]]
    amounts = [customer.amount, *(one.left for one in play.ledger.outside if one.invoice == ghost["invoice_id"])]
    return {is_above(policy, customer, amount) for policy in play.rules.ever() for amount in amounts if amount}
