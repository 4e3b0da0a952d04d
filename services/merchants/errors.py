"""Why connecting Stripe did not work. `title` says what happened, `detail` what to do; both are shown as they are."""

from typing import ClassVar

from core.errors import BadRequestError, ConflictError, ForbiddenError, NotFoundError, PhantomError, UnavailableError


class MerchantNotFoundError(NotFoundError):
    code, title = "merchant_not_found", "There is no such merchant"


class ConnectError(PhantomError):
    """Base: nothing was stored, and connecting again is safe."""

    status, code, title = 400, "connect_failed", "Stripe could not be connected"
    advice: ClassVar[str] = "Nothing was stored. Please connect again."

    def __init__(self) -> None:
        super().__init__(self.advice)


class ConsentDeniedError(ConnectError, ForbiddenError):
    status, code, title = 403, "connect_denied", "You did not allow the connection"
    advice = "Nothing was stored. If that was not what you wanted, connect again and choose the account to connect."


class StripeRefusedError(ConnectError, BadRequestError):
    code, title = "connect_refused", "Stripe did not go through with the connection"
    advice = "Nothing was stored. Connect again; if it happens again, the account may not be allowed to connect."


class StateMissingError(ConnectError, BadRequestError):
    code, title = "connect_state_missing", "This address is only for coming back from Stripe"
    advice = "Nothing was stored. Begin with “Connect Stripe”."


class StateForeignError(ConnectError, BadRequestError):
    """Also for a state that never existed or is long pruned: which of these helps only a forger."""

    code, title = "connect_state_foreign", "This connection was not begun in this browser, or too long ago"
    advice = "Nothing was stored. Begin again here, in the browser you are using, and allow cookies for this site."


class StateExpiredError(ConnectError, BadRequestError):
    code, title = "connect_state_expired", "Connecting took longer than ten minutes"
    advice = "Nothing was stored. Please connect again; it takes a minute."


class StateUsedError(ConnectError, ConflictError):
    status, code, title = 409, "connect_state_used", "This connection has been completed or ended already"
    advice = "Nothing was changed. If you have just connected, go on to your dashboard; otherwise connect again."


class PersonChangedError(ConnectError, ConflictError):
    status, code, title = 409, "connect_person_changed", "You signed in or out while connecting"
    advice = "Nothing was stored. Please connect again as the person you are now."


class CodeRefusedError(ConnectError, BadRequestError):
    code, title = "connect_code_refused", "Stripe no longer accepts this authorisation"
    advice = "Nothing was stored. An authorisation works once and for five minutes. Please connect again."


class StripeDownError(ConnectError, UnavailableError):
    status, code, title = 503, "connect_stripe_down", "Stripe is not answering right now"
    advice = "Nothing was stored. Please wait a minute and connect again; status.stripe.com tells how Stripe is doing."


class NotSetUpError(ConnectError):
    status, code, title = 503, "connect_not_set_up", "This PHANTOM cannot connect to Stripe yet"
    advice = "Nothing was stored. Its operator has to set STRIPE_CLIENT_ID and STRIPE_SECRET_KEY of one platform."


class WrongModeError(ConnectError, ConflictError):
    status, code, title = 409, "connect_wrong_mode", "This account is in the other mode of Stripe"
    advice = (
        "Nothing was stored. A PHANTOM with a live key connects live accounts, one with a test key connects test"
        " accounts. Choose the other mode in Stripe, then connect again."
    )


class AccountTakenError(ConnectError, ConflictError):
    status, code, title = 409, "connect_account_taken", "This Stripe account belongs to another PHANTOM workspace"
    advice = "Nothing was changed. Ask the workspace's owner to invite you, or connect another account."


class SignInFirstError(ConnectError, ConflictError):
    status, code, title = 409, "connect_sign_in_first", "Somebody signs in with this account's email already"
    advice = (
        "Nothing was stored. If that is you, sign in first (through your other Stripe account, if that is how you came)"
        " and connect this one then."
    )
