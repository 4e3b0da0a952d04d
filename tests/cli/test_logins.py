"""The database logins: made where they are ours to make, members of one group each, and none too powerful."""

from collections.abc import Iterator

import psycopg
import pytest

from cli.logins import Logins, ensure_logins, grant_groups, login_problems
from tests.support.database import WorkerDatabase
from tests.support.servers import RunServers


@pytest.fixture
def logins(database: WorkerDatabase) -> Logins:
    return Logins.of_urls(database.admin_url, database.url, database.system_url)


@pytest.fixture
def owner(logins: Logins) -> "Iterator[psycopg.Connection[tuple[object, ...]]]":
    with logins.owner.connect() as connection:
        yield connection


class TestLogins:
    def test_reads_an_url_with_odd_characters(self) -> None:
        login = Logins.of_urls("postgresql+psycopg://a%40b:p%2Fw@h/data%20base", "", "").owner
        assert (login.user, login.password, login.database) == ("a@b", "p/w", "data base")

    def test_what_the_migrations_left_is_harmless(self, logins: Logins) -> None:
        assert login_problems(logins) == []

    def test_the_application_cannot_make_tables_nor_see_other_tenants(self, logins: Logins) -> None:
        with logins.application.connect() as connection:
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute("create table mine (id int)")
            assert connection.execute("select count(*) from ghost_targets").fetchone() == (0,)

    def test_the_platform_sees_no_tenant_table(self, logins: Logins) -> None:
        with logins.platform.connect() as connection, pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute("select 1 from ghost_targets")

    def test_repeating_it_changes_nothing(self, logins: Logins, run_servers: RunServers) -> None:
        ensure_logins(logins, maintenance_url=run_servers.url("postgres", "phantom_owner"))
        grant_groups(logins)
        assert login_problems(logins) == []


class TestTooPowerful:
    def test_the_owner_as_application(self, logins: Logins) -> None:
        """Row-level security does not bind a superuser, whatever the policies say."""
        careless = Logins(logins.owner, logins.owner, logins.platform)
        assert "the login of DATABASE_URL is a superuser" in login_problems(careless)

    def test_a_login_that_bypasses(
        self, logins: Logins, owner: "psycopg.Connection[tuple[object, ...]]", run_servers: RunServers
    ) -> None:
        owner.execute("create role test_bypasser login bypassrls password 'x'")
        try:
            bypasser = Logins.of_urls("", run_servers.url("postgres", "test_bypasser"), "").application
            found = login_problems(Logins(logins.owner, bypasser, logins.platform))
            assert found == ["the login of DATABASE_URL may bypass row-level security"]
        finally:
            owner.execute("drop role test_bypasser")

    def test_one_login_for_both(self, logins: Logins) -> None:
        same = Logins(logins.owner, logins.application, logins.application)
        assert login_problems(same) == ["DATABASE_URL and DATABASE_SYSTEM_URL name the same login"]
