"""What happens to workers and beats, and what the probe says: alive, unless they are at fault."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.beat.conftest import TASK
from tests.probe.conftest import Line, Pace, Prober
from tests.support import Beat, Proxy, RabbitServer, Worker, eventually

POOLS = ["prefork", "solo", "gevent"]
OUTAGES = ["refused", "black_holed", "paused", "restarting"]
#: The quick run plays every outage on prefork, and on the other pools the one that is hardest to tell.
OUTAGES_OF_POOLS = [
    pytest.param(
        outage, pool, marks=[] if pool == "prefork" or outage == "black_holed" else [pytest.mark.soak]
    )
    for outage in OUTAGES
    for pool in POOLS
]


# What is no fault ------------------------------------------------------------------------------------


@pytest.mark.parametrize("pool", POOLS)
def test_probe__busy_worker_is_alive(
    pool: str, pace: Pace, probe: Prober, line: Line, worker_factory: Callable[..., Worker]
) -> None:
    worker = worker_factory(line.url, pool=pool)
    probe.turns_green("worker", "--started")
    line.send("busy", pace.hold)
    worker.wait_for_log("Task tests.project.tasks.busy")
    probe.stays_green(state="running" if pool == "prefork" else "busy")
    worker.wait_for_log("succeeded in")
    # When it ends, what was late meanwhile must not count.
    probe.stays_green(seconds=3)


@pytest.mark.parametrize(("outage", "pool"), OUTAGES_OF_POOLS)
def test_probe__worker_whose_broker_is_away_is_alive(
    outage: str, pool: str, pace: Pace, probe: Prober, line: Line, worker_factory: Callable[..., Worker]
) -> None:
    worker = worker_factory(line.url, pool=pool)
    probe.turns_green()
    started = time.monotonic()
    for _ in line.breaks(outage, pace.hold):
        assert probe() == 0, f"after {time.monotonic() - started:.1f} s: {probe.text}"
        time.sleep(1)
    print(f"SEEN {outage} {pool}: green for {time.monotonic() - started:.1f} s, at last {probe.text.strip()}")
    if outage == "black_holed":
        # What was sent into the hole is gone, here for good: no timeout ends the wait for an answer, and the
        # broker answers all others. Only now is it at fault.
        probe.turns_red(timeout=pace.limit)
        return
    # And while it finds its way back.
    line.send("noop")
    eventually(lambda: probe() == 0 and "succeeded in" in worker.log, 60, interval=0.5)
    probe.stays_green(seconds=pace.max_age / 4)


def test_probe__draining_worker_is_alive(
    pace: Pace, probe: Prober, line: Line, worker_factory: Callable[..., Worker], tmp_path: Path
) -> None:
    worker = worker_factory(line.url)
    line.send("wait_for_file", str(tmp_path / "go"), pace.hold * 10)
    worker.wait_for_log("Task tests.project.tasks.wait_for_file")
    worker.signal(signal.SIGTERM)
    probe.stays_green(seconds=pace.hold / 2 - 2, state="draining")
    (tmp_path / "go").touch()
    assert worker.wait(30) == 0
    assert probe() == 1
    assert "no worker has written to" in probe.text


def test_probe__worker_that_imports_for_long_is_not_started(
    pace: Pace,
    probe: Prober,
    line: Line,
    worker_factory: Callable[..., Worker],
) -> None:
    worker = worker_factory(
        line.url,
        wait=False,
        conf={"include": ["tests.probe.slow_import"]},
        env={"PROBE_TEST_IMPORT_SECONDS": str(pace.import_seconds)},
    )
    started = time.monotonic()
    while probe("worker", "--started") != 0:
        assert time.monotonic() - started < pace.import_seconds + 30, probe.text
        time.sleep(0.5)
    seconds = time.monotonic() - started
    print(f"SEEN start-up with {pace.import_seconds:g} s of import: started after {seconds:.1f} s")
    assert seconds >= pace.import_seconds
    # Not before it consumes, and never red again.
    worker.wait_ready(timeout=1)
    probe.stays_green(seconds=3)


@pytest.mark.rabbitmq
@pytest.mark.parametrize("outage", ["refused", "black_holed"])
def test_probe__worker_whose_rabbitmq_is_away_is_alive(
    outage: str,
    pace: Pace,
    probe: Prober,
    rabbit: RabbitServer,
    rabbit_url: str,
    proxy: Callable[[int], Proxy],
    worker_factory: Callable[..., Worker],
) -> None:
    gate = proxy(rabbit.port)
    worker_factory(gate.url(rabbit_url))
    probe.turns_green()
    if outage == "refused":
        gate.refuse()
    else:
        gate.black_hole()
    probe.stays_green()
    gate.forward()
    probe.stays_green(seconds=pace.max_age)


# What is one -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("pool", POOLS)
def test_probe__stopped_worker_is_red(
    pool: str, probe: Prober, line: Line, worker_factory: Callable[..., Worker]
) -> None:
    worker = worker_factory(line.url, pool=pool)
    probe.turns_green()
    worker.pause()
    probe.turns_red()
    assert "it is stopped (SIGSTOP)" in probe.text
    worker.resume()
    probe.turns_green()


@pytest.mark.smoke
@pytest.mark.parametrize("pool", POOLS)
def test_probe__killed_worker_is_red(
    pool: str, probe: Prober, line: Line, worker_factory: Callable[..., Worker]
) -> None:
    worker = worker_factory(line.url, pool=pool)
    probe.turns_green()
    worker.kill()
    assert probe.turns_red(timeout=5) < 2
    assert "has ended" in probe.text


def test_probe__worker_that_waits_for_a_forgotten_connection_is_red(
    pace: Pace, probe: Prober, line: Line, worker_factory: Callable[..., Worker]
) -> None:
    worker_factory(line.url)
    probe.turns_green()
    # As a firewall does that has lost its table: the broker answers everybody but the connections there are.
    line.gate.forget_flows()
    probe.turns_red(timeout=pace.limit + 5)
    assert "its event loop has not turned for" in probe.text


@pytest.mark.soak  # even at the quick pace, Celery takes its 50 s
def test_probe__worker_with_socket_timeouts_heals_itself(
    pace: Pace, probe: Prober, line: Line, worker_factory: Callable[..., Worker]
) -> None:
    worker = worker_factory(line.url, conf={"broker_transport_options": {"socket_timeout": 2}})
    probe.turns_green()
    line.gate.forget_flows()
    probe.stays_green()

    def works() -> bool:
        # More than one: kombu loses what it had popped into a connection that it drops.
        line.send("noop")
        return "succeeded in" in worker.log

    # Celery 5.7 drops a silent BRPOP after some 50 s.
    eventually(works, 90, interval=2)


# Beats -----------------------------------------------------------------------------------------------


@pytest.fixture
def beat(
    line: Line, folder: Path, beat_factory: Callable[..., Beat], monkeypatch: pytest.MonkeyPatch
) -> Callable[..., Beat]:
    """Start a beat that sends something each second, or at `every`; its nerves are the test's."""
    control = folder / "control"
    control.mkdir()

    def start(every: float = 1.0, scheduler: str | None = None, **conf: object) -> Beat:
        return beat_factory(
            line.url,
            app="tests.beat.project",
            scheduler=scheduler,
            conf={"beat_schedule": {"one": {"task": TASK, "schedule": every}}, **conf},
            env={"BEAT_TEST_CONTROL": str(control)},
        )

    return start


def test_probe__sleeping_beat_is_alive(pace: Pace, probe: Prober, beat: Callable[..., Beat]) -> None:
    beat(every=3600.0)
    probe.turns_green("beat", "--started")
    probe.stays_green("beat", state="sleeping")


@pytest.mark.parametrize("outage", OUTAGES)
def test_probe__beat_whose_broker_is_away_is_alive(
    outage: str, pace: Pace, probe: Prober, line: Line, beat: Callable[..., Beat]
) -> None:
    process = beat()
    process.wait_for_log(" sent. id->")
    probe.turns_green("beat")
    started = time.monotonic()
    for _ in line.breaks(outage, pace.hold):
        assert probe("beat") == 0, f"after {time.monotonic() - started:.1f} s: {probe.text}"
        time.sleep(1)
    print(f"SEEN beat {outage}: green for {time.monotonic() - started:.1f} s, at last {probe.text.strip()}")
    if outage == "black_holed":
        probe.turns_red("beat")
        return
    probe.stays_green("beat", seconds=pace.max_age / 2)


def test_probe__redbeat_whose_redis_hangs_is_alive(
    pace: Pace, probe: Prober, line: Line, beat: Callable[..., Beat]
) -> None:
    # Its schedule is on the broker as well: it hangs in its tick, not in sending.
    # With the default timeout of redis-py it would end itself.
    process = beat(scheduler="redbeat.RedBeatScheduler", redbeat_redis_options={"socket_timeout": 3600})
    process.wait_for_log(" sent. id->")
    probe.turns_green("beat")
    for _ in line.breaks("paused", pace.hold):
        assert probe("beat") == 0, probe.text
        time.sleep(1)
    assert "(waiting)" in probe.text


def test_probe__stopped_beat_is_red(probe: Prober, beat: Callable[..., Beat]) -> None:
    process = beat()
    probe.turns_green("beat")
    process.pause()
    probe.turns_red("beat")
    assert "it is stopped (SIGSTOP)" in probe.text
    process.resume()
    probe.turns_green("beat")


@pytest.mark.smoke
def test_probe__killed_beat_is_red(probe: Prober, beat: Callable[..., Beat]) -> None:
    process = beat()
    probe.turns_green("beat")
    process.kill()
    assert probe.turns_red("beat", timeout=5) < 2
    assert "has ended" in probe.text


def test_probe__beat_that_was_stopped_leaves_nothing(
    folder: Path, probe: Prober, beat: Callable[..., Beat]
) -> None:
    process = beat()
    probe.turns_green("beat")
    assert process.stop() == 0
    assert probe("beat") == 1
    assert "no beat has written to" in probe.text


@pytest.mark.parametrize("where", ["hang_loop", "hang_publish"])
def test_probe__beat_that_hangs_is_red(
    where: str, folder: Path, probe: Prober, beat: Callable[..., Beat]
) -> None:
    beat()
    probe.turns_green("beat")
    (folder / "control" / where).touch()
    probe.turns_red("beat")
    assert "is stuck: its scheduler was to wake" in probe.text
    (folder / "control" / where).unlink()
    probe.turns_green("beat")


def test_probe__beat_that_waits_for_a_forgotten_connection_is_red(
    pace: Pace, probe: Prober, line: Line, beat: Callable[..., Beat]
) -> None:
    process = beat()
    process.wait_for_log(" sent. id->")
    probe.turns_green("beat")
    line.gate.forget_flows()
    probe.turns_red("beat")
    assert "is stuck" in probe.text
