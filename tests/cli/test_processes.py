"""Single processes as commands: what a service manager starts, sees and stops."""

import contextlib
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from cli.paths import ROOT
from core.embedded.process import free_port
from tests.support.database import WorkerDatabase
from tests.support.wait import wait_until

HEALTHY = 200


@contextlib.contextmanager
def command(folder: Path, *arguments: str) -> Iterator["subprocess.Popen[str]"]:
    """`phantom …` in this test's environment; stopped by SIGTERM, as which it ends well."""
    process = subprocess.Popen(  # noqa: S603  # our own command line
        [sys.executable, "-m", "cli", "--folder", str(folder), *arguments],
        cwd=ROOT,
        env=os.environ,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        yield process
        process.send_signal(signal.SIGTERM)
        output, _ = process.communicate(timeout=30)
        assert process.returncode == 0, output
        assert "Traceback" not in output
    finally:
        process.kill()
        process.communicate()


def answer(process: "subprocess.Popen[str]", url: str) -> httpx.Response:
    """The first good answer. Raises `AssertionError` with what the process said when it ended instead."""

    def look() -> httpx.Response | None:
        assert process.poll() is None, process.communicate()[0]
        with contextlib.suppress(httpx.HTTPError):
            found = httpx.get(url, timeout=5)
            return found if found.status_code == HEALTHY else None
        return None

    return wait_until(look, timeout=60, what=f"{url} answers")


class TestServe:
    @pytest.mark.usefixtures("redis_url")
    def test_headless_is_one_link_and_an_api_in_json(self, database: WorkerDatabase, tmp_path: Path) -> None:
        port = free_port()
        with command(tmp_path, "serve", "--headless", "--port", str(port), "--workers", "1") as process:
            ready = answer(process, f"http://127.0.0.1:{port}/health/ready")
            assert ready.json()["status"] == "ready"
            assert httpx.get(f"http://127.0.0.1:{port}/health").json() == {"status": "alive"}
            page = httpx.get(f"http://127.0.0.1:{port}/").text
            assert re.findall(r'<a [^>]*href="([^"]*)"[^>]*>([^<]*)</a>', page) == [
                ("/api/auth/stripe", "Connect Stripe")
            ]
            assert "<script" not in page
            missing = httpx.get(f"http://127.0.0.1:{port}/dashboard")
            assert (missing.status_code, missing.json()["code"]) == (404, "not_found")


class TestSandbox:
    def test_answers_as_stripe_and_keeps_its_state(self, tmp_path: Path) -> None:
        options = ("sandbox", "--port", "0", "--data", str(tmp_path / "data"))
        owner = {"name": "Umbra Coffee", "email": "umbra@example.com"}
        for accounts in (1, 2):
            with command(tmp_path, *options) as process:
                assert process.stdout is not None
                line = process.stdout.readline()
                assert line.startswith("sandbox listening on http://127.0.0.1:"), line
                base = line.split()[-1]
                made = httpx.post(f"{base}/_sandbox/actions/create_account", json=owner)
                known = httpx.get(f"{base}/_sandbox/health").json()
                opened = set(known["accounts"]) - {known["platform_account"]}
                assert made.json()["result"]["id"] in opened
                assert len(opened) == accounts
                refused = httpx.get(f"{base}/v1/customers", headers={"Authorization": "Bearer sk_test_nobody"})
                assert refused.status_code == 401
                assert refused.json()["error"]["type"] == "invalid_request_error"
