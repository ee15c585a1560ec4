"""The shape of ``doctor/``."""

from __future__ import annotations

from typing import Final

from drf_spectacular.utils import OpenApiResponse

from celery_health.api.openapi.parts import (
    ENVELOPE,
    ERROR,
    YES_NO,
    fields,
    one_of,
    operation,
    rows,
    text,
    unknown_or,
    whole,
)
from celery_health.doctor.findings import Kind, Scope, Severity

_SUBJECT: Final = fields({"kind": one_of(Kind), "name": text()})
FINDING: Final = fields(
    {
        "code": text("Stable: `E101`."),
        "rule": text("Stable: `beat-task-unregistered`."),
        "severity": one_of(Severity),
        "subject": _SUBJECT,
        "message": text("What is wrong, in one sentence."),
        "evidence": {"type": "object", "description": "What proves it; its fields are those of the rule."},
        "fix": text("What to do, with text to paste."),
        "docs": text("The rule's page and anchor."),
        "because": unknown_or(fields({"code": text(), "subject": _SUBJECT})),
    }
)
DOCTOR: Final = fields(
    {
        "findings": rows(FINDING),
        "counts": fields({severity.value: whole() for severity in Severity}),
        "silenced": whole("Findings that `SILENCED` leaves out."),
        "scope": one_of(Scope),
        "answered": {**YES_NO, "description": "False when broker or workers could not be asked."},
        "as_of": ENVELOPE["as_of"],
        "notes": rows(text("What could not be looked at, and why.")),
    }
)

OPERATION: Final = operation(
    "doctor",
    DOCTOR,
    "What fails silently, with proof and fix",
    [],
    responses={503: OpenApiResponse(ERROR, description="The look took too long.")},
)
