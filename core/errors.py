"""One base for every error a caller may see: an HTTP status, a stable code and words for a person."""

from typing import ClassVar


class PhantomError(Exception):
    """Base of all typed errors. `code` is stable and part of the API; `title` is what a person reads first.

    `detail` may be shown to whoever caused the error, so it never carries a secret or another tenant's data.
    """

    status: ClassVar[int] = 500
    code: ClassVar[str] = "internal_error"
    title: ClassVar[str] = "Something went wrong on our side"

    def __init__(self, detail: str | None = None) -> None:
        super().__init__(detail or self.title)
        self.detail = detail or self.title


class BadRequestError(PhantomError):
    status, code, title = 400, "bad_request", "The request cannot be understood"


class NotAuthenticatedError(PhantomError):
    status, code, title = 401, "not_authenticated", "Please sign in"


class ForbiddenError(PhantomError):
    status, code, title = 403, "forbidden", "You are not allowed to do this"


class NotFoundError(PhantomError):
    """Also the answer for another tenant's id, so that ids cannot be probed."""

    status, code, title = 404, "not_found", "There is nothing here"


class ConflictError(PhantomError):
    status, code, title = 409, "conflict", "This contradicts what is already there"


class GoneError(PhantomError):
    status, code, title = 410, "gone", "This is over"


class TooLargeError(PhantomError):
    status, code, title = 413, "too_large", "That is too large"


class TooManyRequestsError(PhantomError):
    status, code, title = 429, "too_many_requests", "Too many attempts, please wait a moment"


class UnavailableError(PhantomError):
    status, code, title = 503, "unavailable", "A service we need is not answering"


class ConfigurationError(PhantomError):
    """Raised at start only: PHANTOM refuses to run with settings it cannot honour."""

    status, code, title = 500, "configuration", "The configuration is not usable"
