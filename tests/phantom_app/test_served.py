"""The whole web server as an attacker, an operator and an open page meet it."""

import asyncio
import contextlib
import os
import socket
import subprocess
import sys
from pathlib import Path

import httpx
import pytest
import socketio.exceptions

from core import db
from core.queue import announce_change
from phantom_app import build, guard, runtime
from phantom_app.state.dashboard import Dashboard
from phantom_app.state.ghost import Ghost
from phantom_app.state.shell import Shell
from services.audit import service as audit
from services.identity import service as identity
from tests.phantom_app.served import ROOT, Person, Served, Tab, is_alive, kill, sign_up
from tests.support.database import WorkerDatabase
from tests.support.wait import wait_until

ANSWER_TRIES = 5


async def answered(tab: Tab) -> None:
    """Everything sent so far has been dealt with: a public event sent last has come back."""
    before = len(tab.received)
    # What is shown already would come back as no change, and a busy server may take two events of a tab in either
    # order: so the pair is sent until one of its answers is heard.
    for _ in range(ANSWER_TRIES):
        await tab.call(runtime.handler_name(Shell.dismiss_problem))
        await tab.call(runtime.handler_name(Shell.report_failure))
        with contextlib.suppress(TimeoutError):
            await tab.until(lambda: "Nothing was changed" in str(tab.received[before:]), timeout=5)
            return
    raise AssertionError("the server did not answer a public event")


class TestPages:
    def test_pages_come_with_their_policy(self, served: Served) -> None:
        for path in ("/", "/sign-in", "/dashboard", "/recoveries", "/recoveries/gh_1", "/system", "/settings"):
            answer = httpx.get(served.url + path)
            assert answer.status_code == 200, path
            assert "unsafe-eval" not in answer.headers["content-security-policy"]

    def test_no_other_site_may_read_with_our_cookies(self, served: Served) -> None:
        answer = httpx.get(served.url + "/ping", headers={"Origin": "http://evil.example"})
        assert "access-control-allow-origin" not in answer.headers

    def test_vault_and_start_are_announced(self, served: Served) -> None:
        assert "[SECURITY] Vault self-test passed: AES-256-GCM Active." in served.log.read_text()


class TestAttacker:
    """Raw sockets: no browser, any event, any payload."""

    async def test_a_member_sees_their_own_merchant(self, served: Served, ada: Person) -> None:
        async with Tab(served.url, ada.cookie) as tab:
            await tab.load()
            await tab.until(lambda: "Aurora Analytics" in tab.heard())

    @pytest.mark.parametrize("handler", [Dashboard.load, Dashboard.refresh, Ghost.load, Ghost.pause, Shell.enter])
    async def test_without_a_session_nothing_protected_runs(self, served: Served, ada: Person, handler: object) -> None:
        async with Tab(served.url) as tab:
            await tab.load()
            await tab.call(runtime.handler_name(handler))
            await answered(tab)
            assert any("/sign-in" in path for path in tab.told_to_go())
            assert "Aurora" not in tab.heard()

    @pytest.mark.parametrize(
        ("name", "payload"),
        [
            ("phantom_app___state___shell____shell.setvar", {"var_name": "merchant", "value": "forged"}),
            ("phantom_app___state___shell____shell._introduce", {}),
            ("phantom_app___state___dashboard____dashboard._fill", {}),
            ("phantom_app___state___shell____shell.dict", {}),
            (
                "reflex___state____update_vars_internal_state.update_vars_internal",
                {"vars": {"reflex___state____state.phantom_app___state___shell____shell.merchant": "forged"}},
            ),
            (
                "hydrate_and_load",
                {"vars": {"reflex___state____state.phantom_app___guard____tab_owner._owner_rx_state_": "forged"}},
            ),
            ("phantom_app___state___dashboard____dashboard.choose_days", {"days": {"$gt": 1}}),
            ("phantom_app___state___recoveries____recoveries.look_for", {"text": ["a"], "other": 1}),
            ("phantom_app___state___recoveries____recoveries.look_for", {"text": "a\x00b"}),
            ("phantom_app___state___reader____reader.toggle", {"ghost_id": "\x00", "message_id": "x"}),
            ("nobody.knows", {}),
        ],
    )
    async def test_forged_events_have_no_effect_and_do_no_harm(
        self, served: Served, ada: Person, name: str, payload: dict[str, object]
    ) -> None:
        async with Tab(served.url, ada.cookie) as tab:
            await tab.load()
            await tab.call(runtime.ROOT + name, **payload)
            await answered(tab)
            await tab.load()
            await answered(tab)
            assert "forged" not in tab.heard()

    @pytest.mark.parametrize("data", ["not json{", {"name": 5}, {"payload": {}}, ["list"], 7, None])
    async def test_broken_messages_leave_the_server_well(self, served: Served, data: object) -> None:
        async with Tab(served.url) as tab:
            await tab.emit(data)
        async with Tab(served.url) as tab:
            await tab.load()
            await answered(tab)

    async def test_the_log_keeps_no_cookie_and_no_payload(self, served: Served, ada: Person) -> None:
        async with Tab(served.url, ada.cookie) as tab:
            await tab.load()
            await tab.emit({"name": 5, "payload": {"password": "hunter2hunter2"}})
            await tab.call(runtime.ROOT + "nobody.knows", password="hunter2hunter2")
            await tab.call(runtime.handler_name(Ghost.load), password="hunter2hunter2")
            await answered(tab)
        log = served.log.read_text()
        assert "hunter2" not in log
        assert ada.cookie not in log

    async def test_another_tenants_ghost_is_unknown(self, served: Served, ada: Person) -> None:
        async with Tab(served.url, ada.cookie, path="/recoveries/gh_of_somebody_else") as tab:
            await tab.load()
            await tab.until(lambda: "'missing_rx_state_': True" in tab.heard())

    async def test_a_foreign_page_gets_no_socket(self, served: Served, ada: Person) -> None:
        tab = Tab(served.url, ada.cookie)
        with pytest.raises(socketio.exceptions.ConnectionError):
            await tab.open(Origin="http://evil.example")
        await tab.close()

    async def test_a_flood_ends_the_socket(self, served: Served) -> None:
        tab = await Tab(served.url).open()
        for _ in range(400):
            if tab.is_cut:
                break
            await tab.call(runtime.handler_name(Shell.dismiss_problem))
        await tab.until(lambda: tab.is_cut)
        await tab.close()


class TestTabChangesHands:
    async def test_another_session_in_the_same_tab_starts_empty(self, served: Served, ada: Person) -> None:
        async with Tab(served.url, ada.cookie) as first:
            await first.load()
            await first.until(lambda: "Aurora Analytics" in first.heard())
        other = sign_up("Umbra Coffee")
        async with Tab(served.url, other.cookie, token=first.token) as second:
            await second.load()
            await second.until(lambda: "Umbra Coffee" in second.heard())
            assert "Aurora" not in second.heard()

    async def test_signed_out_in_the_same_tab_shows_nothing(self, served: Served, ada: Person) -> None:
        async with Tab(served.url, ada.cookie) as first:
            await first.load()
            await first.until(lambda: "Aurora Analytics" in first.heard())
        identity.sign_out(ada.cookie)
        async with Tab(served.url, token=first.token) as second:
            await second.load()
            await answered(second)
            assert "Aurora" not in second.heard()

    async def test_a_revoked_session_stops_on_an_open_page(self, served: Served, ada: Person) -> None:
        async with Tab(served.url, ada.cookie) as tab:
            await tab.load()
            await tab.until(lambda: "Aurora Analytics" in tab.heard())
            identity.sign_out(ada.cookie)

            async with asyncio.timeout(guard.SESSION_MEMORY + 8):
                while not any("/sign-in" in path for path in tab.told_to_go()):
                    heard = len(tab.received)
                    announce_change(ada.merchant_id)  # the page refreshes itself, and that is an event like others
                    await tab.until(lambda before=heard: len(tab.received) > before)


class TestLive:
    async def test_a_change_reaches_an_open_page(self, served: Served, ada: Person) -> None:
        async with Tab(served.url, ada.cookie, path="/system") as tab:
            await tab.load()
            await tab.until(lambda: "as_of_rx_state_" in tab.heard())
            with db.tenant_session(ada.merchant_id) as session:
                audit.log_event(session, ada.merchant_id, "test.happened", "Something came back.")
            announce_change(ada.merchant_id)
            await tab.until(lambda: "Something came back." in tab.heard())

    async def test_another_merchants_page_hears_nothing(self, served: Served, ada: Person) -> None:
        other = sign_up("Umbra Coffee")
        async with Tab(served.url, other.cookie, path="/system") as tab:
            await tab.load()
            await tab.until(lambda: "as_of_rx_state_" in tab.heard())
            with db.tenant_session(ada.merchant_id) as session:
                audit.log_event(session, ada.merchant_id, "test.happened", "Something came back.")
            announce_change(ada.merchant_id)
            announce_change(other.merchant_id)
            await answered(tab)
            assert "Something came back." not in tab.heard()


class TestProcesses:
    def test_headless_is_the_api_alone(self, database: WorkerDatabase, tmp_path: Path) -> None:
        served = Served.start(tmp_path, "--workers", "1", "--headless", health="/health")
        assert "Connect Stripe" in httpx.get(served.url + "/").text
        for path in ("/dashboard", "/_event/", "/assets/x.js", "/auth/sign-in"):
            assert httpx.get(served.url + path).status_code == 404, path
        served.stop()

    def test_a_killed_worker_is_replaced(self, database: WorkerDatabase, tmp_path: Path) -> None:
        served = Served.start(tmp_path, "--workers", "1")
        [worker] = served.workers()
        kill(worker)
        wait_until(lambda: served.workers() not in ([], [worker]) and served.answers(), timeout=20)
        served.stop()

    def test_workers_leave_when_their_parent_is_killed(self, database: WorkerDatabase, tmp_path: Path) -> None:
        served = Served.start(tmp_path, "--workers", "2")
        workers = served.workers()
        assert len(workers) == 2
        kill(served.process.pid)
        served.process.wait(timeout=10)
        wait_until(lambda: not any(is_alive(pid) for pid in workers), timeout=15, what="workers leave")

    def test_it_ends_cleanly_when_told(self, database: WorkerDatabase, tmp_path: Path) -> None:
        served = Served.start(tmp_path, "--workers", "1")
        [worker] = served.workers()
        served.stop()
        wait_until(lambda: not is_alive(worker), timeout=10)
        assert "Traceback" not in served.log.read_text()


def refused(**environment: str) -> "subprocess.CompletedProcess[str]":
    """Start with another environment and see it refuse."""
    arguments = [sys.executable, "-m", "phantom_app.serve", "--port", environment.pop("port", "0"), "--workers", "1"]
    return subprocess.run(  # noqa: S603  # our own module
        arguments, cwd=ROOT, env={**os.environ, **environment}, capture_output=True, text=True, timeout=60, check=False
    )


class TestRefusals:
    """A start that cannot work ends with exit 1 and one clear line."""

    def one_line(self, done: "subprocess.CompletedProcess[str]") -> str:
        lines = [line for line in done.stderr.splitlines() if line]
        assert (done.returncode, len(lines)) == (1, 1), done.stderr
        assert lines[0].startswith("PHANTOM cannot start: ")
        return lines[0]

    def test_a_busy_port(self, database: WorkerDatabase) -> None:
        build.ensure_built()
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            taken.listen()
            port = str(taken.getsockname()[1])
            assert port in self.one_line(refused(port=port))

    def test_a_bad_key(self) -> None:
        assert "ENCRYPTION_KEY" in self.one_line(refused(ENCRYPTION_KEY="short"))

    def test_no_database(self) -> None:
        line = self.one_line(refused(DATABASE_URL="postgresql://phantom_app:secret@127.0.0.1:1/x"))
        assert "DATABASE_URL" in line
        assert "secret" not in line
