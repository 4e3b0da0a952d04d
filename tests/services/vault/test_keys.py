"""Derived keys: apart by purpose, stable by version."""

import pytest
from pydantic import SecretStr

from core import config
from services.vault import keys
from services.vault.keys import Purpose, derive_key, derived_keys


@pytest.fixture
def rotated(monkeypatch: pytest.MonkeyPatch) -> config.Settings:
    """Settings after a rotation from key 1 to key 2."""
    configured = config.settings().model_copy(
        update={
            "encryption_key": SecretStr("22" * 32),
            "encryption_key_version": 2,
            "encryption_keys": {1: SecretStr("11" * 32)},
        }
    )
    monkeypatch.setattr(keys, "settings", lambda: configured)
    return configured


class TestDerivedKeys:
    def test_differ_for_every_purpose_and_from_the_master_key(self) -> None:
        derived = {derive_key(purpose) for purpose in Purpose}
        assert len(derived) == len(Purpose)
        assert not derived & set(config.settings().master_keys().values())
        assert {len(key) for key in derived} == {32}

    def test_are_stable(self, rotated: config.Settings) -> None:
        # Written down once: if this changes, every link and cookie in the world stops working.
        known = "5d031ab3419b9a6c4e7dc78ee2a16afd6eb801e6e9ff8e2ef443a15a1a66020d"
        assert derive_key(Purpose.LINK_TOKENS).hex() == known

    def test_of_older_versions_follow_the_current(self, rotated: config.Settings) -> None:
        assert derived_keys(Purpose.LINK_TOKENS) == (
            derive_key(Purpose.LINK_TOKENS, 2),
            derive_key(Purpose.LINK_TOKENS, 1),
        )

    def test_of_an_unknown_version_do_not_exist(self) -> None:
        with pytest.raises(KeyError):
            derive_key(Purpose.OWNER_LINKS, 99)
