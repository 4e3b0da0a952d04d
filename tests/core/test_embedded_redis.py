"""Embedded Redis as a real process."""

import contextlib
import os
import signal
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from cli.stack.ready import redis_answers
from core.embedded import redis as embedded
from core.embedded.process import EmbeddedServerError, free_port
from core.embedded.redis import RedisServer
from tests.support.wait import wait_until


@pytest.fixture
def server(tmp_path: Path) -> RedisServer:
    return RedisServer(tmp_path / 'a "quoted" folder', free_port(), "secret")


@contextlib.contextmanager
def running(server: RedisServer) -> "Iterator[tuple[subprocess.Popen[bytes], redis.Redis]]":
    process = server.start()
    client = redis.Redis.from_url(server.url)
    try:
        wait_until(lambda: redis_answers(server.url), what=f"Redis answers: {server.log}")
        yield process, client
    finally:
        client.close()
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
        process.wait(30)


class TestRedisServer:
    def test_wants_its_password(self, server: RedisServer) -> None:
        at_once = Retry(NoBackoff(), 0)
        stranger = redis.Redis(port=server.port, retry=at_once)
        with running(server), stranger, pytest.raises(redis.AuthenticationError):
            stranger.ping()

    def test_shows_its_password_to_nobody(self, server: RedisServer) -> None:
        with running(server) as (process, _):
            assert b"secret" not in Path(f"/proc/{process.pid}/cmdline").read_bytes()
        assert stat.S_IMODE((server.folder / "redis.conf").stat().st_mode) == 0o600

    def test_keeps_its_keys_across_a_kill_with_a_torn_tail(self, server: RedisServer) -> None:
        with running(server) as (process, client):
            client.set("kept", 1)
            client.execute_command("BGREWRITEAOF")
            process.kill()
        with (server.folder / "appendonly.aof").open("ab") as file:
            file.write(b"*3\r\n$3\r\nSET\r\n$2\r\nzz")
        with running(server) as (_, client):
            assert client.get("kept") == b"1"

    def test_forgets_nothing_to_make_room(self, server: RedisServer) -> None:
        with running(server) as (_, client):
            assert client.config_get("maxmemory-policy") == {"maxmemory-policy": "noeviction"}


class TestFindRedis:
    def test_takes_one_from_the_path_where_the_wheel_is_missing(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(embedded.importlib.util, "find_spec", lambda _name: None)
        program = tmp_path / "valkey-server"
        program.touch(mode=0o755)
        monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.defpath}")
        assert embedded.find_redis() == program

    def test_says_what_to_do_where_there_is_none(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        monkeypatch.setattr(embedded.importlib.util, "find_spec", lambda _name: None)
        monkeypatch.setenv("PATH", str(tmp_path))
        with pytest.raises(EmbeddedServerError, match="REDIS_URL"):
            embedded.find_redis()
