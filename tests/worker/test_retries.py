"""Whether a thread is just connecting to its worker's broker: real threads, ports where nobody listens."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import SimpleNamespace

import pytest
from celery import Celery
from kombu import Connection

from celery_health.worker.retries import Retries
from tests.support import eventually, free_port


class _StopError(Exception):
    """Ends the tries."""


@contextmanager
def thread(retries: Retries, broker: str, does: Callable[[threading.Event], object]) -> Iterator[None]:
    """Have a thread consume from `broker`, by its own word, and do something that lasts."""
    app, end, begun = Celery(broker=broker, set_as_current=False), threading.Event(), threading.Event()

    def run() -> None:
        retries.attach(SimpleNamespace(app=app, connection=app.connection_for_read()))
        begun.set()
        does(end)

    one = threading.Thread(target=run)
    one.start()
    try:
        assert begun.wait(10)
        yield
    finally:
        end.set()
        one.join(10)
        assert not one.is_alive()
        app.close()


def connecting(url: str) -> Callable[[threading.Event], object]:
    """Try to connect until the end, as ``Connection.ensure`` does."""

    def does(end: threading.Event) -> None:
        def look() -> None:
            if end.is_set():
                raise _StopError

        with pytest.raises(_StopError):
            Connection(url).ensure_connection(callback=look)

    return does


@pytest.fixture(scope="module")
def nobody() -> str:
    return f"redis://127.0.0.1:{free_port()}/0"


def test_retries__to_the_broker_are_seen_and_end(nobody: str) -> None:
    retries = Retries()
    assert not retries.are_under_way()  # it has not connected once
    with thread(retries, nobody, connecting(nobody)):
        eventually(retries.are_under_way)
    assert not retries.are_under_way()


def test_retries__to_one_of_several_in_any_order_are(nobody: str) -> None:
    other = f"redis://127.0.0.1:{free_port()}/0"
    retries = Retries()
    with thread(retries, f"{nobody};{other}", connecting(f"{other};{nobody}")):
        eventually(retries.are_under_way)


@pytest.mark.parametrize(
    "other", ["redis://127.0.0.1:{}/0", "redis://127.0.0.1:{}/1", "amqp://127.0.0.1:{}//"]
)
def test_retries__to_another_broker_are_somebody_elses(nobody: str, other: str) -> None:
    port = nobody.rpartition(":")[2].partition("/")[0] if other.endswith("/1") else free_port()
    retries, tried = Retries(), threading.Event()

    def does(end: threading.Event) -> None:
        def look() -> None:
            tried.set()
            if end.is_set():
                raise _StopError

        with pytest.raises(_StopError):
            Connection(other.format(port)).ensure_connection(callback=look)

    with thread(retries, nobody, does):
        assert tried.wait(10)
        assert not retries.are_under_way()


def test_retries__a_thread_that_hangs_elsewhere_makes_none(nobody: str) -> None:
    retries = Retries()
    with thread(retries, nobody, lambda end: end.wait(10)):
        assert not retries.are_under_way()
