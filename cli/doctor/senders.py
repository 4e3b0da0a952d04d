"""Whether messages can go out as configured: settings that are whole and readable, and a provider that takes them."""

from collections.abc import Callable
from functools import partial

from cli.doctor.findings import Check, Trouble, Warn
from core import config
from services.integrations.carriers import MessageLaterError, MessageRefusedError, MessageUnknownError
from services.integrations.resend import ResendSender
from services.integrations.twilio import TwilioSender
from services.messaging.senders.errors import BadSenderError
from services.messaging.senders.given import OwnMail, OwnText

SETTINGS = "settings"
EXAMPLE = "@phantom.example"  # of the default, where nobody gets mail and nobody may send from
_MAIL = "correct RESEND_API_KEY (resend.com/api-keys), RESEND_WEBHOOK_SECRET and EMAIL_FROM"
_TEXTS = "correct TWILIO_ACCOUNT_SID, TWILIO_AUTH_TOKEN (console.twilio.com) and TWILIO_FROM"


def checks() -> list[Check]:
    return [Check("mail", mail, (SETTINGS,)), Check("texts", texts, (SETTINGS,))]


def mail() -> str:
    configured = config.settings()
    if configured.resend_api_key is None:
        raise Warn("no sender: messages are written to the outbox and go nowhere", "set RESEND_API_KEY and EMAIL_FROM")
    key, secrets = configured.resend_api_key.get_secret_value(), configured.resend_webhook_secrets()
    for secret in secrets or ("",):
        _readable(partial(OwnMail.read, key, configured.email_from, secret), _MAIL)
    if not configured.is_demo and EXAMPLE in configured.email_from:
        raise Trouble(
            f"EMAIL_FROM is still the example, {configured.email_from}",
            "set EMAIL_FROM to an address of a domain that is verified at Resend (resend.com/domains)",
        )
    _asked("Resend", "RESEND_API_KEY", "RESEND_API_BASE", ResendSender(key).check)
    if not secrets:
        raise Warn(
            "bounces and complaints are not heard of", "set RESEND_WEBHOOK_SECRET to the endpoint's signing secret"
        )
    return f"Resend knows the key; from {configured.email_from}"


def texts() -> str:
    """Text messages are optional: nothing set is no finding, and half of it is one."""
    configured = config.settings()
    token = configured.twilio_auth_token
    given = {
        "TWILIO_ACCOUNT_SID": configured.twilio_account_sid or "",
        "TWILIO_AUTH_TOKEN": token.get_secret_value() if token else "",
        "TWILIO_FROM": configured.twilio_from or "",
    }
    missing = [name for name, value in given.items() if not value]
    if len(missing) == len(given):
        return "not set up: text messages go out with merchants' own accounts alone"
    if missing:
        names = " and ".join(missing)
        raise Trouble(f"{names} not set: no text message goes out", f"set {names} too, or none of the three")
    account, secret, sender = given.values()
    _readable(partial(OwnText.read, account, secret, sender), _TEXTS)
    _asked("Twilio", "TWILIO_ACCOUNT_SID and TWILIO_AUTH_TOKEN", "TWILIO_API_BASE", TwilioSender(account, secret).check)
    return f"Twilio knows the account; from {sender}"


def _readable(read: Callable[[], object], remedy: str) -> None:
    try:
        read()
    except BadSenderError as error:
        raise Trouble(error.detail, remedy) from None


def _asked(provider: str, names: str, base: str, check: Callable[[], None]) -> None:
    """Ask without sending anything: a key may be well written and revoked."""
    try:
        check()
    except MessageRefusedError as error:
        raise Trouble(
            f"{provider} refuses: {error.detail}", f"set {names} to what {provider}'s dashboard shows"
        ) from None
    except (MessageLaterError, MessageUnknownError) as error:
        raise Warn(
            f"{provider} does not answer ({error.detail}): messages wait",
            f"see that this machine reaches {getattr(config.settings(), base.lower())} ({base}), then look again",
        ) from None
