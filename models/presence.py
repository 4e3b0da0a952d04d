"""When a merchant's customers were last seen using the product."""

from datetime import datetime

from sqlalchemy import Index
from sqlmodel import Field

from models.base import Scope, Table, utc_column


class Presence(Table, table=True):
    """The first and the latest use of one customer; one row a customer, whatever they do.

    Written by who decides on access, at most once in some minutes a customer. Pruned when nobody has seen the customer
    for 90 days, so it holds the customers active in a quarter; an erasure removes theirs at once.
    """

    __tablename__ = "presence"
    scope = Scope.TENANT

    merchant_id: str = Field(primary_key=True, max_length=40)
    customer_id: str = Field(primary_key=True, max_length=64)
    first_seen_at: datetime = utc_column()
    last_seen_at: datetime = utc_column()

    __table_args__ = (Index("ix_presence_seen", "merchant_id", "last_seen_at"),)
