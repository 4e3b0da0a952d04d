"""People, passwords, emails, cookies and the permission table."""

import itertools
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Literal

import pytest
from argon2 import Parameters, PasswordHasher, extract_parameters

from core import config, ids
from core.db import tenant_session, user_session
from models.identity import Role
from services.identity import passwords, people, repository, service
from services.identity.cookies import cookie_name, session_cookie_from_header
from services.identity.emails import normalise_email
from services.identity.errors import (
    BusyError,
    EmailTakenError,
    InvalidEmailError,
    InvalidPasswordError,
    PermissionDeniedError,
    WrongCredentialsError,
)
from services.identity.permissions import ROLE_PERMISSIONS, Permission

PASSWORD = "correct horse battery"
TOKEN = "t" * 43


class TestEmails:
    @pytest.mark.parametrize(
        ("given", "kept"),
        [
            ("  Ada@Shop.Example ", "ada@shop.example"),
            ("o'brien+tag@shop.example", "o'brien+tag@shop.example"),
            ("u\u0308nal@shop.example", "ünal@shop.example"),
            ("ÜNAL@EXÄMPLE.example", "ünal@exämple.example"),
            ("用户@例子.广告", "用户@例子.广告"),
            ("ada@xn--exmple-cua.example", "ada@exämple.example"),
        ],
    )
    def test_have_one_form(self, given: str, kept: str) -> None:
        assert normalise_email(given) == kept
        assert normalise_email(kept) == kept

    @pytest.mark.parametrize(
        "bad",
        ["", "ada", "ada@", "@shop.example", "ada@shop", "a b@shop.example", "ada@shop.example\nBcc: x@y.example",
         "ada@shop.example\x00", "<ada@shop.example>", "ada@[127.0.0.1]", "ada@connect.invalid",
         "x" * 300 + "@a.example", "ada@shop.example,eve@evil.example"],
    )  # fmt: skip
    def test_that_are_none_are_refused(self, bad: str) -> None:
        with pytest.raises(InvalidEmailError):
            normalise_email(bad)


class TestPasswords:
    def test_are_argon2id_with_a_salt_each(self) -> None:
        first, second = passwords.hash_password(PASSWORD), passwords.hash_password(PASSWORD)
        assert first.startswith("$argon2id$v=19$m=65536,t=3,p=4$")
        assert first != second
        assert passwords.verify_password(PASSWORD, first)
        assert not passwords.verify_password(PASSWORD + " ", first)
        assert not passwords.needs_rehash(first)

    @pytest.mark.parametrize("bad", ["", "short", "x" * 11, "x" * 1025])
    def test_of_a_silly_length_are_refused(self, bad: str) -> None:
        with pytest.raises(InvalidPasswordError):
            passwords.hash_password(bad)

    def test_may_be_any_text(self) -> None:
        for text in ("пароль-парольный", "🔐" * 12, "x" * 1024):
            assert passwords.verify_password(text, passwords.hash_password(text))

    def test_longer_than_allowed_never_match_by_their_beginning(self) -> None:
        assert not passwords.verify_password("x" * 1025, passwords.hash_password("x" * 1024))

    @pytest.mark.parametrize("stored", [None, "", "nonsense", "$argon2id$v=19$broken"])
    def test_match_nothing_without_a_hash(self, stored: str | None) -> None:
        assert not passwords.verify_password(PASSWORD, stored)

    def test_only_so_many_are_hashed_at_once(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(passwords, "_slots", threading.BoundedSemaphore(1))
        monkeypatch.setattr(passwords, "WAIT_SECONDS", 0.01)
        with passwords._slot(), pytest.raises(BusyError):
            passwords.verify_password(PASSWORD, None)
        assert not passwords.verify_password(PASSWORD, None)

    def test_unknown_people_cost_the_same_work_as_known_ones(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Otherwise the time of an answer would tell which addresses have an account."""
        work: list[Parameters] = []

        class Counted(PasswordHasher):
            def hash(self, password: str | bytes, *, salt: bytes | None = None) -> str:
                made = super().hash(password, salt=salt)
                work.append(extract_parameters(made))
                return made

            def verify(self, hash: str | bytes, password: str | bytes) -> Literal[True]:
                work.append(extract_parameters(str(hash)))
                return super().verify(hash, password)

        known = passwords.hash_password(PASSWORD)
        passwords.verify_password(PASSWORD, None)  # nobody's hash is made once
        hasher = Counted()
        monkeypatch.setattr(passwords, "_hasher", lambda: hasher)
        assert not passwords.verify_password("wrong password", known)
        assert not passwords.verify_password("wrong password", None)
        someone, nobody = work
        assert someone == nobody


class TestCookies:
    def settings(self, public_url: str) -> config.Settings:
        return config.settings().model_copy(update={"public_url": public_url})

    def test_are_host_only_on_https(self) -> None:
        assert cookie_name(self.settings("https://phantom.example")) == "__Host-phantom_session"
        assert cookie_name(self.settings("http://localhost:3000")) == "phantom_session"

    @pytest.mark.parametrize(
        ("header", "found"),
        [
            (f"phantom_session={TOKEN}", TOKEN),
            (f"a=b; phantom_session={TOKEN}; c=d", TOKEN),
            (f'phantom_session="{TOKEN}"', TOKEN),
            (f"phantom_session={TOKEN}; phantom_session={TOKEN}", TOKEN),
            ("", None),
            ("phantom_session", None),
            ("phantom_session=", None),
            (f"Phantom_Session={TOKEN}", None),
            (f"xphantom_session={TOKEN}", None),
            (f"__Host-phantom_session={TOKEN}", None),
            (f"phantom_session={TOKEN}x", None),
            (f"phantom_session={TOKEN}; phantom_session={'e' * 43}", None),
            ("; ;=;" * 1000, None),
        ],
    )
    def test_are_read_from_a_header(self, header: str, found: str | None) -> None:
        assert session_cookie_from_header(header, self.settings("http://localhost:3000")) == found

    def test_of_plain_http_are_not_believed_on_https(self) -> None:
        header = f"phantom_session={TOKEN}"
        assert session_cookie_from_header(header, self.settings("https://phantom.example")) is None


class TestPermissions:
    def test_every_role_may_what_the_one_below_may(self) -> None:
        ladder = [ROLE_PERMISSIONS[role] for role in (Role.ANALYST, Role.MEMBER, Role.ADMIN, Role.OWNER)]
        for lower, higher in itertools.pairwise(ladder):
            assert lower < higher
        assert ladder[-1] == frozenset(Permission)

    def test_every_role_is_in_the_table(self) -> None:
        assert set(ROLE_PERMISSIONS) == set(Role)

    def test_an_analyst_changes_nothing_and_reads_no_messages(self) -> None:
        assert all(permission.endswith(":read") for permission in ROLE_PERMISSIONS[Role.ANALYST])
        assert Permission.MESSAGES_READ not in ROLE_PERMISSIONS[Role.ANALYST]

    def test_only_owners_manage_owners_plan_and_purge(self) -> None:
        assert frozenset(Permission) - ROLE_PERMISSIONS[Role.ADMIN] == {
            Permission.DATA_PURGE, Permission.OWNERS_MANAGE, Permission.PLAN_MANAGE,
        }  # fmt: skip


@pytest.mark.usefixtures("database", "redis_url")
class TestPeople:
    def test_an_email_belongs_to_one_person_whatever_its_case(self) -> None:
        with user_session() as session:
            people.create_person(session, email="Ada@Shop.Example")
            with pytest.raises(EmailTakenError):
                people.create_person(session, email="ada@shop.example")

    def test_provisioning_twice_changes_nothing_more(self) -> None:
        merchant_id = ids.new_id("mer")
        with tenant_session(merchant_id) as tenant:
            people.provision_merchant(tenant, merchant_id, "usr_other", "Shop")
            first = service.provision_owner(
                tenant, merchant_id, email="a@shop.example", password=PASSWORD, verified=True
            )
            second = service.provision_owner(tenant, merchant_id, email="A@shop.example", password=PASSWORD)
        assert first == second
        signed_in = service.sign_in("a@shop.example", PASSWORD, address="192.0.2.1")
        assert signed_in.merchant_id == merchant_id
        found = service.resolve_session(signed_in.token)
        assert found is not None
        assert found.email_verified
        found.require(Permission.SECRETS_MANAGE)
        with tenant_session(merchant_id) as tenant:
            people.add_member(tenant, merchant_id, first, Role.ANALYST)
        demoted = service.resolve_session(signed_in.token)
        assert demoted is not None
        with pytest.raises(PermissionDeniedError):
            demoted.require(Permission.SECRETS_MANAGE)

    def test_the_first_sign_in_provisions_a_merchant_once(self) -> None:
        with user_session() as session:
            people.create_person(session, email="new@shop.example", password=PASSWORD)
        first = service.sign_in("new@shop.example", PASSWORD, address="192.0.2.1")
        second = service.sign_in("new@shop.example", PASSWORD, address="192.0.2.1")
        assert first.merchant_id == second.merchant_id
        found = service.resolve_session(second.token)
        assert found is not None
        assert (found.role, found.merchant_name) == (Role.OWNER, "new")

    def test_two_first_sign_ins_at_once_provision_one_merchant(self, monkeypatch: pytest.MonkeyPatch) -> None:
        with user_session() as session:
            user_id = people.create_person(session, email="twin@shop.example", name="Twin")
        both, look = threading.Barrier(2), service._oldest_merchant
        looked = threading.local()

        def look_with_the_other(user: str) -> str:
            found = look(user)
            if not hasattr(looked, "once"):
                looked.once = True
                both.wait(timeout=20)
            return found

        monkeypatch.setattr(service, "_oldest_merchant", look_with_the_other)
        with ThreadPoolExecutor(2) as threads:
            found = [threads.submit(service.first_merchant, user_id, "Twin") for _ in range(2)]
        with user_session(user_id) as session:
            memberships = repository.list_memberships(session, user_id)
        assert {each.result() for each in found} == {each.merchant_id for each in memberships}
        assert len(memberships) == 1

    def test_without_a_password_cannot_sign_in_with_one(self) -> None:
        with user_session() as session:
            people.create_person(session, email="stripe@shop.example")
        for password in ("", "None", PASSWORD):
            with pytest.raises(WrongCredentialsError):
                service.sign_in("stripe@shop.example", password, address="192.0.2.1")

    def test_an_old_hash_is_renewed_at_sign_in(self, monkeypatch: pytest.MonkeyPatch) -> None:
        with user_session() as session:
            user_id = people.create_person(session, email="old@shop.example", password=PASSWORD)
        monkeypatch.setattr(service, "needs_rehash", lambda _: True)
        with user_session() as session:
            before = repository.get_user(session, user_id)
        service.sign_in("old@shop.example", PASSWORD, address="192.0.2.1")
        with user_session() as session:
            after = repository.get_user(session, user_id)
        assert before is not None
        assert after is not None
        assert before.password_hash != after.password_hash

    def test_names_are_cleaned(self) -> None:
        assert people.clean_name("  Ada\n\x00 <b>Lovelace</b>  ") == "Ada <b>Lovelace</b>"
        assert len(people.clean_name("x" * 1000)) == 200
