"""The judge of what was left undone: who could be written to was, and cards that could be charged were.

Other rules say what must not happen; an engine that does nothing at all keeps every one of them. Asked is only of
ghosts in whose way nothing stood, up to their end, with days to spare for whatever was down meanwhile.
"""

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from tests.simulation.ledger import NewCard
from tests.simulation.scenario import Customer

if TYPE_CHECKING:
    from tests.simulation.play import Play

WEEK, NEXT_HOUR = timedelta(days=7), timedelta(days=2)  # until a preferred hour comes by, and the day after it
PATIENCE = timedelta(days=1)  # beside what was down
FIRST_RETRY = timedelta(days=4)  # 10:00 of a day, three days after the charge before
_WENT = ("sent", "delivered", "bounced", "complained", "uncertain")
_OTHERS_WISH = ("paused", "reopened", "strategy_changed", "amount_changed")
_ENDS = ("paid", "lost", "stopped", "purged")
_MESSAGES = """
select coalesce(sent_at, intent_at), state from messages
where ghost_id = %s and state = any(%s) and template <> 'polite_stop'"""
SPOKEN = ("smart_retry", "card_refresh", "technical_bridge")  # strategies with something to say

Rows = list[dict[str, Any]]


def at_the_end(play: "Play", ghosts: Rows) -> None:
    for ghost, customer in undisturbed(play, ghosts):
        _was_written_to(play, ghost, customer)
        _was_charged(play, ghost, customer)


def is_disturbed(play: "Play") -> bool:
    """Whether the merchant itself stood in the way at some time."""
    policy = play.scenario.policy
    goes_unpaid = play.scenario.after_last == "unpaid" and not policy["unpaid_has_access"]  # and has nothing to lose
    return play.ledger.interrupted or len(play.rules.ever()) > 1 or goes_unpaid


def undisturbed(play: "Play", ghosts: Rows) -> Iterator[tuple[dict[str, Any], Customer]]:
    """Ghosts of failed charges, each its customer's only one, that were left to us."""
    if is_disturbed(play):
        return
    for ghost in ghosts:
        customer = play.by_id[ghost["customer_id"]]
        alone = sum(each["customer_id"] == customer.id for each in ghosts) == 1
        if alone and ghost["kind"] == "failed" and _was_left_to_us(play, ghost):
            yield ghost, customer


def _was_left_to_us(play: "Play", ghost: dict[str, Any]) -> bool:
    """Nobody else had a hand in it: no person, no holdout, no change of what is owed or of what the bank says."""
    customer = play.by_id[ghost["customer_id"]]
    if customer.held_out or customer.needs_a_person or customer.id in play.ledger.erased:
        return False
    asked = "select exists (select from ghost_events where ghost_id = %s and name = any(%s))"
    row = play.place.owner.execute(asked, (ghost["id"], list(_OTHERS_WISH))).fetchone()
    return row is not None and not row[0]


def _was_written_to(play: "Play", ghost: dict[str, Any], customer: Customer) -> None:
    if ghost["strategy"] not in SPOKEN or play.providers.key > 1 or not hears(play, customer):
        return  # or the merchant's sender was closed for a time
    rows = play.place.owner.execute(_MESSAGES, (ghost["id"], list(_WENT))).fetchall()
    back = sum(state == "bounced" and _was_soon_told(play, customer, at) for at, state in rows)
    most = play.scenario.policy["messages_per_ghost"] + back  # what came back counts as none
    went, due = len(rows), _that_fit(play, most, ghost["found_at"], _until(play, ghost))
    play.ledger.came_of_it["wrote to all who could be"] += due > 0
    play.ledger.came_of_it["wrote again after what came back"] += bool(back) and due == most
    if went < due:
        play.ledger.violated("who can be written to is", f"{ghost['id']} had {went} messages of at least {due}")


def hears(play: "Play", customer: Customer) -> bool:
    """Mail reached them all along; or texts, who have no address or one from which mail comes back."""
    ledger, address = play.ledger, customer.email
    refused = {shut for shut, _ in ledger.shut.values()}
    said_no = {*ledger.unsubscribed, *ledger.answered}
    if customer.id in ledger.last_words:
        return False
    if address and not customer.bounces:
        return address not in said_no | refused.union(*ledger.dead.values())
    agreed = play.scenario.policy["sms"] and customer.agrees and bool(customer.phone)
    return agreed and not {address, customer.phone} & said_no and customer.phone not in refused


def _was_soon_told(play: "Play", customer: Customer, sent_at: datetime) -> bool:
    """Whether PHANTOM heard that this mail came back before it could be done with the ghost."""
    told = [name for name, shut in play.ledger.shut.items() if shut == (customer.email, "email.bounced")]
    return any(timedelta() <= play.ledger.acknowledged[name] - sent_at < PATIENCE / 2 for name in told)


def _until(play: "Play", ghost: dict[str, Any]) -> datetime:
    """When the last could be done for it: as long as its days go, or until it was paid, lost or forgotten before."""
    ends: datetime = ghost["found_at"] + timedelta(days=play.scenario.policy["window_days"])
    asked = "select min(occurred_at) from ghost_events where ghost_id = %s and name = any(%s)"
    row = play.place.owner.execute(asked, (ghost["id"], list(_ENDS))).fetchone()
    return min(ends, row[0]) if row and row[0] else ends


def _that_fit(play: "Play", most: int, found_at: datetime, ends: datetime) -> int:
    """How many messages of so many must have gone in this time, each as late as may be."""
    policy = play.scenario.policy
    cooldown, a_week = timedelta(hours=policy["cooldown_hours"]), policy["messages_per_customer_week"]
    moments: list[datetime] = []
    at = found_at + timedelta(hours=max(policy["grace_hours"].values(), default=0)) + play.ledger.down + PATIENCE
    while len(moments) < most and at < ends:
        moments.append(at)
        at += cooldown
        if len(moments) >= a_week:
            at = max(at, moments[-a_week] + WEEK)
        at += NEXT_HOUR
    return len(moments)


def _was_charged(play: "Play", ghost: dict[str, Any], customer: Customer) -> None:
    """A new card by PHANTOM, and one whose money was short once Stripe is through with it."""
    charges = [one for one in play.ledger.charges if one.invoice == ghost["invoice_id"]]
    ours = {one.method for one in charges if one.source == "api"}
    ends = _until(play, ghost) - play.ledger.down - PATIENCE
    for card in play.ledger.new_cards:
        if card.customer == customer.id and ghost["found_at"] < card.at < ends and _was_told_of(play, card):
            tried = [one for one in charges if card.at <= one.at <= card.at + play.ledger.down + PATIENCE]
            play.ledger.came_of_it["new cards that were tried"] += bool(tried)
            if not tried:
                play.ledger.violated("a new card is charged", f"{ghost['id']} has one since {card.at:%d %H:%M}")
    last = max((one for one in charges if one.source == "automatic"), key=lambda one: one.at, default=None)
    invoice = play.space.table("invoice").objects[ghost["invoice_id"]]
    if last is None or invoice["next_payment_attempt"] or play.scenario.policy["own_retries"] == "off":
        return
    if (ghost["strategy"], last.code) != ("smart_retry", "insufficient_funds"):
        return
    advice, since = ghost["advice_code"], max(last.at, ghost["found_at"])
    if advice in ("", "try_again_later") and since + FIRST_RETRY < ends:
        play.ledger.came_of_it["retried after Stripe"] += bool(ours)
        if not ours:
            play.ledger.violated("what may be charged again is", f"{ghost['id']}: never, after {last.at:%d %H:%M}")


def _was_told_of(play: "Play", card: NewCard) -> bool:
    """Whether Stripe's word of the card came through, and soon."""
    heard_at = play.ledger.acknowledged.get(card.event)
    return heard_at is not None and heard_at - card.at < PATIENCE / 2
