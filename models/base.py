"""What all tables share: naming, aware timestamps, JSON, enumerations kept as text, and the tenant mixin.

Every key of a tenant table begins with `merchant_id`, so that the schema can one day be distributed by it, and
every tenant table carries row-level security (`alembic/` forces it; a test fails for a table without).
"""

import functools
from collections.abc import Callable
from enum import StrEnum
from typing import Any, ClassVar, Self, cast

from sqlalchemy import BigInteger, DateTime, Integer, SmallInteger, String, Text, inspect
from sqlalchemy.dialects.postgresql import JSONB
from sqlmodel import Field, SQLModel

SQLModel.metadata.naming_convention = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(referred_table_name)s",
    "pk": "pk_%(table_name)s",
}


class Scope(StrEnum):
    """Which login may see a table, and how the policies of the first migration are made."""

    TENANT = "tenant"  # application login, one merchant at a time
    SHARED = "shared"  # system login sees all, the application login its own merchant's rows
    PLATFORM = "platform"  # system login only
    ACCOUNT = "account"  # application login, no tenant: users


class Table(SQLModel):
    """Base of every table; `scope` decides who may see it."""

    scope: ClassVar[Scope]

    def __setattr__(self, name: str, value: Any) -> None:
        """Through SQLAlchemy's own attribute alone.

        SQLModel looks up whether there is one and then sets the value through pydantic as well, which checks nothing
        on a table: a third of the time that making a ghost of eighty columns takes.
        """
        object.__setattr__(self, name, value)

    @classmethod
    def fresh(cls, **values: Any) -> Self:
        """A new row, as the constructor makes it, a tenth of the time.

        The constructor sets each column through SQLAlchemy's history, defaults one by one. A row that is not in the
        database has no history: its values can be put where SQLAlchemy keeps them. Raises `TypeError` for no column.
        """
        plain, made = _defaults(cls)
        if not values.keys() <= cls.model_fields.keys():
            raise TypeError(f"{cls.__name__} has no {sorted(values.keys() - cls.model_fields.keys())}")
        row = inspect(cls).class_manager.new_instance()
        row.__dict__.update(plain)
        row.__dict__.update({name: factory() for name, factory in made.items() if name not in values})
        row.__dict__.update(values)
        return cast(Self, row)


@functools.cache
def _defaults(table: type[Table]) -> tuple[dict[str, Any], dict[str, Callable[[], Any]]]:
    """What columns hold that nobody names: values, and what makes them."""
    fields = table.model_fields.items()
    made = {name: field.default_factory for name, field in fields if field.default_factory is not None}
    plain = {name: field.default for name, field in fields if name not in made and not field.is_required()}
    return plain, cast(dict[str, Callable[[], Any]], made)


class TenantTable(Table):
    """A row that belongs to one merchant; the key is (merchant_id, id)."""

    scope = Scope.TENANT

    merchant_id: str = Field(primary_key=True, max_length=40)
    id: str = Field(primary_key=True, max_length=64)


def utc_column(*, nullable: bool = False, **options: Any) -> Any:
    """An aware timestamp; PostgreSQL keeps UTC."""
    return Field(sa_type=DateTime(timezone=True), nullable=nullable, **options)


def optional_utc() -> Any:
    return utc_column(nullable=True, default=None)


def cents(**options: Any) -> Any:
    """Money in minor units: 64 bits, because yen and lifetime totals outgrow 32."""
    return Field(default=0, sa_type=BigInteger, nullable=False, sa_column_kwargs={"server_default": "0"}, **options)


def count() -> Any:
    return Field(default=0, sa_type=Integer, nullable=False, sa_column_kwargs={"server_default": "0"})


def shard() -> Any:
    """Which of a sum's parts a row is: part of its key, so that each part has one writer at a time."""
    return Field(default=0, primary_key=True, sa_type=SmallInteger, sa_column_kwargs={"server_default": "0"})


def json_object() -> Any:
    return Field(default_factory=dict, sa_type=JSONB, nullable=False, sa_column_kwargs={"server_default": "{}"})


def long_text() -> Any:
    return Field(default="", sa_type=Text, nullable=False, sa_column_kwargs={"server_default": ""})


def enum_text(default: StrEnum | None = None) -> Any:
    """An enumeration as text: a new member needs no migration, and a reader of the table sees the word."""
    if default is None:
        return Field(sa_type=String(32), nullable=False)
    return Field(default=default, sa_type=String(32), nullable=False)
