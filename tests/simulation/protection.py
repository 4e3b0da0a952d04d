"""The judge of charges that have not failed: which are at risk, and that each comes to one end."""

from collections import defaultdict
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from core import clock
from sandbox.stripe.billing import period_of
from sandbox.stripe.store import Json
from tests.simulation.scenario import DAY

if TYPE_CHECKING:
    from tests.simulation.play import Play

ASKED = (3, 6, 10)  # on which days it is asked what was found
PATIENCE = timedelta(days=1)


def at_risk(play: "Play", subscription: Json) -> bool:
    """Whether this subscription's next charge is: no card, one that ends before it, or above the merchant's line."""
    if subscription["cancel_at_period_end"] or subscription["status"] not in ("active", "past_due", "trialing"):
        return False
    charge_at = datetime.fromtimestamp(period_of(subscription)[1], UTC)
    owner = play.space.get("customer", subscription["customer"]) or {}
    usual = (owner.get("invoice_settings") or {}).get("default_payment_method")
    method = play.space.get("payment_method", subscription["default_payment_method"] or usual or "")
    if method is None:
        return True
    year, month = divmod(method["card"]["exp_year"] * 12 + method["card"]["exp_month"], 12)
    if datetime(year, month + 1, 1, tzinfo=UTC) <= charge_at:
        return True
    customer = play.by_id[subscription["customer"]]
    line = play.scenario.policy["alert_lines"].get(customer.currency)
    return line is not None and customer.amount > line


def are_found(play: "Play") -> None:
    """Asked now and then: a card that ends before its charge, untouched all along, has made a ghost of it."""
    ledger, begins = play.ledger, clock.from_timestamp(play.scenario.begins)
    if ledger.interrupted or clock.now() < begins + PATIENCE + ledger.down:
        return
    asked = "select exists (select from ghost_targets where merchant_id = %s and subscription_id = %s)"
    for customer in (one for one in play.scenario.customers if one.expires and one.id not in ledger.erased):
        for name in set(customer.subscription_ids) - ledger.kept:
            subscription = play.space.table("subscription").objects[name]
            since, until = period_of(subscription)
            is_first = since <= play.scenario.begins and abs(until - customer.renews_at) < DAY  # the first hunt saw it
            if not is_first or play.now() >= customer.renews_at or not at_risk(play, subscription):
                continue
            ledger.came_of_it["at risk, when asked"] += 1
            row = play.place.owner.execute(asked, (play.merchant, name)).fetchone()
            if not row or not row[0]:
                ledger.violated("what is at risk is found", f"{name} of {customer.name}, whose card ends")


def at_the_end(play: "Play", ghosts: list[dict[str, Any]], rows: list[dict[str, Any]]) -> None:
    """What was at risk is protected, or called off, or failed and then nothing but failed; each once."""
    booked: dict[str, list[int]] = defaultdict(list)
    for row in rows:
        if row["kind"] == "protected":
            booked[row["ghost_id"]].append(row["amount_cents"])
    for ghost in ghosts:
        play.ledger.came_of_it[f"{ghost['kind']}: {ghost['state']}"] += 1
        name, amounts = f"{ghost['id']} is {ghost['kind']}/{ghost['state']}", booked[ghost["id"]]
        is_safe = ghost["kind"] == "impending" and ghost["state"] == "protected"
        if sum(amounts) != (ghost["amount_cents"] if is_safe else 0) or len(amounts) > 2:
            play.ledger.violated("a charge is protected once, or failed", f"{name}: {amounts}")
        if ghost["kind"] == "impending" and ghost["state"] not in ("protected", "lost"):
            play.ledger.violated("every risk ends", f"{name}, due {ghost['charge_at']}, now {clock.now()}")
    charges = [(ghost["subscription_id"], ghost["charge_at"]) for ghost in ghosts if ghost["kind"] == "impending"]
    for twice in {one for one in charges if charges.count(one) > 1}:
        play.ledger.violated("a charge at risk is one ghost", str(twice))
