"""Errors as RFC 9457 problem details for programs, and as a calm page for people; one place for both."""

import http
import logging
from collections.abc import Mapping
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from sqlalchemy.exc import OperationalError
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from core.errors import BadRequestError, PhantomError, TooLargeError, UnavailableError
from core.logging import correlation_id
from phantom_app.api import pages
from phantom_app.api.requests import wants_json
from services.identity.api_keys import BadApiKeyError
from services.merchants.errors import ConnectError, NotSetUpError, SignInFirstError, StateUsedError

log = logging.getLogger(__name__)

PROBLEM = "application/problem+json"
TITLES = {404: "There is nothing here", 405: "This address does not take that", 413: TooLargeError.title}


def problem(status: int, code: str, title: str, detail: str = "", **more: Any) -> dict[str, Any]:
    """The body of a problem: `type` is a stable name, `detail` for a person, `request_id` finds it in the logs.

    The hot path writes no line a delivery, so nothing is to be found and its problems have no `request_id`.
    """
    body = {"type": f"urn:phantom:problem:{code}", "title": title, "status": status, "code": code}
    if detail and detail != title:
        body["detail"] = detail
    if request_id := correlation_id():
        body["request_id"] = request_id
    return {**body, **more}


def problem_response(body: Mapping[str, Any], headers: Mapping[str, str] | None = None) -> JSONResponse:
    return JSONResponse(body, int(body["status"]), {"cache-control": "no-store", **(headers or {})}, media_type=PROBLEM)


def _answer(request: Request, body: dict[str, Any], headers: dict[str, str], *ways: pages.Way) -> Response:
    if wants_json(request):
        return problem_response(body, headers)
    response = pages.page(
        body["title"],
        body.get("detail", ""),
        *(ways or (pages.START,)),
        status=body["status"],
        reference=body.get("request_id", "") if body["status"] >= 500 else "",
    )
    response.headers.update(headers)
    return response


def _ways(error: PhantomError) -> tuple[pages.Way, ...]:
    """Where to go from here, by the kind of error."""
    if isinstance(error, StateUsedError):
        return pages.DASHBOARD, pages.CONNECT
    if isinstance(error, SignInFirstError):
        return pages.SIGN_IN, pages.START
    if isinstance(error, NotSetUpError):
        return (pages.START,)
    if isinstance(error, ConnectError):
        return pages.CONNECT, pages.START
    if error.status == http.HTTPStatus.UNAUTHORIZED:
        return pages.SIGN_IN, pages.START
    return (pages.START,)


def on_phantom_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, PhantomError)  # noqa: S101  # registered for this class alone
    headers = {}
    if (seconds := getattr(error, "retry_after", None)) is not None:
        headers["retry-after"] = str(max(1, round(seconds)))
    if isinstance(error, BadApiKeyError):
        headers["www-authenticate"] = "Bearer"
    if error.status >= http.HTTPStatus.INTERNAL_SERVER_ERROR:
        log.error("api.failed", extra={"facts": {"code": error.code}}, exc_info=error)
    return _answer(request, problem(error.status, error.code, error.title, error.detail), headers, *_ways(error))


def on_invalid_request(request: Request, error: Exception) -> Response:
    """What FastAPI refuses: which field and why, never the value that was sent."""
    assert isinstance(error, RequestValidationError)  # noqa: S101
    found = [{"field": ".".join(map(str, item["loc"])), "message": item["msg"]} for item in error.errors()]
    refused = BadRequestError
    body = problem(refused.status, "invalid_request", refused.title, errors=found[:20])
    return _answer(request, body, {})


def on_http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101
    status = http.HTTPStatus(error.status_code)
    title = TITLES.get(status, status.phrase)
    code = status.name.lower()
    return _answer(request, problem(status, code, title), dict(error.headers or {}))


def on_database_away(request: Request, error: Exception) -> Response:
    """PostgreSQL restarts, or cuts a connection: the caller may come again, and is told so."""
    log.error("api.database_away", exc_info=error)
    away = UnavailableError
    body = problem(away.status, away.code, away.title, "Please try again in a moment.")
    return _answer(request, body, {"retry-after": "5"})


def on_departure(request: Request, error: Exception) -> Response:
    """The sender went away in the middle of its request: nothing failed here, and nobody reads the answer."""
    assert isinstance(error, ClientDisconnect)  # noqa: S101
    refused = BadRequestError
    return _answer(request, problem(refused.status, refused.code, refused.title), {})


def on_crash(request: Request, error: Exception) -> Response:
    """A mistake of ours. Starlette raises it again after this answer, so the traceback reaches the log."""
    failed = PhantomError
    body = problem(failed.status, failed.code, failed.title, "It has been logged. Please try again.")
    return _answer(request, body, {})


def install(api: FastAPI) -> None:
    """Register all of them."""
    api.add_exception_handler(PhantomError, on_phantom_error)
    api.add_exception_handler(RequestValidationError, on_invalid_request)
    api.add_exception_handler(HTTPException, on_http_error)
    api.add_exception_handler(OperationalError, on_database_away)
    api.add_exception_handler(ClientDisconnect, on_departure)
    api.add_exception_handler(Exception, on_crash)
