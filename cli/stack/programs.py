"""The processes of a stack and the supervisor's configuration that runs them."""

import shlex
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from cli.paths import ROOT
from cli.stack.environment import Stack

ORDER = ("postgres", "redis", "sandbox", "web", "worker", "sentinel")
WORKERS = 1  # it has a lane for what is quick beside one for what is long; more of them are for more machines


@dataclass(frozen=True)
class Program:
    """One line of the plan; `stop_seconds` is how long a clean end may take before it is a kill."""

    name: str
    command: list[str]
    processes: int = 1
    stop_signal: str = "TERM"
    stop_seconds: int = 15


def _ours(*arguments: str) -> list[str]:
    """A Python module of ours that ends with the supervisor."""
    return [sys.executable, "-m", "core.embedded.child", "--", sys.executable, "-m", *arguments]


def sandbox_arguments(stack: Stack) -> list[str]:
    """What the sandbox is told, so that the product's own keys open it and its clock is everybody's.

    Everybody on the machine can read a command line, so a secret's name stands on it instead of the secret.
    """
    told = stack.variables
    return [
        "--port", str(stack.ports.sandbox),
        "--data", str(stack.folder.path / "sandbox"),
        "--clock-file", told["PHANTOM_CLOCK_FILE"],
        "--platform-secret-key-from", "STRIPE_SECRET_KEY",
        "--client-id", told["STRIPE_CLIENT_ID"],
        "--public-url", stack.sandbox_url,
        "--living",
    ]  # fmt: skip


def programs(stack: Stack) -> list[Program]:
    """Everything to run, in the order of starting; stopping goes the other way, PostgreSQL last."""
    plan = []
    if stack.postgres is not None:
        plan.append(Program("postgres", stack.postgres.command(), stop_signal="INT", stop_seconds=60))
    if stack.redis is not None:
        plan.append(Program("redis", stack.redis.command()))
    if stack.is_demo:
        plan.append(Program("sandbox", _ours("sandbox", *sandbox_arguments(stack))))
    web = _ours("phantom_app.serve", "--host", stack.host, "--port", str(stack.port))
    plan.append(Program("web", web, stop_seconds=20))
    plan.append(Program("worker", _ours("jobs.worker"), processes=WORKERS, stop_seconds=30))
    plan.append(Program("sentinel", _ours("jobs.sentinel")))
    return plan


def _section(program: Program, priority: int, logs: Path) -> str:
    number = "_%(process_num)d" if program.processes > 1 else ""
    # one try after another with growing pauses: enough for a child to outlast a restart of PostgreSQL
    return "\n".join(
        (
            f"[program:{program.name}]",
            f"command={_escaped(shlex.join(program.command))}",
            f"process_name=%(program_name)s{number}",
            f"numprocs={program.processes}",
            "numprocs_start=1",
            f"directory={_escaped(str(ROOT))}",
            f"priority={priority}",
            "autostart=false",
            "autorestart=true",
            "startsecs=1",
            "startretries=20",
            f"stopsignal={program.stop_signal}",
            f"stopwaitsecs={program.stop_seconds}",
            "redirect_stderr=true",
            f"stdout_logfile={_escaped(str(logs / program.name))}{number}.log",
            "stdout_logfile_maxbytes=5MB",
            "stdout_logfile_backups=1",
            "",
        )
    )


def _escaped(text: str) -> str:
    """supervisord expands `%` in its configuration."""
    return text.replace("%", "%%")


def supervisor_configuration(plan: Iterable[Program], *, socket: Path, logs: Path) -> str:
    """A complete supervisord.conf. Secrets are not in it: children inherit the supervisor's environment."""
    head = f"""[supervisord]
nodaemon=true
silent=true
logfile={_escaped(str(logs / "supervisor.log"))}
logfile_maxbytes=2MB
logfile_backups=1
pidfile={_escaped(str(logs.parent / "supervisor.pid"))}
childlogdir={_escaped(str(logs))}

[unix_http_server]
file={_escaped(str(socket))}
chmod=0600

[rpcinterface:supervisor]
supervisor.rpcinterface_factory=supervisor.rpcinterface:make_main_rpcinterface

"""
    return head + "\n".join(_section(program, 10 * (place + 1), logs) for place, program in enumerate(plan))
