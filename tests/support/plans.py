"""How PostgreSQL answers what a piece of the product asks: the very statements, under row-level security."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from sqlalchemy import event
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


def reads_of(session: Session, action: Callable[[], object]) -> list[Node]:
    """Run `action`, then explain and analyse each SELECT it made; every step that read a table."""
    asked: list[tuple[str, Any]] = []

    def note(_c: Any, _cursor: Any, statement: str, parameters: Any, _context: Any, _many: bool) -> None:
        if statement.lstrip().lower().startswith("select"):
            asked.append((statement, parameters))

    connection = session.connection()
    event.listen(connection, "before_cursor_execute", note)
    try:
        action()
    finally:
        event.remove(connection, "before_cursor_execute", note)
    explained = [
        connection.exec_driver_sql("explain (analyze, format json) " + statement, parameters).scalar_one()
        for statement, parameters in asked
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
