"""Keys for purposes other than encryption, each derived from the master key so that none can stand in for another."""

import functools
from enum import StrEnum

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from core.config import settings

DERIVED_KEY_BYTES = 32
_SALT = b"phantom.derive.v1"


class Purpose(StrEnum):
    LINK_TOKENS = "link-tokens"
    ATTRIBUTION = "attribution"
    API_KEYS = "api-keys"
    SUPPRESSIONS = "suppressions"
    TOMBSTONES = "tombstones"
    OWNER_LINKS = "owner-links"


@functools.lru_cache(maxsize=128)
def _hkdf(master: bytes, purpose: str) -> bytes:
    return HKDF(hashes.SHA256(), DERIVED_KEY_BYTES, salt=_SALT, info=purpose.encode()).derive(master)


def derive_key(purpose: Purpose, version: int | None = None) -> bytes:
    """32 bytes for one purpose, from the current `ENCRYPTION_KEY` or from an older `version` of it.

    HKDF-SHA256 (RFC 5869). Raises `KeyError` for a version that is not configured.
    """
    configured = settings()
    return _hkdf(configured.master_keys()[version or configured.encryption_key_version], purpose.value)


def derived_keys(purpose: Purpose) -> tuple[bytes, ...]:
    """The purpose's keys of all configured versions, the current first.

    For checking what was made before a rotation: a link mailed last week must still open.
    """
    configured = settings()
    masters = configured.master_keys()
    current = configured.encryption_key_version
    versions = [current, *sorted((version for version in masters if version != current), reverse=True)]
    return tuple(_hkdf(masters[version], purpose.value) for version in versions)
