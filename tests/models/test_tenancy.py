"""The second wall: every tenant table is forced behind row-level security, and each login sees only its own."""

import psycopg
import pytest
from sqlalchemy import text
from sqlalchemy.exc import ProgrammingError
from sqlmodel import SQLModel, select

import models
from core import db
from core.clock import ManualClock
from jobs import janitor
from models.base import Scope, Table
from models.merchant import Merchant, StripeAccount
from models.work import ScheduledTask
from tests.support.database import WorkerDatabase
from tests.support.factories import make_merchant

assert models


def _mapped(base: type[SQLModel] = Table) -> list[type[Table]]:
    found = [base] if hasattr(base, "__table__") else []
    return found + [each for child in base.__subclasses__() for each in _mapped(child)]


TABLES = {model.__tablename__: model.scope for model in _mapped()}
SEEN_BY_APPLICATION = {name for name, scope in TABLES.items() if scope is not Scope.PLATFORM}
SEEN_BY_SYSTEM = {name for name, scope in TABLES.items() if scope in (Scope.PLATFORM, Scope.SHARED)}


def _can(session: db.Session, table: str) -> bool:
    allowed = session.scalar(text("select has_table_privilege(current_user, :table, 'select')"), {"table": table})
    return bool(allowed)


class TestSchema:
    def test_every_table_is_forced_behind_row_level_security(self, database: WorkerDatabase):
        with psycopg.connect(database.admin_url) as owner:
            rows = owner.execute(
                "select relname, relispartition, relrowsecurity, relforcerowsecurity from pg_class "
                "where relnamespace = 'public'::regnamespace and relkind in ('r', 'p') and relname <> 'alembic_version'"
            ).fetchall()
        assert {name for name, is_partition, *_ in rows if not is_partition} == set(TABLES)
        assert [name for name, _, enabled, forced in rows if not (enabled and forced)] == []

    def test_nobody_reaches_a_partition_past_its_tables_policies(self, database: WorkerDatabase, clock: ManualClock):
        janitor.keep_partitions()
        with psycopg.connect(database.admin_url) as owner:
            partitions = [
                str(name)
                for (name,) in owner.execute(
                    "select relname from pg_class where relispartition and relkind = 'r'"
                    " and relnamespace = 'public'::regnamespace"
                )
            ]
            granted = owner.execute(
                "select c.relname from pg_class c, aclexplode(c.relacl) a where c.relname = any(%s)"
                " and a.grantee <> c.relowner",
                (partitions,),
            ).fetchall()
        assert len(partitions) > 6
        assert granted == []
        with db.user_session() as application, db.system_session() as system:
            for name in partitions:
                assert not _can(application, name)
                assert not _can(system, name)

    def test_the_application_login_is_no_owner_and_bypasses_nothing(self, database: WorkerDatabase):
        with db.user_session() as session:
            row = session.execute(
                text("select rolsuper, rolbypassrls, rolcreaterole from pg_roles where rolname = current_user")
            ).one()
        assert tuple(row) == (False, False, False)

    @pytest.mark.parametrize("table", sorted(TABLES))
    def test_each_login_sees_its_own_tables_alone(self, database: WorkerDatabase, table: str):
        with db.user_session() as application, db.system_session() as system:
            assert _can(application, table) is (table in SEEN_BY_APPLICATION)
            assert _can(system, table) is (table in SEEN_BY_SYSTEM)


class TestRows:
    def test_without_a_tenant_there_are_no_rows(self, database: WorkerDatabase, clock: ManualClock):
        make_merchant()
        with db.user_session() as session:
            assert session.exec(select(Merchant)).all() == []

    def test_one_tenant_sees_its_own_row_and_no_other(self, database: WorkerDatabase, clock: ManualClock):
        mine, _other = make_merchant(), make_merchant()
        with db.tenant_session(mine) as session:
            assert [row.id for row in session.exec(select(Merchant)).all()] == [mine]
            assert [row.merchant_id for row in session.exec(select(StripeAccount)).all()] == [mine]

    def test_a_row_for_another_tenant_is_refused(self, database: WorkerDatabase, clock: ManualClock):
        mine, other = make_merchant(), make_merchant()
        with pytest.raises(ProgrammingError, match="row-level security"), db.tenant_session(mine) as session:
            session.add(ScheduledTask(kind="probe", merchant_id=other, run_at=clock.now(), created_at=clock.now()))

    def test_the_system_login_cannot_read_a_tenant(self, database: WorkerDatabase, clock: ManualClock):
        make_merchant()
        with pytest.raises(ProgrammingError, match="permission denied"), db.system_session() as session:
            session.exec(select(Merchant)).all()

    def test_the_tenant_ends_with_the_transaction(self, database: WorkerDatabase, clock: ManualClock):
        mine = make_merchant()
        with db.tenant_session(mine) as session:
            session.exec(select(Merchant)).all()
        with db.user_session() as session:
            assert session.scalar(text("select current_setting('app.merchant_id', true)")) in ("", None)

    @pytest.mark.parametrize("table", ["recoveries", "ghost_events", "audit_log", "system_logs", "usage_logs"])
    def test_what_is_append_only_cannot_be_rewritten(self, database: WorkerDatabase, table: str):
        with pytest.raises(ProgrammingError, match="permission denied"), db.tenant_session("mer_1") as session:
            session.execute(text(f"delete from {table}"))  # noqa: S608  # the names stand above
