"""What can go wrong when a person signs in."""

from core.errors import BadRequestError, ConflictError, ForbiddenError, NotAuthenticatedError, TooManyRequestsError


class WrongCredentialsError(NotAuthenticatedError):
    """One error for an unknown email, a wrong password and a person without one: emails cannot be probed."""

    code, title = "wrong_credentials", "Email or password is not right"


class TooManySignInsError(TooManyRequestsError):
    """`retry_after` is the number of seconds to wait."""

    code, title = "too_many_sign_ins", "Too many attempts to sign in. Please wait a few minutes"

    def __init__(self, retry_after: int) -> None:
        super().__init__()
        self.retry_after = retry_after


class BusyError(TooManyRequestsError):
    code, title = "busy", "Many people are signing in right now. Please try again in a moment"


class InvalidEmailError(BadRequestError):
    code, title = "invalid_email", "This is not an email address"


class InvalidPasswordError(BadRequestError):
    code, title = "invalid_password", "The password needs at least 12 characters"


class EmailTakenError(ConflictError):
    code, title = "email_taken", "Somebody signs in with this email already"


class PermissionDeniedError(ForbiddenError):
    code, title = "permission_denied", "Your role does not allow this"
