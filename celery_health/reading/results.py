"""Whether results can be stored: the backend asked where it is a Redis of its own, beside the reading."""

from __future__ import annotations

import os
import threading
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

from celery_health.conf import Settings
from celery_health.connections.redis import RedisLink, is_timeout
from celery_health.connections.refusals import QUESTIONS, by_error, by_silence, told_of
from celery_health.connections.urls import is_same_server, redis_cli_of
from celery_health.deadline import Deadline
from celery_health.reading.recorded import Recorded
from celery_health.reading.troubles import stored_results_of
from celery_health.records import BrokerState, ResultsState, SharedServer
from celery_health.reporting.native import start_daemon
from celery_health.store.opening import Place, results_place
from celery_health.text.masking import describe_error, mask

if TYPE_CHECKING:
    from celery import Celery

#: The part of what is left of a reading that it waits for an answer that is not there yet.
WAIT_SHARE: Final = 0.3
MAX_WAIT_SECONDS: Final = 0.5
#: What is tried for ever (``result_backend_always_retry``) raises nothing: old successes prove nothing then.
RETRYING_SECONDS: Final = 180.0
#: No key is called so: kombu's own separator is in no key of Celery's.
KEY: Final = "celery_health.takes_results\x06\x16never"


class ResultsWatch:
    """Asks the result backend of one app, in a thread of its own: a reading never waits for it for long."""

    def __init__(self, app: Celery, settings: Settings) -> None:
        self._app: Any = app
        self._settings = settings
        self._lock = threading.Lock()
        self._link: RedisLink | None = None
        self._asking_pid: int | None = None
        self._done = threading.Event()
        self._answer: ResultsState | None = None

    def begin(self, deadline: Deadline, broker_url: str, store_url: str | None) -> None:
        """Have it asked, unless nobody needs to be, or it is being asked already."""
        known = self._known(broker_url, store_url)
        place = None if known.shared or known.ignored else self._place
        with self._lock:
            if place is None or self._asking_pid == os.getpid():
                return
            if self._link is None or self._asking_pid is not None:  # asked before a fork
                self._link = RedisLink(place.connection)
            self._asking_pid, self._done = os.getpid(), threading.Event()
            link, done = self._link, self._done
        try:
            start_daemon(lambda: self._ask(link, place, known, deadline, done), "celery-health-results")
        except Exception:  # no threads left: not asked
            self._land(None, done)

    def state(
        self, deadline: Deadline, broker: BrokerState, recorded: Recorded, tasks: frozenset[str] | None
    ) -> ResultsState:
        """Return what is known now.

        Args:
            deadline: of the reading; a part of it is waited for the first answer.
            broker: as it was read.
            recorded: what workers say.
            tasks: the project's own; None while they are not known.
        """
        known = self._known(broker.url, recorded.store.url)
        if not known.ignored and tasks is not None and self._all_ignore(tasks):
            known = ResultsState(
                backend=known.backend, url=known.url, ignored="every task ignores its result"
            )
        if known.ignored:
            return known
        answer = self._answered(deadline) if known.is_redis and not known.shared else None
        return self._with_workers(answer or known, recorded, tasks)

    def unasked(self) -> ResultsState | None:
        """Return what is known without asking: that nobody keeps results; None where somebody does."""
        return self._configured if self._configured.ignored else None

    def fault(self) -> str | None:
        """Return that results cannot be stored, in a sentence, as the backend last answered; None else."""
        answer = self._answer
        if answer is None or answer.late or (answer.reachable is not False and not answer.refusal):
            return None
        if answer.refusal:
            return f"The result backend at {answer.url} answers and takes no results: {answer.refusal}."
        why = (answer.error or "no reason is known").rstrip(".")
        return f"The result backend at {answer.url} cannot be reached: {why}."

    def close(self) -> None:
        """Close the connection, unless it is in use: then it closes with its process."""
        with self._lock:
            if self._asking_pid is None and self._link is not None:
                self._link.close()

    # The backend, as it is configured

    def _known(self, broker_url: str, store_url: str | None) -> ResultsState:
        state, place = self._configured, self._place
        if state.backend == "rpc":
            return replace(state, url=broker_url, shared=SharedServer.BROKER)
        if place is not None and is_same_server(place.url, broker_url):
            return replace(state, shared=SharedServer.BROKER)
        if place is not None and is_same_server(place.url, store_url):
            return replace(state, shared=SharedServer.STORE)
        return state

    @cached_property
    def _place(self) -> Place | None:
        return results_place(self._app)

    @cached_property
    def _configured(self) -> ResultsState:
        """Return what the settings say of the backend."""
        given = self._app.conf.result_backend
        text = given if isinstance(given, str) else str(getattr(given, "__name__", None) or given or "")
        kind = text.partition("://")[0]
        if not kind or kind.startswith("disabled"):
            return ResultsState(ignored="no result_backend is set")
        if kind == "rpc":
            return ResultsState(backend="rpc")
        if self._place is not None:
            return ResultsState(backend="redis", url=self._place.url, is_redis=True)
        return ResultsState(backend=mask(kind), url=mask(text) if "://" in text else None)

    def _all_ignore(self, tasks: frozenset[str]) -> bool:
        registry, default = self._app.tasks, bool(self._app.conf.task_ignore_result)
        known = [registry[name] for name in tasks if name in registry]
        return all(bool(task.ignore_result) for task in known) if known else default

    def _ignored_names(self, recorded: Recorded) -> frozenset[str]:
        """Return the tasks, of those that ran lately, whose results nobody keeps."""
        registry, default = self._app.tasks, bool(self._app.conf.task_ignore_result)
        return frozenset(
            name
            for name in recorded.recent or ()
            if (bool(registry[name].ignore_result) if name in registry else default)
        )

    # Asking

    def _answered(self, deadline: Deadline) -> ResultsState | None:
        """Return the last answer; one that fails to come is waited for once, not at each reading."""
        answer = self._answer
        if self._asking_pid != os.getpid() or (answer is not None and not answer.reachable):
            return answer
        self._done.wait(min(deadline.remaining() * WAIT_SHARE, MAX_WAIT_SECONDS))
        # Else it is on the way, and what it said before proves nothing any more.
        return self._answer if self._done.is_set() else None

    def _ask(
        self, link: RedisLink, place: Place, known: ResultsState, deadline: Deadline, done: threading.Event
    ) -> None:
        answer = None
        key, cli = f"{place.key_prefix}{KEY}", redis_cli_of(place.connection)
        try:
            answer = _asked(link, key, cli, known, deadline)
        finally:
            self._land(answer, done)

    def _land(self, answer: ResultsState | None, done: threading.Event) -> None:
        with self._lock:
            if done is self._done:
                self._answer = answer or self._answer
                self._asking_pid = None
        done.set()

    # Workers' words

    def _with_workers(
        self, state: ResultsState, recorded: Recorded, tasks: frozenset[str] | None
    ) -> ResultsState:
        reading = recorded.reading
        if reading is None:
            return state
        seconds = self._settings.limits.recent_seconds
        ignored = None if tasks is None else self._ignored_names(recorded)
        retries = bool(self._app.conf.get("result_backend_always_retry"))
        told = stored_results_of(
            reading, seconds, ignoring=ignored, within_seconds=RETRYING_SECONDS if retries else None
        )
        return replace(state, told=told)


def _asked(link: RedisLink, key: str, cli: str, known: ResultsState, deadline: Deadline) -> ResultsState:
    """Return what a Redis says to a write that writes nothing."""
    from redis.exceptions import RedisError, ResponseError

    try:
        (reply,) = link.call_many([("LPUSHX", key, "")], deadline=deadline)
        # What it says of itself is asked only where it refuses.
        is_refused = isinstance(reply, ResponseError)
        answers = link.call_many(QUESTIONS, deadline=deadline) if is_refused else []
    except (RedisError, OSError, ValueError) as error:
        if is_timeout(error) and (late := link.own_delay()):
            return replace(known, late=f"This process {late}.")
        if link.keeps_waiting:
            silence = by_silence({}, cli)
            return replace(known, reachable=True, refusal=silence.why, fix=silence.fix)
        return replace(known, reachable=False, error=describe_error(error, link.secrets))
    if not is_refused:
        return replace(known, reachable=True)
    refusal = by_error(reply, told_of(answers), cli)
    # Whatever else it says of this one write says nothing of others: a user may be allowed SETEX alone.
    if refusal is None:
        return replace(known, reachable=True)
    fix = refusal.fix.replace("broker_url", "result_backend")
    return replace(known, reachable=True, refusal=refusal.why, fix=fix)
