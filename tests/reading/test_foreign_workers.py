"""Workers of another project on our broker: what they are asked, and what stands in their logs."""

from __future__ import annotations

from collections.abc import Callable

from celery import Celery

from celery_health.conf import Settings
from celery_health.deadline import Deadline
from celery_health.reading.inspection import Inspector
from celery_health.reading.reader import Reader
from tests.support import Worker

CALLS = 10


def start_foreign(start: Callable[..., Worker], url: str) -> Worker:
    env = {"DJANGO_SETTINGS_MODULE": ""}
    return start(url, app="tests.crm", pool="solo", env=env)


def test_ask__processes_that_know_nothing_leave_no_error_in_a_foreign_log(
    broker_url: str, make_app: Callable[..., Celery], worker_factory: Callable[..., Worker]
) -> None:
    """On Redis ours keeps a record in the store; on RabbitMQ there is none, and both are asked."""
    foreign = start_foreign(worker_factory, broker_url)
    ours = worker_factory(broker_url, pool="solo")
    app = make_app(broker_url)
    app.conf.imports = ("tests.project.tasks",)
    foreign.wait_heeds(app)
    ours.wait_heeds(app)

    def call() -> bool:
        reader = Reader(app, Settings(app_id="tests.project"))
        snapshot = reader.read(Deadline.after(5))
        reader.close()
        asked = Inspector(app).ask([foreign.hostname, ours.hostname], Deadline.after(5))
        found = [queue.foreign_consumers for queue in snapshot.queues if queue.name == "celery"]
        return (
            [worker.hostname for worker in snapshot.workers] == [ours.hostname]
            and found == [(foreign.hostname,)]
            and set(asked.reports) == {ours.hostname}
            and set(asked.builtin) == {foreign.hostname}
        )

    # On a busy machine one or the other may come too late.
    assert sum(call() for _ in range(CALLS)) > 0
    assert "pidbox command error" not in foreign.log
    assert "pidbox command error" not in ours.log
