"""The shape of ``health/``."""

from __future__ import annotations

from typing import Final

from drf_spectacular.utils import OpenApiResponse

from celery_health.api.openapi.parts import (
    ENVELOPE,
    STRICT,
    YES_NO,
    by_name,
    fields,
    number,
    one_of,
    operation,
    rows,
    text,
    unknown_or,
    whole,
)
from celery_health.records import CheckStatus, Status

CHECK: Final = fields(
    {
        "id": text("Stable: `queues.depth`."),
        "status": one_of(CheckStatus),
        "subject": unknown_or(text("The queue, worker, task or entry.")),
        "observed": unknown_or({"oneOf": [{"type": "number"}, {"type": "string"}]}),
        "limit": unknown_or(number()),
        "unit": unknown_or(text()),
        "message": text(),
        "recommendation": unknown_or(text("What to do.")),
        "because": unknown_or(text("The id of the check whose fault or lack explains this one.")),
    },
    optional=("subject", "observed", "limit", "unit", "message", "recommendation", "because"),
)
HEALTH: Final = fields(
    {
        "status": one_of(Status),
        "workers": fields(
            {
                "healthy": unknown_or(YES_NO),
                "active_workers": rows(text()),
                "worker_count": whole(),
                "error": text("There when no worker answers."),
            },
            optional=("error",),
        ),
        "queues": by_name(whole(), "Ready tasks by queue; -1 where the depth could not be read."),
        "recommendations": rows(text()),
        "checks": rows(CHECK),
        "notes": rows(text("What is not watched, or was skipped, and why.")),
        "source": ENVELOPE["source"],
        "as_of": ENVELOPE["as_of"],
        "age_seconds": ENVELOPE["age_seconds"],
    },
    # Under HEALTH_DETAILS = "staff" anonymous callers see the states alone.
    optional=("workers", "queues", "recommendations", "notes", "source", "as_of", "age_seconds"),
)

OPERATION: Final = operation(
    "health",
    HEALTH,
    "Whether Celery works",
    [STRICT],
    responses={503: OpenApiResponse(HEALTH, description="Unhealthy; under strict also degraded.")},
)
