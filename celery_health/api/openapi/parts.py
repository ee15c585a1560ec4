"""The pieces that the shapes of the answers are made of."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from drf_spectacular.settings import spectacular_settings
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse

from celery_health.api.query import DEFAULT_LIMIT, MAX_LIMIT
from celery_health.records import Source

Schema = dict[str, Any]

TAG: Final = "Celery health"


def text(description: str = "", **more: Any) -> Schema:
    """Return the schema of a text."""
    return {"type": "string", **({"description": description} if description else {}), **more}


def one_of(values: Any, description: str = "") -> Schema:
    """Return the schema of an enumeration's values."""
    return text(description, enum=[value.value for value in values])


def number(description: str = "", **more: Any) -> Schema:
    """Return the schema of a number."""
    return {"type": "number", **({"description": description} if description else {}), **more}


def whole(description: str = "", **more: Any) -> Schema:
    """Return the schema of a whole number."""
    return {"type": "integer", **({"description": description} if description else {}), **more}


YES_NO: Final[Schema] = {"type": "boolean"}


def unknown_or(schema: Schema) -> Schema:
    """Return `schema` or null: unknown, or not applicable."""
    # OpenAPI 3.0 has a keyword of its own; from 3.1 on shapes are JSON Schema.
    if not str(spectacular_settings.OAS_VERSION).startswith("3.0"):
        return {"anyOf": [schema, {"type": "null"}]}
    return {**schema, "nullable": True}


def rows(schema: Schema, **more: Any) -> Schema:
    """Return the schema of a list."""
    return {"type": "array", "items": schema, **more}


def by_name(schema: Schema, description: str = "") -> Schema:
    """Return the schema of a dict with names as keys."""
    mapping: Schema = {"type": "object", "additionalProperties": schema}
    return {**mapping, "description": description} if description else mapping


def fields(properties: dict[str, Schema], *, optional: tuple[str, ...] = ()) -> Schema:
    """Return the schema of an object with all of `properties`, save that `optional` ones may be absent."""
    required = [name for name in properties if name not in optional]
    # OpenAPI 3.0 takes no empty list.
    return {"type": "object", "properties": properties, **({"required": required} if required else {})}


ENVELOPE: Final[dict[str, Schema]] = {
    "truncated": {**YES_NO, "description": "There is more than the lists hold."},
    "source": one_of(Source),
    "as_of": text(format="date-time"),
    "age_seconds": number("Age of what was read."),
    "notes": rows(text("Why something is unknown.")),
}
ARGUMENTS: Final[dict[str, Schema]] = {"args": unknown_or(text()), "kwargs": unknown_or(text())}
ERROR: Final = fields(
    {
        "error": text("What is wrong, and how to put it right."),
        "parameter": text(),
        "value": text(),
        "fix": text(),
    },
    optional=("parameter", "value", "fix"),
)


#: A text that is refused when it is empty.
FILLED: Final[Schema] = {"minLength": 1}


def parameter(name: str, description: str, **more: Any) -> OpenApiParameter:
    """Return a query parameter; without a `type`, one with a text that is not empty."""
    return OpenApiParameter(name, **{"type": text(**FILLED), "description": description, **more})


def limit(default: int, description: str) -> OpenApiParameter:
    """Return the parameter that bounds a list."""
    # Not type and default apart: a shape of one's own has its default inside.
    return parameter("limit", description, type=whole(minimum=1, maximum=MAX_LIMIT, default=default))


_NAMES: Final = rows(text(**FILLED))
WORKER: Final = parameter("worker", "Host name of a worker.", type=_NAMES)
TASK: Final = parameter("task", "Name of a task.", type=_NAMES)
QUEUE: Final = parameter("queue", "Name of a queue.", type=_NAMES)
STRICT: Final = parameter("strict", "Answer 503 also when degraded.", type=OpenApiTypes.BOOL, default=False)
LIMIT: Final = limit(DEFAULT_LIMIT, f"Rows per list, at most {MAX_LIMIT}.")


def operation(
    name: str,
    schema: Schema,
    summary: str,
    parameters: list[OpenApiParameter],
    responses: Mapping[int, OpenApiResponse] | None = None,
) -> dict[str, Any]:
    """Return the arguments of ``extend_schema`` for one resource that is read; `responses` adds to them."""
    answers = {200: OpenApiResponse(schema, description="The answer.")}
    errors = {400: "A query parameter is wrong.", 500: "celery_health is not configured rightly."}
    return {
        "operation_id": f"celery_{name}",
        "summary": summary,
        "tags": [TAG],
        "parameters": parameters,
        "responses": {
            **answers,
            **{status: OpenApiResponse(ERROR, description=why) for status, why in errors.items()},
            **(responses or {}),
        },
    }
