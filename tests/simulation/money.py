"""The judge of money: what the ledger says against what Stripe really collected and gave back."""

from collections import Counter
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tests.simulation.play import Play

_A_MOMENT = timedelta(minutes=2)


def is_right(play: "Play", ghosts: list[dict[str, Any]], rows: list[dict[str, Any]]) -> None:
    recovered = {row["ghost_id"]: row for row in rows if row["kind"] == "recovered"}
    rows = [row for row in rows if row["kind"] != "credited"]  # from one mechanism to another: no money
    kinds, went_back = Counter(row["kind"] for row in rows), Counter[str]()
    for row in rows:
        if row["kind"] == "reversed":  # one for each refund, and none of nothing
            went_back[row["ghost_id"]] -= row["amount_cents"]
    if len(recovered) + kinds["reversed"] + kinds["protected"] != len(rows):
        play.ledger.violated("one recovery an invoice at most", str(kinds))
    for row in (one for one in rows if one["kind"] == "reversed"):
        came_back = row["source_id"].endswith(":undone")  # a refund that failed, or a dispute that was won after all
        if row["amount_cents"] == 0 or (row["amount_cents"] > 0) != came_back:
            play.ledger.violated("what goes back is taken off", f"{row['source_id']}: {row['amount_cents']}")
    for ghost in (one for one in ghosts if one["kind"] == "failed"):
        invoice = play.space.table("invoice").objects[ghost["invoice_id"]]
        mine, back = recovered.get(ghost["id"]), went_back[ghost["id"]]
        collected = _collected(play, invoice, ghost["found_at"])
        if (mine["amount_cents"] if mine else 0) not in collected:
            play.ledger.violated(
                "recoveries are what Stripe collected",
                f"{ghost['id']}: Stripe {collected}, PHANTOM {mine and mine['amount_cents']}, {ghost['state']}",
            )
        taken = _taken_back(play, invoice) if mine else 0
        if back != taken:
            play.ledger.violated(
                "reversals are what Stripe gave back",
                f"{ghost['id']}: Stripe {taken}, PHANTOM {back}, {ghost['state']}",
            )
        expected = {
            "paid": "reversed" if taken and taken in collected else "recovered",
            "void": "lost",
            "uncollectible": "lost",
        }
        wanted = expected.get(invoice["status"])
        if wanted and ghost["state"] != wanted:
            play.ledger.violated(
                "a ghost is what its invoice is", f"{ghost['id']} is {ghost['state']}, its invoice {invoice['status']}"
            )


def _collected(play: "Play", invoice: dict[str, Any], found_at: datetime) -> set[int]:
    """What came in for a paid invoice since its ghost was found, in Stripe or outside: no credit note is money.

    What was paid while a page of a hunt was on its way may have been found as open, or not.
    """
    if invoice["status"] != "paid":
        return {0}
    amount = invoice["amount_paid"]
    found = {amount}
    for part in (one for one in play.ledger.outside if one.invoice == invoice["id"] and one.brought and one.left):
        if part.at < found_at + _A_MOMENT:
            found = {amount - part.brought} | (found if part.at > found_at - _A_MOMENT else set())
    return found


def _taken_back(play: "Play", invoice: dict[str, Any]) -> int:
    """What refunds and lost disputes took from a paid invoice, never more than it brought."""
    taken = paid = 0
    for charge in play.shop.charges_of(invoice["id"]):
        if charge["status"] == "succeeded":
            disputes = play.space.table("dispute").where("charge", charge["id"])
            lost = sum(one["amount"] for one in disputes if one["status"] == "lost")
            paid += charge["amount"]
            taken += charge["amount_refunded"] + lost
    return min(taken, paid)


def who_stays_is_asked(play: "Play", ghosts: list[dict[str, Any]]) -> None:
    """A cancellation that was taken back stops nothing: what is open is owed again, while there is access to lose."""
    for ghost in ghosts:
        if ghost["subscription_id"] not in play.ledger.kept or ghost["customer_id"] in play.ledger.erased:
            continue
        play.ledger.came_of_it["who stayed, in the end: " + ghost["state"]] += ghost["kind"] == "failed"
        if ghost["kind"] != "failed" or ghost["state"] != "stopped" or ghost["strategy"] == "stopped":
            continue
        subscription = play.space.table("subscription").objects[ghost["subscription_id"]]
        if subscription["status"] == "unpaid" and not play.scenario.policy["unpaid_has_access"]:
            continue
        if subscription["status"] == "canceled" and _stopped_at(play, ghost["id"]) >= subscription["ended_at"]:
            continue  # asked again until the subscription ended after all
        if not play.shop.is_deleted(play.by_id[ghost["customer_id"]]):
            play.ledger.violated("who stays is asked again", f"{ghost['id']} is stopped")


def _stopped_at(play: "Play", ghost_id: str) -> float:
    found = play.place.owner.execute(
        "select max(occurred_at) from ghost_events where ghost_id = %s and name = 'stopped'", (ghost_id,)
    ).fetchone()
    return found[0].timestamp() if found and found[0] else 0.0


def nothing_missed(play: "Play", ghosts: list[dict[str, Any]]) -> None:
    known = {ghost["invoice_id"] for ghost in ghosts}
    for invoice in play.space.table("invoice").where("status", "open"):
        details = (invoice["parent"] or {}).get("subscription_details")
        if not details or invoice["billing_reason"] != "subscription_cycle" or not invoice["attempt_count"]:
            continue
        if invoice["customer"] in play.ledger.erased:
            continue
        subscription = play.space.table("subscription").objects[details["subscription"]]
        if subscription["status"] not in ("active", "past_due") or invoice["id"] in known:
            continue
        if not _had_left(play, invoice, subscription):
            play.ledger.violated("every open failed invoice is a ghost", f"{invoice['id']} is not")


def _had_left(play: "Play", invoice: dict[str, Any], subscription: dict[str, Any]) -> bool:
    """Whether its customer had cancelled for the period's end before any hunt could find it: nobody is chased then."""
    if not subscription["cancel_at_period_end"]:
        return False
    if subscription["cancellation_details"]["reason"] != "cancellation_requested":
        return False
    looked = play.place.owner.execute(
        """select exists (select from hunts where state = 'done' and since is null and until is null
        and started_at > to_timestamp(%s) and finished_at < to_timestamp(%s))""",
        (invoice["status_transitions"]["finalized_at"], subscription["canceled_at"]),
    ).fetchone()
    return not (looked and looked[0])
