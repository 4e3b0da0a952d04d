"""The launcher as a stranger meets it: in a folder of its own, with the environment of whoever calls it."""

import importlib.machinery
import importlib.util
import os
import shutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

from cli.paths import ROOT

# Reports what the launcher handed over, instead of PHANTOM's own command line
_CLI = """
import json, os, sys
print(json.dumps({"arguments": sys.argv[1:], "prefix": sys.prefix, "folder": os.getcwd(),
                  "foreign": sorted({"PYTHONPATH", "VIRTUAL_ENV", "PYTHONHOME"} & os.environ.keys())}))
"""


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A checkout that needs nothing from the network: no requirements, and a command line of one file."""
    shutil.copy(ROOT / "phantom", tmp_path)
    (tmp_path / "requirements.txt").write_text("# nothing\n")
    (tmp_path / "cli").mkdir()
    (tmp_path / "cli" / "__init__.py").touch()
    (tmp_path / "cli" / "__main__.py").write_text(_CLI)
    return tmp_path


def launch(checkout: Path, *arguments: str, **environment: str) -> "subprocess.Popen[str]":
    # pip may not look anywhere: uv cannot be brought in, so each of these also takes the way around it
    told = {**os.environ, "PIP_NO_INDEX": "1", "PIP_FIND_LINKS": "", **environment}
    told["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{told['PATH']}"
    return subprocess.Popen(  # noqa: S603  # the launcher itself
        [checkout / "phantom", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd="/",
        env=told,
    )


def outcome_of(process: "subprocess.Popen[str]") -> tuple[int, str, str]:
    output, errors = process.communicate(timeout=100)
    return process.returncode, output, errors


@pytest.fixture
def launcher(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> ModuleType:
    """The launcher's functions, on a folder of the test's own."""
    monkeypatch.setattr(sys, "dont_write_bytecode", True)  # the file stands in the checkout's root
    loader = importlib.machinery.SourceFileLoader("phantom_launcher", str(ROOT / "phantom"))
    spec = importlib.util.spec_from_loader(loader.name, loader)
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    loader.exec_module(module)
    monkeypatch.setattr(module, "ROOT", tmp_path)
    monkeypatch.setattr(module, "VENV", tmp_path / ".venv")
    monkeypatch.setattr(module, "PYTHON", tmp_path / ".venv" / "bin" / "python")
    monkeypatch.setattr(module, "STAMP", tmp_path / ".venv" / "phantom.stamp")
    monkeypatch.setattr(module, "LOG", tmp_path / ".venv" / "install.log")
    monkeypatch.setattr(module, "LOCK", tmp_path / ".phantom" / "venv.lock")
    return module


def last_line_of(capsys: pytest.CaptureFixture[str]) -> str:
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1, lines
    return lines[0]


class TestEnvironment:
    def test_two_first_starts_at_once_and_then_a_third(self, checkout: Path) -> None:
        """One builds, one waits; the third, with a stranger's environment around it, finds it finished."""
        outcomes = [outcome_of(process) for process in [launch(checkout, "status"), launch(checkout, "status")]]
        assert [code for code, _, _ in outcomes] == [0, 0], outcomes
        assert sum("Preparing .venv" in errors for _, _, errors in outcomes) == 1
        assert sum("Another start" in errors for _, _, errors in outcomes) <= 1

        stray = checkout / "stray"
        stray.mkdir()
        (stray / "subprocess.py").write_text("raise SystemExit('the wrong module')")
        strange = {"PYTHONPATH": str(stray), "VIRTUAL_ENV": str(stray), "PYTHONHOME": "/nowhere"}
        code, output, errors = outcome_of(launch(checkout, "hunt", "--json", **strange))
        assert (code, errors) == (0, "")
        assert f'"prefix": "{checkout}/.venv"' in output
        assert '"arguments": ["hunt", "--json"]' in output
        assert f'"folder": "{checkout}"' in output
        assert '"foreign": []' in output

    def test_an_environment_that_is_only_linked_is_left_alone(
        self, checkout: Path, tmp_path_factory: pytest.TempPathFactory
    ) -> None:
        elsewhere = tmp_path_factory.mktemp("elsewhere")
        (elsewhere / "kept").touch()
        (checkout / ".venv").symlink_to(elsewhere)

        code, _, errors = outcome_of(launch(checkout))
        assert code != 0
        assert ".venv is a link" in errors
        assert [path.name for path in elsewhere.iterdir()] == ["kept"]

    def test_a_package_that_cannot_be_had(self, checkout: Path) -> None:
        (checkout / "requirements.txt").write_text("a-package-nobody-made==1.0\n")
        code, _, errors = outcome_of(launch(checkout, "up"))
        assert code == 1
        assert errors.splitlines()[-1].startswith("phantom: cannot reach the Python package index")
        assert "Traceback" not in errors
        assert not (checkout / ".venv" / "phantom.stamp").exists()


class TestStamp:
    def test_changes_with_the_requirements_and_the_folder(self, launcher: ModuleType, tmp_path: Path) -> None:
        requirements = tmp_path / "requirements.txt"
        requirements.write_text("one")
        first = launcher.wanted_stamp()
        requirements.write_text("two")
        assert launcher.wanted_stamp() != first
        assert str(tmp_path) in first

    def test_a_moved_checkout_starts_over(self, launcher: ModuleType) -> None:
        launcher.PYTHON.parent.mkdir(parents=True)
        launcher.PYTHON.symlink_to(sys.executable)
        assert not launcher.must_start_over()  # interrupted: can be completed
        launcher.STAMP.write_text("hash\n/somewhere/else\n")
        assert launcher.must_start_over()

    def test_an_environment_whose_python_is_gone_starts_over(self, launcher: ModuleType) -> None:
        launcher.PYTHON.parent.mkdir(parents=True)
        launcher.PYTHON.symlink_to("/nowhere/python3.11")
        assert launcher.must_start_over()


class TestClearLines:
    def test_a_python_that_is_too_old(
        self, launcher: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
    ) -> None:
        monkeypatch.setattr(sys, "version_info", (3, 9, 2, "final", 0))
        monkeypatch.setenv("PATH", str(tmp_path))
        with pytest.raises(SystemExit, match="1"):
            launcher.supported_python()
        assert last_line_of(capsys) == "phantom: needs Python 3.11 or 3.12 on the PATH; this is 3.9"

    def test_an_old_python_finds_a_newer_one_and_is_not_fooled_by_a_broken_one(
        self, launcher: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        version = f"python{sys.version_info[0]}.{sys.version_info[1]}"
        other = "python3.12" if version == "python3.11" else "python3.11"
        (tmp_path / version).symlink_to(sys.executable)
        (tmp_path / other).write_text("#!/bin/sh\nexit 127\n")  # a version manager's shim for a version it lacks
        (tmp_path / other).chmod(0o755)
        monkeypatch.setattr(sys, "version_info", (3, 9, 2, "final", 0))
        monkeypatch.setenv("PATH", str(tmp_path))
        assert launcher.supported_python() == str(tmp_path / version)

    def test_no_permission_to_write(
        self, launcher: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
    ) -> None:
        def refuse(*_: object, **__: object) -> None:
            raise PermissionError(13, "Permission denied", str(tmp_path / ".phantom"))

        (tmp_path / "requirements.txt").touch()
        monkeypatch.setattr(launcher.Path, "mkdir", refuse)
        with pytest.raises(SystemExit, match="1"):
            launcher.main()
        assert "no permission to write" in last_line_of(capsys)

    def test_a_read_only_disk(
        self, launcher: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
    ) -> None:
        def refuse(*_: object, **__: object) -> None:
            raise OSError(30, "Read-only file system", str(tmp_path / ".phantom"))

        (tmp_path / "requirements.txt").touch()
        monkeypatch.setattr(launcher.Path, "mkdir", refuse)
        with pytest.raises(SystemExit, match="1"):
            launcher.main()
        assert last_line_of(capsys).endswith("Read-only file system")

    @pytest.mark.parametrize(
        ("said", "line"),
        [
            (
                "error: Failed to fetch: https://index.example/simple/rq/\n  dns error",
                "cannot reach the Python package index",
            ),
            ("OSError: [Errno 28] No space left on device", "no space left on the disk"),
            ("ERROR: Hash mismatch for rq", "Hash mismatch for rq"),
        ],
    )
    def test_what_an_installer_said(
        self, launcher: ModuleType, capsys: pytest.CaptureFixture[str], said: str, line: str
    ) -> None:
        launcher.LOG.parent.mkdir()
        launcher.LOG.write_text(said)
        with pytest.raises(SystemExit, match="1"):
            launcher.explain_failure()
        assert line in last_line_of(capsys)
