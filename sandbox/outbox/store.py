"""What was accepted, in SQLite: one file beside the Stripe store, or memory only.

The file is the truth, nothing is kept twice, so a mail that was acknowledged is there after a SIGKILL. It never
shrinks: a demo's year of mail is a few ten thousand rows.
"""

import contextlib
import sqlite3
import threading
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson

from core import clock

if TYPE_CHECKING:
    from sandbox.stripe.world import World

Json = dict[str, Any]
KEPT_SECONDS = 86_400  # Resend keeps idempotency keys for a day
MOST = 1000  # rows in one answer
COLUMNS = "id, channel, team, created, sender, subject, status, body"

SCHEMA = """
create table if not exists message (
    seq integer primary key, id text not null unique, channel text not null, team text not null,
    created real not null, sender text not null, subject text not null, status text not null, body blob not null
);
create index if not exists message_created on message (created);
create table if not exists recipient (seq integer not null, address text not null, primary key (address, seq))
    without rowid;
create table if not exists event (
    seq integer primary key, id text not null unique, message text not null, type text not null,
    created real not null, body blob not null
);
create index if not exists event_message on event (message, seq);
create table if not exists delivery (
    seq integer primary key, id text not null unique, due real not null, body blob not null
);
create index if not exists delivery_due on delivery (due, seq);
create table if not exists idempotency (
    team text not null, key text not null, created real not null, print text not null, answer blob not null,
    primary key (team, key)
) without rowid;
create index if not exists idempotency_created on idempotency (created);
create table if not exists setting (name text primary key, value blob not null) without rowid;
"""


@dataclass(frozen=True)
class Message:
    """One accepted mail or text. `body` is what the vendor was given: html, text, headers, tags and so on."""

    id: str
    channel: str  # email | sms
    created: float  # Unix seconds on the sandbox's clock
    sender: str
    to: list[str]
    subject: str  # empty for a text
    status: str  # the last event: sent, delivered, bounced, complained ...
    body: Json = field(repr=False)

    @property
    def tags(self) -> dict[str, str]:
        """A mail's tags by name."""
        return {tag["name"]: tag["value"] for tag in self.body.get("tags") or []}

    def as_json(self, *, whole: bool = True) -> Json:
        """For the control endpoints; not whole: without the contents."""
        shown: Json = {
            "id": self.id,
            "channel": self.channel,
            "created": self.created,
            "created_at": iso(self.created),
            "from": self.sender,
            "to": self.to,
            "subject": self.subject,
            "status": self.status,
            "tags": self.tags,
        }
        return shown | {"body": self.body} if whole else shown


def iso(moment: float) -> str:
    """`2026-01-15T12:00:00.000Z`"""
    return datetime.fromtimestamp(moment, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def bare(address: str) -> str:
    """`Ada <Ada@Example.com>` -> `ada@example.com`: what recipients are found by."""
    inner = address.rpartition("<")[2].rpartition(">")[0] if address.endswith(">") else address
    return inner.strip().lower()


class Outbox:
    """All that was accepted. Every method may be called from any thread, and commits."""

    def __init__(self, path: Path | None = None) -> None:
        if path:
            path.parent.mkdir(parents=True, exist_ok=True)
        self.lock = threading.RLock()
        self._connection = sqlite3.connect(path or ":memory:", check_same_thread=False, isolation_level=None)
        self._connection.execute("pragma journal_mode=wal")
        self._connection.execute("pragma synchronous=normal")
        self._connection.executescript(SCHEMA)

    def close(self) -> None:
        """Close the file."""
        with self.lock:
            self._connection.close()

    @contextlib.contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """Several writes as one, or none after an error; nests."""
        with self.lock:
            if self._connection.in_transaction:
                yield self._connection
                return
            self._connection.execute("begin immediate")
            try:
                yield self._connection
            except BaseException:
                self._connection.execute("rollback")
                raise
            self._connection.execute("commit")

    # -- messages -----------------------------------------------------------------------------------------------

    def add(self, channel: str, team: str, body: Json, *, sender: str, to: list[str], subject: str = "") -> Message:
        """Accept a message."""
        identifier = str(uuid.uuid4()) if channel == "email" else f"SM{uuid.uuid4().hex}"
        made = Message(identifier, channel, clock.now().timestamp(), sender, to, subject, "queued", body)
        with self.transaction() as run:
            raw = orjson.dumps(body | {"to": to})
            given = (identifier, channel, team, made.created, sender, subject, made.status, raw)
            seq = run.execute(f"insert into message ({COLUMNS}) values (?,?,?,?,?,?,?,?)", given).lastrowid  # noqa: S608
            rows = {(seq, bare(one)) for one in [*to, *(body.get("cc") or []), *(body.get("bcc") or [])]}
            run.executemany("insert into recipient (seq, address) values (?, ?)", sorted(rows))
        return made

    def get(self, identifier: str, *, team: str | None = None) -> Message | None:
        """One message; with `team` only when that team sent it."""
        query = "select * from message where id = ? and (? is null or team = ?)"
        rows = self._read(query, (identifier, team, team))
        return _message(rows[0]) if rows else None

    def messages(
        self,
        *,
        to: str | None = None,
        since: float | None = None,
        channel: str | None = None,
        team: str | None = None,
        before: str | None = None,
        limit: int = 100,
    ) -> list[Message]:
        """Newest first. `to` is an address (or number), `since` inclusive Unix seconds, `before` a message's id."""
        clauses, given = ["1"], list[Any]()
        if to is not None:
            clauses.append("seq in (select seq from recipient where address = ?)")
            given.append(bare(to))
        if since is not None:
            clauses.append("created >= ?")
            given.append(since)
        for name, wanted in (("channel", channel), ("team", team)):
            if wanted is not None:
                clauses.append(f"{name} = ?")
                given.append(wanted)
        if before is not None:
            clauses.append("seq < (select seq from message where id = ?)")
            given.append(before)
        query = f"select * from message where {' and '.join(clauses)} order by seq desc limit ?"  # noqa: S608 - fixed clauses
        return [_message(row) for row in self._read(query, (*given, max(1, min(limit, MOST))))]

    def count(self) -> int:
        """How many messages there are."""
        return int(self._read("select count(*) from message")[0][0])

    def clear(self) -> None:
        """Forget every message, event, delivery and idempotency key; settings stay."""
        with self.transaction() as run:
            for table in ("message", "recipient", "event", "delivery", "idempotency"):
                run.execute(f"delete from {table}")  # noqa: S608 - fixed names

    # -- events and deliveries ----------------------------------------------------------------------------------

    def add_event(self, message: str, kind: str, body: Json, *, status: str | None = None) -> str:
        """Record that something happened to a message; its id."""
        identifier = f"msg_{uuid.uuid4().hex[:27]}"
        with self.transaction() as run:
            run.execute(
                "insert into event (id, message, type, created, body) values (?,?,?,?,?)",
                (identifier, message, kind, clock.now().timestamp(), orjson.dumps(body)),
            )
            if status:
                run.execute("update message set status = ? where id = ?", (status, message))
        return identifier

    def events(self, message: str) -> list[Json]:
        """What happened to a message, oldest first: `{"id", "type", "created", "body"}`."""
        rows = self._read("select id, type, created, body from event where message = ? order by seq", (message,))
        return [{"id": row[0], "type": row[1], "created": row[2], "body": orjson.loads(row[3])} for row in rows]

    def put_delivery(self, identifier: str, due: float, body: Json) -> None:
        """Queue, or queue anew, something to be posted."""
        with self.transaction() as run:
            row = (identifier, due, orjson.dumps(body))
            run.execute("insert or replace into delivery (id, due, body) values (?,?,?)", row)

    def drop_delivery(self, identifier: str) -> None:
        """It was taken, or given up."""
        with self.transaction() as run:
            run.execute("delete from delivery where id = ?", (identifier,))

    def deliveries(self, *, due: float | None = None) -> list[Json]:
        """What waits to be posted, oldest due first: the bodies with `id` and `due`."""
        query = "select id, due, body from delivery where due <= ? order by due, seq"
        rows = self._read(query, (float("inf") if due is None else due,))
        return [{"id": row[0], "due": row[1]} | orjson.loads(row[2]) for row in rows]

    # -- idempotency and settings -------------------------------------------------------------------------------

    def kept_answer(self, team: str, key: str) -> tuple[str, Json] | None:
        """The request's print and the answer kept under a key that is still good."""
        horizon = clock.now().timestamp() - KEPT_SECONDS
        query = "select print, answer from idempotency where team = ? and key = ? and created > ?"
        rows = self._read(query, (team, key, horizon))
        return (rows[0][0], orjson.loads(rows[0][1])) if rows else None

    def keep_answer(self, team: str, key: str, print_: str, answer: Json) -> None:
        """Keep an answer for a day, and forget those whose day is over."""
        now = clock.now().timestamp()
        with self.transaction() as run:
            run.execute("delete from idempotency where created <= ?", (now - KEPT_SECONDS,))
            run.execute(
                "insert or replace into idempotency values (?,?,?,?,?)", (team, key, now, print_, orjson.dumps(answer))
            )

    def setting(self, name: str, default: Any = None) -> Any:
        """A persisted setting."""
        rows = self._read("select value from setting where name = ?", (name,))
        return orjson.loads(rows[0][0]) if rows else default

    def set(self, name: str, value: Any) -> None:
        """Persist a setting."""
        with self.transaction() as run:
            run.execute("insert or replace into setting values (?,?)", (name, orjson.dumps(value)))

    def _read(self, query: str, given: tuple[Any, ...] = ()) -> list[Any]:
        with self.lock:
            return self._connection.execute(query, given).fetchall()


def _message(row: Any) -> Message:
    _, identifier, channel, _, created, sender, subject, status, raw = row
    body = orjson.loads(raw)
    return Message(identifier, channel, created, sender, body["to"], subject, status, body)


def outbox_of(world: "World") -> Outbox:
    """The world's outbox, opened when first asked for and closed with the world."""
    found: Outbox | None = world.beside.get("outbox")
    if found is None:
        folder = world.settings.data
        found = world.beside["outbox"] = Outbox(folder / "outbox.sqlite3" if folder else None)
        world.on_close.append(found.close)
    return found
