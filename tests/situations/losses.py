"""What workers take with them when they vanish, and messages that nobody holds."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator

from celery_health.records import HealthReport
from tests.situations.system import System, has
from tests.situations.table import patience, situation, stay
from tests.support import eventually

#: Below the time that a message must be nobody's, so that a fast run sees it.
FAST_ORPHANS = {"LIMITS": {"lost_seconds": 4}}


def run(system: System, name: str, count: int, seconds: float = 600) -> None:
    """Send runs, and wait until a record names that many."""
    system.send(name, seconds, count=count)
    system.until(
        lambda report: sum(worker.active_count or 0 for worker in report.snapshot.workers) >= count,
        15,
        "running by a record",
    )


@situation("degraded", "tasks.lost", "warn", subject="b@test", within="worker_lost_seconds", marks=("smoke",))
def killed_while_it_ran_three_tasks(system: System) -> Iterator[None]:
    system.worker(name="a", queues=["other"])
    victim = system.worker(name="b", concurrency=3)
    system.healthy()
    run(system, "sleep", 3)
    victim.kill()
    yield


@situation("degraded", "tasks.lost", "warn", subject="b@test", within="worker_lost_seconds")
def killed_and_restarted_under_its_name(system: System) -> Iterator[None]:
    """Its successor hides its record, and not what it took with it."""
    victim = system.worker(name="b", concurrency=3)
    system.healthy()
    run(system, "sleep", 3)
    victim.kill()
    system.worker(name="b")
    yield


@situation("degraded", "tasks.lost", "warn", subject="spot@test", within="worker_lost_seconds")
def killed_before_it_had_drained(system: System) -> Iterator[None]:
    system.worker(name="other")
    worker = system.worker(name="spot", queues=["spot"])
    system.healthy()
    system.send("sleep", 600, count=2, queue="spot")
    system.until(
        lambda report: any(w.active_count for w in report.snapshot.workers), 15, "running by a record"
    )
    worker.signal(signal.SIGTERM)
    system.until(lambda report: any(w.is_draining for w in report.snapshot.workers), 10, "seen draining")
    worker.kill()
    yield


@situation("degraded", "tasks.lost", "warn", subject="b@test", within="worker_lost_seconds", marks=("slow",))
def killed_with_late_acknowledgement_and_run_again(system: System) -> Iterator[None]:
    """The message comes back, and a run of a moment is enough to know it."""
    timeout = 8 if not system.is_soak else 2 * int(system.limit("worker_lost_seconds"))
    system.conf["broker_transport_options"] = {"visibility_timeout": timeout}
    victim = system.worker(name="b")
    system.healthy()
    run(system, "sleep_late_once", 1, 600)
    due_at = time.monotonic() + timeout + 1
    victim.kill()
    successor = system.worker(name="b")
    yield
    # A worker looks for what is to be handed out again when it starts, and then every 100 s.
    eventually(lambda: time.monotonic() > due_at, timeout + 7, what="the end of the visibility timeout")
    successor.stop()
    system.worker(name="b")
    yield


@situation("degraded", "tasks.lost", "warn", subject="b@test", within="worker_lost_seconds", marks=("slow",))
def killed_and_sent_again_under_the_same_id(system: System) -> Iterator[None]:
    """Acknowledged, so nobody hands it out again but who sent it; it is over in a moment."""
    victim = system.worker(name="b")
    system.healthy()
    system.send("sleep", 600, task_id="invoice-7")
    system.until(lambda report: report.snapshot.workers[0].active_count, 15, "running by a record")
    victim.kill()
    system.worker(name="b")
    yield
    system.send("add", task_id="invoice-7")
    yield


@situation("degraded", "tasks.lost", "warn", subject="celery", within="worker_lost_seconds")
def messages_that_nobody_holds(system: System) -> Iterator[None]:
    """It had taken eight and ran two of them."""
    system.health.update(FAST_ORPHANS)
    victim = system.worker(name="prod", concurrency=2)
    system.send("sleep_late", 600, count=8)
    eventually(lambda: system.report().snapshot.workers[0].active_count == 2, 15, what="running")
    victim.kill()
    system.worker(name="prod", concurrency=2)
    yield

    def told(report: HealthReport) -> bool:
        rows = [check for check in report.checks if check.id == "tasks.lost"]
        return [(row.subject, row.observed) for row in rows] == [("prod@test", 2), ("celery", 6)]

    system.until(told, system.limit("worker_lost_seconds") + 12, "each message told of once")


@situation("degraded", "tasks.lost", "warn", subject="b@test")
def stopped_without_waiting_for_what_ran(system: System) -> Iterator[None]:
    """A cold shutdown: it says goodbye, and what it had acknowledged comes back to nobody."""
    system.worker(name="a")
    worker = system.worker(name="b", queues=["b"], concurrency=2)
    system.healthy()
    system.send("sleep", 600, queue="b", task_id="invoice-8")
    system.send("sleep_late", 600, queue="b")
    system.until(lambda report: sum(w.active_count or 0 for w in report.snapshot.workers) == 2, 15, "running")
    worker.signal(signal.SIGQUIT)
    yield
    [told] = [check for check in system.report().checks if check.id == "tasks.lost"]
    assert told.message.endswith("and does not come back: tests.project.tasks.sleep (invoice-8)."), told
    worker.wait(20)
    # What is sent again within three heartbeats is seen while it runs.
    system.send("sleep", 8, task_id="invoice-8")
    system.until(lambda report: not has(report, "tasks.lost", "warn"), 20, "it began again")


# Near misses: nothing is lost ------------------------------------------------------------------------


@situation("healthy")
def long_late_tasks_and_etas_on_a_live_worker(system: System) -> Iterator[None]:
    system.health.update(FAST_ORPHANS)
    system.worker()
    system.healthy()
    system.send("sleep_late", patience(system) + system.limit("lost_seconds") + 5, count=2)
    system.send("add", count=10, countdown=3600)
    yield from stay(system, patience(system) + system.limit("lost_seconds"))


@situation("healthy", allows=("degraded",), marks=("soak",))
def rolling_deploy_under_load(system: System) -> Iterator[None]:
    """Drained workers lose nothing: whatever else is said in between, this is not."""
    workers = [system.worker(name=f"old{n}") for n in range(3)]
    system.healthy()
    for number, worker in enumerate(workers):
        system.send("sleep", 1, count=12)
        replacement = system.worker(name=f"new{number}", wait=False)
        replacement.wait_ready()
        worker.signal(signal.SIGTERM)
        yield from stay(system, 2)
    for _ in stay(system, system.limit("worker_lost_seconds") + 3):
        assert not has(system.report(), "tasks.lost", "warn")
        yield


@situation("healthy", marks=("soak",))
def unacknowledged_by_a_worker_without_celery_health(system: System) -> Iterator[None]:
    """It cannot say what it holds: that is not known, and no fault."""
    system.health.update(FAST_ORPHANS)
    system.conf["task_routes"] = {"tests.project.tasks.sleep_late": {"queue": "emails"}}
    system.worker(queues=["celery"])
    system.worker(queues=["emails"], plain=True)
    system.healthy()
    system.send("sleep_late", 120, count=2)
    yield from stay(system, patience(system) + system.limit("lost_seconds"))
    assert has(system.report(), "tasks.lost", "unknown")


@situation("degraded", "tasks.lost", "warn", subject="celery", within="worker_lost_seconds", marks=("soak",))
def messages_of_a_worker_that_never_came_back(system: System) -> Iterator[None]:
    """Redis keeps its name among those that listen: that it does not answer says nothing more."""
    system.health.update(FAST_ORPHANS)
    victim = system.worker(name="b", concurrency=2)
    system.healthy()
    # What it ran is told with it; of what it held besides, the queue tells.
    system.send("sleep_late", 600, count=8)
    eventually(lambda: system.report().snapshot.workers[0].active_count == 2, 15, what="running")
    victim.kill()
    system.worker(name="a")
    yield


@situation("healthy", marks=("soak",))
def drained_with_late_tasks(system: System) -> Iterator[None]:
    """It holds what it still works on, though it is subscribed to nothing any more."""
    system.health.update(FAST_ORPHANS)
    system.worker(name="other")
    worker = system.worker(name="leaving", queues=["leaving"], concurrency=2)
    system.healthy()
    seconds = patience(system) + system.limit("lost_seconds") + 4
    system.send("sleep_late", seconds, count=2, queue="leaving")
    system.until(lambda report: any(w.active_count == 2 for w in report.snapshot.workers), 15, "running")
    worker.signal(signal.SIGTERM)
    for _ in stay(system, seconds - 4):
        report = system.report()
        assert not has(report, "tasks.lost", "warn")
        assert not has(report, "tasks.lost", "unknown")
        yield
