"""Resend's refusals as the closed list has them: which are certain, and which say nothing of another try."""

from datetime import timedelta

import pytest
from resend.exceptions import ResendError, raise_for_code_and_type

from services.integrations import resend
from services.integrations.carriers import (
    KeyRefusedError,
    MessageKeyUsedError,
    MessageLaterError,
    MessageRefusedError,
    MessageUnfitError,
    MessageUnknownError,
    OutOfQuotaError,
)


def translated(status: int, name: str, headers: dict[str, str] | None = None) -> Exception:
    try:
        raise_for_code_and_type(status, name, "Words.", headers or {})
    except ResendError as error:
        return resend._translated(error)


@pytest.mark.parametrize("name", ["daily_quota_exceeded", "monthly_quota_exceeded"])
def test_a_quota_that_is_used_up_was_certainly_not_sent_and_takes_hours(name: str) -> None:
    assert isinstance(translated(429, name), OutOfQuotaError)


def test_a_rate_limit_was_certainly_not_sent_and_says_how_long() -> None:
    said = translated(429, "rate_limit_exceeded", {"Retry-After": "7"})
    assert isinstance(said, MessageLaterError)
    assert not isinstance(said, OutOfQuotaError)
    assert said.after == timedelta(seconds=7)


def test_of_another_try_under_way_nothing_is_known() -> None:
    assert isinstance(translated(409, "concurrent_idempotent_requests"), MessageUnknownError)
    assert isinstance(translated(409, "invalid_idempotent_request"), MessageKeyUsedError)


@pytest.mark.parametrize(
    ("status", "name"),
    [
        (401, "validation_error"),
        (403, "validation_error"),
        (404, "not_found"),
        (405, "method_not_allowed"),
    ],
)
def test_what_no_mail_of_this_sender_would_pass_is_no_refusal_of_a_customers(status: int, name: str) -> None:
    assert isinstance(translated(status, name), KeyRefusedError)


@pytest.mark.parametrize(("status", "name"), [(422, "invalid_from_address"), (451, "security_error")])
def test_what_is_said_of_one_request_is_not_said_of_the_key(status: int, name: str) -> None:
    """The From has the merchant's name in it, and a security stop judges the mail: others share the key."""
    said = translated(status, name)
    assert isinstance(said, MessageUnfitError)
    assert not isinstance(said, KeyRefusedError)


@pytest.mark.parametrize(("status", "name"), [(400, "validation_error"), (422, "validation_error")])
def test_what_is_wrong_with_one_mail_says_nothing_of_the_sender(status: int, name: str) -> None:
    said = translated(status, name)
    assert isinstance(said, MessageRefusedError)
    assert not isinstance(said, KeyRefusedError)
