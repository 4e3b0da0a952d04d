"""What a merchant is told about the health of their PHANTOM: what could not be read, and what webhooks were seen."""

from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import String
from sqlmodel import Field

from models.base import Scope, Table, count, json_object, utc_column


class ReadVia(StrEnum):
    HUNT = "hunt"
    WEBHOOK = "webhook"


class UnreadableObjects(Table, table=True):
    """Objects of Stripe's that could not be read, by what was missing and by API shape: one row for all of a kind.

    `number` is of the latest hunt that met any, or of all webhooks since `first_at`; `examples` are a few ids. At most
    some dozens of rows a tenant, since reasons and shapes are closed lists; what is readable again is pruned by hunts.
    """

    __tablename__ = "unreadable_objects"
    scope = Scope.TENANT

    merchant_id: str = Field(primary_key=True, max_length=40)
    via: ReadVia = Field(primary_key=True, sa_type=String(16))
    reason: str = Field(primary_key=True, max_length=48)
    shape: str = Field(primary_key=True, max_length=16)  # empty for what has one shape only
    hunt_id: str = Field(default="", max_length=40)  # whose number it is
    number: int = count()
    examples: dict[str, Any] = json_object()
    first_at: datetime = utc_column()
    last_at: datetime = utc_column()


class WebhookSighting(Table, table=True):
    """When an event of a type was last received for a merchant. At most one row a tenant and handled type; kept."""

    __tablename__ = "webhook_sightings"
    scope = Scope.SHARED

    merchant_id: str = Field(primary_key=True, max_length=40)
    type: str = Field(primary_key=True, max_length=120)
    last_at: datetime = utc_column()


class IntakeOutcome(Table, table=True):
    """What became of deliveries at an endpoint, all merchants together, since the last genuine one of our mode.

    `number` and `first_at` of refusals begin anew whenever a genuine delivery came. At most six rows, kept for good.
    """

    __tablename__ = "intake_outcomes"
    scope = Scope.PLATFORM

    endpoint: str = Field(primary_key=True, max_length=16)
    outcome: str = Field(primary_key=True, max_length=24)
    number: int = count()
    first_at: datetime = utc_column()
    last_at: datetime = utc_column()
