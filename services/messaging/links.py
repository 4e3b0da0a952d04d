"""Links in messages: opaque, signed, checked before any database is asked.

A token is 16 random bytes and 16 bytes of HMAC-SHA256 over (purpose, random bytes), base64url. The key derives from
`ENCRYPTION_KEY` for this purpose alone. The random part names a row in `link_tokens`; nothing about merchant or
customer can be read from the link itself.
"""

import base64
import binascii
import hashlib
import hmac
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlmodel import Session

from core import clock
from core.config import settings
from core.errors import NotFoundError
from models.messaging import Channel, LinkPurpose
from services.messaging import repository
from services.messaging.addresses import spelled, spellings
from services.vault.keys import Purpose, derive_key, derived_keys

_ID_BYTES, _TAG_BYTES = 16, 16


class LinkNotFoundError(NotFoundError):
    code, title = "link_not_found", "This link does not work"


@dataclass(frozen=True, slots=True)
class Link:
    """What a link stands for."""

    merchant_id: str
    ghost_id: str
    message_id: str
    purpose: LinkPurpose


def _tag(key: bytes, purpose: LinkPurpose, identity: bytes) -> bytes:
    return hmac.digest(key, purpose.encode() + b":" + identity, hashlib.sha256)[:_TAG_BYTES]


def create(session: Session, merchant_id: str, ghost_id: str, message_id: str, purpose: LinkPurpose) -> str:
    """The public address of a new link, stored in the caller's tenant transaction."""
    identity = secrets.token_bytes(_ID_BYTES)
    repository.add_token(
        session,
        {
            "id": identity.hex(),
            "purpose": purpose,
            "merchant_id": merchant_id,
            "ghost_id": ghost_id,
            "message_id": message_id,
            "created_at": clock.now(),
        },
    )
    token = base64.urlsafe_b64encode(identity + _tag(derive_key(Purpose.LINK_TOKENS), purpose, identity))
    path = "r" if purpose is LinkPurpose.PAY else "u"
    return f"{settings().public_url}/{path}/{token.decode().rstrip('=')}"


def identity_of(token: str, purpose: LinkPurpose) -> str:
    """The id of a genuine token of this purpose. Raises `LinkNotFoundError` for anything else."""
    if len(token) > 64:
        raise LinkNotFoundError
    try:
        raw = base64.b64decode(token + "=" * (-len(token) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        raise LinkNotFoundError from None
    identity, tag = raw[:_ID_BYTES], raw[_ID_BYTES:]
    # All keys are tried, so that a link mailed before a key rotation still opens.
    genuine = [hmac.compare_digest(_tag(key, purpose, identity), tag) for key in derived_keys(Purpose.LINK_TOKENS)]
    if len(raw) != _ID_BYTES + _TAG_BYTES or not any(genuine):
        raise LinkNotFoundError
    return identity.hex()


def resolve(session: Session, token: str, purpose: LinkPurpose) -> Link:
    """What a genuine link stands for; a system session, because no tenant is known yet."""
    row = repository.get_token(session, identity_of(token, purpose))
    if row is None or row.purpose != purpose:
        raise LinkNotFoundError
    return Link(row.merchant_id, row.ghost_id, row.message_id, purpose)


def address_hash(key: bytes, merchant_id: str, channel: Channel, address: str) -> str:
    """What stands for an address in suppressions and consents: keyed, and a merchant's and channel's own."""
    return _hash(key, merchant_id, channel, spelled(channel, address))


def address_hashes(keys: Sequence[bytes], merchant_id: str, channel: Channel, address: str) -> tuple[str, ...]:
    """All that an address may stand under: the keys it may have been hashed with, and the spellings of before."""
    known = spellings(channel, address)
    return tuple(_hash(key, merchant_id, channel, each) for key in keys for each in known)


def _hash(key: bytes, merchant_id: str, channel: Channel, address: str) -> str:
    return hmac.digest(key, f"{merchant_id}:{channel}:{address}".encode(), hashlib.sha256).hex()


def customer_line(customer_id: str) -> str:
    """What stands for a person, whatever their address, among the suppressed addresses of a channel: it is none."""
    return f"customer:{customer_id}"


def suppress_customer(session: Session, merchant_id: str, customer_id: str, reason: str) -> bool:
    """Write no more mail to a customer, wherever they have it sent to. False when that was so already."""
    return suppress(session, merchant_id, Channel.EMAIL, customer_line(customer_id), reason)


def suppress(
    session: Session, merchant_id: str, channel: Channel, address: str, reason: str, at: datetime | None = None
) -> bool:
    """Write no more to an address on a channel, as was said `at` (now). False when that was so already."""
    return repository.add_suppression(
        session,
        {
            "merchant_id": merchant_id,
            "channel": channel,
            "address_hash": address_hash(derive_key(Purpose.SUPPRESSIONS), merchant_id, channel, address),
            "reason": reason,
            "created_at": at or clock.now(),
        },
    )
