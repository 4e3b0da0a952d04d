"""The store in SQLite: what a request changed is committed before the request is answered.

WAL with `synchronous=OFF` survives SIGKILL of the process (the pages are in the kernel), which is what a test
double has to survive; a power cut may cost the file. An object's arrival number is its row id, so that saving it
again replaces one row in place.
"""

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import orjson

from sandbox.stripe.store import Store

SCHEMA = """
create table if not exists objects (
    arrival integer primary key, space text not null, kind text not null, body blob not null, hidden blob
);
create table if not exists meta (name text primary key, value text not null) without rowid;
"""


class Persistence:
    """Writes the store's dirty objects and loads them back. Used under the world's lock only."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._connection = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
        self._connection.execute("pragma journal_mode=wal")
        self._connection.execute("pragma synchronous=off")
        self._connection.executescript(SCHEMA)

    def load(self, store: Store) -> dict[str, str]:
        """Fill the store; returns the meta values."""
        rows = self._connection.execute("select space, kind, arrival, body, hidden from objects order by arrival")
        for space, kind, arrival, body, hidden in rows:
            store.space(space).load(kind, orjson.loads(body), orjson.loads(hidden) if hidden else None, arrival)
        return dict(self._connection.execute("select name, value from meta").fetchall())

    def commit(self, store: Store, meta: dict[str, str]) -> None:
        """Write all that changed since the last commit, in one transaction."""
        run = self._connection
        run.execute("begin")
        run.executemany("insert or replace into objects values (?, ?, ?, ?, ?)", self._rows(store))
        run.executemany("delete from objects where arrival = ?", ((arrival,) for arrival in store.gone))
        run.executemany("insert or replace into meta values (?, ?)", list(meta.items()))
        run.execute("commit")
        store.dirty.clear()
        store.gone.clear()

    @staticmethod
    def _rows(store: Store) -> Iterator[tuple[int, str, str, bytes, bytes | None]]:
        """One row per changed object, made as SQLite asks for it: a seed changes a hundred thousand at once."""
        for space_key, kind, identifier in store.dirty:
            space = store.spaces[space_key]
            table = space.table(kind)
            obj = table.objects.get(identifier)
            if obj is not None:
                hidden = space.hidden.get(identifier)
                extra = orjson.dumps(hidden) if hidden else None
                yield table.arrival(identifier), space_key, kind, orjson.dumps(obj), extra

    def close(self) -> None:
        """Close the file."""
        self._connection.close()
