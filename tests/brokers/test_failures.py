"""Brokers that are down, hang, refuse or cut: an answer within the deadline, and no password anywhere."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

import pytest
from celery import Celery

from celery_health.brokers.base import Broker, BrokerReading
from celery_health.deadline import Deadline
from celery_health.exceptions import BrokerError
from tests.brokers.conftest import PASSWORD, SECRET, Target, queue, read
from tests.support import eventually, unanswered_port

Reader = Callable[..., Broker]

DEADLINE_SECONDS = 0.6
#: For the scheduler of a busy machine, not for the code; less than what a second attempt would take.
SLACK_SECONDS = 0.5


def read_timed(broker: Broker) -> tuple[BrokerReading, float]:
    started = time.monotonic()
    reading = broker.read(["q"], Deadline.after(DEADLINE_SECONDS))
    return reading, time.monotonic() - started


def assert_says_so(broker: Broker, caplog: pytest.LogCaptureFixture) -> None:
    """Read and ping a broken broker."""
    caplog.set_level(logging.DEBUG)
    reading, seconds = read_timed(broker)
    assert seconds < DEADLINE_SECONDS + SLACK_SECONDS
    assert reading.reachable is False
    assert reading.queues == {}
    assert reading.error
    assert reading.latency_seconds == pytest.approx(seconds, abs=0.1)
    started = time.monotonic()
    with pytest.raises(BrokerError) as raised:
        broker.ping(Deadline.after(DEADLINE_SECONDS))
    assert time.monotonic() - started < DEADLINE_SECONDS + SLACK_SECONDS
    for text in (repr(reading), str(raised.value), repr(raised.value), repr(vars(broker)), caplog.text):
        assert PASSWORD not in text
        assert SECRET not in text
    # A traceback that somebody logs prints causes, and those are not masked.
    assert raised.value.__suppress_context__ or raised.value.__context__ is None


# Each breaks the broker; whether the reader had an open connection before is told by the test.
FAILURES: dict[str, Callable[[Target], object]] = {
    "refused": lambda target: target.proxy.refuse(),
    "hung (SIGSTOP)": lambda target: target.pause(),
    "black hole": lambda target: target.proxy.black_hole(),
    "requests swallowed": lambda target: target.proxy.swallow(requests=True),
    "replies swallowed": lambda target: target.proxy.swallow(replies=True),
    "every reply too late": lambda target: target.proxy.delay(DEADLINE_SECONDS * 1.5),
    # Each reply comes in time, all of them together do not.
    "many late replies": lambda target: target.proxy.delay(DEADLINE_SECONDS * 0.6),
    "every reply lost": lambda target: target.proxy.drop_replies(1.0),
}


@pytest.mark.parametrize("failure", FAILURES)
def test_read__broken_from_the_start(
    failure: str,
    target: Target,
    make_app: Callable[..., Celery],
    reader: Reader,
    caplog: pytest.LogCaptureFixture,
) -> None:
    broker = reader(make_app(target.url))
    FAILURES[failure](target)
    assert_says_so(broker, caplog)
    target.resume()
    target.proxy.forward()
    assert queue(broker, "q").ready == 0


@pytest.mark.parametrize("failure", [name for name in FAILURES if name != "many late replies"])
def test_read__breaks_while_connected(
    failure: str,
    target: Target,
    make_app: Callable[..., Celery],
    reader: Reader,
    caplog: pytest.LogCaptureFixture,
) -> None:
    broker = reader(make_app(target.url))
    assert queue(broker, "q").ready == 0
    FAILURES[failure](target)
    assert_says_so(broker, caplog)
    target.resume()
    target.proxy.forward()
    assert queue(broker, "q").ready == 0


def test_read__wrong_password(
    target: Target, make_app: Callable[..., Celery], reader: Reader, caplog: pytest.LogCaptureFixture
) -> None:
    # Longer than the right one, and holding it: what is masked must be what was given.
    wrong = target.url.replace(SECRET, SECRET + "-wrong")
    assert wrong != target.url
    assert_says_so(reader(make_app(wrong)), caplog)


def test_read__no_password(
    redis_target: Target, make_app: Callable[..., Celery], reader: Reader, caplog: pytest.LogCaptureFixture
) -> None:
    assert_says_so(reader(make_app(f"redis://{redis_target.url.rpartition('@')[2]}")), caplog)


@pytest.mark.parametrize("scheme", ["redis", "amqp"])
def test_read__unknown_host(
    scheme: str, make_app: Callable[..., Celery], reader: Reader, caplog: pytest.LogCaptureFixture
) -> None:
    assert_says_so(reader(make_app(f"{scheme}://u:{SECRET}@nobody.invalid/0")), caplog)


@pytest.mark.parametrize("scheme", ["redis", "amqp", "sentinel"])
def test_read__handshake_never_answered(
    scheme: str, make_app: Callable[..., Celery], reader: Reader, caplog: pytest.LogCaptureFixture
) -> None:
    with unanswered_port() as port:
        app = make_app(
            f"{scheme}://u:{SECRET}@127.0.0.1:{port}/0",
            broker_transport_options={"master_name": "main"} if scheme == "sentinel" else {},
        )
        assert_says_so(reader(app), caplog)


def test_read__restart_in_between_is_no_red(
    target: Target, make_app: Callable[..., Celery], reader: Reader
) -> None:
    broker = reader(make_app(target.url))
    for _ in range(3):
        assert queue(broker, "q").ready == 0
        target.restart()
    assert queue(broker, "q").ready == 0


def test_read__cut_in_between_is_no_red(
    target: Target, make_app: Callable[..., Celery], reader: Reader
) -> None:
    broker = reader(make_app(target.url))
    for _ in range(3):
        assert queue(broker, "q").ready == 0
        target.proxy.cut()
    assert queue(broker, "q").ready == 0


def test_read__flow_that_a_firewall_forgot_is_no_red(
    target: Target, make_app: Callable[..., Celery], reader: Reader
) -> None:
    broker = reader(make_app(target.url))
    assert queue(broker, "q").ready == 0
    target.proxy.forget_flows()
    reading, seconds = read_timed(broker)
    assert reading.reachable is True, reading.error
    assert seconds < DEADLINE_SECONDS
    assert queue(broker, "q").ready == 0


def test_read__lost_replies_are_asked_for_again(
    target: Target, make_app: Callable[..., Celery], reader: Reader
) -> None:
    broker = reader(make_app(target.url))
    read(broker, "q")
    target.proxy.drop_replies(0.1)
    answers = [broker.read(["q"], Deadline.after(5)).reachable for _ in range(60)]
    assert target.proxy.replies_dropped > 0
    # Only a loss on a connection that is new as well is told.
    assert answers.count(True) > 45


def test_read__says_when_it_is_well_again(
    target: Target, make_app: Callable[..., Celery], reader: Reader
) -> None:
    broker = reader(make_app(target.url))
    target.proxy.refuse()
    assert read_timed(broker)[0].reachable is False
    target.proxy.forward()
    started = time.monotonic()
    assert read_timed(broker)[0].reachable is True
    assert time.monotonic() - started < SLACK_SECONDS


def test_read__leaves_no_connection_behind(
    target: Target, make_app: Callable[..., Celery], reader: Reader
) -> None:
    import psutil

    broker = reader(make_app(target.url))
    queue(broker, "q")
    before = psutil.Process().num_fds()
    for _ in range(10):
        target.proxy.refuse()
        assert read_timed(broker)[0].reachable is False
        target.proxy.forward()
        queue(broker, "q")
    # The proxy's ends of the old connections may take a moment.
    eventually(lambda: psutil.Process().num_fds() <= before)
