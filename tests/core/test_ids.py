"""Identifiers sort by time and do not repeat."""

from datetime import timedelta

from core.clock import ManualClock
from core.ids import new_id, new_secret


def test_ids_sort_by_the_time_they_were_made(clock: ManualClock):
    made = []
    for _ in range(50):
        made.append(new_id("gh"))
        clock.advance(timedelta(milliseconds=1))
    assert made == sorted(made)


def test_ids_of_one_moment_differ_and_keep_their_order(clock: ManualClock):
    made = [new_id("gh") for _ in range(1000)]
    assert made == sorted(set(made))


def test_an_id_fits_its_column(clock: ManualClock):
    assert len(new_id("longest")) <= 40


def test_secrets_differ_and_are_safe_in_an_address():
    made = {new_secret() for _ in range(100)}
    assert len(made) == 100
    assert all(secret.replace("-", "").replace("_", "").isalnum() for secret in made)
