"""The one remote control command that we add to a worker: its whole record, for readers without a store."""

from __future__ import annotations

from typing import Any

from celery.worker.control import inspect_command

from celery_health.headers import REPORT_COMMAND
from celery_health.worker.recorder import Recorder


def register(recorder: Recorder) -> None:
    """Have the worker answer `REPORT_COMMAND` with the record of `recorder`, and its registered task names.

    Celery keeps one registry of commands per process (``celery.worker.control.Panel``), which the mailbox
    reads at each call: a second registration replaces the first.
    """

    def report(state: Any, **kwargs: Any) -> dict[str, Any]:
        return {**recorder.record(), "registered": sorted(state.app.tasks)}

    inspect_command(name=REPORT_COMMAND, help="The whole state of this worker, for celery_health.")(report)
