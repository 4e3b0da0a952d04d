"""`/api/v1/consents`: record, list and take back consents, one by one or as a CSV file."""

from typing import Annotated, Any

from fastapi import APIRouter, Body, Depends, Query, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field

from core import db
from phantom_app.api.requests import read_body
from phantom_app.api.v1.callers import LONGEST_BODY, PROBLEMS, caller
from services.identity.api_keys import ApiCaller, ApiScope
from services.messaging import consents, consents_csv, consents_import
from services.messaging.consents import ConsentView
from services.messaging.consents_import import Imported

FILE_SECONDS = 120.0  # a large file on a slow line

router = APIRouter(prefix="/api/v1/consents", tags=["Consents"], max_body_size=LONGEST_BODY, responses=PROBLEMS)
Caller = Annotated[ApiCaller, Depends(caller)]


class ConsentIn(BaseModel):
    """What a program records."""

    model_config = ConfigDict(extra="forbid")

    channel: str = Field(max_length=16)
    address: str = Field(max_length=320)
    given_at: str = Field(max_length=40, description="ISO 8601, UTC where it names no zone; a day alone as in a file")
    state: str = Field(default="granted", max_length=16)
    customer_id: str = Field(default="", max_length=64)
    country: str = Field(default="", max_length=2)
    source: str = Field(default="", max_length=200)
    text_version: str = Field(default="", max_length=200)


@router.get("", summary="List consents")
def listing(
    who: Caller,
    limit: Annotated[int, Query(ge=1, le=consents.MOST)] = 50,
    cursor: Annotated[str, Query(max_length=100)] = "",
    customer_id: Annotated[str, Query(max_length=64, pattern=consents.CUSTOMER)] = "",
) -> dict[str, Any]:
    """The history, newest first; `next_cursor` continues it and is null at its end."""
    who.require(ApiScope.CONSENTS_READ)
    with db.tenant_session(who.merchant_id) as session:
        page = consents.page(session, who.merchant_id, limit=limit, cursor=cursor, customer_id=customer_id)
    return {"data": [_shown(each) for each in page.entries], "next_cursor": page.cursor or None}


@router.get("/{consent_id}", summary="Get a consent")
def one(who: Caller, consent_id: str) -> dict[str, Any]:
    """One entry; 404 for another merchant's."""
    who.require(ApiScope.CONSENTS_READ)
    with db.tenant_session(who.merchant_id) as session:
        return _shown(consents.get(session, who.merchant_id, consent_id))


@router.post("", summary="Record a consent", status_code=201)
def record(who: Caller, given: Annotated[ConsentIn, Body()]) -> JSONResponse:
    """201 with the new entry; 200 and `recorded: false` for a fact that is recorded already. Safe to repeat."""
    who.require(ApiScope.CONSENTS_WRITE)
    moment = consents_csv.moment(given.given_at, given.state)
    fields = given.model_dump(exclude={"given_at"})
    with db.tenant_session(who.merchant_id) as session:
        checked = consents.read(**fields, happened_at=moment)
        (new,) = consents.record(session, who.merchant_id, [checked], who.name)
        entry = _shown(consents.get(session, who.merchant_id, new)) if new else {}
    return JSONResponse({**entry, "recorded": new is not None}, 201 if new else 200, {"cache-control": "no-store"})


@router.delete("/{consent_id}", summary="Take a consent back")
def withdraw(who: Caller, consent_id: str) -> dict[str, Any]:
    """Take back what an entry granted; the answer is the entry that says so. The history itself stays."""
    who.require(ApiScope.CONSENTS_WRITE)
    with db.tenant_session(who.merchant_id) as session:
        return _shown(consents.withdraw(session, who.merchant_id, consent_id, who.name))


@router.post("/import", summary="Import consents", max_body_size=consents_csv.LONGEST_FILE)
async def import_file(request: Request, who: Caller) -> dict[str, Any]:
    """A CSV file as the body. Good rows are recorded together or, if that fails, not at all; bad ones are named."""
    who.require(ApiScope.CONSENTS_WRITE)
    raw = await read_body(request, consents_csv.LONGEST_FILE, FILE_SECONDS)
    done = await run_in_threadpool(import_sheet, who.merchant_id, raw, who.name)
    return {
        "recorded": done.recorded,
        "already_known": done.known,
        "rejected": done.rejected,
        "encoding": done.encoding,
        "errors": [{"line": row.line, "reason": row.reason} for row in done.bad],
    }


def import_sheet(merchant_id: str, raw: bytes, recorded_by: str) -> Imported:
    """Read a file, then record its good rows in one transaction. Raises `BadFileError`."""
    sheet = consents_csv.read_sheet(raw)
    with db.tenant_session(merchant_id) as session:
        return consents_import.record_sheet(session, merchant_id, sheet, recorded_by)


def _shown(view: ConsentView) -> dict[str, Any]:
    return {
        "id": view.id,
        "object": "consent",
        "customer_id": view.customer_id or None,
        "channel": view.channel.value,
        "state": view.state.value,
        "given_at": view.happened_at.isoformat(),
        "source": view.source,
        "text_version": view.text_version,
        "recorded_by": view.recorded_by,
        "recorded_at": view.recorded_at.isoformat(),
        "current": view.current,
    }
