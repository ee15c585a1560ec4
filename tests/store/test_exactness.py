"""Exactly once, whatever is lost on the way: replies, the store for a while, its memory."""

import threading

import pytest
import redis

from celery_health.deadline import Deadline
from celery_health.exceptions import StoreError
from celery_health.store import Publication
from celery_health.store.keys import SEQUENCE_SECONDS
from tests.store.conftest import Writer, read
from tests.support import eventually


def test_lost_replies__2000_true_increments_are_2000(open_store_at, redis_server, redis_url, proxy):
    between = proxy(redis_server.port)
    writer = Writer(open_store_at(between.url(redis_url)))
    between.drop_replies(0.05)
    for _ in range(2_000):
        writer.publish_whatever_it_takes({"runs": 1, "sum": 17})
    assert between.replies_dropped > 50
    assert read(open_store_at(redis_url)).totals == {"runs": 2_000, "sum": 34_000}


def test_lost_replies__of_several_writers_at_once(open_store_at, redis_server, redis_url, proxy):
    between = proxy(redis_server.port)
    between.drop_replies(0.1, seed=7)
    writers = [Writer(open_store_at(between.url(redis_url))) for _ in range(4)]
    threads = [
        threading.Thread(
            target=lambda writer=writer: [writer.publish_whatever_it_takes({"runs": 1}) for _ in range(200)]
        )
        for writer in writers
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert between.replies_dropped > 20
    assert read(open_store_at(redis_url)).totals == {"runs": 800}


def test_outage__nothing_lost_and_nothing_twice(open_store_at, redis_server, redis_url, proxy):
    between = proxy(redis_server.port)
    writer = Writer(open_store_at(between.url(redis_url)))
    writer.publish({"runs": 1})
    writer.prepare({"runs": 10})
    between.swallow(replies=True)  # it arrives, but nobody hears of it
    with pytest.raises(StoreError):
        writer.send()
    between.refuse()
    for _ in range(3):
        with pytest.raises(StoreError):
            writer.send()
    between.forward()
    assert not eventually(writer.send).reset
    writer.publish({"runs": 100})
    assert read(open_store_at(redis_url)).totals == {"runs": 111}


def test_outage__a_server_that_restarts_with_its_data(open_store_at, own_redis):
    server = own_redis(args=("--appendonly", "yes", "--appendfsync", "always"))
    writer = Writer(open_store_at(server.url))
    epoch = writer.publish({"runs": 1}).epoch
    server.restart()
    answer = writer.publish_whatever_it_takes({"runs": 2})
    assert (answer.epoch, answer.reset) == (epoch, False)
    assert read(writer.store).totals == {"runs": 3}


# Stores that roll back ---------------------------------------------------------------------------------


def test_rollback__an_old_snapshot_after_sigkill_starts_all_totals_again(open_store_at, own_redis):
    server = own_redis()
    store = open_store_at(server.url)
    one, two = Writer(store), Writer(store)
    for writer in (one, two):
        writer.publish({"runs": 500, "failures": 5}, ring={"pay\x1fsucceeded": 1})
    save(server)
    for writer in (one, two):
        writer.publish({"runs": 400, "failures": 4})
    before = read(store)
    assert before.totals == {"runs": 1800, "failures": 18}
    server.kill()
    server.start()
    assert read(store).totals == {"runs": 1000, "failures": 10}  # the dent that must not be shown

    first = one.publish_whatever_it_takes({"runs": 3})
    assert first.reset
    assert first.epoch > before.epoch
    after = read(store, ring_minutes=61)
    assert after.totals == {"runs": 3}
    assert after.ring == {}

    second = two.publish_whatever_it_takes({"runs": 20, "failures": 1})  # joins, and does not reset again
    assert (second.epoch, second.reset) == (first.epoch, False)
    for _ in range(5):
        one.publish({"runs": 1})
        two.publish({"failures": 1})
    assert read(store).totals == {"runs": 28, "failures": 6}
    assert read(store).epoch == first.epoch


def test_rollback__what_was_in_flight_counts_once(open_store_at, own_redis, proxy):
    server = own_redis()
    between = proxy(server.port)
    direct = open_store_at(server.url)
    one, two = Writer(open_store_at(between.url(server.url))), Writer(direct)
    one.publish({"runs": 1})
    two.publish({"runs": 1})
    save(server)
    two.publish({"runs": 1})
    one.prepare({"runs": 10})
    between.swallow(replies=True)
    with pytest.raises(StoreError):
        one.send()  # applied, and lost with the memory of the server
    server.kill()
    server.start()
    between.forward()
    between.cut()
    assert two.publish_whatever_it_takes({"runs": 100}).reset
    between.swallow(replies=True)
    with pytest.raises(StoreError):
        one.send()  # applied under the new epoch
    between.forward()
    between.cut()
    answer = eventually(one.send)
    assert (answer.reset, answer.epoch) == (False, two.last.epoch)
    assert read(direct).totals == {"runs": 110}


def test_rollback__a_reset_whose_reply_was_lost_is_not_done_again(
    open_store_at, redis_server, redis_url, proxy
):
    between = proxy(redis_server.port)
    direct = open_store_at(redis_url)
    one, two = Writer(open_store_at(between.url(redis_url))), Writer(direct)
    for writer in (one, two):
        writer.publish({"runs": 1})
    direct._link.call("FLUSHALL", deadline=Deadline.after(5))
    one.prepare({"runs": 10})
    between.swallow(replies=True)
    with pytest.raises(StoreError):
        one.send()  # found the store empty, started again, and nobody heard
    between.forward()
    between.cut()
    epoch = read(direct).epoch
    assert (two.publish({"runs": 100}).epoch, two.last.reset) == (epoch, False)
    assert (one.send().epoch, one.last.reset) == (epoch, False)
    assert read(direct).totals == {"runs": 110}


def test_rollback__what_was_applied_before_a_reset_and_not_acknowledged_counts_after_it(store, redis_client):
    writer, other = Writer(store), Writer(store)
    for one in (writer, other):
        one.publish({"runs": 1})
    store.publish(writer.prepare({"runs": 10}))  # applied, but the writer heard nothing
    redis_client.delete(store.keys.sequence(other.writer))
    assert other.publish({"runs": 100}).reset  # and so it is gone again
    assert not writer.send().reset
    assert read(store).totals == {"runs": 110}


def test_rollback__an_emptied_store_starts_again(store, redis_client):
    writer = Writer(store)
    epoch = writer.publish({"runs": 5}).epoch
    redis_client.flushall()
    answer = writer.publish({"runs": 1})
    assert answer.reset
    assert answer.epoch > epoch
    assert read(store).totals == {"runs": 1}


def test_rollback__a_failover_to_an_older_epoch(store, redis_client):
    writer, other = Writer(store), Writer(store)
    other.publish({"runs": 7})
    old = snapshot(redis_client)
    redis_client.flushall()
    other.publish({"runs": 1})
    epoch = writer.publish({"runs": 1}).epoch
    restore(redis_client, old)  # the replica had not seen the new epoch
    answer = writer.publish({"runs": 2})
    assert answer.reset
    assert answer.epoch > epoch
    assert (other.publish({"runs": 3}).epoch, other.last.reset) == (answer.epoch, False)
    assert read(store).totals == {"runs": 5}


def test_rollback__epochs_grow_even_if_the_clock_goes_back(store, redis_client):
    writer = Writer(store)
    epoch = writer.publish().epoch
    redis_client.flushall()
    ahead = Publication(
        writer=writer.writer,
        sequence=2,
        acknowledged=1,
        acknowledged_at=1.0,
        epoch=epoch + 10**12,
        fields={"a": 1},
    )
    assert store.publish(ahead).epoch == epoch + 10**12 + 1


def test_rollback__a_new_writer_cannot_notice_and_does_no_harm(store, redis_client):
    Writer(store).publish({"runs": 5})
    redis_client.flushall()
    answer = Writer(store).publish({"runs": 1})
    assert not answer.reset
    assert read(store).totals == {"runs": 1}


def test_rollback__a_writer_that_was_silent_for_days_is_none(store, redis_client):
    writer, other = Writer(store), Writer(store)
    writer.publish({"runs": 1})
    other.publish({"runs": 1})
    redis_client.delete(store.keys.sequence(writer.writer))  # expired
    days_ago = writer.last.server_time - SEQUENCE_SECONDS
    silent = writer.prepare({"runs": 1})
    answer = store.publish(
        Publication(
            writer=silent.writer,
            sequence=silent.sequence,
            acknowledged=silent.acknowledged,
            acknowledged_at=days_ago,
            epoch=silent.epoch,
            fields=silent.fields,
        )
    )
    assert not answer.reset
    assert read(store).totals == {"runs": 3}


def test_rollback__a_writer_whose_sequence_is_missing_too_early_is_one(store, redis_client):
    writer = Writer(store)
    writer.publish({"runs": 1})
    redis_client.delete(store.keys.sequence(writer.writer))
    assert writer.publish({"runs": 1}).reset
    assert read(store).totals == {"runs": 1}


# Readers that notice -----------------------------------------------------------------------------------


def test_reset_if_behind__when_the_version_went_back(store, redis_client):
    writer = Writer(store)
    writer.publish({"runs": 1})
    old = snapshot(redis_client)
    writer.publish({"runs": 1})
    seen = read(store)
    restore(redis_client, old)
    epoch = store.reset_if_behind(seen.epoch, seen.version, Deadline.after(5))
    assert epoch > seen.epoch
    assert read(store).totals == {}
    # A second reader that saw the same does nothing more, and neither does the writer.
    Writer(store).publish({"runs": 4})
    assert store.reset_if_behind(seen.epoch, seen.version, Deadline.after(5)) == epoch
    assert not writer.publish({"runs": 1}).reset
    assert read(store).totals == {"runs": 5}


def test_reset_if_behind__when_the_store_is_empty(store, redis_client):
    Writer(store).publish({"runs": 1})
    seen = read(store)
    redis_client.flushall()
    assert store.reset_if_behind(seen.epoch, seen.version, Deadline.after(5)) > seen.epoch
    assert redis_client.ttl(store.keys.totals) > 0


def test_reset_if_behind__does_nothing_when_the_store_is_ahead(store):
    writer = Writer(store)
    writer.publish({"runs": 1})
    seen = read(store)
    assert store.reset_if_behind(seen.epoch, seen.version, Deadline.after(5)) == seen.epoch
    writer.publish({"runs": 1})
    assert store.reset_if_behind(seen.epoch, seen.version, Deadline.after(5)) == seen.epoch
    assert store.reset_if_behind(0, 0, Deadline.after(5)) == seen.epoch
    assert read(store).totals == {"runs": 2}


def save(server):
    """Write the server's snapshot to its disk."""

    with redis.Redis.from_url(server.url) as client:
        client.save()


def snapshot(client):
    return {key: (max(0, client.pttl(key)), client.dump(key)) for key in client.scan_iter()}


def restore(client, keys):
    client.flushall()
    for key, (milliseconds, value) in keys.items():
        client.restore(key, milliseconds, value)
