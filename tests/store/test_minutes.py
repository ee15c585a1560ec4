"""The minutes of the ring, read one by one, and the exceptions that stand beside them."""

from dataclasses import replace

import pytest

from celery_health.deadline import Deadline
from celery_health.exceptions import StoreError
from celery_health.store import keys as limits
from celery_health.store import minutes as reading_minutes
from celery_health.store import skipped
from tests.store.conftest import Writer, read


def read_minutes(store, epoch=0, known=(), seconds=5.0):
    return store.minutes(epoch, known, Deadline.after(seconds))


def present(store):
    return int(read(store).server_time // 60)


def summed(found, what):
    total = {}
    for minute in found.minutes.values():
        for key, amount in getattr(minute, what).items():
            total[key] = total.get(key, 0) + amount
    return total


@pytest.fixture
def calls(store, monkeypatch):
    """The answers of the scripts that the store ran."""
    answers, run = [], store._run

    def noted(script, *arguments):
        answers.append(run(script, *arguments))
        return answers[-1]

    monkeypatch.setattr(store, "_run", noted)
    return answers


def fill(store, client, fields=3, minutes=61):
    """Have something succeed in each of the last minutes: so many names, so often as minutes ago + 1."""
    Writer(store).publish()
    now = present(store)
    for past in range(minutes):
        client.hset(
            f"{store.keys.ring}{now - past}", mapping={f"t{n}\x1fsucceeded": past + 1 for n in range(fields)}
        )
    return now


# Exceptions --------------------------------------------------------------------------------------------


def test_exceptions__of_runs_that_failed_for_good_by_task_and_class(store):
    writer = Writer(store)
    writer.publish(
        {
            "failed\x1fpay\x1fcelery\x1fCardError": 2,
            "failed\x1fpay\x1fmail\x1fCardError": 1,  # another queue, the same exception
            "failed\x1fpay\x1fcelery\x1fTimeoutError\x1dtier=gold": 4,  # with labels of its own
            "failed\x1fgröße\x1fcelery\x1fKeyError": 1,
            "succeeded\x1fpay\x1fcelery": 9,
            "retried\x1fpay\x1fcelery": 5,
        },
        ring={"pay\x1ffailed": 7, "pay\x1fsucceeded": 9, "pay\x1fretried": 5, "größe\x1ffailed": 1},
    )
    writer.publish({"failed\x1fpay\x1fcelery\x1fCardError": 1}, ring={"pay\x1ffailed": 1})
    found = read_minutes(store)
    assert summed(found, "exceptions") == {
        ("pay", "CardError"): 4,
        ("pay", "TimeoutError"): 4,
        ("größe", "KeyError"): 1,
    }
    assert summed(found, "outcomes")["pay", "failed"] == 8
    # Whoever reads the ring as before counts nothing twice, and sees no strange name.
    ring = read(store, ring_minutes=61).ring
    assert {key for minute in ring.values() for key in minute} == {
        ("pay", "failed"), ("pay", "succeeded"), ("pay", "retried"), ("größe", "failed"),
    }  # fmt: skip


def test_exceptions__count_once_however_often_they_arrive(store):
    writer = Writer(store)
    publication = writer.prepare({"failed\x1fpay\x1fq\x1fE": 2}, ring={"pay\x1ffailed": 2})
    for record in (None, {"pid": 1}):
        store.publish(replace(publication, kind="worker", name="w@host", record=record))
    assert summed(read_minutes(store), "exceptions") == {("pay", "E"): 2}


def test_exceptions__over_a_cap_are_other(store, redis_client):
    # The one for classes is that of the totals; the task keeps its name.
    most = limits.MAX_EXCEPTIONS
    Writer(store).publish({f"failed\x1fpay\x1fq\x1fE{number}": 1 for number in range(most + 5)})
    counted = summed(read_minutes(store), "exceptions")
    assert (len(counted), counted["pay", "other"]) == (most + 1, 5)
    # The other bounds the minute.
    redis_client.flushdb()
    most = limits.MAX_RING_EXCEPTIONS
    many = {f"failed\x1ft{number % 900}\x1fq\x1fE{number // 900}": 1 for number in range(most + 5)}
    Writer(store).publish(many)
    counted = summed(read_minutes(store), "exceptions")
    assert (len(counted), counted["other", "other"]) == (most + 1, 5)


def test_exceptions__start_over_with_the_totals(store, redis_client):
    old = Writer(store)
    old.publish({"failed\x1fpay\x1fq\x1fE": 1}, ring={"pay\x1ffailed": 1})
    answer = old.publish()
    store.reset_if_behind(answer.epoch, 99, Deadline.after(5))
    assert summed(read_minutes(store), "exceptions") == {}
    # And where a writer finds the store rolled back.
    old.publish({"failed\x1fpay\x1fq\x1fE": 1}, ring={"pay\x1ffailed": 1})
    redis_client.hset(store.keys.totals, "epoch", 5)
    assert old.publish().reset
    assert summed(read_minutes(store), "exceptions") == {}


def test_exceptions__go_as_the_ring_does(store, redis_client):
    answer = Writer(store).publish({"failed\x1fpay\x1fq\x1fE": 1}, ring={"pay\x1ffailed": 1})
    key = f"{store.keys.exceptions}{int(answer.server_time // 60)}"
    assert limits.RING_SECONDS - 5 < redis_client.ttl(key) <= limits.RING_SECONDS


def test_exceptions__a_key_of_another_type_is_left_alone(store, redis_client):
    Writer(store).publish()
    now = present(store)
    keys = [f"{key}{now + later}" for key in (store.keys.exceptions, store.keys.ring) for later in range(2)]
    for key in keys:
        redis_client.set(key, "mine")
    answer = Writer(store).publish({"failed\x1fpay\x1fq\x1fE": 1}, ring={"pay\x1ffailed": 1})
    assert len(set(answer.unwritten) & set(keys)) == 2
    assert [redis_client.ttl(key) for key in keys] == [-1] * 4  # nor does it go some day
    assert read(store).totals == {"failed\x1fpay\x1fq\x1fE": 1}


# Minutes -----------------------------------------------------------------------------------------------


def test_minutes__all_of_the_last_hour_and_which_are_over(store, redis_client):
    now = fill(store, redis_client)
    found = read_minutes(store)
    assert found.epoch == read(store).epoch
    assert 59 <= len([minute for minute in found.minutes if minute <= now]) <= 60
    for minute, counts in found.minutes.items():
        if minute <= now:
            assert counts.outcomes == {(f"t{n}", "succeeded"): now - minute + 1 for n in range(3)}
        assert counts.is_final == (minute <= found.server_time // 60 - 2)
    assert (found.unread, found.problems) == (frozenset(), ())


def test_minutes__that_are_known_are_not_read(store, redis_client, calls):
    fill(store, redis_client, fields=1_000)
    first = read_minutes(store)
    assert len(calls) > 40
    known = {minute for minute, counts in first.minutes.items() if counts.is_final}
    assert len(known) == 58
    calls.clear()
    again = read_minutes(store, first.epoch, known)
    assert not known & set(again.minutes)
    assert 2 <= len(again.minutes) <= 3
    assert again.unread == frozenset()
    assert len(calls) <= 3


def test_minutes__that_are_known_of_another_epoch_are_read(store, redis_client):
    fill(store, redis_client)
    first = read_minutes(store)
    known = {minute for minute, counts in first.minutes.items() if counts.is_final}
    again = read_minutes(store, first.epoch - 1, known)
    assert (len(again.minutes), again.unread) == (60, frozenset())


def test_minutes__no_call_reads_more_than_holds_the_redis_for_little(store, redis_client, calls, monkeypatch):
    monkeypatch.setattr(reading_minutes, "STEP_FIELDS", 200)
    now = fill(store, redis_client, fields=70)
    redis_client.hset(f"{store.keys.ring}{now - 5}", mapping={f"x{n}\x1fsucceeded": 1 for n in range(1_000)})
    calls.clear()
    found = read_minutes(store)
    assert (len(found.minutes), found.unread) == (60, frozenset())
    assert len(found.minutes[now - 5].outcomes) == 1_070
    sizes = [
        sum((len((text or b"").split(b"\n")) + 1) // 2 for _, *texts in answer[3] for text in texts)
        if len(answer) == 7
        else len(answer[2].split(b"\n")) // 2
        for answer in calls
    ]
    assert max(sizes) < 2 * 200  # a step through a hash may bring some more


def test_minutes__what_does_not_fit_is_said_and_read_next_time(store, redis_client, monkeypatch):
    monkeypatch.setattr(reading_minutes, "MAX_BYTES", 30_000)
    fill(store, redis_client, fields=500)
    known, epoch, newest = set(), 0, []
    for _ in range(100):
        found = read_minutes(store, epoch, known)
        assert len(found.minutes) <= 8
        newest.append(max(found.minutes))
        epoch = found.epoch
        known |= {minute for minute, counts in found.minutes.items() if counts.is_final}
        if not found.unread:
            break
    assert len(newest) > 5
    assert newest == sorted(newest)  # the present comes each time


def test_minutes__the_deadline_ends_a_reading_and_not_what_came(store, redis_client, monkeypatch):
    fill(store, redis_client, fields=1_000)
    run, answered = store._run, 0

    def stopping(*arguments):
        # Stands in for a Redis that stops answering after the first step.
        nonlocal answered
        answered += 1
        if answered > 1:
            raise StoreError("did not answer")
        return run(*arguments)

    monkeypatch.setattr(store, "_run", stopping)
    found = read_minutes(store)
    # The present minute is empty, if it has just turned.
    assert len(found.minutes) in (1, 2)
    assert len(found.minutes) + len(found.unread) == 60
    with pytest.raises(StoreError):
        read_minutes(store)


def test_minutes__are_of_one_epoch(store, redis_client, monkeypatch):
    fill(store, redis_client, fields=2_000)
    run = store._run
    left = 3

    def starting_over(script, keys, arguments, deadline):
        nonlocal left
        answer = run(script, keys, arguments, deadline)
        left -= 1
        if left == 0:
            store._run = run
            store.reset_if_behind(2**52, 1, Deadline.after(5))
            Writer(store).publish(ring={"new\x1fsucceeded": 1})
            store._run = starting_over
        return answer

    monkeypatch.setattr(store, "_run", starting_over)
    found = read_minutes(store)
    assert found.epoch > 2**52
    assert summed(found, "outcomes") == {("new", "succeeded"): 1}
    assert found.unread == frozenset()


def test_minutes__an_odd_entry_hides_no_other_and_is_said(store, redis_client):
    now = fill(store, redis_client)
    odd = [f"{store.keys.ring}{now - 7}", f"{store.keys.ring}{now - 8}", f"{store.keys.exceptions}{now - 9}"]
    redis_client.hset(odd[0], "t9\x1fsucceeded", "many")
    redis_client.hset(odd[1], "t9\x1fsucceeded", -4)
    redis_client.hset(odd[2], "t0\x1fE", "1e9")
    redis_client.hset(f"{store.keys.ring}{now - 3}", b"\xff\xfe\x1fsucceeded", 1)
    redis_client.hset(f"{store.keys.ring}{now - 4}", "no outcome", 1)
    before = skipped.counted().get("store.ring", 0)
    found = read_minutes(store)
    assert (len(found.minutes), found.unread) == (60, frozenset())
    for past in (7, 8, 9):
        assert found.minutes[now - past].outcomes["t0", "succeeded"] == past + 1
        assert ("t9", "succeeded") not in found.minutes[now - past].outcomes
        # It is read again, so that it is said for as long as it stands there.
        assert not found.minutes[now - past].is_final
    assert len(found.problems) == 3
    assert all(any(f"'{key}'" in problem for problem in found.problems) for key in odd)
    assert skipped.counted()["store.ring"] == before + 3


def test_minutes__a_key_of_another_type_hides_that_minute_alone(store, redis_client):
    now = fill(store, redis_client)
    redis_client.delete(f"{store.keys.ring}{now - 7}")
    redis_client.rpush(f"{store.keys.ring}{now - 7}", "mine")
    redis_client.set(f"{store.keys.exceptions}{now - 9}", "mine")
    found = read_minutes(store)
    assert found.unread == {now - 7}  # unknown, and not zero
    assert found.minutes[now - 9].exceptions == {}
    assert [problem.count("is of a type") for problem in found.problems] == [1, 1]


@pytest.mark.parametrize("epoch", ["many", "", "9" * 30, None])
def test_minutes__without_an_epoch_that_can_be_read(store, redis_client, epoch):
    fill(store, redis_client)
    redis_client.hdel(store.keys.totals, "epoch")
    if epoch is not None:
        redis_client.hset(store.keys.totals, "epoch", epoch)
    found = read_minutes(store, 5, {present(store) - 9})
    assert (found.epoch, len(found.minutes)) == (0, 60)


def test_minutes__write_nothing(store, redis_client):
    fill(store, redis_client)
    before = redis_client.info("persistence")["rdb_changes_since_last_save"]
    read_minutes(store)
    assert redis_client.info("persistence")["rdb_changes_since_last_save"] == before
