"""People are forgotten: at their wish at once, the others when their time is over; and nothing brings them back."""

from datetime import timedelta
from typing import TYPE_CHECKING, Any

from core import clock, db
from services.recovery import purge
from tests.simulation.ledger import Erasure
from tests.simulation.scenario import Customer

if TYPE_CHECKING:
    from tests.simulation.play import Play

# What PHANTOM keeps of a merchant's customers, each row as one text. Left out: webhooks as they came in, which go
# after thirty days.
KEPT = (
    "ghost_targets", "ghost_events", "messages", "manual_tasks", "link_tokens", "clicks", "presence",
    "payment_attempts", "recoveries", "system_logs", "audit_log", "usage_logs", "scheduled_tasks", "consents",
    "suppressions", "tombstones",
)  # fmt: skip
_PERSONAL = ("customer_email", "customer_name", "customer_phone", "customer_language", "card_last4")
_WORDS = ("recipient", "subject", "html", "plain", "reason", "unsubscribe_url")


def erase(play: "Play", customer: Customer, actor: str) -> None:
    """A customer asks the merchant to be forgotten, and somebody presses the button."""
    ledger = play.ledger

    def forget() -> None:
        with db.tenant_session(play.merchant) as session:
            purge.erase_customer(session, play.merchant, customer.id, clock.now(), actor_id=actor)

    came = play.machine.run("web", forget)
    known = ledger.erased.get(customer.id)
    if known is None or (came and not known.sure):
        ledger.erased[customer.id] = Erasure(clock.now(), ledger.trace.steps, came)
    ledger.trace.say(f"{customer.name} asked to be forgotten")


def at_the_end(play: "Play", ghosts: list[dict[str, Any]]) -> None:
    _in_time(play, ghosts)
    _emptied(play, ghosts)
    _stay_away(play, ghosts)
    sure = [play.by_id[name] for name, erasure in play.ledger.erased.items() if erasure.sure]
    if sure:
        _nowhere(play, sure)


def _in_time(play: "Play", ghosts: list[dict[str, Any]]) -> None:
    """Whose time was over when the seed's last purge began: a digest that waits for its Monday may come after it."""
    days = play.scenario.keeps_days
    late = clock.from_timestamp(play.last_purge_at) - timedelta(days=days)
    for ghost in ghosts:
        if days and ghost["found_at"] < late and ghost["purged_at"] is None:
            play.ledger.violated("people are forgotten in time", f"{ghost['id']}, found {ghost['found_at']}")


def _emptied(play: "Play", ghosts: list[dict[str, Any]]) -> None:
    purged = sorted(ghost["id"] for ghost in ghosts if ghost["purged_at"] is not None)
    play.ledger.came_of_it["forgotten"] += len(purged)
    for ghost in ghosts:
        if ghost["purged_at"] is not None and (left := [name for name in _PERSONAL if ghost[name]]):
            play.ledger.violated("nothing personal is left", f"{left} of {ghost['id']}")
    said = " or ".join(f"coalesce({name}, '') <> ''" for name in _WORDS)
    found = play.place.owner.execute(
        f"select id from messages where ghost_id = any(%s) and ({said}) order by id".encode(),  # noqa: S608  # ours
        (purged,),
    )
    for row in found.fetchall() if purged else ():
        play.ledger.violated("nothing personal is left", f"message {row[0]}")


def _stay_away(play: "Play", ghosts: list[dict[str, Any]]) -> None:
    for ghost in ghosts:
        erasure = play.ledger.erased.get(ghost["customer_id"] or "")
        if erasure is not None and erasure.sure and ghost["found_at"] > erasure.at:
            play.ledger.violated("who asked to be forgotten stays away", f"{ghost['id']} of {ghost['customer_id']}")


def _nowhere(play: "Play", customers: list[Customer]) -> None:
    """No table holds a name or an address of theirs."""
    words = [word for one in customers for word in (one.name, one.email, one.phone.removeprefix("+")) if word]
    looked = " union all ".join(
        f"select '{table}' from {table} t where t::text ~ %(words)s"  # noqa: S608  # ours
        for table in KEPT
    )
    found = play.place.owner.execute(looked.encode(), {"words": "|".join(words)}).fetchall()
    for table in sorted({row[0] for row in found}):
        play.ledger.violated("nothing personal is left", f"{table} holds one of {words}")
