"""Each rule over hand-made snapshots: a row is a situation, its comment says why the verdict is right."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from celery_health.conf import Limits, Settings
from celery_health.health import judge
from celery_health.health.broker import BrokerReachable, BrokerWritable
from celery_health.health.queues import QueuesDepth
from celery_health.health.workers import WorkersAlive
from celery_health.records import (
    AppFacts,
    BrokerState,
    CheckStatus,
    InspectionState,
    NearLimit,
    OptionNames,
    Snapshot,
    Status,
    WorkerState,
    Writes,
)
from celery_health.testing import make_queue, make_snapshot, make_worker

EAGER = AppFacts(app_id="proj", name="proj", always_eager=True)
DOWN = BrokerState(
    transport="redis", url="redis://:**@db:6379/0", reachable=False, error="Connection refused"
)
NOT_ASKED = InspectionState()


def statuses(results: object) -> list[tuple[str | None, str]]:
    return [(result.subject, result.status.value) for result in results]  # type: ignore[attr-defined]


BROKER_TABLE = [
    # It answered.
    (make_snapshot(), "pass"),
    # It refused, hung, or was too slow: all the same to whoever needs a task done.
    (make_snapshot(broker=DOWN), "fail"),
    # Nobody asked it: nothing is known.
    (make_snapshot(broker=replace(DOWN, reachable=None, error=None)), "unknown"),
    # It cannot be asked, and says why.
    (make_snapshot(broker=replace(DOWN, reachable=None)), "unsupported"),
    # Tasks run in place: there is no broker to reach.
    (make_snapshot(app=EAGER, broker=replace(DOWN, reachable=None)), "unsupported"),
]


@pytest.mark.parametrize(("snapshot", "expected"), BROKER_TABLE)
def test_broker_reachable__table(snapshot: Snapshot, expected: str) -> None:
    assert statuses(BrokerReachable().judge(snapshot, Settings())) == [(None, expected)]


def test_broker_reachable__names_the_broker_and_the_cause() -> None:
    (result,) = BrokerReachable().judge(make_snapshot(broker=DOWN), Settings())

    assert "redis://:**@db:6379/0" in result.message
    assert "Connection refused" in result.message
    assert result.recommendation is not None


UP = replace(DOWN, reachable=True, error=None)
FULL = Writes(accepted=False, refusal="it is full (6 of 3 bytes)", fix="Raise maxmemory.")
MEMORY = NearLimit(
    name="maxmemory", used=95, limit=100, unit="bytes", refuses="every message", fix="Raise maxmemory."
)


def writes(given: Writes, **changes: Any) -> Snapshot:
    return replace(make_snapshot(broker=replace(UP, writes=given)), **changes)


WRITABLE_TABLE: list[tuple[Snapshot, list[tuple[str | None, str]]]] = [
    (writes(Writes(accepted=True)), [(None, "pass")]),
    # By its own word.
    (writes(FULL), [(None, "fail")]),
    # Near a limit is no refusal.
    (writes(Writes(accepted=True, near=(MEMORY,))), [("maxmemory", "warn")]),
    # Whoever may not ask knows nothing; that the limit is near is known all the same.
    (writes(Writes(unknown="May not.", near=(MEMORY,))), [(None, "unknown"), ("maxmemory", "warn")]),
    # A failover takes a moment, and a process that looks once cannot wait for it to last.
    (writes(Writes(refusal="it is a replica", may_be_failover=True)), [(None, "unknown")]),
    (writes(Writes(refusal="it is a replica", may_be_failover=True), is_one_shot=True), [(None, "warn")]),
    # This transport does not say.
    (writes(Writes()), [(None, "unsupported")]),
    # Nobody answered: said by another check.
    (make_snapshot(broker=DOWN), [(None, "unknown")]),
    (make_snapshot(broker=replace(DOWN, reachable=None, error=None, late="Late.")), [(None, "unknown")]),
    (make_snapshot(app=EAGER, broker=replace(UP, writes=FULL)), [(None, "unsupported")]),
]


@pytest.mark.parametrize(("snapshot", "expected"), WRITABLE_TABLE)
def test_broker_writable__table(snapshot: Snapshot, expected: list[tuple[str | None, str]]) -> None:
    assert statuses(BrokerWritable().judge(snapshot, Settings())) == expected


def test_broker_writable__says_why_and_what_to_do() -> None:
    (result,) = BrokerWritable().judge(writes(FULL), Settings())

    why = "The broker at redis://:**@db:6379/0 answers and refuses writes: it is full (6 of 3 bytes)."
    assert result.message == f"{why} Nothing can be sent."
    assert result.recommendation == f"{why} Raise maxmemory."
    # Who is connected still sends.
    (result,) = BrokerWritable().judge(writes(replace(FULL, serves_connected=True)), Settings())
    assert result.message == f"{why} Nobody new can send."
    (result,) = BrokerWritable().judge(writes(Writes(accepted=True, near=(MEMORY,))), Settings())
    assert result.message.endswith(
        "has used 95% of its maxmemory (95 of 100 bytes). At the limit it refuses every message."
    )


@pytest.mark.parametrize(
    ("error", "todo"),
    [
        ("ConnectionError: max number of clients reached", "raise maxclients"),
        ("NOT_ALLOWED - access to vhost refused: connection limit (1) is reached", "raise the limit"),
        ("BusyLoadingError: Redis is loading the dataset in memory", "wait until it has"),
        ("Connection refused", "Check that it runs"),
    ],
)  # fmt: skip
def test_broker_reachable__says_what_to_do_where_nobody_is_let_in(error: str, todo: str) -> None:
    (result,) = BrokerReachable().judge(make_snapshot(broker=replace(DOWN, error=error)), Settings())

    assert todo in str(result.recommendation)


NAMES = [
    (OptionNames(prefix="QUEUE_"), "QUEUE_BROKER_URL names", "QUEUE_BROKER_URL = 'redis"),
    (OptionNames(), "app.conf.broker_url names", "app.conf.broker_url = 'redis"),
    (OptionNames(old={"broker_url": "BROKER_URL"}), "BROKER_URL names", "BROKER_URL = 'redis"),
    (
        OptionNames(module="celeryconfig"),
        "broker_url in celeryconfig names",
        "In celeryconfig: broker_url = 'redis",
    ),
    (
        OptionNames(prefix="CELERY_", environment={"broker_url": "CELERY_BROKER_URL"}),
        "CELERY_BROKER_URL in the environment names",
        "CELERY_BROKER_URL = 'redis",
    ),
]


@pytest.mark.parametrize(("names", "is_set", "is_not"), NAMES)
def test_broker_reachable__names_what_the_project_sets(names: OptionNames, is_set: str, is_not: str) -> None:
    app = AppFacts(app_id="proj", name="proj", options=names)

    (result,) = BrokerReachable().judge(make_snapshot(app=app, broker=DOWN), Settings())
    assert f"and that {is_set} its address" in str(result.recommendation)

    app = replace(app, broker_is_set=False)
    (result,) = BrokerReachable().judge(make_snapshot(app=app, broker=DOWN), Settings())
    assert f"broker_url is not set; this is Celery's default. {is_not}" in str(result.recommendation)


SILENT = make_worker("silent@host", state=WorkerState.UNKNOWN)
GONE = make_worker("gone@host", state=WorkerState.GONE, last_seen_seconds=45.0)

WORKERS_TABLE = [
    # One answers.
    (make_snapshot(), Settings(), [(None, "pass")]),
    # The roster is known and empty: nobody will take a task.
    (make_snapshot(workers=[]), Settings(), [(None, "fail")]),
    # None needs to be there: a project that scales to zero.
    (make_snapshot(workers=[]), Settings(min_workers=0), [(None, "off")]),
    # One of the two that must be there.
    (make_snapshot(), Settings(min_workers=2), [(None, "warn")]),
    # It did not answer in time: busy, stopped or gone, nobody can say.
    (
        make_snapshot(workers=[SILENT], inspection=InspectionState(asked=True, complete=False)),
        Settings(),
        [(None, "unknown")],
    ),
    # Its connection is gone, and it never said goodbye.
    (make_snapshot(workers=[GONE]), Settings(), [(None, "fail"), ("gone@host", "warn")]),
    # One died, another works: tasks are done, yet somebody should look.
    (make_snapshot(workers=[make_worker(), GONE]), Settings(), [(None, "pass"), ("gone@host", "warn")]),
    # Remote control is off: silence says nothing.
    (
        make_snapshot(workers=[], inspection=InspectionState(supported=False)),
        Settings(),
        [(None, "unsupported")],
    ),
    # No roster could be had in time.
    (
        make_snapshot(workers=[], inspection=InspectionState(asked=True, error="none discovered yet")),
        Settings(),
        [(None, "unknown")],
    ),
    # The broker is away: that is the broker's failure, not the workers'.
    (make_snapshot(workers=[], broker=DOWN, inspection=NOT_ASKED), Settings(), [(None, "unknown")]),
    # Tasks run in place.
    (make_snapshot(workers=[], app=EAGER, inspection=NOT_ASKED), Settings(), [(None, "unsupported")]),
]


@pytest.mark.parametrize(("snapshot", "settings", "expected"), WORKERS_TABLE)
def test_workers_alive__table(
    snapshot: Snapshot, settings: Settings, expected: list[tuple[str | None, str]]
) -> None:
    assert statuses(WorkersAlive().judge(snapshot, settings)) == expected


@pytest.mark.parametrize("state", [s for s in WorkerState if s.is_live and s is not WorkerState.STARTING])
def test_workers_alive__every_live_state_counts(state: WorkerState) -> None:
    (result,) = WorkersAlive().judge(make_snapshot(workers=[make_worker(state=state)]), Settings())

    assert result.status is CheckStatus.PASS


def test_workers_alive__says_how_to_start_one() -> None:
    (result,) = WorkersAlive().judge(make_snapshot(workers=[]), Settings())

    assert result.recommendation == "No active Celery workers found. Start one: celery -A proj worker"


EMAILS = Settings(queues={"emails": {"depth": 10}})

DEPTH_TABLE = [
    # At the limit is not over it.
    (make_snapshot(queues=[make_queue(ready=1000)]), Settings(), [(None, "pass")]),
    (make_snapshot(queues=[make_queue(ready=1001)]), Settings(), [("celery", "warn")]),
    # Each queue by its own limit.
    (make_snapshot(queues=[make_queue("emails", ready=11)]), EMAILS, [("emails", "warn")]),
    (make_snapshot(queues=[make_queue("other", ready=11)]), EMAILS, [(None, "pass")]),
    # A global limit of the project's own.
    (make_snapshot(queues=[make_queue(ready=5)]), Settings(limits=Limits(depth=4)), [("celery", "warn")]),
    # A limit of zero is a limit.
    (make_snapshot(queues=[make_queue(ready=1)]), Settings(limits=Limits(depth=0)), [("celery", "warn")]),
    # Unreadable is unknown, never empty.
    (make_snapshot(queues=[make_queue(ready=None)]), Settings(), [("celery", "unknown")]),
    # One unreadable queue hides no deep one.
    (
        make_snapshot(queues=[make_queue("a", ready=None), make_queue("b", ready=2000)]),
        Settings(),
        [("a", "unknown"), ("b", "warn")],
    ),
    (make_snapshot(app=EAGER, queues=[]), Settings(), [(None, "unsupported")]),
]


@pytest.mark.parametrize(("snapshot", "settings", "expected"), DEPTH_TABLE)
def test_queues_depth__table(
    snapshot: Snapshot, settings: Settings, expected: list[tuple[str | None, str]]
) -> None:
    assert statuses(QueuesDepth().judge(snapshot, settings)) == expected


def test_queues_depth__message_has_number_limit_and_command() -> None:
    (result,) = QueuesDepth().judge(make_snapshot(queues=[make_queue("emails", ready=1204)]), Settings())

    assert result.recommendation == (
        "Queue 'emails' holds 1204 tasks (limit 1000). Add workers: celery -A proj worker -Q emails"
    )


DEEP = make_snapshot(queues=[make_queue(ready=1001)])

FOLD_TABLE = [
    (make_snapshot(), Settings(), Status.HEALTHY),
    (DEEP, Settings(), Status.DEGRADED),
    (make_snapshot(workers=[]), Settings(), Status.UNHEALTHY),
    # A fail outweighs a warn.
    (make_snapshot(workers=[], queues=[make_queue(ready=1001)]), Settings(), Status.UNHEALTHY),
    # Unknown worsens nothing.
    (make_snapshot(queues=[make_queue(ready=None)]), Settings(), Status.HEALTHY),
    # A project says that depth must stop traffic, ...
    (DEEP, Settings(checks={"queues.depth": "fail"}), Status.UNHEALTHY),
    # ... that workers may be missing, ...
    (make_snapshot(workers=[]), Settings(checks={"workers.alive": "warn"}), Status.DEGRADED),
    # ... or that it does not care.
    (DEEP, Settings(checks={"queues.depth": "off"}), Status.HEALTHY),
    # Severities change faults, not what is well.
    (make_snapshot(), Settings(checks={"queues.depth": "fail"}), Status.HEALTHY),
    # Eager: nothing can be judged, and nothing is wrong.
    (make_snapshot(app=EAGER, workers=[], queues=[], inspection=NOT_ASKED), Settings(), Status.HEALTHY),
]


@pytest.mark.parametrize(("snapshot", "settings", "expected"), FOLD_TABLE)
def test_judge__table(snapshot: Snapshot, settings: Settings, expected: Status) -> None:
    assert judge(snapshot, settings).status is expected


def said_by(snapshot: Snapshot, settings: Settings) -> dict[str, tuple[str, str | None]]:
    return {check.id: (check.status.value, check.because) for check in judge(snapshot, settings).checks}


def test_judge__a_check_that_is_off_says_so() -> None:
    found = judge(DEEP, Settings(checks={"queues.depth": "off"})).checks

    (depth,) = [check for check in found if check.id == "queues.depth"]
    assert (depth.status, depth.message) == (CheckStatus.OFF, "Off by choice (CHECKS).")


def test_judge__nobody_wants_workers_so_nobody_wants_to_know_what_they_do() -> None:
    found = said_by(make_snapshot(workers=[]), Settings(min_workers=0))

    assert found["workers.alive"] == ("off", None)
    assert found["workers.consuming"] == ("off", "workers.alive")
    assert found["workers.pool"] == ("off", "workers.alive")


def test_judge__a_cause_that_is_not_looked_at_makes_nothing_known() -> None:
    found = said_by(make_snapshot(workers=[]), Settings(checks={"workers.alive": "off"}))

    assert found["workers.alive"] == ("off", None)
    assert found["workers.pool"] == ("unknown", "workers.alive")


def test_judge__healthy_has_no_recommendations() -> None:
    assert judge(make_snapshot(), Settings()).recommendations == ()


def test_judge__recommends_the_worst_first_and_each_once() -> None:
    snapshot = make_snapshot(workers=[], queues=[make_queue(ready=1001)])

    first, second = judge(snapshot, Settings()).recommendations

    assert first.startswith("No active Celery workers found")
    assert second.startswith("Queue 'celery' holds 1001 tasks")
