"""What happened, for people: the live intelligence log, and who did what."""

from datetime import datetime
from typing import Any

from sqlalchemy import Index, text
from sqlmodel import Field

from models.base import TenantTable, json_object, long_text, utc_column


class SystemLog(TenantTable, table=True):
    """The live log a merchant sees; no PII in it. Pruned after 90 days."""

    __tablename__ = "system_logs"

    level: str = Field(default="info", max_length=16)
    event: str = Field(max_length=64)
    message: str = long_text()
    facts: dict[str, Any] = json_object()
    occurred_at: datetime = utc_column()

    __table_args__ = (Index("ix_system_logs_recent", "merchant_id", text("occurred_at desc"), "id"),)


class AuditLog(TenantTable, table=True):
    """Who did what to which thing, append-only; kept for as long as the merchant is."""

    __tablename__ = "audit_log"

    actor_id: str = Field(default="", max_length=40)
    action: str = Field(max_length=64)
    target: str = Field(default="", max_length=128)
    facts: dict[str, Any] = json_object()
    occurred_at: datetime = utc_column()

    __table_args__ = (Index("ix_audit_log_recent", "merchant_id", text("occurred_at desc")),)
