"""The schema can be spread over machines by merchant: no key and no reference of a tenant table crosses merchants.

A distributed PostgreSQL (Citus) keeps a unique key or a foreign key only where it contains the column that the rows are
distributed by. Partitions count as their tables do.
"""

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from core.clock import ManualClock
from jobs import janitor
from models.base import Scope
from tests.models.test_tenancy import TABLES
from tests.support.database import WorkerDatabase

TENANT = sorted(name for name, scope in TABLES.items() if scope is Scope.TENANT)
# `merchants` is distributed by its own id, which is everybody else's merchant_id.
_COLUMN = "case when tenant.root = 'merchants' then 'id' else 'merchant_id' end"
_TENANT = """
with tenant as (
    select c.oid, coalesce(parent.relname, c.relname)::text as root, c.relname::text as name
    from pg_class c left join pg_inherits on inhrelid = c.oid and c.relispartition
    left join pg_class parent on parent.oid = inhparent
    where c.relkind in ('r', 'p') and c.relnamespace = 'public'::regnamespace
        and coalesce(parent.relname, c.relname)::text = any(%(tenant)s)
)"""
# Included columns and expressions make no key fit: a row is found by the plain key columns alone.
UNIQUE = f"""{_TENANT}
select tenant.name || '.' || indexrelid::regclass::text
from tenant join pg_index on indrelid = tenant.oid and (indisunique or indisexclusion)
where {_COLUMN} not in (
    select attname::text from pg_attribute
    where attrelid = indrelid and attnum = any((indkey::int2[])[0:indnkeyatts - 1]))
order by 1"""  # noqa: S608  # parts above, no input
REFERENCES = f"""{_TENANT}
select distinct conrelid::regclass::text || '.' || conname
from tenant join pg_constraint on contype = 'f' and (conrelid = tenant.oid or confrelid = tenant.oid)
where not exists (
    select from unnest(conkey, confkey) as pair (here, there)
    join pg_attribute near on near.attrelid = conrelid and near.attnum = here
    join pg_attribute far on far.attrelid = confrelid and far.attnum = there
    join tenant referrer on referrer.oid = conrelid
    join tenant target on target.oid = confrelid
    where near.attname = case when referrer.root = 'merchants' then 'id' else 'merchant_id' end
        and far.attname = case when target.root = 'merchants' then 'id' else 'merchant_id' end)
order by 1"""  # noqa: S608  # parts above, no input


@pytest.fixture
def owner(database: WorkerDatabase, clock: ManualClock) -> Iterator["psycopg.Connection[Any]"]:
    """The schema with partitions, in a transaction that is rolled back."""
    janitor.keep_partitions()
    with psycopg.connect(database.admin_url) as connection:
        yield connection
        connection.rollback()


def found(owner: "psycopg.Connection[Any]", query: str) -> list[str]:
    return [str(row[0]) for row in owner.execute(query.encode(), {"tenant": TENANT})]


class TestKeys:
    def test_every_unique_key_of_a_tenant_table_contains_the_merchant(self, owner: "psycopg.Connection[Any]") -> None:
        assert found(owner, UNIQUE) == []

    @pytest.mark.parametrize(
        "bad",
        [
            "create unique index bad on ghost_targets (id)",
            "create unique index bad on ghost_targets (id) include (merchant_id)",
            "create unique index bad on ghost_targets (lower(merchant_id), id)",
            "create unique index bad on ghost_targets (lower(id))",
            "alter table merchants add constraint bad unique (stripe_user_id)",
            "alter table ghost_targets add constraint bad exclude using btree (id with =)",
        ],
    )
    def test_one_that_does_not_would_be_found(self, owner: "psycopg.Connection[Any]", bad: str) -> None:
        owner.execute(bad.encode())
        assert [name.partition(".")[2] for name in found(owner, UNIQUE)] == ["bad"]

    def test_one_of_a_partition_would_be_found(self, owner: "psycopg.Connection[Any]") -> None:
        query = "select relname from pg_class where relispartition and relkind = 'r' and relname like 'system_logs%'"
        names = [str(row[0]) for row in owner.execute(query.encode())]
        assert names
        owner.execute(f"create unique index bad on {names[0]} (id)".encode())
        assert found(owner, UNIQUE) == [f"{names[0]}.bad"]


class TestReferences:
    def test_none_of_a_tenant_table_crosses_merchants(self, owner: "psycopg.Connection[Any]") -> None:
        assert found(owner, REFERENCES) == []

    @pytest.mark.parametrize(
        ("columns", "target", "fits"),
        [
            ("merchant_id, invoice", "ghost_targets (merchant_id, id)", True),
            ("merchant_id", "merchants (id)", True),
            ("invoice, merchant_id", "ghost_targets (merchant_id, id)", False),  # the merchants are crossed over
            ("account", "stripe_accounts (stripe_user_id)", False),  # a table that is not distributed
        ],
    )
    def test_one_that_does_would_be_found(
        self, owner: "psycopg.Connection[Any]", columns: str, target: str, fits: bool
    ) -> None:
        owner.execute(b"alter table messages add column invoice text, add column account text")
        owner.execute(f"alter table messages add constraint bad foreign key ({columns}) references {target}".encode())
        assert found(owner, REFERENCES) == ([] if fits else ["messages.bad"])

    def test_one_to_a_tenant_table_from_outside_would_be_found(self, owner: "psycopg.Connection[Any]") -> None:
        owner.execute(b"alter table stripe_accounts add constraint bad foreign key (merchant_id) references merchants")
        assert found(owner, REFERENCES) == ["stripe_accounts.bad"]
