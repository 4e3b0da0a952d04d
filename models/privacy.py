"""What keeps personal data away that was removed."""

from datetime import datetime
from enum import StrEnum

from sqlalchemy import String
from sqlmodel import Field

from models.base import Scope, Table, utc_column


class TombstoneKind(StrEnum):
    INVOICE = "invoice"
    CUSTOMER = "customer"


class Tombstone(Table, table=True):
    """An invoice or customer that must not be imported again, as a keyed hash of its id.

    Kept for as long as the merchant: it is what makes a removal last. One row a purged ghost or erased customer.
    """

    __tablename__ = "tombstones"
    scope = Scope.TENANT

    merchant_id: str = Field(primary_key=True, max_length=40)
    kind: TombstoneKind = Field(primary_key=True, sa_type=String(16))
    object_hash: str = Field(primary_key=True, max_length=64)
    created_at: datetime = utc_column()
