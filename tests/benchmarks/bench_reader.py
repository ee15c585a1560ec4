"""A whole reading, judged, beside the bare Redis commands for the same data."""

from __future__ import annotations

from typing import Any

from celery import Celery

from celery_health.conf import Settings
from celery_health.deadline import Deadline
from celery_health.health import judge
from celery_health.reading.reader import Reader
from celery_health.store import Publication
from tests.benchmarks.base import Figure, in_turns
from tests.benchmarks.stores import store_and_client

WORKERS, QUEUES, STEPS = 200, 1000, ("", "\x06\x163", "\x06\x166", "\x06\x169")


def record(number: int, queues: list[str]) -> dict[str, Any]:
    """Return what a busy worker says of itself."""
    return {
        "v": 1,
        "app_id": "benchmarks",
        "pid": number,
        "pool": "prefork",
        "concurrency": 8,
        "children": 8,
        "queues": queues,
        "fingerprint": "f",
        "connected": True,
        "looping": True,
        "can_consume": True,
        "read_age_seconds": 0.1,
        "loop_age_seconds": 0.1,
        "progress_age_seconds": 0.1,
        "active_count": 8,
        "active": [
            {
                "task_id": f"{number}-{slot}",
                "task_name": f"shop.tasks.number_{slot}",
                "queue": queues[0],
                "runtime_seconds": 1.5,
            }
            for slot in range(8)
        ],
        "active_by_queue": {queues[0]: 8},
    }


def bench_reading_judged() -> Figure:
    with store_and_client() as (store, client):
        names = [f"queue-{number}" for number in range(QUEUES)]
        for number in range(WORKERS):
            mine = names[number * 5 : number * 5 + 5]
            store.publish(
                Publication(
                    writer=f"w{number}",
                    sequence=1,
                    kind="worker",
                    name=f"worker-{number}@host",
                    record=record(number, mine),
                    registered=("f", tuple(f"shop.tasks.number_{n}" for n in range(100))),
                    consumed=tuple(mine),
                    ring={f"shop.tasks.number_{n}\x1fsucceeded": 1 for n in range(100)},
                )
            )
        settings = Settings(app_id="benchmarks")
        port = client.connection_pool.connection_kwargs["port"]
        app = Celery("benchmarks", broker=f"redis://127.0.0.1:{port}/0", set_as_current=False)
        reader = Reader(app, settings)
        keys: Any = store.keys  # type: ignore[attr-defined]
        minute = int(store.read(Deadline.after(5)).server_time // 60)
        lists = [name + step for name in names for step in STEPS]

        def floor() -> None:
            pipeline = client.pipeline(transaction=False)
            pipeline.time()
            for key in (keys.processes, keys.records, keys.beats, keys.registered, keys.consumed):
                pipeline.hgetall(key)
            for past in range(10):
                pipeline.hgetall(f"{keys.ring}{minute - past}")
            for key in lists:
                pipeline.llen(key)
            pipeline.execute()

        def ours() -> None:
            report = judge(reader.read(Deadline.after(5)), settings)
            assert len(report.snapshot.workers) == WORKERS
            assert len(report.snapshot.queues) >= QUEUES

        try:
            return in_turns(
                "200 workers, 1,000 queues x 4 steps, read and judged / bare",
                ours,
                floor,
                target=1.5,
                rounds=30,
            )
        finally:
            reader.close()
            app.close()
