"""Every table, so that importing `models` fills the metadata Alembic compares with."""

from models import audit, base, ghost, identity, merchant, messaging, money, privacy, sending, vault, work

__all__ = [
    "audit",
    "base",
    "ghost",
    "identity",
    "merchant",
    "messaging",
    "money",
    "privacy",
    "sending",
    "vault",
    "work",
]
