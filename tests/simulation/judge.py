"""The judge: what PHANTOM says and did, against what really happened."""

from collections import Counter
from collections.abc import Iterable
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from core import clock, db
from services.handshake.service import KEEP_HANDLED
from services.tasks import service as tasks
from services.tasks.service import MAX_DEATHS
from tests.simulation import billing, charging, forgetting, heard, letters, lives, merit, money, promptly, protection
from tests.support import recount

if TYPE_CHECKING:
    from tests.simulation.play import Play

TAKEN, IN_DOUBT = ("sent", "delivered", "bounced", "complained"), ("uncertain", "failed")
OPEN = ("open", "contacted", "clicked", "paused")


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
    money.is_right(play, ghosts, ledger_rows)
    money.nothing_missed(play, ghosts)
    money.who_stays_is_asked(play, ghosts)
    lives.at_the_end(play, ghosts)
    protection.at_the_end(play, ghosts, ledger_rows)
    merit.is_due(play, ghosts, ledger_rows)
    forgetting.at_the_end(play, ghosts)
    if play.scenario.is_billed:
        billing.at_the_end(play, ledger_rows)
    if play.scenario.has_team:
        play.team.at_the_end()
    charging.at_the_end(play)
    heard.at_the_end(play, ghosts)
    promptly.at_the_end(play, ghosts)
    _messages_agree(play, ghosts)
    letters.at_the_preferred_hour(play, _rows(play, "select * from messages where step > 1 order by id"))
    sums_agree(play, billed=False)


def sums_agree(play: "Play", *, billed: bool) -> None:
    """Every sum is what the rows it stands for add up to; `billed` while no row of what was billed is pruned."""
    for table, difference in recount.differences(play.merchant, billed=billed):
        play.ledger.violated(f"{table} equal a recount", difference)


def _rows(play: "Play", query: str) -> list[dict[str, Any]]:
    cursor = play.place.owner.execute(query.encode())
    names = [column.name for column in cursor.description or ()]
    return [dict(zip(names, row, strict=True)) for row in cursor]


def _queue_is_empty(play: "Play") -> None:
    for task in _rows(
        play, "select kind, key, state, attempts, deaths, last_error from scheduled_tasks where state <> 'done'"
    ):
        play.ledger.violated("no task is left", str(task))


def nothing_waits(play: "Play", longest: timedelta) -> None:
    """Asked now and then: no message has been on its way for so long, whatever went wrong meanwhile."""
    for task in _rows(
        play, "select key, created_at, last_error from scheduled_tasks where state = 'pending' order by id"
    ):
        if str(task["key"]).startswith("message:") and clock.now() - task["created_at"] > longest:
            play.ledger.violated("what is due is sent", str(task))


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


def _messages_agree(play: "Play", ghosts: list[dict[str, Any]]) -> None:
    """What PHANTOM calls sent was accepted, and what was accepted it calls sent or uncertain."""
    accepted = {mail.message_id for mail in play.ledger.mails}
    for message in _rows(play, "select id, ghost_id, step, state from messages order by id"):
        state, went = message["state"], message["id"] in accepted
        if (state in TAKEN and not went) or (went and state not in (*TAKEN, *IN_DOUBT)) or state == "sending":
            play.ledger.violated("messages are what the provider accepted", f"{message} accepted: {went}")
    per_ghost = Counter(mail.ghost_id for mail in play.ledger.mails if not mail.is_ahead)
    for ghost in ghosts:
        if ghost["messages_sent"] < per_ghost[ghost["id"]]:
            play.ledger.violated("messages are counted", f"{ghost['id']}: {per_ghost[ghost['id']]} were accepted")
