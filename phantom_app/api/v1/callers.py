"""Who calls the public API: a bearer key, and no more calls than it may make."""

from fastapi import Request

from core import allowance, db
from core.errors import TooManyRequestsError
from services.identity import api_keys
from services.identity.api_keys import ApiCaller, BadApiKeyError

CALLS_A_SECOND, CALLS_AT_ONCE = 25.0, 25
LONGEST_BODY = 64 * 1024  # of a call: it is read before the key is looked at


class TooManyCallsError(TooManyRequestsError):
    code, title = "too_many_calls", "This API key is used too often, please wait a moment"
    retry_after = 1


def caller(request: Request) -> ApiCaller:
    """The program behind a request. Raises `BadApiKeyError`, `TooManyCallsError`."""
    scheme, _, key = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer":
        raise BadApiKeyError("Send the key as `Authorization: Bearer phk_…`.")
    with db.system_session() as session:
        found = api_keys.resolve(session, key.strip())
    if allowance.wait(f"api:{found.key_id}", CALLS_A_SECOND, CALLS_AT_ONCE) > 0:
        raise TooManyCallsError
    return found
