"""Errors in Stripe's own shape, and the few that several resources raise."""

from typing import Any


class StripeError(Exception):
    """An answer `{"error": {...}}` with an HTTP status.

    `persists` says that what was done before stays done (a declined charge is real), so the request is not
    rolled back and its answer is kept for its idempotency key.
    """

    def __init__(
        self,
        status: int,
        kind: str,
        message: str,
        *,
        code: str | None = None,
        param: str | None = None,
        persists: bool = False,
        headers: dict[str, str] | None = None,
        **extra: Any,
    ) -> None:
        super().__init__(message)
        self.status, self.kind, self.message = status, kind, message
        self.code, self.param, self.persists = code, param, persists
        self.headers = headers or {}
        self.extra = {key: value for key, value in extra.items() if value is not None}

    def body(self) -> dict[str, Any]:
        """The JSON body."""
        error: dict[str, Any] = {"message": self.message, "type": self.kind}
        if self.code:
            error["code"] = self.code
            error["doc_url"] = f"https://stripe.com/docs/error-codes/{self.code.replace('_', '-')}"
        if self.param:
            error["param"] = self.param
        return {"error": error | self.extra}


def invalid(message: str, *, code: str | None = None, param: str | None = None) -> StripeError:
    """A plain 400."""
    return StripeError(400, "invalid_request_error", message, code=code, param=param)


def no_such(kind: str, identifier: str, *, param: str = "id", other_mode: str | None = None) -> StripeError:
    """`resource_missing`. 404 for the object a path names, 400 for one a parameter names, as Stripe does."""
    message = f"No such {kind.replace('_', ' ') if kind != 'payment_method' else 'PaymentMethod'}: '{identifier}'"
    if other_mode:
        key = "live" if other_mode == "test" else "test"
        message += (
            f"; a similar object exists in {other_mode} mode, but a {key} mode key was used to make this request."
        )
    return StripeError(
        404 if param == "id" else 400, "invalid_request_error", message, code="resource_missing", param=param
    )
