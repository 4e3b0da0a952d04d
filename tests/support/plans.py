"""How PostgreSQL answers what a piece of the product asks: the very statements, under row-level security."""

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any
from unittest import mock

from sqlmodel import Session


@dataclass(frozen=True, slots=True)
class Node:
    """One step of a plan that reads a table."""

    kind: str  # "Index Only Scan", "Seq Scan", …
    table: str
    index: str
    heap_fetches: int
    rows: int  # given on
    removed: int  # read, and thrown away by a filter


@contextlib.contextmanager
def statements_of(session: Session) -> Iterator[list[tuple[str, Any]]]:
    """Each statement that the session's connection runs in the block, with its values."""
    asked: list[tuple[str, Any]] = []
    dialect = session.connection().dialect
    genuine = dialect.do_execute

    def note(cursor: Any, statement: str, parameters: Any, context: Any = None) -> None:
        asked.append((statement, parameters))
        genuine(cursor, statement, parameters, context)

    with mock.patch.object(dialect, "do_execute", note):
        yield asked


def reads_of(session: Session, action: Callable[[], object]) -> list[Node]:
    """Run `action`, then explain and analyse each SELECT it made; every step that read a table."""
    with statements_of(session) as asked:
        action()
    explained = [
        session.connection().exec_driver_sql("explain (analyze, format json) " + statement, parameters).scalar_one()
        for statement, parameters in asked
        if statement.lstrip().lower().startswith("select")
    ]
    return [node for (found,) in explained for node in _nodes(found["Plan"])]


def _nodes(plan: dict[str, Any]) -> Iterator[Node]:
    if "Relation Name" in plan:
        yield Node(
            plan["Node Type"],
            plan["Relation Name"],
            plan.get("Index Name", ""),
            plan.get("Heap Fetches", 0),
            int(plan["Actual Rows"]),
            plan.get("Rows Removed by Filter", 0),
        )
    for child in plan.get("Plans", ()):
        yield from _nodes(child)
