"""A test of a sender: one message to the person who asks, and what came of it in words."""

from core import allowance, ids
from core.errors import TooManyRequestsError
from models.messaging import Channel
from services.integrations.carriers import MessageLaterError, MessageRefusedError, MessageUnknownError
from services.messaging.senders.carriers import Carrier
from services.messaging.senders.errors import SenderRefusedError
from services.messaging.senders.schemas import OutgoingMessage

SUBJECT = "A test of your sender"
TEXT = "This is a test message from PHANTOM. Your sender works, and your customers' messages can go out with it."
_RATE, _AT_ONCE = 0.2, 5  # one in five seconds, a few at once


class TooManyTestsError(TooManyRequestsError):
    code, title = "too_many_tests", "That were many tests; please wait a moment"


def send(carrier: Carrier, line: str, merchant_id: str, channel: Channel, recipient: str) -> None:
    """Send the test; outside of any transaction.

    Raises `SenderRefusedError` with the provider's reason, `TooManyTestsError`.
    """
    if allowance.wait(f"trial:{merchant_id}", _RATE, _AT_ONCE) > 0:
        raise TooManyTestsError
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
