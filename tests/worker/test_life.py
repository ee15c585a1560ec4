"""A worker's life as its record tells it: ready, draining, goodbye, killed, replaced, cut off, paused."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from celery import Celery

from celery_health.conf import Settings
from celery_health.deadline import Deadline
from celery_health.store import open_store
from tests.support import Proxy, RedisServer, Worker
from tests.worker.conftest import APP_ID, Ledger, patiently, truth_conf, truth_env

QUICK = {"HEARTBEAT_INTERVAL": 0.5, "FLUSH_INTERVAL": 0.1}


def files(folder: Path) -> list[Path]:
    return sorted(folder.glob("celery-health-worker-*"))


def fields(path: Path) -> dict[str, str]:
    return dict(line.split("=", 1) for line in path.read_text().splitlines()[1:])


@pytest.mark.smoke
def test_record__is_there_when_the_worker_is_ready(
    ledger: Ledger, truth_worker: Callable[..., Worker], tmp_path: Path
) -> None:
    worker = truth_worker(concurrency=2, queues=["celery", "emails"], options=["--soft-time-limit", "9"])
    record = patiently(lambda: (r := ledger.record(worker.hostname)) and r["ready"] and r)
    assert record["hostname"] == worker.hostname
    assert record["pid"] == worker.pid
    assert record["app_id"] == APP_ID
    assert sorted(record["queues"]) == ["celery", "emails"]
    assert (record["pool"], record["concurrency"], record["children"]) == ("prefork", 2, 2)
    assert record["limits"] == {"time_limit": None, "soft_time_limit": 9.0}
    assert record["connected"] and record["looping"] and record["can_consume"]
    assert not record["paused"] and not record["draining"] and not record["goodbye"]
    assert record["prefetch_count"] == 8
    assert set(record["versions"]) >= {"celery", "kombu", "python", "celery_health", "redis"}
    reading = ledger.store.read(Deadline.after(5))
    assert "tests.worker.truth.early" in reading.registered[record["fingerprint"]]
    assert set(reading.consumed) == {"celery", "emails"}

    # Both clocks go on while nothing happens.
    def alive() -> bool:
        record = ledger.record(worker.hostname)
        assert record["loop_age_seconds"] < 2.5 and record["read_age_seconds"] < 2.5
        return record["progress_age_seconds"] > 3

    patiently(alive)
    [path] = files(tmp_path)
    assert path.read_text().startswith(f"v1 worker {worker.hostname} {worker.pid} ")
    said = fields(path)
    assert (said["started"], said["turning"], said["state"]) == ("1", "1", "running")
    assert 0 <= time.monotonic() - float(said["written"]) < 5
    worker.stop()
    assert not files(tmp_path)


def test_record__shows_what_the_worker_holds(ledger: Ledger, truth_worker: Callable[..., Worker]) -> None:
    worker = truth_worker(concurrency=1, health={**QUICK, "SHOW_ARGUMENTS": True})
    running = ledger.send("early", "succeed", 60)
    waiting = ledger.send("early", "succeed")
    # A sender chooses the id: as long as it likes, and with half a pair of UTF-16, which breaks JSON.
    ledger.app.send_task(
        "tests.worker.truth.late",
        ("fail",),
        {"token": "hunter2"},
        countdown=300,
        task_id="later \ud800 " + "x" * 1000,
    )

    def held() -> Mapping[str, Any]:
        rows = ledger.rows(worker.hostname)
        counts = [rows.get(f"{kind}_count") for kind in ("active", "reserved", "scheduled")]
        assert counts == [1, 1, 1]
        return rows

    rows = patiently(held)
    [active], [reserved], [scheduled] = rows["active"], rows["reserved"], rows["scheduled"]
    assert (active["task_id"], active["task_name"]) == (running, "tests.worker.truth.early")
    assert active["queue"] == "celery" and 0 <= active["runtime_seconds"] < 40
    assert abs(active["time_start"] - time.time()) < 40
    assert active["args"] == "['succeed', 60]"
    assert reserved["task_id"] == waiting
    assert scheduled["task_id"] == "later ? " + "x" * 489 + "..." and scheduled["eta"].startswith("20")
    assert scheduled["kwargs"] == "{'token': '**'}"
    # What is judged stands in the record, and nothing of what only people read.
    record = ledger.record(worker.hostname)
    assert [record[f"{kind}_count"] for kind in ("active", "reserved", "scheduled")] == [1, 1, 1]
    [judged] = record["active"]
    assert set(judged) == {"task_id", "task_name", "runtime_seconds", "limit_seconds", "acknowledged"}
    assert (judged["task_id"], judged["task_name"]) == (running, "tests.worker.truth.early")
    assert not {"reserved", "scheduled"} & set(record)
    assert "hunter2" not in str(record) and "'succeed'" not in str(record)
    assert record["active_by_queue"] == record["scheduled_by_queue"] == {"celery": 1}
    worker.signal(signal.SIGQUIT)
    worker.wait(20)


def test_record__arguments_are_not_shown_unless_asked(
    ledger: Ledger, truth_worker: Callable[..., Worker]
) -> None:
    worker = truth_worker(pool="threads", health=QUICK)
    ledger.send("early", "succeed", 2)
    rows = patiently(lambda: (r := ledger.rows(worker.hostname)).get("active_count") and r)
    assert set(rows["active"][0]) == {
        "task_id", "task_name", "queue", "time_start", "runtime_seconds", "limit_seconds",
        "acknowledged",
    }  # fmt: skip
    worker.stop()


@pytest.mark.smoke
@pytest.mark.parametrize("pool", ["prefork", "threads", "gevent", "eventlet"])
def test_warm_shutdown__drains_and_says_goodbye(
    pool: str, ledger: Ledger, truth_worker: Callable[..., Worker], tmp_path: Path
) -> None:
    worker = truth_worker(pool=pool, health=QUICK)
    ledger.send("late", "succeed", 3)
    patiently(lambda: ledger.totals().get(("started", "late")))
    worker.signal(signal.SIGTERM)
    patiently(lambda: ledger.record(worker.hostname)["draining"])
    assert not ledger.record(worker.hostname)["goodbye"]
    assert fields(files(tmp_path)[0])["state"] == "draining"
    assert worker.wait(30) == 0
    # The goodbye came after the pool had delivered its last result, which is in the totals.
    assert ledger.totals()[("succeeded", "late")] == 1
    record = ledger.record(worker.hostname)
    assert record["goodbye"] and record["draining"]
    assert not files(tmp_path)


def test_sigterm__is_heeded_while_a_task_handles_an_error(
    ledger: Ledger, truth_worker: Callable[..., Worker]
) -> None:
    # A solo task sits in its except block when the signal comes: no error of the worker's.
    worker = truth_worker(pool="solo", health=QUICK)
    ledger.app.send_task("tests.project.tasks.sleep_in_except", (4,))
    patiently(lambda: ledger.record(worker.hostname).get("active_count"))
    worker.signal(signal.SIGTERM)
    patiently(lambda: ledger.record(worker.hostname)["draining"])
    assert not ledger.record(worker.hostname)["goodbye"]
    assert worker.wait(30) == 0
    assert ledger.record(worker.hostname)["goodbye"]


@pytest.mark.parametrize("patience", [0, 1])
def test_cold_shutdown__counts_what_it_cuts_off(
    patience: int, ledger: Ledger, truth_worker: Callable[..., Worker], tmp_path: Path
) -> None:
    conf = {"worker_soft_shutdown_timeout": patience}
    worker = truth_worker(conf=conf, concurrency=2, health=QUICK)
    ledger.send("late", "hang")
    lost = ledger.send("early", "hang")
    patiently(lambda: sum(t for key, t in ledger.totals().items() if key[0] == "started") == 2)
    worker.signal(signal.SIGQUIT)
    worker.wait(30)
    totals = ledger.totals()
    # Not acknowledged: the broker delivers it again. Acknowledged: lost, whatever Celery calls it.
    assert totals[("rejected", "late")] == 1
    assert totals[("failed", "early", "Terminated")] == 1
    record = ledger.record(worker.hostname)
    assert record["goodbye"]
    assert [(row["task_id"], row["task_name"]) for row in record["given_up"]] == [
        (lost, "tests.worker.truth.early")
    ]
    assert not files(tmp_path)


def test_remote_shutdown__is_a_goodbye(ledger: Ledger, truth_worker: Callable[..., Worker]) -> None:
    worker = truth_worker(health=QUICK).wait_heeds(ledger.app)
    ledger.app.control.shutdown(destination=[worker.hostname])
    assert worker.wait(30) == 0
    assert ledger.record(worker.hostname)["goodbye"]


@pytest.mark.smoke
def test_killed__leaves_its_last_word_and_is_replaced_under_its_name(
    ledger: Ledger, truth_worker: Callable[..., Worker], tmp_path: Path
) -> None:
    first = truth_worker(name="same@host", health=QUICK)
    patiently(lambda: ledger.record("same@host").get("ready"))
    first.kill()
    record = ledger.record("same@host")
    assert (record["pid"], record["goodbye"], record["draining"]) == (first.pid, False, False)
    assert len(files(tmp_path)) == 1
    second = truth_worker(name="same@host", health=QUICK)
    patiently(lambda: ledger.record("same@host")["pid"] == second.pid)
    assert {row.name for row in ledger.records()} == {"same@host"}
    # What the dead one left is swept away.
    patiently(
        lambda: [path.name for path in files(tmp_path)] == [f"celery-health-worker-same@host-{second.pid}"]
    )
    second.stop()


def test_children__replaced_and_recycled_are_told_apart(
    ledger: Ledger, truth_worker: Callable[..., Worker]
) -> None:
    worker = truth_worker(health=QUICK, options=["--max-tasks-per-child", "2"])
    for what in ("succeed", "succeed", "os_exit", "succeed"):
        ledger.send("early", what)

    def counts() -> bool:
        record = ledger.record(worker.hostname)
        seen = [record.get(key) for key in ("children_restarted", "recycled", "children_lost_per_minute")]
        assert seen == [2, 1, 1]
        return True

    patiently(counts)
    worker.stop()


def test_paused__is_said_and_taken_back(ledger: Ledger, truth_worker: Callable[..., Worker]) -> None:
    worker = truth_worker(health=QUICK).wait_heeds(ledger.app)
    ledger.app.control.cancel_consumer("celery", destination=[worker.hostname])
    record = patiently(lambda: (r := ledger.record(worker.hostname)).get("paused") and r)
    assert record["queues"] == [] and record["connected"]
    ledger.app.control.add_consumer("celery", destination=[worker.hostname])
    patiently(lambda: ledger.record(worker.hostname)["queues"] == ["celery"])
    worker.stop()


def test_saturated__cannot_consume(ledger: Ledger, truth_worker: Callable[..., Worker]) -> None:
    worker = truth_worker(health=QUICK, options=["--prefetch-multiplier", "2"])
    for _ in range(4):
        ledger.send("late", "succeed", 3)
    patiently(lambda: ledger.record(worker.hostname).get("can_consume") is False)
    reading = ledger.store.read(Deadline.after(5))
    assert reading.consumed["celery"] < 5
    worker.signal(signal.SIGQUIT)
    worker.wait(20)


@pytest.mark.parametrize("pool", ["solo", "gevent", "eventlet"])
def test_busy__a_loop_that_runs_tasks_need_not_turn(
    pool: str, ledger: Ledger, truth_worker: Callable[..., Worker], tmp_path: Path
) -> None:
    worker = truth_worker(pool=pool, health=QUICK, conf={"include": ["tests.worker.truth"]})
    ledger.app.send_task("tests.project.tasks.busy", (6,))

    def busy() -> bool:
        record = ledger.record(worker.hostname)
        assert record["active_count"] == 1
        # Burning the processor keeps the loop from turning, and the record from nothing.
        assert record["active"][0]["runtime_seconds"] > 3
        return True

    patiently(busy)
    record = ledger.record(worker.hostname)
    assert record["looping"] is False and record["loop_age_seconds"] > 1
    assert fields(files(tmp_path)[0])["turning"] == "0"
    assert fields(files(tmp_path)[0])["state"] == "busy"
    patiently(lambda: ledger.record(worker.hostname)["looping"])
    # It turned as the task ended, at the latest: a probe must not see a loop that was due long ago.
    said = patiently(lambda: (f := fields(files(tmp_path)[0]))["state"] == "running" and f)
    assert float(said["written"]) - float(said["due"]) < 3
    worker.stop()


def test_reconnecting__is_said_while_the_broker_is_away(
    ledger: Ledger,
    own_redis: Callable[..., RedisServer],
    proxy: Callable[[int], Proxy],
    redis_url: str,
    worker_factory: Callable[..., Worker],
    make_app: Callable[..., Celery],
    tmp_path: Path,
) -> None:
    broker = own_redis()
    gate = proxy(broker.port)
    worker = worker_factory(
        gate.url(broker.url),
        health={**QUICK, "STORE_URL": redis_url},
        conf=truth_conf(),
        env=truth_env(redis_url),
    )
    patiently(lambda: ledger.record(worker.hostname).get("ready"))
    gate.refuse()
    patiently(lambda: ledger.record(worker.hostname)["connected"] is False)
    record = ledger.record(worker.hostname)
    assert (record["looping"], record["can_consume"], record["paused"]) == (False, None, False)
    patiently(lambda: fields(files(tmp_path)[0])["state"] == "reconnecting")
    assert fields(files(tmp_path)[0])["turning"] == "0"
    gate.forward()
    patiently(lambda: ledger.record(worker.hostname)["connected"])
    app = make_app(broker.url)
    app.send_task("tests.worker.truth.early", ("succeed",))
    patiently(lambda: ledger.totals().get(("succeeded", "early")) == 1)
    record = patiently(lambda: (r := ledger.record(worker.hostname))["read_age_seconds"] < 2 and r)
    assert record["restart_count"] >= 1
    worker.stop()


@pytest.mark.slow
def test_reconnecting__is_said_while_an_answer_tries_again_within_the_loop(
    broker_url: str,
    ledger: Ledger,
    proxy: Callable[[int], Proxy],
    redis_url: str,
    worker_factory: Callable[..., Worker],
    make_app: Callable[..., Celery],
    tmp_path: Path,
) -> None:
    """The broker goes while the loop answers ``inspect``: it finds out nothing, and comes to nothing else."""
    gate = proxy(int(urlsplit(broker_url).port or 0))
    worker = worker_factory(
        gate.url(broker_url),
        health={**QUICK, "STORE_URL": redis_url},
        conf=truth_conf(),
        env=truth_env(redis_url),
    )
    patiently(lambda: ledger.record(worker.hostname).get("ready"))
    app = make_app(broker_url)
    # Over a connection of the producers' that was open before, kombu tries for ever.
    assert app.control.ping(timeout=2)
    file = tmp_path / "go on"
    app.control.broadcast("hang", {"until": str(file)}, reply=True, timeout=0.1)
    # A loop that hangs in somebody's code is no broker's.
    record = patiently(lambda: (r := ledger.record(worker.hostname))["loop_age_seconds"] > 4 and r)
    assert record["connected"] and record["looping"]
    gate.refuse()
    file.touch()
    patiently(lambda: ledger.record(worker.hostname)["connected"] is False)
    assert ledger.record(worker.hostname)["looping"] is False
    patiently(lambda: ledger.store.read(Deadline.after(5)).consumed["celery"] > 2)  # seconds ago
    patiently(lambda: fields(files(tmp_path)[0])["state"] == "reconnecting")
    assert "Connection to broker lost" not in worker.log
    gate.forward()
    app.send_task("tests.worker.truth.early", ("succeed",))
    patiently(lambda: ledger.totals().get(("succeeded", "early")) == 1)
    patiently(lambda: ledger.record(worker.hostname)["connected"])
    worker.stop()


def test_store__none_configured_changes_nothing(
    rabbit_url: str, worker_factory: Callable[..., Worker], make_app: Callable[..., Celery]
) -> None:
    app = make_app(rabbit_url)
    assert open_store(app, Settings(app_id=APP_ID)) is None
    worker = worker_factory(rabbit_url)
    app.send_task("tests.project.tasks.noop")
    worker.wait_for_log("succeeded in")
    assert worker.stop() == 0
    assert "celery_health failed" not in worker.log
