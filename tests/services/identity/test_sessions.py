"""Sessions: what a cookie opens, for how long, and what it never opens."""

from datetime import timedelta

import psycopg
import pytest

from core import ids
from core.clock import ManualClock
from core.db import system_session, tenant_session
from models.identity import Role, SignInMethod
from services.identity import people, sessions
from services.identity.permissions import ROLE_PERMISSIONS, Permission
from services.identity.schemas import NewSession
from services.identity.sessions import resolve_session
from tests.support.database import WorkerDatabase


def make_member(
    role: Role = Role.OWNER, merchant_id: str | None = None, email: str = "ada@shop.example"
) -> tuple[str, str]:
    """(user id, merchant id)"""
    merchant_id = merchant_id or ids.new_id("mer")
    with tenant_session(merchant_id) as tenant:
        user_id = people.create_person(tenant, email=email, name="Ada")
        people.provision_merchant(tenant, merchant_id, user_id, "Shop")
        people.add_member(tenant, merchant_id, user_id, role)
    return user_id, merchant_id


def open_for(user_id: str, merchant_id: str, replaces: str = "") -> NewSession:
    with system_session() as platform:
        return sessions.open_session(
            platform, user_id, merchant_id, SignInMethod.PASSWORD, user_agent="Browser\n\x00 1", replaces=replaces
        )


@pytest.mark.usefixtures("database")
class TestResolve:
    def test_names_person_merchant_and_permissions(self) -> None:
        user_id, merchant_id = make_member(Role.ANALYST)
        opened = open_for(user_id, merchant_id)
        found = resolve_session(opened.token)
        assert found is not None
        assert (found.user_id, found.merchant_id, found.merchant_name) == (user_id, merchant_id, "Shop")
        assert (found.email, found.name, found.email_verified) == ("ada@shop.example", "Ada", False)
        assert found.permissions == ROLE_PERMISSIONS[Role.ANALYST]
        assert opened.token not in repr(found)
        assert opened.token not in repr(opened)

    @pytest.mark.parametrize("value", ["", "x", "a" * 43, "a" * 42 + "'", "ü" * 43, "a" * 1_000_000, "a" * 43 + "\x00"])
    def test_opens_nothing_for_what_is_no_session(self, value: str) -> None:
        assert resolve_session(value) is None

    def test_stores_only_the_hash(self, database: WorkerDatabase) -> None:
        opened = open_for(*make_member())
        with psycopg.connect(database.admin_url) as connection:
            row = connection.execute("select * from sessions").fetchone()
        assert row is not None
        assert opened.token not in str(row)
        assert "Browser 1" in str(row)

    def test_a_stored_hash_opens_nothing(self) -> None:
        opened = open_for(*make_member())
        assert resolve_session(sessions.hash_token(opened.token)) is None

    def test_ends_when_the_membership_ends(self, database: WorkerDatabase) -> None:
        user_id, merchant_id = make_member()
        opened = open_for(user_id, merchant_id)
        with psycopg.connect(database.admin_url) as connection:
            connection.execute("delete from memberships")
        assert resolve_session(opened.token) is None

    def test_sees_a_changed_role_at_once(self) -> None:
        user_id, merchant_id = make_member(Role.OWNER)
        opened = open_for(user_id, merchant_id)
        with tenant_session(merchant_id) as tenant:
            people.add_member(tenant, merchant_id, user_id, Role.MEMBER)
        found = resolve_session(opened.token)
        assert found is not None
        assert not found.may(Permission.SECRETS_MANAGE)


@pytest.mark.usefixtures("database")
class TestLife:
    def test_ends_after_two_idle_weeks(self, clock: ManualClock) -> None:
        opened = open_for(*make_member())
        clock.advance(sessions.IDLE - timedelta(seconds=1))
        assert resolve_session(opened.token)
        clock.advance(sessions.IDLE - timedelta(seconds=1))
        assert resolve_session(opened.token), "use keeps it alive"
        clock.advance(sessions.IDLE)
        assert resolve_session(opened.token) is None

    def test_ends_after_ninety_days_however_busy(self, clock: ManualClock) -> None:
        opened = open_for(*make_member())
        for _ in range(89):
            clock.advance(timedelta(days=1))
            assert resolve_session(opened.token)
        clock.advance(timedelta(days=1))
        assert resolve_session(opened.token) is None

    def test_is_not_written_at_each_request(self, clock: ManualClock, database: WorkerDatabase) -> None:
        opened = open_for(*make_member())
        start = clock.now()
        for _ in range(4):
            clock.advance(timedelta(minutes=1))
            resolve_session(opened.token)
        with psycopg.connect(database.admin_url) as connection:
            assert connection.execute("select last_seen_at from sessions").fetchone() == (start,)

    def test_replacing_ends_the_former(self) -> None:
        user_id, merchant_id = make_member()
        former = open_for(user_id, merchant_id)
        opened = open_for(user_id, merchant_id, replaces=former.token)
        assert resolve_session(former.token) is None
        assert resolve_session(opened.token)


@pytest.mark.usefixtures("database")
class TestRevoking:
    def test_one_of_mine_but_not_another_persons(self) -> None:
        user_id, merchant_id = make_member()
        other_id, other_merchant = make_member(email="eve@shop.example")
        mine, theirs = open_for(user_id, merchant_id), open_for(other_id, other_merchant)
        with system_session() as platform:
            theirs_id = sessions.hash_token(theirs.token)
            assert not sessions.revoke_session(platform, user_id, theirs_id)
            assert sessions.revoke_session(platform, user_id, sessions.hash_token(mine.token))
        assert resolve_session(mine.token) is None
        assert resolve_session(theirs.token)

    def test_all_but_this_one(self) -> None:
        user_id, merchant_id = make_member()
        first, second = open_for(user_id, merchant_id), open_for(user_id, merchant_id)
        with system_session() as platform:
            assert len(sessions.list_sessions(platform, user_id)) == 2
            assert sessions.revoke_all(platform, user_id, but=sessions.hash_token(second.token)) == 1
        assert resolve_session(first.token) is None
        assert resolve_session(second.token)
