"""One source of time, shared over a file, standing still or running ahead."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

from core import clock

NEW_YEAR = datetime(2027, 1, 1, tzinfo=UTC)


class TestOffsetClock:
    def test_without_a_file_it_is_the_machines_time(self, tmp_path: Path):
        told = clock.OffsetClock(tmp_path / "clock.json").now()
        assert abs(told - datetime.now(UTC)) < timedelta(seconds=5)

    def test_two_processes_read_one_offset_and_its_changes(self, tmp_path: Path):
        path = tmp_path / "clock.json"
        first, second = clock.OffsetClock(path), clock.OffsetClock(path)
        clock.write_offset(path, timedelta(days=-180))
        assert first.offset() == second.offset() == timedelta(days=-180)
        clock.write_offset(path, timedelta())
        assert first.offset() == second.offset() == timedelta()

    def test_set_now_makes_it_that_moment(self, tmp_path: Path):
        path = tmp_path / "clock.json"
        clock.set_now(path, NEW_YEAR)
        assert abs(clock.OffsetClock(path).now() - NEW_YEAR) < timedelta(seconds=5)

    def test_leaves_no_half_written_file_behind(self, tmp_path: Path):
        clock.write_offset(tmp_path / "clock.json", timedelta(1))
        assert [found.name for found in tmp_path.iterdir()] == ["clock.json"]


class TestUsing:
    def test_puts_the_former_clock_back(self):
        manual = clock.ManualClock(NEW_YEAR)
        with clock.using(manual):
            manual.advance(timedelta(hours=1))
            assert clock.now() == NEW_YEAR + timedelta(hours=1)
            assert clock.timestamp() == int(NEW_YEAR.timestamp()) + 3600
        assert clock.now() != NEW_YEAR + timedelta(hours=1)
