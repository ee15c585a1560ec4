"""What processes say of publications that did not get through: pure. Part of ``broker.writable``.

The broker's own word comes first. This speaks where it says nothing, or says that all is well now.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from celery_health.records import Blocked, CheckStatus, LastError, Refused, SentElsewhere
from celery_health.text.commands import ALARMS
from celery_health.text.formats import duration, listing, plural

#: Task names in one message.
MAX_NAMED: Final = 3
#: A publication that is tried again ends within seconds; one that has gone on for so long is a fault.
HANGING_SECONDS: Final = 15.0
#: So long after an alarm a process that publishes seldom may not know that it is over.
UNHEARD_SECONDS: Final = 90.0


#: What brokers and client libraries say, in lower case, and what to do about that.
_DENIALS: Final = ("noperm", "no permissions", "access_refused")
_ADVICE: Final = (
    (_DENIALS, "Give the user in the broker_url of whoever sent them that right."),
    (
        ("messagenacked",),
        "RabbitMQ did not take them: their queue is full and rejects more (x-max-length, reject-publish), or "
        "most of its replicas are away. Have more workers take from it, or raise its limit.",
    ),
    (
        ("queue limit",),
        "Delete queues that nobody needs, or raise the limit of the virtual host (rabbitmqctl "
        "set_vhost_limits, max-queues).",
    ),
    (
        ("connection limit", "maximum allowed", "max number of clients"),
        "Close connections that nobody needs, or raise the limit.",
    ),
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Evidence:
    """What is to be said of publications."""

    status: CheckStatus
    """``FAIL`` while they are blocked, ``WARN`` for what was refused lately, or hangs."""
    message: str
    """The fact, and its cause."""
    fix: str
    """What to do: whole sentences."""
    observed: int
    unit: str
    denial: str | None = None
    """What the broker said to a user who may not send."""


def evidence_of(
    refused: Refused | None, lately_seconds: float, alarm_over_seconds: float | None = None
) -> Evidence | None:
    """Return what processes say against the broker; None where they say nothing.

    Args:
        refused: None where nobody reports, as without a store.
        lately_seconds: how far back the refused ones were counted.
        alarm_over_seconds: how long ago the broker said that its alarm is over; None where it said nothing.
    """
    if refused is None:
        return None
    if blocked := [one for one in refused.blocked if not _is_over(one, alarm_over_seconds)]:
        return _blocked(blocked)
    # Only where nobody chose that broker: a project may well send to others by an app for it.
    if astray := [one for one in refused.elsewhere if one.is_unset]:
        return _astray(astray)
    hanging = [one for one in refused.hanging if one.seconds >= HANGING_SECONDS]
    if hanging:
        count = sum(one.count for one in hanging)
        return Evidence(
            status=CheckStatus.WARN,
            message=(
                f"{plural(count, 'publication')} of {_where(hanging[0].process, len(hanging))} "
                f"{'hangs' if count == 1 else 'hang'}, for up to {duration(hanging[0].seconds)} "
                f"({named(hanging[0].tasks)}): whoever sends waits."
            ),
            fix=(
                "See whether that host reaches the broker: a firewall may have forgotten its connection. "
                "A socket_timeout in broker_transport_options ends the wait, and so does a restart."
            ),
            observed=count,
            unit="publications",
        )
    if not refused.count:
        return None
    last = refused.last
    why = f" ({last.exception}: {last.text})" if last is not None and last.text else ""
    tasks = sorted(refused.tasks, key=lambda name: (-refused.tasks[name], name))
    return Evidence(
        status=CheckStatus.WARN,
        message=(
            f"{plural(refused.count, 'publication')} {'was' if refused.count == 1 else 'were'} refused, as "
            f"reported in the last {duration(lately_seconds)}{why}: {named(tasks)}."
        ),
        fix=(
            f"{_advice(last)}These tasks were not sent, unless who sent them tried again: their logs say "
            "which. Send them again."
        ),
        observed=refused.count,
        unit="publications",
        denial=last.text if last is not None and _says(last, _DENIALS) else None,
    )


def _advice(last: LastError | None) -> str:
    """Return a sentence with a blank behind it, where what was last said is known."""
    known = (advice for signs, advice in _ADVICE if last is not None and _says(last, signs))
    return next((f"{advice} " for advice in known), "")


def _says(last: LastError, signs: Sequence[str]) -> bool:
    said = f"{last.exception} {last.text}".lower()
    return any(sign in said for sign in signs)


def _is_over(one: Blocked, alarm_over_seconds: float | None) -> bool:
    """Say whether what blocked a process has ended, of which it hears at its next publication."""
    if alarm_over_seconds is None or alarm_over_seconds > UNHEARD_SECONDS:
        return False
    return one.seconds >= alarm_over_seconds


def _blocked(blocked: Sequence[Blocked]) -> Evidence:
    longest, count = blocked[0], len(blocked)
    who = _where(longest.process, count)
    return Evidence(
        status=CheckStatus.FAIL,
        message=(
            f"RabbitMQ has blocked publications of {who} for {duration(longest.seconds)}: what is sent since "
            "then waits in the sender, enters no queue, and is lost with it."
        ),
        fix=f"See what it lacks, on its host: {ALARMS}",
        observed=count,
        unit="processes",
    )


def _astray(found: Sequence[SentElsewhere]) -> Evidence:
    """Return what is said of tasks that Celery's default broker got."""
    first, count = found[0], sum(one.count for one in found)
    tasks = list(dict.fromkeys(task for one in found for task in one.tasks))
    if first.is_default:
        why = "it sends by Celery's default app, since its threads do not see the project's"
    else:
        why = f"it sends by the Celery app '{first.app}', for which nobody set a broker_url"
    lost = sum(one.failed for one in found)
    failed = f" ({lost:,} in vain)" if lost else ""
    return Evidence(
        status=CheckStatus.WARN,
        message=(
            f"{plural(count, 'task')} ({named(tasks)}) of {_where(first.process, len(found))} went to "
            f"{first.broker}{failed}, not to this broker: {why}."
        ),
        fix=(
            "The doctor says what is wrong with which app, and the line to paste. Then restart that process, "
            "and send the tasks again."
        ),
        observed=count,
        unit="tasks",
    )


def _where(first: str, count: int) -> str:
    return first if count == 1 else f"{first} and {count - 1:,} more"


def named(tasks: Sequence[str]) -> str:
    """Return the names of some tasks, quoted."""
    return listing([f"'{name}'" for name in tasks], MAX_NAMED)
