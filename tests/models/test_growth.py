"""Tables never grow without bound: each model's docstring says what becomes of its rows."""

import re

import pytest

from models.base import Table
from tests.models.test_tenancy import _mapped

_FATE = re.compile(
    r"\b(kept|pruned|dropped|emptied|goes with|go after|grows (with|by)|one row an? (account|tenant)"
    r"|at most \d+ shards)\b",
    re.IGNORECASE,
)


@pytest.mark.parametrize("model", _mapped(), ids=lambda model: model.__tablename__)
def test_a_model_says_what_becomes_of_its_rows(model: type[Table]) -> None:
    assert _FATE.search(model.__doc__ or ""), f"{model.__name__}'s docstring says neither how it grows nor how it ends"
