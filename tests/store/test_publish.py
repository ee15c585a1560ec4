"""What goes in comes out: totals, ring, records, registered names, consumed queues."""

import time

from celery_health.deadline import Deadline
from celery_health.store import Publication, keys
from celery_health.store import redis as redis_store
from celery_health.store.readings import Reply
from tests.store.conftest import Writer, read


def test_publish__totals_add_up_over_writers(store):
    one, two = Writer(store), Writer(store)
    one.publish({"a": 1, "b": 2})
    two.publish({"b": 3})
    one.publish({"a": 10})
    assert read(store).totals == {"a": 11, "b": 5}


def test_publish__the_same_again_changes_nothing(store):
    writer = Writer(store)
    first = writer.prepare({"a": 1}, ring={"pay\x1fsucceeded": 1})
    answers = [store.publish(first) for _ in range(3)]
    assert {(answer.epoch, answer.sequence, answer.reset) for answer in answers} == {
        (answers[0].epoch, 1, False)
    }
    reading = read(store, ring_minutes=2)
    assert reading.totals == {"a": 1}
    assert [dict(counts) for counts in reading.ring.values()] == [{("pay", "succeeded"): 1}]
    assert reading.version == 1


def test_publish__an_empty_one_is_counted_as_seen(store):
    writer = Writer(store)
    assert writer.publish().sequence == 1
    assert writer.publish().sequence == 2
    reading = read(store)
    assert (reading.version, reading.totals) == (2, {})


def test_publish__epoch_is_the_time_of_the_first_and_stays(store):
    before = time.time()
    first = Writer(store).publish({"a": 1})
    assert before - 1 <= first.epoch / 1e6 <= time.time() + 1
    assert abs(first.server_time - time.time()) < 1
    assert Writer(store).publish({"a": 1}).epoch == first.epoch
    assert read(store).epoch == first.epoch


def test_read__an_empty_store_says_nothing(store):
    reading = read(store, ring_minutes=61)
    assert (reading.epoch, reading.version) == (0, 0)
    assert (reading.workers, reading.beats) == ((), ())
    assert (reading.registered, reading.consumed, reading.ring, reading.totals) == ({}, {}, {}, {})


def test_read__without_totals_they_are_none(store):
    Writer(store).publish({"a": 1})
    assert read(store, totals=False).totals is None


def test_read__ring_by_minute_name_and_outcome(store):
    writer = Writer(store)
    writer.publish(ring={"pay\x1fsucceeded": 2, "pay\x1ffailed": 1})
    answer = writer.publish(ring={"pay\x1fsucceeded": 1, "größer\x1funknown": 4})
    ring = read(store, ring_minutes=10).ring
    # The minute may have turned between the two.
    assert set(ring) <= {int(answer.server_time // 60) - 1, int(answer.server_time // 60)}
    total = {}
    for counts in ring.values():
        for key, amount in counts.items():
            total[key] = total.get(key, 0) + amount
    assert total == {("pay", "succeeded"): 3, ("pay", "failed"): 1, ("größer", "unknown"): 4}


def test_read__only_the_minutes_asked_for(store, redis_client):
    answer = Writer(store).publish()
    minute = int(answer.server_time // 60)
    for past in range(70):
        redis_client.hset(f"{store.keys.ring}{minute - past}", "pay\x1fsucceeded", past + 1)
    # One more or less, if the minute turned.
    assert 9 <= len(read(store, ring_minutes=10).ring) <= 10
    assert 60 <= len(read(store, ring_minutes=1_000).ring) <= 61
    assert read(store, ring_minutes=0).ring == {}


# Records -----------------------------------------------------------------------------------------------


def test_records__come_back_with_their_age_and_in_order(store):
    for name in ("w2@host", "w1@host", "größe\n ☃@host"):
        Writer(store, kind="worker", name=name).publish(
            record={"pid": 7, "hostname": name, "text": "a\nb \u2028"}
        )
    Writer(store, kind="beat", name="celerybeat@host").publish(record={"entries": []})
    reading = read(store)
    assert [worker.name for worker in reading.workers] == ["größe\n ☃@host", "w1@host", "w2@host"]
    assert [beat.name for beat in reading.beats] == ["celerybeat@host"]
    for worker in reading.workers:
        assert worker.record == {"pid": 7, "hostname": worker.name, "text": "a\nb \u2028"}
        assert 0 <= worker.age_seconds < 5


def test_records__a_new_one_replaces_the_old(store):
    writer = Writer(store, kind="worker", name="w1@host")
    writer.publish(record={"active": 1})
    assert read(store).workers[0].record == {"active": 1}
    writer.publish(record={"active": 2})
    assert read(store).workers[0].record == {"active": 2}
    writer.publish({"a": 1})  # deltas alone leave it
    assert read(store).workers[0].record == {"active": 2}


def test_records__a_resent_publication_may_carry_a_fresh_one(store):
    first = Writer(store).prepare({"a": 1}, kind="worker", name="w1@host", record={"active": 1})
    store.publish(first)
    store.publish(
        Publication(
            writer=first.writer,
            sequence=1,
            fields=first.fields,
            kind="worker",
            name="w1@host",
            record={"active": 2},
        )
    )
    reading = read(store)
    assert reading.workers[0].record == {"active": 2}
    assert reading.totals == {"a": 1}


def test_records__two_processes_of_one_name_each_have_theirs(store):
    old, new = (Writer(store, kind="worker", name="w 1\n☃@host") for _ in range(2))
    old.publish(record={"pid": 1})
    new.publish(record={"pid": 2})
    old.publish(record={"pid": 1, "goodbye": True})
    found = {worker.writer: worker for worker in read(store).workers}
    assert {writer: dict(worker.record) for writer, worker in found.items()} == {
        old.writer: {"pid": 1, "goodbye": True},
        new.writer: {"pid": 2},
    }
    assert {worker.name for worker in found.values()} == {"w 1\n☃@host"}
    # Each by its own first and previous arrival.
    assert found[new.writer].previous_age_seconds is None
    assert found[new.writer].first_age_seconds == found[new.writer].age_seconds
    before = found[old.writer].previous_age_seconds
    assert before == found[old.writer].first_age_seconds > found[new.writer].first_age_seconds
    old.publish(record={"pid": 1})
    again = {worker.writer: worker for worker in read(store).workers}[old.writer]
    assert again.age_seconds < again.previous_age_seconds < again.first_age_seconds


def test_records__of_earlier_versions_are_read(store, redis_client):
    stamp = int(Writer(store).publish().server_time * 1e6) - 5_000_000
    redis_client.hset(store.keys.workers, "old@host", f'{stamp} - abc {{"pid": 1}}')
    Writer(store, kind="worker", name="new@host").publish(record={"pid": 2})
    new, old = read(store).workers
    assert (new.name, old.name, old.writer, dict(old.record)) == ("new@host", "old@host", "abc", {"pid": 1})
    assert 5 <= old.age_seconds < 10
    assert (old.first_age_seconds, old.previous_age_seconds) == (None, None)


def test_beats__a_late_goodbye_does_not_hide_the_successor(store):
    old, new = (Writer(store, kind="beat", name="beat@host") for _ in range(2))
    old.publish(record={"pid": 1})
    new.publish(record={"pid": 2})
    old.publish(record={"pid": 1, "goodbye": True})
    assert read(store).beats[0].record == {"pid": 2}
    new.publish(record={"pid": 2, "goodbye": True})
    assert read(store).beats[0].record == {"pid": 2, "goodbye": True}
    old.publish(record={"pid": 1, "goodbye": True})
    assert read(store).beats[0].record == {"pid": 1, "goodbye": True}


def test_read__only_what_changed_is_fetched_again(store, monkeypatch):
    writers = [Writer(store, kind="worker", name=f"w{number}@host") for number in range(3)]
    for writer in writers:
        writer.publish(record={"turn": 0})
    read(store)
    fetched = []
    take = Reply.of

    def spying(raw):
        fetched.append(take(raw))
        return fetched[-1]

    monkeypatch.setattr(Reply, "of", spying)
    writers[1].publish(record={"turn": 1})
    assert [worker.record["turn"] for worker in read(store).workers] == [0, 1, 0]
    assert [len(reply.changed) for reply in fetched] == [1]


def test_read__a_clock_that_went_back_hides_no_record(store, redis_client):
    writer = Writer(store, kind="worker", name="w@host")
    writer.publish(record={"turn": 0})
    read(store)
    # As after a failover to a server that is ten seconds behind, once this worker has reported there.
    (process,) = redis_client.hkeys(store.keys.processes)
    stamp = int(redis_client.hget(store.keys.processes, process).split()[0]) - 10_000_000
    redis_client.hset(store.keys.processes, process, f"{stamp} - {stamp} 0")
    redis_client.hset(store.keys.records, process, '{"turn": 1}')
    (worker,) = read(store).workers
    assert worker.record == {"turn": 1}
    assert 10 <= worker.age_seconds < 15


def test_publish__a_duplicate_renews_the_memory_of_its_writer(store, redis_client):
    writer = Writer(store)
    writer.publish({"a": 1})
    first = writer.prepare({"a": 1})
    store.publish(first)
    # Its reply was lost, and the outage lasted nearly as long as the store remembers a producer.
    key = store.keys.sequence(writer.writer)
    redis_client.expire(key, 30)
    writer.send()
    assert redis_client.ttl(key) > 3_500
    assert read(store).totals == {"a": 2}


def test_records__producers_have_none(store):
    Writer(store, kind="producer", name="web-1").publish({"a": 1}, record={"pid": 1})
    reading = read(store)
    assert (reading.workers, reading.beats) == ((), ())


def test_registered__come_once_and_are_remembered(store, open_store_at, redis_url):
    names = ("shop.pay", "shop.größer")
    for host in ("w1@host", "w2@host"):
        Writer(store, kind="worker", name=host).publish(record={}, registered=("f1", names))
    Writer(store, kind="worker", name="w3@host").publish(record={}, registered=("f2", ()))
    for one in (store, store, open_store_at(redis_url)):
        assert read(one).registered == {"f1": names, "f2": ()}


def test_registered__what_the_store_lost_is_forgotten_here_too(store, redis_client):
    Writer(store, kind="worker", name="w1@host").publish(record={}, registered=("f1", ("a",)))
    assert read(store).registered == {"f1": ("a",)}
    redis_client.flushall()
    assert read(store).registered == {}
    Writer(store, kind="worker", name="w1@host").publish(record={}, registered=("f1", ("b",)))
    assert read(store).registered == {"f1": ("b",)}


def test_consumed__each_queue_with_its_age(store, redis_client):
    writer = Writer(store)
    writer.publish(consumed=("celery", "emails \n ☃"))
    stamp = int(redis_client.hget(store.keys.consumed, "celery"))
    redis_client.hset(store.keys.consumed, "celery", stamp - 90_000_000)
    consumed = read(store).consumed
    assert set(consumed) == {"celery", "emails \n ☃"}
    assert 90 <= consumed["celery"] < 95
    assert 0 <= consumed["emails \n ☃"] < 5
    writer.publish(consumed=("celery",))
    assert read(store).consumed["celery"] < 5


def test_publish__counts_names_with_line_feeds_as_others(store, redis_client):
    # Counts come in one text, a line for each part: one that holds a line feed has all of them come apart.
    writer = Writer(store)
    writer.publish(
        {"sent\x1fpay\x1fa\nb": 2, "sent\x1fpay\x1fc": 3}, ring={"pay\nnow\x1fsent": 4, "ship\x1fsent": 5}
    )
    writer.publish({"sent\x1fpay\x1fc": 4}, ring={"ship\x1fsent": 6})
    counts = redis_client.hgetall(store.keys.totals)
    assert counts[b"sent\x1fpay\x1fa\nb"] == b"2"
    assert counts[b"sent\x1fpay\x1fc"] == b"7"
    minutes = read(store, ring_minutes=2).ring.values()
    assert sum(ring.get(("ship", "sent"), 0) for ring in minutes) == 11


# Bounds ------------------------------------------------------------------------------------------------


def test_publish__a_full_store_counts_new_fields_as_other(store, monkeypatch):
    limits = list(redis_store._LIMITS)
    # MAX_FIELDS: epoch and version, three fields, the values of four labels and how many; MAX_RING_FIELDS.
    at = limits.index(keys.MAX_FIELDS)
    limits[at : at + 2] = [5 + 8, 2]
    monkeypatch.setattr(redis_store, "_LIMITS", tuple(limits))
    writer = Writer(store)
    known = {
        "failed\x1fpay\x1fcelery\x1fValueError": 1,
        "runtime\x1fpay\x1fcelery\x1e3": 1,
        "unknown\x1fx": 1,
    }
    writer.publish(known, ring={"pay\x1ffailed": 1, "pay\x1fsent": 1})
    writer.publish(
        {
            "failed\x1fpay\x1fcelery\x1fKeyError": 2,
            "failed\x1fship\x1fcelery\x1fKeyError": 3,
            "runtime\x1fship\x1fcelery\x1e4": 4,
            "unknown\x1fx": 5,
        },
        ring={"pay\x1ffailed": 1, "ship\x1ffailed": 2, "sell\x1ffailed": 3},
    )
    reading = read(store, ring_minutes=2)
    assert reading.totals == {
        "failed\x1fpay\x1fcelery\x1fValueError": 1,
        "failed\x1fother\x1fother\x1fother": 5,
        "runtime\x1fpay\x1fcelery\x1e3": 1,
        "runtime\x1fother\x1fother\x1e4": 4,
        "unknown\x1fx": 6,
        "label_overflow\x1fstore": 3,
    }
    total = {}
    for counts in reading.ring.values():
        for key, amount in counts.items():
            total[key] = total.get(key, 0) + amount
    assert total[("other", "failed")] == 5


def test_publish__a_total_at_its_end_does_not_stop_the_others(store):
    writer = Writer(store)
    writer.publish({"a": 2**63 - 1})
    writer.publish({"a": 5, "b": 1})
    assert read(store).totals == {"a": 2**63 - 1, "b": 1}


def test_stores__of_two_apps_do_not_see_each_other(open_store_at, redis_url):
    shop, bank = (open_store_at(redis_url, settings={"app_id": name}) for name in ("shop", "bank"))
    Writer(shop, kind="worker", name="w1@host").publish(
        {"a": 1}, record={}, registered=("f", ()), consumed=("q",)
    )
    assert read(bank, ring_minutes=61).epoch == 0
    assert read(bank).workers == ()
    Writer(bank).publish({"a": 5})
    assert read(shop).totals == {"a": 1}
    assert bank.reset_if_behind(2**52, 1, Deadline.after(5)) > 2**52
    assert read(shop).totals == {"a": 1}


def test_consumed__a_line_feed_in_a_name_costs_the_others_nothing(store):
    Writer(store).publish(consumed=("a\nb", "c"))
    assert set(read(store).consumed) == {"a\nb", "c"}
    assert store._careful_until == float("-inf")
