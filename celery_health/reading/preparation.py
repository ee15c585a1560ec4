"""Import what a reading needs before its deadline starts: in a thread that nobody has to wait for."""

from __future__ import annotations

import os
import threading
import time
import weakref
from collections.abc import Callable
from contextlib import suppress
from typing import Final

from celery_health.deadline import Deadline
from celery_health.exceptions import LateError
from celery_health.project_code import importing_project
from celery_health.topology.forks import importing

#: How long a command, which answers when it can, waits for all that is imported.
IMPORT_SECONDS: Final = 30.0


class Preparation:
    """Runs one function once, in a thread, and tells those who cannot wait for it since when it runs.

    Over HTTP an answer is due at its deadline. What it raises is raised again where the same is tried in a
    reading, which says so.
    """

    def __init__(self, function: Callable[[], object], *, name: str) -> None:
        self._function = function
        self._name = name
        self._done = threading.Event()
        self._reset()
        _preparations.add(self)

    def _reset(self) -> None:
        self._lock = threading.Lock()
        self._started_at: float | None = None
        if not self._done.is_set():
            self._done = threading.Event()  # its own lock may be held, too

    @property
    def is_done(self) -> bool:
        """Say whether nothing is left to do."""
        return self._done.is_set()

    def wait(self, deadline: Deadline) -> None:
        """Return when it has been done.

        Raises:
            LateError: it is not, within `deadline`.
        """
        if self._done.is_set():
            return
        started_at = self._start()
        if not self._done.wait(deadline.remaining()):
            raise LateError(f"This process is still importing (for {time.monotonic() - started_at:.1f} s).")

    def _start(self) -> float:
        with self._lock:
            if self._started_at is None:
                self._started_at = time.monotonic()
                try:
                    threading.Thread(target=self._run, name=self._name, daemon=True).start()
                except RuntimeError:  # no more threads: whoever reads says so, and imports by itself
                    self._done.set()
            return self._started_at

    def _run(self) -> None:
        try:
            # A library that is missing, options that kombu refuses: see above.
            with suppress(Exception), importing(), importing_project():
                self._function()
        finally:
            self._done.set()


_preparations: weakref.WeakSet[Preparation] = weakref.WeakSet()


def _after_in_child() -> None:
    # The thread went with the fork; the next call starts another.
    for preparation in list(_preparations):
        preparation._reset()


os.register_at_fork(after_in_child=_after_in_child)
