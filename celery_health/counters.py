"""The facts that are counted, whatever name a dashboard knows them by.

A total is one field of one Redis hash: the family, its label values, and for a histogram the cell. All
stored values are integers; histogram sums are microseconds. No value of a label holds a control character
(see `clean`), so fields can be joined and split without escaping.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, Literal, NamedTuple

#: Between the family and each label value.
SEPARATOR: Final = "\x1f"
#: Before the cell of a histogram: the index of a bucket, or ``sum``. It differs from `SEPARATOR`, so that
#: the store can fold all labels of a field into ``other`` without knowing the families.
PART: Final = "\x1e"
SUM: Final = "sum"
#: Before each label that a project opted in, as in ``started\x1fpay\x1fcelery\x1dtier=gold``. One run is
#: counted in one field, with or without such labels, so that the total is the sum of all.
CUSTOM: Final = "\x1d"

#: Stands for every value over a cap.
OTHER: Final = "other"
#: Characters of a label value; a name in a message can be as long as its sender likes.
MAX_LABEL_LENGTH: Final = 200
#: Of the name of a task, a queue or an exception: cut shorter than elsewhere, it would be another one.
MAX_NAME_LENGTH: Final = 500

#: Upper edges in seconds; one more bucket, without an edge, takes the rest. Queue waits of half an hour and
#: tasks of an hour are common, and a quantile can never be above the last edge.
DURATION_BUCKETS: Final = (
    0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0,
    10.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1800.0, 3600.0,
)  # fmt: skip

Kind = Literal["counter", "histogram"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Family:
    """One fact that is counted."""

    name: str
    """In the store; lower case and underscores."""
    kind: Kind
    labels: tuple[str, ...]
    """What its values are, in their order in the field."""
    help: str
    """One sentence for people."""
    buckets: tuple[float, ...] = ()
    """Upper edges in seconds, of a histogram."""


class Cell(NamedTuple):
    """A field of the totals, taken apart."""

    family: Family
    labels: tuple[str, ...]
    part: str | None
    """Index of a histogram's bucket (each counts its own, not those below), or `SUM`; None for a counter."""
    custom: tuple[tuple[str, str], ...] = ()
    """Labels that the project opted in, name and value."""


_TASK: Final = ("name", "queue")


def _counter(name: str, labels: tuple[str, ...], text: str) -> Family:
    return Family(name=name, kind="counter", labels=labels, help=text)


def _durations(name: str, text: str) -> Family:
    return Family(name=name, kind="histogram", labels=_TASK, help=text, buckets=DURATION_BUCKETS)


RECEIVED: Final = _counter("received", _TASK, "Tasks received by workers.")
STARTED: Final = _counter("started", _TASK, "Task runs started.")
SUCCEEDED: Final = _counter("succeeded", _TASK, "Task runs that succeeded.")
FAILED: Final = _counter("failed", (*_TASK, "exception"), "Task runs that failed for good.")
RETRIED: Final = _counter("retried", _TASK, "Task runs that asked for a retry.")
REJECTED: Final = _counter("rejected", _TASK, "Messages rejected, by the task or as unreadable.")
REVOKED: Final = _counter("revoked", _TASK, "Tasks revoked or expired.")
EXPIRED: Final = _counter("expired", _TASK, "Tasks that had expired before they began.")
KILLED: Final = _counter("killed", _TASK, "Task runs whose process was killed under them (WorkerLostError).")
IGNORED: Final = _counter("ignored", _TASK, "Task runs that asked to be ignored (celery.exceptions.Ignore).")
SENT: Final = _counter("sent", _TASK, "Tasks sent by processes outside worker pools, best effort.")
PUBLISH_FAILED: Final = _counter(
    "publish_failed", ("name", "exception"), "Tasks that were to be sent and were not, best effort."
)
RESULT_FAILED: Final = _counter(
    "result_failed", ("name", "exception"), "Results that the backend did not take, as far as workers hear."
)
UNKNOWN: Final = _counter("unknown", ("name",), "Messages whose task name the worker does not register.")
RUNTIME: Final = _durations("runtime", "Seconds that task runs took, failed ones included.")
QUEUE_WAIT: Final = _durations(
    "queue_wait", "Seconds between publishing and start, tasks with an ETA left out."
)
DEAD_LETTERED: Final = _counter("dead_lettered", ("queue", "cause"), "Dead letters written.")
DEAD_LETTERS_DROPPED: Final = _counter(
    "dead_letters_dropped", ("queue", "reason"), "Dead letters lost: over a cap, or never written."
)
LABEL_OVERFLOW: Final = _counter("label_overflow", ("label",), "Label values replaced by 'other' at a cap.")
INTERNAL_ERRORS: Final = _counter("internal_errors", ("where",), "Errors inside celery_health, caught.")

FAMILIES: Final = MappingProxyType(
    {
        family.name: family
        for family in (
            RECEIVED, STARTED, SUCCEEDED, FAILED, RETRIED, REJECTED, REVOKED, EXPIRED, KILLED, IGNORED,
            SENT, PUBLISH_FAILED, RESULT_FAILED, UNKNOWN, RUNTIME, QUEUE_WAIT, DEAD_LETTERED,
            DEAD_LETTERS_DROPPED,
            LABEL_OVERFLOW, INTERNAL_ERRORS,
        )
    }
)  # fmt: skip

_CONTROL = re.compile(r"[\x00-\x1f\x7f\ud800-\udfff]")
_LABEL_NAME = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*", re.ASCII)


def clean(value: object, limit: int = MAX_LABEL_LENGTH) -> str:
    """Return `value` as a label value: at most `limit` long, "?" for what a field cannot hold."""
    return _CONTROL.sub("?", str(value)[:limit])


def encode(family: Family, labels: tuple[str, ...], part: str | int | None = None) -> str:
    """Return the field of one total. The label values must be cleaned, and as many as the family has."""
    field = SEPARATOR.join((family.name, *labels))
    return field if part is None else f"{field}{PART}{part}"


def custom_labels(values: Iterable[tuple[str, str]]) -> str:
    """Return what stands behind the field of a counter for the labels that the project opted in."""
    return "".join(f"{CUSTOM}{name}={clean(value)}" for name, value in values)


def decode(field: str) -> Cell | None:
    """Take a field apart; None for one that this version does not know (a newer one wrote it)."""
    head, mark, part = field.partition(PART)
    head, *own = head.split(CUSTOM)
    name, *labels = head.split(SEPARATOR)
    family = FAMILIES.get(name)
    if family is None or len(labels) != len(family.labels) or bool(mark) != (family.kind == "histogram"):
        return None
    if mark and part != SUM and not (part.isdecimal() and int(part) <= len(family.buckets)):
        return None
    custom = tuple((key, value) for key, _, value in (item.partition("=") for item in own))
    if not all(_LABEL_NAME.fullmatch(key) for key, _ in custom):
        return None
    return Cell(family, tuple(labels), part if mark else None, custom)
