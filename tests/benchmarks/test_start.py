"""The parts of `bench start`, which cannot be small: a checkout that only pretends to be PHANTOM is started instead."""

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from io import StringIO
from pathlib import Path
from types import SimpleNamespace

import pytest
from rich.console import Console

from benchmarks import start
from benchmarks.harness import AuditError, BenchError
from cli.stack.progress import Progress

# `serve` answers twice that it is not ready; what `up` and `status` say stands in files; every call is written down.
PHANTOM = """\
import http.server, json, os, pathlib, sys
told = pathlib.Path(os.environ["TOLD"])
with (told / "calls").open("a") as calls:
    calls.write(json.dumps({"words": sys.argv[1:], "folder": os.environ.get("PHANTOM_FOLDER"),
        "uv": os.environ.get("UV_CACHE_DIR"), "settings": "DATABASE_URL" in os.environ}) + "\\n")
answers = iter([503, 503])
class Ready(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(next(answers, 200))
        self.send_header("content-length", "0")
        self.end_headers()
    def log_message(self, *words):
        pass
if sys.argv[1] == "serve":
    http.server.HTTPServer(("127.0.0.1", int(sys.argv[-1])), Ready).serve_forever()
if (told / sys.argv[1]).exists():
    sys.stderr.write((told / sys.argv[1]).read_text())
    sys.stdout.write((told / sys.argv[1]).read_text())
"""


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> "Checkout":
    made = Checkout(tmp_path / "checkout", tmp_path / "told")

    @contextlib.contextmanager
    def place() -> Iterator[object]:
        yield SimpleNamespace(folder=tmp_path)

    monkeypatch.setattr(start, "ROOT", made.root)
    monkeypatch.setattr(start, "ROUNDS", 2)
    monkeypatch.setattr(start, "ensure_built", lambda: None)
    monkeypatch.setattr(start, "place", place)
    monkeypatch.setenv("TOLD", str(made.told))
    monkeypatch.setenv("PHANTOM_FOLDER", "somebody's own")
    return made


class Checkout:
    """Committed, as what a stranger clones is."""

    def __init__(self, root: Path, told: Path) -> None:
        self.root, self.told = root, told
        told.mkdir()
        (root / "cli").mkdir(parents=True)
        (root / "cli" / "__main__.py").write_text(PHANTOM)
        (root / "phantom").write_text(f"#!{sys.executable}\n{PHANTOM}")
        (root / "phantom").chmod(0o755)
        self.says("status", json.dumps({"health": {"status": "ready"}}))
        self.says("up", history_line())
        for words in (["init", "-q"], ["add", "."], ["commit", "-q", "-m", "all of it"]):
            who = ["-c", "user.name=Ada Example", "-c", "user.email=ada@example.com"]
            subprocess.run(["git", *who, *words], cwd=root, check=True)  # noqa: S603, S607  # a repository of the test's

    def says(self, command: str, words: str) -> None:
        (self.told / command).write_text(words)

    def calls(self, command: str) -> list[dict[str, object]]:
        told = [json.loads(line) for line in (self.told / "calls").read_text().splitlines()]
        return [call for call in told if call["words"][0] == command]


def history_line() -> str:
    """What `up` itself prints of it."""
    said = StringIO()
    with Progress(Console(file=said, width=200)).bar("Six months of demo history"):
        pass
    return said.getvalue()


class TestRows:
    def test_are_called_as_specified_from_the_quickest_to_the_slowest(self, checkout: Checkout):
        rows = start.run()
        assert [(row.measure, row.rounds) for row in rows] == [
            ("start from a finished build", 2),
            ("second `up`", 2),
            ("first `up` with cold caches", 1),
            ("history of the first `up`", 1),
        ]
        assert {(row.unit, row.control, row.ratio) for row in rows} == {("s", None, None)}
        assert [row.goal for row in rows] == [
            "at most 5 s",
            "at most 10 s",
            "at most 180 s on 2 cores",
            "at most 60 s of it",
        ]
        assert all(row.value > 0 for row in rows[:3])

    def test_without_the_first_up_nothing_is_cloned(self, checkout: Checkout):
        assert len(start.run(first_up=False)) == 2
        assert {call["uv"] for call in checkout.calls("up")} == {os.environ.get("UV_CACHE_DIR")}

    def test_what_is_started_is_a_strangers(self, checkout: Checkout):
        start.run()
        *again, first = checkout.calls("up")
        assert [call["settings"] for call in (*checkout.calls("serve"), *again, first)] == [True] * 2 + [False] * 4
        assert len(again) == 3  # the first of them makes the folder and does not count
        assert {"--no-history" in call["words"] for call in again} == {True}
        assert len({call["folder"] for call in again}) == 1
        assert again[0]["folder"] != "somebody's own"
        assert (first["folder"], "--no-history" in first["words"]) == (None, False)
        assert not Path(first["uv"]).exists()  # of its own, and gone with it
        assert len(checkout.calls("down")) == 4


class TestAudits:
    def test_an_up_that_is_not_well_is_no_figure_and_is_stopped_all_the_same(self, checkout: Checkout):
        checkout.says("status", json.dumps({"health": {"status": "starting"}}))
        with pytest.raises(AuditError, match="health after `up`: expected ready, found starting"):
            start.run()
        assert len(checkout.calls("down")) == 1

    def test_a_first_up_that_says_nothing_of_its_history_is_no_figure(self, checkout: Checkout):
        checkout.says("up", "PHANTOM is ready.")
        with pytest.raises(AuditError, match="the history's line"):
            start.run()

    def test_the_historys_seconds_are_those_that_up_names(self, checkout: Checkout):
        checkout.says("up", history_line().replace("0.0 s", "41.5 s"))
        assert start.run()[-1].value == 41.5

    def test_a_program_that_fails_is_told_in_its_own_words(self, tmp_path: Path):
        program = [sys.executable, "-c", "import sys; sys.exit('no such port')"]
        with pytest.raises(BenchError, match="exit code 1: no such port"):
            start._ran(program, tmp_path, dict(os.environ))

    def test_so_is_a_server_that_ends(self, checkout: Checkout):
        (checkout.root / "cli" / "__main__.py").write_text("import sys; sys.exit('no such port')")
        with pytest.raises(BenchError, match="the web server is not ready: None; no such port"):
            start.run()

    def test_a_program_that_never_ends_is_given_up(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
        monkeypatch.setattr(start, "FIRST_UP_SECONDS", 0.1)
        with pytest.raises(BenchError, match=r"took more than 0\.1 s"):
            start._ran(["/bin/sleep", "60"], tmp_path, dict(os.environ))
