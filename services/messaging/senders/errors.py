"""What can be wrong with a sender that a merchant gives."""

from core.errors import BadRequestError, NotFoundError, PhantomError


class BadSenderError(BadRequestError):
    """A key, address, number or secret that cannot be one."""

    status, code, title = 422, "bad_sender", "This sender cannot be used"


class SenderNotFoundError(NotFoundError):
    code, title = "sender_not_found", "There is no such sender"


class SenderRefusedError(PhantomError):
    """The provider does not take what was given; `detail` is its own reason."""

    status, code, title = 422, "sender_refused", "The provider does not accept this"
