"""Tasks that this process sends through another Celery app than the watched one, to another broker.

Each app is judged once, when it first sends; what an app of the project's own sends costs one look at an
attribute after that. Counted, and named, are the others: Celery's default app, where something keeps
`current_app` from being the project's, and a second app of the project's.
"""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable, Mapping
from time import monotonic
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from celery_health.reporting.native import allocate_lock

if TYPE_CHECKING:
    from celery import Celery

#: Apps that are told of, and names of tasks of each.
MAX_APPS: Final = 5
MAX_TASKS: Final = 5
#: How long it is told after the last of them.
KEPT_SECONDS: Final = 600.0
#: Between two attempts to learn which app is watched: it may not be made yet.
RETRY_SECONDS: Final = 1.0


class Judged(NamedTuple):
    """How an app stands to the watched one."""

    is_other: bool
    """It sends to another broker."""
    name: str = ""
    broker: str = ""
    """Masked."""
    is_default: bool = False
    """Celery made it, since nobody else had."""
    is_unset: bool = False
    """Nobody said which broker it is to use."""


class Sending:
    """What one app sends in this process."""

    __slots__ = ("_app", "_elsewhere", "_tried", "failed", "is_other", "judged", "last", "sent", "tasks")

    def __init__(self, elsewhere: Elsewhere, app: Any) -> None:
        self._app = weakref.ref(app)
        self._elsewhere = elsewhere
        self._tried = float("-inf")
        self.is_other: bool | None = None
        """None while it is not known which app is watched."""
        self.judged = Judged(False)
        self.forget()

    def forget(self) -> None:
        """Begin anew, as in a fork."""
        self.sent = self.failed = 0
        self.last = 0.0
        self.tasks: dict[str, None] = {}

    @property
    def is_told(self) -> bool:
        """Say whether it may be told of: it goes elsewhere, or that is not known yet."""
        return self.is_other is not False

    def judge(self) -> None:
        """Learn how the app stands to the watched one; raises whatever its settings do."""
        app, now = self._app(), monotonic()
        if self.is_other is not None or app is None or now - self._tried < RETRY_SECONDS:
            return
        self._tried = now
        judged = self._elsewhere.judge(app)
        if judged is not None:
            self.judged, self.is_other = judged, judged.is_other
        self._elsewhere.note(self)

    def count(self, name: str, *, failed: bool) -> None:
        """Count a task that was sent so, or was to be."""
        with self._elsewhere.lock:  # type: ignore[attr-defined]
            self.last = monotonic()
            self.sent += not failed
            self.failed += failed
            if len(self.tasks) < MAX_TASKS:
                self.tasks[name[:500]] = None


class Elsewhere:
    """All that this process sends elsewhere. Safe in threads, in greenlets and after a fork; bounded."""

    def __init__(self, judge: Callable[[Celery], Judged | None] | None = None) -> None:
        self.judge = judge or judged
        self._others: list[Sending] = []
        self._local = threading.local()
        self.forget()

    def forget(self) -> None:
        """Begin anew, as in a fork."""
        self.lock = allocate_lock()
        for one in self._others:
            one.forget()

    def sending_of(self, app: Any) -> Sending:
        """Return what is known of the sending of an app."""
        return Sending(self, app)

    def note(self, sending: Sending) -> None:
        """Keep one that sends elsewhere, or may; drop one that does not."""
        with self.lock:  # type: ignore[attr-defined]
            kept = [one for one in self._others if one is not sending]
            if sending.is_told and len(kept) < MAX_APPS:
                kept.append(sending)
            self._others = kept

    @property
    def is_any(self) -> bool:
        """Say whether any app sends elsewhere, or may."""
        return bool(self._others)

    # Which app a signal is of: the signals of a publication come in the thread that publishes.

    def enter(self) -> None:
        """Note that this thread sends elsewhere now."""
        self._local.inside = True

    def leave(self) -> None:
        """Note that it does so no more."""
        self._local.inside = False

    @property
    def is_inside(self) -> bool:
        """Say whether this thread sends elsewhere now."""
        return bool(self._others) and getattr(self._local, "inside", False)

    def state(self, now: float) -> list[Mapping[str, Any]]:
        """Return what is to be told, as JSON can hold it; raises whatever the settings of an app do."""
        for one in list(self._others):
            one.judge()
        return [
            {
                "app": one.judged.name[:500],
                "broker": one.judged.broker[:500],
                "is_default": one.judged.is_default,
                "is_unset": one.judged.is_unset,
                "sent": one.sent,
                "failed": one.failed,
                "tasks": sorted(one.tasks),
                "seconds": round(now - one.last, 1),
            }
            for one in list(self._others)
            if one.is_other and one.sent + one.failed and now - one.last <= KEPT_SECONDS
        ]


def judged(app: Celery, *, has_agent: bool = False) -> Judged | None:
    """Return how `app` stands to the watched one; None while that is not known. Imports nothing of theirs.

    Args:
        app: one that publishes here.
        has_agent: this process is a worker or beat.
    """
    from celery_health.celery_app import app_name, find_app_if_imported, find_default_app, is_fallback
    from celery_health.connections.addresses import is_unset, place_of, written_to

    # In a worker or beat it is their own app, whatever a setting that it shares with others says.
    watched = find_default_app() if has_agent else find_app_if_imported()
    if watched is None:
        return None
    if app is watched or place_of(app) == place_of(watched):
        return Judged(False)
    is_default = is_fallback(app)
    name = str(app.main) if is_default else app_name(app)
    return Judged(True, name, written_to(app), is_default, is_unset(app))
