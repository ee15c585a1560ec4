"""A worker that everything happens to, and the truth of what it ran, kept elsewhere."""

from __future__ import annotations

import json
import os
import re
import signal
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from celery import VERSION as CELERY_VERSION

from tests.support import Proxy, Worker, eventually
from tests.worker.conftest import PREFIX, Ledger
from tests.worker.ends import OF_RUNS, expected
from tests.worker.raw import push, task_headers
from tests.worker.truth import WAITING

#: Task and what it is told to do.
Call = tuple[str, str]

TASKS: Final = ("early", "late", "requeued", "based", "named")
#: Their message is acknowledged before they run, so that it cannot go back to the queue.
EARLY: Final = ("early", "based")

_ANYWHERE: Final = (
    *["succeed"] * 4,
    "fail", "unpicklable", "unserialisable", "retry", "retry_once", "ignore", "reject", "requeue_once",
)  # fmt: skip
_RECEIVED: Final = re.compile(rf"Task {re.escape(PREFIX)}(\w+)\[[^\]]+\] received")


def calls_of(pool: str) -> list[Call]:
    """Return one wave of calls: every outcome that the pool knows, on every kind of task."""
    calls = [(task, what) for what in _ANYWHERE for task in TASKS]
    if pool == "prefork":
        calls += [(task, what) for what in ("sys_exit", "os_exit") for task in TASKS if task != "requeued"]
        # Put back when its child is lost, it would be lost again for ever: it is lost once.
        calls += [("requeued", "kill_once"), ("late", "kill"), ("early", "await_kill")]
        calls += [("soft", "hang"), ("hard", "hang"), ("hard_late", "hang"), ("late", "await_revoke")]
    else:
        calls += [(task, "burn") for task in TASKS[:2]]
    if pool == "threads":
        # Late ones Celery never acknowledges: each takes a slot of the prefetch window for good.
        calls += [("early", "sys_exit")]
    if pool == "gevent":
        calls += [("hard", "hang"), ("late", "await_revoke")]
    return calls


def runs_of(calls: list[Call]) -> int:
    """Return how many executions `calls` lead to."""
    runs = 0
    for task, what in calls:
        is_put_back = what == "kill_once" or (what == "requeue_once" and task not in EARLY)
        runs += 2 if is_put_back or what in ("retry", "retry_once") else 1
    return runs


@dataclass(kw_only=True)
class Torture:
    """Sends waves of tasks, kills, revokes and restarts, and knows what must have been counted."""

    ledger: Ledger
    start: Callable[[], Worker]
    gate: Proxy
    """In front of the store."""
    pool: str
    worker: Worker = field(init=False)
    workers: list[Worker] = field(default_factory=list)
    runs: int = 0
    ended: int = 0
    """Runs that were ended from outside."""
    restarts: int = 0
    outage_runs: int = 0
    unrun: Counter[tuple[str, ...]] = field(default_factory=Counter)
    """Counters of what never runs."""

    def __post_init__(self) -> None:
        self._begin()

    def _begin(self) -> None:
        self.worker = self.start()
        self.workers.append(self.worker)

    # What is done to it

    def wave(self, calls: list[Call], *, restart: bool = False) -> None:
        """Send `calls` and what cannot be run, and return when all have run."""
        for task, what in calls:
            self.ledger.send(task, what)
        self._send_unrun()
        self.runs += runs_of(calls)
        wanted = self.ended + sum(what.startswith("await_") for _, what in calls)
        eventually(lambda: self._end_waiting() >= wanted, 120, what="tasks that wait for their end")
        eventually(lambda: self._ran() >= self.runs, 180, what=f"{self.runs} runs")
        if restart:
            self.restart()

    def restart(self) -> None:
        """Have the worker end as it should, with tasks in its hands, and its successor take its name.

        It ends when those have begun, and Celery knows: at a warm shutdown it forgets what it gave to a
        process that has not answered yet, which may run all the same, and run again when it is delivered
        again (``AsynPool.flush``). That run is nobody's, and in no count.
        """
        tasks = 1 if self.pool == "solo" else 4  # as many as run at once: none may be on its way to a process
        for _ in range(tasks):
            self.ledger.send("late", "succeed", 4.0)
        hostname = self.worker.hostname
        eventually(
            lambda: self.ledger.record(hostname).get("active_count") == tasks, 30, what="tasks in hand"
        )
        self.worker.signal(signal.SIGTERM)
        self.worker.wait(90)
        self.restarts += 1
        self._begin()
        self.runs += tasks
        eventually(lambda: self._ran() >= self.runs, 60, what=f"{self.runs} runs after a restart")

    def outage(self, seconds: float, calls: list[Call]) -> None:
        """Take the store away for so long, and go on working."""
        before = self.runs
        for trouble in (self.gate.refuse, self.gate.black_hole):
            until = time.monotonic() + seconds / 2
            self.gate.forward()
            trouble()
            while time.monotonic() < until:
                self.wave(calls)
        self.outage_runs = self.runs - before
        self.gate.forward()

    def _send_unrun(self) -> None:
        """Send messages that are turned away: expired, of a name that nobody has, and unreadable."""
        self.ledger.send("early", "succeed", expires=-5)
        self.unrun["revoked", "early"] += 1
        self.unrun["expired", "early"] += 1
        self.ledger.app.send_task("nobody.registers_this")
        self.unrun["unknown", "nobody.registers_this"] += 1
        headers = task_headers("named")
        push(self.ledger.client, b"[[}", content_type="application/json", headers=headers)
        self.unrun["rejected", "named"] += 1

    def _end_waiting(self) -> int:
        """Kill the child, or revoke the task, that asks for it; return how many there were."""
        waiting = self.ledger.client.lrange(WAITING, 0, -1)
        assert isinstance(waiting, list)
        for entry in waiting[: len(waiting) - self.ended]:
            what, task_id, pid = json.loads(entry)
            self.ended += 1
            if what == "await_kill":
                os.kill(pid, signal.SIGKILL)
            else:
                self.ledger.app.control.revoke(task_id, terminate=True)
        return self.ended

    def _ran(self) -> int:
        return sum(self.ledger.ran().values())

    # What must have been counted

    def truth(self) -> dict[tuple[str, ...], int]:
        """Return every counter as the tasks' notes and the worker's log have it."""
        counters = Counter(expected(self.ledger.ran())) + self.unrun
        for worker in self.workers:
            for name in _RECEIVED.findall(worker.log):
                counters["received", name] += 1
        if self.pool != "prefork":  # pool processes count nothing
            for (family, *name), times in list(counters.items()):
                if family == "retried":
                    counters["sent", *name] += times
        # An unreadable body is received, too, but not logged so.
        counters["received", "named"] += self.unrun["rejected", "named"]
        return dict(counters)

    def check(self) -> None:
        """End the worker and compare."""
        eventually(lambda: self._unread() == 0, 60, what="messages left in the queue")
        self.worker.signal(signal.SIGTERM)
        self.worker.wait(90)
        counted, truth = self.ledger.totals(), self.truth()
        print(self.table(counted, truth))
        assert {key: total for key, total in counted.items() if key[0] != "internal_errors"} == truth
        assert not [key for key in counted if key[0] == "internal_errors"]
        timed: Counter[str] = Counter()
        for key, total in truth.items():
            if key[0] == "started":
                timed[key[1]] += total
        assert self.ledger.runs_timed() == timed
        for worker in self.workers:
            assert "celery_health failed" not in worker.log

    def _unread(self) -> int:
        length = self.ledger.client.llen("celery")
        assert isinstance(length, int)
        return length

    def table(self, counted: dict[tuple[str, ...], int], truth: dict[tuple[str, ...], int]) -> str:
        """Return what was counted beside the truth, by counter."""
        lines = [
            f"\nCelery {'.'.join(map(str, CELERY_VERSION[:3]))}, {self.pool}: {self.runs} runs, "
            f"{self.ended} ended from outside, {self.restarts} restarts, "
            f"{self.gate.replies_dropped} replies dropped, {self.outage_runs} runs during the outage",
            f"{'counter':<32} {'truth':>7} {'counted':>7}",
        ]
        groups = ["received", *OF_RUNS, "unknown", "sent"]
        for group in groups:
            kinds = {key[2] if len(key) > 2 else "" for key in (*counted, *truth) if key[0] == group}
            for kind in sorted(kinds):
                sums = [
                    sum(t for k, t in of.items() if k[0] == group and (k[2] if len(k) > 2 else "") == kind)
                    for of in (truth, counted)
                ]
                lines.append(f"{f'{group} {kind}'.strip():<32} {sums[0]:>7} {sums[1]:>7}")
        return "\n".join(lines)
