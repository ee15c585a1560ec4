"""Which findings only follow from another: the cause is said first, and what follows from it beneath.

Decided here alone, after all rules have spoken; no rule knows of another's findings. A finding follows from
another when what proves it would not be so without that one. What is merely seen together stands for itself.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final, NamedTuple

from celery_health.doctor.evidence import Evidence
from celery_health.doctor.findings import Finding, Kind
from celery_health.doctor.rules.route_matches_nothing import takes
from celery_health.records import WorkerState


class _Link(NamedTuple):
    """Findings of one rule that may explain those of others."""

    cause: str
    effects: frozenset[str]
    explains: Callable[[Finding, Finding, Evidence], bool]


def with_causes(findings: Iterable[Finding], evidence: Evidence) -> tuple[Finding, ...]:
    """Return `findings`, each with what it follows from; worst first, what follows right under its cause."""
    ordered = sorted(findings, key=Finding.sort_key)
    causes: dict[int, int] = {}
    for index, finding in enumerate(ordered):
        cause = _cause_of(finding, ordered, evidence)
        if cause is not None:
            causes[index] = cause
    return tuple(_under_their_causes(ordered, causes))


def _cause_of(effect: Finding, findings: Sequence[Finding], evidence: Evidence) -> int | None:
    """Return the place of what explains a finding; the most basic of several."""
    for link in _LINKS:
        if effect.rule in link.effects:
            for index, cause in enumerate(findings):
                if cause.rule == link.cause and link.explains(cause, effect, evidence):
                    return index
    if "sent_by" in effect.evidence and effect.rule == _UNCONSUMED:
        return _cause_of_queue(effect, findings, evidence)
    return None


def _under_their_causes(findings: Sequence[Finding], causes: Mapping[int, int]) -> Iterator[Finding]:
    """Yield causes by the worst of what they explain, and what follows from each right behind it."""
    followers: dict[int, list[int]] = {}
    for effect, cause in causes.items():
        followers.setdefault(cause, []).append(effect)

    def family(index: int) -> Iterator[int]:
        yield index
        for follower in followers.get(index, ()):
            yield from family(follower)

    roots = [index for index in range(len(findings)) if index not in causes]
    # Findings are sorted: the smallest place is the worst.
    for root in sorted(roots, key=lambda index: min(family(index))):
        for index in family(root):
            finding = findings[index]
            yield finding if index == root else _following(finding, findings[causes[index]])


def _following(finding: Finding, cause: Finding) -> Finding:
    fix = f"First put right {cause.as_cause}. Then, if this is still found: {finding.fix}"
    return replace(finding, because=cause.as_cause, fix=fix)


# A queue without consumers: what leads there ------------------------------------------------------------

_UNCONSUMED: Final = "queue-unconsumed"


def _cause_of_queue(effect: Finding, findings: Sequence[Finding], evidence: Evidence) -> int | None:
    """Return the first of the findings that, together, explain everybody who sends to a queue."""
    left = set(effect.evidence["sent_by"])
    first: int | None = None
    for index, cause in enumerate(findings):
        explained = left.intersection(_misled(cause, effect.subject.name, evidence))
        if explained:
            left -= explained
            first = index if first is None else first
    return None if left else first


def _misled(cause: Finding, queue: str, evidence: Evidence) -> Iterator[str]:
    """Yield who sends to `queue` only because of what `cause` says: ``task:<name>``, ``beat:<entry>``."""
    if cause.rule == "beat-task-unregistered":
        # A name that somebody registers is right: the queue then wants a worker.
        if cause.evidence["task"] not in evidence.all_names:
            yield f"beat:{cause.subject.name}"
    elif cause.subject.kind is Kind.BEAT_ENTRY:
        if _chooses(cause, queue):
            yield f"beat:{cause.subject.name}"
    else:
        tasks = _misled_tasks(cause, queue, evidence)
        yield from (f"task:{name}" for name in tasks)
        # Entries without options of their own go where their task goes.
        for entry in evidence.all_entries:
            if entry.task in tasks and not _CHOOSING.intersection(entry.option_names):
                yield f"beat:{entry.name}"


def _misled_tasks(cause: Finding, queue: str, evidence: Evidence) -> frozenset[str]:
    """Return the tasks that go to `queue` instead of where they were meant to go."""
    if cause.rule in ("route-misspelt", "route-shadowed"):
        return frozenset(cause.evidence["tasks"])
    if cause.rule == "destination-ignored" and _chooses(cause, queue):
        return frozenset(cause.evidence["tasks"])
    if cause.rule == "option-misspelt" and _chooses(cause, queue):
        return frozenset(name for r in evidence.routes if r.key == cause.subject.name for name in r.wins)
    if cause.rule in ("setting-ignored", "setting-misspelt") and queue == evidence.conf.default_queue:
        options = _ignored_options(cause, evidence)
        if "task_default_queue" in options:
            return frozenset(evidence.tasks)
        if "task_routes" in options:
            return frozenset(evidence.django.ignored_routes)
    return frozenset()


def _chooses(cause: Finding, queue: str) -> bool:
    """Say whether a finding is about options that should have led elsewhere than to `queue`."""
    if cause.rule == "option-misspelt":
        return cause.evidence["nearest"] in _CHOOSING
    is_dropped = cause.rule == "destination-ignored" and bool(cause.evidence.get("dropped"))
    return is_dropped and queue in cause.evidence["goes_to"] and queue not in cause.evidence["meant"]


#: Options that choose where a message goes.
_CHOOSING: Final = frozenset({"queue", "exchange", "routing_key"})


# One finding explains another ---------------------------------------------------------------------------


def _tasks_of(finding: Finding) -> frozenset[str]:
    """Return the tasks that a finding is about."""
    tasks: Any = finding.evidence.get("tasks")
    if tasks is not None:
        return frozenset(tasks)
    task = finding.evidence.get("task")
    if task is not None:
        return frozenset({task})
    return frozenset({finding.subject.name} if finding.subject.kind is Kind.TASK else ())


def _is_of_its_tasks(cause: Finding, effect: Finding, evidence: Evidence) -> bool:
    return bool(_tasks_of(effect)) and _tasks_of(effect) <= _tasks_of(cause)


def _lacks_it_too(cause: Finding, effect: Finding, evidence: Evidence) -> bool:
    """Say whether a worker that lacks several tasks is among those that lack this one."""
    if not _is_of_its_tasks(cause, effect, evidence):
        return False
    lacking = effect.evidence.get("workers", ())
    return cause.subject.name in lacking or bool(set(lacking) & set(cause.evidence.get("workers", ())))


def _lack_it_as_others(cause: Finding, effect: Finding, evidence: Evidence) -> bool:
    """Say whether who lacks a task are workers of another project."""
    lacking = set(effect.evidence.get("workers", ()))
    return bool(lacking) and lacking <= set(cause.evidence["others"])


def _is_of_that_option(cause: Finding, effect: Finding, evidence: Evidence) -> bool:
    return not _JUDGED[effect.rule].isdisjoint(_ignored_options(cause, evidence))


def _ignored_options(cause: Finding, evidence: Evidence) -> frozenset[str]:
    names = {cause.subject.name, *cause.evidence.get("settings", ())}
    misspelt = {key for one in evidence.django.misspelt if one.name in names for key in one.keys}
    return frozenset(one.key for one in evidence.django.ignored if one.name in names) | misspelt


def _would_match_it(cause: Finding, effect: Finding, evidence: Evidence) -> bool:
    """Say whether a route that matches no task would match the name that no worker knows."""
    routes = [route for route in evidence.routes if route.key == effect.subject.name]
    return any(takes(route, name) for route in routes for name in _tasks_of(cause))


def _is_that_app(cause: Finding, effect: Finding, evidence: Evidence) -> bool:
    """Say whether an app that tasks are sent by is the one that threads have."""
    return bool(cause.evidence["current_app"] == effect.subject.name)


def _always(cause: Finding, effect: Finding, evidence: Evidence) -> bool:
    return True


def _are_our_workers(cause: Finding, effect: Finding, evidence: Evidence) -> bool:
    """Say whether a worker that listens elsewhere is one whose record says that it was here."""
    snapshot = evidence.live.snapshot if evidence.live else None
    gone = {w.hostname for w in snapshot.workers if w.state is WorkerState.GONE} if snapshot else set()
    return any(name in gone for names in cause.evidence.values() for name in names)


def _is_same_queue(cause: Finding, effect: Finding, evidence: Evidence) -> bool:
    return cause.subject == effect.subject and cause.evidence["nearest"] == effect.evidence.get("nearest")


def _is_its_exchange(cause: Finding, effect: Finding, evidence: Evidence) -> bool:
    """Say whether a queue that nobody has is the exchange of a broadcast."""
    return bool(effect.subject.name == cause.evidence["exchange"])


#: Rule → the options of Celery that it judges: where one of them is set in vain, that is why.
_JUDGED: Final[Mapping[str, frozenset[str]]] = {
    "always-eager": frozenset({"task_always_eager"}),
    "beat-empty": frozenset({"beat_schedule"}),
    "broker-differs": frozenset({"broker_url", "broker_read_url", "broker_write_url"}),
    "broker-unset": frozenset({"broker_url"}),
    "chord-without-backend": frozenset({"result_backend"}),
    "everything-taken": frozenset({"worker_prefetch_multiplier"}),
    "late-option-alone": frozenset({"task_acks_late", "task_reject_on_worker_lost"}),
    "lost-with-worker": frozenset({"task_acks_late", "task_reject_on_worker_lost"}),
    "no-time-limits": frozenset({"task_time_limit", "task_soft_time_limit"}),
    "pickle-accepted": frozenset({"accept_content", "result_accept_content"}),
    "prefetch-hoards": frozenset({"worker_prefetch_multiplier"}),
    "priority-ignored": frozenset({"broker_transport_options", "task_queue_max_priority", "task_queues"}),
    "queue-undeclared": frozenset({"task_queues"}),
    "quorum-unconfirmed": frozenset({"broker_transport_options"}),
    "results-kept-forever": frozenset({"result_expires"}),
    "results-unkept": frozenset({"result_backend", "task_ignore_result"}),
    "results-unreadable": frozenset({"result_backend"}),
    "serializer-refused": frozenset(
        {"accept_content", "result_accept_content", "result_serializer", "task_serializer"}
    ),
    "socket-timeout-missing": frozenset({"broker_transport_options"}),
    "task-unroutable": frozenset({"task_queues", "task_create_missing_queues"}),
    "timeout-repeated": frozenset(
        {"task_acks_late", "task_acks_on_failure_or_timeout", "task_acks_on_timeout", "task_time_limit"}
    ),
    "timezone-differs": frozenset({"enable_utc", "timezone"}),
    "timezone-unchosen": frozenset({"enable_utc", "timezone"}),
    "visibility-timeout": frozenset({"broker_transport_options"}),
}

_UNKNOWN_NAMES: Final = frozenset({"waiting-unregistered", "unknown-received"})
_HERE_NOBODY_READS: Final = frozenset(
    {_UNCONSUMED, "queue-abandoned", "unacked-orphaned", "waiting-unregistered"}
)

#: The most basic first. What is an effect in one line is a cause in later lines alone: no circles.
_LINKS: Final = (
    _Link("setting-ignored", frozenset(_JUDGED), _is_of_that_option),
    _Link("setting-misspelt", frozenset(_JUDGED), _is_of_that_option),
    _Link("broker-unset", frozenset({"broker-differs", "workers-elsewhere"}), _always),
    _Link("broker-differs", _HERE_NOBODY_READS, _always),
    _Link("current-app-differs", frozenset({"sent-elsewhere"}), _is_that_app),
    _Link("workers-elsewhere", _HERE_NOBODY_READS, _are_our_workers),
    _Link(
        "module-imported-twice",
        _UNKNOWN_NAMES | {"beat-task-unregistered", "workers-disagree"},
        _is_of_its_tasks,
    ),
    _Link("tasks-unimported", _UNKNOWN_NAMES | {"beat-task-unregistered"}, _is_of_its_tasks),
    _Link("task-name-taken", frozenset({"arguments-misfit"}), _is_of_its_tasks),
    _Link("queue-shared", frozenset({"beat-task-unregistered"}), _lack_it_as_others),
    _Link("workers-disagree", _UNKNOWN_NAMES | {"beat-task-unregistered"}, _lacks_it_too),
    _Link("beat-task-unregistered", _UNKNOWN_NAMES, _is_of_its_tasks),
    _Link("beat-task-unregistered", frozenset({"route-matches-nothing"}), _would_match_it),
    _Link("queue-misspelt", frozenset({_UNCONSUMED}), _is_same_queue),
    _Link("broadcast-misrouted", frozenset({_UNCONSUMED, "queue-undeclared"}), _is_its_exchange),
)
