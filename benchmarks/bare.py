"""The control of webhook intake: a bare Starlette route that inserts one row, in the server that serves PHANTOM.

`python -m benchmarks.bare --port 4000 --workers 2`. It verifies nothing and reads nothing out of the body.
"""

import argparse
import contextlib
import gc
import os
from collections.abc import AsyncIterator
from typing import Any

import psycopg
from psycopg_pool import AsyncConnectionPool
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from cli.logins import plain_url
from core.config import settings
from phantom_app import serve
from phantom_app.api.hot import CONNECT_PATH

TABLE = "bench_bare_events"
CONNECTIONS = 8  # a worker's; more make it slower
_INSERT = f"insert into {TABLE} (id, payload) values (%b, %b)"  # noqa: S608  # a constant


def create_table() -> None:
    """What the route inserts into, owned by the login that inserts."""
    with psycopg.connect(plain_url(settings().database_admin_url.get_secret_value()), autocommit=True) as owner:  # type: ignore[union-attr]  # place() sets it
        owner.execute(f"create table if not exists {TABLE} (id text primary key, payload bytea not null)")
        owner.execute(f"grant select, insert, truncate on {TABLE} to phantom_platform")


def app() -> Starlette:
    """Built in each worker, after the fork."""
    pool: AsyncConnectionPool[psycopg.AsyncConnection[Any]] = AsyncConnectionPool(
        plain_url(settings().database_system_url.get_secret_value()),
        min_size=CONNECTIONS,
        max_size=CONNECTIONS,
        open=False,
        kwargs={"autocommit": True, "prepare_threshold": 1},
    )

    @contextlib.asynccontextmanager
    async def life(_app: Starlette) -> AsyncIterator[None]:
        async with pool, serve.worker_life(os.getppid()):
            yield

    async def insert(request: Request) -> Response:
        raw = await request.body()
        async with pool.connection() as connection:
            await connection.execute(_INSERT, (request.headers["x-event-id"], raw))
        return Response(b"ok", media_type="text/plain")

    return Starlette(routes=[Route(CONNECT_PATH, insert, methods=["POST"])], lifespan=life)


def main() -> None:
    parser = argparse.ArgumentParser(prog="benchmarks.bare")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--workers", type=int, default=2)
    given = parser.parse_args()
    gc.collect()
    gc.freeze()
    serve.serve_forked(given.host, given.port, given.workers, app)


if __name__ == "__main__":
    main()
