"""Where tasks are sent from: the publish stamp in every process, and the count of what was and was not sent.

The stamp costs a header and no I/O. The counts are kept by every process outside a worker's pool, best
effort: a daemon thread, started by the first task that a process sends, flushes them. A web server that forks
after it has loaded the project gets one in each of its processes, and none that outlives a fork.
"""

from __future__ import annotations

import atexit
import logging
import os
from collections.abc import Callable
from functools import wraps
from typing import TYPE_CHECKING, Any, Final

from celery.signals import after_task_publish, before_task_publish

from celery_health.connections.exchanges import is_virtual
from celery_health.connections.shared_names import shared_name
from celery_health.headers import PUBLISHED_AT_HEADER
from celery_health.reporting import process
from celery_health.reporting.agent import Agent
from celery_health.reporting.elsewhere import Sending
from celery_health.reporting.queue_names import reached

if TYPE_CHECKING:
    from celery_health.store.base import Store

__all__ = ["PUBLISHED_AT_HEADER", "connect"]

logger = logging.getLogger("celery_health")

#: Exchange and routing key pairs to remember; a topic's routing keys are without bound.
_MAX_ROUTES: Final = 1000
#: What the end of a process may cost.
_LEAVE_SECONDS: Final = 0.5


def connect() -> None:
    """Have every task stamped and counted that this process sends, and those that it forks."""
    before_task_publish.connect(_stamp, weak=False, dispatch_uid="celery_health.stamp")
    after_task_publish.connect(_count, weak=False, dispatch_uid="celery_health.sent")
    _watch_senders()


def _watch_senders() -> None:
    """Have each app's function that publishes tasks watched: Celery has no signal for one that fails.

    Its maker is wrapped, in the class, so that it holds for every app, whenever it is made, whatever its own
    class of AMQP adds; nothing of an app is touched, and so configured, too early.
    """
    from celery.app.amqp import AMQP

    make: Any = AMQP._create_task_sender  # type: ignore[attr-defined]
    if getattr(make, "celery_health", False):
        return

    @wraps(make)
    def _create_task_sender(self: Any) -> Any:
        return _watched(make(self), process.ELSEWHERE.sending_of(self.app))

    _create_task_sender.celery_health = True  # type: ignore[attr-defined]
    AMQP._create_task_sender = _create_task_sender  # type: ignore[attr-defined]


def _watched(send: Callable[..., Any], sending: Sending) -> Callable[..., Any]:
    """Return ``send_task_message`` of an app, which notes publications that fail, hang or go elsewhere."""
    troubles = process.TROUBLES

    @wraps(send)
    def send_task_message(producer: Any, name: str, message: Any, *args: Any, **kwargs: Any) -> Any:
        if _sender.is_silent():
            return send(producer, name, message, *args, **kwargs)
        unknown = None
        if sending.is_other is not False:
            if _goes_elsewhere(sending):
                return _send_elsewhere(send, sending, producer, name, message, *args, **kwargs)
            unknown = sending if sending.is_other is None else None
        call = troubles.begin(name)
        before = None
        try:
            before = _listen(producer, None)
            _sender.keep_flushing()
        except Exception as error:
            process.FAULTS.caught("producers.begin", error)
        try:
            sent = send(producer, name, message, *args, **kwargs)
        except BaseException as error:
            _note(str(name), error)
            if unknown is not None:
                unknown.count(str(name), failed=True)
            raise
        finally:
            troubles.end(call)
        if unknown is not None:
            unknown.count(str(name), failed=False)
        try:
            _listen(producer, before)  # it may have been opened only now
        except Exception as error:
            process.FAULTS.caught("producers.listen", error)
        return sent

    return send_task_message


def _goes_elsewhere(sending: Sending) -> bool:
    """Say whether an app is known to send to another broker than the watched one."""
    try:
        sending.judge()
    except Exception as error:
        process.FAULTS.caught("producers.judge", error)
    return sending.is_other is True


def _send_elsewhere(
    send: Callable[..., Any], sending: Sending, producer: Any, name: str, *args: Any, **kwargs: Any
) -> Any:
    """Send, and count it by itself: it says nothing of the watched app's broker, nor of its queues."""
    elsewhere, is_sent, failure = process.ELSEWHERE, False, None
    try:
        _sender.keep_flushing()
    except Exception as error:
        process.FAULTS.caught("producers.begin", error)
    try:
        elsewhere.enter()
        sent = send(producer, name, *args, **kwargs)
        is_sent = True
        return sent
    except BaseException as error:
        failure = type(error).__name__ if _is_failure(error) else None
        raise
    finally:
        elsewhere.leave()
        try:
            if failure is not None:
                process.TOTALS.unsent(str(name), failure, is_refused=False)
            if is_sent or failure is not None:
                sending.count(str(name), failed=not is_sent)
        except Exception as error:
            process.FAULTS.caught("producers.elsewhere", error)


def _listen(producer: Any, known: object) -> object:
    """Hear what RabbitMQ says on the producer's connection, if it is open and not `known`; return it."""
    opened = getattr(producer.connection, "_connection", None)
    if opened is not known and opened is not None:
        process.TROUBLES.listen(opened)
    return opened


def _note(name: str, error: BaseException) -> None:
    if _is_failure(error):
        try:
            process.TROUBLES.failed(name, error)
        except Exception as fault:
            process.FAULTS.caught("producers.failed", fault)


def _is_failure(error: BaseException) -> bool:
    """Say whether it failed: a process or greenlet that is being ended was not refused."""
    # A time-out of gevent's is no Exception.
    return isinstance(error, Exception) or "Timeout" in type(error).__name__


def _stamp(headers: Any = None, **kwargs: Any) -> None:
    # Anew at each publish: a retry begins to wait when it is sent, not when its first attempt was.
    if headers is not None:
        headers[PUBLISHED_AT_HEADER] = process.CLOCK.time()


def _count(
    sender: Any = None, exchange: str | None = None, routing_key: str | None = None, **kwargs: Any
) -> None:
    try:
        if _sender.is_silent() or process.ELSEWHERE.is_inside:
            return
        process.TOTALS.sent(str(sender), _sender.queue_of(exchange or "", routing_key or ""))
        _sender.keep_flushing()
    except Exception as error:  # Celery would log it at every publish
        process.FAULTS.caught("producers.sent", error)


class _Sender:
    """What one process remembers of its sending. A fork begins anew."""

    def __init__(self) -> None:
        self._silent: bool | None = None
        self._agent: Agent | None = None
        self._queues: dict[tuple[str, str], str] = {}

    def is_silent(self) -> bool:
        """Say whether this is a pool's child, which gets no thread, no connection and no count."""
        if self._silent is None:
            from billiard.process import current_process

            # billiard/pool.py names them so, forked or spawned; beat inside a worker is a child, too.
            self._silent = "PoolWorker" in str(current_process().name)
        return self._silent

    def queue_of(self, exchange: str, routing_key: str) -> str:
        """Return the queue that such a message goes to; empty when it is none or several."""
        key = exchange, routing_key
        name = self._queues.get(key)
        if name is None:
            from celery import current_app

            queues = current_app.amqp.queues
            if exchange:
                name = reached(queues.values(), exchange, routing_key, is_virtual=is_virtual(current_app))
            else:
                queue = queues.get(routing_key)
                name = routing_key if queue is None else shared_name(queue)
            if len(self._queues) < _MAX_ROUTES:
                self._queues[key] = name
        return name

    def keep_flushing(self) -> None:
        """Start the agent, unless this process has one: a worker's and beat's flush all that it counts."""
        if self._agent is None and not process.has_agent():
            self._agent = Agent(
                kind="producer",
                name=None,
                totals=process.TOTALS,
                faults=process.FAULTS,
                troubles=process.TROUBLES,
                clock=process.CLOCK,
                open_store=_open_store,
                flush_interval=_flush_interval(),
            )
            atexit.register(self._leave, self._agent)
            self._agent.start()

    @staticmethod
    def _leave(agent: Agent) -> None:
        agent.finish(_LEAVE_SECONDS)


def _flush_interval() -> float:
    from celery_health.conf import get_settings

    return get_settings().flush_interval


def _open_store() -> Store | None:
    """Open the store, in the agent's thread: finding the app may import it."""
    from celery_health.celery_app import find_app
    from celery_health.conf import get_settings
    from celery_health.exceptions import ConfigurationError
    from celery_health.store.opening import open_store

    try:
        settings = get_settings()
        return open_store(find_app(settings), settings)
    except ConfigurationError as error:
        logger.warning("Tasks that this process sends are not counted. %s", error)
        return None


_sender = _Sender()


def _begin_anew() -> None:
    global _sender
    _sender = _Sender()


os.register_at_fork(after_in_child=_begin_anew)
