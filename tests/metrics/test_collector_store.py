"""The collector over a real store that forgets."""

from collections.abc import Callable

import pytest
from prometheus_client import CollectorRegistry

from celery_health.conf import Settings
from celery_health.deadline import Deadline
from celery_health.metrics.collector import CeleryHealthCollector
from celery_health.reporting.totals import Totals
from celery_health.store import Publication, Store, open_store
from tests.metrics.conftest import report


@pytest.fixture
def store(make_app, redis_url):
    store = open_store(make_app(redis_url), Settings(app_id="shop"))
    yield store
    store.close()


def registry_over(store: Store) -> Callable[..., float | None]:
    collector = CeleryHealthCollector(
        report=report,
        reading=lambda: store.read(Deadline.after(2), totals=True),
        reset_if_behind=lambda epoch, version: store.reset_if_behind(epoch, version, Deadline.after(2)),
        max_age_seconds=0,
    )
    registry = CollectorRegistry()
    registry.register(collector)
    return registry.get_sample_value


PAY = {"name": "pay", "queue_name": "celery"}


def test_collector__shows_what_was_published_and_never_a_dent(store, redis_client):
    totals = Totals()
    value = registry_over(store)
    sequence = 0

    def publish():
        nonlocal sequence
        sequence += 1
        # A writer of its own each time, as after a restart: none of them can notice what the reader must.
        store.publish(Publication(writer=f"w{sequence}", sequence=1, fields=totals.drain().fields))

    def run():
        series = totals.series("pay", "celery")
        series.succeeded()
        series.runtime(0.3)

    run()
    publish()
    old = {key: redis_client.dump(key) for key in redis_client.scan_iter()}
    run()
    run()
    publish()
    assert value("celery_task_succeeded_total", PAY) == 3
    assert value("celery_task_runtime_count", PAY) == 3

    redis_client.flushall()
    for key, dumped in old.items():
        redis_client.restore(key, 0, dumped)
    assert value("celery_task_succeeded_total", PAY) is None  # started again: not the 1 of the snapshot
    run()
    publish()
    assert value("celery_task_succeeded_total", PAY) == 1
    assert value("celery_task_runtime_sum", PAY) == 0.3
    assert value("celery_health_store_up") == 1
