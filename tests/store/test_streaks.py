"""How the last runs of each task ended, in a row: exact, bounded, as old as the sequences beside it."""

from __future__ import annotations

import time

import pytest

from celery_health.exceptions import StoreError
from celery_health.records import Streak, TaskStreak
from celery_health.store import keys as limits
from tests.store.conftest import Writer, read
from tests.store.test_exactness import save
from tests.support import eventually

WELL = Streak(ended_well=True)


def failed(times=1, by="ValueError", ended_well=False):
    return Streak(failures=times, failed_by=by, ended_well=ended_well)


def failures(store):
    return {name: streak.failures for name, streak in read(store).streaks.items()}


def tell(writer, **streaks):
    return writer.publish({"runs": 1}, streaks=streaks)


def test_streaks__of_several_writers_are_one_row(store):
    one, two = Writer(store), Writer(store)
    tell(one, nightly=failed(2), pay=failed(1))
    tell(two, nightly=failed(1, by="KeyError"), mail=WELL)
    found = read(store).streaks
    assert (found["nightly"].failures, found["nightly"].failed_by) == (3, "KeyError")
    assert found["nightly"].failed_seconds < 60
    tell(two, nightly=failed(1, ended_well=True), pay=WELL)
    assert failures(store) == {"nightly": 1}
    tell(one, nightly=WELL)
    assert failures(store) == {}


def test_streaks__names_and_exceptions_may_be_anything(store):
    name, by = 'a b"\\ é', "Not an Error"
    tell(Writer(store), **{name: Streak(failures=1, failed_by=by, retries=2, retried_by="OSError")})
    (found,) = read(store).streaks.items()
    assert (found[0], found[1].failed_by, found[1].retries, found[1].retried_by) == (name, by, 2, "OSError")


def test_streaks__who_says_nothing_of_them_changes_none(store):
    """As workers of earlier versions do."""
    writer = Writer(store)
    tell(writer, nightly=failed(4))
    writer.publish({"runs": 1}, ring={"nightly\x1fsucceeded": 1})
    assert failures(store) == {"nightly": 4}


def test_streaks__lost_replies_count_once(open_store_at, redis_server, redis_url, proxy):
    between = proxy(redis_server.port)
    writer = Writer(open_store_at(between.url(redis_url)))
    between.drop_replies(0.1, seed=3)
    for _ in range(300):
        writer.prepare({"runs": 1}, streaks={"nightly": failed(1)})
        eventually(lambda: sent(writer), 10, interval=0)
    assert between.replies_dropped > 10
    assert failures(open_store_at(redis_url)) == {"nightly": 300}


def sent(writer):
    try:
        return writer.send()
    except StoreError:
        return None


def test_streaks__a_store_that_rolled_back_goes_on_where_it_was(open_store_at, own_redis):
    server = own_redis()
    store = open_store_at(server.url)
    writer = Writer(store)
    tell(writer, nightly=failed(2))
    save(server)
    writer.prepare({"runs": 1}, streaks={"nightly": failed(4)})
    writer.last = store.publish(writer.in_flight)  # lost with the memory of the server
    writer.in_flight = None
    server.kill()
    server.start()
    writer.prepare({"runs": 1}, streaks={"nightly": failed(1)})
    assert eventually(lambda: sent(writer), 10).reset
    assert failures(store) == {"nightly": 3}


def test_streaks__what_was_applied_before_a_reset_is_not_applied_again(open_store_at, own_redis, proxy):
    """The totals start from zero and take it again; the row that has it already does not."""
    server = own_redis()
    between = proxy(server.port)
    direct = open_store_at(server.url)
    one, two = Writer(open_store_at(between.url(server.url))), Writer(direct)
    tell(one, nightly=failed(1))
    one.prepare({"runs": 10}, streaks={"nightly": failed(2)})
    between.swallow(replies=True)
    with pytest.raises(StoreError):
        one.send()  # applied, and saved with its sequence; nobody learns of it
    assert failures(direct) == {"nightly": 3}
    tell(two, mail=WELL)
    save(server)
    tell(two, mail=WELL)
    server.kill()
    server.start()
    assert eventually(lambda: told(two), 10).reset
    between.forward()
    between.cut()
    assert not eventually(lambda: sent(one), 10).reset
    assert read(direct).totals == {"runs": 11}
    assert failures(direct) == {"nightly": 3}


def told(writer):
    if writer.in_flight is None:
        writer.prepare({"runs": 1})
    return sent(writer)


def test_streaks__over_the_bound_the_oldest_go(store):
    writer = Writer(store)
    tell(writer, first=failed())
    tell(writer, **{f"task-{number}": failed() for number in range(limits.MAX_STREAKS)})
    found = failures(store)
    # The next few find room: looking through all of them takes the server some milliseconds.
    assert len(found) == int(0.9 * limits.MAX_STREAKS)
    assert "first" not in found


def test_streaks__their_key_expires(store, redis_client):
    tell(Writer(store), nightly=failed())
    assert 0 < redis_client.ttl(store.keys.streaks) <= limits.STREAK_SECONDS


def test_streaks__attempts_stay_while_the_run_is_to_be_tried_again(store):
    writer = Writer(store)
    tell(writer, poll=Streak(attempts=60, again_in_seconds=30.0, retried_by="OSError", failures=2))
    tell(writer, poll=Streak(ended_well=True, attempts=4, again_in_seconds=1.0, retried_by="OSError"))
    (found,) = read(store).streaks.values()
    assert (found.failures, found.attempts, found.retried_by) == (0, 60, "OSError")
    assert -31 < found.overdue_seconds < 0
    tell(writer, poll=WELL)
    assert read(store).streaks["poll"].attempts == 60


def test_streaks__attempts_end_with_the_run_that_had_them(store):
    writer = Writer(store)
    tell(writer, poll=Streak(attempts=60, again_in_seconds=30.0, retried_by="OSError"))
    tell(writer, poll=Streak(ended_well=True, attempts_ended=3))
    assert read(store).streaks["poll"].attempts == 60
    tell(writer, poll=Streak(ended_well=True, attempts_ended=61))
    assert read(store).streaks == {}


def test_streaks__attempts_of_a_run_that_is_long_overdue_are_forgotten(store):
    writer = Writer(store)
    tell(writer, poll=Streak(attempts=60, again_in_seconds=-limits.ATTEMPTS_SECONDS - 1.0))
    assert read(store).streaks["poll"].overdue_seconds > limits.ATTEMPTS_SECONDS
    tell(writer, poll=WELL)
    assert read(store).streaks == {}


@pytest.mark.parametrize(
    "entry", ["nonsense", "1 2 3", "x 1 0 0 0 0 ValueError\x1f", f"{10**17} 1 0 0 0 0 a\x1f"]
)
def test_streaks__an_entry_that_cannot_be_read_hides_no_other(store, redis_client, entry):
    writer = Writer(store)
    tell(writer, nightly=failed(2))
    redis_client.hset(store.keys.streaks, "odd", entry)
    reading = read(store)
    assert list(reading.streaks) == ["nightly"]
    assert reading.skipped == {store.keys.streaks: 1}
    tell(writer, odd=failed(1))
    assert failures(store)["odd"] in (1, 2)


def test_streaks__a_key_of_another_type_stops_nothing_else(store, redis_client):
    redis_client.set(store.keys.streaks, "mine")
    answer = tell(Writer(store), nightly=failed(2), mail=WELL)
    assert answer.unwritten == (store.keys.streaks,)
    reading = read(store)
    assert (reading.totals, reading.streaks) == ({"runs": 1}, {})


def test_streaks__a_full_hash_is_told_and_pruned_within_milliseconds(store):
    writer = Writer(store)
    tell(writer, **{f"task-{number}": failed() for number in range(limits.MAX_STREAKS)})
    started = time.monotonic()
    tell(writer, one_more=failed())
    assert time.monotonic() - started < 0.1
    assert read(store).streaks["one_more"] == TaskStreak(
        failures=1,
        failed_by="ValueError",
        failed_seconds=pytest.approx(0, abs=5),
    )


def test_streaks__of_a_run_that_waits_ten_minutes_each_time_grow_for_hours(store, redis_client):
    """As by ``retry_backoff``, whose waits are at most so long."""
    writer, key = Writer(store), store.keys.streaks
    for attempts in range(2, 53):
        told = Streak(retries=1, retried_by="Down", attempts=attempts, again_in_seconds=600.0)
        tell(writer, pay=told, mail=WELL)
        numbers, _, by = redis_client.hget(key, "pay").decode().partition(" \x1f")
        failed_at, failures, retried_at, retries, most, due, *failed_by = numbers.split(" ")
        # Ten minutes go by.
        past = [str(int(retried_at) - 600_000_000), retries, most, str(int(due) - 600_000_000)]
        redis_client.hset(key, "pay", " ".join([failed_at, failures, *past, *failed_by]) + f" \x1f{by}")
    found = read(store).streaks["pay"]
    assert (found.retries, found.attempts, found.retried_by) == (51, 52, "Down")
    assert 590 < found.retried_seconds < 700
    tell(writer, pay=Streak(ended_well=True, attempts_ended=53))
    assert "pay" not in read(store).streaks
