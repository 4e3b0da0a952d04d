"""What merchants say in PHANTOM's place."""

from datetime import datetime

from sqlalchemy import Boolean, String
from sqlmodel import Field

from models.base import Scope, Table, long_text, utc_column
from models.messaging import Channel


class MessageTemplate(Table, table=True):
    """One version of a merchant's own words for one message; the highest version counts, and a retired one means ours.

    Never changed: a correction is the next version, so who wrote what and when stands here. At most 50 versions of
    each message are kept. `decline_group` may be `*`, which stands for all groups that have none of their own.
    """

    __tablename__ = "message_templates"
    scope = Scope.TENANT

    merchant_id: str = Field(primary_key=True, max_length=40)
    decline_group: str = Field(primary_key=True, max_length=32)
    moment: str = Field(primary_key=True, max_length=16)
    channel: Channel = Field(primary_key=True, sa_type=String(16))
    language: str = Field(primary_key=True, max_length=8)
    version: int = Field(primary_key=True)
    subject: str = long_text()
    heading: str = long_text()
    body: str = long_text()
    button: str = long_text()
    retired: bool = Field(default=False, sa_type=Boolean, nullable=False)
    created_by: str = Field(default="", max_length=40)
    created_at: datetime = utc_column()
