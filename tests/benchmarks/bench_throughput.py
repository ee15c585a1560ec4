"""What monitoring costs a worker: tasks per second, processor time, and idle; beside plain Celery and ``-E``.

Tasks per second are what users feel, and noisy; what is ours runs in the main process, on its processor time.
"""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from typing import Any

import psutil
import redis
from celery import Celery

from tests.benchmarks.base import Figure
from tests.support import RedisServer, Worker, eventually

TASKS, PAIRS = 500, 15
NOOP = "tests.project.tasks.noop"


@dataclass(frozen=True, kw_only=True)
class _Cost:
    """What one task took, in seconds."""

    time: float
    main: float
    """Of the processor, in the worker's main process: all that is ours runs there."""
    processes: float
    """The same with its children."""


@dataclass(frozen=True, kw_only=True)
class _Run:
    """One worker and its queue."""

    worker: Worker
    queue: str
    client: Any
    app: Celery

    def seconds(self) -> _Cost:
        """Have it run `TASKS` no-op tasks; return what one took."""
        self._fill()
        main = psutil.Process(self.worker.pid)
        processes = [main, *main.children()]
        before, own = sum(_cpu(process) for process in processes), _own_cpu(self.worker.pid)
        self.app.control.add_consumer(self.queue, destination=[self.worker.hostname])
        eventually(lambda: self.client.llen(self.queue) < TASKS, 30, interval=0.001)
        started, left = time.perf_counter(), self.client.llen(self.queue)
        eventually(lambda: self.client.llen(self.queue) == 0, 120, interval=0.001)
        took = time.perf_counter() - started
        self.app.control.cancel_consumer(self.queue, destination=[self.worker.hostname])
        eventually(lambda: not self.client.hlen("unacked"), 10, interval=0.01)
        own = _own_cpu(self.worker.pid) - own
        used = sum(_cpu(process) for process in processes) - before
        return _Cost(time=took / left, main=own / TASKS, processes=used / TASKS)

    def _fill(self) -> None:
        with self.app.producer_pool.acquire(block=True) as producer:
            for _ in range(TASKS):
                self.app.send_task(NOOP, queue=self.queue, producer=producer, ignore_result=True)


def _own_cpu(pid: int) -> float:
    """Return the processor time of a process's threads. Not from stat, which counts in ticks of 10 ms."""
    total = 0
    for thread in os.listdir(f"/proc/{pid}/task"):
        with open(f"/proc/{pid}/task/{thread}/schedstat") as file:
            total += int(file.read().split()[0])
    return total / 1e9


def _cpu(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


@contextmanager
def _workers(pool: str, kinds: list[str]) -> Iterator[dict[str, _Run]]:
    concurrency = {"prefork": 2, "threads": 2, "gevent": 16}[pool]
    with RedisServer() as server, redis.Redis.from_url(server.url) as client:
        app = Celery("bench", broker=server.url, set_as_current=False)
        runs, workers = {}, []
        try:
            for kind in kinds:
                worker = Worker(
                    server.url,
                    name=kind,
                    pool=pool,
                    concurrency=concurrency,
                    queues=[f"idle-{kind}"],
                    plain=kind != "monitored",
                    options=["-E"] if kind == "events" else [],
                    conf={"task_ignore_result": True, "worker_prefetch_multiplier": 32 // concurrency},
                )
                workers.append(worker)
                worker.start()
                worker.wait_ready()
                runs[kind] = _Run(worker=worker, queue=f"queue-{kind}", client=client, app=app)
            yield runs
        finally:
            for worker in workers:
                worker.close()
            app.close()


@cache
def _costs(pool: str) -> dict[str, list[_Cost]]:
    """Return what tasks took, of each kind of worker, in pairs that are neighbours in time."""
    kinds = ["plain", "monitored", "events"]
    costs: dict[str, list[_Cost]] = {kind: [] for kind in kinds}
    with _workers(pool, kinds) as runs:
        for run in runs.values():
            run.seconds()  # warm
        for pair in range(PAIRS):
            for kind in kinds if pair % 2 else reversed(kinds):
                costs[kind].append(runs[kind].seconds())
    return costs


def _ratio(costs: dict[str, list[_Cost]], kind: str, what: str) -> float:
    pairs = zip(costs[kind], costs["plain"], strict=True)
    return statistics.median(getattr(one, what) / getattr(plain, what) for one, plain in pairs)


def _median(costs: list[_Cost], what: str) -> float:
    return statistics.median(getattr(cost, what) for cost in costs)


def _throughput(pool: str) -> Figure:
    costs = _costs(pool)
    per_second = ", ".join(f"{kind} {1 / _median(costs[kind], 'time'):.0f}" for kind in costs)
    print(
        f"  {pool}: {per_second} tasks/s; throughput monitored {1 / _ratio(costs, 'monitored', 'time'):.3f}, "
        f"-E {1 / _ratio(costs, 'events', 'time'):.3f} of plain; processor time of all processes "
        f"{_ratio(costs, 'monitored', 'processes'):.3f} and {_ratio(costs, 'events', 'processes'):.3f}, "
        f"of the main one {_ratio(costs, 'monitored', 'main'):.3f} and {_ratio(costs, 'events', 'main'):.3f}"
    )
    return Figure(
        name=f"no-op task, {pool}, monitored / plain Celery ({PAIRS} pairs)",
        ours_seconds=_median(costs["monitored"], "time"),
        floor_seconds=_median(costs["plain"], "time"),
        ratio=_ratio(costs, "monitored", "time"),
        target=1 / 0.99,
    )


def _processor(pool: str) -> Figure:
    # The third with the least: what others do on the machine costs caches, and only ever adds.
    least = {
        kind: statistics.fmean(sorted(cost.main for cost in costs)[: PAIRS // 3])
        for kind, costs in _costs(pool).items()
    }
    return Figure(
        name=f"processor time of the main process per task, {pool}",
        ours_seconds=least["monitored"],
        floor_seconds=least["plain"],
        ratio=least["monitored"] / least["plain"],
        target=1.01,
    )


def bench_throughput_prefork() -> Figure:
    return _throughput("prefork")


def bench_processor_prefork() -> Figure:
    return _processor("prefork")


def bench_throughput_threads() -> Figure:
    return _throughput("threads")


def bench_processor_threads() -> Figure:
    return _processor("threads")


def bench_throughput_gevent() -> Figure:
    return _throughput("gevent")


def bench_processor_gevent() -> Figure:
    return _processor("gevent")


@dataclass(frozen=True, kw_only=True)
class _Idle:
    cpu: float
    """Seconds of the processor per second."""
    wakeups: float
    """Voluntary context switches per second, of all threads of the main process."""
    memory: int


def _idle(worker: Worker, seconds: float) -> _Idle:
    main = psutil.Process(worker.pid)
    cpu, switches, started = _cpu(main), _switches(worker.pid), time.monotonic()
    eventually(lambda: time.monotonic() - started > seconds, seconds + 5, interval=0.5)
    passed = time.monotonic() - started
    return _Idle(
        cpu=(_cpu(main) - cpu) / passed,
        wakeups=(_switches(worker.pid) - switches) / passed,
        memory=main.memory_full_info().uss,
    )


def _switches(pid: int) -> int:
    total = 0
    for thread in os.listdir(f"/proc/{pid}/task"):
        with open(f"/proc/{pid}/task/{thread}/status") as status:
            for line in status:
                if line.startswith("voluntary_ctxt_switches"):
                    total += int(line.split()[1])
    return total


def bench_idle_worker() -> Figure:
    """Measure a worker that has nothing to do, beside a plain one."""
    with _workers("prefork", ["plain", "monitored"]) as runs:
        found = {kind: _idle(run.worker, 20) for kind, run in runs.items()}
        client = runs["plain"].client
        scripts = client.info("commandstats")
        own = sum(scripts.get(f"cmdstat_{name}", {}).get("calls", 0) for name in ("evalsha", "eval"))
        up = client.info("server")["uptime_in_seconds"]
    plain, ours = found["plain"], found["monitored"]
    print(
        f"  idle: +{(ours.cpu - plain.cpu) * 100:.2f} % of a core ({plain.cpu * 100:.2f} plain), "
        f"+{ours.wakeups - plain.wakeups:.1f} wakeups/s ({plain.wakeups:.1f} plain), "
        f"+{(ours.memory - plain.memory) / 2**20:.1f} MiB ({plain.memory / 2**20:.0f} plain), "
        f"{own} scripts in {up} s of Redis"
    )
    return Figure(
        name="idle worker: processor time per second, above plain Celery",
        ours_seconds=max(0.0, ours.cpu - plain.cpu),
        floor_seconds=plain.cpu,
        ratio=ours.cpu / plain.cpu if plain.cpu else 1.0,
        target=0.003,
        target_is_seconds=True,
    )
