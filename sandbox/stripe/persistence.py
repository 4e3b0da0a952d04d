"""The store in SQLite: what a request changed is committed before the request is answered.

WAL with `synchronous=NORMAL` survives SIGKILL of the process (pages are in the kernel), which is what a test
double has to survive; a power cut may lose the last moment.
"""

import sqlite3
from pathlib import Path

import orjson

from sandbox.stripe.store import Store

SCHEMA = """
create table if not exists objects (
    space text not null, kind text not null, id text not null, arrival integer not null, body blob not null, hidden blob,
    primary key (space, kind, id)
) without rowid;
create table if not exists meta (name text primary key, value text not null) without rowid;
"""


def _fragment_default(value: object) -> object:
    raise TypeError(f"{type(value).__name__} is not storable")


class Persistence:
    """Writes the store's dirty objects and loads them back. Used under the world's lock only."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._connection = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
        self._connection.execute("pragma journal_mode=wal")
        self._connection.execute("pragma synchronous=normal")
        self._connection.executescript(SCHEMA)

    def load(self, store: Store) -> dict[str, str]:
        """Fill the store; returns the meta values."""
        rows = self._connection.execute("select space, kind, arrival, body, hidden from objects order by arrival")
        for space, kind, arrival, body, hidden in rows:
            store.space(space).load(kind, orjson.loads(body), orjson.loads(hidden) if hidden else None, arrival)
        return dict(self._connection.execute("select name, value from meta").fetchall())

    def commit(self, store: Store, meta: dict[str, str]) -> None:
        """Write all that changed since the last commit, in one transaction."""
        changed, gone = [], []
        for space_key, kind, identifier in store.dirty:
            space = store.spaces[space_key]
            obj = space.table(kind).objects.get(identifier)
            if obj is None:
                gone.append((space_key, kind, identifier))
                continue
            hidden = space.hidden.get(identifier)
            body = orjson.dumps(obj, default=_fragment_default)
            extra = orjson.dumps(hidden, option=orjson.OPT_NON_STR_KEYS) if hidden else None
            changed.append((space_key, kind, identifier, space.table(kind).arrival(identifier), body, extra))
        run = self._connection
        run.execute("begin")
        run.executemany("insert or replace into objects values (?, ?, ?, ?, ?, ?)", changed)
        run.executemany("delete from objects where space = ? and kind = ? and id = ?", gone)
        run.executemany("insert or replace into meta values (?, ?)", list(meta.items()))
        run.execute("commit")
        store.dirty.clear()

    def close(self) -> None:
        """Close the file."""
        self._connection.close()
