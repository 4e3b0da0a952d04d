"""Recoveries as CSV for the signed-in merchant: streamed, filtered like the list, harmless in a spreadsheet."""

import csv
import io
from collections.abc import Iterator

from fastapi import APIRouter, Query, Request
from fastapi.responses import StreamingResponse

from core import clock, db
from core.errors import BadRequestError, NotAuthenticatedError
from core.money import Money
from models.ghost import GhostState, Strategy
from phantom_app.api.requests import principal_of
from services.audit import service as audit
from services.identity.permissions import Permission
from services.recovery import service as recovery
from services.recovery.schemas import GhostQuery, GhostRow

router = APIRouter(include_in_schema=False)

HEADER = (
    "id", "state", "customer", "customer_name", "customer_email", "amount", "currency", "strategy", "reason",
    "decline_code", "card", "found_at", "messages", "clicks", "recovered", "closed_at",
)  # fmt: skip
# A cell that begins so is a formula to a spreadsheet; customers choose their own names (OWASP "CSV Injection").
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


@router.get("/export/recoveries.csv")
def recoveries(
    request: Request,
    state: list[GhostState] = Query(default=[]),  # noqa: B008  # FastAPI reads defaults so
    strategy: list[Strategy] = Query(default=[]),  # noqa: B008
    search: str = Query(default="", max_length=200),
) -> StreamingResponse:
    """All ghosts the filters match. Raises for a stranger (401) and for a role that may not export (403)."""
    principal = principal_of(request)
    if principal is None:
        raise NotAuthenticatedError
    principal.require(Permission.EXPORTS_CREATE)
    if "\x00" in search:
        raise BadRequestError
    query = GhostQuery(states=tuple(state), strategies=tuple(strategy), search=search)
    with db.tenant_session(principal.merchant_id) as session:
        audit.record_audit(session, principal.merchant_id, "recoveries.exported", actor_id=principal.user_id)
    name = f"phantom-recoveries-{clock.now():%Y-%m-%d}.csv"
    return StreamingResponse(
        _lines(principal.merchant_id, query),
        media_type="text/csv; charset=utf-8",
        headers={"Content-Disposition": f'attachment; filename="{name}"', "Cache-Control": "no-store"},
    )


def _lines(merchant_id: str, query: GhostQuery) -> Iterator[str]:
    buffer = io.StringIO()
    writer = csv.writer(buffer)
    writer.writerow(HEADER)
    last = ""
    while rows := _page(merchant_id, query, last):
        writer.writerows([_harmless(str(value)) for value in _values(row)] for row in rows)
        last = rows[-1].id
        yield buffer.getvalue()
        buffer.seek(0)
        buffer.truncate()
    yield buffer.getvalue()


def _page(merchant_id: str, query: GhostQuery, before: str) -> tuple[GhostRow, ...]:
    """A transaction of its own: whoever downloads slowly must not hold one, nor its connection, meanwhile."""
    with db.tenant_session(merchant_id) as session:
        return recovery.export_ghosts(session, merchant_id, query, before)


def _values(row: GhostRow) -> tuple[object, ...]:
    closed = row.closed_at.isoformat() if row.closed_at else ""
    return (
        row.id,
        row.state,
        row.customer_id,
        row.customer_name,
        row.customer_email,
        Money(row.amount, row.currency).major,
        row.currency.upper(),
        row.strategy,
        row.strategy_reason,
        row.decline_code,
        f"{row.card_brand} {row.card_last4}".strip(),
        row.found_at.isoformat(),
        row.messages_sent,
        row.click_count,
        Money(row.recovered, row.currency).major,
        closed,
    )


def _harmless(text: str) -> str:
    return f"'{text}" if text.startswith(_FORMULA) else text
