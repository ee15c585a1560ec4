"""Whether the broker is to blame when a process stands still: asked only then, in a thread of its own.

A main thread that waits for its broker hangs in the same ``recv`` whether the broker is away or a firewall
has forgotten the one connection. Restarting helps against the second, and does harm in the first: so a
process that stands still is at fault only from when the broker is known to answer others.
"""

from __future__ import annotations

from time import monotonic
from typing import Any, Final

from celery_health.brokers import open_broker
from celery_health.deadline import Deadline
from celery_health.exceptions import CeleryHealthError
from celery_health.reporting.faults import Faults
from celery_health.reporting.native import Bell, start_daemon

#: How long a process may stand still before the broker is asked.
ASK_AFTER_SECONDS: Final = 4.0
#: How often it is asked then, and how long it may take.
ASK_EVERY_SECONDS: Final = 5.0
DEADLINE_SECONDS: Final = 2.0


class BrokerWatch:
    """Asks the broker for one process. `blameless_since` belongs to one thread, and never waits."""

    def __init__(self, app: Any, faults: Faults) -> None:
        self._app = app
        self._faults = faults
        self._answers_since: float | None = None
        self._wanted = False
        self._asking = False
        self._bell = Bell()

    def blameless_since(self, still_since: float) -> float | None:
        """Return since when a process stands still that not the broker keeps waiting.

        `still_since`: when it last moved. None while the broker does not answer, or has not been asked yet,
        or cannot be: then nobody knows whose fault it is. Stamps are ``time.monotonic`` seconds.
        """
        if not self._wanted:
            self._answers_since = None
            self._wanted = True
        if not self._asking:
            self._asking = True
            try:
                start_daemon(self._ask, "celery_health-broker")
            except Exception as error:  # no threads left: nobody knows
                self._asking = False
                self._faults.caught("broker_watch.start", error)
        answers_since = self._answers_since
        return None if answers_since is None else max(still_since, answers_since)

    def forget(self) -> None:
        """Ask no more: the process moves again, or ends."""
        if self._wanted:
            self._wanted = False
            self._bell.ring()

    def _ask(self) -> None:
        try:
            while self._wanted:
                self._note(self._answers())
                self._bell.wait(ASK_EVERY_SECONDS)
        finally:
            self._asking = False

    def _note(self, answers: bool) -> None:
        if not answers:
            self._answers_since = None
        elif self._answers_since is None:
            self._answers_since = monotonic()

    def _answers(self) -> bool:
        try:
            broker = open_broker(self._app, DEADLINE_SECONDS)
            try:
                broker.ping(Deadline.after(DEADLINE_SECONDS))
            finally:
                broker.close()
        except CeleryHealthError:
            return False
        except Exception as error:
            self._faults.caught("broker_watch.ask", error)
            return False
        return True


def is_late(stamp: float | None, now: float) -> bool:
    """Say whether what last moved at `stamp` has stood still for so long that the broker is to be asked."""
    return stamp is not None and now - stamp > ASK_AFTER_SECONDS
