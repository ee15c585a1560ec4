"""A reading that would hold the Redis for long comes in parts, and is as right as one in a single call."""

import pytest

from celery_health.exceptions import StoreError
from celery_health.store import parts
from celery_health.store.remembered import Processes
from celery_health.store.scripts import COUNTS, READ, ROWS
from tests.store.conftest import Writer, read


@pytest.fixture
def calls(store, monkeypatch):
    """The scripts that the store ran, each with its answer."""
    ran, run = [], store._run

    def noted(script, *arguments):
        answer = run(script, *arguments)
        ran.append((script, answer))
        return answer

    monkeypatch.setattr(store, "_run", noted)
    return ran


def start_workers(store, amount, length=3_000):
    writers = [Writer(store, kind="worker", name=f"w{number}@höst") for number in range(amount)]
    for number, writer in enumerate(writers):
        writer.publish(record={"number": number, "text": "x" * length})
    return writers


def numbers_of(reading):
    return {one.name: one.record["number"] for one in reading.workers}


def test_records__of_many_workers_come_in_bounded_calls(store, calls):
    writers = start_workers(store, 250)
    calls.clear()

    assert numbers_of(read(store)) == {f"w{number}@höst": number for number in range(250)}

    assert [script for script, _ in calls] == [READ, *[ROWS] * (len(calls) - 1)]
    # One record, or one of the reading's little steps, may go over the bound.
    assert len(calls[0][1][13]) < parts.RECORD_BYTES + 20 * 3_100
    assert all(sum(map(len, answer[2])) < parts.RECORD_BYTES + 3_100 for _, answer in calls[1:])
    for number, writer in enumerate(writers[:40]):
        writer.publish(record={"number": number + 1_000})
    calls.clear()
    found = numbers_of(read(store))
    assert [script for script, _ in calls] == [READ]  # few have changed
    assert found == {f"w{number}@höst": number + 1_000 * (number < 40) for number in range(250)}


def test_records__that_change_or_go_between_two_parts_are_read_next_time(store, redis_client, monkeypatch):
    monkeypatch.setattr(parts, "MAX_RECORDS", 5)
    writers = start_workers(store, 20, length=10)
    run = store._run

    def changing(script, *arguments):
        answer = run(script, *arguments)
        if script is READ:
            monkeypatch.setattr(store, "_run", run)
            for number, writer in enumerate(writers):
                writer.publish(record={"number": number + 100})
        return answer

    monkeypatch.setattr(store, "_run", changing)
    assert len(numbers_of(read(store))) == 20
    assert numbers_of(read(store)) == {f"w{number}@höst": number + 100 for number in range(20)}
    # Another type beside many processes: said, and no error.
    redis_client.delete(store.keys.records)
    redis_client.set(store.keys.records, "mine")
    store._processes = Processes()
    reading = read(store)
    assert reading.workers == ()
    assert any("is of a type" in problem for problem in reading.problems)


@pytest.fixture
def many_counts(store, redis_client, monkeypatch):
    """Totals and minutes of a thousand fields each, while 200 are read at once; returns the totals."""
    monkeypatch.setattr(parts, "MAX_FIELDS", 200)
    Writer(store).publish({f"sent\x1fp{number}\x1fq": number + 1 for number in range(1_000)})
    minute = int(read(store).server_time // 60)
    for past in range(2):
        counts = {f"p{number}\x1fsent": number + past for number in range(1_000)}
        redis_client.hset(f"{store.keys.ring}{minute - past}", mapping=counts)
    return {f"sent\x1fp{number}\x1fq": number + 1 for number in range(1_000)}


def test_counts__of_many_fields_come_in_bounded_calls(store, calls, many_counts):
    reading = read(store, ring_minutes=5)
    assert reading.totals == many_counts
    newest, before = sorted(reading.ring, reverse=True)
    for past, minute in enumerate((newest, before)):
        expected = {(f"p{number}", "sent"): number + past for number in range(1_000)}
        assert reading.ring[minute] == expected
    texts = [answer[2] for script, answer in calls if script is COUNTS]
    assert len(texts) >= 3 * 4
    assert max(text.count(b"\n") for text in texts) < 2 * 2 * 200


def test_counts__that_are_none_hide_no_other_in_parts(store, redis_client, many_counts):
    redis_client.hset(store.keys.totals, "odd", "many")
    reading = read(store)
    assert reading.totals == many_counts
    assert reading.skipped == {store.keys.totals: 1}


def test_counts__that_grow_meanwhile_are_never_older_than_the_call(store, many_counts, monkeypatch):
    writer, run = Writer(store), store._run

    def growing(script, *arguments):
        answer = run(script, *arguments)
        if script is COUNTS:
            monkeypatch.setattr(store, "_run", run)
            writer.publish(dict.fromkeys(many_counts, 10))
            monkeypatch.setattr(store, "_run", growing)
        return answer

    monkeypatch.setattr(store, "_run", growing)
    found = read(store).totals
    assert set(found) == set(many_counts)
    assert all(found[field] >= count for field, count in many_counts.items())


@pytest.mark.parametrize("times", [1, 2])
def test_counts__are_of_one_epoch(store, many_counts, monkeypatch, times):
    run, left = store._run, times

    def starting_over(script, *arguments):
        nonlocal left
        answer = run(script, *arguments)
        if script is READ and left:
            left -= 1
            monkeypatch.setattr(store, "_run", run)
            store.reset_if_behind(2**52 - 10 * left, 1, arguments[-1])
            Writer(store).publish({f"sent\x1fnew{number}\x1fq": 1 for number in range(1_000)})
            monkeypatch.setattr(store, "_run", starting_over)
        return answer

    monkeypatch.setattr(store, "_run", starting_over)
    if times == 2:
        with pytest.raises(StoreError, match="started all totals again while they were read"):
            read(store)
    else:
        assert set(read(store).totals) == {f"sent\x1fnew{number}\x1fq" for number in range(1_000)}


def test_consumed__of_many_queues_comes_in_steps(store, redis_client, calls):
    names = [f"queue-{number}" for number in range(parts.MAX_FIELDS + 500)]
    Writer(store, kind="worker", name="w@host").publish(record={}, consumed=tuple(names))
    calls.clear()

    assert set(read(store).consumed) == set(names)

    scripts = [script for script, _ in calls]
    assert (scripts[0], set(scripts[1:])) == (READ, {COUNTS})
    # One that is no stamp hides no other, and is counted.
    redis_client.hset(store.keys.consumed, "odd", "x")
    found = read(store)
    assert set(found.consumed) == set(names)
    assert found.skipped == {store.keys.consumed: 1}
