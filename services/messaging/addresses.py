"""One spelling of an address: email in lower case, telephone numbers in E.164 by the rules of their country."""

import functools

import phonenumbers
from email_validator import EmailNotValidError, validate_email

from models.messaging import Channel

LONGEST = 320


class BadAddressError(ValueError):
    """The text is no address of the channel; the message says why, in words for a person."""


def normal(channel: Channel, text: str, country: str = "") -> str:
    """The address as it is compared and hashed. `country` (ISO 3166) completes a number without its +.

    Raises `BadAddressError`.
    """
    text = text.strip()
    if not text:
        raise BadAddressError("there is no address")
    if len(text) > LONGEST:
        raise BadAddressError("the address is too long")
    return number(text, country) if channel == Channel.SMS else _email(text)


def number(text: str, country: str = "") -> str:
    """A telephone number in E.164 (`+4915112345678`). Raises `BadAddressError`."""
    region = country.strip().upper() or None
    if region is not None and region not in phonenumbers.SUPPORTED_REGIONS:
        raise BadAddressError("the country is unknown")
    try:
        parsed = phonenumbers.parse(text, region)
    except phonenumbers.NumberParseException:
        needed = "" if region or text.startswith("+") else ": it needs a country or a + and the country's code"
        raise BadAddressError(f"the telephone number cannot be read{needed}") from None
    if not phonenumbers.is_valid_number(parsed):
        raise BadAddressError("there is no such telephone number")
    return phonenumbers.format_number(parsed, phonenumbers.PhoneNumberFormat.E164)


@functools.lru_cache(maxsize=4096)
def country_of(number: str) -> str:
    """The country (ISO 3166, lower-case) whose telephone number (E.164) this is; empty where it is of none."""
    region = phonenumbers.region_code_for_number(phonenumbers.parse(number)) if number else None
    return region.lower() if region in phonenumbers.SUPPORTED_REGIONS else ""


def _email(text: str) -> str:
    try:
        found = validate_email(text, check_deliverability=False, test_environment=True)
    except EmailNotValidError:
        raise BadAddressError("this is no email address") from None
    return found.normalized.casefold()


def spelled(channel: Channel, text: str) -> str:
    """What stands for an address wherever one is compared, however somebody wrote it: each side goes through here.

    `ada@xn--mnchen-3ya.de` is `ada@münchen.de`. What is no address, and what stands for a person, stays as it is.
    """
    return spellings(channel, text)[0]


def spellings(channel: Channel, text: str) -> tuple[str, ...]:
    """The address as `spelled`, then the other ways in which it may have been written down before there was one."""
    plain = text.strip().casefold()
    if channel is not Channel.EMAIL or (plain.isascii() and "xn--" not in plain):
        return (plain,)
    return _mails(text.strip()[:LONGEST], plain)


@functools.lru_cache(maxsize=4096)
def _mails(text: str, plain: str) -> tuple[str, ...]:
    try:
        found = validate_email(text, check_deliverability=False, test_environment=True)
    except EmailNotValidError:
        return (plain,)
    return tuple(dict.fromkeys((found.normalized.casefold(), plain, (found.ascii_email or plain).casefold())))


def masked(address: str) -> str:
    """An address that a log may carry: enough to tell two apart, not enough to write to."""
    local, at, domain = address.rpartition("@")
    if at:
        return f"{local[:1]}…@{domain}"
    return f"{address[:3]}…{address[-2:]}" if len(address) > 6 else "…"
