"""What a worker says of the messages that it holds is what the broker says of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import redis

from tests.support import Worker, eventually
from tests.worker.conftest import Ledger

#: A record is due at once.
QUICK = {"HEARTBEAT_INTERVAL": 0.5, "FLUSH_INTERVAL": 0.1}


def test_record__names_what_it_holds_and_how_that_was_acknowledged(
    ledger: Ledger, truth_worker: Callable[..., Worker], redis_client: redis.Redis
) -> None:
    worker = truth_worker(pool="threads", concurrency=1, health=QUICK)
    ledger.send("late", "succeed", 60)
    ledger.send("late", "succeed", 0)
    ledger.send("late", "succeed", 0, countdown=600)

    def told() -> dict[str, Any] | None:
        record: dict[str, Any] = ledger.record(worker.hostname)
        return record if record["active_count"] == 1 and record["unacked"]["count"] == 3 else None

    record = eventually(told, 20, what="three held")
    assert record is not None
    tags = redis_client.zrange("unacked_index", 0, -1)
    assert len(tags) == 3
    assert record["unacked"]["tags"] == "".join(tag.decode()[:8] for tag in tags)
    [row] = record["active"]
    assert row["acknowledged"] is False
    assert row["tag"] in record["unacked"]["tags"]
    assert record["restarted"] == []
