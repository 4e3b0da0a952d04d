"""Rows, rounds and audits: the arithmetic every figure goes through."""

import os
import subprocess
import time

import pytest

from benchmarks import cores, soak, tools, wakeup
from benchmarks.harness import (
    AuditError,
    BenchError,
    Samples,
    alone,
    alternate,
    audit,
    audit_durable,
    compared,
    forget_servers,
    percentile,
    surely_below,
)
from benchmarks.machine import cpu_model
from benchmarks.processes import NotStartedError, cpu_seconds, tree_seconds
from core import db

DURABLE = {"version": "18.0", "fsync": "on", "synchronous_commit": "on", "full_page_writes": "on"}


class TestRounds:
    def test_every_other_round_goes_backwards(self):
        order = []
        taken = alternate({name: lambda name=name: order.append(name) or len(order) for name in "abc"}, rounds=3)
        assert "".join(order) == "abccbaabc"
        assert taken["a"].values == (1, 6, 7)

    def test_the_ratio_is_the_median_of_the_rounds_own(self):
        """The machine was slow in the second round, for both: the ratio of the medians would say 1.5."""
        row = compared("pace", Samples((30.0, 6.0, 15.0)), "/s", "a walk", Samples((10.0, 2.0, 10.0)), "")
        assert (row.value, row.control_value, row.ratio, row.rounds) == (15.0, 10.0, 3.0, 3)
        assert row.spread == pytest.approx(24 / 15)

    def test_rounds_that_are_not_pairs_are_no_comparison(self):
        with pytest.raises(ValueError, match="shorter"):
            compared("pace", Samples((1.0, 2.0)), "/s", "a walk", Samples((1.0,)), "")

    def test_a_single_round_says_so(self):
        row = alone("height", Samples((2.0,)), "m", "")
        assert (row.rounds, row.spread, row.control, row.ratio) == (1, 0.0, None, None)

    def test_a_ratio_is_surely_below_what_chance_hardly_reaches(self):
        """Of 25 pairs the 18th ratio: that the median lies above it is as likely as 7 heads or fewer of 25, 2.2 %."""
        pairs = [(float(100 + number), 100.0) for number in range(25)]
        pairs = pairs[1::2] + pairs[::2]
        mine, theirs = (Samples(tuple(side)) for side in zip(*pairs, strict=True))
        row = surely_below("pace", mine, theirs, "<= 1.2x")
        assert (row.value, row.rounds, row.control, row.ratio) == (pytest.approx(1.17), 25, None, None)

    @pytest.mark.parametrize(("rounds", "bound"), [(1, 1.0), (5, 5.0), (6, 6.0), (9, 8.0)])
    def test_few_rounds_are_sure_of_little(self, rounds, bound):
        mine = Samples(tuple(float(number) for number in range(1, rounds + 1)))
        assert surely_below("pace", mine, Samples((1.0,) * rounds), "").value == bound

    def test_percentile_is_the_nearest_rank(self):
        assert [percentile(range(1, 101), share) for share in (0.5, 0.99, 1.0)] == [50, 99, 100]
        assert percentile([7.0], 0.99) == 7.0


class TestAudit:
    def test_what_differs_is_an_error_that_every_bench_may_raise(self):
        with pytest.raises(AuditError, match="rows: expected 5, found 4"):
            audit(expected=5, found=4, what="rows")
        assert issubclass(AuditError, BenchError)
        assert issubclass(NotStartedError, BenchError)

    def test_a_postgresql_that_may_forget_gives_no_figure(self):
        audit_durable(DURABLE)
        for name in ("fsync", "synchronous_commit", "full_page_writes"):
            with pytest.raises(AuditError, match="durability"):
                audit_durable({**DURABLE, name: "off"})


class TestPlaces:
    def test_the_second_one_of_a_run_is_not_taken_for_the_first(self, monkeypatch):
        seen = []
        for database in ("phantom_first", "phantom_second"):
            url = f"postgresql://somebody@127.0.0.1:1/{database}"
            monkeypatch.setenv("DATABASE_URL", url)
            monkeypatch.setenv("DATABASE_SYSTEM_URL", url)
            forget_servers()
            seen += [(db.application_engine().url.database, db.system_engine().url.database)]
        forget_servers()
        assert seen == [("phantom_first",) * 2, ("phantom_second",) * 2]


class TestMachine:
    def test_the_first_processor_is_named(self, tmp_path):
        told = tmp_path / "cpuinfo"
        told.write_text("processor\t: 0\nmodel name\t: Some CPU @ 2.00GHz\n\nprocessor\t: 1\nmodel name\t: Other\n")
        assert cpu_model(told) == "Some CPU @ 2.00GHz"

    def test_unknown_where_nobody_says(self, tmp_path):
        assert cpu_model(tmp_path / "absent") == "unknown"
        (tmp_path / "arm").write_text("processor\t: 0\nBogoMIPS\t: 50.00\n")
        assert cpu_model(tmp_path / "arm") == "unknown"


class TestWrk:
    @staticmethod
    def _done(code, out, err=""):
        return subprocess.CompletedProcess(["wrk"], code, out, err)

    def test_what_our_script_said_last_is_the_load(self):
        said = '{"acknowledged": 90, "seconds": 2.0, "refused": 1, "broken": 0, "p99": 3.5, "slowest": 9.0}\n'
        assert tools._load(self._done(0, f"Running 2s test\n{said}")).rate == 45.0

    @pytest.mark.parametrize(("code", "out"), [(1, ""), (0, ""), (0, "Running 2s test\n")])
    def test_a_wrk_that_fails_is_an_error_of_the_bench(self, code, out):
        with pytest.raises(BenchError, match="cannot resolve"):
            tools._load(self._done(code, out, "cannot resolve host"))


class TestCores:
    def test_an_event_costs_what_everybody_spent_on_it(self):
        spent = {cores.GENERATOR: 0.2, cores.WEB: 1.0, cores.POSTGRESQL: 0.3}
        ours = cores.Round(spent, lasted=1.0, events=10_000)
        theirs = cores.Round(dict.fromkeys(spent, 1.0), lasted=2.0, events=10_000)
        rows = {row.measure: row for row in cores.rows_of("x", [ours], "y", [theirs])}
        whole, busy = rows["x: processor time an event"], rows["x: processors busy"]
        assert (whole.value, whole.control_value, whole.ratio) == pytest.approx((150.0, 300.0, 0.5))
        assert (busy.value, busy.control_value) == pytest.approx((1.5, 1.5))
        assert rows["x: of it the load generator"].value == pytest.approx(20.0)

    def test_work_is_counted_of_children_too_and_after_they_have_ended(self):
        mine, all_of_us = cpu_seconds(os.getpid()), tree_seconds(os.getpid())
        subprocess.run(["/bin/sh", "-c", "i=0; while [ $i -lt 200000 ]; do i=$((i+1)); done"], check=True)
        began = time.process_time()
        while time.process_time() < began + 0.1:
            pass
        assert cpu_seconds(os.getpid()) - mine >= 0.09
        assert tree_seconds(os.getpid()) - all_of_us >= 0.15

    def test_who_is_gone_has_had_nothing(self):
        with subprocess.Popen(["/bin/true"]) as gone:
            gone.wait()
        assert tree_seconds(gone.pid) == 0.0


class TestWakeup:
    def test_the_rate_is_what_was_committed_not_what_was_meant(self):
        assert wakeup.rate_of([0.0, 0.1, 0.2, 2.0, 2.5]) == 1.6
        assert wakeup.rate_of([5.0]) == 0.0

    def test_a_load_that_was_offered_has_a_row_of_its_own(self):
        row = wakeup.offered([wakeup.Pass((0.01,), 95.0), wakeup.Pass((0.01,), 100.0)], wanted=100.0)
        assert (row.measure, row.value, row.ratio) == ("commit → handler loaded: rate offered", 97.5, 0.975)

    def test_one_round_with_too_little_load_is_no_figure(self):
        with pytest.raises(AuditError, match="89 tasks/s were committed, 100/s were wanted"):
            wakeup.offered([wakeup.Pass((0.01,), 100.0), wakeup.Pass((0.01,), 89.0)], wanted=100.0)

    def test_kills_are_one_p99_of_all_with_the_spread_of_the_rounds(self):
        row = wakeup.killed_row(
            "killed task runs again", [[1.0, 2.0, 3.0, 4.0], [1.0, 1.0, 1.0, 5.0], [1.0, 1.0, 1.0, 6.0]]
        )
        assert (row.value, row.rounds, row.spread) == (6.0, 3, pytest.approx(2 / 5))


class TestSoak:
    @staticmethod
    def _watched(*moments):
        looks = [soak.Look(moment, {}, {}) for moment in moments]
        return soak.Watcher("", 0.25, dict, looks)

    def test_enough_was_seen(self):
        soak.audit_seen(5.0, 5, self._watched(*(number / 4 for number in range(20))))

    def test_a_dashboard_nobody_looked_at_gives_no_figure(self):
        with pytest.raises(AuditError, match="read of the dashboard"):
            soak.audit_seen(5.0, 4, self._watched(*(number / 4 for number in range(20))))

    def test_looks_that_ended_early_give_no_figure(self):
        with pytest.raises(AuditError, match="looks"):
            soak.audit_seen(5.0, 50, self._watched(*(number / 4 for number in range(17))))

    def test_each_table_that_was_written_to_is_watched(self):
        looks = [
            soak.Look(second, {"busy": soak.Rows(dead, 5000, dead), "idle": soak.Rows(7, 9, 9)}, {})
            for second, dead in ((0.5, 10), (1.5, 100), (2.5, 900), (4.5, 120))
        ]
        watcher = soak.Watcher("", 1.0, dict, looks)
        assert watcher.written() == ["busy"]
        dead, share = soak._dead_rows(watcher, "busy", 1.0, 5.0)
        assert (dead.value, dead.control_value, dead.ratio) == (120, 100, 1.2)
        assert (share.value, share.goal) == (120 / 5000, "<= 0.5")

    def test_of_a_small_table_the_number_counts(self):
        watcher = soak.Watcher("", 1.0, dict, [soak.Look(at, {"small": soak.Rows(60, 16, 1)}, {}) for at in (1.5, 4.5)])
        (row,) = soak._dead_rows(watcher, "small", 1.0, 5.0)
        assert (row.value, row.control_value) == (60, 60)
