"""The store beside the bare commands: a flush, and a reading of 200 workers."""

from __future__ import annotations

from typing import Any

from celery_health.deadline import Deadline
from celery_health.store import Publication
from tests.benchmarks.base import Figure, in_turns
from tests.benchmarks.stores import store_and_client

#: What an exactly-once flush cannot do without, wherever it runs.
BARE_FLUSH = """
local held = tonumber(redis.call('GET', KEYS[2]) or '0')
if tonumber(ARGV[1]) <= held then return held end
for i = 2, #ARGV, 2 do redis.call('HINCRBY', KEYS[1], ARGV[i], ARGV[i + 1]) end
redis.call('SET', KEYS[2], ARGV[1], 'EX', 172800)
return tonumber(ARGV[1])
"""


def _flush(fields: int) -> Figure:
    deltas = {f"runtime\x1fshop.tasks.number_{number}\x1fcelery\x1e7": 3 for number in range(fields)}
    arguments = [part for pair in deltas.items() for part in pair]
    with store_and_client() as (store, client):
        last = store.publish(Publication(writer="bench", sequence=1))
        bare: Any = client.register_script(BARE_FLUSH)
        sent = 0

        def ours() -> None:
            nonlocal last
            last = store.publish(
                Publication(
                    writer="bench",
                    sequence=last.sequence + 1,
                    acknowledged=last.sequence,
                    acknowledged_at=last.server_time,
                    epoch=last.epoch,
                    fields=deltas,
                )
            )

        def floor() -> None:
            nonlocal sent
            sent += 1
            bare(keys=["bare:totals", "bare:sequence"], args=[sent, *arguments])

        return in_turns(f"flush of {fields} fields / bare Lua call", ours, floor, target=1.3)


def bench_flush_60() -> Figure:
    return _flush(60)


def bench_flush_300() -> Figure:
    return _flush(300)


def bench_read_200_workers() -> Figure:
    record = {
        "v": 1,
        "pool": "prefork",
        "queues": [f"queue-{number}" for number in range(5)],
        "fingerprint": "f",
        "active": [
            {
                "task_id": f"id-{number}",
                "task_name": "shop.tasks.number",
                "queue": "queue-1",
                "runtime_seconds": 1.5,
            }
            for number in range(8)
        ],
    }
    names = tuple(f"shop.tasks.number_{number}" for number in range(100))
    queues = tuple(f"queue-{number}" for number in range(1000))
    with store_and_client() as (store, client):
        publications = [
            Publication(
                writer=f"w{number}",
                sequence=1,
                kind="worker",
                name=f"worker-{number}@host",
                record={**record, "pid": number},
                registered=("f", names),
                consumed=queues if number == 0 else (),
                ring={f"{name}\x1fsucceeded": 1 for name in names},
            )
            for number in range(200)
        ]
        for publication in publications:
            store.publish(publication)
        keys: Any = store.keys  # type: ignore[attr-defined]
        minute = int(store.read(Deadline.after(5)).server_time // 60)
        sequences = dict.fromkeys((publication.writer for publication in publications), 1)
        turn = 0

        def floor() -> None:
            pipeline = client.pipeline(transaction=False)
            pipeline.time()
            for key in (keys.processes, keys.records, keys.beats, keys.registered, keys.consumed):
                pipeline.hgetall(key)
            for past in range(10):
                pipeline.hgetall(f"{keys.ring}{minute - past}")
            pipeline.execute()

        def ours() -> None:
            store.read(Deadline.after(2), ring_minutes=10)

        def changing() -> None:
            # Between two readings a second apart, every fifth worker says something new.
            nonlocal turn
            turn += 1
            for publication in publications[turn % 5 :: 5]:
                sequences[publication.writer] += 1
                store.publish(
                    Publication(
                        writer=publication.writer,
                        sequence=sequences[publication.writer],
                        kind="worker",
                        name=publication.name,
                        record={**record, "turn": turn},
                    )
                )

        return in_turns(
            "reading 200 workers, 1,000 queues, 10 min / bare commands",
            ours,
            floor,
            target=1.5,
            rounds=40,
            between=changing,
        )
