"""A server whose overview is asked for at full rate: it grows neither in memory nor in threads or files."""

from __future__ import annotations

import threading
import time

import psutil
import pytest

from tests.benchmarks.bench_page import LIVE, OVERVIEW, Site, served
from tests.support import WebServer

CLIENTS = 4
#: In the first seconds a process imports, fills its caches, and has the allocator take its share.
WARM_SECONDS, SECONDS = 15.0, 20.0
MOST_MIB = 8.0


@pytest.mark.soak
@pytest.mark.live
@pytest.mark.redis
@pytest.mark.timeout(180)
def test_overview__at_full_rate_leaves_nothing_behind() -> None:
    with served() as web:
        process = psutil.Process(web.pid).children()[0]
        warm = _asked(web, WARM_SECONDS)
        before = _held(process)
        asked = _asked(web, SECONDS)
        after = _held(process)

    print(f"\n  {warm} + {asked} pages; memory, threads, files: {before}, {after}")
    assert asked > 100
    assert after[0] - before[0] <= MOST_MIB, (before, after)
    assert after[1] <= before[1]
    assert after[2] <= before[2] + CLIENTS


def _held(process: psutil.Process) -> tuple[float, int, int]:
    """Return the MiB, threads and open files of a process."""
    return round(process.memory_full_info().uss / 2**20, 1), process.num_threads(), process.num_fds()


def _asked(web: WebServer, seconds: float) -> int:
    """Ask for pages, each client one after the other, and return how many were answered."""
    ends = time.monotonic() + seconds
    counts: list[int] = []
    errors: list[BaseException] = []

    def ask(path: str) -> None:
        site, count = Site(web.port), 0
        try:
            while time.monotonic() < ends:
                assert b"</main>" in site.get(path)
                count += 1
        except BaseException as error:
            errors.append(error)
        finally:
            site.connection.close()
        counts.append(count)

    clients = [threading.Thread(target=ask, args=((OVERVIEW, LIVE)[n % 2],)) for n in range(CLIENTS)]
    for client in clients:
        client.start()
    for client in clients:
        client.join(seconds + 60)
    assert errors == []
    return sum(counts)
