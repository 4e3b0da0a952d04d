"""Svix's webhook signature, as Resend uses it, over the raw bytes (docs.svix.com, "Verifying payloads manually").

Not by the vendor's library, which reads the machine's clock: demo and tests live on `core.clock`.
"""

import base64
import binascii
import hashlib
import hmac
import re
from collections.abc import Mapping, Sequence
from datetime import datetime

from services.handshake.errors import SignatureError

TOLERANCE_SECONDS = 300
_MAX_SIGNATURES = 4096
_ID = re.compile(r"[\x21-\x7e]{1,128}", re.ASCII)
_SECONDS = re.compile(r"[0-9]{1,12}", re.ASCII)


def verify(raw: bytes, headers: Mapping[str, str], secrets: Sequence[str], now: datetime) -> str:
    """The delivery's id, if one of the `v1` signatures was made with one of `secrets` within 300 s of `now`.

    `headers` has lower-case names; a secret is `whsec_` and base64, and several are normal while one is rolled.
    Raises `SignatureError`. Comparisons take constant time; an empty or unreadable secret is never used.
    """
    identifier, seconds = headers.get("svix-id", ""), headers.get("svix-timestamp", "")
    signatures = headers.get("svix-signature", "")
    if not _ID.fullmatch(identifier) or not _SECONDS.fullmatch(seconds):
        raise SignatureError("no usable id or timestamp")
    if abs(now.timestamp() - int(seconds)) > TOLERANCE_SECONDS:
        raise SignatureError("outside the tolerance")
    if len(signatures) > _MAX_SIGNATURES:
        raise SignatureError("header too long")
    given = [part.removeprefix("v1,").encode() for part in signatures.split(" ") if part.startswith("v1,")]
    signed = f"{identifier}.{seconds}.".encode() + raw
    genuine = False
    for key in _keys(secrets):
        expected = base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest())
        for signature in given:
            genuine |= hmac.compare_digest(expected, signature)  # no early end: time tells nothing
    if not genuine:
        raise SignatureError("no signature matches")
    return identifier


def _keys(secrets: Sequence[str]) -> list[bytes]:
    keys = []
    for secret in secrets:
        try:
            key = base64.b64decode(secret.removeprefix("whsec_"), validate=True)
        except (binascii.Error, ValueError):
            continue
        if key:
            keys.append(key)
    return keys
