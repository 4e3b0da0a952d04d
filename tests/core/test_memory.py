"""Fewer collections while much is made, and what was set before afterwards."""

import gc

import pytest

from core.memory import MANY, rare_collections


def test_the_former_setting_comes_back_whatever_happens() -> None:
    former = gc.get_threshold()
    with pytest.raises(KeyError):
        _seen_while_it_lasts(former)
    assert gc.get_threshold() == former


def _seen_while_it_lasts(former: tuple[int, int, int]) -> None:
    with rare_collections():
        assert gc.get_threshold() == (MANY, *former[1:])
        raise KeyError
