"""How each task of `tests.worker.truth` must be counted, by what it was told to do."""

from __future__ import annotations

from collections import Counter
from typing import Final

from tests.worker.conftest import Ledger

#: What a task is told to do → the counter it ends in; the class where it is a failure.
ENDS: Final[dict[str, tuple[str, ...]]] = {
    "succeed": ("succeeded",),
    "burn": ("succeeded",),
    "fail": ("failed", "Boom"),
    "unpicklable": ("failed", "Unpicklable"),
    "unserialisable": ("failed", "EncodeError"),
    "retry": ("retried",),
    "exhausted": ("failed", "Boom"),
    "ignore": ("ignored",),
    "reject": ("rejected",),
    "requeue": ("rejected",),
    "sys_exit": ("failed", "SystemExit"),
    "os_exit": ("failed", "WorkerLostError"),
    "kill": ("failed", "WorkerLostError"),
    "await_kill": ("failed", "WorkerLostError"),
    "await_revoke": ("revoked",),
}
#: What only some tasks make of it.
SPECIAL: Final[dict[tuple[str, str], tuple[str, ...]]] = {
    ("requeued", "kill"): ("rejected",),
    ("requeued", "os_exit"): ("rejected",),
    ("soft", "hang"): ("failed", "SoftTimeLimitExceeded"),
    ("hard", "hang"): ("failed", "TimeLimitExceeded"),
    ("hard_late", "hang"): ("failed", "TimeLimitExceeded"),
}
#: Whose process was killed, whatever became of the message: counted once more, for that.
KILLED: Final = ("os_exit", "kill", "await_kill")
#: The counters of what was run.
OF_RUNS: Final = ("started", "succeeded", "failed", "retried", "ignored", "rejected", "revoked", "killed")


def expected(ran: Counter[tuple[str, str]]) -> dict[tuple[str, ...], int]:
    """Return the counters that the truth asks for."""
    counters: Counter[tuple[str, ...]] = Counter()
    for (task, what), times in ran.items():
        family, *exception = SPECIAL.get((task, what)) or ENDS[what]
        counters[("started", task)] += times
        counters[(family, task, *exception)] += times
        if what in KILLED:
            counters[("killed", task)] += times
    return dict(counters)


def outcomes(ledger: Ledger) -> dict[tuple[str, ...], int]:
    """Return what was counted of started and ended executions."""
    return {key: total for key, total in ledger.totals().items() if key[0] in OF_RUNS}
