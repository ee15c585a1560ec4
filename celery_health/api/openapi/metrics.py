"""The shape of ``metrics/``."""

from __future__ import annotations

from typing import Any, Final

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiResponse

from celery_health.api.openapi.parts import ERROR, TAG

_FORMATS: Final = ("text/plain", "application/openmetrics-text")

OPERATION: Final[dict[str, Any]] = {
    "operation_id": "celery_metrics",
    "summary": "Metrics for Prometheus",
    "tags": [TAG],
    "responses": {
        **{(200, media): OpenApiResponse(OpenApiTypes.STR, description="The metrics.") for media in _FORMATS},
        500: OpenApiResponse(ERROR, description="celery_health is not configured rightly."),
    },
}
