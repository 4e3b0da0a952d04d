"""Two hosts for real: one PostgreSQL and one Redis that both share, and a cable that is pulled.

The hosts are network namespaces on one bridge, so it needs root, and skips with its reason where it may not make them.
"""

import hashlib
import hmac
import json
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import psycopg
import pytest
import redis

from core.locks import lock_key
from phantom_app import build
from tests.deploy import hosts, probe_worker
from tests.deploy.installation import PUBLIC_URL, WEB_PORT, Installation, web_url
from tests.phantom_app.served import Tab
from tests.support.wait import wait_until

HAND_OVER_SECONDS = 10
RERUN_SECONDS = 15
READY = f"http://127.0.0.1:{WEB_PORT}/health/ready"
ALIVE = f"http://127.0.0.1:{WEB_PORT}/health"
_ASK = """
import sys, httpx
for url in sys.argv[1:]:
    print(httpx.get(url, timeout=60, trust_env=False).status_code)
"""
_LEADERS = """
select count(*) from pg_locks where locktype = 'advisory' and granted and (classid::bigint << 32 | objid::bigint) = %s
"""

pytestmark = [
    pytest.mark.chaos,
    pytest.mark.skipif(bool(hosts.why_not()), reason=hosts.why_not() or "it can"),
]


@pytest.fixture(scope="module")
def installation() -> Iterator[Installation]:
    build.ensure_built()  # from where there is a network: the hosts have none but their own
    folder = Path(tempfile.mkdtemp(prefix="phantom-lab-"))
    folder.chmod(0o711)  # PostgreSQL runs as `nobody`, who must be able to pass
    try:
        with hosts.lab(folder) as lab:
            installed = Installation(lab)
            installed.start_data()
            installed.start_sandbox()
            yield installed
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@dataclass
class Merchant:
    """A business that is connected, and an owner who is signed in."""

    installation: Installation
    account: str
    cookie: str

    @classmethod
    def connect(cls, installation: Installation, host: str, name: str) -> "Merchant":
        """Through the front door of one host, like a browser."""
        email = f"owner@{name.lower().replace(' ', '-')}.example"
        account = installation.act("create_account", name=name, email=email)["id"]
        with httpx.Client(base_url=web_url(host), timeout=30, trust_env=False) as browser:
            location = browser.get("/api/auth/stripe").headers["location"]
            asked = {name: values[0] for name, values in parse_qs(urlsplit(location).query).items()}
            code = installation.act(
                "create_authorization_code",
                account=account,
                scope="read_write",
                code_challenge=asked["code_challenge"],
                redirect_uri=asked["redirect_uri"],
            )
            browser.get(f"/api/auth/callback?scope=read_write&code={code}&state={asked['state']}")
            return cls(installation, account, browser.cookies["phantom_session"])

    def failed_invoice(self, name: str) -> dict[str, Any]:
        """A customer's invoice that could not be paid, and the event Stripe tells it by."""
        told = {"account": self.account, "customers": 1, "amount": 4900, "decline_codes": ["expired_card"]}
        self.installation.control("seed", {**told, "seed": name})
        headers = {"Authorization": "Bearer sk_test_lab", "Stripe-Account": self.account}
        url = f"{self.installation.told['STRIPE_API_BASE']}/v1/invoices?limit=1"
        [invoice] = httpx.get(url, headers=headers, timeout=30, trust_env=False).raise_for_status().json()["data"]
        event = self.installation.act("send_event", account=self.account, name="invoice.payment_failed", obj=invoice)
        return {"invoice": invoice, "event": event}


def deliver(installation: Installation, host: str, event: dict[str, Any]) -> httpx.Response:
    """A webhook as Stripe sends it, through the proxy to one of the webs."""
    body = json.dumps(event).encode()
    moment = str(int(time.time()))
    secret = installation.told["STRIPE_CONNECT_WEBHOOK_SECRET"].encode()
    signature = hmac.new(secret, moment.encode() + b"." + body, hashlib.sha256).hexdigest()
    headers = {"stripe-signature": f"t={moment},v1={signature}", "x-forwarded-for": "203.0.113.5"}
    url = f"{web_url(host)}/api/webhooks/stripe/connect"
    return httpx.post(url, content=body, headers=headers, timeout=30, trust_env=False)


def ask(installation: Installation, host: str, *urls: str) -> list[int]:
    """What a host answers to itself, as its own health check would hear it."""
    said = installation.lab.ask(host, sys.executable, "-c", _ASK, *urls, timeout=90)
    return [int(line) for line in said.split()]


def leaders(installation: Installation) -> int:
    return int(installation.rows(_LEADERS, lock_key("phantom.sentinel"))[0][0])


def waiting_task(installation: Installation) -> int:
    """A task that runs until it is let go."""
    query = """
        insert into scheduled_tasks
            (state, kind, key, merchant_id, payload, priority, run_at, max_attempts, correlation_id, created_at)
        values ('pending', %s, 'lab:probe', 'mer_lab', '{}', 0, now(), 5, '', now()) returning id"""
    with psycopg.connect(installation.url("phantom_system", "PHANTOM_SYSTEM_PASSWORD")) as connection:
        row = connection.execute(query, [probe_worker.KIND]).fetchone()
    assert row is not None
    return int(row[0])


@pytest.mark.timeout(240)
async def test_two_hosts_share_the_work_and_survive_a_cut_cable(installation: Installation) -> None:
    lab = installation.lab
    sentinels = {"one": installation.start("one", "jobs.sentinel")}
    webs = [installation.start_web(host) for host in ("one", "two")]
    first = installation.start("one", "tests.deploy.probe_worker", "one")
    sentinels["one"].wait_for("sentinel.leads")
    sentinels["two"] = installation.start("two", "jobs.sentinel")
    for host in ("one", "two"):
        installation.wait_for_web(host)
    first.wait_for("worker.started")

    # -- any web takes a webhook, a worker of the other host handles it, a page on the other web shows it
    merchant = Merchant.connect(installation, "one", "Harbour Books")  # and the session it opened holds on both
    async with Tab(web_url("two"), merchant.cookie, path="/recoveries") as tab:
        await tab.load()
        await tab.until(lambda: "Harbour Books" in tab.heard(), timeout=20)
        for number, host in enumerate(("two", "one")):
            failed = merchant.failed_invoice(f"customer {number}")
            assert deliver(installation, host, failed["event"]).status_code == 200
            assert deliver(installation, "one", failed["event"]).status_code == 200  # its duplicate at either
            await tab.until(lambda failed=failed: failed["invoice"]["customer_email"] in tab.heard(), timeout=20)
    assert installation.rows("select count(*) from processed_events") == [(2,)]
    async with Tab(web_url("two"), merchant.cookie) as tab:
        await tab.close()
        await tab.open(Origin=PUBLIC_URL)  # a page of the public name, whatever host the balancer asks for

    # -- the cable of the host that leads and works is pulled
    task = waiting_task(installation)
    store = redis.Redis.from_url(installation.redis_url)
    wait_until(lambda: store.lrange(probe_worker.RAN, 0, -1) == [f"{task} one".encode()], timeout=20, what="it runs")
    second = installation.start("two", "tests.deploy.probe_worker", "two")
    second.wait_for("worker.started")
    assert leaders(installation) == 1
    lab.cut("one")
    cut_at = time.monotonic()
    sentinels["two"].wait_for("sentinel.leads")
    handed_over = time.monotonic() - cut_at
    wait_until(lambda: store.llen(probe_worker.RAN) == 2, timeout=30, what="the task runs again")
    reran = time.monotonic() - cut_at
    assert store.lindex(probe_worker.RAN, 1) == f"{task} two".encode()
    assert ask(installation, "one", ALIVE, READY) == [200, 503]
    assert ask(installation, "two", ALIVE, READY) == [200, 200]
    failed = merchant.failed_invoice("while one was cut off")
    assert deliver(installation, "two", failed["event"]).status_code == 200
    store.rpush(probe_worker.go("two"), "go")
    done = "select state, result->>'host' from scheduled_tasks where id = %s"
    wait_until(lambda: installation.rows(done, task) == [("done", "two")], what="the second run is the one that counts")

    # -- and put back: one leader, and the run that was given up changes nothing any more
    lab.mend("one")
    store.rpush(probe_worker.go("one"), "go")
    first.wait_for("task.lease_lost")
    assert installation.rows(done, task) == [("done", "two")]
    wait_until(lambda: ask(installation, "one", READY) == [200], timeout=30, what="the host is ready again")
    sentinels["one"].wait_for("sentinel.follows")
    assert leaders(installation) == 1
    assert deliver(installation, "one", failed["event"]).status_code == 200
    unhandled = "select count(*) from processed_events where handled_at is null"
    wait_until(lambda: installation.rows(unhandled) == [(0,)], timeout=30, what="every webhook is handled")
    store.close()

    # -- both let go of what they do when they are told
    assert [each.stop() for each in (*webs, first, second, *sentinels.values())] == [0] * 6
    print(f"hand-over {handed_over:.1f} s, rerun {reran:.1f} s")  # noqa: T201  # seen with -s, and when it fails
    assert handed_over <= HAND_OVER_SECONDS
    assert reran <= RERUN_SECONDS


@pytest.mark.skipif(shutil.which("caddy") is None, reason="no caddy on the PATH (Debian: apt install caddy)")
@pytest.mark.timeout(240)
async def test_caddy_balances_over_both_and_loses_one_of_them(installation: Installation) -> None:
    webs = [installation.start_web(host) for host in ("one", "two")]
    for host in ("one", "two"):
        installation.wait_for_web(host)
    told = {
        "PUBLIC_URL": PUBLIC_URL,
        "WEB_UPSTREAMS": " ".join(web_url(host).removeprefix("http://") for host in ("one", "two")),
        "HOME": str(installation.lab.folder),
    }
    configuration = str(hosts.ROOT / "deploy" / "Caddyfile")
    caddy = installation.lab.begin(
        "front", "caddy", "caddy", "run", "--adapter", "caddyfile", "--config", configuration, **told
    )

    def status(path: str, body: bytes | None = None) -> int:
        try:
            # Who asks a host that has vanished gets no answer, and must have lost patience before the test does.
            method, patience = ("GET", 5) if body is None else ("POST", 30)
            return httpx.request(method, PUBLIC_URL + path, content=body, timeout=patience, trust_env=False).status_code
        except httpx.HTTPError:
            return 0

    wait_until(lambda: status("/health/ready") == 200, timeout=30, what="Caddy answers")
    assert (status("/"), status("/metrics"), status("/sign-in")) == (200, 404, 200)
    for _each_host_and_more in range(4):  # refused before it is read to its end, which Caddy may see as a broken pipe
        assert status("/api/webhooks/stripe", b"x" * 3_000_000) in (413, 502)
        assert status("/health") == 200
    merchant = Merchant.connect(installation, "two", "Quay Coffee")
    async with Tab(PUBLIC_URL, merchant.cookie) as tab:
        await tab.load()
        await tab.until(lambda: "Quay Coffee" in tab.heard(), timeout=20)
    installation.lab.cut("one")
    # what is on its way to a host that vanishes is lost, and its senders ask again; from then on nobody is sent there
    wait_until(
        lambda: all(status("/health/ready") == 200 for _ in range(20)), timeout=15, what="all go to the other web"
    )
    installation.lab.mend("one")
    assert [each.stop() for each in (caddy, *webs)] == [0] * 3
