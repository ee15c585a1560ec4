"""What every answer has in common, and how an error becomes one. No Django REST framework here."""

from __future__ import annotations

import logging
from functools import lru_cache
from http import HTTPStatus
from typing import Any, Final

from django.http.response import HttpResponseBase

from celery_health.api.query import BadParameter
from celery_health.dead_letters.body import requeued_body
from celery_health.exceptions import (
    CeleryHealthError,
    ConfigurationError,
    LetterNotFoundError,
    NotConsumedError,
    UnsupportedError,
)
from celery_health.text.masking import mask

logger = logging.getLogger("celery_health.api")

CACHE_CONTROL: Final = "no-store"
HIDDEN_CONFIGURATION_ERROR: Final = "celery_health is not configured rightly: the server's log says how to."
HIDDEN_ERROR: Final = "celery_health cannot answer."
_STATUSES: Final = (
    (LetterNotFoundError, HTTPStatus.NOT_FOUND),
    (NotConsumedError, HTTPStatus.CONFLICT),
    (UnsupportedError, HTTPStatus.NOT_IMPLEMENTED),
)
_OTHERS: Final = HTTPStatus.SERVICE_UNAVAILABLE


def error_body(error: CeleryHealthError, *, details: bool = True) -> tuple[HTTPStatus, dict[str, Any]]:
    """Return the status and JSON body that `error` is answered with.

    A bad parameter or body is what its class says (mostly 400), a letter that is not there 404, a queue that
    nobody consumes 409, what the transport cannot do 501, wrong settings are 500, all else 503. Without
    `details`, for callers who may not see them, the text says only which of these it is.
    """
    if isinstance(error, BadParameter):
        body = {"error": str(error), "parameter": error.parameter, "value": error.value, "fix": error.fix}
        return error.status, body
    text = mask(error)
    if isinstance(error, ConfigurationError):
        _log_once(text)
        return HTTPStatus.INTERNAL_SERVER_ERROR, {"error": text if details else HIDDEN_CONFIGURATION_ERROR}
    status = next((status for kind, status in _STATUSES if isinstance(error, kind)), _OTHERS)
    body = {"error": text if details else HIDDEN_ERROR}
    done = getattr(error, "done", None)
    return status, body if done is None else {**body, "done": requeued_body(done)}


@lru_cache(maxsize=32)
def _log_once(text: str) -> None:
    """Log a configuration error the first time a process meets it: a monitor asks every few seconds."""
    logger.error("%s", text)


def finish(response: HttpResponseBase) -> None:
    """Keep caches from keeping `response`, and Django from logging it as a failure of this server."""
    response["Cache-Control"] = CACHE_CONTROL
    if response.status_code >= HTTPStatus.INTERNAL_SERVER_ERROR:
        # Django logs every 5xx as an error (django/utils/log.py, log_response), and so mails ADMINS at each
        # poll of a monitor. The answer is what was asked for; who polls it raises the alarm.
        response._has_been_logged = True  # type: ignore[attr-defined]
