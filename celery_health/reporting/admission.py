"""Which values of a label one process tells apart: the first that come, up to a cap. The rest is "other"."""

from __future__ import annotations

from _thread import RLock
from typing import Final

from celery_health import counters
from celery_health.counters import MAX_LABEL_LENGTH, MAX_NAME_LENGTH, OTHER, clean, encode

#: Task names, queue names and exception classes that one process tells apart. What is over becomes "other".
MAX_NAMES: Final = 500
#: Names that no task has get a table of their own: a flood of them must not push real names out.
MAX_UNKNOWN: Final = 100
MAX_QUEUES: Final = 500
MAX_EXCEPTIONS: Final = 100
#: Label values of any other family, such as the places of internal errors.
MAX_OTHERS: Final = 100

_CAPS: Final = {
    "name": MAX_NAMES, "unknown": MAX_UNKNOWN, "queue": MAX_QUEUES, "exception": MAX_EXCEPTIONS,
}  # fmt: skip
#: Characters of a value, by label.
_LENGTHS: Final = dict.fromkeys(("name", "queue", "exception"), MAX_NAME_LENGTH)
#: What metrics call a label where its family calls it otherwise.
_SHOWN_AS: Final = {"queue": "queue_name"}


class Admission:
    """The values that are known, and the lock under which they and all that is rare are counted."""

    def __init__(self) -> None:
        # The interpreter's own lock, which gevent leaves alone; reentrant, since a finaliser or signal
        # handler that runs while it is held may send a task, and must not hang.
        self.lock = RLock()
        self._known: dict[str, set[str]] = {}
        self._overflows: set[str] = set()
        self._counts: dict[str, int] = {}

    def admit(self, label: str, value: str, *, table: str | None = None) -> str:
        """Return the value to count under: cleaned, or "other" over the cap. The caller holds the lock.

        `table` names the values that share a cap; by default those of the same label.
        """
        table = table or label
        value = clean(value, _LENGTHS.get(label, MAX_LABEL_LENGTH))
        known = self._known.setdefault(table, set())
        if value in known or value == OTHER:
            return value
        if len(known) >= _CAPS.get(table, MAX_OTHERS):
            self.refuse(label)
            return OTHER
        known.add(value)
        return value

    def refuse(self, label: str) -> None:
        """Note and count a value that becomes "other". The caller holds the lock."""
        label = _SHOWN_AS.get(label, label)
        self._overflows.add(label)
        field = encode(counters.LABEL_OVERFLOW, (label,))
        self._counts[field] = self._counts.get(field, 0) + 1

    def drain(self) -> dict[str, int]:
        """Return how many values were refused since the last drain, by field. The caller holds the lock."""
        counted, self._counts = self._counts, {}
        return counted

    def overflowed(self) -> set[str]:
        """Return the labels of which values were refused since this was last asked."""
        if not self._overflows:
            return self._overflows
        with self.lock:
            found, self._overflows = self._overflows, set()
        return found

    def forget(self) -> None:
        """Start with a new lock and nothing refused, in a process just forked; what is known stays so."""
        self.lock = RLock()
        self._overflows, self._counts = set(), {}
