"""The tasks that workers hold, one by one: apart from their records, and read only when asked for."""

import time

import pytest
import redis

from celery_health.deadline import Deadline
from celery_health.exceptions import StoreError
from celery_health.store import rows as reading_rows
from celery_health.store import skipped
from tests.store.conftest import Writer, read

ROWS = {"active": [{"task_id": "1"}], "reserved": [], "scheduled": [{"task_id": "größer\n2"}]}


def worker(store, name="w@host", **published):
    writer = Writer(store, kind="worker", name=name)
    writer.publish(**{"record": {"active_count": 1}, "rows": ROWS, **published})
    return writer


def key_of(writer):
    return writer.writer, writer.fixed["name"]


def read_rows(store, *writers, seconds=5.0):
    return store.rows([key_of(writer) for writer in writers], Deadline.after(seconds))


def test_rows__are_of_each_process_and_come_back_as_they_were(store):
    # Of two that live under one name, each has its own.
    one, other = worker(store), worker(store, rows={"active": []})
    found = read_rows(store, other, one)
    assert [(row.writer, row.name, row.record) for row in found.rows] == [
        (*key_of(other), {"active": []}),
        (*key_of(one), ROWS),
    ]
    assert all(0 <= row.age_seconds < 5 for row in found.rows)
    assert (found.unread, found.problems) == ((), ())


def test_rows__no_reading_of_records_holds_any(store, redis_url):
    worker(store, rows={"active": [{"task_id": "x" * 100_000}]})
    client = redis.Redis.from_url(redis_url)
    before = client.info("stats")["total_net_output_bytes"]
    assert [one.record for one in read(store).workers] == [{"active_count": 1}]
    # Answers to both of our own questions included.
    assert client.info("stats")["total_net_output_bytes"] - before < 20_000
    client.close()


def test_rows__stay_when_a_record_comes_without_and_keep_their_age(store, redis_client):
    writer = worker(store)
    [(field, value)] = redis_client.hgetall(store.keys.rows).items()
    stamp, _, rest = value.partition(b" ")
    redis_client.hset(store.keys.rows, field, b"%d " % (int(stamp) - 40_000_000) + rest)
    writer.publish(record={"active_count": 2})
    [row] = read_rows(store, writer).rows
    assert row.record == ROWS
    assert 40 <= row.age_seconds < 45


def test_rows__of_a_worker_of_an_earlier_version_there_are_none(store):
    old, new = worker(store, "old@host", rows=None), worker(store, "new@host")
    found = read_rows(store, old, new)
    assert [row.name for row in found.rows] == ["new@host"]
    assert found.unread == ()


def test_rows__go_with_their_process(store, redis_client):
    writers = [worker(store, "w@host") for _ in range(2)]
    for field in redis_client.hkeys(store.keys.processes):
        told = redis_client.hget(store.keys.processes, field)
        stamp, _, rest = told.partition(b" ")
        redis_client.hset(store.keys.processes, field, b"%d " % (int(stamp) - 25 * 3600_000_000) + rest)
    newest = worker(store, "new@host")
    assert [row.name for row in read_rows(store, *writers, newest).rows] == ["new@host"]
    assert redis_client.hlen(store.keys.rows) == 1


def test_rows__an_odd_entry_hides_no_other(store, redis_client):
    writers = [worker(store, f"w{number}@host") for number in range(6)]
    now = str(int(time.time() * 1e6)).encode()
    odd = [b"", b"no stamp", now + b" [1]", now + b" " + b"[" * 100_000, b"9" * 16 + b" {}"]
    for writer, value in zip(writers[1:], odd, strict=True):
        redis_client.hset(store.keys.rows, " ".join(key_of(writer)), value)
    before = skipped.counted().get("store.rows", 0)
    found = read_rows(store, *writers)
    assert [row.name for row in found.rows] == ["w0@host"]
    assert found.unread == ()
    [problem] = found.problems
    assert problem.startswith(f"5 entries of '{store.keys.rows}' in the store cannot be read")
    assert skipped.counted()["store.rows"] == before + 5


def test_rows__a_key_of_another_type_stops_no_report_and_is_named(store, redis_client):
    redis_client.set(store.keys.rows, "mine")
    writer = Writer(store, kind="worker", name="w@host")
    assert writer.publish({"a": 1}, record={"active_count": 1}, rows=ROWS).unwritten == (store.keys.rows,)
    assert read(store).workers[0].record == {"active_count": 1}
    found = read_rows(store, writer)
    assert found.rows == ()
    [problem] = found.problems
    assert problem.startswith(f"The key '{store.keys.rows}' of the store is of a type")


def test_rows__of_a_store_that_is_away_are_an_error(store, redis_client):
    writer = worker(store)
    redis_client.client_pause(500)  # milliseconds
    with pytest.raises(StoreError, match="did not take the call"):
        read_rows(store, writer, seconds=0.1)


def test_rows__are_read_in_steps_and_what_did_not_fit_is_said(store, redis_client, monkeypatch):
    writers = [worker(store, f"w{n}@host", rows={"active": [{"args": "x" * 900}]}) for n in range(10)]
    monkeypatch.setattr(reading_rows, "STEP_BYTES", 2_000)
    monkeypatch.setattr(reading_rows, "STEP_WORKERS", 4)
    assert [row.name for row in read_rows(store, *writers).rows] == [f"w{n}@host" for n in range(10)]
    monkeypatch.setattr(reading_rows, "MAX_BYTES", 5_000)
    found = read_rows(store, *writers)
    assert [row.name for row in found.rows] == [f"w{n}@host" for n in range(6)]
    assert found.unread == tuple(key_of(writer) for writer in writers[6:])


def test_rows__what_there_was_no_time_for_is_said(store, monkeypatch):
    writers = [worker(store, f"w{n}@host") for n in range(4)]
    monkeypatch.setattr(reading_rows, "STEP_WORKERS", 2)
    deadline = Deadline.after(5)
    run = store._run

    def slow(*arguments):
        answer = run(*arguments)
        # The first answer takes all the time there is: a double, since no server is slow on demand.
        object.__setattr__(deadline, "expires_at", 0.0)
        return answer

    monkeypatch.setattr(store, "_run", slow)
    found = store.rows([key_of(writer) for writer in writers], deadline)
    assert [row.name for row in found.rows] == ["w0@host", "w1@host"]
    assert found.unread == tuple(key_of(writer) for writer in writers[2:])


def test_rows__no_step_holds_the_store_for_long(store, monkeypatch):
    """200 workers with 300 tasks each, as large as they come without arguments: 12 MB.

    Each step reads so little that it takes a millisecond or two; a busy machine takes longer for anything.
    """
    row = {
        "task_id": "x" * 36,
        "task_name": "shop.tasks.pay",
        "queue": "celery",
        "eta": "2026-01-28T10:30:00",
    }
    writers = [worker(store, f"w{n}@host", rows={"scheduled": [row] * 400}) for n in range(200)]
    steps, run = [], store._run

    def counted(*arguments):
        answer = run(*arguments)
        steps.append([len(value) for value in answer[2]])
        return answer

    monkeypatch.setattr(store, "_run", counted)
    found = read_rows(store, *writers)
    assert (len(found.rows), found.unread) == (200, ())
    assert sum(map(len, steps)) == 200
    assert len(steps) > 5
    assert all(sum(step[:-1]) < reading_rows.STEP_BYTES for step in steps)
