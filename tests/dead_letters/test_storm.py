"""A storm of failures: all counted, the cap kept, memory flat. What it costs is printed, and a benchmark."""

from __future__ import annotations

import statistics

import pytest

from tests.dead_letters import storm
from tests.dead_letters.burying import Yard, patiently
from tests.support import Worker

MEBI = 2**20


def start(yard: Yard, *, enabled: bool, cap: int) -> Worker:
    return yard.worker(
        letters={"enabled": enabled, "max_length": cap},
        concurrency=2,
        queues=["nothing"],
        conf={**storm.CONF, "worker_redirect_stdouts": False},
        loglevel="INFO",
    )


def check_cap(yard: Yard, queue: str, failures: int, cap: int) -> None:
    """See that every failure became a letter, and that the oldest over the cap went, and were counted."""
    patiently(lambda: sum(yard.counted("dead_lettered").values()) == failures, timeout=120)
    assert yard.counted("dead_lettered") == {(queue, "exception"): failures}
    assert yard.counted("dead_letters_dropped") == {(queue, "length"): failures - cap}
    assert storm.length(yard.app, f"{queue}.dead") == cap
    assert not yard.counted("internal_errors")


@pytest.mark.slow
def test_storm__every_failure_is_counted_and_the_cap_kept(yard: Yard) -> None:
    worker = start(yard, enabled=True, cap=100)
    found = storm.run(yard.app, worker, "stormy", 1500)
    print(f"{found.per_second:.0f} failures per second")
    check_cap(yard, "stormy", 1500, 100)
    assert worker.running


@pytest.mark.soak
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("broker_url", ["redis"], indirect=True)
def test_storm__of_a_hundred_thousand(yard: Yard) -> None:
    failures, cap = 100_000, 10_000
    kept, plain = start(yard, enabled=True, cap=cap), start(yard, enabled=False, cap=cap)
    for worker in (kept, plain):
        storm.run(yard.app, worker, f"warm-{worker.hostname}", 500)
    storm.clear(yard.client, f"warm-{kept.hostname}")
    rates: dict[Worker, list[float]] = {kept: [], plain: []}
    memory = []
    # In turns, so that what slows the machine slows both.
    for turn in range(10):
        for worker in (kept, plain):
            found = storm.run(yard.app, worker, "stormy" if worker is kept else "quiet", failures // 10)
            rates[worker].append(found.per_second)
            if worker is kept:
                memory.append(found.memory[-1])
        print(
            f"turn {turn}: {rates[kept][-1]:.0f}/s kept, {rates[plain][-1]:.0f}/s not, "
            f"{memory[-1] / MEBI:.1f} MiB"
        )
    ratio = statistics.median(a / b for a, b in zip(rates[kept], rates[plain], strict=True))
    print(f"throughput with capture: {ratio:.3f} of that without")
    patiently(lambda: sum(yard.counted("dead_lettered").values()) == failures + 500, timeout=300)
    assert yard.counted("dead_letters_dropped") == {("stormy", "length"): failures - cap}
    assert storm.length(yard.app, "stormy.dead") == cap
    # From the second turn on: the first fills what is kept for re-use.
    assert memory[-1] - memory[1] < 8 * MEBI
