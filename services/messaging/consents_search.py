"""Finding consents as a person looks for them: by number, by mail address, or by customer.

What is stored is a keyed hash, so an address is found as it is hashed, under every key it may have been hashed with.
"""

from dataclasses import dataclass

from sqlmodel import Session

from models.messaging import Channel
from services.merchants import service as merchants
from services.messaging.addresses import BadAddressError, normal
from services.messaging.consents import BadConsentError, is_customer_id
from services.messaging.links import address_hashes
from services.vault.hash_keys import lasting_keys
from services.vault.keys import Purpose

CUSTOMER = "cus_"


@dataclass(frozen=True, slots=True)
class Wanted:
    """Whose consents are looked for; both empty: everybody's."""

    customer_id: str = ""
    hashes: tuple[str, ...] = ()


def wanted(session: Session, merchant_id: str, text: str) -> Wanted:
    """Whom somebody means. A number without + is read as one of the merchant's country.

    Raises `BadConsentError`, in words, for what is no number, address or customer's id.
    """
    text = text.strip()
    if not text or text.startswith(CUSTOMER):
        if not is_customer_id(text):
            raise BadConsentError("this is no customer's id")
        return Wanted(customer_id=text)
    channel = Channel.EMAIL if "@" in text else Channel.SMS
    try:
        spelled = normal(channel, text, merchants.get_merchant(session, merchant_id).country)
    except BadAddressError as error:
        raise BadConsentError(str(error)) from None
    keys = lasting_keys(session, Purpose.SUPPRESSIONS)
    return Wanted(hashes=address_hashes(keys, merchant_id, channel, spelled))
