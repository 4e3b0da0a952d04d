"""Logs are JSON, carry one correlation id, and never a secret or an address."""

import json
import logging
import sys

import pytest

from core.logging import JsonFormatter, correlated, correlation_id, redact

SECRETS = [
    "sk_live_4eC39HqLyjWDarjtT1zdp7dc",
    "rk_test_4eC39HqLyjWDarjtT1zdp7dc",
    "whsec_5WbX5kEWLlfzsGNjH64I8lOOqUB6e8FH",
    "re_7692ee21f78d5f3c06afb74a0f45d609",
    "Bearer eyJhbGciOiJIUzI1NiJ9.e30.x",
    "phantom_session=Zm9vYmFyYmF6",
    "__Host-phantom_session=Zm9vYmFyYmF6",
    "4242424242424242",
    "ada.lovelace+billing@example.com",
    "pi_3MtwBwLkdIwHu7ix28a3tqPa_secret_YrKJUKribcBjcG8HVhfZluoGH",
]


def line(message: str, **extra: object) -> dict[str, object]:
    record = logging.LogRecord("phantom", logging.INFO, __file__, 1, message, (), None)
    record.__dict__.update(extra)
    found: dict[str, object] = json.loads(JsonFormatter().format(record))
    return found


class TestRedaction:
    @pytest.mark.parametrize("secret", SECRETS)
    def test_no_secret_survives_in_message_or_facts(self, secret: str):
        told = json.dumps(line(f"failed with {secret}.", facts={"note": [f"x {secret}"], "deep": {"a": secret}}))
        assert secret not in told
        assert secret.split("=")[-1] not in told

    def test_a_database_urls_password_is_taken_out(self):
        assert "hunter2" not in redact("postgresql://app:hunter2@host/db")

    @pytest.mark.parametrize(
        "name", ["password", "api_key", "Authorization", "refresh_token", "cookie", "client_secret"]
    )
    def test_a_field_named_like_a_secret_is_never_shown(self, name: str):
        assert line("x", facts={name: "hunter2"})["facts"] == {name: "[redacted]"}

    @pytest.mark.parametrize(
        "text", ["recovery.message_sent", "gh_01kjpwd6m0wdnxyvasep5dekra", "in_123", "10:00 UTC", "72 h"]
    )
    def test_ordinary_words_and_our_own_ids_stay(self, text: str):
        assert redact(text) == text

    def test_a_traceback_is_cleaned_too(self):
        try:
            raise ValueError("bad key sk_live_4eC39HqLyjWDarjtT1zdp7dc")
        except ValueError:
            record = logging.LogRecord("phantom", logging.ERROR, __file__, 1, "x", (), sys.exc_info())
        assert "4eC39HqLyjWDarjtT1zdp7dc" not in JsonFormatter().format(record)


class TestCorrelation:
    def test_a_block_has_one_id_and_gives_it_back(self):
        with correlated() as outer:
            with correlated("given") as inner:
                assert (inner, line("x")["correlation_id"]) == ("given", "given")
            assert correlation_id() == outer
        assert correlation_id() == ""
        assert "correlation_id" not in line("x")
