"""`up`, `down` and `status`: a whole PHANTOM on this machine."""

import json
import os
import signal
from pathlib import Path
from types import FrameType
from typing import Annotated, Any

import typer

from cli.errors import CommandError

_DOWN_SECONDS = 150
Port = Annotated[int | None, typer.Option(help="Port of the web, 3000 unless PHANTOM_PORT says otherwise.")]


def register(app: typer.Typer) -> None:
    app.command()(up)
    app.command()(down)
    app.command()(status)


def up(
    context: typer.Context,
    port: Port = None,
    host: Annotated[str, typer.Option(help="Address to listen on; 0.0.0.0 inside a container.")] = "127.0.0.1",
    detach: Annotated[bool, typer.Option("--detach", help="Leave it running; `phantom down` stops it.")] = False,
    reload: Annotated[bool, typer.Option("--reload", help="Restart what a changed source file is part of.")] = False,
    no_history: Annotated[bool, typer.Option("--no-history", help="A demo without merchant and past.")] = False,
) -> None:
    """Start everything: database, Redis, sandbox, web, workers. Ctrl-C stops all of it."""
    from cli.stack.environment import Given, plan
    from cli.stack.folder import Folder
    from cli.stack.progress import Progress
    from core.embedded.process import EmbeddedServerError, port_is_free

    given = Given.read()
    folder = Folder.create(context.obj)
    lock = folder.hold()
    if lock is None:
        _report_running(folder, port)
        return
    wanted = port or given.phantom_port
    try:
        if not port_is_free(wanted, host):
            raise CommandError(f"port {wanted} is in use by another program; choose one with --port")
        stack = plan(given, folder, host=host, port=wanted)
        _run(stack, lock, Progress(), detach=detach, reload=reload, with_history=not no_history)
    except EmbeddedServerError as error:
        raise CommandError(str(error)) from None


def _run(stack: Any, lock: int, progress: Any, *, detach: bool, reload: bool, with_history: bool) -> None:
    from cli.stack import handover
    from cli.stack.reload import restart_on_change
    from cli.stack.start import Start

    start = Start(stack, progress)
    signal.signal(signal.SIGTERM, _as_interrupt)
    finished = False
    try:
        handover.keep(stack)
        start.run(lock, with_owner=not detach, with_history=with_history)
        _print_welcome(stack, progress, detach=detach)
        finished = detach
        if not detach:
            if reload:
                restart_on_change(start.supervisor, progress)
            code = start.wait()
            raise CommandError(f"the supervisor ended by itself (exit code {code}); see {stack.folder.logs}")
    except KeyboardInterrupt:
        progress.note("\nStopping …")
    finally:
        if not finished:
            signal.signal(signal.SIGINT, signal.SIG_IGN)  # the end takes its time, and takes it once
            start.stop()
    if not finished:
        progress.note("Stopped.")


def _as_interrupt(_signal: int, _frame: FrameType | None) -> None:
    """A service manager's TERM means what a person's Ctrl-C means."""
    raise KeyboardInterrupt


def _print_welcome(stack: Any, progress: Any, *, detach: bool) -> None:
    from cli.stack.demo import demo_account

    progress.note(f"\nPHANTOM runs at {stack.url}  (started in {progress.seconds:.1f} s)")
    account = demo_account(stack.folder.path) if stack.is_demo else None
    if account:
        progress.note(f"Sign in with {account['email']} and the password {account['password']}")
    progress.note("Stop it with `./phantom down`." if detach else "Ctrl-C stops it.")


def _report_running(folder: Any, port: int | None) -> None:
    """Say what runs already. Wanting it on another port is an error, as nothing was done about it."""
    running = folder.running()
    if running is None:
        raise CommandError(f"another start is under way in {folder.path}")
    if port is not None and port != running.port:
        raise CommandError(f"PHANTOM runs already at {running.url}; `phantom down` first to move it to port {port}")
    pids = ", ".join(f"{item['name']} {item['pid']}" for item in _processes(running.socket) if item["pid"])
    typer.echo(f"PHANTOM runs already at {running.url} (supervisor {running.supervisor_pid}; {pids})")


def down(context: typer.Context) -> None:
    """Stop what `up` started, and wait until it has stopped."""
    from cli.stack.folder import Folder
    from cli.stack.supervisor import Supervisor, SupervisorUnreachableError

    folder = Folder(context.obj)
    if not folder.is_held():
        typer.echo("PHANTOM is not running.")
        return
    running = folder.running()
    if running is None:
        raise CommandError(f"a start is under way in {folder.path}; stop it where it runs")
    try:
        Supervisor(running.socket).shut_down()
    except SupervisorUnreachableError:
        _signal_supervisor(running.supervisor_pid)
    if not folder.wait_until_free(_DOWN_SECONDS):
        raise CommandError(f"it is still stopping after {_DOWN_SECONDS} s; see {folder.logs}")
    typer.echo("Stopped.")


def _signal_supervisor(pid: int) -> None:
    """End a supervisor that has lost its socket, if the pid is still its."""
    arguments = Path(f"/proc/{pid}/cmdline")
    if arguments.exists() and b"cli.stack.supervisor" in arguments.read_bytes():
        os.kill(pid, signal.SIGTERM)


def status(
    context: typer.Context,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object, for programs.")] = False,
) -> None:
    """Say what runs: address, processes, health, and the demo's account. Exit code 1 when nothing does."""
    from cli.stack.demo import demo_account
    from cli.stack.folder import Folder

    folder = Folder(context.obj)
    running = folder.running()
    found: dict[str, Any] = {"url": None, "processes": [], "health": None, "demo": None}
    if running is not None:
        demo = demo_account(folder.path) if running.mode == "demo" else None
        found = {
            "url": running.url,
            "processes": _processes(running.socket),
            "health": _health(running.port),
            "demo": demo,
        }
    typer.echo(json.dumps(found) if as_json else _as_text(found))
    if running is None:
        raise typer.Exit(1)


def _processes(socket: str) -> list[dict[str, Any]]:
    from cli.stack.programs import ORDER
    from cli.stack.supervisor import Supervisor, SupervisorUnreachableError

    try:
        found = Supervisor(socket).processes()
    except SupervisorUnreachableError:
        return []
    found.sort(key=lambda item: (ORDER.index(item.name.partition("_")[0]), item.name))
    return [{"name": item.name, "pid": item.pid, "state": item.state, "uptime": item.uptime} for item in found]


def _health(port: int) -> Any:
    from cli.stack.ready import fetch

    answer = fetch(f"http://127.0.0.1:{port}/health/ready")
    try:
        return json.loads(answer[1]) if answer else None
    except json.JSONDecodeError:
        return None


def _as_text(found: dict[str, Any]) -> str:
    if found["url"] is None:
        return "PHANTOM is not running."
    lines = [f"PHANTOM at {found['url']}"]
    lines += [f"  {item['name']:<10} {item['state']:<9} {item['pid'] or '-'}" for item in found["processes"]]
    lines.append(f"  health     {json.dumps(found['health'])}")
    if found["demo"]:
        lines.append(f"  demo       {found['demo']['email']}  {found['demo']['password']}")
    return "\n".join(lines)
