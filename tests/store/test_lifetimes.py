"""Every key says how long it lives, and what outlives its use is taken away."""

import time

import pytest

from celery_health.store import keys as limits
from tests.store.conftest import Writer, read


def publish_everything(store):
    writer = Writer(store, kind="worker", name="w1@host")
    writer.publish(
        {"a": 1}, ring={"p\x1fsent": 1}, record={}, rows={}, registered=("f", ("p",)), consumed=("q",)
    )
    Writer(store, kind="beat", name="beat@host").publish(record={})
    return writer


def test_keys__each_has_the_life_span_of_the_table(store, redis_client):
    publish_everything(store)
    prefix = store.keys.prefix.encode()
    spans = {}
    for key in redis_client.scan_iter():
        assert key.startswith(prefix)
        spans.setdefault(key.removeprefix(prefix).split(b":")[0].decode(), redis_client.ttl(key))
    assert spans == {
        "totals": pytest.approx(limits.TOTALS_SECONDS, abs=5),
        "seq": pytest.approx(limits.SEQUENCE_SECONDS, abs=5),
        "processes": pytest.approx(limits.WORKER_SECONDS, abs=5),
        "records": pytest.approx(limits.WORKER_SECONDS, abs=5),
        "rows": pytest.approx(limits.WORKER_SECONDS, abs=5),
        "pruned": pytest.approx(limits.WORKER_SECONDS, abs=5),
        "beats": -1,  # until replaced
        "registered": pytest.approx(limits.REGISTERED_SECONDS, abs=5),
        "consumed": pytest.approx(limits.CONSUMED_SECONDS, abs=5),
        "ring": pytest.approx(limits.RING_SECONDS, abs=5),
    }


def test_keys__of_a_producer_last_an_hour(store, redis_client):
    writer = Writer(store)
    writer.publish({"a": 1})
    assert redis_client.ttl(store.keys.sequence(writer.writer)) == pytest.approx(3600, abs=5)


def test_keys__are_refreshed_by_use(store, redis_client):
    writer = publish_everything(store)
    keys = store.keys
    used = [keys.totals, keys.sequence(writer.writer), keys.registered, keys.consumed]
    used += [keys.processes, keys.records, keys.rows]
    for key in used:
        redis_client.expire(key, 100)
    writer.publish({"a": 1}, record={}, rows={}, registered=("f", ("p",)), consumed=("q",))
    assert all(redis_client.ttl(key) > 3_000 for key in used)


def test_keys__do_not_grow_with_restarts_of_the_same_worker(store, redis_client):
    for _ in range(20):
        publish_everything(store)
    names = {key.split(b":")[2] for key in redis_client.scan_iter()}
    assert names == {
        b"totals", b"seq", b"processes", b"records", b"rows", b"beats", b"registered", b"consumed", b"ring",
        b"pruned",
    }  # fmt: skip
    reading = read(store)
    assert len(reading.beats) == len(reading.consumed) == len(reading.registered) == 1


def make_older(client, key, ages):
    """Move the stamps of entries back by so many seconds; a process is named by its worker."""
    for field in client.hkeys(key):
        name = field if field.decode() in ages else field.partition(b" ")[2]
        if (seconds := ages.get(name.decode())) is None:
            continue
        name = field
        stamp, space, rest = client.hget(key, name).partition(b" ")
        client.hset(key, name, str(int(stamp) - int(seconds * 1e6)).encode() + space + rest)


def names_of(records):
    return {record.name for record in records}


def test_workers__are_shown_for_a_day_and_gone_when_others_come(store, redis_client):
    ages = {"old@host": 25 * 3600, "young@host": 23 * 3600, "now@host": 0}
    for name in ages:
        Writer(store, kind="worker", name=name).publish(record={}, rows={})
    make_older(redis_client, store.keys.processes, ages)
    keys = store.keys.processes, store.keys.records, store.keys.rows
    assert names_of(read(store).workers) == {"young@host", "now@host"}
    assert [redis_client.hlen(key) for key in keys] == [3, 3, 3]
    Writer(store, kind="worker", name="next@host").publish(record={}, rows={})
    assert names_of(read(store).workers) == {"young@host", "now@host", "next@host"}
    assert [redis_client.hlen(key) for key in keys] == [3, 3, 3]


def test_workers__that_said_goodbye_make_room_for_new_names_after_an_hour(store, redis_client):
    ages = {"left@host": 61 * 60, "lost@host": 61 * 60, "leaves@host": 59 * 60}
    for name in ages:
        Writer(store, kind="worker", name=name).publish(record={"goodbye": name != "lost@host"})
    make_older(redis_client, store.keys.processes, ages)
    assert len(read(store).workers) == 3  # nobody came since
    Writer(store, kind="worker", name="next@host").publish(record={})
    assert names_of(read(store).workers) == {"lost@host", "leaves@host", "next@host"}


def test_workers__of_one_name_leave_no_more_than_a_few(store, redis_client):
    for _ in range(20):  # each start of a worker that crashes in a loop, a minute apart
        Writer(store, kind="worker", name="w@host").publish(record={})
        make_older(redis_client, store.keys.processes, {"w@host": 61})
    others = Writer(store, kind="worker", name="other@host").publish(record={})
    assert others.unwritten == ()
    assert redis_client.hlen(store.keys.processes) == redis_client.hlen(store.keys.records) == 4
    ages = sorted(round(one.age_seconds) for one in read(store).workers if one.name == "w@host")
    assert ages == [61, 122, 183]


def test_workers__that_live_under_one_name_are_all_kept(store, redis_client):
    writers = [Writer(store, kind="worker", name="w@host") for _ in range(10)]
    for _ in range(2):
        for writer in writers:
            writer.publish(record={})
    workers = read(store).workers
    assert {one.writer for one in workers} == {writer.writer for writer in writers}
    assert all(one.previous_age_seconds is not None for one in workers)


def test_workers__of_earlier_versions_go_in_time(store, redis_client):
    now = int(Writer(store).publish().server_time * 1e6)
    for name, mark, seconds in (("old", "-", 90_000), ("left", "g", 4_000), ("young", "-", 4_000)):
        redis_client.hset(store.keys.workers, name, f"{now - seconds * 1_000_000} {mark} abc {{}}")
    Writer(store, kind="worker", name="new@host").publish(record={})
    assert redis_client.hkeys(store.keys.workers) == [b"young"]


def test_beats__are_kept_at_any_age_up_to_twenty(store, redis_client):
    Writer(store, kind="beat", name="beat-0").publish(record={})
    make_older(redis_client, store.keys.beats, {"beat-0": 90 * 86400})
    assert [beat.age_seconds for beat in read(store).beats] == [pytest.approx(90 * 86400, abs=5)]
    for number in range(1, 25):
        Writer(store, kind="beat", name=f"beat-{number}").publish(record={})
    assert names_of(read(store).beats) == {f"beat-{number}" for number in range(5, 25)}


def test_registered__unused_lists_go_when_a_new_one_comes(store, redis_client):
    for fingerprint in ("old", "young"):
        Writer(store, kind="worker", name="w@host").publish(record={}, registered=(fingerprint, ("p",)))
    make_older(redis_client, store.keys.registered, {"old": 25 * 3600})
    Writer(store, kind="worker", name="w@host").publish(record={}, registered=("new", ("p",)))
    assert set(read(store).registered) == {"young", "new"}


def test_consumed__is_forgotten_after_a_week(store, redis_client):
    Writer(store).publish(consumed=("old", "young"))
    make_older(redis_client, store.keys.consumed, {"old": 7 * 86400 + 60})
    assert set(read(store).consumed) == {"young"}
    Writer(store).publish(consumed=("new",))
    assert set(read(store).consumed) == {"young", "new"}
    assert redis_client.hlen(store.keys.consumed) == 2


def many_processes(client, keys, amount, seconds, name="pod-{}@host"):
    """Put processes into the store that reported last so many seconds ago, each with a record."""
    now = int(time.time() * 1e6) - seconds * 1_000_000
    fields = [f"{number:032x} {name.format(number)}" for number in range(amount)]
    client.hset(
        keys.processes, mapping={field: f"{now - place} - {now} 0" for place, field in enumerate(fields)}
    )
    client.hset(keys.records, mapping=dict.fromkeys(fields, "{}"))
    return fields


def test_workers__of_ever_new_names_are_bounded_and_the_silent_go_first(store, redis_client):
    keys, most = store.keys, limits.MAX_ALL_PROCESSES
    many_processes(redis_client, keys, most, 30, name="live-{}@host")
    many_processes(redis_client, keys, 300, 4_000, name="gone-{}@host")
    for number in range(60):
        Writer(store, kind="worker", name=f"new-{number}@host").publish(record={})
    left = {field.partition(b" ")[2].partition(b"-")[0] for field in redis_client.hkeys(keys.processes)}
    amount = redis_client.hlen(keys.processes)
    assert left == {b"live", b"new"}  # whoever may live is never removed
    assert amount == redis_client.hlen(keys.records) == most + 60


def test_workers__a_newcomer_looks_at_a_bounded_part_of_many(store, redis_client):
    """However many there are; what a step has not seen, the next ones do."""
    keys = store.keys
    many_processes(redis_client, keys, 3_000, 90_000)
    writer = Writer(store, kind="worker", name="new@host")
    writer.publish(record={})
    after_one = redis_client.hlen(keys.processes)
    assert 2_500 < after_one < 2_950
    for number in range(40):
        Writer(store, kind="worker", name=f"new-{number}@host").publish(record={})
    assert redis_client.hlen(keys.processes) == redis_client.hlen(keys.records) == 41


def test_workers__of_one_name_are_few_also_among_many(store, redis_client):
    keys = store.keys
    many_processes(redis_client, keys, 1_500, 70)
    many_processes(redis_client, keys, 20, 70, name="w*[1]@host")  # a name that a pattern would take apart
    Writer(store, kind="worker", name="w*[1]@host").publish(record={})
    names = [field.partition(b" ")[2] for field in redis_client.hkeys(keys.processes)]
    assert names.count(b"w*[1]@host") == limits.MAX_SILENT
    assert len(names) == 1_500 + limits.MAX_SILENT


def test_workers__leave_nothing_where_their_processes_cannot_be_kept(store, redis_client):
    redis_client.set(store.keys.processes, "mine")
    for number in range(3):
        done = Writer(store, kind="worker", name=f"w{number}@host").publish(record={}, rows={})
        assert done.unwritten == (store.keys.processes,)
    assert redis_client.exists(store.keys.records, store.keys.rows, store.keys.pruned) == 0


def test_workers__what_lost_its_process_goes(store, redis_client):
    keys = store.keys
    for number in range(20):
        Writer(store, kind="worker", name=f"w{number}@host").publish(record={}, rows={})
    redis_client.delete(keys.processes)  # as under an eviction policy
    redis_client.persist(keys.records)
    redis_client.set(keys.pruned, "99999999999999999999 x -3")  # what others wrote there stops nothing
    for number in range(5):
        Writer(store, kind="worker", name=f"new{number}@host").publish(record={}, rows={})
    assert [redis_client.hlen(key) for key in (keys.processes, keys.records, keys.rows)] == [5, 5, 5]
    assert redis_client.ttl(keys.records) > 3_000
