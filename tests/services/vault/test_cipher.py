"""The envelope cipher, by security property, and its primitive against NIST's vectors."""

import copy
import dataclasses
import pickle
from collections.abc import Iterator
from pathlib import Path

import cryptography_vectors
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.vault import Hex
from services.vault import cipher
from services.vault.cipher import Context, Sealed
from services.vault.errors import VaultError
from services.vault.secret import Secret

MASTER, OTHER_MASTER = bytes(range(32)), bytes(range(32, 64))
HERE = Context("merchants", "encrypted_token", "mer_1")
TOKEN = Secret("sk_test_a_token")
GCM = Path(cryptography_vectors.__file__).parent / "ciphers" / "AES" / "GCM"


def vectors(name: str) -> Iterator[dict[str, str]]:
    """The cases of a NIST response file with our parameters: 96-bit IV and 128-bit tag."""
    group: dict[str, str] = {}
    case: dict[str, str] = {}
    for line in (GCM / name).read_text().splitlines():
        if line.startswith("["):
            key, _, value = line.strip("[]").partition(" = ")
            group[key] = value
        elif line.startswith("Count"):
            case = {}
        elif line == "FAIL":
            case["FAIL"] = "yes"
        elif " = " in line or line.endswith("="):
            key, _, value = line.partition("=")
            case[key.strip()] = value.strip()
        elif not line and case:
            if group["IVlen"] == "96" and group["Taglen"] == "128":
                yield case
            case = {}


def data(case: dict[str, str], *names: str) -> list[bytes]:
    return [bytes.fromhex(case.get(name, "")) for name in names]


class TestAgainstNistVectors:
    def test_encrypts_as_nist_does(self) -> None:
        cases = list(vectors("gcmEncryptExtIV256.rsp"))
        assert len(cases) == 375
        for case in cases:
            key, iv, plain, context, expected, tag = data(case, "Key", "IV", "PT", "AAD", "CT", "Tag")
            assert cipher.encrypt(key, iv, plain, context) == (expected, tag)

    def test_decrypts_what_is_genuine_and_refuses_what_nist_says_is_forged(self) -> None:
        cases = list(vectors("gcmDecrypt256.rsp"))
        forged = 0
        for case in cases:
            key, iv, ciphertext, context, tag, plain = data(case, "Key", "IV", "CT", "AAD", "Tag", "PT")
            if "FAIL" in case:
                forged += 1
                with pytest.raises(VaultError):
                    cipher.decrypt(key, iv, ciphertext, tag, context)
            else:
                assert cipher.decrypt(key, iv, ciphertext, tag, context) == plain
        assert len(cases) == 375
        assert 100 < forged < 300


@pytest.fixture
def sealed() -> Sealed:
    return cipher.seal(TOKEN, HERE, MASTER, 1)


class TestSealedRecord:
    def test_opens_in_its_own_place(self, sealed: Sealed) -> None:
        assert cipher.open_sealed(sealed, HERE, {1: MASTER}).reveal() == TOKEN.reveal()

    @given(st.text())
    def test_carries_any_text(self, text: str) -> None:
        sealed = cipher.seal(Secret(text), HERE, MASTER, 1)
        assert cipher.open_sealed(sealed, HERE, {1: MASTER}).reveal() == text

    @pytest.mark.parametrize(
        "elsewhere",
        [
            dataclasses.replace(HERE, row="mer_2"),
            dataclasses.replace(HERE, column="encrypted_refresh_token"),
            dataclasses.replace(HERE, table="vault_secrets"),
            Context("merchants", "encrypted_token" + "mer_1", ""),
        ],
        ids=["swapped row", "swapped column", "swapped table", "shifted boundary"],
    )
    def test_stays_closed_anywhere_else(self, sealed: Sealed, elsewhere: Context) -> None:
        with pytest.raises(VaultError):
            cipher.open_sealed(sealed, elsewhere, {1: MASTER})

    @pytest.mark.parametrize("column", ["ciphertext", "iv", "tag", "wrapped_key"])
    def test_notices_any_flipped_bit(self, sealed: Sealed, column: str) -> None:
        genuine = getattr(sealed, column).to_bytes()
        for bit in range(len(genuine) * 8):
            changed = bytearray(genuine)
            changed[bit // 8] ^= 1 << bit % 8
            with pytest.raises(VaultError):
                cipher.open_sealed(dataclasses.replace(sealed, **{column: Hex.of(changed)}), HERE, {1: MASTER})

    @pytest.mark.parametrize("length", [0, 4, 8, 12, 13, 14, 15, 17])
    def test_refuses_a_truncated_or_padded_tag(self, sealed: Sealed, length: int) -> None:
        tag = (sealed.tag.to_bytes() + b"\0")[:length]
        with pytest.raises(VaultError):
            cipher.open_sealed(dataclasses.replace(sealed, tag=Hex.of(tag)), HERE, {1: MASTER})

    def test_refuses_parts_of_another_record_of_the_same_place(self, sealed: Sealed) -> None:
        other = cipher.seal(Secret("sk_test_b_token"), HERE, MASTER, 1)
        with pytest.raises(VaultError):
            cipher.open_sealed(dataclasses.replace(sealed, wrapped_key=other.wrapped_key), HERE, {1: MASTER})

    def test_refuses_a_relabelled_key_version_even_under_the_same_key(self, sealed: Sealed) -> None:
        with pytest.raises(VaultError):
            cipher.open_sealed(dataclasses.replace(sealed, key_version=2), HERE, {1: MASTER, 2: MASTER})

    def test_refuses_another_master_key(self, sealed: Sealed) -> None:
        with pytest.raises(VaultError):
            cipher.open_sealed(sealed, HERE, {1: OTHER_MASTER})

    def test_says_which_master_key_is_missing(self, sealed: Sealed) -> None:
        with pytest.raises(VaultError, match="version 1 is not configured"):
            cipher.open_sealed(sealed, HERE, {2: OTHER_MASTER})

    def test_refuses_columns_that_are_not_hex(self, sealed: Sealed) -> None:
        with pytest.raises(VaultError):
            cipher.open_sealed(dataclasses.replace(sealed, iv=Hex("zz")), HERE, {1: MASTER})

    def test_never_uses_a_key_or_iv_twice(self) -> None:
        records = [cipher.seal(TOKEN, HERE, MASTER, 1) for _ in range(200)]
        for column in ("ciphertext", "iv", "tag", "wrapped_key"):
            assert len({getattr(record, column) for record in records}) == 200

    def test_keeps_the_tag_apart_and_whole(self, sealed: Sealed) -> None:
        assert len(sealed.tag.to_bytes()) == 16
        assert len(sealed.iv.to_bytes()) == 12
        assert len(sealed.ciphertext.to_bytes()) == len(TOKEN.reveal())

    def test_shows_no_plain_text(self, sealed: Sealed) -> None:
        assert TOKEN.reveal() not in repr(sealed)
        assert TOKEN.reveal().encode().hex() not in repr(sealed)


class TestSecret:
    def test_is_redacted_wherever_it_is_shown(self) -> None:
        for shown in (repr(TOKEN), str(TOKEN), f"{TOKEN}", f"{TOKEN:>40}", repr([TOKEN]), repr({"token": TOKEN})):
            assert "sk_test" not in shown
        assert repr(TOKEN) == "Secret(redacted)"

    def test_is_never_pickled_or_copied_away(self) -> None:
        with pytest.raises(TypeError):
            pickle.dumps(TOKEN)
        with pytest.raises(TypeError):
            copy.deepcopy(TOKEN)

    def test_is_not_a_string_by_accident(self) -> None:
        with pytest.raises(TypeError):
            "Bearer " + TOKEN  # type: ignore[operator]
        with pytest.raises(TypeError):
            hash(TOKEN)

    def test_compares_by_value_with_secrets_only(self) -> None:
        assert Secret("ä") == Secret("ä")
        assert Secret("a") != Secret("b")
        assert Secret("a") != "a"
        assert not Secret("")
