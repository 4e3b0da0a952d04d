"""The vault over the database: named secrets, a merchant's token, columns that refuse plain text, the boot line."""

import pytest
from pydantic import SecretStr
from sqlalchemy import text, update
from sqlalchemy.exc import IntegrityError, StatementError
from sqlmodel import Session

from core import clock, config
from core.db import tenant_session
from core.errors import ConfigurationError
from models.merchant import Merchant
from models.vault import Hex, VaultSecret
from services.vault import cipher, service
from services.vault.secret import Secret
from tests.support.database import WorkerDatabase

A, B = "mer_a", "mer_b"


def make_merchant(session: Session, merchant_id: str) -> Merchant:
    merchant = Merchant(id=merchant_id, created_at=clock.now(), updated_at=clock.now())
    session.add(merchant)
    return merchant


@pytest.mark.usefixtures("database")
class TestNamedSecrets:
    def test_are_read_back_and_replaced(self) -> None:
        with tenant_session(A) as session:
            service.store_secret(session, A, "resend.api_key", Secret("first"))
            service.store_secret(session, A, "resend.api_key", Secret("second"))
        with tenant_session(A) as session:
            assert service.read_secret(session, A, "resend.api_key") == Secret("second")
            assert service.delete_secret(session, A, "resend.api_key")
            assert not service.delete_secret(session, A, "resend.api_key")
            with pytest.raises(service.SecretNotFoundError):
                service.read_secret(session, A, "resend.api_key")

    def test_of_another_merchant_are_not_there(self) -> None:
        with tenant_session(A) as session:
            service.store_secret(session, A, "resend.api_key", Secret("ours"))
        with tenant_session(B) as session, pytest.raises(service.SecretNotFoundError):
            service.read_secret(session, A, "resend.api_key")

    def test_do_not_open_under_another_name_or_merchant(self, database: WorkerDatabase) -> None:
        with tenant_session(A) as session:
            service.store_secret(session, A, "resend.api_key", Secret("ours"))
            session.execute(text("update vault_secrets set name = 'twilio.token'"))
        with tenant_session(A) as session, pytest.raises(service.VaultError):
            service.read_secret(session, A, "twilio.token")


@pytest.mark.usefixtures("database")
class TestMerchantToken:
    def test_is_kept_as_hex_with_a_whole_tag(self) -> None:
        with tenant_session(A) as session:
            service.seal_merchant_token(make_merchant(session, A), Secret("sk_test_x"), Secret("rt_x"))
        with tenant_session(A) as session:
            row = session.execute(text("select * from merchants")).one()._mapping
            for name in ("encrypted_token", "iv", "tag", "wrapped_key", "refresh_tag"):
                bytes.fromhex(row[name])
            assert (len(row["iv"]), len(row["tag"]), row["key_version"]) == (24, 32, 1)
            merchant = session.get_one(Merchant, A)
            assert service.open_merchant_token(merchant) == Secret("sk_test_x")
            assert service.open_merchant_refresh_token(merchant) == Secret("rt_x")

    def test_moved_to_another_merchant_stays_closed(self) -> None:
        with tenant_session(A) as session:
            owner = make_merchant(session, A)
            service.seal_merchant_token(owner, Secret("sk_test_x"))
        thief = Merchant(id=B, created_at=clock.now(), updated_at=clock.now())
        thief.encrypted_token, thief.iv, thief.tag = owner.encrypted_token, owner.iv, owner.tag
        thief.wrapped_key, thief.key_version = owner.wrapped_key, owner.key_version
        with pytest.raises(service.VaultError):
            service.open_merchant_token(thief)

    def test_erased_is_absent(self) -> None:
        merchant = Merchant(id=A, created_at=clock.now(), updated_at=clock.now())
        service.seal_merchant_token(merchant, Secret("sk_test_x"), Secret("rt_x"))
        service.erase_merchant_token(merchant)
        with pytest.raises(service.SecretNotFoundError):
            service.open_merchant_token(merchant)
        with pytest.raises(service.SecretNotFoundError):
            service.open_merchant_refresh_token(merchant)


@pytest.mark.usefixtures("database")
class TestSecretColumns:
    @pytest.mark.parametrize("plain", ["sk_test_plain", "0123456789abcdef0123456789abcdef"])
    def test_refuse_plain_text_even_when_it_looks_like_hex(self, plain: str) -> None:
        with tenant_session(A) as session:
            make_merchant(session, A).encrypted_token = plain
            with pytest.raises(StatementError, match="never plain text"):
                session.flush()
            session.rollback()

    def test_refuse_it_in_a_bulk_update_too(self) -> None:
        with pytest.raises(StatementError, match="never plain text"), tenant_session(A) as session:
            session.execute(update(Merchant).values(encrypted_token="sk_test_plain"))

    @pytest.mark.parametrize(
        ("ciphertext", "tag"),
        [("sk_test_plain", "a" * 32), ("ab", "a" * 24), ("ab", None)],
        ids=["plain text", "truncated tag", "no tag"],
    )
    def test_refuse_it_in_raw_sql_too(self, ciphertext: str, tag: str | None) -> None:
        statement = text(
            "update merchants set encrypted_token = :ciphertext, iv = repeat('a', 24), tag = :tag,"
            " wrapped_key = repeat('a', 120), key_version = 1"
        )
        with tenant_session(A) as session:
            make_merchant(session, A)
            session.flush()
            with pytest.raises(IntegrityError, match="token_sealed"):
                session.execute(statement, {"ciphertext": ciphertext, "tag": tag})
            session.rollback()

    def test_give_back_what_they_took(self) -> None:
        with tenant_session(A) as session:
            service.store_secret(session, A, "name", Secret("x"))
            assert isinstance(session.get_one(VaultSecret, (A, "name")).ciphertext, Hex)


class TestBoot:
    def test_prints_the_line_and_nothing_else(self, capsys: pytest.CaptureFixture[str]) -> None:
        service.boot()
        assert capsys.readouterr().out == "[SECURITY] Vault self-test passed: AES-256-GCM Active.\n"

    def test_stops_on_a_cipher_that_authenticates_nothing(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(cipher, "open_sealed", lambda *_: Secret("correct horse battery staple"))
        with pytest.raises(ConfigurationError, match="self-test failed"):
            service.boot()

    def test_tries_every_key_of_a_rotation(self, monkeypatch: pytest.MonkeyPatch) -> None:
        configured = config.settings().model_copy(update={"encryption_keys": {7: SecretStr("00" * 32)}})
        monkeypatch.setattr(service, "settings", lambda: configured)
        tried = []
        genuine = cipher.seal
        monkeypatch.setattr(cipher, "seal", lambda *given: tried.append(given[3]) or genuine(*given))
        service.self_test()
        assert sorted(tried) == [1, 7]

    @pytest.mark.parametrize("bad", ["", "abc", "g" * 64, "aa" * 31, "c2hvcnQ="])
    def test_has_no_vault_without_a_good_key(self, bad: str) -> None:
        with pytest.raises(ConfigurationError, match="ENCRYPTION_KEY") as caught:
            config.load(encryption_key=bad)
        assert not bad or bad not in str(caught.value)
