"""Answers are read once and fast; what the fast reader does not take is read as Python reads it, or by the SDK."""

import pytest

from services.integrations.stripe.transport import read_json


@pytest.mark.parametrize(
    ("body", "read"),
    [
        (b'{"id": "in_1", "amount": 4900}', {"id": "in_1", "amount": 4900}),
        ('{"name": "Zoë"}'.encode(), {"name": "Zoë"}),
        (b'{"name": "\\ud800"}', {"name": "\ud800"}),
        (b'{"amount": Infinity}', {"amount": float("inf")}),
        (b"[1]", None),
        (b"null", None),
        (b"", None),
        (b"<html>", None),
        (b'{"cut": ', None),
        (b'{"a": "\xff"}', None),
        (b'{"a":' * 200_000, None),
    ],
)
def test_a_body_is_an_object_or_nothing(body: bytes, read: object) -> None:
    assert read_json(body) == read


def test_a_number_beyond_64_bits_is_none_that_a_column_takes() -> None:
    assert read_json(b'{"amount": 18446744073709551616}') == {"amount": 2.0**64}
