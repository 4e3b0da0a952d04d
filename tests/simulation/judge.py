"""The judge: what PHANTOM says and did, against what really happened."""

from collections import Counter, defaultdict
from collections.abc import Iterable
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from core import clock, db
from services.handshake.service import KEEP_HANDLED
from services.tasks import service as tasks
from services.tasks.service import MAX_DEATHS
from tests.simulation import letters
from tests.simulation.ledger import Charge

if TYPE_CHECKING:
    from tests.simulation.play import Play

OPEN = ("open", "contacted", "clicked", "paused")
UNPAID = (*OPEN, "exhausted", "stopped", "lost")
NEARLY_A_DAY = timedelta(hours=23)  # a crash lets the same charge be made some minutes later
CARD_LIMIT = 20
# Stripe's list of what it does not execute, and what the bank or the customer has ended.
NEVER_AGAIN = frozenset(
    {
        *("incorrect_number", "lost_card", "pickup_card", "stolen_card", "revocation_of_authorization"),
        *("revocation_of_all_authorizations", "authentication_required", "highest_risk_level"),
        *("transaction_not_allowed", "expired_card", "do_not_try_again", "stop_payment_order", "fraudulent"),
    }
)


# -- how far it is ------------------------------------------------------------------------------------------------


def all_ended(play: "Play") -> bool:
    row = play.place.owner.execute("select exists (select from ghost_targets where state = any(%s))", (list(OPEN),))
    return not (row.fetchone() or (True,))[0]


def busy(play: "Play") -> bool:
    found = play.place.owner.execute(
        "select exists (select from scheduled_tasks where state in ('pending', 'running'))"
    ).fetchone()
    return bool(found and found[0])


# -- at the end ---------------------------------------------------------------------------------------------------


def at_the_end(play: "Play") -> None:
    """Everything that must hold once all is quiet."""
    ghosts = _rows(play, "select * from ghost_targets order by id")
    ledger_rows = _rows(play, "select * from recoveries order by id")
    _queue_is_empty(play)
    _events_are_handled(play)
    _ghosts_ended(play, ghosts)
    _money_is_right(play, ghosts, ledger_rows)
    _nothing_missed(play, ghosts)
    _charged_once(play)
    _messages_agree(play, ghosts)
    letters.at_the_preferred_hour(play, _rows(play, "select * from messages where step > 1 order by id"))
    _totals_agree(play, ghosts, ledger_rows)
    _days_agree(play, ghosts, ledger_rows)
    _shadow_is_carried_once(play, ghosts)


def _rows(play: "Play", query: str) -> list[dict[str, Any]]:
    cursor = play.place.owner.execute(query.encode())
    names = [column.name for column in cursor.description or ()]
    return [dict(zip(names, row, strict=True)) for row in cursor]


def _queue_is_empty(play: "Play") -> None:
    for task in _rows(
        play, "select kind, key, state, attempts, deaths, last_error from scheduled_tasks where state <> 'done'"
    ):
        play.ledger.violated("no task is left", str(task))


def replay_killed(play: "Play") -> None:
    """A person runs again what stands dead after three deaths of its process; each death must be one we caused."""
    for task in _rows(play, "select id, kind, deaths from scheduled_tasks where state = 'dead' order by id"):
        if task["deaths"] < MAX_DEATHS or sum(play.ledger.crashes.values()) < task["deaths"]:
            continue
        play.ledger.fault("dead_letter_replayed")
        play.ledger.trace.say(f"a person replays {task['kind']}")
        with db.system_session() as session:
            tasks.replay(session, task["id"])


def events_are_stored(play: "Play", events: Iterable[str]) -> None:
    """Asked when they are acknowledged: a 2xx for something that was not stored loses it."""
    wanted = sorted(set(events))
    found = play.place.owner.execute("select id from processed_events where id = any(%s)", (wanted,)).fetchall()
    for event in sorted(set(wanted) - {row[0] for row in found}):
        play.ledger.violated("every acknowledged event is stored", event)


def _events_are_handled(play: "Play") -> None:
    """Whatever was acknowledged; what was handled is forgotten after thirty days, never before."""
    stored = {row["id"]: row["handled_at"] for row in _rows(play, "select id, handled_at from processed_events")}
    forgotten = clock.now() - KEEP_HANDLED
    for event, at in sorted(play.ledger.acknowledged.items()):
        if stored.get(event) is None and (event in stored or at >= forgotten):
            play.ledger.violated("every acknowledged event is handled", event)


def _ghosts_ended(play: "Play", ghosts: list[dict[str, Any]]) -> None:
    for ghost in ghosts:
        if ghost["state"] in OPEN:
            play.ledger.violated(
                "every ghost ends", f"{ghost['id']} is {ghost['state']}: {ghost['next_action_reason']}"
            )


def _money_is_right(play: "Play", ghosts: list[dict[str, Any]], rows: list[dict[str, Any]]) -> None:
    recovered = {row["ghost_id"]: row for row in rows if row["kind"] == "recovered"}
    kinds, went_back = Counter(row["kind"] for row in rows), Counter[str]()
    for row in rows:
        if row["kind"] == "reversed":  # one for each refund, and none of nothing
            went_back[row["ghost_id"]] -= row["amount_cents"]
    if len(recovered) + kinds["reversed"] != len(rows):
        play.ledger.violated("one recovery an invoice at most", str(kinds))
    if any(row["amount_cents"] >= 0 for row in rows if row["kind"] == "reversed"):
        play.ledger.violated("what goes back is taken off", str(kinds))
    for ghost in ghosts:
        invoice = play.space.table("invoice").objects[ghost["invoice_id"]]
        mine, back = recovered.get(ghost["id"]), went_back[ghost["id"]]
        collected = invoice["amount_paid"] if invoice["status"] == "paid" else 0
        if (mine["amount_cents"] if mine else 0) != collected:
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
            "paid": "reversed" if taken and taken == collected else "recovered",
            "void": "lost",
            "uncollectible": "lost",
        }
        wanted = expected.get(invoice["status"])
        if wanted and ghost["state"] != wanted:
            play.ledger.violated(
                "a ghost is what its invoice is", f"{ghost['id']} is {ghost['state']}, its invoice {invoice['status']}"
            )


def _taken_back(play: "Play", invoice: dict[str, Any]) -> int:
    """What refunds and lost disputes took from a paid invoice, never more than it brought."""
    taken = paid = 0
    for charge in play.charges_of(invoice["id"]):
        if charge["status"] == "succeeded":
            disputes = play.space.table("dispute").where("charge", charge["id"])
            lost = sum(one["amount"] for one in disputes if one["status"] == "lost")
            paid += charge["amount"]
            taken += charge["amount_refunded"] + lost
    return min(taken, paid)


def _nothing_missed(play: "Play", ghosts: list[dict[str, Any]]) -> None:
    known = {ghost["invoice_id"] for ghost in ghosts}
    for invoice in play.space.table("invoice").where("status", "open"):
        details = (invoice["parent"] or {}).get("subscription_details")
        if not details or invoice["billing_reason"] != "subscription_cycle" or not invoice["attempt_count"]:
            continue
        status = play.space.table("subscription").objects[details["subscription"]]["status"]
        if status in ("active", "past_due") and invoice["id"] not in known:
            play.ledger.violated("every open failed invoice is a ghost", f"{invoice['id']} is not")


def _charged_once(play: "Play") -> None:
    approved = Counter(one.invoice for one in play.ledger.charges if one.approved)
    for invoice, times in approved.items():
        if times > 1:
            play.ledger.violated("no invoice is charged twice", f"{invoice} was, {times} times")
    by_card: dict[str, list[Charge]] = defaultdict(list)
    for one in play.ledger.charges:
        if one.source != "customer":
            by_card[one.method].append(one)
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
    if same[-1].code in NEVER_AGAIN:
        play.ledger.violated("no card is charged again after such a decline", f"{method} after {same[-1].code}")
    after = [each for each in made[index + 1 :] if each.invoice == one.invoice][:1]
    if one.at - same[-1].at < NEARLY_A_DAY or any(each.at - one.at < NEARLY_A_DAY for each in after):
        play.ledger.violated("own retries keep a day from every other attempt", f"{method} at {one.at:%d %H:%M}")


def _messages_agree(play: "Play", ghosts: list[dict[str, Any]]) -> None:
    """What PHANTOM calls sent was accepted, and what was accepted it calls sent or uncertain."""
    accepted = {mail.message_id for mail in play.ledger.mails}
    for message in _rows(play, "select id, ghost_id, step, state from messages order by id"):
        state, went = message["state"], message["id"] in accepted
        if (state == "sent" and not went) or (went and state not in ("sent", "uncertain")) or state == "sending":
            play.ledger.violated("messages are what the provider accepted", f"{message} accepted: {went}")
    per_ghost = Counter(mail.ghost_id for mail in play.ledger.mails)
    for ghost in ghosts:
        if ghost["messages_sent"] < per_ghost[ghost["id"]]:
            play.ledger.violated("messages are counted", f"{ghost['id']}: {per_ghost[ghost['id']]} were accepted")


def _totals_agree(play: "Play", ghosts: list[dict[str, Any]], rows: list[dict[str, Any]]) -> None:
    wanted: dict[str, Counter[str]] = defaultdict(Counter)
    for ghost in ghosts:
        sums = wanted[ghost["currency"]]
        sums["leakage_cents"] += ghost["amount_cents"] if ghost["state"] in UNPAID else 0
        sums["shadow_leakage_cents"] += ghost["shadow_cents"]
        sums["open_ghosts"] += ghost["state"] in OPEN
    for row in rows:
        wanted[row["currency"]]["recovered_cents"] += row["amount_cents"]
    names = ("leakage_cents", "shadow_leakage_cents", "open_ghosts", "recovered_cents")
    found = _sums(play, "merchant_totals", ("currency",), names)
    _compare(play, "merchant_totals equal a recount", {(key,): value for key, value in wanted.items()}, found, names)


def _days_agree(play: "Play", ghosts: list[dict[str, Any]], rows: list[dict[str, Any]]) -> None:
    wanted: dict[tuple[Any, ...], Counter[str]] = defaultdict(Counter)
    by_id = {ghost["id"]: ghost for ghost in ghosts}
    for ghost in ghosts:
        sums = wanted[ghost["found_on"], ghost["currency"]]
        sums["found_count"] += 1
        sums["found_cents"] += ghost["found_cents"]
        sums["cohort_messaged_count"] += ghost["messages_sent"] > 0
        sums["cohort_clicked_count"] += ghost["click_count"] > 0
    for row in rows:
        sums, sign = wanted[row["occurred_at"].date(), row["currency"]], 1 if row["kind"] == "recovered" else -1
        kind = row["kind"]
        sums[f"{kind}_count"] += 1
        sums[f"{kind}_cents"] += sign * row["amount_cents"]
        cohort = wanted[by_id[row["ghost_id"]]["found_on"], row["currency"]]
        cohort[f"cohort_{kind}_cents"] += sign * row["amount_cents"]
        cohort["cohort_recovered_count"] += kind == "recovered"
    for message in _rows(play, "select * from messages where state in ('sent', 'uncertain') order by id"):
        at = message["sent_at"] or message["intent_at"]
        wanted[at.date(), by_id[message["ghost_id"]]["currency"]]["messages_count"] += 1
    for click in _rows(play, "select * from clicks order by id"):
        wanted[click["confirmed_at"].date(), by_id[click["ghost_id"]]["currency"]]["clicks_count"] += 1
    names = (
        "found_count", "found_cents", "recovered_count", "recovered_cents", "reversed_count", "reversed_cents",
        "messages_count", "clicks_count", "cohort_messaged_count", "cohort_clicked_count", "cohort_recovered_count",
        "cohort_recovered_cents", "cohort_reversed_cents",
    )  # fmt: skip
    _compare(
        play, "daily_metrics equal a recount", wanted, _sums(play, "daily_metrics", ("day", "currency"), names), names
    )


def _sums(
    play: "Play", table: str, keys: tuple[str, ...], names: tuple[str, ...]
) -> dict[tuple[Any, ...], Counter[str]]:
    """By key; whatever else a table is split by is added up."""
    columns = ", ".join(f"sum({name})::bigint as {name}" for name in names)
    grouped = ", ".join(keys)
    found = _rows(play, f"select {grouped}, {columns} from {table} group by {grouped}")  # noqa: S608  # names from here
    return {tuple(row[key] for key in keys): Counter({name: row[name] for name in names}) for row in found}


def _compare(
    play: "Play",
    invariant: str,
    wanted: dict[tuple[Any, ...], Counter[str]],
    found: dict[tuple[Any, ...], Counter[str]],
    names: tuple[str, ...],
) -> None:
    for key in sorted({*wanted, *found}, key=str):
        for name in names:
            should, is_ = wanted.get(key, Counter())[name], found.get(key, Counter())[name]
            if should != is_:
                play.ledger.violated(invariant, f"{'/'.join(map(str, key))} {name} should be {should} and is {is_}")


def _shadow_is_carried_once(play: "Play", ghosts: list[dict[str, Any]]) -> None:
    carriers: Counter[str] = Counter()
    carrying: set[str] = set()
    for ghost in ghosts:
        if ghost["subscription_id"] and ghost["state"] in (*OPEN, "exhausted"):
            carrying.add(ghost["subscription_id"])
        carriers[ghost["subscription_id"]] += ghost["shadow_cents"] > 0
    for subscription in sorted({*carriers, *carrying}, key=str):
        if carriers[subscription] != (subscription in carrying):
            play.ledger.violated(
                "a subscription's shadow is carried once", f"{subscription} by {carriers[subscription]} ghosts"
            )
