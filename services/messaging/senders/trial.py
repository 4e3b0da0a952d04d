"""A test of a sender: one message to the person who asks, and what came of it in words.

Who tests texts types any number, and PHANTOM's own number would write to it, at our cost and in our name. So there are
a few a day for each merchant and a bound for all of them, wherever the test is asked for. Who tests mail gets it at the
address that Stripe named as theirs, and anybody can name anybody's there: from PHANTOM's own domain it goes only where
somebody has shown that the address is theirs.
"""

from sqlmodel import Session

from core import allowance, ids
from core.errors import ConflictError, TooManyRequestsError
from models.messaging import Channel
from services.identity import service as identity
from services.integrations.carriers import MessageLaterError, MessageRefusedError, MessageUnknownError
from services.messaging import suppression
from services.messaging.senders.carriers import Carrier
from services.messaging.senders.errors import SenderRefusedError
from services.messaging.senders.schemas import OutgoingMessage

SUBJECT = "A test of your sender"
TEXT = "This is a test message from PHANTOM. Your sender works, and your customers' messages can go out with it."
AN_HOUR, AT_ONCE = 20, 5
TEXTS_A_DAY, TEXTS_OF_ALL_A_DAY = 4, 100  # with PHANTOM's number
_HOUR, _DAY = 3600, 86_400


class TooManyTestsError(TooManyRequestsError):
    code, title = "too_many_tests", "That were many tests; please wait some minutes"


class TooManyTestTextsError(TooManyTestsError):
    code = "too_many_test_texts"
    title = (
        "A few test texts a day can be sent with PHANTOM’s number, and they are used up; "
        "please try again tomorrow, or set up a sender of your own"
    )


class AskedToStopError(ConflictError):
    code = "asked_to_stop"
    title = "Whoever has this number answered STOP; they can answer START to get texts again"


class NotConfirmedError(ConflictError):
    code = "not_confirmed"
    title = (
        "Your email address is not confirmed yet, and PHANTOM’s own sender writes to confirmed ones only; "
        "please set up a sender of your own, or ask whoever runs PHANTOM for a sign-in link"
    )


def admit(session: Session, merchant_id: str, channel: Channel, carrier: Carrier, recipient: str) -> None:
    """Count a test of a sender before it is sent.

    Raises `TooManyTestsError`, and what `admit_mail` or `admit_text` raises.
    """
    if channel is Channel.EMAIL:
        admit_mail(session, merchant_id, carrier, recipient)
    if allowance.wait(f"trial:{merchant_id}", AN_HOUR / _HOUR, AT_ONCE) > 0:
        raise TooManyTestsError
    if channel is Channel.SMS:
        admit_text(session, merchant_id, carrier, recipient)


def admit_mail(session: Session, merchant_id: str, carrier: Carrier, recipient: str) -> None:
    """Whether a test mail, of whatever it is a test, may go to a member. Raises `NotConfirmedError`."""
    if not carrier.own and recipient not in identity.member_addresses(session, merchant_id).values():
        raise NotConfirmedError


def admit_text(session: Session, merchant_id: str, carrier: Carrier, recipient: str) -> None:
    """Count a test text, of whatever it is a test, and remember whom PHANTOM's number writes to: their STOP is heard.

    Raises `TooManyTestTextsError`, `AskedToStopError`.
    """
    if suppression.is_stopped(session, merchant_id, recipient):
        raise AskedToStopError
    if carrier.own:
        return
    # The merchant's first: who has used up theirs takes nothing of what all have together.
    for name, a_day in ((f"test_texts:{merchant_id}", TEXTS_A_DAY), ("test_texts", TEXTS_OF_ALL_A_DAY)):
        if allowance.wait_within(name, a_day, _DAY) > 0:
            raise TooManyTestTextsError
    suppression.remember_texted(session, merchant_id, recipient)


def send(carrier: Carrier, line: str, merchant_id: str, channel: Channel, recipient: str) -> None:
    """Send a test that was admitted; outside of any transaction. Raises `SenderRefusedError` with the reason."""
    name = ids.new_id("trial")
    message = OutgoingMessage(
        channel=channel,
        merchant_id=merchant_id,
        message_id=name,
        sender=line,
        recipient=recipient,
        plain=TEXT,
        subject=SUBJECT,
        html=f"<p>{TEXT}</p>",
        headers={"X-Entity-Ref-ID": name},
    )
    try:
        carrier.send(message, idempotency_key=f"phantom-{name}")
    except MessageRefusedError as error:
        raise SenderRefusedError(error.detail) from None
    except (MessageLaterError, MessageUnknownError):
        raise SenderRefusedError("The provider does not answer just now. Please try again in a moment.") from None
