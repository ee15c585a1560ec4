"""What this process could not write: tasks not sent, connections that are blocked, results not stored.

How often is counted among the totals. This is what people need beside a number: the last error in words, and
what lasts at this moment. Kept in memory until the agent has handed it on.
"""

from __future__ import annotations

import os
import socket
import weakref
from collections.abc import Mapping
from time import monotonic
from typing import Any, Final

from kombu.exceptions import SerializationError

from celery_health.reporting.elsewhere import Elsewhere
from celery_health.reporting.native import allocate_lock
from celery_health.reporting.totals import Totals
from celery_health.text.masking import mask

#: A publication that has not ended for this long hangs.
HANGING_SECONDS: Final = 5.0
#: How long the last error is told.
ERROR_SECONDS: Final = 600.0
#: How often a trouble that lasts is told again.
REPEAT_SECONDS: Final = 5.0
#: Task names in one report.
MAX_TASKS: Final = 5
#: Characters of an error.
MAX_ERROR: Final = 200
#: Connections that may be blocked at once, in one process; this only bounds a mistake.
MAX_CONNECTIONS: Final = 100

_NONE: Final = object()
#: What the caller did wrong, before the broker was asked.
_MISTAKES: Final = (
    SerializationError, LookupError, TypeError, ValueError, AttributeError, AssertionError, ArithmeticError,
    NameError, ImportError, RecursionError, MemoryError,
)  # fmt: skip


class Call:
    """One publication under way."""

    __slots__ = ("began", "name")

    def __init__(self, name: str, began: float) -> None:
        self.name = name
        self.began = began


class Hearing:
    """What RabbitMQ says on one connection of py-amqp's: called in the thread that reads it. Never raises.

    Put in the place of the connection's own callback, which is called as before.
    """

    __slots__ = ("_before", "_before_unblocked", "_troubles", "connection", "is_read", "since", "touched")

    def __init__(self, troubles: Troubles, connection: Any, *, is_read: bool) -> None:
        """Take over an open connection.

        `is_read`: somebody reads it all the time, so that what it says is never old.
        """
        self._troubles = troubles
        self._before = connection.on_blocked
        self._before_unblocked = connection.on_unblocked
        self.connection = weakref.ref(connection)
        self.is_read = is_read
        self.since: float | None = None
        self.touched = monotonic()
        """When the connection was last written to, and so read."""

    def __call__(self, *reason: Any) -> Any:
        """Note that the connection is blocked."""
        self.since = self.since or monotonic()
        self._troubles.note_blocked(self)
        return self._before(*reason) if self._before else None

    def unblocked(self, *args: Any) -> Any:
        """Note that it is not any more."""
        self.since = None
        return self._before_unblocked(*args) if self._before_unblocked else None

    @property
    def is_blocked(self) -> bool:
        """Say whether it is, as far as it was told; a connection that is gone is not."""
        connection = self.connection()
        return self.since is not None and connection is not None and bool(connection.connected)


class Troubles:
    """The troubles of one process. Safe in threads, in greenlets and after a fork; bounded."""

    def __init__(self, totals: Totals, elsewhere: Elsewhere | None = None) -> None:
        self._totals = totals
        self._elsewhere = elsewhere or Elsewhere()
        self._register()
        self._forget()

    def _forget(self) -> None:
        self._lock = allocate_lock()
        self._elsewhere.forget()
        self._calls: dict[int, Call] = {}
        self._hearings: dict[int, Hearing] = {}
        self._refused: dict[str, Any] | None = None
        self._unstored: dict[str, Any] | None = None
        self._told: tuple[object, ...] = ()
        self._told_at = 0.0
        self._told_counts: tuple[int, ...] = ()

    # Where tasks are sent: every call counts

    def begin(self, name: str) -> Call:
        """Note a publication that begins."""
        call = Call(name, monotonic())
        self._calls[id(call)] = call
        return call

    def end(self, call: Call) -> None:
        """Note that it has ended, one way or the other."""
        self._calls.pop(id(call), None)

    def failed(self, name: str, error: BaseException) -> None:
        """Count a task that was not sent, and remember why where its broker is to blame."""
        exception = type(error).__name__
        refused = is_refusal(error)
        self._totals.unsent(name, exception, is_refused=refused)
        if refused:
            self._refused = self._remember(self._refused, name, exception, error)

    def unstored(self, name: str, exception: str, error: BaseException) -> None:
        """Count a result that the backend did not take."""
        self._totals.unstored(name, exception)
        self._unstored = self._remember(self._unstored, name, exception, error)

    def _remember(
        self, last: dict[str, Any] | None, name: str, exception: str, error: BaseException
    ) -> dict[str, Any]:
        now = monotonic()
        # The words are made at most once a second: masking takes a while, and errors come in floods.
        if last is not None and now - last["at"] < 1.0 and last["exception"] == exception:
            return last
        return {"at": now, "task": name[:500], "exception": exception, "error": words_of(error)}

    # Connections

    def listen(self, connection: Any, *, is_read: bool = False) -> None:
        """Hear what RabbitMQ says on an open connection of py-amqp's; others are left alone.

        Again on the same connection, it notes that it is being written to.
        """
        callback = getattr(connection, "on_blocked", _NONE)
        if callback is _NONE:
            return
        if callback.__class__ is Hearing:
            callback.touched = monotonic()
            return
        hearing = Hearing(self, connection, is_read=is_read)
        connection.on_blocked, connection.on_unblocked = hearing, hearing.unblocked

    def note_blocked(self, hearing: Hearing) -> None:
        """Note a connection that is blocked."""
        with self._lock:  # type: ignore[attr-defined]
            for key, one in list(self._hearings.items()):
                if not one.is_blocked:
                    del self._hearings[key]
            if len(self._hearings) < MAX_CONNECTIONS:
                self._hearings[id(hearing)] = hearing

    # In the agent's thread

    def due(self, now: float) -> Mapping[str, Any] | None:
        """Return what is to be told now: an empty mapping once all is over; None for nothing."""
        has_some = self._calls or self._hearings or self._refused or self._unstored
        if not (has_some or self._told or self._elsewhere.is_any):
            return None
        state = self._state(now)
        shape = _shape(state)
        lasts = "blocked" in state or "hanging" in state or _counts(state) != self._told_counts
        if shape == self._told and not (lasts and now - self._told_at >= REPEAT_SECONDS):
            return None
        return state

    def told(self, state: Mapping[str, Any], now: float) -> None:
        """Note that the store has taken this."""
        self._told, self._told_at, self._told_counts = _shape(state), now, _counts(state)

    def _state(self, now: float) -> dict[str, Any]:
        state: dict[str, Any] = {}
        hanging = [call for call in list(self._calls.values()) if now - call.began >= HANGING_SECONDS]
        if hanging:
            state["hanging"] = {
                "count": len(hanging),
                "seconds": round(now - min(call.began for call in hanging), 1),
                "tasks": sorted({call.name[:500] for call in hanging})[:MAX_TASKS],
            }
        blocked = [one for one in list(self._hearings.values()) if one.is_blocked]
        if blocked:
            state["blocked"] = {
                "seconds": round(now - min(one.since or now for one in blocked), 1),
                # Who does not write does not read either, and would not hear that it is over.
                "quiet_seconds": min(0.0 if one.is_read else round(now - one.touched, 1) for one in blocked),
            }
        self._refused = _unless_old(self._refused, now)
        self._unstored = _unless_old(self._unstored, now)
        for name, last in (("refused", self._refused), ("unstored", self._unstored)):
            if last is not None:
                shown = {key: value for key, value in last.items() if key != "at"}
                state[name] = {**shown, "seconds": round(now - last["at"], 1)}
        if elsewhere := self._elsewhere.state(now):
            state["elsewhere"] = elsewhere
        if state:
            state.update(pid=os.getpid(), host=socket.gethostname())
        return state

    _hooked = False
    _living: weakref.WeakSet[Troubles] = weakref.WeakSet()

    def _register(self) -> None:
        """Have this forget what it holds in every process forked from this one."""
        Troubles._living.add(self)
        if not Troubles._hooked:
            Troubles._hooked = True
            os.register_at_fork(after_in_child=_forget_all)


def _forget_all() -> None:
    for troubles in tuple(Troubles._living):
        troubles._forget()


def is_refusal(error: BaseException) -> bool:
    """Say whether a publication failed by the broker, or the way to it, and not by its caller's mistake."""
    # A certificate that does not fit is both an OSError and a ValueError.
    return isinstance(error, OSError) or not isinstance(error, _MISTAKES)


def words_of(error: BaseException) -> str:
    """Return the first line of an error's text, masked: what follows may hold a statement with its values.

    Of one that says nothing, that of its cause.
    """
    text = str(error).partition("\n")[0].partition("[SQL:")[0].partition("[parameters:")[0]
    if not text.strip() and (cause := error.__cause__ or error.__context__) is not None:
        # As of a message that RabbitMQ does not confirm: it has no words, and kombu wraps it.
        text = f"{type(cause).__name__} {cause}"
    return mask(" ".join(text.split())[:MAX_ERROR])


def _unless_old(last: dict[str, Any] | None, now: float) -> dict[str, Any] | None:
    return None if last is None or now - last["at"] > ERROR_SECONDS else last


def _shape(state: Mapping[str, Any]) -> tuple[object, ...]:
    """Return what of a state makes it another one: not how long it has lasted."""
    errors = [
        (name, state[name]["error"], state[name]["task"]) for name in ("refused", "unstored") if name in state
    ]
    apps = [(one["app"], one["broker"], tuple(one["tasks"])) for one in state.get("elsewhere", ())]
    return (*(name for name in ("blocked", "hanging") if name in state), *errors, *apps)


def _counts(state: Mapping[str, Any]) -> tuple[int, ...]:
    """Return how much was sent elsewhere: it grows all the time, and is told now and then."""
    return tuple(one["sent"] + one["failed"] for one in state.get("elsewhere", ()))
