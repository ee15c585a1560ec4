"""What ``app.conf`` effectively holds, as facts. No values that may be secret leave this module."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, tzinfo
from typing import TYPE_CHECKING, Any, Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from celery.app.defaults import DEFAULTS
from kombu import serialization

from celery_health.conf.option_names import broker_is_set
from celery_health.connections.exchanges import transport_of
from celery_health.doctor.setting_facts import ConfFacts

if TYPE_CHECKING:
    from celery import Celery

_registry: Any = serialization.registry  # type: ignore[attr-defined]

#: Seconds after which an unacknowledged message is handed out again, where nobody set another number
#: (``kombu/transport/redis.py``, ``kombu/transport/SQS``).
_VISIBILITY_TIMEOUTS: Final = {
    "redis": 3600.0, "rediss": 3600.0, "sentinel": 3600.0, "valkey": 3600.0, "valkeys": 3600.0, "sqs": 1800.0,
}  # fmt: skip

#: The first from Celery 5.7 on; it goes before the other.
_ON_TIMEOUT: Final = "task_acks_on_timeout"
_ON_FAILURE_OR_TIMEOUT: Final = "task_acks_on_failure_or_timeout"


def conf_facts(app: Celery, django_zone: str | None) -> ConfFacts:
    """Return what rules judge of the configuration."""
    conf: Any = app.conf
    transport = transport_of(app)
    options = conf.broker_transport_options or {}
    accepted = conf.accept_content or []
    backend = conf.result_backend
    return ConfFacts(
        broker_is_set=broker_is_set(app),
        always_eager=bool(conf.task_always_eager),
        acks_late=bool(conf.task_acks_late),
        default_queue=str(conf.task_default_queue),
        declares_queues=bool(conf.task_queues),
        creates_missing_queues=bool(conf.task_create_missing_queues),
        default_priority=conf.task_default_priority,
        task_serializer=str(conf.task_serializer),
        result_serializer=str(conf.result_serializer),
        accepted=_serializer_names(accepted),
        accepted_results=_serializer_names(conf.result_accept_content or accepted),
        known_serializers=frozenset(_registry._encoders),
        task_time_limit_seconds=conf.task_time_limit,
        task_soft_time_limit_seconds=conf.task_soft_time_limit,
        prefetch_multiplier=int(conf.worker_prefetch_multiplier or 0),
        visibility_timeout_seconds=_number(options.get("visibility_timeout"))
        or _VISIBILITY_TIMEOUTS.get(transport),
        socket_timeout_seconds=_number(options.get("socket_timeout")),
        confirms_publishes=bool(options.get("confirm_publish")),
        result_backend=_scheme(backend),
        result_expires_seconds=_number(conf.result_expires),
        ignores_results=bool(conf.task_ignore_result),
        beat_scheduler=str(conf.beat_scheduler),
        timezone=str(app.timezone),
        timezone_is_explicit=bool(conf.get("timezone")),
        timezone_differs=_differ(app.timezone, django_zone),
        connection_retry=bool(conf.broker_connection_retry),
        is_startup_retry_set=conf.broker_connection_retry_on_startup is not None,
        is_cancel_on_loss_set=_is_set(conf, "worker_cancel_long_running_tasks_on_connection_loss"),
        has_transport_options=bool(options),
        form_of_routes=_form_of_routes(conf.task_routes),
        has_annotations=bool(conf.task_annotations),
        most_tasks_per_child=conf.worker_max_tasks_per_child,
        most_memory_per_child=conf.worker_max_memory_per_child,
        rejects_on_lost=bool(conf.task_reject_on_worker_lost),
        option_against_timeout_acks=_option_against_timeout_acks(conf),
        option_for_timeout_acks=_ON_TIMEOUT if _ON_TIMEOUT in DEFAULTS else _ON_FAILURE_OR_TIMEOUT,
        publishes_elsewhere=conf.broker_write_url != conf.broker_read_url,
    )


def _option_against_timeout_acks(conf: Any) -> str | None:
    """Return the option by which a run over its time limit is not acknowledged; None where none says so."""
    own = conf.get(_ON_TIMEOUT)
    if own is not None:
        return None if own else _ON_TIMEOUT
    return _ON_FAILURE_OR_TIMEOUT if conf.task_acks_on_failure_or_timeout is False else None


def _is_set(conf: Any, option: str) -> bool:
    """Say whether somebody set an option: its value comes from another place than Celery's defaults."""
    names = conf._to_keys(option)
    return any(name in mapping for mapping in conf.maps[:-1] for name in names)


def _form_of_routes(routes: Any) -> str:
    """Return ``dict``, ``list`` for what is asked one by one, ``one`` for a single router, or nothing."""
    if not routes:
        return ""
    if isinstance(routes, dict):
        return "dict"
    return "list" if isinstance(routes, list | tuple) else "one"  # as `celery.app.routes.prepare` asks


def _serializer_names(accepted: Any) -> frozenset[str]:
    """Return names for what may be names or content types (``prepare_accept_content`` of kombu)."""
    names = set()
    for item in [accepted] if isinstance(accepted, str) else accepted:
        names.add(str(_registry.type_to_name.get(item, item)))
    return frozenset(names)


def _scheme(backend: Any) -> str | None:
    if not backend or str(backend) in ("disabled", "disabled://"):
        return None
    return str(backend).partition(":")[0].partition("+")[0]


def _number(value: Any) -> float | None:
    if isinstance(value, timedelta):
        return value.total_seconds()
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def _differ(zone: tzinfo, other_name: str | None) -> bool:
    """Say whether two zones have different clocks, in winter or in summer."""
    if not other_name:
        return False
    try:
        other = ZoneInfo(other_name)
    except (ZoneInfoNotFoundError, ValueError):
        return False
    year = datetime.now(UTC).year
    moments = [datetime(year, month, 1, tzinfo=UTC) for month in (1, 7)]
    return any(m.astimezone(zone).utcoffset() != m.astimezone(other).utcoffset() for m in moments)
