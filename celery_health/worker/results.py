"""Results that the backend did not take, as the worker's main process learns of it.

Results are stored where the task runs. From a pool's child the exception comes back as the task's own would,
but past the tracer (celery/app/trace.py), which by then has tried the backend twice: its traceback shows the
call of the backend. In pools without children Celery sends ``task_internal_error`` in this process. A backend
that is told to retry for ever (``result_backend_always_retry``) raises nothing: of that nobody hears.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from billiard.einfo import ExceptionWithTraceback  # type: ignore[attr-defined]
from billiard.process import current_process
from celery.signals import task_internal_error
from celery.utils.serialization import UnpickleableExceptionWrapper

from celery_health.reporting.faults import Faults
from celery_health.reporting.troubles import Troubles

#: Where Celery calls a backend, whoever wrote it: celery/backends/base.py and its subclasses.
_BACKENDS: Final = "celery.backends."
_STORING: Final = ("mark_as_done", "mark_as_failure", "mark_as_retry", "store_result", "on_chord_part_return")
_TRACER: Final = "trace_task"
_MAX_FRAMES: Final = 200


def is_unstored(tb: Any) -> bool:
    """Say whether the outermost call below the tracer that raised was one to store a result.

    `tb`: a traceback, or billiard's copy of one.
    """
    for module, function in _frames(tb):
        if module.startswith(_BACKENDS) and function in _STORING:
            return True
        if function == "__protected_call__":  # the task itself
            return False
    return False


def note(troubles: Troubles, name: str, error: Any) -> None:
    """Count a result of the task `name` that could not be stored."""
    error = error.exc if isinstance(error, ExceptionWithTraceback) else error
    kind = type(error).__name__
    if isinstance(error, UnpickleableExceptionWrapper):  # the original could not leave the child
        kind = str(error.exc_cls_name)
    troubles.unstored(name, kind, error)


def watch_results(troubles: Troubles, faults: Faults) -> None:
    """Hear of results that could not be stored by tasks which run in this process."""

    def on_internal_error(
        sender: Any = None, exception: Any = None, traceback: Any = None, **kw: Any
    ) -> None:
        try:
            # A child has nobody to tell; what it raises comes to its parent.
            if "PoolWorker" not in str(current_process().name) and is_unstored(traceback):
                note(troubles, str(sender.name), exception)
        except Exception as error:
            faults.caught("results.internal_error", error)

    task_internal_error.connect(on_internal_error, weak=False, dispatch_uid="celery_health.results")


def _frames(tb: Any) -> Iterator[tuple[str, str]]:
    for _ in range(_MAX_FRAMES):
        if tb is None:
            return
        frame = tb.tb_frame
        yield str(frame.f_globals.get("__name__")), frame.f_code.co_name
        tb = tb.tb_next
