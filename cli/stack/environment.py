"""The settings of every process of a stack, as environment variables.

The one place besides `core.config` that reads settings from it: complete ones do not exist yet while `up` is still
choosing ports and passwords.
"""

from dataclasses import dataclass

from pydantic import ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from cli.errors import CommandError
from cli.stack.folder import Folder
from cli.stack.secrets import DemoSecrets, Ports
from core.config import Mode
from core.embedded.postgres import OWNER, PostgresServer
from core.embedded.redis import RedisServer

DATABASE = "phantom"
_DATABASE_NAMES = ("database_url", "database_system_url", "database_admin_url")


class Given(BaseSettings):
    """What the shell or `.env` says that decides what `up` has to bring itself."""

    model_config = SettingsConfigDict(env_file=".env", extra="ignore", hide_input_in_errors=True, env_ignore_empty=True)

    phantom_mode: Mode = Mode.DEMO
    phantom_port: int = 3000
    public_url: str | None = None
    database_url: str | None = None
    database_system_url: str | None = None
    database_admin_url: str | None = None
    redis_url: str | None = None
    encryption_key: str | None = None

    @classmethod
    def read(cls) -> "Given":
        try:
            return cls()
        except ValidationError as error:
            names = ", ".join(str(item["loc"][0]).upper() for item in error.errors(include_input=False))
            raise CommandError(f"the environment or .env has a value that cannot be used for {names}") from None


@dataclass(frozen=True)
class Stack:
    """What is to run: which servers are ours, and what every process is told."""

    mode: Mode
    url: str
    host: str
    port: int
    folder: Folder
    ports: Ports
    variables: dict[str, str]
    admin_url: str
    postgres: PostgresServer | None
    redis: RedisServer | None

    @property
    def sandbox_url(self) -> str:
        return f"http://127.0.0.1:{self.ports.sandbox}"

    @property
    def is_demo(self) -> bool:
        return self.mode is Mode.DEMO


def plan(given: Given, folder: Folder, *, host: str, port: int) -> Stack:
    """Decide everything before anything starts. Raises `CommandError` for settings that cannot work together."""
    _check(given)
    url = f"http://localhost:{port}"
    ports = Ports.of_folder(folder.path)
    variables = {"PHANTOM_MODE": given.phantom_mode.value, "PHANTOM_PORT": str(port)}
    variables["PUBLIC_URL"] = given.public_url or url
    variables["PHANTOM_METRICS_FOLDER"] = str(folder.path / "metrics")
    if given.phantom_mode is Mode.LIVE:
        return Stack(
            given.phantom_mode, variables["PUBLIC_URL"], host, port, folder, ports, variables,
            given.database_admin_url or "", None, None,
        )  # fmt: skip
    secrets = DemoSecrets.of_folder(folder.path)
    postgres = redis = None
    admin_url = given.database_admin_url or ""
    if given.database_url is None:
        postgres = PostgresServer(folder.path / "postgres", ports.postgres, secrets.owner_password)
        admin_url = postgres.url(DATABASE, OWNER)
        variables["DATABASE_URL"] = postgres.url(DATABASE, "phantom_app", secrets.application_password)
        variables["DATABASE_SYSTEM_URL"] = postgres.url(DATABASE, "phantom_system", secrets.system_password)
    if given.redis_url is None:
        redis = RedisServer(folder.path / "redis", ports.redis, secrets.redis_password)
        variables["REDIS_URL"] = redis.url
    variables |= _demo_variables(secrets, folder, f"http://127.0.0.1:{ports.sandbox}")
    if given.encryption_key:
        variables["ENCRYPTION_KEY"] = given.encryption_key
    return Stack(
        given.phantom_mode, variables["PUBLIC_URL"], host, port, folder, ports, variables, admin_url, postgres, redis
    )


def _check(given: Given) -> None:
    missing = [name.upper() for name in _DATABASE_NAMES if not getattr(given, name)]
    if given.phantom_mode is Mode.LIVE:
        missing += [name.upper() for name in ("redis_url", "encryption_key") if not getattr(given, name)]
        if missing:
            raise CommandError(f"live mode makes no secrets and no servers of its own; set {', '.join(missing)}")
    elif missing and len(missing) < len(_DATABASE_NAMES):
        raise CommandError(f"a database of your own needs all three logins; set {', '.join(missing)} as well")


def _demo_variables(secrets: DemoSecrets, folder: Folder, sandbox_url: str) -> dict[str, str]:
    """A demo's vendors are the sandbox, whatever keys the shell has: it must never reach a real account."""
    return {
        "PHANTOM_CLOCK_FILE": str(folder.path / "clock.json"),
        "PHANTOM_DEMO_FILE": str(folder.path / "demo.json"),
        "ENCRYPTION_KEY": secrets.encryption_key,
        "STRIPE_CLIENT_ID": secrets.stripe_client_id,
        "STRIPE_SECRET_KEY": secrets.stripe_secret_key,
        "STRIPE_WEBHOOK_SECRET": secrets.stripe_webhook_secret,
        "STRIPE_CONNECT_WEBHOOK_SECRET": secrets.stripe_connect_webhook_secret,
        "STRIPE_API_BASE": sandbox_url,
        "STRIPE_CONNECT_BASE": sandbox_url,
        "RESEND_API_KEY": secrets.resend_api_key,
        "RESEND_RATE": "0",  # the sandbox takes any, and half a year passes in a minute
        "TWILIO_RATE": "0",
        "RESEND_API_BASE": sandbox_url,
        "RESEND_WEBHOOK_SECRET": secrets.resend_webhook_secret,
        "TWILIO_ACCOUNT_SID": secrets.twilio_account_sid,
        "TWILIO_AUTH_TOKEN": secrets.twilio_auth_token,
        "TWILIO_FROM": "+15005550006",
        "TWILIO_API_BASE": sandbox_url,
    }
