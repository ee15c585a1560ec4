"""``live/`` and ``ready/``, for the probes of web pods: no authentication, session, database or DRF."""

from __future__ import annotations

import time
from http import HTTPStatus
from typing import Any, Final

from django.contrib.auth.decorators import login_not_required
from django.db import transaction
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.views.decorators.http import require_safe

from celery_health.api.answers import error_body, finish
from celery_health.api.query import BadParameter, Query
from celery_health.conf import details_are_public, get_settings
from celery_health.deadline import Deadline
from celery_health.exceptions import (
    BrokerError,
    CeleryHealthError,
    ConfigurationError,
    DeadlineExceeded,
    LateError,
    RefusedError,
    UnsupportedError,
)
from celery_health.health import get_report
from celery_health.reading import check_broker, results_fault
from celery_health.records import Status

#: The part of DEADLINE that asking may use; the rest is for answering.
ASKING_SHARE: Final = 0.95
HIDDEN_UNASKED: Final = "The broker cannot be asked."
HIDDEN_RESULTS: Final = "Results cannot be stored."
HIDDEN_UNKNOWN: Final = "Whether the broker answers is not known."


def _answer(body: dict[str, Any], status: HTTPStatus = HTTPStatus.OK) -> HttpResponse:
    response = JsonResponse(body, status=status)
    finish(response)
    return response


# Outside transactions: ATOMIC_REQUESTS would open the database for a view that has no use for it.
@login_not_required
@transaction.non_atomic_requests
@require_safe
def live(request: HttpRequest) -> HttpResponse:
    """Answer 200 if this process can answer at all. No I/O: the one path for a web pod's liveness probe."""
    return _answer({"status": "alive"})


@login_not_required
@transaction.non_atomic_requests
@require_safe
def ready(request: HttpRequest) -> HttpResponse:
    """Answer 200 if the broker answers and takes messages, else 503; ``?strict=1`` also needs `healthy`."""
    details = details_are_public()
    notes: dict[str, Any] = {}
    try:
        settings = get_settings()
        strict = Query(request.GET, ["strict"]).flag("strict")
        deadline = _deadline(settings.deadline)
        notes = _check_broker(deadline, details)
        refusal = _strict_refusal(deadline, details) if strict else None
    except (BadParameter, ConfigurationError) as error:
        status, body = error_body(error, details=details)
        return _answer(body, status)
    except CeleryHealthError as error:
        refusal = _broker_refusal(error, details)
    if refusal is None:
        return _answer({"status": "ready", **notes})
    return _answer({"status": "not_ready", **refusal}, HTTPStatus.SERVICE_UNAVAILABLE)


def _deadline(seconds: float) -> Deadline:
    """Return a deadline that leaves time to answer within `seconds`, and names them in messages."""
    return Deadline(expires_at=time.monotonic() + seconds * ASKING_SHARE, budget_seconds=seconds)


def _check_broker(deadline: Deadline, details: bool) -> dict[str, Any]:
    """Ask the broker. One that cannot be asked keeps no pod from being ready for ever: the body says so.

    Results that cannot be stored are said there, too: to send a task without one works.

    Nor does a process that was late itself: it is importing, or got no processor, and that proves nothing.
    """
    try:
        check_broker(deadline)
    except UnsupportedError as error:
        return {"notes": [str(error) if details else HIDDEN_UNASKED]}
    except LateError as error:  # as long as nothing is proven, it stays what it was
        text = f"Whether the broker answers is not known. {error}"
        return {"notes": [text if details else HIDDEN_UNKNOWN]}
    fault = results_fault()
    return {"notes": [fault if details else HIDDEN_RESULTS]} if fault else {}


def _broker_refusal(error: CeleryHealthError, details: bool) -> dict[str, Any]:
    if details:
        return error_body(error)[1]
    if isinstance(error, RefusedError):
        return {"error": "The broker refuses writes."}
    late = isinstance(error, BrokerError | DeadlineExceeded)
    return {"error": "The broker did not answer."} if late else error_body(error, details=False)[1]


def _strict_refusal(deadline: Deadline, details: bool) -> dict[str, Any] | None:
    """Return what keeps a strict probe from being ready; None when the verdict is `healthy`."""
    report = get_report(deadline)
    if report.status is Status.HEALTHY or (report.status is Status.DEGRADED and report.snapshot.broker.late):
        return None
    body: dict[str, Any] = {
        "error": f"The verdict is {report.status.value!r}; strict needs {Status.HEALTHY.value!r}.",
        "verdict": report.status.value,
    }
    if details:
        body["recommendations"] = list(report.recommendations)
    return body
