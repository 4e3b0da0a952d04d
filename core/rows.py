"""Statements that are sent all the time, past most of SQLAlchemy's machinery.

An engine sends the same few statements over and over, and most of what each cost was to get it sent: building it,
looking up its compiled form, setting up a result and a loader that could do anything. Here a statement is compiled once
in its life, and the driver runs it on the session's own connection, in its transaction. What comes back is the rows,
or entities of the session as its own queries give them; errors are SQLAlchemy's.

Many rows travel as one JSON parameter, so their statement is always the same: SQLAlchemy's multi-row `values()` is
compiled anew for each list, a parameter a cell.
"""

import functools
from collections import namedtuple
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple, TypeVar, cast

import orjson
import psycopg
from psycopg.pq import TransactionStatus
from sqlalchemy import ColumnElement, Connection, Dialect, SelectBase, TextClause, func, inspect, text
from sqlalchemy.dialects.postgresql.psycopg import PGDialect_psycopg
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Mapper, make_transient_to_detached
from sqlalchemy.orm.attributes import set_committed_value
from sqlalchemy.types import TypeEngine
from sqlmodel import Session
from sqlmodel.sql.expression import SelectOfScalar

Row = dict[str, Any]
Entity = TypeVar("Entity")
_CURSORS = "cursors"  # in a connection's `info`
_KEPT_ROWS = 100
_DIALECT: Dialect = PGDialect_psycopg()  # type: ignore[no-untyped-call]
_MISSING = object()
_FLOAT = 701  # PostgreSQL's number of the type; processors of numbers ask which one comes


class Found(Sequence[Any]):
    """All rows of a statement, named tuples each; the methods are named as those of SQLAlchemy's results."""

    __slots__ = ("_rows", "rowcount")

    def __init__(self, rows: list[Any], rowcount: int) -> None:
        self._rows, self.rowcount = rows, rowcount

    def __len__(self) -> int:
        return len(self._rows)

    def __iter__(self) -> Iterator[Any]:
        return iter(self._rows)

    def __getitem__(self, index: Any) -> Any:
        return self._rows[index]

    def all(self) -> list[Any]:
        return self._rows

    def first(self) -> Any:
        """The first row, None where there is none."""
        return self._rows[0] if self._rows else None

    def one(self) -> Any:
        (row,) = self._rows
        return row

    def one_or_none(self) -> Any:
        return self.one() if self._rows else None

    def scalars(self) -> list[Any]:
        """The first column."""
        return [row[0] for row in self._rows]

    def scalar(self) -> Any:
        """The first column of the first row, None where there is none."""
        return self._rows[0][0] if self._rows else None


def run_plain(connection: Connection, words: str) -> None:
    """Run a text without values, of one statement or several, as it is."""
    driver = cast("psycopg.Connection[Any]", connection.connection.dbapi_connection)
    _execute(connection, driver, driver.cursor(), words, None)


class _Sent(NamedTuple):
    """A statement as the driver takes it, and the values that stand in it already."""

    text: str
    values: Mapping[str, Any]


def read(session: Session, statement: TextClause | SelectBase, **values: Any) -> Found:
    """Run a statement, with everything written that the session still holds back; all its rows.

    The statement is built once, for it is remembered for ever: what changes goes into `values`.
    """
    session.flush()
    return _run(session.connection(), statement, values)


def entities(session: Session, statement: SelectOfScalar[Entity], **values: Any) -> list[Entity]:
    """What a `select` of one entity finds, as objects of the session; those it knows already are brought up to date.

    As with `read`, the statement is built once.
    """
    found = read(session, statement, **values)
    mapper = _mapper_of(statement)
    return [_object(session, mapper, row) for row in found]


def entity(session: Session, statement: SelectOfScalar[Entity], **values: Any) -> Entity | None:
    """The first of the `entities` found, None where there is none."""
    found = entities(session, statement, **values)
    return found[0] if found else None


def insert_rows(
    session: Session, table: str, rows: Sequence[Row], *, conflict: str = "", returning: str = ""
) -> Found | None:
    """Insert `rows` (all with the same columns) into `table`; None when there are none.

    `conflict` is what follows `on conflict`, `returning` a column list; both, like the table and the rows' keys, are
    the program's own words. Values are what JSON can hold, times and dates included; texts without NUL.
    """
    if not rows:
        return None
    statement = _insert_statement(table, tuple(rows[0]), conflict, returning)
    return _run(session.connection(), statement, {"rows": orjson.dumps(rows).decode()})


def is_one_of(column: Any, values: Sequence[str]) -> ColumnElement[bool]:
    """`column = any(values)`: one parameter, so that a statement is compiled and planned once whatever their number."""
    return cast(ColumnElement[bool], column == func.any(list(values)))


def _run(connection: Connection, statement: TextClause | SelectBase, values: Mapping[str, Any]) -> Found:
    driver = cast("psycopg.Connection[Any]", connection.connection.dbapi_connection)
    sent, known = _sent(statement)
    cursors = connection.info.setdefault(_CURSORS, {})
    # The driver remembers with a cursor how the values of its last statement are sent and read.
    cursor, made = cursors.pop(sent, None) or (driver.cursor(), None)
    _execute(connection, driver, cursor, sent, {**known, **values})
    made = made or _row_of(cursor)
    rows = list(map(made, cursor.fetchall())) if made is not _nothing else []
    if len(rows) <= _KEPT_ROWS:  # it keeps its result, too
        cursors[sent] = cursor, made
    return Found(rows, cursor.rowcount)


def _execute(
    connection: Connection,
    driver: "psycopg.Connection[Any]",
    cursor: Any,
    sent: str,
    values: Mapping[str, Any] | None,
) -> None:
    """Have the driver run it; its errors become SQLAlchemy's."""
    dialect = connection.dialect
    try:
        if values is None:
            dialect.do_execute_no_params(cursor, sent)
        else:
            dialect.do_execute(cursor, sent, values)
    except BaseException as error:
        if driver.closed or driver.info.transaction_status is TransactionStatus.ACTIVE:
            connection.invalidate(error)  # lost, or left in the middle of a statement: nobody shall get it again
        if isinstance(error, psycopg.Error):
            raise DBAPIError.instance(
                sent, None, error, psycopg.Error, hide_parameters=True, connection_invalidated=driver.closed
            ) from error
        raise


def _row_of(cursor: "psycopg.Cursor[Any]") -> Callable[[Any], Any]:
    """What makes a row of a statement's values."""
    if cursor.description is None:
        return _nothing
    names = tuple(column.name for column in cursor.description)
    row: Any = namedtuple("Row", names, rename=True)  # type: ignore[misc]  # names that the database gives
    made: Callable[[Any], Any] = row._make
    return made


def _nothing(_row: Any) -> None:
    """What makes a row of a statement that has none."""


@functools.cache
def _sent(statement: TextClause | SelectBase) -> _Sent:
    compiled = statement.compile(dialect=_DIALECT)
    binds = compiled.binds.values()
    if odd := [bind.key for bind in binds if _is_made_ready(getattr(bind.type, "item_type", bind.type))]:
        raise TypeError(f"the driver does not take {odd} as they are")
    asked = dict.fromkeys(bind.key for bind in binds if bind.required)
    whole = compiled.construct_expanded_state(asked)
    return _Sent(whole.statement, {name: value for name, value in whole.parameters.items() if name not in asked})


@functools.cache
def _mapper_of(statement: SelectOfScalar[Any]) -> Mapper[Any]:
    mapper: Mapper[Any] = inspect(statement.column_descriptions[0]["entity"])
    kinds = {column.key: column.type.dialect_impl(_DIALECT) for column in mapper.columns}
    if odd := [name for name, kind in kinds.items() if kind.result_processor(_DIALECT, _FLOAT)]:
        raise TypeError(f"the driver does not give {odd} as they are")
    return mapper


def _is_made_ready(kind: TypeEngine[Any]) -> bool:
    """Whether SQLAlchemy changes values of this type before they are sent."""
    return kind.dialect_impl(_DIALECT).bind_processor(_DIALECT) is not None


def _object(session: Session, mapper: Mapper[Any], row: Any) -> Any:
    """The session's object of this row."""
    values = row._asdict()
    key = mapper.identity_key_from_primary_key(tuple(values[column.key] for column in mapper.primary_key))
    known = session.identity_map.get(key)
    if known is None:
        made = mapper.class_manager.new_instance()
        vars(made).update(values)
        make_transient_to_detached(made)
        session.add(made)
        return made
    held = vars(known)
    for name, value in values.items():
        if held.get(name, _MISSING) != value:
            set_committed_value(known, name, value)
    return known


@functools.cache
def _insert_statement(table: str, columns: tuple[str, ...], conflict: str, returning: str) -> TextClause:
    names = ", ".join(columns)
    return text(
        f"insert into {table} ({names}) select {names}"  # noqa: S608  # names of our own tables and columns
        f" from jsonb_populate_recordset(cast(null as {table}), cast(:rows as jsonb))"
        + (f" on conflict {conflict}" if conflict else "")
        + (f" returning {returning}" if returning else "")
    )
