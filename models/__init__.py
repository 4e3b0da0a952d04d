"""Every table, so that importing `models` fills the metadata Alembic compares with."""

from models import (
    audit,
    base,
    ghost,
    health,
    identity,
    merchant,
    merits,
    messaging,
    money,
    presence,
    privacy,
    sending,
    templates,
    usage,
    vault,
    work,
)

__all__ = [
    "audit",
    "base",
    "ghost",
    "health",
    "identity",
    "merchant",
    "merits",
    "messaging",
    "money",
    "presence",
    "privacy",
    "sending",
    "templates",
    "usage",
    "vault",
    "work",
]
