"""What ends a worker that was not told to end, as its own process sees it.

SIGKILL leaves no trace here: only who killed it can say why.
"""

from __future__ import annotations

import sys
from typing import Any, Final

from celery.exceptions import WorkerShutdown, WorkerTerminate

from celery_health.connections.urls import secrets_of
from celery_health.text.masking import describe_error
from celery_health.worker.misread import misread

#: An error of RabbitMQ names queue, argument and both values in some 250 characters.
MAX_CHARACTERS: Final = 400
#: What is kept of one that is explained by the message that led to it.
_MAX_ERROR: Final = 150


def crash() -> BaseException | None:
    """Return the error that is ending the worker just now; None for an end that somebody asked for.

    WorkController.start() stops the worker in its handler of whatever ended it, which it does not raise
    again. Not to be asked in a signal handler: it runs in the middle of anything, a task's own ``except``
    block included.
    """
    error = sys.exc_info()[1]
    if isinstance(error, Exception):
        return error
    if not isinstance(error, SystemExit) or error.code in (None, 0):
        return None
    # Raised with a cause where Celery gives up (broker_connection_retry off), else because somebody asked.
    if isinstance(error, WorkerShutdown | WorkerTerminate) and error.__cause__ is None:
        return None
    return error


def cause_of(error: BaseException, app: Any) -> str:
    """Return what people are to read of an error: one line, masked and bounded."""
    if isinstance(error, SystemExit) and error.__cause__ is not None:
        error = error.__cause__
    try:
        secrets = secrets_of(app.connection_for_read())
    except Exception:  # a broker_url that is none
        secrets = ()
    text = describe_error(error, secrets)
    try:
        taken = misread(error, app.tasks.__contains__)
    except Exception:  # a traceback of somebody else's making
        taken = None
    if taken is not None:
        text = f"{text[:_MAX_ERROR]}. {taken}"
    return text if len(text) <= MAX_CHARACTERS else f"{text[: MAX_CHARACTERS - 3]}..."


def unhandled() -> BaseException | None:
    """Return the error that ended this program, which its interpreter has just printed; None for none."""
    error = getattr(sys, "last_exc", None) or getattr(sys, "last_value", None)
    # Ctrl-C is no fault.
    if not isinstance(error, Exception) or hasattr(sys, "ps1") or error.__traceback__ is None:
        return None
    # Test runners and shells leave there what they have handled: it began in them.
    outermost = error.__traceback__.tb_frame.f_globals.get("__name__")
    return error if outermost in ("__main__", "runpy") else None


def worker_in(error: BaseException) -> Any:
    """Return the WorkController that was being made when `error` was raised; None for none."""
    from celery.worker import WorkController

    found, step = None, error.__traceback__
    while step is not None:
        holder = step.tb_frame.f_locals.get("self")
        found = holder if isinstance(holder, WorkController) else found
        step = step.tb_next
    return found
