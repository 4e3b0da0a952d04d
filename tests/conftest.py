"""The run's servers and the fixtures that every folder of tests may use."""

import signal
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
import redis

from core import clock as core_clock
from core import db
from tests.support import environment
from tests.support.database import WorkerDatabase, worker_name
from tests.support.servers import RunServers, redis_of_worker, stop, wait_for_redis

pytest_plugins = ["tests.support.browser"]

_SERVERS = pytest.StashKey[RunServers]()
_DATABASE = pytest.StashKey[WorkerDatabase]()
_REDIS_URL = pytest.StashKey[str]()


def pytest_sessionstart(session: pytest.Session) -> None:
    """Start the run's PostgreSQL where the run starts, and set the environment wherever tests are collected.

    This comes before collection, so that a module that reads settings at import reads these.
    """
    config = session.config
    if config.option.collectonly:
        return
    given = getattr(config, "workerinput", {}).get("phantom_servers")
    servers = RunServers(**given) if given else RunServers.new()
    config.stash[_SERVERS] = servers
    if not given:
        process = servers.postgres.start()
        config.add_cleanup(servers.remove)
        # SIGTERM would wait until every client has left, and what is in the folder is thrown away anyhow.
        config.add_cleanup(lambda: stop(process, signal.SIGQUIT))
    if given or not config.getoption("numprocesses", None):
        _set_up_worker(config, servers)


def _set_up_worker(config: pytest.Config, servers: RunServers) -> None:
    worker = worker_name()
    database = WorkerDatabase(servers, f"phantom_{worker}")
    server = redis_of_worker(servers.folder, worker)
    process = server.start()
    config.add_cleanup(lambda: stop(process))
    config.add_cleanup(database.close)
    folder = Path(servers.folder) / worker
    folder.mkdir()
    environment.install(
        environment.test_environment(
            folder=folder,
            database_url=database.url,
            system_url=database.system_url,
            admin_url=database.admin_url,
            redis_url=server.url,
        )
    )
    config.stash[_DATABASE] = database
    config.stash[_REDIS_URL] = server.url


def pytest_configure_node(node: object) -> None:
    """Hand the run's servers to an xdist worker."""
    node.workerinput["phantom_servers"] = node.config.stash[_SERVERS].as_dict()  # type: ignore[attr-defined]


@pytest.fixture
def database(pytestconfig: pytest.Config) -> Iterator[WorkerDatabase]:
    """This worker's database, which `core.db`'s engines point to; everything a test wrote is gone after it."""
    worker_database = pytestconfig.stash[_DATABASE]
    worker_database.prepare()
    yield worker_database
    worker_database.empty()


@pytest.fixture
def short_pools(database: WorkerDatabase, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Pools as long as ever, whose callers wait a tenth of a second for a connection."""
    engines = db.ENGINES
    with monkeypatch.context() as patched:
        patched.setattr(db, "POOL_TIMEOUT_SECONDS", 0.1)
        for engine in engines:
            engine().dispose()
            engine.cache_clear()
            engine()
    yield
    for engine in engines:
        engine().dispose()
        engine.cache_clear()


@pytest.fixture(scope="session")
def run_servers(pytestconfig: pytest.Config) -> RunServers:
    """The run's PostgreSQL, for tests that want databases or logins of their own."""
    servers = pytestconfig.stash[_SERVERS]
    servers.wait_for_postgres()
    return servers


@pytest.fixture
def redis_url(pytestconfig: pytest.Config) -> Iterator[str]:
    """The address of this worker's own Redis, empty before and after the test."""
    url = pytestconfig.stash[_REDIS_URL]
    wait_for_redis(url)
    yield url
    with redis.Redis.from_url(url) as client:
        client.flushall()


@pytest.fixture
def clock() -> Iterator[core_clock.ManualClock]:
    """Time that stands at 2026-03-02 09:00 UTC until the test moves it."""
    manual = core_clock.ManualClock(datetime(2026, 3, 2, 9, 0, tzinfo=UTC))
    with core_clock.using(manual):
        yield manual
