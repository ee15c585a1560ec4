"""What was lost with workers that vanished, and which messages nobody holds. Pure.

A worker's last record names what it ran. It is up to a heartbeat old, and silence is no proof that the runs
ended: a count is the most that can be lost. A run is there again when another process names it as running, or
as one that began again.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from celery_health.brokers.base import LongUnacked, UnackedMessage
from celery_health.conf import Limits
from celery_health.reading.consumption import ConsumerEvidence
from celery_health.reading.fields import name, number, of_type, rows
from celery_health.records import Losses, LostRun, LostRuns, Orphans, Source, Worker, WorkerState
from celery_health.store.base import StoredRecord

if TYPE_CHECKING:
    from celery import Celery

#: Characters of a delivery tag in a worker's record (`celery_health.worker.held`).
TAG_LENGTH: Final = 8
#: Seconds after which an unacknowledged message is handed out again, where nobody set another number
#: (``kombu/transport/redis.py``, ``kombu/transport/SQS``).
_VISIBILITY_TIMEOUTS: Final = {"redis": 3600.0, "sqs": 1800.0}
#: How far behind a clock may be so that what is counted by age alone is believed.
_MOST_LAG_SECONDS: Final = 10.0
#: How far apart two ages of one moment may be: they come with records of different ages.
_AGE_SLACK_SECONDS: Final = 1.0


def lost_runs(
    records: Sequence[StoredRecord],
    workers: Iterable[Worker],
    limits: Limits,
    *,
    returns_after: float | None = None,
) -> tuple[LostRuns, ...]:
    """Return the runs of each worker that vanished, or gave them up; none where all come back at once.

    Args:
        records: of all processes, those that a successor of the same name hides among them.
        workers: as they were judged: who is proven to have ended needs not be silent for long.
        limits: how long silence must last, and is remembered.
        returns_after: seconds after which the broker hands out again what was taken and not acknowledged; 0
            for at once, None when unknown.
    """
    proven = {worker.writer for worker in workers if worker.is_disconnected}
    vanished = [(one, "active") for one in records if _has_vanished(one, one.writer in proven, limits)]
    vanished += [(one, "given_up") for one in records if _gave_up(one, limits)]
    if not vanished:
        return ()
    ids = {name(row.get("task_id")) for one, kind in vanished for row in rows(one.record.get(kind))}
    began = _began_again(records, ids)
    found = (_of(one, kind, began, returns_after) for one, kind in vanished)
    return tuple(sorted((one for one in found if one is not None), key=lambda one: one.silent_seconds))


def _has_vanished(one: StoredRecord, is_proven: bool, limits: Limits) -> bool:
    # First what is false of nearly all.
    is_silent = is_proven or one.age_seconds > limits.worker_lost_seconds
    if not is_silent or one.age_seconds > limits.lost_worker_memory_seconds:
        return False
    return not one.record.get("goodbye") and _count(one, "active") > 0


def _gave_up(one: StoredRecord, limits: Limits) -> bool:
    # First what is false of nearly all.
    if not one.record.get("given_up_count"):
        return False
    return one.age_seconds <= limits.lost_worker_memory_seconds and _count(one, "given_up") > 0


def _count(one: StoredRecord, kind: str) -> int:
    return max(of_type(int, one.record.get(f"{kind}_count")) or 0, len(rows(one.record.get(kind))))


def _began_again(
    records: Iterable[StoredRecord], ids: Collection[str]
) -> Mapping[str, list[tuple[str, float, float]]]:
    """Return task id → writer, seconds since the run began there, and age of its record, of these `ids`."""
    found: dict[str, list[tuple[str, float, float]]] = defaultdict(list)
    for one in records:
        for row in rows(one.record.get("active")):
            task_id = row.get("task_id")
            if isinstance(task_id, str) and task_id in ids:
                seconds = number(row.get("runtime_seconds")) or 0.0
                found[task_id].append((one.writer, seconds + one.age_seconds, one.age_seconds))
        restarted = one.record.get("restarted")
        for pair in restarted if isinstance(restarted, list) else ():
            if isinstance(pair, list) and len(pair) == 2 and (ago := number(pair[1])) is not None:
                began = ago + one.age_seconds
                # When it was told last, it was there no longer than that.
                found[name(pair[0])].append((one.writer, began, min(began, one.age_seconds)))
    return found


def _of(
    one: StoredRecord,
    kind: str,
    began: Mapping[str, list[tuple[str, float, float]]],
    returns_after: float | None,
) -> LostRuns | None:
    named = rows(one.record.get(kind))
    # A worker that an error ends, or that is killed at its end, names what it gave up as running, too.
    told = {name(row.get("task_id")) for row in rows(one.record.get("given_up"))} if kind == "active" else ()
    left = [
        row for row in named if name(row.get("task_id")) not in told and not _is_there_again(row, one, began)
    ]
    runs = tuple(_run(row, one, returns_after) for row in left)
    if returns_after == 0:
        # The broker had them back before anybody could miss them.
        runs = tuple(run for run in runs if run.is_acknowledged is not False)
    count = len(runs) + _count(one, kind) - len(named)
    if count <= 0:
        return None
    return LostRuns(
        hostname=one.name,
        count=count,
        runs=runs,
        silent_seconds=one.age_seconds,
        was_draining=one.record.get("draining") is True,
        are_given_up=kind == "given_up",
    )


def _is_there_again(
    row: Mapping[str, Any], one: StoredRecord, began: Mapping[str, list[tuple[str, float, float]]]
) -> bool:
    """Say whether a run of a worker began elsewhere later than there."""
    ran = number(row.get("runtime_seconds"))
    started = float("inf") if ran is None else ran + one.age_seconds
    return any(
        writer != one.writer and since < started + _AGE_SLACK_SECONDS and age < one.age_seconds
        for writer, since, age in began.get(name(row.get("task_id")), ())
    )


def _run(row: Mapping[str, Any], one: StoredRecord, returns_after: float | None) -> LostRun:
    acknowledged = row.get("acknowledged")
    ran = number(row.get("runtime_seconds"))
    returns = None
    if acknowledged is False and returns_after is not None and ran is not None:
        # It was taken before it started: this is the latest.
        returns = returns_after - ran - one.age_seconds
    return LostRun(
        task_id=name(row.get("task_id")),
        task_name=name(row.get("task_name")),
        is_acknowledged=acknowledged if isinstance(acknowledged, bool) else None,
        returns_seconds=returns,
        tag=of_type(str, row.get("tag")),
    )


def orphans_of(
    long: LongUnacked | None,
    evidence: ConsumerEvidence,
    queues: Iterable[str],
    *,
    now: float,
    returns_after: float | None,
    records: Iterable[StoredRecord] = (),
    silent_seconds: float = 0.0,
    told: Collection[str] = (),
) -> tuple[Orphans, ...]:
    """Return, by queue, the messages that were taken long ago and that no worker which reports holds.

    Args:
        long: what the broker lists as taken long ago and not acknowledged, the oldest first.
        evidence: all who may hold some.
        queues: ours; what others took from theirs is theirs.
        now: Unix seconds, by the broker's clock.
        returns_after: seconds after which the broker hands out again what was not acknowledged.
        records: of all processes: who held them may be hidden by its successor of the same name.
        silent_seconds: how long such a process says nothing until it is gone.
        told: tags of messages that are named as runs of a worker that vanished.
    """
    if long is None or not long.total:
        return ()
    present = [worker for worker in evidence.workers if worker.state is not WorkerState.GONE]
    reporting = [worker for worker in present if _tells(worker)]
    hidden = _hidden(records, evidence.workers)
    held = {*told, *(tag for worker in reporting for tag in _tags(worker))}
    # Two of one name: until the older reports again, it looks as if the younger had come after it.
    held.update(tag for age, _, tags in hidden if age <= silent_seconds for tag in tags)
    # Who took a message before its last record came would name it there.
    reported = max((worker.last_seen_seconds or 0.0 for worker in reporting), default=0.0)
    least = max(long.seconds, reported + _AGE_SLACK_SECONDS) + _lag(reporting, now)
    unnamed = sum((worker.unacked_count or 0) - len(_tags(worker)) for worker in reporting)
    nobodys: dict[str, list[UnackedMessage]] = defaultdict(list)
    known = frozenset(queues)
    for message in long.messages:
        is_old = now - message.taken_at > least
        if is_old and message.tag[:TAG_LENGTH] not in held and message.queue in known:
            nobodys[message.queue or ""].append(message)
    found = []
    for queue, messages in sorted(nobodys.items()):
        why = _unknown(queue, evidence, [worker for worker in present if not _tells(worker)])
        if why is None and len(messages) <= unnamed:
            why = "workers hold more messages than they name"
        if why is not None:
            found.append(Orphans(queue=queue, count=None, unknown=why))
            continue
        ages = [now - message.taken_at for message in messages]
        found.append(
            Orphans(
                queue=queue,
                count=len(messages) - max(0, unnamed),
                is_minimum=unnamed > 0 or long.total > len(long.messages),
                oldest_seconds=max(ages),
                first_returns_seconds=None if returns_after is None else returns_after - max(ages),
                last_returns_seconds=None if returns_after is None else returns_after - min(ages),
                held_by=_held_by(messages, evidence.workers, hidden),
            )
        )
    is_sure = least <= long.seconds + _MOST_LAG_SECONDS
    return tuple(found) or (_of_all(long, evidence, present, len(told)) if is_sure else ())


def _of_all(
    long: LongUnacked, evidence: ConsumerEvidence, present: Sequence[Worker], told: int
) -> tuple[Orphans, ...]:
    """Return the orphans among more messages than were looked at: there are more than workers hold."""
    more = long.total - told - sum(worker.unacked_count or 0 for worker in present)
    if long.total <= len(long.messages) or more <= 0:
        return ()
    untold = [worker for worker in present if not _tells(worker)]
    if evidence.strangers or evidence.silent or evidence.unasked or untold:
        return ()
    return (Orphans(queue=None, count=more, is_minimum=True),)


def _lag(workers: Iterable[Worker], now: float) -> float:
    """Return how far a clock of `workers`, which stamp what they take, is behind the broker's at most."""
    clocks = ((now - (w.last_seen_seconds or 0.0), w.unacked_clock) for w in workers)
    return max([0.0, *(at - clock for at, clock in clocks if clock is not None)])


def _tells(worker: Worker) -> bool:
    return worker.source is Source.HEARTBEATS and worker.unacked_count is not None


def _tags(worker: Worker) -> list[str]:
    return _parts(worker.unacked_tags or "")


def _parts(text: str) -> list[str]:
    return [text[at : at + TAG_LENGTH] for at in range(0, len(text), TAG_LENGTH)]


def _unknown(queue: str, evidence: ConsumerEvidence, untold: Iterable[Worker]) -> str | None:
    """Return why somebody may hold messages of a queue who does not say so; None where that is ruled out."""
    strangers = [worker.hostname for worker in evidence.foreign.get(queue, ())]
    silent = [worker.hostname for worker in untold if worker.queues is None or queue in worker.queues]
    # Whoever may live and did not answer may hold a message for as long as it is busy with it.
    silent += [one.hostname for one in evidence.silent if one.queues is None or queue in one.queues]
    if strangers or silent:
        return f"worker '{[*strangers, *silent][0]}' does not say what it holds"
    return evidence.unasked


def _hidden(records: Iterable[StoredRecord], workers: Iterable[Worker]) -> list[tuple[float, str, list[str]]]:
    """Return age, name and held tags by the last record of each process that is not among `workers`."""
    shown = {worker.writer for worker in workers}
    found = []
    for one in records:
        unacked = of_type(dict, one.record.get("unacked"))
        if unacked and one.writer not in shown and not one.record.get("goodbye"):
            found.append((one.age_seconds, one.name, _parts(of_type(str, unacked.get("tags")) or "")))
    return found


def _held_by(
    messages: Sequence[UnackedMessage],
    workers: Iterable[Worker],
    hidden: Iterable[tuple[float, str, list[str]]],
) -> tuple[str, ...]:
    """Return the names of those that are gone, and held some of `messages` by their last record."""
    wanted = {message.tag[:TAG_LENGTH] for message in messages}
    gone = [(w.hostname, _tags(w)) for w in workers if w.state is WorkerState.GONE]
    gone += [(hostname, tags) for _, hostname, tags in hidden]
    return tuple(dict.fromkeys(hostname for hostname, tags in gone if not wanted.isdisjoint(tags)))


def losses_of(
    records: Sequence[StoredRecord],
    long: LongUnacked | None,
    evidence: ConsumerEvidence,
    queues: Iterable[str],
    limits: Limits,
    *,
    now: float,
    returns_after: float | None,
) -> Losses:
    """Return all that is lost, each message once: see `lost_runs` and `orphans_of`."""
    runs = lost_runs(records, evidence.workers, limits, returns_after=returns_after)
    return Losses(
        runs=runs,
        orphans=orphans_of(
            long,
            evidence,
            queues,
            now=now,
            returns_after=returns_after,
            records=records,
            silent_seconds=limits.worker_lost_seconds,
            told=frozenset(run.tag for lost in runs for run in lost.runs if run.tag is not None),
        ),
        are_orphans_known=long is not None,
    )


def returns_after(app: Celery, transport: str) -> float | None:
    """Return after how many seconds a broker hands out again what was taken and not acknowledged.

    0 for at once; None where that is not known.
    """
    if transport == "amqp":
        return 0.0
    default = _VISIBILITY_TIMEOUTS.get(transport)
    options = app.conf.broker_transport_options
    given = number(options.get("visibility_timeout")) if isinstance(options, Mapping) else None
    return default if given is None or default is None else given
