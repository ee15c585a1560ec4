"""Whatever stands under our prefix in the store, each answer is given, with everything else still in it.

A real Redis holds what a well system has written; in each case one entry of it is replaced.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest
import redis
from celery import Celery
from django.test import Client

from celery_health.conf import Settings
from celery_health.deadline import Deadline
from celery_health.health import judge
from celery_health.metrics.collector import CeleryHealthCollector
from celery_health.reading.reader import Reader
from celery_health.reading.recorded import RecordedWorkers
from celery_health.records import Snapshot
from celery_health.store import Store, open_store, skipped
from tests.api.conftest import PREFIX
from tests.api.conftest import Celery as Views
from tests.store.conftest import Writer, read

WELL: Mapping[str, Any] = {
    "app_id": "shop", "pid": 1, "pool": "prefork", "concurrency": 4, "queues": ["celery"], "fingerprint": "f",
    "connected": True, "looping": True, "can_consume": True, "read_age_seconds": 0.1, "loop_age_seconds": 0.1,
    "active_count": 1, "active": [{"task_id": "1", "task_name": "shop.pay", "runtime_seconds": 1.0}],
    "reserved_count": 0, "scheduled_count": 0, "started_at": "2026-01-28T10:00:00+00:00",
}  # fmt: skip
BEAT: Mapping[str, Any] = {
    "scheduler": "celery.beat:PersistentScheduler", "due_in_seconds": 5, "tick_age_seconds": 1.0,
    "entries": [{"entry": "sync", "task": "shop.sync", "overdue_seconds": 0, "next_due_in_seconds": 9}],
}  # fmt: skip

#: What may stand in place of a record, or of one of its values.
NASTY = [
    b"", b"what is this", b"null", b"5", b"[]", b'"text"', b"[" * 3000, b'{"a":' * 3000, b'{"pid": 1',
    b"\xff\xfe\x00", b"{}\n{}", b"NaN", b'{"pid": ' + b"9" * 5000 + b"}",
]  # fmt: skip
VALUES = [
    "NaN", "Infinity", "-Infinity", "1e999", "-1e9", "9" * 400, "null", "true", '""', "[]", "{}", "[[]]",
    "[null]", "[[[[5]]]]", '[{}]', '{"a": {}}', '"\\ud800"', '["\\ud800"]', '{"\\ud800": "\\udfff"}',
    '[{"task_id": "\\ud800", "task_name": ["x"], "runtime_seconds": NaN, "queue": {}, "eta": 1e300}]',
    '[{"entry": {"a": 1}, "task": "\\ud800", "overdue_seconds": Infinity, "next_due_in_seconds": -1e999}]',
    '"' + "x" * 100_000 + '"',
]  # fmt: skip
STAMPS = [b"", b"soon", b"-5", b"9" * 30, b"9007199254740991", b"1e999", b"nan", b"0"]
COUNTS = [b"", b"many", b"1.5", b"nan", b"1\n2"]


class Scene:
    """A well system in a store, and all that is shown of it."""

    def __init__(self, app: Celery, store: Any, client: redis.Redis, views: Views, staff: Client) -> None:
        self.app, self.store, self.keys, self.client = app, store, store.keys, client
        self.views, self.staff = views, staff
        self.settings = Settings(app_id="shop")
        self.worker = Writer(store, kind="worker", name="odd@host")
        self.fill()

    def fill(self) -> None:
        """Write what a well system writes."""
        self.client.flushall()
        self.worker = Writer(self.store, kind="worker", name="odd@host")
        self.worker.publish(record=WELL)
        Writer(self.store, kind="worker", name="well@host").publish(
            {"succeeded\x1fshop.pay\x1fcelery": 7, "started\x1fshop.pay\x1fcelery": 7},
            ring={"shop.pay\x1fsucceeded": 7},
            record=WELL,
            registered=("f", ("shop.pay",)),
            consumed=("celery",),
        )
        Writer(self.store, kind="beat", name="odd-beat@host").publish(record=BEAT)
        Writer(self.store, kind="beat", name="well-beat@host").publish(record=BEAT)
        now = int(read(self.store).server_time * 1e6)
        self.client.hset(self.keys.workers, "older@host", f"{now} - abc {json.dumps(WELL)}")

    @property
    def process(self) -> bytes:
        """The field of the worker whose entries are replaced."""
        return f"{self.worker.writer} odd@host".encode()

    def look(self) -> Snapshot:
        """Read it, ask each surface, and return what was read."""
        recorded = RecordedWorkers(self.app, self.settings)
        reader = Reader(self.app, self.settings)
        try:
            notes = recorded.read(Deadline.after(5)).notes
            snapshot = reader.read(Deadline.after(5))
            totals = recorded.totals(Deadline.after(5))
            self.views.snapshot, self.views.totals = snapshot, totals
            for path in ("health/", "tasks/", "stats/", "workers/", "queues/", "schedule/", ""):
                answer = self.staff.get(PREFIX + path)
                assert answer.status_code in (200, 503), (path, answer.content)
                answer.content.decode()
            collector = CeleryHealthCollector(
                report=lambda: judge(snapshot, self.settings),
                reading=lambda: self.store.read(Deadline.after(5), totals=True),
                reset_if_behind=lambda epoch, version: None,
            )
            self.metrics = [collector.render(openmetrics).decode() for openmetrics in (False, True)][0]
            assert list(collector.collect())
            self.notes = notes
            assert set(notes) <= set(snapshot.notes)
            return snapshot
        finally:
            recorded.close()
            reader.close()

    def well(self, *, but: str = "") -> None:
        """Look, and find all that is well still there."""
        snapshot = self.look()
        assert snapshot.store.reachable, snapshot.store.error
        workers = {worker.hostname: worker for worker in snapshot.workers}
        if but != "workers":
            assert {"well@host", "older@host"} <= set(workers) or but in ("old", "processes")
            assert workers["well@host"].registered == frozenset({"shop.pay"}) or but == "registered"
        if but != "beats":
            assert "well-beat@host" in {beat.name for beat in snapshot.beats}
        assert snapshot.recent is not None
        if but != "ring":
            assert snapshot.recent["shop.pay"].succeeded == 7
        if but != "totals":
            assert 'celery_task_succeeded_total{name="shop.pay",queue_name="celery"} 7' in self.metrics
        assert "celery_health_up 1" in self.metrics


@pytest.fixture
def scene(
    redis_url: str,
    redis_client: redis.Redis,
    make_app: Callable[..., Celery],
    celery: Views,
    staff: Client,
) -> Iterator[Scene]:
    app = make_app(redis_url)
    store: Store | None = open_store(app, Settings(app_id="shop"))
    assert store is not None
    yield Scene(app, store, redis_client, celery, staff)
    store.close()


def left_out(scene: Scene, key: str) -> None:
    """Check that something of `key` was left out, counted and said."""
    short = key.removeprefix(scene.keys.prefix)
    assert any(key in note for note in scene.notes), scene.notes
    assert skipped.counted()[f"store.{short}"] > 0
    assert f'celery_health_internal_errors_total{{where="store.{short}"}}' in scene.metrics


def test_well__nothing_is_left_out(scene: Scene) -> None:
    scene.well()
    assert scene.notes == ()


def test_records__that_are_none(scene: Scene) -> None:
    now = int(read(scene.store).server_time * 1e6)
    for text in NASTY:
        scene.client.hset(scene.keys.records, scene.process, text)
        scene.client.hset(scene.keys.beats, "odd-beat@host", b"%d - abc " % now + text)
        scene.client.hset(scene.keys.workers, "odd-old@host", b"%d - abc " % now + text)
        scene.well()
        for key in (scene.keys.records, scene.keys.beats, scene.keys.workers):
            left_out(scene, key)
    scene.client.hdel(scene.keys.records, scene.process)
    scene.well()
    left_out(scene, scene.keys.records)


def test_records__with_odd_values(scene: Scene) -> None:
    now = int(read(scene.store).server_time * 1e6)
    for value in VALUES:
        worker = "{" + ",".join(f'"{name}": {value}' for name in (*WELL, "registered", "versions")) + "}"
        beat = "{" + ",".join(f'"{name}": {value}' for name in (*BEAT, "started_at", "lock")) + "}"
        scene.client.hset(scene.keys.records, scene.process, worker)
        scene.client.hset(scene.keys.beats, "odd-beat@host", f"{now} - abc {beat}")
        scene.well()


def test_stamps__that_are_none(scene: Scene) -> None:
    for stamp in STAMPS:
        scene.client.hset(scene.keys.processes, scene.process, stamp + b" - 5 0")
        scene.client.hset(scene.keys.beats, "odd-beat@host", stamp + b" - abc {}")
        scene.client.hset(scene.keys.consumed, "odd", stamp)
        scene.well()
        # A record of the future is no fresh record; one of 1970 is an old one.
        snapshot = scene.look()
        assert "odd@host" not in {worker.hostname for worker in snapshot.workers}
        if stamp != b"0":
            left_out(scene, scene.keys.beats)
            left_out(scene, scene.keys.consumed)
    scene.client.hset(scene.keys.processes, b"no-name", b"5 - 5 0")
    scene.client.hset(scene.keys.processes, scene.process, b"5")
    scene.well()
    left_out(scene, scene.keys.processes)


def test_names__that_are_no_text(scene: Scene) -> None:
    now = int(read(scene.store).server_time * 1e6)
    for name in (b"\xff\xfe", b"\xed\xa0\x80", b"a\nb\x00\x1b", b"x" * 10_000, b""):
        scene.client.hset(scene.keys.processes, b"writer " + name, b"%d - %d 0" % (now, now))
        scene.client.hset(scene.keys.records, b"writer " + name, json.dumps(WELL))
        scene.client.hset(scene.keys.consumed, name, now)
        scene.client.hset(scene.keys.beats, name, b"%d - abc " % now + json.dumps(BEAT).encode())
        scene.client.hset(scene.keys.registered, name, b"%d []" % now)
        scene.client.hincrby(scene.keys.totals, b"succeeded\x1f" + name + b"\x1fcelery", 1)
        minute = now // 60_000_000
        scene.client.hincrby(f"{scene.keys.ring}{minute}", name + b"\x1fsucceeded", 1)
    scene.well()


def test_registered__names_that_are_none(scene: Scene) -> None:
    for text in NASTY:
        scene.client.hset(scene.keys.registered, "odd", b"5 " + text)
        scene.client.hset(scene.keys.registered, "odder", text)
        scene.well()
        left_out(scene, scene.keys.registered)
    # What cannot be read is not known, which is not the same as none.
    scene.client.hset(scene.keys.registered, "f", "5 [[[")
    snapshot = scene.look()
    assert {worker.registered for worker in snapshot.workers} == {None}


def test_counts__that_are_none(scene: Scene) -> None:
    minute = int(read(scene.store).server_time // 60)
    for count in COUNTS:
        scene.client.hset(scene.keys.totals, "succeeded\x1fodd\x1fcelery", count)
        scene.client.hset(f"{scene.keys.ring}{minute}", "odd\x1fsucceeded", count)
        scene.well()
        assert 'celery_health_internal_errors_total{where="store.totals"}' in scene.metrics
        for key in (f"{scene.keys.ring}{minute}", scene.keys.totals):
            assert any(key in note for note in scene.notes), (key, scene.notes)


def test_keys__of_another_type(scene: Scene) -> None:
    keys = scene.keys
    minute = int(read(scene.store).server_time // 60)
    cases = {
        keys.workers: "old", keys.beats: "beats", keys.registered: "registered", keys.consumed: "",
        keys.processes: "workers", keys.records: "workers", keys.totals: "totals",
        f"{keys.ring}{minute}": "ring",
    }  # fmt: skip
    for key, what in cases.items():
        for kind in ("string", "list"):
            scene.fill()
            scene.client.delete(key)
            if kind == "string":
                scene.client.set(key, "a text")
            else:
                scene.client.rpush(key, "a", "b")
            scene.well(but=what)
            assert what == "totals" or any(key in note for note in scene.notes), (key, scene.notes)


@pytest.mark.parametrize("field", ["version", "epoch"])
def test_state__is_repaired_by_the_next_writer(scene: Scene, field: str) -> None:
    for value in (b"", b"many", b"-1", b"nan", b"inf", b"1e5", b"9" * 30, b"9" * 16):
        scene.fill()
        before = read(scene.store).epoch
        scene.client.hset(scene.keys.totals, field, value)
        scene.well()
        assert any("starts all totals again" in note for note in scene.notes), scene.notes
        answer = scene.worker.publish({"succeeded\x1fshop.pay\x1fcelery": 1})
        assert answer.epoch > before
        reading = read(scene.store)
        assert (reading.totals, reading.problems) == ({"succeeded\x1fshop.pay\x1fcelery": 1}, ())
        assert scene.worker.publish().epoch == answer.epoch


def test_total__that_is_no_number_starts_all_again(scene: Scene) -> None:
    before = read(scene.store).epoch
    scene.client.hset(scene.keys.totals, "succeeded\x1fshop.pay\x1fcelery", "many")
    scene.worker.publish({"succeeded\x1fshop.pay\x1fcelery": 1})
    answer = scene.worker.publish({"succeeded\x1fshop.pay\x1fcelery": 2})
    assert answer.epoch > before
    assert read(scene.store).totals == {"succeeded\x1fshop.pay\x1fcelery": 2}


def test_writer__goes_on_beside_keys_of_another_type(scene: Scene) -> None:
    keys = scene.keys
    minute = int(read(scene.store).server_time // 60)
    odd = [keys.workers, keys.beats, keys.registered, keys.consumed, keys.processes, keys.records]
    odd += [f"{keys.ring}{minute + later}" for later in range(2)]
    for key in odd:
        scene.client.delete(key)
        scene.client.set(key, "a text")
    epoch = read(scene.store).epoch
    answer = scene.worker.publish(
        {"a": 1}, ring={"a\x1fsent": 1}, record=WELL, registered=("f", ("a",)), consumed=("celery",)
    )
    beat = Writer(scene.store, kind="beat", name="b").publish({"a": 1}, record=BEAT)
    assert read(scene.store).totals["a"] >= 1  # type: ignore[index]
    assert answer.epoch == epoch
    assert set(answer.unwritten) | set(beat.unwritten) >= {
        keys.registered, keys.consumed, keys.processes, keys.beats
    }  # fmt: skip
    assert all(scene.client.get(key) == b"a text" for key in odd)


def test_sequence__that_is_none_starts_all_again(scene: Scene) -> None:
    key, before = scene.keys.sequence(scene.worker.writer), read(scene.store).epoch
    for make in (lambda: scene.client.set(key, "what is this"), lambda: scene.client.rpush(key, "a")):
        scene.client.delete(key)
        make()
        answer = scene.worker.publish({"a": 1})
        assert answer.epoch > before
        assert read(scene.store).totals == {"a": 1}
        before = answer.epoch
