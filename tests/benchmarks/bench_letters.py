"""What keeping dead letters costs: failures per second of a worker that keeps each, and one that does not."""

from __future__ import annotations

import statistics

import redis
from celery import Celery

from tests.benchmarks.base import Figure
from tests.dead_letters import storm
from tests.support import RedisServer, Worker

FAILURES, PAIRS = 2000, 4


def bench_failures_kept() -> Figure:
    with RedisServer() as server, redis.Redis.from_url(server.url) as client:
        app = Celery("bench", broker=server.url, set_as_current=False)
        workers: dict[str, Worker] = {}
        took: dict[str, list[float]] = {"kept": [], "monitored": []}
        try:
            for kind in took:
                workers[kind] = Worker(
                    server.url,
                    name=kind,
                    concurrency=2,
                    queues=[f"idle-{kind}"],
                    health={"DEAD_LETTERS": {"enabled": kind == "kept"}},
                    conf=dict(storm.CONF),
                ).start()
                workers[kind].wait_ready()
                storm.run(app, workers[kind], f"warm-{kind}", 500)
            for pair in range(PAIRS):
                for kind in took if pair % 2 else reversed(took):
                    found = storm.run(app, workers[kind], f"queue-{kind}", FAILURES)
                    took[kind].append(1 / found.per_second)
            assert client.llen("queue-kept.dead") > 0
        finally:
            for worker in workers.values():
                worker.close()
            app.close()
    median = {kind: statistics.median(times) for kind, times in took.items()}
    print(f"  failures: kept {1 / median['kept']:.0f}, not kept {1 / median['monitored']:.0f} per second")
    return Figure(
        name=f"a failing task, kept as a dead letter / not kept ({PAIRS} pairs)",
        ours_seconds=median["kept"],
        floor_seconds=median["monitored"],
        ratio=statistics.median(a / b for a, b in zip(took["kept"], took["monitored"], strict=True)),
        target=1.1,
    )
