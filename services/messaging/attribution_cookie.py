"""The cookie that a confirmed click leaves: an opaque, signed word that this browser followed this very link.

Its value is the link's random id, the moment of the click and an HMAC-SHA256 over both, base64url. Nothing about
merchant or customer can be read from it, and it says nothing for any other link: whoever copies it to another
merchant's return page, changes a byte, or comes after 30 days, has no cookie at all.
"""

import base64
import binascii
import hashlib
import hmac
import struct
from datetime import datetime, timedelta

from core.clock import from_timestamp
from models.messaging import LinkPurpose
from services.messaging import links
from services.vault.keys import Purpose, derive_key, derived_keys

NAME = "phantom_attribution"
LIFETIME = timedelta(days=30)
_CLOCKS_APART = timedelta(minutes=5)
_BODY = struct.Struct(">16sQ")
_TAG_BYTES = 16
_LONGEST = 64


def made(token: str, now: datetime) -> str:
    """The value for a click on the link with this genuine token, at `now` (aware). Raises `LinkNotFoundError`."""
    identity = bytes.fromhex(links.identity_of(token, LinkPurpose.PAY))
    body = _BODY.pack(identity, int(now.timestamp()))
    return base64.urlsafe_b64encode(body + _tag(derive_key(Purpose.ATTRIBUTION), body)).decode().rstrip("=")


def clicked_at(value: str | None, token: str, now: datetime) -> datetime | None:
    """When this browser clicked the link of `token`; None for no cookie, another link's, a forged or an old one."""
    if not value or len(value) > _LONGEST:
        return None
    try:
        raw = base64.b64decode(value + "=" * (-len(value) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        return None
    body, tag = raw[: _BODY.size], raw[_BODY.size :]
    if len(tag) != _TAG_BYTES:
        return None
    # All keys are tried, so that a click made before a key rotation still counts.
    genuine = [hmac.compare_digest(_tag(key, body), tag) for key in derived_keys(Purpose.ATTRIBUTION)]
    identity, seconds = _BODY.unpack(body)
    if not any(genuine) or identity.hex() != links.identity_of(token, LinkPurpose.PAY):
        return None
    at = from_timestamp(seconds)
    return at if -_CLOCKS_APART <= now - at <= LIFETIME else None


def _tag(key: bytes, body: bytes) -> bytes:
    return hmac.digest(key, body, hashlib.sha256)[:_TAG_BYTES]
