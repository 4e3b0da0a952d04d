"""`python -m sandbox`: serve the sandbox until SIGTERM."""

import argparse
import asyncio
import logging
import os
import signal
import socket
import sys
from pathlib import Path

import uvloop
from granian.constants import HTTPModes, Interfaces
from granian.server.embed import Server

from core import clock
from sandbox.server import create_app
from sandbox.stripe.world import Settings


def parse(arguments: list[str]) -> argparse.Namespace:
    """The command line."""
    defaults = Settings()
    parser = argparse.ArgumentParser(prog="python -m sandbox", description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0, help="0: a free one, printed and written to --port-file")
    parser.add_argument("--port-file", type=Path)
    parser.add_argument("--data", type=Path, help="folder of the persisted state; none: memory only")
    parser.add_argument("--clock-file", type=Path, help="the shared offset (core.clock); the sandbox may move it")
    parser.add_argument("--platform-account", default=defaults.platform_account)
    parser.add_argument("--platform-secret-key", default=defaults.platform_secret_key)
    parser.add_argument(
        "--platform-secret-key-from",
        metavar="NAME",
        help="the environment variable that holds it: a command line can be read by everybody on the machine",
    )
    parser.add_argument("--platform-live-key", default=defaults.platform_live_key)
    parser.add_argument("--client-id", default=defaults.client_id)
    parser.add_argument("--public-url", help="where browsers reach this server; default: its own address")
    parser.add_argument("--seed", default=defaults.seed)
    parser.add_argument("--living", action="store_true", help="let due things happen by themselves")
    parser.add_argument("--pull", action="store_true", help="do not push webhooks; a driver takes them")
    parser.add_argument("--rate-limit", type=float, help="requests per second and account")
    parser.add_argument("--endpoint-rate-limit", type=float, help="requests per second, account and endpoint")
    options = parser.parse_args(arguments)
    if name := options.platform_secret_key_from:
        options.platform_secret_key = os.environ.get(name) or parser.error(f"{name} is not set")
    return options


def free_port(host: str) -> int:
    """A port nobody listens on."""
    with socket.socket() as probe:
        probe.bind((host, 0))
        port: int = probe.getsockname()[1]
        return port


async def serve(options: argparse.Namespace) -> None:
    """Serve until SIGTERM or SIGINT."""
    if options.clock_file:
        clock.install(clock.OffsetClock(options.clock_file))
    port = options.port or free_port(options.host)
    app = create_app(
        Settings(
            platform_account=options.platform_account,
            platform_secret_key=options.platform_secret_key,
            platform_live_key=options.platform_live_key,
            client_id=options.client_id,
            public_url=(options.public_url or f"http://{options.host}:{port}").rstrip("/"),
            seed=options.seed,
            data=options.data,
            clock_file=options.clock_file,
            living=options.living,
            deliver=not options.pull,
            rate_limit=options.rate_limit,
            endpoint_rate_limit=options.endpoint_rate_limit,
        )
    )
    server = Server(
        app, address=options.host, port=port, interface=Interfaces.ASGI, http=HTTPModes.http1, log_enabled=False
    )
    loop = asyncio.get_running_loop()

    def stop() -> None:
        app.state.stop()  # what hangs on purpose would keep a graceful stop waiting
        server.stop()  # type: ignore[no-untyped-call]

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop)
    announcing = asyncio.create_task(announce(options, port))
    await server.serve()
    announcing.cancel()


async def announce(options: argparse.Namespace, port: int) -> None:
    """Tell the port once it answers: who reads the line may connect."""
    while True:
        try:
            _, writer = await asyncio.open_connection(options.host, port)
        except OSError:
            await asyncio.sleep(0.02)
        else:
            writer.close()
            break
    if options.port_file:
        scratch = options.port_file.with_suffix(".tmp")
        scratch.write_text(str(port))
        scratch.replace(options.port_file)
    sys.stdout.write(f"sandbox listening on http://{options.host}:{port}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr)
    uvloop.run(serve(parse(sys.argv[1:])))
