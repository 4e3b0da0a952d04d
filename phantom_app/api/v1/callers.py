"""Who calls the public API: a bearer key, and no more calls than it may make; and how refusals are described."""

from typing import Annotated, Any

from fastapi import Security
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from core import allowance, db
from core.errors import TooManyRequestsError
from services.identity import api_keys
from services.identity.api_keys import ApiCaller, BadApiKeyError

CALLS_A_SECOND, CALLS_AT_ONCE = 25.0, 25
LONGEST_BODY = 64 * 1024  # of a call: it is read before the key is looked at

_PROBLEM = {
    "type": "object",
    "required": ["type", "title", "status", "code"],
    "properties": {
        "type": {"type": "string", "examples": ["urn:phantom:problem:customer_not_found"]},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "code": {"type": "string", "description": "Stable, for programs."},
        "detail": {"type": "string"},
        "request_id": {"type": "string", "description": "As in the header X-Request-Id; finds it in the logs."},
    },
}


def _problem(description: str) -> dict[str, Any]:
    return {"description": description, "content": {"application/problem+json": {"schema": _PROBLEM}}}


PROBLEMS: dict[int | str, dict[str, Any]] = {
    400: _problem("What was sent cannot be understood."),
    401: _problem("No key that works was shown."),
    403: _problem("The key was not made for this: it needs another scope."),
    404: _problem("There is no such thing, or it is another merchant's."),
    413: _problem("The body is too large."),
    429: _problem("The key is used too often: wait as Retry-After says."),
}
"""RFC 9457 problem details, for the description of every route."""

_bearer = HTTPBearer(auto_error=False, scheme_name="API key", description="A key of Settings, API keys: `phk_…`.")


class TooManyCallsError(TooManyRequestsError):
    code, title = "too_many_calls", "This API key is used too often, please wait a moment"
    retry_after = 1


def caller(shown: Annotated[HTTPAuthorizationCredentials | None, Security(_bearer)]) -> ApiCaller:
    """The program behind a request. Raises `BadApiKeyError`, `TooManyCallsError`."""
    if shown is None:
        raise BadApiKeyError("Send the key as `Authorization: Bearer phk_…`.")
    with db.system_session() as session:
        found = api_keys.resolve(session, shown.credentials.strip())
    if allowance.wait(f"api:{found.key_id}", CALLS_A_SECOND, CALLS_AT_ONCE) > 0:
        raise TooManyCallsError
    return found
