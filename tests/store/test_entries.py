"""What the store keeps of each entry of the schedule, across all beats."""

from __future__ import annotations

from typing import Any

import pytest
import redis

from celery_health.store import keys
from celery_health.store.base import OwnEntry, Store, StoredEntry
from tests.store.conftest import Writer, read

pytestmark = pytest.mark.redis
PRINT, OTHER = "0000000a", "0000000b"


def tell(store: Store, *entries: OwnEntry, writer: Writer | None = None) -> None:
    """Have a beat tell these entries; a new one if none is given."""
    record = {"name": "celerybeat@a", "goodbye": False}
    (writer or Writer(store, kind="beat", name="celerybeat@a")).publish(record=record, entries=entries)


def entry(name: str = "sync", done: float | None = None, print_: str = PRINT) -> OwnEntry:
    return OwnEntry(name=name, fingerprint=print_, done_seconds=done)


def kept(store: Store, name: str = "sync") -> StoredEntry:
    return read(store).entries[name]


def age(client: redis.Redis, store: Any, seconds: float, *names: str) -> None:
    """Have all that is kept, or these names alone, be older by so much."""
    key = store.keys.entries
    for name, value in client.hgetall(key).items():
        if not names or name.decode() in names:
            told, since, done, print_ = value.decode().split(" ")
            older = [int(stamp) and int(stamp) - int(seconds * 1e6) for stamp in (told, since, done)]
            client.hset(key, name, " ".join([*map(str, older), print_]))


def test_entries__outlive_the_beat_that_told_them(store: Any, redis_client: redis.Redis) -> None:
    tell(store, entry(done=5.0), entry("new"))
    age(redis_client, store, 100)
    tell(store, entry(), entry("new"))

    assert kept(store).done_seconds == pytest.approx(105, abs=3)
    assert kept(store).listed_seconds == pytest.approx(100, abs=3)
    assert kept(store, "new").done_seconds is None
    assert kept(store, "new").listed_seconds == pytest.approx(100, abs=3)


def test_entries__the_last_that_sent_it_counts(store: Any, redis_client: redis.Redis) -> None:
    tell(store, entry(done=5.0))
    age(redis_client, store, 100)
    tell(store, entry(done=1.0))
    tell(store, entry(done=50.0))

    assert kept(store).done_seconds == pytest.approx(1, abs=3)


def test_entries__another_schedule_begins_anew(store: Any, redis_client: redis.Redis) -> None:
    tell(store, entry(done=5.0))
    age(redis_client, store, 100)
    tell(store, entry(print_=OTHER))

    assert kept(store).fingerprint == OTHER
    assert kept(store).done_seconds is None
    assert kept(store).listed_seconds < 5


def test_entries__one_that_was_away_while_others_were_told_begins_anew(
    store: Any, redis_client: redis.Redis
) -> None:
    tell(store, entry(), entry("other"))
    age(redis_client, store, keys.ENTRY_ABSENCE_SECONDS + 60, "sync")
    tell(store, entry("other"))
    tell(store, entry(), entry("other"))

    assert kept(store).listed_seconds < 5


def test_entries__the_time_without_any_beat_is_not_theirs(store: Any, redis_client: redis.Redis) -> None:
    tell(store, entry(done=1.0))
    age(redis_client, store, keys.ENTRY_ABSENCE_SECONDS + 60)
    tell(store, entry())

    assert kept(store).listed_seconds < 5
    assert kept(store).done_seconds is None


def test_entries__are_bounded_and_end(
    store: Any, redis_client: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keys, "MAX_ENTRIES", 3)
    tell(store, *(entry(f"e{number}") for number in range(9)))
    assert len(read(store).entries) <= 4
    age(redis_client, store, keys.ENTRY_ABSENCE_SECONDS + 60)
    tell(store, entry("one"))
    tell(store, entry("one"))

    assert "one" in read(store).entries
    assert 0 < redis_client.ttl(store.keys.entries) <= keys.ENTRY_SECONDS


def test_entries__what_others_wrote_there_hides_nothing_else(store: Any, redis_client: redis.Redis) -> None:
    redis_client.set(store.keys.entries, "text")
    tell(store, entry())
    reading = read(store)
    assert not reading.entries
    assert [one.name for one in reading.beats] == ["celerybeat@a"]

    redis_client.delete(store.keys.entries)
    tell(store, entry())
    redis_client.hset(store.keys.entries, "odd", "what")
    assert set(read(store).entries) == {"sync"}


def test_entries__a_thousand_hold_the_server_for_little(store: Any, redis_client: redis.Redis) -> None:
    beat = Writer(store, kind="beat", name="celerybeat@a")
    many = [entry(f"entry number {number} of a long schedule", done=1.0) for number in range(1000)]
    tell(store, *many, writer=beat)
    spent = []
    for _ in range(5):
        redis_client.config_resetstat()
        tell(store, *many, writer=beat)
        spent.append(redis_client.info("commandstats")["cmdstat_evalsha"]["usec"])
    print(f"{min(spent)} us in the server for a thousand entries")

    assert min(spent) < 5000, spent
