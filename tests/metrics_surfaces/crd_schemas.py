"""What the custom resources of the manifests may hold, for want of a package that carries their schemas.

Written from the operators' documentation, and only as much as the manifests use: whatever else stands in one
is an error, so that a field that is misspelt or in the wrong place is found.
https://prometheus-operator.dev/docs/api-reference/api/ and https://keda.sh/docs/latest/reference/
"""

from __future__ import annotations

from typing import Any

TEXT = {"type": "string", "minLength": 1}
#: As Prometheus writes a duration.
DURATION = {"type": "string", "pattern": r"^([0-9]+(ms|[smhdwy]))+$"}
TEXTS = {"type": "object", "additionalProperties": {"type": "string"}}
WHOLE = {"type": "integer", "minimum": 0}


def strict(required: dict[str, Any], **optional: Any) -> dict[str, Any]:
    """Return the schema of an object that has these properties and no others."""
    return {
        "type": "object",
        "properties": {**required, **optional},
        "required": list(required),
        "additionalProperties": False,
    }


def listed(item: dict[str, Any]) -> dict[str, Any]:
    return {"type": "array", "items": item, "minItems": 1}


def resource(api_version: str, kind: str, spec: dict[str, Any]) -> dict[str, Any]:
    return strict(
        {
            "apiVersion": {"const": api_version},
            "kind": {"const": kind},
            "metadata": strict({"name": TEXT}, namespace=TEXT, labels=TEXTS, annotations=TEXTS),
            "spec": spec,
        }
    )


_ENDPOINT = strict({"port": TEXT}, path=TEXT, interval=DURATION, scrapeTimeout=DURATION, honorLabels={})
_RULE = strict({"expr": TEXT}, record=TEXT, alert=TEXT, labels=TEXTS, annotations=TEXTS, **{"for": DURATION})
#: The options of KEDA's Prometheus scaler; all of them are texts.
_SCALER = strict(
    {"serverAddress": TEXT, "query": TEXT, "threshold": TEXT},
    activationThreshold=TEXT,
    ignoreNullValues={"enum": ["true", "false"]},
    namespace=TEXT,
    timeout=TEXT,
)

SCHEMAS = {
    "ServiceMonitor": resource(
        "monitoring.coreos.com/v1",
        "ServiceMonitor",
        strict(
            {"selector": strict({"matchLabels": TEXTS}), "endpoints": listed(_ENDPOINT)},
            jobLabel=TEXT,
            namespaceSelector={},
        ),
    ),
    "PrometheusRule": resource(
        "monitoring.coreos.com/v1",
        "PrometheusRule",
        strict({"groups": listed(strict({"name": TEXT, "rules": listed(_RULE)}, interval=DURATION))}),
    ),
    "ScaledObject": resource(
        "keda.sh/v1alpha1",
        "ScaledObject",
        strict(
            {
                "scaleTargetRef": strict({"name": TEXT}, kind=TEXT, apiVersion=TEXT),
                "triggers": listed(strict({"type": {"const": "prometheus"}, "metadata": _SCALER}, name=TEXT)),
            },
            minReplicaCount=WHOLE,
            maxReplicaCount=WHOLE,
            pollingInterval=WHOLE,
            cooldownPeriod=WHOLE,
            fallback=strict({"failureThreshold": WHOLE, "replicas": WHOLE}),
        ),
    ),
}
