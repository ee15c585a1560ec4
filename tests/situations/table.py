"""The situations: what happens, what the verdict must be, and how it is mended.

Each is a generator: it prepares a system, breaks it and yields; the runner waits for the verdict; it mends
it and yields again, or ends where there is nothing to mend. A situation whose verdict is ``healthy`` must
never be called anything worse while its generator runs between its yields.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from redis import Redis

from celery_health.records import CheckStatus, WorkerState
from tests.situations.system import System
from tests.support import Proxy, eventually

Play = Callable[[System], Iterator[None]]


@dataclass(frozen=True, kw_only=True)
class Situation:
    """One row of the table."""

    name: str
    play: Play
    status: str
    """The verdict that must come: ``healthy`` means that it must stay so."""
    check: str | None = None
    check_status: str | None = None
    subject: str | None = None
    within: str | None = None
    """The limit after which it must be seen; None: at once."""
    allows: tuple[str, ...] = ()
    """Verdicts besides `status` that a steady situation may show: never ``unhealthy``."""
    marks: tuple[str, ...] = ()


SITUATIONS: list[Situation] = []


def situation(
    status: str,
    check: str | None = None,
    check_status: str | None = None,
    *,
    subject: str | None = None,
    within: str | None = None,
    allows: tuple[str, ...] = (),
    marks: tuple[str, ...] = (),
) -> Callable[[Play], Play]:
    """Add a row to the table."""

    def add(play: Play) -> Play:
        SITUATIONS.append(
            Situation(
                name=play.__name__,
                play=play,
                status=status,
                check=check,
                check_status=check_status,
                subject=subject,
                within=within,
                allows=allows,
                marks=marks,
            )
        )
        return play

    return add


def stay(system: System, seconds: float) -> Iterator[None]:
    """Hand over to the runner, which looks at the verdict, again and again for so long."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        yield


def patience(system: System) -> float:
    """Return how long a steady situation is watched: past the longest limit that could be wrong about it."""
    return max(system.limit(name) for name in ("worker_lost_seconds", "not_consuming_seconds")) * 2 + 1


# Workers come and go ---------------------------------------------------------------------------------


@situation("healthy")
def all_well(system: System) -> Iterator[None]:
    system.worker()
    system.send("add", count=20)
    system.healthy()
    yield from stay(system, patience(system))


@situation("unhealthy", "workers.alive", "fail")
def no_worker_ever(system: System) -> Iterator[None]:
    yield
    system.worker()
    yield


@situation("healthy")
def eager_web_only(system: System) -> Iterator[None]:
    system.conf["task_always_eager"] = True
    yield from stay(system, 1)


@situation("unhealthy", "workers.alive", "fail", within="worker_lost_seconds", marks=("smoke",))
def worker_sigkilled(system: System) -> Iterator[None]:
    worker = system.worker(name="prod")
    system.healthy()
    worker.kill()
    yield
    system.worker(name="prod")
    yield


@situation("degraded", "workers.alive", "warn", within="worker_lost_seconds")
def one_of_two_sigkilled(system: System) -> Iterator[None]:
    system.worker(name="a")
    victim = system.worker(name="b")
    system.healthy()
    victim.kill()
    yield
    system.worker(name="b")
    yield


@situation("healthy")
def one_of_two_stopped(system: System) -> Iterator[None]:
    system.worker(name="a")
    leaving = system.worker(name="b")
    system.healthy()
    leaving.stop()
    yield from stay(system, patience(system))


@situation("healthy")
def sigterm_with_a_long_task(system: System) -> Iterator[None]:
    worker = system.worker()
    system.healthy()
    # It is seen to run one record later.
    system.send("sleep", patience(system) + (20 if system.is_soak else 2))
    eventually(lambda: system.report().snapshot.workers[0].active_count, 10, what="running")
    worker.signal(signal.SIGTERM)
    yield from stay(system, patience(system))


@situation("healthy")
def sigkill_after_sigterm(system: System) -> Iterator[None]:
    """That it went is no fault; what it took with it is (tests.situations.losses)."""
    system.health["CHECKS"] = {"tasks.lost": "off"}
    system.worker(name="other")
    worker = system.worker(name="spot")
    system.healthy()
    system.send("sleep", 60, count=8)
    worker.signal(signal.SIGTERM)
    eventually(lambda: any(w.is_draining for w in system.report().snapshot.workers), 10, what="seen draining")
    worker.kill()
    yield from stay(system, patience(system))


@situation("unhealthy", "workers.alive", "fail", within="worker_lost_seconds")
def worker_sigstopped(system: System) -> Iterator[None]:
    worker = system.worker()
    system.healthy()
    worker.pause()
    yield
    worker.resume()
    yield


@situation("healthy", allows=("degraded",))
def single_worker_restarted(system: System) -> Iterator[None]:
    worker = system.worker(name="prod")
    system.healthy()
    worker.stop()
    system.worker(name="prod", wait=False)
    yield from stay(system, patience(system))


@situation("healthy", allows=("degraded",), marks=("slow",))
def rolling_restart_of_four_under_load(system: System) -> Iterator[None]:
    workers = [system.worker(name=f"old{n}") for n in range(4)]
    system.healthy()
    for number, worker in enumerate(workers):
        system.send("sleep", 0.2, count=10)
        replacement = system.worker(name=f"new{number}", wait=False)
        yield
        replacement.wait_ready()
        worker.signal(signal.SIGTERM)
        yield from stay(system, 1)
    yield from stay(system, 2)


@situation("healthy")
def scaled_to_zero(system: System) -> Iterator[None]:
    system.health.update(MIN_WORKERS=0, QUEUES={"celery": {"scale_to_zero": True}})
    system.send("add")
    yield from stay(system, patience(system))


@situation("unhealthy", "workers.alive", "fail", within="restart_grace_seconds")
def all_stopped(system: System) -> Iterator[None]:
    worker = system.worker()
    system.healthy()
    worker.stop()
    yield
    system.worker()
    yield


# The broker ------------------------------------------------------------------------------------------


@situation("unhealthy", "broker.reachable", "fail")
def broker_stopped(system: System) -> Iterator[None]:
    system.worker()
    system.healthy()
    system.redis.kill()
    yield
    system.redis.restart()
    yield


@situation("healthy", allows=("degraded",))
def broker_restarted(system: System) -> Iterator[None]:
    system.worker()
    system.healthy()
    system.redis.restart()
    yield from stay(system, patience(system))


@situation("unhealthy", "broker.reachable", "fail")
def broker_paused(system: System) -> Iterator[None]:
    system.worker()
    system.healthy()
    system.redis.pause()
    yield
    if system.is_soak:
        time.sleep(20)
    system.redis.resume()
    yield


@situation("unhealthy", "broker.reachable", "fail")
def broker_black_holed(system: System) -> Iterator[None]:
    proxy = system.stack.enter_context(Proxy(system.redis.port))
    system.url = proxy.url(system.redis.url)
    # As the doctor recommends; without it a worker may wait for ever (FACTS 2).
    system.conf["broker_transport_options"] = {"socket_timeout": 2}
    system.worker()
    system.healthy()
    proxy.black_hole()
    yield
    proxy.cut()
    proxy.forward()
    yield


@situation("unhealthy", "workers.consuming", "fail", within="not_consuming_seconds")
def half_open_connections(system: System) -> Iterator[None]:
    proxy = system.stack.enter_context(Proxy(system.redis.port))
    system.reader_url = system.redis.url
    worker = system.worker(url=proxy.url(system.redis.url))
    system.healthy()
    proxy.forget_flows()
    yield
    worker.kill()
    system.worker(name=worker.hostname)
    yield


@situation("unhealthy", "broker.writable", "fail", within="worker_lost_seconds")
def broker_and_store_full(system: System) -> Iterator[None]:
    """It reads well and takes nothing: that no worker reports says nothing of workers."""
    system.worker()
    system.healthy()
    with Redis.from_url(system.redis.url) as admin:
        admin.config_set("maxmemory-policy", "noeviction")
        admin.config_set("maxmemory", "1")
        eventually(
            lambda: not any(w.state.is_live for w in system.report().snapshot.workers),
            system.limit("worker_lost_seconds") + 12,
            what="all records old",
        )
        report = system.report()
        (alive,) = (check for check in report.checks if check.id == "workers.alive")
        assert (alive.status, alive.because) == (CheckStatus.UNKNOWN, "broker.writable"), alive
        # One cause, and nothing else is wrong.
        faults = {check.id for check in report.checks if check.status in (CheckStatus.FAIL, CheckStatus.WARN)}
        assert faults == {"broker.writable"}, faults
        yield
        admin.config_set("maxmemory", "0")
    yield


# Queues ----------------------------------------------------------------------------------------------

ROUTED = {"task_routes": {"tests.project.tasks.add": {"queue": "ai_tasks"}}}


@situation("unhealthy", "queues.consumed", "fail", subject="celery", within="unconsumed_seconds")
def consumer_cancelled(system: System) -> Iterator[None]:
    worker = system.worker()
    system.healthy()
    system.app.control.cancel_consumer("celery", destination=[worker.hostname])
    eventually(
        lambda: any(w.is_paused for w in system.report().snapshot.workers), 10, what="consumes nothing"
    )
    system.send("add", count=5)
    yield
    system.app.control.add_consumer("celery", destination=[worker.hostname])
    yield


@situation("degraded", "workers.consuming", "warn", marks=("slow",))
def consumer_cancelled_while_nothing_waits(system: System) -> Iterator[None]:
    worker = system.worker()
    system.healthy()
    system.app.control.cancel_consumer("celery", destination=[worker.hostname])
    yield
    # As it is told to people, pasted.
    [told] = [check for check in system.report().checks if check.id == "workers.consuming"]
    system.run(str(told.recommendation).rpartition(": ")[2])
    yield


@situation("unhealthy", "queues.consumed", "fail", subject="ai_tasks", within="unconsumed_seconds")
def worker_without_q(system: System) -> Iterator[None]:
    system.conf.update(ROUTED)
    system.worker(queues=["celery"])
    system.healthy()
    system.send("add", count=3)
    yield
    system.worker(queues=["ai_tasks"])
    yield


@situation(
    "unhealthy", "queues.consumed", "fail", subject="celrey", within="unconsumed_seconds", marks=("slow",)
)
def typing_error_in_a_queue_name(system: System) -> Iterator[None]:
    system.worker()
    system.healthy()
    system.send_from_a_process("add", queue="celrey")
    yield
    system.worker(queues=["celrey"])
    yield


@situation("degraded", "queues.consumed", "warn", subject="nightly", within="unconsumed_seconds")
def scheduled_queue_without_consumer_empty(system: System) -> Iterator[None]:
    system.conf["beat_schedule"] = {
        "report": {"task": "tests.project.tasks.add", "schedule": 86400.0, "options": {"queue": "nightly"}}
    }
    system.health["EXPECT_BEAT"] = False
    system.worker(queues=["celery"])
    yield
    system.worker(queues=["nightly"])
    yield


@situation("healthy")
def all_tasks_routed_away_from_celery(system: System) -> Iterator[None]:
    system.conf["task_routes"] = {"*": {"queue": "work"}}
    system.worker(queues=["work"])
    system.send("add", count=5)
    system.healthy()
    yield from stay(system, patience(system))


@situation("degraded", "queues.depth", "warn", subject="celery")
def saturated_by_slow_tasks(system: System) -> Iterator[None]:
    system.worker()
    system.healthy()
    system.send("sleep", 0.5 if not system.is_soak else 1, count=10 if not system.is_soak else 20)
    system.send("add", count=int(system.limit("depth")) + 10)
    yield
    yield


@situation("degraded", "queues.depth", "warn", subject="celery")
def deep_over_priorities(system: System) -> Iterator[None]:
    system.worker()
    system.healthy()
    system.send("sleep", 3, count=5 if not system.is_soak else 10)
    depth = int(system.limit("depth"))
    for priority in (0, 3, 6, 9):
        system.send("add", count=depth // 4 + 4, priority=priority)
    yield
    yield


@situation("unhealthy", "queues.stalled", "fail", subject="celery", within="stalled_seconds")
def stuck_pool_with_a_waiting_queue(system: System) -> Iterator[None]:
    worker = system.worker()
    system.healthy()
    children = worker.child_pids()
    for pid in children:
        os.kill(pid, signal.SIGSTOP)
    system.send("add", count=12)
    yield
    for pid in children:
        os.kill(pid, signal.SIGCONT)
    yield


@situation("healthy")
def prefetch_full_of_eta_tasks(system: System) -> Iterator[None]:
    system.worker()
    system.send("add", count=20, countdown=600)
    system.healthy()
    yield from stay(system, patience(system))


@situation("healthy", marks=("slow",))
def rate_limited_tasks_fill_the_prefetch(system: System) -> Iterator[None]:
    system.worker()
    system.send("limited", count=15)
    report = system.until(
        lambda report: report.snapshot.workers[0].state is WorkerState.HELD_BACK, 20, "held back"
    )
    (stalled,) = [check for check in report.checks if check.id == "queues.stalled"]
    assert "of 'tests.project.tasks.limited' for its rate limit (20/h)" in stalled.message, stalled
    # Past the limit, and at the default ones past the next run that the rate allows.
    yield from stay(system, 1.6 * system.limit("stalled_seconds"))


@situation("healthy", marks=("slow",))
def eta_tasks_fill_the_limit_of_the_worker(system: System) -> Iterator[None]:
    system.conf["worker_eta_task_limit"] = 6
    system.worker()
    system.send("add", count=20, countdown=600)
    report = system.until(
        lambda report: report.snapshot.workers[0].state is WorkerState.HELD_BACK, 20, "held back"
    )
    (stalled,) = [check for check in report.checks if check.id == "queues.stalled"]
    assert "until its ETA (worker_eta_task_limit 6)" in stalled.message, stalled
    yield from stay(system, 1.3 * system.limit("stalled_seconds"))


@situation("healthy", marks=("slow",))
def freed_after_a_long_saturation(system: System) -> Iterator[None]:
    limit = system.limit("not_consuming_seconds")
    # One read takes longer than the limit: neither what was full, nor who waits for a message, has stopped.
    system.conf["broker_transport_options"] = {"polling_interval": 2 * limit}
    system.worker(options=["--prefetch-multiplier=1"])
    system.healthy()
    system.send("sleep_late", limit + 2)
    yield from stay(system, 3 * limit + 3)


@situation("healthy")
def clocks_five_minutes_off(system: System) -> Iterator[None]:
    system.worker(queues=["celery"])
    system.healthy()
    for _ in range(int(patience(system) * 2)):
        for skew in (-300.0, 300.0):
            system.send("add", headers={"celery_health_published_at": time.time() + skew})
        yield from stay(system, 0.4)


@situation("healthy")
def orphaned_unacked_messages(system: System) -> Iterator[None]:
    """No check but tasks.lost is misled by them (tests.situations.losses)."""
    system.health["CHECKS"] = {"tasks.lost": "off"}
    worker = system.worker(name="prod")
    system.send("sleep_late", 600, count=4)
    eventually(lambda: system.report().snapshot.workers[0].active_count, 10, what="running")
    worker.kill()
    system.worker(name="prod")
    system.healthy()
    yield from stay(system, patience(system))


# Who consumes a queue --------------------------------------------------------------------------------


@situation("unhealthy", "queues.consumed", "fail", subject="celery", within="unconsumed_seconds")
def name_of_a_dead_worker(system: System) -> Iterator[None]:
    """Redis keeps the binding of a killed worker; its record is long gone."""
    dead = system.worker(name="dead", plain=True)
    system.worker(name="alive", queues=["other"])
    dead.wait_heeds(system.app)
    dead.kill()
    system.send("add", count=3)
    yield
    system.worker(name="next")
    yield


EMAILS = {"task_routes": {"tests.project.tasks.sleep": {"queue": "emails"}}}


@situation("healthy")
def consumed_by_another_application(system: System) -> Iterator[None]:
    system.conf.update(EMAILS)
    system.worker(queues=["celery"])
    system.worker(queues=["emails"], health={**system.settings, "APP_ID": "crm"})
    system.send("sleep", patience(system) / 8, count=12)
    yield from stay(system, patience(system))


@situation("degraded", "queues.consumed", "warn", subject="celery")
def consumed_by_another_project_too(system: System) -> Iterator[None]:
    system.worker(queues=["celery"])
    system.worker(app="tests.crm", pool="solo", env={"DJANGO_SETTINGS_MODULE": ""})
    yield


@situation("healthy")
def consumed_by_a_worker_without_celery_health(system: System) -> Iterator[None]:
    system.conf.update(EMAILS)
    system.worker(queues=["celery"])
    system.worker(queues=["emails"], plain=True)
    system.send("sleep", patience(system) / 8, count=12)
    yield from stay(system, patience(system))


@situation("unhealthy", "queues.consumed", "fail", subject="celery", within="unconsumed_seconds")
def sole_worker_draining(system: System) -> Iterator[None]:
    # It is killed in the end, and takes a run with it.
    system.health["CHECKS"] = {"tasks.lost": "off"}
    worker = system.worker()
    system.healthy()
    system.send("sleep", 3 * system.limit("unconsumed_seconds") + 60)
    eventually(lambda: system.report().snapshot.workers[0].active_count, 10, what="running")
    worker.signal(signal.SIGTERM)
    eventually(lambda: system.report().snapshot.workers[0].is_draining, 10, what="draining")
    system.send("add", count=20)
    yield
    worker.kill()
    system.worker(name=worker.hostname)
    yield


@situation("unhealthy", "queues.consumed", "fail", subject="celery", within="unconsumed_seconds")
def sole_worker_cut_off_from_the_broker(system: System) -> Iterator[None]:
    """Its records still come: the store is reached by another way."""
    proxy = system.stack.enter_context(Proxy(system.redis.port))
    system.reader_url = system.redis.url
    system.health["STORE_URL"] = system.redis.url
    system.worker(url=proxy.url(system.redis.url))
    system.healthy()
    proxy.refuse()
    system.send("add", count=50)
    yield
    proxy.forward()
    yield


@situation("healthy")
def asking_is_forbidden(system: System) -> Iterator[None]:
    """Redis 7 gives new users no channels: that proves nothing about a worker without celery_health."""
    system.conf.update(EMAILS)
    with Redis.from_url(system.redis.url) as admin:
        admin.execute_command("ACL", "SETUSER", "reader", "on", ">secret", "~*", "+@all", "resetchannels")
    system.reader_url = system.redis.url.replace("redis://", "redis://reader:secret@")
    system.worker(queues=["celery"])
    system.worker(queues=["emails"], plain=True)
    system.healthy()
    system.send("sleep", patience(system) / 3, count=12)
    yield from stay(system, patience(system))


# Pools and tasks -------------------------------------------------------------------------------------


# The time is what the pool takes to notice, and to fork again, so many times.
@situation("degraded", "workers.pool", "warn", within="childless_seconds")
def children_killed_in_a_loop(system: System) -> Iterator[None]:
    system.worker()
    system.healthy()
    # Twice the limit: on a busy machine some of these children die more than a minute before the last.
    for _ in range(2 * int(system.limit("children_restarts_per_minute"))):
        system.send("kill9")
    yield


@situation("healthy")
def max_tasks_per_child_one(system: System) -> Iterator[None]:
    system.worker(options=["--max-tasks-per-child=1"])
    system.healthy()
    for _ in range(5):
        system.send("add", count=5)
        yield from stay(system, patience(system) / 5)


@situation("healthy", marks=("slow",))
def autoscaled_to_none(system: System) -> Iterator[None]:
    system.worker(options=["--autoscale=2,0"], env={"AUTOSCALE_KEEPALIVE": "1"})
    system.healthy()
    system.until(lambda report: report.snapshot.workers[0].children == 0, 20, "no process")
    yield from stay(system, 1.3 * system.limit("childless_seconds"))
    # Longer than two records are apart, so that one of them shows it.
    system.send("sleep", 12 if system.is_soak else 2)
    system.until(lambda report: report.snapshot.workers[0].active_count, 20, "runs again")
    yield


@situation("healthy")
def solo_busy(system: System) -> Iterator[None]:
    system.worker(pool="solo")
    system.healthy()
    system.send("busy", 120 if system.is_soak else patience(system))
    yield from stay(system, 125 if system.is_soak else patience(system))


@situation("healthy")
def gevent_busy(system: System) -> Iterator[None]:
    system.worker(pool="gevent", concurrency=4)
    system.healthy()
    system.send("busy", 120 if system.is_soak else patience(system))
    yield from stay(system, 125 if system.is_soak else patience(system))


@situation("degraded", "tasks.stuck", "warn")
def task_longer_than_it_says(system: System) -> Iterator[None]:
    system.health["TASKS"] = {"tests.project.tasks.sleep": {"expected": 2}}
    system.worker()
    system.healthy()
    system.send("sleep", 8)
    yield
    yield


@situation("degraded", "tasks.unknown", "warn", subject="accounts.tasks.sync")
def beat_task_under_an_unknown_name(system: System) -> Iterator[None]:
    system.worker()
    system.healthy()
    system.send("accounts.tasks.sync")
    yield


@situation("degraded", "tasks.failing", "warn", subject="tests.project.tasks.fail")
def task_that_always_fails(system: System) -> Iterator[None]:
    system.worker()
    system.healthy()
    system.send("fail", count=12)
    yield


@situation("healthy")
def mixed_fleet(system: System) -> Iterator[None]:
    system.worker(name="new")
    system.worker(name="old", plain=True)
    system.send("add", count=10)
    system.until(
        lambda report: {w.hostname for w in report.snapshot.workers} == {"new@test", "old@test"},
        10,
        "both seen",
    )
    yield from stay(system, patience(system))


@situation("unhealthy", "workers.alive", "fail")
def only_another_apps_worker(system: System) -> Iterator[None]:
    system.worker(health={**system.settings, "APP_ID": "another"})
    yield
    system.worker()
    yield


# Rows that stand in modules of their own.
from tests.situations import backlog, ends, losses, results, starts, writes  # noqa: E402, F401
