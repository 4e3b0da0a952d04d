"""What `./phantom sim` says and returns, with the playing left out: a seed that fails must not pass unseen."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.simulation import __main__ as command
from tests.simulation.play import DAYS
from tests.simulation.seeds import Outcome

WRONG = "quiet hours: a mail at 03:12"
LAST = "GET /v1/invoices/in_1"


def outcome(seed: int, violation: str = "") -> Outcome:
    nothing: dict[str, int] = {}
    return Outcome(seed, violation, "", 9, 3, 2, 1, 0, 4, nothing, nothing, nothing, (LAST,) if violation else ())


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, ...]]:
    """What was to be played. The second of the seeds violates an invariant; the last of them comes in first."""
    heard: list[tuple[int, ...]] = []

    def played(first: int, number: int, days: int, processes: int) -> Iterator[Outcome]:
        heard.append((first, number, days, processes))
        return iter(
            [outcome(seed, WRONG if seed == first + 1 else "") for seed in reversed(range(first, first + number))]
        )

    monkeypatch.setattr(command, "played", played)
    return heard


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    code = command.main(arguments)
    said = capsys.readouterr()
    return code, said.out, said.err


class TestSeedThatFails:
    def test_is_told_with_what_replays_it_and_is_an_exit_code(
        self, asked: list[tuple[int, ...]], capsys: pytest.CaptureFixture[str]
    ) -> None:
        code, out, err = run(capsys, "--seeds", "3", "--first-seed", "6", "--days", "5", "--json")
        figures: dict[str, Any] = json.loads(out)
        replay = "./phantom sim --seeds 1 --first-seed 7 --days 5"
        assert code == 1
        assert figures["failures"] == [{"seed": 7, "violation": WRONG, "replay": replay}]
        assert (figures["seeds"], figures["merchant_days"], figures["ghosts"]) == (3, 15, 9)
        assert err.split("\n") == ["", f"seed 7 violates: {WRONG}", f"  {LAST}", f"replay: {replay}", ""]
        assert asked == [(6, 3, 5, 2)]

    def test_is_in_the_table_for_people(self, asked: list[tuple[int, ...]], capsys: pytest.CaptureFixture[str]) -> None:
        code, out, _ = run(capsys, "--seeds", "2", "--first-seed", "41")
        assert code == 1
        assert f"FAILED 42: {WRONG}\n  ./phantom sim --seeds 1 --first-seed 42\n" in out
        assert "every invariant held" not in out

    def test_is_played_again_by_what_was_printed(
        self, asked: list[tuple[int, ...]], capsys: pytest.CaptureFixture[str]
    ) -> None:
        _, _, err = run(capsys, "--seeds", "2", "--first-seed", "41", "--days", "7")
        printed = err.partition("replay: ./phantom sim ")[2].split()
        run(capsys, *printed)
        assert asked[-1] == (42, 1, 7, 2)


class TestSeedsThatHold:
    def test_are_no_failure(self, asked: list[tuple[int, ...]], capsys: pytest.CaptureFixture[str]) -> None:
        code, out, err = run(capsys, "--seeds", "1")
        assert (code, err) == (0, "")
        assert out.endswith("every invariant held\n")
        assert asked == [(1, 1, DAYS, 2)]
