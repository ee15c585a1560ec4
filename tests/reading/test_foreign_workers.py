"""Workers of another project on our broker: what they are asked, and what stands in their logs."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from celery import Celery

from celery_health.conf import Settings
from celery_health.deadline import Deadline
from celery_health.reading.inspection import Inspector
from celery_health.reading.reader import Reader
from celery_health.records import Snapshot
from tests.support import Worker, eventually

CALLS = 10


#: As two projects on one machine are called, where nobody gives them names.
NAME = "celery@one-machine"


def start_foreign(start: Callable[..., Worker], url: str, **options: object) -> Worker:
    env = {"DJANGO_SETTINGS_MODULE": ""}
    return start(url, app="tests.crm", pool="solo", env=env, **options)


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


@pytest.mark.redis
@pytest.mark.slow
@pytest.mark.parametrize("store_url", [None, "redis://127.0.0.1:1/0"], ids=["records", "no store"])
def test_read__a_foreign_worker_under_the_name_of_ours_is_told_apart(
    redis_url: str,
    make_app: Callable[..., Celery],
    worker_factory: Callable[..., Worker],
    store_url: str | None,
) -> None:
    health = {"STORE_URL": store_url} if store_url else {}
    ours = worker_factory(redis_url, pool="solo", name=NAME, health=health, wait=False)
    ours.wait_ready()
    app = make_app(redis_url)
    app.conf.imports = ("tests.project.tasks",)
    reader = Reader(app, Settings(app_id="tests.project", store_url=store_url))

    def read() -> Snapshot:
        return reader.read(Deadline.after(5))

    def foreign(snapshot: Snapshot) -> list[tuple[str, ...]]:
        return [queue.foreign_consumers for queue in snapshot.queues if queue.name == "celery"]

    eventually(lambda: [worker.pid for worker in read().workers] == [ours.pid], 20)
    assert foreign(read()) == [()]
    reader.close()

    theirs = start_foreign(worker_factory, redis_url, name=NAME, wait=False)
    theirs.wait_ready()
    # Whatever is asked first: another process of the project begins.
    reader = Reader(app, Settings(app_id="tests.project", store_url=store_url))
    found = eventually(lambda: foreign(now := read()) == [(NAME,)] and now, 20)
    assert [worker.pid for worker in found.workers] == [ours.pid]
    (queue,) = (queue for queue in found.shared_queues if queue.name == "celery")
    assert [(one.hostname, one.is_other_project, one.tasks) for one in queue.sharers] == [
        (NAME, True, {"crm.sync", "crm.import_contacts"})
    ]
    for _ in range(CALLS):
        read()
    # It leaves, and is no longer spoken of.
    theirs.stop()
    eventually(lambda: foreign(read()) == [()], 40)
    reader.close()
    assert "pidbox command error" not in theirs.log
    assert "pidbox command error" not in ours.log
