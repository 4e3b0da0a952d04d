"""By which ways customers may be written to: addresses, suppressions and consents, for many in a few queries."""

import functools
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from sqlmodel import Session

from models.messaging import Channel
from models.sending import ConsentState
from services.messaging import repository
from services.messaging.addresses import BadAddressError, country_of, number
from services.messaging.links import address_hashes, customer_line
from services.messaging.schedule import NO_EMAIL, SMS_IS_OFF
from services.vault.hash_keys import lasting_keys
from services.vault.keys import Purpose

ASKED = "The customer asked for no more messages."
NO_PHONE = "No phone number of this customer is known."
NO_CONSENT = "This customer has not agreed to messages by SMS."
WHY_SILENT = {
    "unsubscribed": ASKED,
    "bounced": "Mail to the customer's address comes back.",
    "suppressed": "The mail provider delivers nothing more to the customer's address.",
    "undelivered": "Text messages cannot reach the customer's number.",
    "complained": "The customer marked a message as spam.",
    "stopped": "The customer answered STOP to a text message.",
    "stop_heard": "The customer answered STOP to a text message.",
}
WITHDRAWN = "The customer took their consent to messages by email back."
_TO_ALL = (ASKED, WHY_SILENT["complained"])  # the page of the link says: no more messages, not: no more mail


class Reachable(Protocol):
    """Who a customer is, and what is known of their addresses."""

    @property
    def customer_id(self) -> str | None: ...
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


def texted_in(customer: Reachable) -> tuple[str, ...]:
    """Where a text may reach this customer: the country of their number, and that of their address; as far as known."""
    known = (country_of(address_of(Channel.SMS, customer)), customer.customer_country.lower())
    return tuple(dict.fromkeys(each for each in known if each))


@functools.lru_cache(maxsize=4096)
def _number(phone: str, country: str) -> str:
    """As it is hashed and dialled; Stripe keeps whatever somebody typed."""
    try:
        return number(phone, country) if phone else ""
    except BadAddressError:
        return ""


@dataclass(frozen=True, slots=True)
class _Known:
    """Of a channel's addresses: why they are suppressed, and when each last had a say, and what."""

    shut: dict[str, str]
    words: dict[str, tuple[datetime, str]]

    def taken_back(self, address: str) -> datetime | None:
        """When the consent of an address was taken back; None while it stands, or none was ever spoken of."""
        last = self.words.get(address)
        return last[0] if last is not None and last[1] == ConsentState.WITHDRAWN else None


def closed(session: Session, merchant_id: str, customers: Sequence[Reachable], *, sms: bool) -> list[Closed]:
    """Which channels are closed to each of these, and why; `sms` is the merchant's switch.

    Who unsubscribed or complained did so as a person: it holds at whichever address they have now.

    Mail needs no consent, because it is about what the customer bought, but ends with one that is taken back. Who
    unsubscribed or complained gets no text instead; who took their consent to mail back gets one only if they agreed
    to texts after that.
    """
    ways = (Channel.EMAIL, Channel.SMS) if sms else (Channel.EMAIL,)
    addresses = {way: [address_of(way, each) for each in customers] for way in ways}
    persons = _persons(customers)
    known = {way: _known(session, merchant_id, way, found, persons) for way, found in addresses.items()}
    shut = known[Channel.EMAIL].shut
    mails = [
        shut.get(person, "") or _no_email(each, known[Channel.EMAIL])
        for person, each in zip(persons, addresses[Channel.EMAIL], strict=True)
    ]
    if not sms:
        return [Closed(mail, SMS_IS_OFF) for mail in mails]
    return [
        Closed(no_email, _no_sms(number, known[Channel.SMS], no_email, known[Channel.EMAIL].taken_back(mail)))
        for no_email, mail, number in zip(mails, addresses[Channel.EMAIL], addresses[Channel.SMS], strict=True)
    ]


def _persons(customers: Sequence[Reachable]) -> list[str]:
    """What stands for each of these as a person, whatever their address; empty for whom Stripe does not name."""
    return [customer_line(each.customer_id) if each.customer_id else "" for each in customers]


def _no_email(address: str, known: _Known) -> str:
    if not address:
        return NO_EMAIL
    return known.shut.get(address, "") or (WITHDRAWN if known.taken_back(address) else "")


def _no_sms(number: str, known: _Known, no_email: str, no_mail_since: datetime | None) -> str:
    if no_email in _TO_ALL:
        return no_email
    if not number:
        return NO_PHONE
    last = known.words.get(number)
    agreed = last is not None and last[1] == ConsentState.GRANTED and (no_mail_since is None or last[0] > no_mail_since)
    return known.shut.get(number, "") or ("" if agreed else NO_CONSENT)


def _known(
    session: Session, merchant_id: str, channel: Channel, addresses: Collection[str], persons: Collection[str]
) -> _Known:
    """Looked for under all keys they may have been hashed with, so who unsubscribed stays unsubscribed.

    `persons` said so by mail alone: a no to texts is the number's.
    """
    keys = lasting_keys(session, Purpose.SUPPRESSIONS)
    hashes = _hashes(keys, merchant_id, channel, set(addresses))
    as_persons = _hashes(keys, merchant_id, channel, set(persons)) if channel is Channel.EMAIL else {}
    words = repository.list_last_words(session, merchant_id, channel, _all(hashes))
    said = {address: [words[each] for each in all_of if each in words] for address, all_of in hashes.items()}
    # The latest word holds, and at one moment a no.
    return _Known(
        _shut(session, merchant_id, channel, hashes | as_persons),
        {address: max(each) for address, each in said.items() if each},
    )


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
    return {address: address_hashes(keys, merchant_id, channel, address) for address in addresses if address}


def _all(hashes: dict[str, tuple[str, ...]]) -> list[str]:
    return [each for found in hashes.values() for each in found]


def opted_out(session: Session, merchant_id: str, customers: Sequence[Reachable]) -> list[str]:
    """Why each of these wants to hear no more, on whichever channel they said so; empty where they never did.

    Stricter than `closed`: for what nobody has to be told, a STOP to a text message is a no to mail as well.
    """
    persons, found = _persons(customers), [""] * len(customers)
    for way in Channel:
        addresses = [address_of(way, each) for each in customers]
        known = _known(session, merchant_id, way, addresses, persons)
        found = [former or known.shut.get(person, "") for former, person in zip(found, persons, strict=True)]
        said = [known.shut.get(each, "") or (ASKED if known.taken_back(each) else "") for each in addresses]
        found = [former or now for former, now in zip(found, said, strict=True)]
    return found
