"""What the store keeps of the starts under one name of a worker."""

from __future__ import annotations

import time
from typing import Any

import pytest

from celery_health.store import keys
from celery_health.store.base import OwnStart, Store, StoredStarts
from tests.store.conftest import Writer, read

NAME = "celery@a"


class Process:
    """One process of a worker, that reports."""

    def __init__(self, store: Store, name: str = NAME) -> None:
        self._writer = Writer(store, kind="worker", name=name)
        self.id = self._writer.writer[:8]

    def tell(self, *, age: float = 0.0, ready: bool = False, told: bool = False) -> None:
        start = OwnStart(age_seconds=age, is_ready=ready, is_told=told)
        self._writer.publish(record={"hostname": NAME, "goodbye": False}, start=start)


def starts(store: Store, name: str = NAME) -> StoredStarts | None:
    return read(store).starts.get(name)


def shown(found: StoredStarts) -> list[tuple[bool, bool]]:
    return [(one.is_ready, one.is_told) for one in found.starts]


def test_starts__a_sound_one_is_not_worth_reading(store: Any) -> None:
    process = Process(store)
    process.tell()
    found = starts(store)
    assert found is not None and found.vain_count == 1
    process.tell(ready=True)
    process.tell(ready=True)
    assert starts(store) is None


def test_starts__each_process_is_one(store: Any) -> None:
    for _ in range(3):
        process = Process(store)
        for _ in range(3):
            process.tell()
    found = starts(store)
    assert found is not None
    assert (shown(found), found.vain_count) == ([(False, False)] * 3, 3)
    assert found.vain_since == found.starts[0].stamp


def test_starts__say_who_became_ready_and_who_was_told_to_stop(store: Any) -> None:
    one, two = Process(store), Process(store)
    one.tell(age=50)
    one.tell(age=52, ready=True)
    one.tell(age=55, ready=True, told=True)
    two.tell(age=1)
    found = starts(store)
    assert found is not None
    assert shown(found) == [(True, True), (False, False)]
    assert [start.writer for start in found.starts] == [one.id, two.id]
    assert (found.vain_count, found.vain_since) == (1, found.starts[1].stamp)


def test_starts__are_dated_by_the_clock_of_the_store(store: Any) -> None:
    Process(store).tell(age=100)
    found = starts(store)
    assert found is not None
    assert time.time() - found.vain_since / 1e6 == pytest.approx(100, abs=3)


def test_starts__in_vain_are_counted_beyond_those_that_are_kept(store: Any) -> None:
    for _ in range(keys.MAX_STARTS + 5):
        Process(store).tell()
    found = starts(store)
    assert found is not None
    assert (len(found.starts), found.vain_count) == (keys.MAX_STARTS, keys.MAX_STARTS + 5)
    assert found.vain_since < found.starts[0].stamp


def test_starts__one_that_becomes_ready_ends_the_row(store: Any) -> None:
    Process(store).tell()
    second = Process(store)
    second.tell()
    second.tell(ready=True)
    found = starts(store)
    assert found is not None and (found.vain_count, found.vain_since) == (0, 0)


def test_starts__after_a_goodbye_the_row_begins_anew(store: Any) -> None:
    first = Process(store)
    first.tell(age=60)
    first.tell(age=60, told=True)
    Process(store).tell(age=1)
    found = starts(store)
    assert found is not None
    assert (found.vain_count, found.vain_since) == (1, found.starts[1].stamp)


def test_starts__after_a_long_pause_the_row_begins_anew(store: Any, redis_client: Any) -> None:
    Process(store).tell()
    last, since, rest = redis_client.hget(store.keys.starts, NAME).split(b" ", 2)
    past = int(last) - 700_000_000
    redis_client.hset(store.keys.starts, NAME, f"{past} {int(since) - 700_000_000} {rest.decode()}")
    Process(store).tell()
    found = starts(store)
    assert found is not None and found.vain_count == 1


def test_starts__of_long_ago_are_not_taken_for_new(store: Any) -> None:
    Process(store).tell(age=keys.STARTS_SECONDS + 1, ready=True)
    Process(store).tell(age=90_000, ready=True)
    assert starts(store) is None


def test_starts__one_that_takes_hours_is_kept(store: Any) -> None:
    process = Process(store)
    for _ in range(2):
        process.tell(age=keys.STARTS_SECONDS + 60)
    found = starts(store)
    assert found is not None
    assert (found.vain_count, found.starts) == (1, ())
    assert time.time() - found.vain_since / 1e6 == pytest.approx(keys.STARTS_SECONDS + 60, abs=3)


def test_starts__expire_and_make_room(store: Any, redis_client: Any) -> None:
    Process(store).tell()
    assert 0 < redis_client.ttl(store.keys.starts) <= keys.STARTS_SECONDS
    redis_client.hset(store.keys.starts, "gone@b", "1 1 1 abcdef01:1:0")
    Process(store, "celery@c").tell()
    assert not redis_client.hexists(store.keys.starts, "gone@b")


def test_starts__of_a_publication_that_comes_twice_are_one(store: Any) -> None:
    writer = Writer(store, kind="worker", name=NAME)
    publication = writer.prepare(record={"hostname": NAME}, start=OwnStart(age_seconds=0))
    for _ in range(3):
        store.publish(publication)
    found = starts(store)
    assert found is not None and found.vain_count == 1


def test_starts__what_others_wrote_is_left_out(store: Any, redis_client: Any) -> None:
    Process(store).tell()
    redis_client.hset(store.keys.starts, "odd@b", "what\nis this")
    redis_client.hset(store.keys.starts, "odd@c", "1 2 3 abc:1:0:0 :: 12345678:5:0")
    Process(store).tell()
    reading = read(store)
    assert set(reading.starts) == {NAME, "odd@c"}
    assert [one.stamp for one in reading.starts["odd@c"].starts] == [5]
    assert reading.skipped == {store.keys.starts: 1}


def test_starts__a_key_of_another_type_blinds_nothing(store: Any, redis_client: Any) -> None:
    redis_client.set(store.keys.starts, "mine")
    Process(store).tell()
    reading = read(store)
    assert [one.name for one in reading.workers] == [NAME]
    assert reading.starts == {}
    assert any(store.keys.starts in problem for problem in reading.problems)
