"""Many rows in one statement whose text is always the same.

SQLAlchemy's multi-row `values()` is compiled anew for each list, a parameter a cell: for a hunt's page of a hundred
ghosts that took longer than everything else together. Here all rows travel as one JSON parameter, so the statement
is compiled once by us and planned once by PostgreSQL.
"""

import functools
from collections.abc import Sequence
from typing import Any, cast

import orjson
from sqlalchemy import ColumnElement, CursorResult, TextClause, func, text
from sqlmodel import Session

Row = dict[str, Any]


def insert_rows(
    session: Session, table: str, rows: Sequence[Row], *, conflict: str = "", returning: str = ""
) -> CursorResult[Any] | None:
    """Insert `rows` (all with the same columns) into `table`; None when there are none.

    `conflict` is what follows `on conflict`, `returning` a column list; both, like the table and the rows' keys, are
    the program's own words. Values are what JSON can hold, times and dates included; texts without NUL.
    """
    if not rows:
        return None
    statement = _statement(table, tuple(rows[0]), conflict, returning)
    found = session.connection().execute(statement, {"rows": orjson.dumps(rows).decode()})
    assert isinstance(found, CursorResult)  # noqa: S101  # what a connection gives
    return found


def read(session: Session, statement: TextClause, **values: Any) -> CursorResult[*tuple[Any, ...]]:
    """The rows of a plain SQL text, with everything written that the session still holds back.

    For what is asked all the time: building a `select` out of columns takes three times as long as to ask it.
    """
    session.flush()
    found = session.connection().execute(statement, values)
    assert isinstance(found, CursorResult)  # noqa: S101  # what a connection gives
    return found


def is_one_of(column: Any, values: Sequence[str]) -> ColumnElement[bool]:
    """`column = any(values)`: one parameter, so that a statement is compiled and planned once whatever their number."""
    return cast(ColumnElement[bool], column == func.any(list(values)))


@functools.cache
def _statement(table: str, columns: tuple[str, ...], conflict: str, returning: str) -> TextClause:
    names = ", ".join(columns)
    return text(
        f"insert into {table} ({names}) select {names}"  # noqa: S608  # names of our own tables and columns
        f" from jsonb_populate_recordset(cast(null as {table}), cast(:rows as jsonb))"
        + (f" on conflict {conflict}" if conflict else "")
        + (f" returning {returning}" if returning else "")
    )
