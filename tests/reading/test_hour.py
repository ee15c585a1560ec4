"""The last hour of each task, minute by minute: what is remembered of it, and what is not known."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

import pytest
import redis
from celery import Celery, _state

from celery_health import reading
from celery_health.conf import Settings
from celery_health.deadline import Deadline
from celery_health.reading import hour as hour_module
from celery_health.reading.hour import HourMemory
from celery_health.records import Hour, TaskHour
from celery_health.store import MinuteCounts, MinutesReading, Store, open_store
from tests.store.conftest import Writer
from tests.support import RedisServer, eventually
from tests.support.celery import Worker

#: A minute of the store's clock; the seconds within it do not matter.
NOW = 30_000_000
EPOCH = (NOW - 500) * 60_000_000


def counts(
    *, exceptions: Mapping[tuple[str, str], int] | None = None, final: bool = True, **outcomes: int
) -> MinuteCounts:
    """Return what ended of the task ``t`` in one minute."""
    return MinuteCounts(
        outcomes={("t", outcome): amount for outcome, amount in outcomes.items()},
        exceptions=exceptions or {},
        is_final=final,
    )


def told(
    minutes: Mapping[int, MinuteCounts],
    *,
    now: int = NOW,
    epoch: int = EPOCH,
    empty: bool = True,
    **more: Any,
) -> MinutesReading:
    """Return a reading; minutes are told as places, 59 the present, and the others are empty."""
    nothing = MinuteCounts(outcomes={}, is_final=True)
    all_ = {now - 59 + place: nothing for place in range(60)} if empty else {}
    placed = {now - 59 + place: minute for place, minute in minutes.items()}
    return MinutesReading(server_time=now * 60.0 + 7, epoch=epoch, minutes={**all_, **placed}, **more)


def at(counted: tuple[int, ...]) -> dict[int, int]:
    """Return place → count, of those that are not 0."""
    assert len(counted) == 60
    return {place: count for place, count in enumerate(counted) if count}


# What is kept ------------------------------------------------------------------------------------------


def test_hour__counts_by_minute_and_outcome_and_sums() -> None:
    hour = HourMemory().take(
        told(
            {
                0: counts(succeeded=3),
                58: counts(failed=2, exceptions={("t", "KeyError"): 2}),
                59: counts(succeeded=1, failed=2, retried=4, unknown=5, sent=9, exceptions={("t", "E"): 1}),
            }
        )
    )

    other = HourMemory().take(told({59: counts(rejected=1, expired=60, redelivered=2, killed=3, expected=4)}))
    undone = other.tasks["t"]
    assert (at(undone.rejected), at(undone.expired), at(undone.redelivered)) == ({59: 1}, {59: 60}, {59: 2})
    assert (undone.undone_count, undone.ended_count) == (63, 63)

    task = hour.tasks["t"]
    assert (at(task.succeeded), at(task.failed)) == ({0: 3, 59: 1}, {58: 2, 59: 2})
    assert (at(task.retried), at(task.unknown)) == ({59: 4}, {59: 5})
    assert (task.succeeded_count, task.failed_count, task.retried_count, task.unknown_count) == (4, 4, 4, 5)
    assert task.ended_count == 17
    assert list(task.exceptions.items()) == [("KeyError", 2), ("E", 1)]
    assert task.unnamed_count == 1  # an earlier version counted it, or it was over a cap
    assert (hour.minutes, hour.unread, hour.problems) == (60, frozenset(), ())
    assert hour.taken_at == datetime.fromtimestamp(NOW * 60 + 7, UTC)
    assert hour.begins_at(59) == datetime.fromtimestamp(NOW * 60, UTC)
    assert hour.begins_at(0) == datetime.fromtimestamp((NOW - 59) * 60, UTC)
    assert hour.task("never seen") == TaskHour()


@pytest.mark.parametrize(
    ("epoch", "minutes", "what"),
    [
        (0, 0, "nobody ever reported"),
        (NOW * 60_000_000, 1, "since this minute"),
        ((NOW - 9) * 60_000_000 + 59_000_000, 10, "since the end of the tenth minute"),
        ((NOW - 59) * 60_000_000, 60, "an hour"),
        ((NOW - 60) * 60_000_000, 60, "over an hour"),
        ((NOW + 90) * 60_000_000, 1, "the store's clock was put back"),
    ],
)
def test_hour__before_the_totals_began_nothing_is_known(epoch: int, minutes: int, what: str) -> None:
    hour = HourMemory().take(told({}, epoch=epoch))

    assert hour.minutes == minutes, what
    known = [place for place in range(60) if hour.is_known(place)]
    assert known == list(range(60 - minutes, 60)), what


def test_hour__minutes_that_are_over_stay_and_the_newest_are_replaced() -> None:
    memory = HourMemory()
    memory.take(
        told(
            {
                0: counts(failed=9, exceptions={("t", "Old"): 9}),
                30: counts(succeeded=3),
                58: counts(succeeded=1, final=False),
                59: counts(succeeded=1, final=False),
            }
        )
    )
    assert memory.final == set(range(NOW - 59, NOW - 1))
    # In the same minute the newest two are read again.
    hour = memory.take(
        told({58: counts(succeeded=1, final=False), 59: counts(succeeded=6, final=False)}, empty=False)
    )
    assert at(hour.tasks["t"].succeeded) == {30: 3, 58: 1, 59: 6}
    assert hour.unread == frozenset()
    # Two minutes later all have moved, and the oldest are gone with their exceptions.
    later = {
        57: counts(succeeded=8),
        58: counts(final=False),
        59: counts(retried=2, final=False),
        56: counts(succeeded=1),
    }
    hour = memory.take(told(later, now=NOW + 2, empty=False))
    assert at(hour.tasks["t"].succeeded) == {28: 3, 56: 1, 57: 8}
    assert (at(hour.tasks["t"].failed), at(hour.tasks["t"].retried)) == ({}, {59: 2})
    assert hour.tasks["t"].exceptions == {}
    assert min(memory.final) == NOW + 2 - 59
    # An hour later nothing is left of it, and tasks without any end are not told of.
    assert memory.take(told({}, now=NOW + 99)).tasks == {}


def test_hour__another_epoch_forgets_all() -> None:
    memory = HourMemory()
    memory.take(told({30: counts(succeeded=3)}))

    hour = memory.take(told({59: counts(succeeded=1, final=False)}, epoch=EPOCH + 400 * 60_000_000))

    assert at(hour.tasks["t"].succeeded) == {59: 1}
    assert memory.epoch == EPOCH + 400 * 60_000_000


def test_hour__a_clock_that_was_put_back_makes_nothing_zero() -> None:
    memory = HourMemory()
    memory.take(told({30: counts(succeeded=3)}))

    # The store was asked for the newest alone, since the others were known.
    hour = memory.take(told({59: counts(succeeded=1)}, now=NOW - 5, empty=False))

    assert at(hour.tasks["t"].succeeded) == {59: 1}
    assert hour.unread == frozenset(range(59))
    assert memory.final == {NOW - 5}


def test_hour__what_could_not_be_read_is_not_known() -> None:
    memory = HourMemory()
    memory.take(told({59: counts(succeeded=7, final=False)}))

    hour = memory.take(
        told({59: counts(succeeded=1)}, empty=False, now=NOW + 3, unread=frozenset({NOW, NOW + 1, NOW + 2}),
             problems=("odd",))
    )  # fmt: skip

    # What was counted in a minute that was not over is no count of it.
    assert at(hour.tasks["t"].succeeded) == {59: 1}
    assert hour.unread == {56, 57, 58}
    assert not hour.is_known(56)
    assert hour.is_known(55)
    assert hour.problems == ("odd",)


def test_hour__exceptions_that_another_epoch_left_are_none() -> None:
    """An earlier version starts all over without removing them; its totals know of no failure."""
    left = {("t", "E"): 4}
    hour = HourMemory().take(told({50: counts(succeeded=1, exceptions=left)}))

    assert hour.tasks["t"].exceptions == {}


def test_hour__hostile_names_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hour_module, "MAX_RING_FIELDS", 50)
    memory = HourMemory()
    for turn in range(20):
        minutes = {
            59: MinuteCounts(
                outcomes={(f"{'x' * 2000}{turn}\ud800\n{name}", "succeeded"): 1 for name in range(100)}
                | {(f"t{turn}-{name}", "failed"): 1 for name in range(100)},
                exceptions={(f"t{turn}-{name}", f"E{name}"): 1 for name in range(100)},
                is_final=True,
            )
        }
        hour = memory.take(told(minutes, now=NOW + turn, empty=turn == 0))

    assert len(memory._outcomes) <= 52
    assert len(memory._exceptions) <= 51
    assert max(map(len, hour.tasks)) <= 500
    assert sum(task.succeeded_count for task in hour.tasks.values()) == 20 * 100
    assert sum(task.failed_count for task in hour.tasks.values()) == 20 * 100
    assert all(name.encode() for name in hour.tasks)


# Read from a store ---------------------------------------------------------------------------------------


class Scene:
    """A real store, and this process as a reader of it."""

    def __init__(self, store: Any, client: redis.Redis) -> None:
        self.store, self.client = store, client
        self.writer = Writer(store)

    def fail(self, exception: str, amount: int = 1) -> int:
        """Report failures, and return the minute by the store's clock."""
        answer = self.writer.publish(
            {f"failed\x1fpay\x1fcelery\x1f{exception}": amount}, ring={"pay\x1ffailed": amount}
        )
        return int(answer.server_time // 60)

    def hour(self) -> Hour:
        """Return the hour, read now."""
        reading.get_reader().on_demand.hours.forget()
        hour = reading.get_hour(Deadline.after(5))
        assert hour is not None
        return hour

    def bytes_sent(self) -> int:
        return int(self.client.info("stats")["total_net_output_bytes"])


@pytest.fixture
def scene(
    make_app: Callable[..., Celery], redis_url: str, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Scene]:
    """A scene in which nobody has reported yet."""
    app = make_app(redis_url)
    settings.CELERY_HEALTH = {"APP_ID": "shop", "DEADLINE": 10}
    monkeypatch.setattr(_state._tls, "current_app", app, raising=False)  # type: ignore[attr-defined]
    monkeypatch.setattr(_state, "default_app", app)
    monkeypatch.setattr(reading, "_reader", None)
    store: Store | None = open_store(app, Settings(app_id="shop"))
    assert store is not None
    client = redis.Redis.from_url(redis_url)
    yield Scene(store, client)
    if reading._reader is not None:
        reading._reader.close()
    store.close()
    client.close()


def test_get_hour__of_a_store_in_which_nobody_reported(scene: Scene) -> None:
    hour = scene.hour()

    assert (hour.minutes, hour.tasks, hour.problems) == (0, {}, ())
    assert not any(map(hour.is_known, range(60)))


def test_get_hour__reads_again_only_what_may_have_changed(scene: Scene) -> None:
    now = scene.fail("CardError", 2)
    scene.client.hset(scene.store.keys.totals, "epoch", (now - 100) * 60_000_000)
    for past in range(2, 60):
        names = {f"task-{number}\x1fsucceeded": past for number in range(100)}
        scene.client.hset(f"{scene.store.keys.ring}{now - past}", mapping=names)

    first = scene.hour()
    assert (first.minutes, first.unread) == (60, frozenset())
    assert first.tasks["pay"].exceptions == {"CardError": 2}
    assert first.tasks["task-1"].succeeded_count >= sum(range(2, 59))
    before = scene.bytes_sent()
    scene.writer.last = None  # its epoch was made older above
    scene.writer.publish({"failed\x1fpay\x1fcelery\x1fKeyError": 1}, ring={"pay\x1ffailed": 1})
    again = scene.hour()
    assert scene.bytes_sent() - before < 3_000
    assert again.tasks["pay"].exceptions == {"CardError": 2, "KeyError": 1}
    assert again.tasks["task-1"].succeeded_count >= sum(range(2, 58))


def test_get_hour__starts_again_with_the_totals(scene: Scene) -> None:
    now = scene.fail("CardError")
    scene.client.hset(f"{scene.store.keys.ring}{now - 9}", "old\x1fsucceeded", 1)
    assert set(scene.hour().tasks) == {"pay", "old"}
    scene.store.reset_if_behind(scene.writer.last.epoch, 99, Deadline.after(5))  # type: ignore[union-attr]
    scene.writer.last = None
    scene.fail("KeyError")

    hour = scene.hour()
    assert list(hour.tasks) == ["pay"]
    assert hour.tasks["pay"].exceptions == {"KeyError": 1}


def test_get_hour__is_read_once_a_second_at_most(scene: Scene) -> None:
    scene.fail("CardError")
    first = scene.hour()

    assert reading.get_hour(Deadline.after(5)) is first


def test_get_hour__without_a_store_that_answers_there_is_none(
    scene: Scene, own_redis: Callable[..., RedisServer], settings: Any
) -> None:
    server = own_redis()
    settings.CELERY_HEALTH = {"APP_ID": "shop", "STORE_URL": server.url, "DEADLINE": 2}
    assert scene.hour().minutes == 0
    server.stop()
    reading.get_reader().on_demand.hours.forget()
    assert reading.get_hour() is None
    # Nor where there is none at all: a broker that keeps everything in memory.
    scene_app = reading.get_reader().app
    settings.CELERY_HEALTH = {"APP_ID": "shop"}
    scene_app.conf.broker_url = "memory://"
    assert reading.get_hour() is None


def test_get_hour__of_a_worker_whose_task_fails_in_two_ways(
    scene: Scene, worker_factory: Callable[..., Worker], redis_url: str
) -> None:
    app = reading.get_reader().app
    worker_factory(redis_url, health={"APP_ID": "shop", "FLUSH_INTERVAL": 0.2})
    for exception in ("ValueError", "ConnectionError", "ValueError"):
        app.send_task("tests.project.tasks.fail_with", args=[exception, "as told"])
    app.send_task("tests.project.tasks.noop")

    def counted() -> bool:
        tasks = scene.hour().tasks
        return (
            tasks.get("tests.project.tasks.fail_with", TaskHour()).failed_count == 3
            and tasks.get("tests.project.tasks.noop", TaskHour()).succeeded_count == 1
        )

    eventually(counted)
    hour = scene.hour()
    failing = hour.tasks["tests.project.tasks.fail_with"]
    assert failing.exceptions == {"ValueError": 2, "ConnectionError": 1}
    assert (failing.unnamed_count, failing.succeeded_count) == (0, 0)
    assert sum(failing.failed[-2:]) == 3
    assert hour.minutes <= 3
