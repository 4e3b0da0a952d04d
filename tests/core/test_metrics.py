"""Metrics of several processes add up, survive their processes, and are not for strangers."""

import asyncio
import os
import re
import struct
import subprocess
import sys
from pathlib import Path

import pytest

from core import metrics
from core.errors import NotFoundError

COUNTING = """
import os, signal, sys
from pathlib import Path
from core import metrics
metrics.share(Path(sys.argv[1]))
for _ in range(int(sys.argv[2])):
    metrics.MESSAGES.add("accepted")
    metrics.INTAKE.observe(0.004, "stored")
child = os.fork()
if child == 0:
    metrics.MESSAGES.add("refused")
    os._exit(0)
os.waitpid(child, 0)
print("counted", flush=True)
if sys.argv[3] == "killed":
    os.kill(os.getpid(), signal.SIGKILL)
print(metrics.render().decode())
"""


def count(folder: Path, times: int, then: str = "scraped") -> str:
    """What a process of its own says after counting."""
    ended = subprocess.run(  # noqa: S603  # our own interpreter
        [sys.executable, "-c", COUNTING, str(folder), str(times), then], capture_output=True, text=True, timeout=60
    )
    assert "counted" in ended.stdout, ended.stderr
    return ended.stdout


class TestOneProcess:
    def test_counts_and_times_by_their_labels(self) -> None:
        before = self.value('phantom_messages_total{outcome="test"}')
        metrics.MESSAGES.add("test", amount=2)
        metrics.MESSAGES.add("test")
        assert self.value('phantom_messages_total{outcome="test"}') == before + 3

    def test_a_block_is_timed_by_what_became_of_it(self) -> None:
        with metrics.timed(metrics.HUNTS, "test"):
            pass
        with pytest.raises(NotFoundError), metrics.timed(metrics.HUNTS, "test"):
            raise NotFoundError
        with pytest.raises(ZeroDivisionError), metrics.timed(metrics.HUNTS, "test"):
            raise ZeroDivisionError
        for outcome in ("ok", "not_found", "ZeroDivisionError"):
            assert self.value(f'phantom_hunt_seconds_count{{outcome="{outcome}",trigger="test"}}') == 1

    async def test_gathered_observations_are_the_same_in_the_end(self) -> None:
        seconds = (0.0001, 0.0005, 0.003, 0.3, 99.0)
        gathered = metrics.Gathered(metrics.INTAKE, every=60)
        for each in seconds:
            gathered.observe(each, "gathered")
            metrics.INTAKE.observe(each, "single")
        assert self.value('phantom_intake_seconds_count{outcome="gathered"}') == 0
        gathered.write()
        gathered.write()  # nothing is left to write twice
        lines = [line for line in metrics.render().decode().splitlines() if "phantom_intake_seconds" in line]
        told = {name: [line.replace(name, "") for line in lines if name in line] for name in ("gathered", "single")}
        without_created = {name: [line for line in kept if "_created" not in line] for name, kept in told.items()}
        assert without_created["gathered"] == without_created["single"]
        assert len(without_created["single"]) > 10

    async def test_what_was_gathered_is_written_by_itself(self) -> None:
        metrics.Gathered(metrics.INTAKE, every=0.001).observe(0.001, "by_itself")
        async with asyncio.timeout(5):
            while not self.value('phantom_intake_seconds_count{outcome="by_itself"}'):  # noqa: ASYNC110  # no event tells
                await asyncio.sleep(0.001)

    def test_readings_stand_beside(self) -> None:
        readings = [metrics.Reading("phantom_t", "help", 2, {"lane": name}) for name in ("a", "b")]
        text = metrics.render(readings).decode()
        assert 'phantom_t{lane="a"} 2.0' in text
        assert text.count("# TYPE phantom_t gauge") == 1

    def test_no_label_can_name_a_merchant(self) -> None:
        bounded = {"method", "route", "status", "outcome", "kind", "trigger", "event", "currency", "mechanism"}
        assert {label for metric in metrics.CATALOGUE for label in metric.labels} == bounded

    @staticmethod
    def value(sample: str) -> float:
        lines = metrics.render().decode().splitlines()
        return next((float(line.rpartition(" ")[2]) for line in lines if line.startswith(sample + " ")), 0.0)


class TestDocumentation:
    def test_alerts_ask_for_what_there_is(self) -> None:
        """A name that is not there never alerts anybody."""
        root = Path(__file__).resolve().parents[2]
        read = re.findall(r'"(phantom_\w+)"', (root / "services" / "operations" / "service.py").read_text())
        counted = {metric.name for metric in metrics.CATALOGUE}
        parts = {f"{metric.name}_{part}" for metric in metrics.CATALOGUE for part in ("bucket", "count", "sum")}
        named = set(re.findall(r"\bphantom_[a-z_]+", (root / "docs" / "operations.md").read_text()))
        others = {"phantom_app", "phantom_system", "phantom_owner"}  # logins and a package
        assert len(named) > 5
        assert named - others <= {*read, *counted, *parts}


class TestSeveralProcesses:
    def test_add_up_forked_and_killed_ones_too(self, tmp_path: Path) -> None:
        count(tmp_path, 3, "killed")
        text = count(tmp_path, 4)
        assert 'phantom_messages_total{outcome="accepted"} 7.0' in text
        assert 'phantom_messages_total{outcome="refused"} 2.0' in text
        assert 'phantom_intake_seconds_count{outcome="stored"} 7.0' in text
        assert 'phantom_intake_seconds_bucket{le="0.005",outcome="stored"} 7.0' in text
        assert 'phantom_intake_seconds_bucket{le="0.001",outcome="stored"} 0.0' in text

    def test_files_of_the_dead_are_folded_into_one(self, tmp_path: Path) -> None:
        for _ in range(4):
            text = count(tmp_path, 1)
        assert 'phantom_messages_total{outcome="accepted"} 4.0' in text
        assert 'phantom_messages_total{outcome="refused"} 4.0' in text
        # the sums, and at most the last process and its fork
        assert len(list(tmp_path.glob("counter_*.db"))) <= 3

    def test_a_start_forgets(self, tmp_path: Path) -> None:
        count(tmp_path, 3)
        metrics.empty(tmp_path)
        assert 'phantom_messages_total{outcome="accepted"} 1.0' in count(tmp_path, 1)

    def test_are_shared_before_they_count(self, tmp_path: Path) -> None:
        metrics.MESSAGES.add("test")
        with pytest.raises(RuntimeError):
            metrics.share(tmp_path)


FULL = """
import resource, sys
from pathlib import Path
from core import metrics
# no file may be larger: like a full disk, for the library's own `truncate` as for what it has to do before
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]),) * 2)
metrics.share(Path(sys.argv[1]))
for number in range(2000):
    metrics.MESSAGES.add(f"outcome_{number}")
metrics.MESSAGES.add("outcome_1", amount=6)
print(metrics.render().decode())
"""


def run(script: str, *arguments: object) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(  # noqa: S603  # our own interpreter
        [sys.executable, "-c", script, *map(str, arguments)], capture_output=True, text=True, timeout=60
    )


class TestFullDisk:
    """Nobody dies of it: a process that has no room counts for itself and says so once."""

    @pytest.mark.parametrize("room", [0, 1 << 16, 1 << 17], ids=["for none", "for the first", "for one growth"])
    def test_a_process_goes_on_by_itself(self, tmp_path: Path, room: int) -> None:
        ended = run(FULL, tmp_path, room)
        assert ended.returncode == 0, ended.stderr
        assert 'phantom_messages_total{outcome="outcome_1"} 7.0' in ended.stdout
        assert 'phantom_messages_total{outcome="outcome_1999"} 1.0' in ended.stdout
        assert ended.stderr.count("metrics.not_shared") == 1
        assert "unreadable" not in count(tmp_path, 1)

    def test_every_block_is_had_before_it_is_counted_into(self, tmp_path: Path) -> None:
        """A hole in a file that is mapped is a SIGBUS on a full disk."""
        assert run(FULL, tmp_path, 1 << 30).returncode == 0
        [file] = tmp_path.glob("counter_*.db")
        assert file.stat().st_size > 1 << 17
        assert file.stat().st_blocks * 512 >= file.stat().st_size

    def test_the_dead_are_kept_until_there_is_room(self, tmp_path: Path) -> None:
        count(tmp_path, 3)
        ended = run(FULL, tmp_path, 0)
        assert "metrics.not_folded" in ended.stderr
        assert 'phantom_messages_total{outcome="accepted"} 4.0' in count(tmp_path, 1)

    def test_a_folder_that_cannot_be_made(self, tmp_path: Path) -> None:
        (tmp_path / "file").touch()
        assert 'phantom_messages_total{outcome="accepted"} 2.0' in count(tmp_path / "file" / "folder", 2)


class TestBadFiles:
    @pytest.mark.parametrize(
        "content",
        [
            b"",
            b"\x40\x00\x00",
            b"\x40\x00\x00\x00" + bytes(16),
            b"\xff\xff\xff\x7f" * 1024,
            struct.pack("iii", 40, 0, -20) + b"\xfe" * 64,
            struct.pack("iii12sdd", 40, 0, 12, b"[1, 2, 3, 4]", 1.0, 0.0),
            struct.pack("iii4sdd", 32, 0, 4, b"\xff\xfe\xff\xfe", 1.0, 0.0),
        ],
        ids=["empty", "three bytes", "cut off", "beyond itself", "backwards", "another's", "no text"],
    )
    @pytest.mark.parametrize("whose", ["99999999", "0", "living"])
    def test_one_is_told_of_and_stops_nobody(self, tmp_path: Path, content: bytes, whose: str) -> None:
        file = tmp_path / f"counter_{os.getpid() if whose == 'living' else whose}.db"
        file.write_bytes(content)
        count(tmp_path, 2, "killed")
        assert 'phantom_messages_total{outcome="accepted"} 3.0' in count(tmp_path, 1)
        assert (whose == "living") == (file.exists() and file.read_bytes() == content)

    def test_one_of_its_own_number_is_made_anew(self, tmp_path: Path) -> None:
        """In a container the same number comes back at each start."""
        own = f"import os; open(os.path.join(sys.argv[1], f'counter_{{os.getpid()}}.db'), 'wb').write({b'x' * 99!r})"
        ended = run(COUNTING.replace("\nfrom core", f"\n{own}\nfrom core"), tmp_path, 2, "scraped")
        assert 'phantom_messages_total{outcome="accepted"} 2.0' in ended.stdout, ended.stderr
        assert "metrics.unreadable_file" in ended.stderr


class TestWhoMayRead:
    @pytest.mark.parametrize("peer", ["127.0.0.1", "::1", "10.1.2.3", "192.168.7.7", "fd00::1", "::ffff:10.0.0.1"])
    def test_neighbours_without_a_token_where_they_may(self, peer: str) -> None:
        assert metrics.may_read(peer, "", None, neighbours=True)

    @pytest.mark.parametrize("peer", ["127.0.0.1", "::1", "::ffff:127.0.0.1"])
    def test_this_host_without_a_token(self, peer: str) -> None:
        assert metrics.may_read(peer, "", None)

    @pytest.mark.parametrize("peer", ["10.1.2.3", "172.17.0.1", "192.168.7.7", "fd00::1", "::ffff:10.0.0.1"])
    def test_no_neighbour_elsewhere(self, peer: str) -> None:
        """A gateway that rewrites addresses makes a neighbour of the whole internet."""
        assert not metrics.may_read(peer, "", None)

    @pytest.mark.parametrize("peer", ["8.8.8.8", "2606:4700::1111", "", "nonsense", "::ffff:8.8.8.8"])
    def test_no_stranger(self, peer: str) -> None:
        assert not metrics.may_read(peer, "", None, neighbours=True)

    @pytest.mark.parametrize("header", ["X-Forwarded-For", "Forwarded", "X-Real-Ip", "Via"])
    def test_nobody_whom_a_proxy_passes_on(self, header: str) -> None:
        assert not metrics.may_read("127.0.0.1", "", None, metrics.signs_of_a_proxy({header: "8.8.8.8"}))

    def test_a_token_is_what_counts_where_there_is_one(self) -> None:
        assert metrics.may_read("8.8.8.8", "Bearer s3cret", "s3cret", ("8.8.8.8",))
        for wrong in ("", "Bearer", "Bearer s3cre", "Basic s3cret", "s3cret", "Bearer s3crét"):
            assert not metrics.may_read("127.0.0.1", wrong, "s3cret"), wrong
