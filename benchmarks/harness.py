"""What all benches share: rows, alternating rounds, medians and spread, the audit, and servers of their own.

A figure is a ratio against a control of the same run, because machines are noisy. A bench raises `BenchError` when
it cannot be measured, and `AuditError` when its own counts, sums or ledger do not agree; then no figure of it is
printed, and the other benches go on.
"""

import contextlib
import math
import os
import secrets
import shutil
import signal
import statistics
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from benchmarks import machine
from cli.logins import Logins, ensure_logins
from cli.migrations import migrate
from cli.stack.ready import postgres_answers, redis_answers
from core import config, db, queue
from core.config import Settings
from core.embedded.postgres import PostgresServer
from core.embedded.process import free_port
from core.embedded.redis import RedisServer

ROUNDS = 5
UNSURE = 0.025
SERVERS: dict[str, dict[str, str]] = {}
"""Versions and durability of the servers that `place` started last: part of what is said about the figures."""
_NOWHERE = "http://127.0.0.1:1"  # a bench that calls a vendor without its sandbox fails at once and locally


class BenchError(RuntimeError):
    """A bench cannot be measured here and now: a program fails, a process does not start, an answer does not come."""


class AuditError(BenchError):
    """What a bench measured did not happen as it must; its figure would mean nothing."""


def audit(*, expected: object, found: object, what: str) -> None:
    """Raises `AuditError` unless both are equal."""
    if expected != found:
        raise AuditError(f"{what}: expected {expected}, found {found}")


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the result; `rounds` is 1 where something is measured once, and then `spread` is 0.

    `ratio` says value to control. Of alternating rounds it is the median of the rounds' own ratios, because both
    sides of a round had the same noise; that is not always value ÷ control_value, the ratio of the two medians. Of
    one round it is. `spread` is (max - min) ÷ median of what the rounds gave for the value.
    """

    measure: str
    value: float
    unit: str
    control: str | None
    control_value: float | None
    ratio: float | None
    rounds: int
    spread: float
    goal: str

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Samples:
    """The same thing measured in several rounds."""

    values: tuple[float, ...]

    @property
    def median(self) -> float:
        return statistics.median(self.values)

    @property
    def spread(self) -> float:
        return (max(self.values) - min(self.values)) / self.median if self.median else 0.0


def alternate(
    measurements: dict[str, Callable[[], float]], rounds: int = ROUNDS, *, say: Callable[[str], object] | None = None
) -> dict[str, Samples]:
    """Each measurement once a round, the order turned round in every other one; their samples by name."""
    taken: dict[str, list[float]] = {name: [] for name in measurements}
    for number in range(rounds):
        names = list(measurements)
        for name in names if number % 2 == 0 else reversed(names):
            taken[name].append(measurements[name]())
            if say:
                say(f"round {number + 1} of {rounds}: {name} {taken[name][-1]:,.2f}")
    return {name: Samples(tuple(values)) for name, values in taken.items()}


def compared(measure: str, value: Samples, unit: str, control: str, against: Samples, goal: str) -> Row:
    """A row with its control; the ratio is the median of the rounds' own ratios."""
    ratios = [mine / theirs for mine, theirs in zip(value.values, against.values, strict=True)]
    return Row(
        measure,
        value.median,
        unit,
        control,
        against.median,
        statistics.median(ratios),
        len(ratios),
        value.spread,
        goal,
    )


def surely_below(measure: str, value: Samples, against: Samples, goal: str) -> Row:
    """What the ratio is below with 97.5 % certainty: the upper bound of its median's interval, whatever the noise is.

    By order statistics (the sign test turned round): no assumption about how rounds are distributed, only that they
    are pairs. Fewer than six rounds are no evidence, and then it is the largest of all.
    """
    ratios = sorted(mine / theirs for mine, theirs in zip(value.values, against.values, strict=True))
    left, rounds = 0, len(ratios)
    while sum(math.comb(rounds, each) for each in range(left + 1)) / 2**rounds <= UNSURE:
        left += 1
    bound = ratios[rounds - max(left, 1)]
    return Row(measure, bound, "x", None, None, None, rounds, Samples(tuple(ratios)).spread, goal)


def alone(measure: str, value: Samples, unit: str, goal: str) -> Row:
    """A row without a control."""
    return Row(measure, value.median, unit, None, None, None, len(value.values), value.spread, goal)


def percentile(values: Sequence[float], share: float) -> float:
    """The smallest value that at least `share` (0 < share ≤ 1) of all are not above; nearest rank."""
    ranked = sorted(values)
    return ranked[max(0, math.ceil(len(ranked) * share) - 1)]


@dataclass(frozen=True)
class Place:
    """Servers and a migrated database of a run's own: fsync and synchronous commit on, as in production."""

    folder: Path
    postgres: PostgresServer
    redis: RedisServer
    logins: Logins

    def environment(self) -> dict[str, str]:
        """Every setting, for this process and for those it starts."""
        port = free_port()
        chosen = {
            "phantom_mode": "demo",
            "phantom_port": str(port),
            "public_url": f"http://localhost:{port}",
            "phantom_log_level": "ERROR",
            "database_url": self.logins.application.url,
            "database_system_url": self.logins.platform.url,
            "database_admin_url": self.logins.owner.url,
            "redis_url": self.redis.url,
            "encryption_key": secrets.token_hex(32),
            "encryption_keys": "{}",
            "encryption_key_version": "1",
            "stripe_client_id": "ca_bench",
            "stripe_secret_key": "sk_test_bench",
            "stripe_webhook_secret": "whsec_bench",
            "stripe_connect_webhook_secret": "whsec_bench_connect",
            "stripe_api_base": _NOWHERE,
            "stripe_connect_base": _NOWHERE,
            "resend_api_key": "",
            "resend_api_base": _NOWHERE,
            "email_from": "PHANTOM <billing@phantom.example>",
            "twilio_api_base": _NOWHERE,
        }
        return {name.upper(): chosen.get(name, "") for name in Settings.model_fields}


@contextlib.contextmanager
def place() -> Iterator[Place]:
    """Start servers, migrate, point this process's settings there; all of it is gone afterwards."""
    folder = Path(tempfile.mkdtemp(prefix="phantom-bench-"))
    folder.chmod(0o711)  # as root PostgreSQL runs as `nobody`, who must be able to pass
    passwords = [secrets.token_urlsafe(12) for _ in range(3)]
    postgres = PostgresServer(folder / "postgres", free_port(), passwords[0])
    redis = RedisServer(folder / "redis", free_port(), passwords[1])
    started: list[subprocess.Popen[bytes]] = []
    try:
        started += [postgres.start(), redis.start()]
        _wait(lambda: postgres_answers(postgres.url("postgres")) and redis_answers(redis.url), started)
        logins = Logins.of_urls(
            postgres.url("phantom"),
            postgres.url("phantom", "phantom_app", passwords[2]),
            postgres.url("phantom", "phantom_system", passwords[2]),
        )
        made = Place(folder, postgres, redis, logins)
        Settings.model_config["env_file"] = None
        os.environ.update(made.environment())
        config.settings.cache_clear()
        ensure_logins(logins, maintenance_url=postgres.url("postgres"))
        migrate(logins)
        SERVERS.update(machine.servers(postgres.url("postgres"), redis.url))
        audit_durable(SERVERS["postgresql"])
        yield made
    finally:
        forget_servers()
        for process in reversed(started):
            process.send_signal(signal.SIGTERM)
            process.wait(timeout=60)
        shutil.rmtree(folder, ignore_errors=True)


def forget_servers() -> None:
    """Close this process's connections, and know nothing of where they led: the next place is elsewhere."""
    db.dispose()
    for engine in db.ENGINES:
        engine.cache_clear()
    queue.disconnect()
    config.settings.cache_clear()


def _wait(ready: Callable[[], bool], needed: Sequence["subprocess.Popen[bytes]"], seconds: float = 60) -> None:
    """Until `ready`; raises `BenchError` when a needed process ends or the time is over."""
    pause = subprocess.Popen(["/bin/sleep", str(seconds)])  # noqa: S603  # the one clock that can be waited for with others
    try:
        while not ready():
            if pause.poll() is not None or any(process.poll() is not None for process in needed):
                raise BenchError("the bench's servers did not start")
            with contextlib.suppress(subprocess.TimeoutExpired):
                pause.wait(0.05)
    finally:
        pause.kill()
        pause.wait()


def audit_durable(postgresql: dict[str, str]) -> None:
    """Raises `AuditError` unless what this PostgreSQL has committed survives its machine, as in production."""
    found = {name: postgresql[name] for name in machine.DURABILITY}
    audit(expected=dict.fromkeys(machine.DURABILITY, "on"), found=found, what="durability of the bench's PostgreSQL")
