"""Settings: a process that cannot honour them does not start, and never repeats a secret in saying so."""

import base64
import io
import json
import re
from typing import Any

import pytest
from dotenv import dotenv_values

from cli.paths import ROOT
from cli.stack.environment import Given
from core.config import Mode, Settings, decode_encryption_key, load
from core.errors import ConfigurationError

KEY = bytes(range(32))
LIVE: dict[str, Any] = {
    "phantom_mode": "live",
    "phantom_clock_file": "",
    "phantom_demo_file": "",
    "public_url": "https://phantom.example/",
}


class TestEncryptionKey:
    @pytest.mark.parametrize(
        "text",
        [
            KEY.hex(),
            KEY.hex().upper(),
            base64.b64encode(KEY).decode(),
            base64.urlsafe_b64encode(KEY).decode().rstrip("="),
        ],
    )
    def test_is_32_bytes_as_hex_or_base64(self, text: str):
        assert decode_encryption_key(text) == KEY

    @pytest.mark.parametrize(
        "text", ["", "short", "zz" * 32, KEY.hex()[:-2], base64.b64encode(KEY[:16]).decode(), "ä" * 32]
    )
    def test_anything_else_ends_the_start_without_repeating_it(self, text: str):
        with pytest.raises(ConfigurationError, match="ENCRYPTION_KEY") as raised:
            load(encryption_key=text)
        assert not text or text not in str(raised.value)


class TestLogLevel:
    @pytest.mark.parametrize(("text", "level"), [("", "INFO"), (" debug ", "DEBUG"), ("Warning", "WARNING")])
    def test_is_taken_as_people_write_it(self, text: str, level: str):
        assert load(phantom_log_level=text).phantom_log_level == level

    def test_one_that_is_none_ends_the_start_by_name(self):
        with pytest.raises(ConfigurationError, match=r"PHANTOM_LOG_LEVEL.*'DEBUG', 'INFO'"):
            load(phantom_log_level="verbose")


class TestDatabaseUrls:
    @pytest.mark.parametrize("scheme", ["postgres", "postgresql", "postgresql+psycopg"])
    def test_every_form_providers_print_is_taken(self, scheme: str):
        url = load(database_url=f"{scheme}://app:pw@host/db").database_url.get_secret_value()
        assert url == "postgresql+psycopg://app:pw@host/db"

    def test_another_database_is_refused_without_its_password(self):
        with pytest.raises(ConfigurationError) as raised:
            load(database_url="mysql://root:hunter2@host/db")
        assert "hunter2" not in str(raised.value)


class TestLiveMode:
    def test_takes_the_machines_time_only(self):
        with pytest.raises(ConfigurationError, match="CLOCK"):
            load(**{**LIVE, "phantom_clock_file": "clock.json"})

    def test_wants_https_for_what_is_not_this_machine(self):
        with pytest.raises(ConfigurationError, match="https"):
            load(**{**LIVE, "public_url": "http://phantom.example"})

    def test_is_what_is_meant_when_nothing_is_said(self):
        found = load(**LIVE)
        assert (found.phantom_mode, found.public_url, found.serves_https) == (
            Mode.LIVE,
            "https://phantom.example",
            True,
        )

    @pytest.mark.parametrize(
        ("key", "live"), [("sk_live_1", True), ("rk_live_1", True), ("sk_test_1", False), ("", False)]
    )
    def test_livemode_is_the_keys(self, key: str, live: bool):
        assert load(stripe_secret_key=key).livemode is live


class TestSecrets:
    def test_an_empty_secret_is_none_and_verifies_nothing(self):
        found = load(stripe_webhook_secret="", stripe_connect_webhook_secret=" , ")
        assert (found.webhook_secrets(connect=False), found.webhook_secrets(connect=True)) == ((), ())

    def test_several_are_taken_while_one_is_rolled(self):
        assert load(stripe_webhook_secret="whsec_a, whsec_b").webhook_secrets(connect=False) == ("whsec_a", "whsec_b")

    def test_none_shows_in_a_repr(self):
        assert "hunter2" not in repr(load(stripe_secret_key="sk_test_hunter2", encryption_key=KEY.hex()))
        assert KEY.hex() not in repr(load(encryption_key=KEY.hex()))

    def test_master_keys_of_a_rotation_are_there_by_version(self):
        old = bytes(32)
        found = load(encryption_key=KEY.hex(), encryption_key_version=2, encryption_keys={1: old.hex()})
        assert found.master_keys() == {1: old, 2: KEY}


class TestExample:
    """`.env.example` is what a person reads instead of the source, so every line of it has to be so."""

    TEXT = (ROOT / ".env.example").read_text()
    UNUSED = "#" + TEXT.partition("# -- not used yet")[2]

    def shown(self, text: str) -> dict[str, str]:
        """What a file with every # taken away would set."""
        lines = re.sub(r"^#(?=[A-Z_]+=)", "", text, flags=re.MULTILINE)
        return {name: value or "" for name, value in dotenv_values(stream=io.StringIO(lines)).items()}

    def test_names_every_setting_and_no_other(self):
        assert set(self.shown(self.TEXT)) == {name.upper() for name in Settings.model_fields}

    def test_shows_the_defaults(self):
        values = {name.lower(): value for name, value in self.shown(self.TEXT).items() if value}
        assert values.pop("phantom_mode") == Given.model_fields["phantom_mode"].default.value  # `up`'s, as it says
        for name, value in values.items():
            default = Settings.model_fields[name].get_default(call_default_factory=True)
            plain = getattr(default, "get_secret_value", lambda found=default: found)()
            assert value == (json.dumps(plain) if isinstance(plain, dict) else str(plain)), name

    def test_what_it_calls_unused_is_unused_and_the_rest_is_not(self):
        unused = set(self.shown(self.UNUSED))
        assert unused == {name.upper() for name in Settings.model_fields if not self.is_read(name)}

    def is_read(self, name: str) -> bool:
        """Whether code of the product asks the settings for it; handing it to a demo's processes is not that."""
        word = re.compile(rf"\.{name}\b")
        places = [ROOT / part for part in ("core", "services", "jobs", "phantom_app", "cli")]
        files = {file for place in places for file in place.rglob("*.py")} - set((ROOT / "cli" / "stack").iterdir())
        return any(word.search(file.read_text()) for file in files)
