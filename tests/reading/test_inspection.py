"""Questions to live workers, several at a time: of two runs, of a reading and a discovery."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from celery import Celery

from celery_health.deadline import Deadline
from celery_health.reading.inspection import Inspector
from tests.support import Worker


def test_ask__conversations_take_no_answers_from_each_other(
    broker_url: str, make_app: Callable[..., Celery], worker_factory: Callable[..., Worker]
) -> None:
    worker = worker_factory(broker_url, pool="threads")
    inspector = Inspector(make_app(broker_url))

    def ask(_: int) -> bool:
        return worker.hostname in inspector.ask([worker.hostname], Deadline.after(10)).reports

    with ThreadPoolExecutor(4) as threads:
        answered = list(threads.map(ask, range(24)))

    assert answered == [True] * 24
