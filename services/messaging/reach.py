"""By which ways customers may be written to: addresses, suppressions and consents, for many in a few queries."""

import functools
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Protocol

from sqlmodel import Session

from models.messaging import Channel
from models.sending import ConsentState
from services.messaging import repository
from services.messaging.addresses import BadAddressError, number
from services.messaging.links import address_hash
from services.messaging.schedule import NO_EMAIL, SMS_IS_OFF
from services.vault.hash_keys import lasting_keys
from services.vault.keys import Purpose

ASKED = "The customer asked for no more messages."
NO_PHONE = "No phone number of this customer is known."
NO_CONSENT = "This customer has not agreed to messages by SMS."
WHY_SILENT = {
    "unsubscribed": ASKED,
    "bounced": "Mail to the customer's address comes back.",
    "complained": "The customer marked a message as spam.",
    "stopped": "The customer answered STOP to a text message.",
}


class Reachable(Protocol):
    """What is known of a customer's addresses."""

    @property
    def customer_email(self) -> str | None: ...
    @property
    def customer_phone(self) -> str | None: ...
    @property
    def customer_country(self) -> str: ...


@dataclass(frozen=True, slots=True)
class Closed:
    """Why each channel is closed to a customer; empty where it is open."""

    no_email: str
    no_sms: str


def address_of(channel: Channel, customer: Reachable) -> str:
    """Where this customer is written to on a channel; empty where that is not known."""
    if channel is Channel.EMAIL:
        return customer.customer_email or ""
    return _number(customer.customer_phone or "", customer.customer_country)


@functools.lru_cache(maxsize=4096)
def _number(phone: str, country: str) -> str:
    """As it is hashed and dialled; Stripe keeps whatever somebody typed."""
    try:
        return number(phone, country) if phone else ""
    except BadAddressError:
        return ""


def closed(session: Session, merchant_id: str, customers: Sequence[Reachable], *, sms: bool) -> list[Closed]:
    """Which channels are closed to each of these, and why; `sms` is the merchant's switch.

    Suppressions are looked for under all keys they may have been hashed with, so who unsubscribed stays unsubscribed.
    """
    keys = lasting_keys(session, Purpose.SUPPRESSIONS)
    ways = (Channel.EMAIL, Channel.SMS) if sms else (Channel.EMAIL,)
    addresses = {way: [address_of(way, each) for each in customers] for way in ways}
    hashes = {way: _hashes(keys, merchant_id, way, set(found)) for way, found in addresses.items()}
    shut = {way: _shut(session, merchant_id, way, found) for way, found in hashes.items()}
    mails = [shut[Channel.EMAIL].get(each, "") if each else NO_EMAIL for each in addresses[Channel.EMAIL]]
    if not sms:
        return [Closed(mail, SMS_IS_OFF) for mail in mails]
    words = repository.list_last_words(session, merchant_id, Channel.SMS, _all(hashes[Channel.SMS]))

    def no_text(phone: str) -> str:
        if not phone:
            return NO_PHONE
        # Under whichever key they were recorded: the latest word holds, and at one moment a no.
        last = max((words[each] for each in hashes[Channel.SMS][phone] if each in words), default=None)
        agreed = last is not None and last[1] == ConsentState.GRANTED
        return shut[Channel.SMS].get(phone, "") or ("" if agreed else NO_CONSENT)

    texts = [no_text(phone) for phone in addresses[Channel.SMS]]
    return [Closed(mail, text) for mail, text in zip(mails, texts, strict=True)]


def _shut(session: Session, merchant_id: str, channel: Channel, hashes: dict[str, tuple[str, ...]]) -> dict[str, str]:
    """Those of the addresses that are suppressed, each with the reason in words."""
    reasons = repository.list_suppressed(session, merchant_id, channel, _all(hashes))
    if not reasons:
        return {}
    found = {
        address: next((reasons[one] for one in all_of if one in reasons), "") for address, all_of in hashes.items()
    }
    return {address: WHY_SILENT.get(reason, ASKED) for address, reason in found.items() if reason}


def _hashes(
    keys: Sequence[bytes], merchant_id: str, channel: Channel, addresses: Collection[str]
) -> dict[str, tuple[str, ...]]:
    return {
        address: tuple(address_hash(key, merchant_id, channel, address) for key in keys)
        for address in addresses
        if address
    }


def _all(hashes: dict[str, tuple[str, ...]]) -> list[str]:
    return [each for found in hashes.values() for each in found]


def opted_out(session: Session, merchant_id: str, customers: Sequence[Reachable]) -> list[str]:
    """Why each of these wants to hear no more, on whichever channel they said so; empty where they never did.

    Stricter than `closed`: for what nobody has to be told, a STOP to a text message is a no to mail as well.
    """
    keys = lasting_keys(session, Purpose.SUPPRESSIONS)
    found = [""] * len(customers)
    for way in Channel:
        addresses = [address_of(way, each) for each in customers]
        shut = _shut(session, merchant_id, way, _hashes(keys, merchant_id, way, set(addresses)))
        found = [said or shut.get(address, "") for said, address in zip(found, addresses, strict=True)]
    return found
