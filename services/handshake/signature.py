"""Stripe's webhook signature, checked over the raw bytes (docs.stripe.com/webhooks, "Verify webhook signatures").

Stricter than the vendor's library where that is lenient: the future is refused like the past, a second `t=` is
refused, and only digits and hex digits are read as such.
"""

import hmac
import re
from collections.abc import Sequence
from datetime import datetime

from services.handshake.errors import SignatureError

TOLERANCE_SECONDS = 300
MAX_HEADER = 4096

_SECONDS = re.compile(r"[0-9]{1,12}", re.ASCII)
_DIGEST = re.compile(r"[0-9a-f]{64}", re.ASCII)


def verify(raw: bytes, header: str, secrets: Sequence[str], now: datetime) -> None:
    """Return if one of the header's `v1` signatures was made with one of `secrets` within 300 s of `now`.

    Several `v1` are normal while a secret is being rolled; `v0` and unknown schemes are ignored. Raises
    `SignatureError`. Comparisons take constant time. An empty secret is never used.
    """
    seconds, signatures = _parse(header)
    if abs(now.timestamp() - int(seconds)) > TOLERANCE_SECONDS:
        raise SignatureError("outside the tolerance")
    signed = seconds.encode() + b"." + raw
    genuine = False
    for secret in secrets:
        if not secret:
            continue
        expected = hmac.digest(secret.encode(), signed, "sha256")  # in one call, twice as quick as hmac.new
        for signature in signatures:
            genuine |= hmac.compare_digest(expected, signature)  # no early end: time tells nothing
    if not genuine:
        raise SignatureError("no signature matches")


def _parse(header: str) -> tuple[str, list[bytes]]:
    if not header:
        raise SignatureError("missing")
    if len(header) > MAX_HEADER:
        raise SignatureError("header too long")
    seconds: list[str] = []
    signatures: list[bytes] = []
    for part in header.split(","):
        name, _, value = part.partition("=")
        if name == "t":
            seconds.append(value)
        elif name == "v1" and _DIGEST.fullmatch(value):
            signatures.append(bytes.fromhex(value))
    if len(seconds) != 1 or not _SECONDS.fullmatch(seconds[0]):
        raise SignatureError("no single timestamp")
    if not signatures:
        raise SignatureError("no v1 signature")
    return seconds[0], signatures
