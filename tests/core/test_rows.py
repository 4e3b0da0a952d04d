"""Statements past SQLAlchemy's machinery: what they find, and what becomes of a connection they break."""

from collections.abc import Iterator
from datetime import UTC, datetime

import psycopg
import pytest
from sqlalchemy import String, bindparam, text
from sqlalchemy.exc import DBAPIError, IntegrityError, OperationalError
from sqlmodel import Session, select

from core import db, rows
from models.ghost import GhostState, GhostTarget
from models.vault import VaultSecret
from models.work import Hunt
from tests.support.database import WorkerDatabase
from tests.support.factories import make_merchant

AT = datetime(2026, 11, 21, 9, tzinfo=UTC)
GHOSTS = select(GhostTarget).where(GhostTarget.merchant_id == bindparam("merchant_id", type_=String))
OPEN_ONES = GHOSTS.where(GhostTarget.state.in_([GhostState.OPEN, GhostState.CLICKED]))  # type: ignore[attr-defined]
SPEAKING = text("select 1 as number, cast(:word as text) as word")


def ghost(merchant: str, number: str, **more: object) -> GhostTarget:
    return GhostTarget.fresh(
        merchant_id=merchant, id=f"gh_{number}", invoice_id=f"in_{number}", currency="usd", original_invoice_date=AT,
        found_at=AT, found_on=AT.date(), updated_at=AT, **more,
    )  # fmt: skip


@pytest.fixture
def merchant(database: WorkerDatabase) -> str:
    merchant_id = make_merchant()
    with db.tenant_session(merchant_id) as session:
        session.add(ghost(merchant_id, "a"))
        session.add(ghost(merchant_id, "b", state=GhostState.LOST))
    return merchant_id


@pytest.fixture
def session(merchant: str) -> Iterator[Session]:
    with db.tenant_session(merchant) as session:
        yield session


def values_of(one: GhostTarget) -> dict[str, object]:
    return {name: (value, type(value)) for name, value in vars(one).items() if not name.startswith("_")}


class TestRead:
    def test_rows_have_names_and_places(self, session: Session):
        found = rows.read(session, SPEAKING, word="a:b %s")
        assert [(row.number, row[1]) for row in found] == [(1, "a:b %s")]
        assert (found.scalar(), found.scalars(), found.one().word, len(found)) == (1, [1], "a:b %s", 1)

    def test_nothing_found_is_none(self, session: Session, merchant: str):
        none = text("select id from ghost_targets where merchant_id = :merchant_id and id = 'gh_0'")
        found = rows.read(session, none, merchant_id=merchant)
        assert (found.first(), found.one_or_none(), found.scalar(), found.all()) == (None, None, None, [])
        with pytest.raises(ValueError, match="unpack"):
            found.one()

    def test_a_change_tells_how_many_rows(self, session: Session, merchant: str):
        change = text("update ghost_targets set card_brand = 'visa' where merchant_id = :merchant_id")
        assert rows.read(session, change, merchant_id=merchant).rowcount == 2

    def test_more_rows_than_are_kept_come_every_time(self, session: Session):
        many = text("select number from generate_series(1, cast(:most as int)) number")
        for most in (101, 3, 500, 0):
            assert rows.read(session, many, most=most).scalars() == list(range(1, most + 1))

    def test_values_change_their_kind_from_call_to_call(self, session: Session):
        kept = text("select cast(:word as text) as word")
        assert [rows.read(session, kept, word=word).scalar() for word in ("a", None, "b")] == ["a", None, "b"]

    def test_sees_what_the_session_still_holds_back(self, session: Session, merchant: str):
        session.add(ghost(merchant, "c"))
        count = text("select count(*) from ghost_targets where merchant_id = :merchant_id")
        assert rows.read(session, count, merchant_id=merchant).scalar() == 3


class TestEntities:
    def test_as_the_sessions_own_query_gives_them(self, session: Session, merchant: str):
        own = session.scalars(GHOSTS, {"merchant_id": merchant}).all()
        expected = {one.id: values_of(one) for one in own}
        del own
        session.expunge_all()
        found = rows.entities(session, GHOSTS, merchant_id=merchant)
        assert {one.id: values_of(one) for one in found} == expected
        assert all(one in session for one in found)
        assert not session.dirty

    def test_a_change_to_one_is_written(self, merchant: str):
        with db.tenant_session(merchant) as session:
            for one in rows.entities(session, OPEN_ONES, merchant_id=merchant):
                one.card_brand = "visa"
        with db.tenant_session(merchant) as session:
            assert sorted((one.id, one.card_brand) for one in rows.entities(session, GHOSTS, merchant_id=merchant)) == [
                ("gh_a", "visa"),
                ("gh_b", ""),
            ]

    def test_what_the_session_knows_is_brought_up_to_date_and_stays_the_same_object(
        self, session: Session, merchant: str
    ):
        known = rows.entity(session, OPEN_ONES, merchant_id=merchant)
        known.risk = "card_expires"  # written first
        rows.read(session, text("update ghost_targets set card_brand = 'visa' where id = :id"), id=known.id)
        again = rows.entity(session, OPEN_ONES, merchant_id=merchant)
        assert again is known
        assert (known.card_brand, known.risk) == ("visa", "card_expires")
        assert not session.dirty
        assert session.scalars(OPEN_ONES, {"merchant_id": merchant}).one() is known

    def test_what_was_expired_is_filled(self, session: Session, merchant: str):
        known = rows.entity(session, OPEN_ONES, merchant_id=merchant)
        session.expire_all()
        assert rows.entity(session, OPEN_ONES, merchant_id=merchant) is known
        assert vars(known)["invoice_id"] == "in_a"

    def test_json_and_numbers_come_as_they_are(self, session: Session, merchant: str):
        session.add(
            Hunt(merchant_id=merchant, id="hu_1", trigger="person", started_at=AT, cursor={"a": [1]}, seconds=1.5)
        )
        hunt = rows.entity(session, select(Hunt))
        session.expunge_all()
        hunt = rows.entity(session, select(Hunt))
        assert (hunt.cursor, hunt.seconds, hunt.started_at) == ({"a": [1]}, 1.5, AT)

    def test_what_sqlalchemy_would_have_to_translate_is_refused(self, session: Session):
        """A secret has a type of its own, which the driver does not know."""
        with pytest.raises(TypeError, match="ciphertext"):
            rows.entities(session, select(VaultSecret))


class TestErrors:
    def test_are_sqlalchemys_without_values_in_their_text(self, merchant: str):
        again = text("insert into ghost_targets select * from ghost_targets where id = :id")
        with pytest.raises(IntegrityError) as raised, db.tenant_session(merchant) as session:
            rows.read(session, again, id="gh_a")
        assert raised.value.orig is not None
        assert "gh_a" not in str(raised.value).partition("DETAIL")[0]

    def test_the_connection_serves_the_next_transaction(self, merchant: str):
        wrong = text("select 1 / cast(:by as int)")
        for _ in range(3):
            with pytest.raises(DBAPIError, match="division by zero"), db.tenant_session(merchant) as session:
                rows.read(session, wrong, by=0)
            with db.tenant_session(merchant) as session:
                assert rows.read(session, wrong, by=1).scalar() == 1

    def test_a_lost_connection_is_a_passing_error_and_nobody_gets_it_again(
        self, merchant: str, database: WorkerDatabase
    ):
        def ended() -> None:
            with db.tenant_session(merchant) as session:
                pid = rows.read(session, text("select pg_backend_pid()")).scalar()
                with psycopg.connect(database.admin_url, autocommit=True) as owner:
                    owner.execute("select pg_terminate_backend(%s, 5000)", (pid,))
                rows.read(session, SPEAKING, word="")

        with pytest.raises(OperationalError) as raised:
            ended()
        assert db.is_passing(raised.value)
        with db.tenant_session(merchant) as session:
            assert rows.read(session, SPEAKING, word="there").one().word == "there"

    def test_a_statement_that_is_cut_off_leaves_its_connection_to_nobody(
        self, merchant: str, monkeypatch: pytest.MonkeyPatch
    ):
        """A task that took too long is ended by a signal, wherever it is: here while the server still works."""

        class TooLong(BaseException):
            pass

        def cut_off(connection: "psycopg.Connection[object]", generator: "Iterator[object]", **_: object) -> None:
            next(generator)  # it is sent
            raise TooLong

        pids = []

        def ended() -> None:
            with db.tenant_session(merchant) as session, monkeypatch.context() as patch:
                pids.append(rows.read(session, text("select pg_backend_pid()")).scalar())
                patch.setattr(psycopg.Connection, "wait", cut_off)
                rows.read(session, text("select pg_sleep(30)"))

        with pytest.raises(TooLong):
            ended()
        with db.tenant_session(merchant) as session:
            assert rows.read(session, text("select pg_backend_pid()")).scalar() not in pids


class TestInsert:
    def test_many_rows_in_one_statement(self, session: Session, merchant: str):
        sent = [
            {"merchant_id": merchant, "kind": "invoice", "object_hash": each, "created_at": AT} for each in ("x", "y")
        ]
        new = rows.insert_rows(session, "tombstones", sent, conflict="do nothing", returning="object_hash")
        again = rows.insert_rows(session, "tombstones", sent, conflict="do nothing", returning="object_hash")
        assert new is not None
        assert again is not None
        assert (new.scalars(), again.scalars()) == (["x", "y"], [])
        assert rows.insert_rows(session, "tombstones", []) is None
