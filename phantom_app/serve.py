"""The web server: screens, HTTP API and hot paths on one port. `python -m phantom_app.serve --port 3000`.

Workers are forked from a process that has imported everything and opened nothing, so a worker starts in an
instant and shares its memory. A dead worker is replaced; workers stop when their parent is gone.
"""

import argparse
import asyncio
import contextlib
import gc
import multiprocessing
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from typing import Any

from granian.constants import Interfaces, Loops
from granian.log import LogLevels
from granian.server import Server
from starlette.applications import Starlette
from starlette.types import ASGIApp

from core import config, db, metrics
from phantom_app import build, draining, failures, headers, runtime
from phantom_app.dispatch import Dispatch, HotFirst, prerendered
from phantom_app.limits import SocketLimits
from phantom_app.proxies import BehindProxies
from services.operations import starting
from services.operations.starting import Refusal

WATCH_SECONDS = 1.0
_LOGS_LIKE_OURS = {"formatters": {}, "handlers": {}, "loggers": {"_granian": {"handlers": [], "propagate": True}}}
"""The server's own log lines go to the root logger, as JSON, like everybody's."""


def refuse_busy_port(host: str, port: int) -> None:
    """The server listens with SO_REUSEPORT and would share a busy port in silence."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise Refusal(f"{host}:{port} cannot be used: {error.strerror}") from None


def prepare() -> config.Settings:
    """Settings, logs, clock, vault and database, or a `Refusal`; nothing stays open for the fork."""
    settings = starting.prepare()
    failures.install_filter()
    db.dispose()
    return settings


def share_metrics(settings: config.Settings) -> None:
    """Count where all workers count: in the host's folder, or in one that ends with this process."""
    if settings.phantom_metrics_folder is None:
        metrics.share_until_the_end()
    else:
        metrics.share(settings.phantom_metrics_folder)


async def stop_with(parent: int) -> None:
    """Leave when the parent is gone: an orphan would keep the port and share it with the next server."""
    while os.getppid() == parent:  # noqa: ASYNC110  # no event tells of it: the parent may have died by SIGKILL
        await asyncio.sleep(WATCH_SECONDS)
    os.kill(os.getpid(), signal.SIGTERM)


@contextlib.asynccontextmanager
async def worker_life(parent: int) -> AsyncIterator[None]:
    """What each worker does beside serving: watch its parent, and keep the collector away from what never dies."""
    gc.collect()
    gc.freeze()
    watcher = asyncio.create_task(stop_with(parent))
    try:
        yield
    finally:
        watcher.cancel()
        db.dispose()


def web(settings: config.Settings, folder: Path, parent: int) -> ASGIApp:
    """Everything: hot paths first, then the HTTP API, then Reflex; built in each worker, after the fork."""
    from phantom_app.api import hot
    from phantom_app.api import metrics as metrics_api
    from phantom_app.api.app import create_api
    from phantom_app.phantom_app import app, serve_with

    api = create_api()
    serve_with(app, settings, api.router.lifespan_context(api), hot.lifespan(), worker_life(parent))
    static = folder / "build" / "client"
    policy, pages = headers.content_policy(headers.build_hashes(static)), app()
    inner = Dispatch(
        api=api.router,
        api_app=metrics_api.Timed(api),
        pages=metrics_api.Timed(pages, "(pages)"),
        lifespan=pages,
        documents=prerendered(static),
    )
    limited = SocketLimits(inner, origin=settings.public_url)
    secured = headers.SecurityHeaders(limited, policy, https=settings.serves_https)
    return behind_proxies(HotFirst(hot.routes(), secured), settings)


def headless(settings: config.Settings, parent: int) -> ASGIApp:
    """The engine's HTTP API alone: no page, no socket, no Reflex."""
    from phantom_app.api import hot
    from phantom_app.api import metrics as metrics_api
    from phantom_app.api.app import create_api

    api = create_api(headless=True)

    @contextlib.asynccontextmanager
    async def life(_outer: Starlette) -> AsyncIterator[None]:
        async with api.router.lifespan_context(api), hot.lifespan(), worker_life(parent):
            yield

    outer = Starlette(lifespan=life)
    timed = metrics_api.Timed(api)
    inner = Dispatch(api=api.router, api_app=timed, pages=None, lifespan=outer)
    secured = headers.SecurityHeaders(inner, headers.content_policy(()), https=settings.serves_https)
    return behind_proxies(HotFirst(hot.routes(), secured), settings)


def behind_proxies(app: ASGIApp, settings: config.Settings) -> ASGIApp:
    """`app` as it is where no proxy is named: the hot paths pay for nothing they do not need."""
    return BehindProxies(app, settings.trusted_proxies) if settings.trusted_proxies else app


def built_pages(*, may_build: bool) -> Path:
    """The folder of the present sources' pages, held. Raises `Refusal` where there are none and none may be built."""
    if not may_build:
        found = build.find_built()
        if found is None or not build.hold(found):
            raise Refusal(f"there are no built pages for these sources ({build.source_hash()}); run `phantom build`")
        return found
    folder = build.ensure_built(lambda line: print(line, flush=True))  # noqa: T201
    while not build.hold(folder):  # pruned between the two lines: another build was made just now
        folder = build.ensure_built()
    return folder


def load_application(settings: config.Settings, *, may_build: bool) -> Path:
    """Import all of the application with its built pages, so that workers share it."""
    folder = built_pages(may_build=may_build)
    runtime.use_build(folder, settings.redis_url.get_secret_value())
    import phantom_app.phantom_app  # noqa: F401  # the import is the point

    failures.install_filter()
    if runtime.built_schema(folder) != runtime.state_schema():
        raise Refusal("the built frontend does not fit these sources; remove .phantom/frontend and start again")
    return folder


def serve_forked(host: str, port: int, workers: int, build_application: Callable[[], ASGIApp]) -> None:
    """Serve, until told to stop, what each worker builds after its fork. Workers that die are replaced."""
    multiprocessing.set_start_method("fork", force=True)
    options: dict[str, Any] = {"loop": Loops.auto, "interface": Interfaces.ASGI, "websockets": True}
    server = Server(
        target="phantom_app.serve:target",
        factory=True,
        address=host,
        port=port,
        workers=workers,
        respawn_failed_workers=True,
        respawn_interval=0.5,
        workers_kill_timeout=10,
        log_level=LogLevels.warning,
        log_dictconfig=_LOGS_LIKE_OURS,
        **options,
    )
    interrupt = draining.delayed(server.signal_handler_interrupt, config.settings().drain_seconds)
    server.signal_handler_interrupt = interrupt  # type: ignore[method-assign]  # granian has no hook before its own
    refuse_busy_port(host, port)  # a first build takes a while; somebody may have come in between
    server.serve(target_loader=lambda _name: build_application())


def run(host: str, port: int, workers: int, *, without_pages: bool, may_build: bool = True) -> None:
    """Serve until told to stop. Raises `Refusal` for whatever makes serving senseless."""
    settings = prepare()
    share_metrics(settings)
    refuse_busy_port(host, port)
    parent = os.getpid()
    if without_pages:
        import phantom_app.api.app  # noqa: F401

        def target() -> ASGIApp:
            return headless(settings, parent)
    else:
        folder = load_application(settings, may_build=may_build)

        def target() -> ASGIApp:
            return web(settings, folder, parent)

    runtime.prepare_for_fork()
    gc.collect()
    gc.freeze()
    serve_forked(host, port, workers, target)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="phantom_app.serve", description="Serve PHANTOM's screens and HTTP API.")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=3000)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--headless", action="store_true", help="the engine and the HTTP API alone")
    parser.add_argument("--no-build", action="store_true", help="refuse to start without finished pages")
    given = parser.parse_args(arguments)
    try:
        run(given.host, given.port, given.workers, without_pages=given.headless, may_build=not given.no_build)
    except (Refusal, build.BuildError) as refusal:
        print(f"PHANTOM cannot start: {refusal}", file=sys.stderr, flush=True)  # noqa: T201
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
