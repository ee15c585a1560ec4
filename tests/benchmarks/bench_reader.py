"""A whole reading, judged, beside what nobody can do without: all lengths in one Lua call, and all records.

Between two readings every fifth record changes: workers report every five seconds, readings are one apart.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import count
from time import time
from typing import Any

from celery import Celery

from celery_health.conf import Settings
from celery_health.deadline import Deadline
from celery_health.health import judge
from celery_health.reading.reader import Reader
from celery_health.store import Publication
from tests.benchmarks.base import Figure, in_turns
from tests.benchmarks.stores import store_and_client

STEPS = ("", "\x06\x163", "\x06\x166", "\x06\x169")
WORKERS, QUEUES_OF_EACH = 200, 5
#: One in so many records changes between two readings.
CHANGES = 5

_LENGTHS = """
local lengths = {}
for number = 1, #ARGV do
  local total = 0
  for _, step in ipairs(KEYS) do
    total = total + redis.call('LLEN', ARGV[number] .. step)
  end
  lengths[number] = total
end
return lengths
"""


def record(number: int, queues: list[str], turn: int = 0) -> dict[str, Any]:
    """Return what a busy worker says of itself, at its `turn`-th report."""
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
                "task_id": f"{number}-{slot}-{turn}",
                "task_name": f"shop.tasks.number_{slot}",
                "queue": queues[0],
                "runtime_seconds": 1.5 + turn % 7,
            }
            for slot in range(8)
        ],
        "active_by_queue": {queues[0]: 8},
        "due_by_queue": {},
        "is_cut": False,
        "unacked": {"count": 0, "clock": time(), "tags": ""},
        "restarted": [],
        "ready": True,
        "starting": False,
        "exit": None,
    }


def publications(workers: int, names: list[str], tasks: int = 0) -> Iterator[Publication]:
    """Yield a publication of each worker in turn, again and again; each holds so many `tasks`, one by one."""
    rows = {
        "scheduled": [
            {"task_id": f"{n:036}", "task_name": "shop.tasks.pay", "eta": None} for n in range(tasks)
        ]
    }
    for turn in count():
        for number in range(workers):
            first = number * QUEUES_OF_EACH % len(names)
            mine = names[first : first + QUEUES_OF_EACH]
            yield Publication(
                writer=f"w{number}",
                sequence=turn + 1,
                kind="worker",
                name=f"worker-{number}@host",
                record=record(number, mine, turn),
                rows=rows,
                registered=("f", tuple(f"shop.tasks.number_{n}" for n in range(100))),
                consumed=tuple(mine),
                ring={} if turn else {f"shop.tasks.number_{n}\x1fsucceeded": 1 for n in range(100)},
            )


def _reading(
    workers: int, queues: int, *, rounds: int, target: float, in_seconds: bool = False, tasks: int = 0
) -> Figure:
    with store_and_client() as (store, client):
        names = [f"queue-{number}" for number in range(queues)]
        published = publications(workers, names, tasks)
        for _ in range(workers):
            publication = next(published)
            store.publish(publication)
            client.hset("floor", publication.name, json.dumps(publication.record))
        port = client.connection_pool.connection_kwargs["port"]
        app = Celery("benchmarks", broker=f"redis://127.0.0.1:{port}/0", set_as_current=False)
        settings = Settings(app_id="benchmarks")
        reader = Reader(app, settings)
        lengths = client.register_script(_LENGTHS)

        def change() -> None:
            for _ in range(workers // CHANGES):
                store.publish(next(published))

        def floor() -> None:
            assert len(lengths(keys=STEPS, args=names)) == queues
            assert len([json.loads(text) for text in client.hgetall("floor").values()]) == workers

        def ours() -> None:
            report = judge(reader.read(Deadline.after(5)), settings)
            assert len(report.snapshot.workers) == workers
            assert len(report.snapshot.queues) >= queues

        try:
            return in_turns(
                f"{workers:,} workers{f' with {tasks} tasks' if tasks else ''}, {queues:,} queues x 4 steps, "
                "read and judged",
                ours,
                floor,
                target=target,
                rounds=rounds,
                between=change,
                target_is_seconds=in_seconds,
            )
        finally:
            reader.close()
            app.close()


def bench_reading_judged() -> Figure:
    return _reading(WORKERS, 1_000, rounds=40, target=2.0)


def bench_reading_of_workers_that_hold_300_tasks() -> Figure:
    """A reading fetches none of the tasks one by one: it takes no more than without them."""
    return _reading(WORKERS, 1_000, rounds=20, target=2.0, tasks=300)


def bench_reading_judged_of_ten_times_as_many() -> Figure:
    return _reading(10 * WORKERS, 10_000, rounds=12, target=0.150, in_seconds=True)
