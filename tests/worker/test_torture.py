"""Everything at once, on every pool, against the truth: each counter is exact, or the test fails.

Children killed from outside and from inside, time limits, recycled children, revoked, expired and unreadable
messages, tasks with bases and Requests of their own, warm restarts with tasks in hand, a store that loses
one reply in twenty, and one that is gone for a while.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
import redis
from celery import Celery

from celery_health.conf import Settings
from celery_health.store import open_store
from tests.support import Proxy, RedisServer, Worker
from tests.worker.conftest import APP_ID, Ledger
from tests.worker.torture import Torture, calls_of

POOLS = ["prefork", "threads", "solo", "gevent"]
CONCURRENCY = {"prefork": 4, "threads": 4, "solo": 1, "gevent": 20}


@pytest.fixture
def torture(
    redis_url: str,
    redis_client: redis.Redis,
    own_redis: Callable[..., RedisServer],
    proxy: Callable[[int], Proxy],
    make_app: Callable[..., Celery],
    truth_worker: Callable[..., Worker],
) -> Iterator[Callable[[str], Torture]]:
    """Start a worker whose store is a Redis of its own behind a proxy."""
    server = own_redis()
    gate = proxy(server.port)
    app = make_app(redis_url)
    store = open_store(app, Settings(app_id=APP_ID, store_url=server.url))
    assert store is not None

    def begin(pool: str) -> Torture:
        def start() -> Worker:
            return truth_worker(
                pool=pool,
                concurrency=CONCURRENCY[pool],
                name="tortured@host",
                options=["--max-tasks-per-child", "40"] if pool == "prefork" else [],
                health={
                    "STORE_URL": gate.url(server.url), "HEARTBEAT_INTERVAL": 1, "FLUSH_INTERVAL": 0.1,
                },
            )  # fmt: skip

        return Torture(ledger=Ledger(redis_client, store, app), start=start, gate=gate, pool=pool)

    yield begin
    store.close()


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    # The long run plays all pools, twice; with the suite, the one whose outcomes come from most sides.
    "pool",
    [pytest.param(pool, marks=[] if pool == "prefork" else [pytest.mark.soak]) for pool in POOLS],
)
def test_torture__every_counter_is_exact(pool: str, torture: Callable[[str], Torture]) -> None:
    victim, calls = torture(pool), calls_of(pool)
    victim.gate.drop_replies(0.05)
    victim.wave(calls)
    victim.outage(2, calls)
    victim.gate.drop_replies(0.05)
    victim.wave(calls, restart=True)
    victim.check()


@pytest.mark.soak
@pytest.mark.parametrize("pool", POOLS)
def test_torture__more_than_a_thousand_runs_and_an_outage_of_thirty_seconds(
    pool: str, torture: Callable[[str], Torture]
) -> None:
    victim, calls = torture(pool), calls_of(pool)
    victim.gate.drop_replies(0.05)
    for turn in range(22):
        victim.wave(calls, restart=turn % 5 == 4)
        if turn == 10:
            victim.outage(30, calls)
            victim.gate.drop_replies(0.05, seed=2)
    assert victim.runs >= 1000
    assert pool != "prefork" or victim.ended >= 40  # half of them SIGKILLed children
    assert victim.gate.replies_dropped > 0
    victim.check()
