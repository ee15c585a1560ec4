"""The example project's Redis: the tests of everything else stand on it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

import embedded
from embedded import RedisNotFoundError, RedisServer, RedisStartError, find_redis_server
from tests.support.polling import eventually

pytestmark = pytest.mark.redis


@pytest.fixture(autouse=True)
def _own_temporary_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let what is left behind be seen: servers make their folders here."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))


@pytest.fixture
def server() -> Iterator[RedisServer]:
    with RedisServer() as running:
        yield running


def ask(server: RedisServer) -> redis.Redis:
    return redis.Redis.from_url(server.url, socket_timeout=2, single_connection_client=True)


def test_start__answers_and_is_alone_on_its_port(server: RedisServer) -> None:
    with ask(server) as client:
        assert client.info("server")["process_id"] == server.pid
        assert client.dbsize() == 0


def test_start__twice_is_once(server: RedisServer) -> None:
    pid = server.pid

    assert server.start().pid == pid


def test_start__on_a_taken_port_says_why(server: RedisServer, tmp_path: Path) -> None:
    second = RedisServer(port=server.port)

    with pytest.raises(RedisStartError, match="Address already in use"):
        second.start()
    assert not second.running
    assert list(tmp_path.iterdir()) == [server.folder]


def test_start__that_fails_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(RedisStartError, match="ended with status 1"):
        RedisServer(args=["--maxmemory", "nonsense"]).start()
    assert list(tmp_path.iterdir()) == []


def test_stop__ends_the_process_and_removes_the_folder(tmp_path: Path) -> None:
    server = RedisServer().start()
    pid = server.pid
    assert pid is not None

    server.stop()
    server.stop()

    assert list(tmp_path.iterdir()) == []
    assert not server.ping()
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_stop__ends_a_paused_server() -> None:
    server = RedisServer().start()
    server.pause()

    server.stop()

    assert not server.running


def test_pause__keeps_everybody_waiting_until_resumed(server: RedisServer) -> None:
    server.pause()
    assert server.running
    assert not server.ping(timeout_seconds=0.2)

    server.resume()
    assert server.ping()


def test_kill__then_start_is_back_on_the_same_port_with_its_snapshot() -> None:
    with RedisServer(args=["--save", "3600 1"]) as server:
        port = server.port
        with ask(server) as client:
            client.set("kept", "yes")
            client.save()
            client.set("lost", "yes")
        server.kill()
        assert not server.ping()

        server.start()

        assert server.port == port
        with ask(server) as client:
            assert client.keys() == [b"kept"]


def test_restart__is_another_process_on_the_same_port(server: RedisServer) -> None:
    pid, port = server.pid, server.port

    server.restart()

    assert server.pid != pid
    assert server.port == port


def test_password__is_needed_and_in_no_argument() -> None:
    with RedisServer(password='s3cret "quoted" \\ value') as server:
        with ask(server) as client:
            assert client.ping()
        with redis.Redis(port=server.port) as anyone, pytest.raises(redis.AuthenticationError):
            anyone.ping()
        assert server.pid is not None
        assert b"s3cret" not in Path(f"/proc/{server.pid}/cmdline").read_bytes()


def test_acl__user_is_kept_to_its_keys() -> None:
    with RedisServer(acl=["shop on >secret ~shop:* &* +@all"]) as server:
        url = server.url_for(user="shop", password="secret", db=0)
        with redis.Redis.from_url(url) as client:
            assert client.set("shop:a", 1)
            with pytest.raises(redis.exceptions.NoPermissionError):
                client.set("other", 1)


def test_forked_child__does_not_end_its_parents_server(server: RedisServer) -> None:
    child = os.fork()
    if child == 0:
        server._stop_at_exit()
        os._exit(0)
    os.waitpid(child, 0)

    assert server.ping()


def test_interpreter_exit__ends_a_forgotten_server(tmp_path: Path) -> None:
    code = "from embedded import RedisServer; s = RedisServer().start(); print(s.pid, s.folder)"
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=Path(embedded.__file__).parent, env=os.environ | {"TMPDIR": str(tmp_path)},
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    pid, folder = done.stdout.split()

    assert not Path(folder).exists()
    eventually(lambda: not Path("/proc", pid).exists(), what="the server's end")


def test_find__takes_the_one_in_the_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    fetched = tmp_path / "redis-server"
    fetched.symlink_to(find_redis_server())
    monkeypatch.setattr("redis_program.FETCHED", fetched)
    monkeypatch.setenv("PATH", "")

    assert find_redis_server() == fetched
    with RedisServer() as server:
        assert server.ping()


def test_find__without_any_says_how_to_get_one(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("redis_program.FETCHED", tmp_path / "redis-server")
    monkeypatch.setenv("PATH", "")

    with pytest.raises(RedisNotFoundError, match="apt-get install redis-server"):
        find_redis_server()
