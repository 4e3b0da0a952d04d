"""What happened, for people and for the bill: the live log, who did what, and the activity ledger.

All three only grow, so they are partitioned by id, whose first digits are its time (`core.ids`): the primary key
stays (merchant_id, id), and what is past its time goes as a whole partition. `services/audit/partitions.py` makes and
drops them; the migration that made the tables holds the rules.
"""

from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, String
from sqlmodel import Field

from models.base import TenantTable, json_object, long_text, utc_column

_BY_ID = {"postgresql_partition_by": "RANGE (id)"}


def _ordered_id() -> Any:
    """An id whose order is its time's on every server: bytes, not a language's alphabet."""
    return Field(primary_key=True, sa_type=String(64, collation="C"))


class SystemLog(TenantTable, table=True):
    """The live log a merchant sees; no PII in it. Partitioned by month; kept 90 days, then dropped by whole months."""

    __tablename__ = "system_logs"

    id: str = _ordered_id()
    level: str = Field(default="info", max_length=16)
    event: str = Field(max_length=64)
    message: str = long_text()
    facts: dict[str, Any] = json_object()
    occurred_at: datetime = utc_column()

    __table_args__ = _BY_ID


class AuditLog(TenantTable, table=True):
    """Who did what to which thing, append-only. Partitioned by year; kept 7 years, then dropped by whole years."""

    __tablename__ = "audit_log"

    id: str = _ordered_id()
    actor_id: str = Field(default="", max_length=40)
    action: str = Field(max_length=64)
    target: str = Field(default="", max_length=128)
    facts: dict[str, Any] = json_object()
    occurred_at: datetime = utc_column()

    __table_args__ = _BY_ID


class UsageLog(TenantTable, table=True):
    """The activity ledger: what PHANTOM did that an operator may bill for, append-only, one row an effect.

    `quantity` is a count, or minor units where `currency` is set (negative for a reversal). Partitioned by month; kept
    13 months, then dropped by whole months: Stripe's meters take nothing older than 35 days.
    """

    __tablename__ = "usage_logs"

    id: str = _ordered_id()
    kind: str = Field(max_length=48)
    quantity: int = Field(sa_type=BigInteger, nullable=False)
    currency: str = Field(default="", max_length=3)
    reference: str = Field(default="", max_length=64)  # the message, ghost or reversal it stands for
    occurred_at: datetime = utc_column()

    __table_args__ = _BY_ID
