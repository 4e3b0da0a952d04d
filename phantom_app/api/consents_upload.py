"""Importing consents on screen: a posted file, and a plain page that says what came of it."""

from html import escape

from fastapi import APIRouter, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import HTMLResponse
from starlette.datastructures import UploadFile

from core.errors import BadRequestError, NotAuthenticatedError, TooLargeError
from phantom_app import routes
from phantom_app.api import pages
from phantom_app.api.requests import principal_of, require_same_origin
from phantom_app.api.v1.consents import import_sheet
from services.identity.permissions import Permission
from services.messaging.consents_csv import LONGEST_FILE
from services.messaging.consents_import import Imported

SHOWN = 100
_AROUND = 16 * 1024  # what a form adds to its file
_BACK = pages.Way(routes.CONSENTS, "Back to Consents")

router = APIRouter(include_in_schema=False)


@router.post(routes.IMPORT_CONSENTS)
async def upload(request: Request) -> HTMLResponse:
    """A page with what was recorded and which lines were not. Raises for strangers (401), roles (403), other sites."""
    require_same_origin(request)
    who = await run_in_threadpool(principal_of, request)
    if who is None:
        raise NotAuthenticatedError
    who.require(Permission.SECRETS_MANAGE)
    announced = request.headers.get("content-length", "")
    if not announced.isdigit() or int(announced[:12]) > LONGEST_FILE + _AROUND:
        raise TooLargeError
    async with request.form(max_files=1, max_fields=5) as form:
        file = form.get("file")
        if not isinstance(file, UploadFile) or not file.filename:
            raise BadRequestError("Choose a file first.")
        raw = await file.read()
    return _page(await run_in_threadpool(import_sheet, who.merchant_id, raw, f"member:{who.user_id}"))


def _page(done: Imported) -> HTMLResponse:
    text = f"{done.recorded:,} recorded, {done.known:,} known before, {done.rejected:,} rows left out."
    lines = "".join(f"<p>Line {row.line}: {escape(row.reason)}</p>" for row in done.bad[:SHOWN])
    more = f"<p>And {done.rejected - SHOWN:,} more.</p>" if done.rejected > SHOWN else ""
    return pages.page("Consents imported", text, _BACK, form=lines + more)
