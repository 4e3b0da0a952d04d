"""Why a webhook is not accepted."""

from core.errors import BadRequestError, NotFoundError, UnavailableError


class SignatureError(BadRequestError):
    """The body is not proven to come from Stripe now. `reason` is for our log; the sender learns only the refusal."""

    code, title = "bad_signature", "The signature does not match"

    def __init__(self, reason: str) -> None:
        super().__init__()
        self.reason = reason


class NotAnEventError(BadRequestError):
    code, title = "not_an_event", "The body is not a Stripe event"


class EndpointDisabledError(NotFoundError):
    """The endpoint has no signing secret: an empty one would verify against an empty key, so there is no endpoint."""

    code, title = "endpoint_disabled", "There is nothing here"


class NotStoredError(UnavailableError):
    """The event could not be committed; Stripe will send it again. `retry_after` in seconds."""

    code, title = "not_stored", "The event could not be stored, please send it again"
    retry_after = 5
