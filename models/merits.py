"""The day's sums by mechanism: by what money came back, and by what charges were made safe."""

from datetime import date
from enum import StrEnum

from sqlalchemy import PrimaryKeyConstraint
from sqlmodel import Field

from models.base import Scope, Table, cents, count, shard


class MeritKind(StrEnum):
    RECOVERED = "recovered"
    PROTECTED = "protected"
    FAILED = "failed"  # what was thought safe and failed after all: below zero


class DailyMerits(Table, table=True):
    """What a day's (UTC) entries of the ledger come to by mechanism, in at most 16 shards; changed with the ledger.

    As `DailyMetrics`, of which these are parts: a row for each mechanism that anything came by on the day, instead
    of columns, because a key carries 32 at most. Grows by the days on which something came back or was made safe.
    """

    __tablename__ = "daily_merits"
    scope = Scope.TENANT

    merchant_id: str = Field(primary_key=True, max_length=40)
    currency: str = Field(primary_key=True, max_length=3)
    day: date = Field(primary_key=True)
    kind: str = Field(primary_key=True, max_length=32)
    mechanism: str = Field(primary_key=True, max_length=32)
    shard: int = shard()
    amount_cents: int = cents()
    times: int = count()

    __table_args__ = (
        PrimaryKeyConstraint(
            "merchant_id",
            "currency",
            "day",
            "kind",
            "mechanism",
            "shard",
            postgresql_include=["amount_cents", "times"],
        ),
    )
