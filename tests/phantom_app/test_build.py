"""One build for each state of the sources, whoever asks first."""

import fcntl
import os
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from phantom_app import build, plugins, serve
from services.operations.starting import Refusal

WAITS = [sys.executable, "-c", "input()"]


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A small copy of the shape of the sources."""
    for name in ("rxconfig.py", "requirements.txt"):
        (tmp_path / name).write_text(name)
    for name in ("assets/base.css", "reflex.lock/package.json", "phantom_app/pages/a.py", "phantom_app/api/b.py"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(name)
    return tmp_path


@pytest.fixture
def exports(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Instead of Reflex's export: note the call and leave what it leaves."""
    done: list[Path] = []

    def export(work: Path, log: Path, lock: int) -> None:
        done.append(work)
        for name in ("build/client", "backend"):
            (work / ".web" / name).mkdir(parents=True, exist_ok=True)
            (work / ".web" / name / "made").write_text("x")

    monkeypatch.setattr(build, "_export", export)
    return done


class TestSourceHash:
    @pytest.mark.parametrize(
        "name",
        ["rxconfig.py", "requirements.txt", "assets/base.css", "reflex.lock/package.json", "phantom_app/pages/a.py"],
    )
    def test_a_changed_source_is_another_build(self, tree: Path, name: str) -> None:
        before = build.source_hash(tree)
        (tree / name).write_text("changed")
        assert build.source_hash(tree) != before

    def test_a_new_file_is_another_build(self, tree: Path) -> None:
        before = build.source_hash(tree)
        (tree / "phantom_app/pages/new.py").write_text("")
        assert build.source_hash(tree) != before

    def test_what_reaches_no_page_does_not_count(self, tree: Path) -> None:
        before = build.source_hash(tree)
        (tree / "phantom_app/api/b.py").write_text("changed")
        (tree / "phantom_app/pages/__pycache__").mkdir()
        (tree / "phantom_app/pages/__pycache__/a.pyc").write_text("x")
        assert build.source_hash(tree) == before


class TestEnsureBuilt:
    def test_builds_once_and_on_a_copy(self, tree: Path, exports: list[Path]) -> None:
        said: list[str] = []
        first = build.ensure_built(said.append, root=tree)
        assert build.ensure_built(said.append, root=tree) == first
        assert (first / "build/client/made").exists()
        assert (first / "backend/made").exists()
        assert exports == [tree / ".phantom/frontend/work"]
        assert said
        assert not (tree / ".web").exists()

    def test_two_at_once_make_one_build(self, tree: Path, exports: list[Path]) -> None:
        found: list[Path] = []
        threads = [threading.Thread(target=lambda: found.append(build.ensure_built(root=tree))) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(exports) == 1
        assert len(set(found)) == 1

    def test_an_export_that_was_left_behind_keeps_the_next_build_waiting(
        self, tree: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """As when only `python -m phantom_app.build` is killed: Reflex goes on writing where the next would build."""
        left: list[subprocess.Popen[bytes]] = []

        def run(_command: list[str], *, pass_fds: tuple[int, ...], **_: object) -> None:
            waits = subprocess.Popen(WAITS, stdin=subprocess.PIPE, pass_fds=pass_fds)  # noqa: S603  # ours
            left.append(waits)
            raise KeyboardInterrupt

        monkeypatch.setattr(build, "_environment", lambda _work: {})
        monkeypatch.setattr(build.subprocess, "run", run)
        with pytest.raises(KeyboardInterrupt):
            build.ensure_built(root=tree)
        with (tree / ".phantom/frontend/.lock").open("w") as lock:
            with pytest.raises(BlockingIOError):
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            with left[0] as waiting:
                waiting.kill()
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)

    def test_old_builds_go_and_the_newest_stays(self, tree: Path, exports: list[Path]) -> None:
        made = []
        for number in range(6):
            (tree / "assets/base.css").write_text(str(number))
            made.append(build.ensure_built(root=tree))
        kept = [path for path in made if path.exists()]
        assert made[-1] in kept
        assert len(kept) == 4

    def test_a_failed_export_says_so_and_leaves_no_build(self, tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        def export(work: Path, log: Path, lock: int) -> None:
            raise build.BuildError("no")

        monkeypatch.setattr(build, "_export", export)
        with pytest.raises(build.BuildError):
            build.ensure_built(root=tree)
        assert not (tree / ".phantom/frontend" / build.source_hash(tree)).exists()

    def test_the_environment_of_the_build_is_quiet_and_its_own(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("REFLEX_WEB_WORKDIR", "/elsewhere")
        monkeypatch.setenv("NPM_CONFIG_REGISTRY", "http://127.0.0.1:1/")
        environment = build._environment(tmp_path)
        assert environment["REFLEX_TELEMETRY_ENABLED"] == "false"
        assert environment["REFLEX_USE_NPM"] == "1"
        assert "REFLEX_WEB_WORKDIR" not in environment
        assert shutil.which("node", path=environment["PATH"])


class TestFindBuilt:
    def test_finds_what_was_built_and_builds_nothing(self, tree: Path, exports: list[Path]) -> None:
        assert build.find_built(tree) is None
        made = build.ensure_built(root=tree)
        assert build.find_built(tree) == made
        (tree / "assets/base.css").write_text("other sources")
        assert build.find_built(tree) is None
        assert len(exports) == 1

    def test_a_build_is_held_without_a_file_in_it(
        self, tree: Path, exports: list[Path], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(build, "_holding", [])
        made = build.ensure_built(root=tree)
        before = sorted(made.rglob("*"))
        assert build.hold(made)
        assert sorted(made.rglob("*")) == before
        for handle in build._holding:
            os.close(handle)


class TestSameOrigin:
    def bundle(self, sockets: int = 1, endpoints: int = 5) -> str:
        return "x={" + ",".join(
            ["e:`ws://localhost:8000/_event`"] * sockets + ["p:`http://localhost:8000/ping`"] * endpoints
        )

    def test_addresses_become_the_pages_own(self) -> None:
        text = plugins.same_origin(self.bundle())
        assert "localhost" not in text
        assert 'location.origin.replace(/^http/,"ws")+`/_event`' in text

    def test_another_bundle_is_refused(self) -> None:
        with pytest.raises(plugins.UnexpectedBundleError):
            plugins.same_origin(self.bundle(endpoints=6))


class TestPruning:
    def test_old_builds_go_but_not_one_that_is_served(
        self, tree: Path, exports: list[Path], tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(build, "_holding", [])
        store = tmp_path_factory.mktemp("store")
        made = []
        for number in range(7):
            (tree / "rxconfig.py").write_text(f"version {number}")
            made.append(build.ensure_built(root=tree, store=store))
            if number == 0:
                assert build.hold(made[0])
        assert (made[0] / "build" / "client" / "made").exists()
        assert not made[1].exists()
        assert made[-1].exists()
        for handle in build._holding:
            os.close(handle)

    def test_a_build_that_is_gone_cannot_be_held(self, tmp_path: Path) -> None:
        assert not build.hold(tmp_path / "0123456789abcdef")


class TestServingWithoutBuilding:
    def test_a_server_that_may_not_build_says_what_to_run(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(build, "find_built", lambda: None)
        monkeypatch.setattr(build, "ensure_built", lambda *_: pytest.fail("it built"))
        with pytest.raises(Refusal, match="phantom build"):
            serve.built_pages(may_build=False)
