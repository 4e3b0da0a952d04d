"""What `python -m benchmarks` promises: names, keys, exit codes, and no figure without its audit."""

import json
import sys
from pathlib import Path
from types import ModuleType

import pytest

import benchmarks
from benchmarks import __main__ as program
from benchmarks import burst, dashboard, harness, hunt, intake, rls, start, tasks, wakeup
from benchmarks.harness import AuditError, BenchError, Row
from benchmarks.processes import NotStartedError
from core.errors import ConfigurationError

# What the product's specification says about benches, word for word.
SPECIFIED_NAMES = [
    "intake",
    "burst",
    "tasks",
    "wakeup",
    "dashboard",
    "hunt",
    "rls",
    "start",
    "oracle",
    "proof",
    "shield",
    "staleness",
    "ui",
    "soak",
]
SPECIFIED_KEYS = ["measure", "value", "unit", "control", "control_value", "ratio", "rounds", "spread", "goal"]

ROW = Row("pace", 30.0, "/s", "a walk", 10.0, 3.0, 5, 0.1, ">= 2.0x")
OTHER = Row("height", 2.0, "m", None, None, None, 1, 0.0, "reported")


@pytest.fixture
def benches(monkeypatch):
    """Put a module in place of each bench; what is an exception is raised by it."""

    def put(**outcomes):
        monkeypatch.setattr(program, "NAMES", tuple(outcomes))
        for name, outcome in outcomes.items():
            module = ModuleType(f"benchmarks.{name}")
            module.run = _run_of(outcome)
            monkeypatch.setitem(sys.modules, module.__name__, module)

    monkeypatch.setattr(program, "SERVERS", {"postgresql": {"version": "18.0", "fsync": "on"}})
    return put


def _run_of(outcome):
    def run(**given):
        if isinstance(outcome, BaseException):
            raise outcome
        return outcome(**given) if callable(outcome) else outcome

    return run


class TestNames:
    def test_every_bench_there_is_can_be_asked_for_in_the_specified_order(self):
        folder = Path(benchmarks.__file__).parent
        assert [name for name in SPECIFIED_NAMES if (folder / f"{name}.py").exists()] == list(program.NAMES)

    def test_measures_are_called_as_specified(self):
        assert intake.VS_BARE == "webhook intake vs bare starlette insert"
        assert intake.VS_PGBENCH == "webhook intake vs pgbench insert"
        assert tasks.VS_BARE_RQ == "durable tasks vs bare rq"
        assert dashboard.AT_100X == "dashboard at 100x history vs 1x history"
        assert (wakeup.IDLE, wakeup.LOADED) == ("commit → handler idle", "commit → handler loaded")
        assert (burst.P99, burst.WORST) == ("ack in a 10× burst, p99", "ack in a 10× burst, max")
        assert (start.FINISHED_BUILD, start.FIRST_UP) == (
            "start from a finished build",
            "first `up` with cold caches",
        )
        assert rls.SECURITY == "row-level security"

    def test_the_hunt_is_called_by_its_size(self):
        large = hunt.Outcome(listed=300_000, found=100_000, requests=3_000, seconds=125.0, megabytes=90.0)
        rows = hunt._rows(hunt.GHOSTS, large, [large, large])
        assert rows[0].measure == "hunt of 100,000 ghosts"
        assert {(row.rounds, row.spread) for row in rows} == {(1, 0.0)}

    def test_an_unknown_name_is_refused_before_anything_is_measured(self, benches, capsys):
        benches(good=pytest.fail)
        with pytest.raises(SystemExit) as ended:
            program.main(["good", "godo"])
        assert ended.value.code == 2
        assert "godo" in capsys.readouterr().err


class TestJson:
    def test_has_exactly_the_specified_keys(self, benches, capsys):
        benches(good=[ROW], other=[OTHER])
        assert program.main(["--json"]) == 0
        said = json.loads(capsys.readouterr().out)
        assert list(said) == ["environment", "rows"]
        assert [list(row) for row in said["rows"]] == [SPECIFIED_KEYS, SPECIFIED_KEYS]
        assert said["rows"][0] == {
            "measure": "pace",
            "value": 30.0,
            "unit": "/s",
            "control": "a walk",
            "control_value": 10.0,
            "ratio": 3.0,
            "rounds": 5,
            "spread": 0.1,
            "goal": ">= 2.0x",
        }

    def test_tells_the_machine_and_the_servers_that_took_part(self, benches, capsys):
        benches(good=[ROW])
        program.main(["--json"])
        about = json.loads(capsys.readouterr().out)["environment"]
        assert about["postgresql"] == {"version": "18.0", "fsync": "on"}
        assert {"date", "machine", "cpu", "cores", "memory_gb", "load_before", "python", "kernel", "packages"} <= set(
            about
        )

    def test_measures_only_what_is_asked_for(self, benches, capsys):
        benches(good=[ROW], other=pytest.fail)
        assert program.main(["--json", "good"]) == 0
        assert [row["measure"] for row in json.loads(capsys.readouterr().out)["rows"]] == ["pace"]

    def test_the_soak_alone_is_told_how_long(self, benches, capsys):
        def soak(seconds):
            return [Row("soak", seconds, "s", None, None, None, 1, 0.0, "")]

        benches(good=lambda: [ROW], soak=soak)
        assert program.main(["--json", "--soak-seconds", "7"]) == 0
        assert [row["value"] for row in json.loads(capsys.readouterr().out)["rows"]] == [30.0, 7.0]


class TestFailures:
    def test_no_figure_after_an_audit_that_failed(self, benches, capsys):
        benches(wrong=AuditError("stored events: expected 5, found 4"))
        assert program.main(["--json"]) == 1
        said = capsys.readouterr()
        assert json.loads(said.out)["rows"] == []
        assert "wrong: audit failed, no figure: stored events: expected 5, found 4" in said.err

    @pytest.mark.parametrize(
        "error",
        [
            AuditError("sums differ"),
            BenchError("pgbench: connection refused"),
            NotStartedError("serve did not start"),
            ConfigurationError("this bench needs wrk"),
        ],
        ids=lambda error: type(error).__name__,
    )
    def test_the_others_are_measured_and_printed_all_the_same(self, benches, capsys, error):
        benches(first=[ROW], wrong=error, last=[OTHER])
        assert program.main(["--json"]) == 1
        said = capsys.readouterr()
        assert [row["measure"] for row in json.loads(said.out)["rows"]] == ["pace", "height"]
        assert f"wrong: {'audit failed, no figure: ' if isinstance(error, AuditError) else ''}" in said.err
        assert str(error) in said.err

    @pytest.mark.parametrize("error", [KeyboardInterrupt(), ZeroDivisionError("a fault of the bench")])
    def test_what_was_measured_is_printed_also_when_the_run_ends_early(self, benches, capsys, error):
        benches(first=[ROW], wrong=error, never=pytest.fail)
        with pytest.raises(type(error)):
            program.main(["--json"])
        assert [row["measure"] for row in json.loads(capsys.readouterr().out)["rows"]] == ["pace"]

    def test_a_bench_that_fails_late_leaves_none_of_its_rows(self, benches, capsys):
        def late():
            rows = [ROW]
            harness.audit(expected=1, found=2, what="the last count")
            return rows

        benches(wrong=late, good=[OTHER])
        assert program.main([]) == 1
        said = capsys.readouterr()
        assert "pace" not in said.out
        assert "height" in said.out


class TestTable:
    def test_says_value_control_and_ratio(self, benches, capsys):
        benches(good=[ROW])
        assert program.main([]) == 0
        said = capsys.readouterr().out
        assert "3.00x of a walk (10.00 /s)" in said
        assert "5 rounds, spread 10%, goal >= 2.0x" in said
