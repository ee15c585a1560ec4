"""``celery_health exporter``: a process of its own, scraped over the network."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from celery_health.management.scraping import application
from celery_health.management.server import CLIENT_SECONDS, open_server
from tests.metrics_surfaces.conftest import Exporter
from tests.metrics_surfaces.scraping import PROMETHEUS_ACCEPT, get, value
from tests.support import Worker, eventually, free_port


@pytest.mark.smoke
def test_exporter__serves_metrics_and_the_way_there(
    redis_url: str, exporter_factory: Callable[..., Exporter], worker_factory: Callable[..., Worker]
) -> None:
    worker = worker_factory(redis_url, health={"HEARTBEAT_INTERVAL": 0.5})
    exporter = exporter_factory(redis_url)

    def up() -> str:
        text = get(exporter.port).text
        assert value(text, "celery_worker_up", hostname=worker.hostname) == 1
        return text

    text = eventually(up)
    assert value(text, "celery_workers") == 1
    assert value(text, "celery_health_store_up") == 1
    assert get(exporter.port, headers={"Accept": PROMETHEUS_ACCEPT}).text.endswith("# EOF\n")
    front = get(exporter.port, "/")
    assert (front.status, "/metrics" in front.text) == (200, True)
    assert get(exporter.port, "/metrics/").status == 200
    assert get(exporter.port, "/healthz").status == 404
    assert get(exporter.port, method="POST").status == 405
    assert (get(exporter.port, method="HEAD").status, get(exporter.port, method="HEAD").body) == (200, b"")


def test_exporter__sigterm_lets_an_answer_end(
    redis_url: str, exporter_factory: Callable[..., Exporter]
) -> None:
    exporter = exporter_factory(redis_url)
    # A request that has begun and not ended when the signal comes.
    with socket.create_connection(("127.0.0.1", exporter.port)) as half:
        half.sendall(b"GET /metrics HTTP/1.1\r\n")
        eventually(lambda: _has_accepted(exporter.pid, half))
        exporter.signal(signal.SIGTERM)
        half.sendall(b"Host: x\r\n\r\n")
        answer = b""
        while chunk := half.recv(65536):
            answer += chunk

    assert answer.startswith(b"HTTP/1.0 200 OK")
    assert b"celery_health_up 1" in answer
    assert exporter.wait(CLIENT_SECONDS + 5) == 0
    assert "Traceback" not in exporter.log


def _has_accepted(pid: int, client: socket.socket) -> bool:
    """Say whether a process has taken a connection from the backlog: only then is it among its own."""
    import psutil

    port = client.getsockname()[1]
    return any(one.raddr and one.raddr.port == port for one in psutil.Process(pid).net_connections("tcp"))


def test_exporter__one_who_connects_and_says_nothing_holds_nobody_up(
    redis_url: str, exporter_factory: Callable[..., Exporter]
) -> None:
    exporter = exporter_factory(redis_url)
    silent = [socket.create_connection(("127.0.0.1", exporter.port)) for _ in range(5)]
    try:
        assert get(exporter.port).status == 200
        exporter.signal(signal.SIGTERM)
        assert exporter.wait(CLIENT_SECONDS + 10) == 0
    finally:
        for one in silent:
            one.close()


def test_exporter__broker_gone_is_answered(exporter_factory: Callable[..., Exporter]) -> None:
    exporter = exporter_factory("redis://127.0.0.1:1/0", health={"DEADLINE": 1})

    text = get(exporter.port).text
    assert value(text, "celery_health_store_up") == 0
    assert value(text, "celery_health_status", status="unhealthy") == 1


@pytest.mark.parametrize("port", ["x", "-1", "65536", "9808.5"])
def test_exporter__wrong_port(port: str) -> None:
    with pytest.raises(CommandError, match="--port is") as caught:
        call_command("celery_health", "exporter", f"--port={port}")

    assert caught.value.returncode == 2


def test_exporter__taken_port() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(CommandError, match=f"--port {port} cannot be listened at"):
            call_command("celery_health", "exporter", "--host=127.0.0.1", f"--port={port}")


def test_exporter__wrong_settings_end_it(settings: Any) -> None:
    settings.CELERY_HEALTH = {"METRICS_DIALECTS": ["x"]}

    with pytest.raises(CommandError, match="METRICS_DIALECTS"):
        call_command("celery_health", "exporter", "--port=0")


@pytest.mark.live
def test_exporter__says_where_and_ends_with_ctrl_c(redis_url: str) -> None:
    port = free_port()
    exporter = Exporter(redis_url, port=port)
    with exporter.start():
        exporter.wait_ready()
        assert exporter.port == port
        exporter.signal(signal.SIGINT)
        assert exporter.wait() == 130


def test_application__an_error_of_ours_is_an_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*headers: str) -> Any:
        raise RuntimeError("of ours")

    monkeypatch.setattr("celery_health.management.scraping.answer", broken)
    with open_server("127.0.0.1", 0, application) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            response = get(server.server_port)
        finally:
            server.shutdown()
            thread.join()

    assert response.status == 500
    assert response.text == "The metrics could not be made; see the log.\n"


def test_exporter__help_names_it() -> None:
    shown = subprocess.run(
        [sys.executable, "-m", "django", "celery_health", "exporter", "--help"],
        env={"DJANGO_SETTINGS_MODULE": "tests.project.settings"},
        capture_output=True, text=True, check=True, timeout=60,
    )  # fmt: skip
    assert "9808" in shown.stdout


def test_server__ipv6() -> None:
    if not socket.has_ipv6:
        pytest.skip("no IPv6 here")
    try:
        server = open_server("::1", 0, application)
    except OSError:
        pytest.skip("no IPv6 here")
    with server:
        assert server.socket.family == socket.AF_INET6
