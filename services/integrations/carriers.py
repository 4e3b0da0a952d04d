"""What can come of handing a message to a provider, the same for every channel: a closed list."""

from datetime import timedelta

from core.errors import PhantomError, UnavailableError


class MessageRefusedError(PhantomError):
    """The provider will not send this message, now or later; nothing was sent."""

    status, code, title = 422, "message_refused", "The provider refused the message"


class OptedOutError(MessageRefusedError):
    """The recipient told the provider to let nothing through from this sender."""

    code, title = "opted_out", "The recipient has opted out"


class KeyRefusedError(MessageRefusedError):
    """The provider does not take this key, or lets it not send so: no message will pass until somebody acts."""

    code, title = "sender_refused", "The provider does not accept this sender"


class MessageUnfitError(MessageRefusedError):
    """The provider does not take it as it is, for what is in it or whom it comes from; of its key that says nothing."""

    code, title = "message_unfit", "The provider does not take this message as it is"


class MessageLaterError(UnavailableError):
    """Not sent and safe to try again: a rate limit, or the connection never came about."""

    code, title = "message_later", "The provider asks to try later"

    def __init__(self, detail: str | None = None, *, retry_after: timedelta | None = None) -> None:
        super().__init__(detail)
        self.after = retry_after


class OutOfQuotaError(MessageLaterError):
    """Not sent: what this account may send in a day or a month is used up, and it will be so for hours."""

    code, title = "out_of_quota", "The provider's allowance for this account is used up"


class MessageUnknownError(UnavailableError):
    """It is not known whether the message was accepted."""

    code, title = "message_unknown", "The provider did not answer"


class MessageKeyUsedError(PhantomError):
    """The provider has accepted a message under this idempotency key before, with other contents."""

    status, code, title = 409, "message_key_used", "The provider has this message in another form"


LONGEST_PAUSE = timedelta(hours=1)


def pause_of(header: str | None) -> timedelta | None:
    """What `Retry-After` asks for in seconds; None for anything else, at most an hour.

    The form with a date is not used by the providers we know.
    """
    text = (header or "").strip()
    if not text.isascii() or not text.isdecimal() or len(text) > 9:
        return None
    return min(timedelta(seconds=int(text)), LONGEST_PAUSE)
