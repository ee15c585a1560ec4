"""The situations that RabbitMQ answers in ways of its own: with a Redis store, and without any."""

from __future__ import annotations

import time

import pytest
from kombu import Queue

from celery_health.brokers import amqp_writes
from celery_health.deadline import Deadline
from celery_health.records import CheckResult, Status, WorkerState
from tests.situations.starts import Supervisor
from tests.situations.system import System, has
from tests.situations.table import SITUATIONS, stay
from tests.situations.test_situations import play
from tests.support import RabbitServer, RedisServer, eventually
from tests.text.splitting import commands_in

pytestmark = pytest.mark.live

BY_NAME = {row.name: row for row in SITUATIONS}

WITH_STORE = [
    "all_well",
    pytest.param("worker_sigkilled", marks=pytest.mark.smoke),
    "worker_sigstopped",
    "consumer_cancelled",
    "worker_without_q",
    "stuck_pool_with_a_waiting_queue",
    "saturated_by_slow_tasks",
    "prefetch_full_of_eta_tasks",
    "countdowns_that_end_at_once",
    pytest.param("every_worker_takes_everything", marks=pytest.mark.slow),
    pytest.param("rate_limited_tasks_fill_the_prefetch", marks=pytest.mark.slow),
    "solo_busy",
    "beat_task_under_an_unknown_name",
    "only_another_apps_worker",
    "sole_worker_draining",
    "killed_while_it_ran_three_tasks",
    "consumed_by_another_application",
]

#: Live inspection alone: what cannot be known is unknown, and never a wrong red.
WITHOUT_STORE = [
    "all_well",
    "no_worker_ever",
    "all_stopped",
    "worker_without_q",
    "consumer_cancelled",
    "solo_busy",
    "gevent_busy",
    "saturated_by_slow_tasks",
    "consumed_by_a_worker_without_celery_health",
]


@pytest.mark.timeout(120)
@pytest.mark.parametrize("name", WITH_STORE)
def test_rabbitmq__with_a_store(name: str, rabbit_url: str, redis_server: RedisServer) -> None:
    with RedisServer() as store:
        system = System(redis=store, is_soak=False, url=rabbit_url, health={"STORE_URL": store.url})
        play(BY_NAME[name], system)


@pytest.mark.slow
@pytest.mark.timeout(120)
def test_rabbitmq__eta_tasks_fill_a_quorum_queues_prefetch(
    rabbit_url: str, redis_server: RedisServer
) -> None:
    # There the prefetch count is static; a sender that does not know sends ETA tasks straight to the queue.
    with RedisServer() as store:
        system = System(redis=store, is_soak=False, url=rabbit_url, health={"STORE_URL": store.url})
        try:
            system.worker(conf={"task_default_queue_type": "quorum"})
            system.app.conf.task_queues = [Queue("celery", no_declare=True)]
            system.send("add", count=12, countdown=600)
            report = system.until(
                lambda report: report.snapshot.workers[0].state is WorkerState.HELD_BACK, 20, "held back"
            )
            [hold] = report.snapshot.workers[0].held_back or ()
            assert (hold.by, hold.count, hold.limit) == (
                "eta", 4, "prefetch count 4, static on quorum queues"
            )  # fmt: skip
            for _ in stay(system, 1.3 * system.limit("stalled_seconds")):
                assert system.report().status is Status.HEALTHY
        finally:
            system.close()


@pytest.mark.slow
@pytest.mark.timeout(120)
def test_rabbitmq__an_alarm_refuses_writes(
    rabbit: RabbitServer, rabbit_url: str, redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(amqp_writes, "ASK_EVERY_SECONDS", 1.0)
    with RedisServer() as store:
        system = System(redis=store, is_soak=False, url=rabbit_url, health={"STORE_URL": store.url})
        try:
            system.worker()
            system.healthy()
            rabbit.set_alarm("memory")
            report = system.until(
                lambda report: has(report, "broker.writable", "fail"), 20, "says that nothing can be sent"
            )
            assert report.status is Status.UNHEALTHY
            assert "low on memory" in " ".join(report.recommendations)
            started = time.monotonic()
            writes, _ = system.reader.pings.get(Deadline.after(2.0))
            assert writes.accepted is False
            assert time.monotonic() - started < 2.0
            # Workers go on with what they have.
            assert has(report, "workers.alive", "pass")
            rabbit.clear_alarm("memory")
            system.healthy()
            # Nothing of ours is in a queue.
            system.send("add", count=1)
            system.until(lambda report: all(q.ready == 0 for q in report.snapshot.queues), 20, "all taken")
        finally:
            rabbit.clear_alarm("memory")
            system.close()


@pytest.mark.timeout(120)
@pytest.mark.parametrize("name", WITHOUT_STORE)
def test_rabbitmq__without_a_store(
    name: str, rabbit_url: str, redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Each half minute everybody is asked who is there: often enough here to meet who is busy.
    monkeypatch.setattr("celery_health.reading.live.DISCOVERY_SECONDS", 0.5)
    play(BY_NAME[name], System(redis=redis_server, is_soak=False, url=rabbit_url))


@pytest.mark.slow
@pytest.mark.timeout(180)
def test_rabbitmq__a_queue_of_another_declaration(rabbit_url: str, redis_server: RedisServer) -> None:
    # The worker dies at its first declaration, 406, and is started again each time.
    limits = {"start_seconds": 6}
    with RedisServer() as store:
        health = {"STORE_URL": store.url, "LIMITS": limits}
        system = System(redis=store, is_soak=False, url=rabbit_url, health=health)
        try:
            with system.make_app(rabbit_url).connection_for_write() as connection:
                Queue("celery", queue_arguments={"x-max-priority": 10})(connection.default_channel).declare()
            Supervisor(system, name="loop", pool="solo", health=system.settings)
            system.until(lambda report: has(report, "workers.alive", "warn"), 30, "nobody is ready")
            system.until(lambda report: has(report, "workers.alive", "fail"), 60, "for too long")

            def told() -> CheckResult | None:
                found = [check for check in system.report().checks if check.id == "workers.alive"]
                assert len(found) == 1, [check.message for check in found]
                return found[0] if "ready; the last time it ended by" in found[0].message else None

            found = eventually(told, 60)
            assert "'loop@test' has started" in found.message
            assert "inequivalent arg 'x-max-priority' for queue 'celery'" in found.message
            [command] = commands_in(found.recommendation or "")
            system.run(command)
            system.until(lambda report: report.status is Status.HEALTHY, 60, "healthy again")
        finally:
            system.close()
