"""The collector: what a scrape answers, in both formats and through a registry."""

import shutil
import subprocess
import threading

import pytest
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text

from celery_health import counters
from celery_health.conf.schema import DIALECTS
from celery_health.counters import encode
from celery_health.exceptions import StoreError
from celery_health.metrics.collector import MAX_ZERO_PAIRS, CeleryHealthCollector
from celery_health.metrics.dialects import rows_of
from celery_health.records import CheckResult, CheckStatus, Losses, QueueState, Status, TaskStreak
from celery_health.reporting.totals import Totals
from celery_health.store import StoredRecord
from tests.metrics.conftest import beat, reading, report, worker


def some_totals():
    totals = Totals()
    for queue in ("celery", "emails"):
        series = totals.series("shop.pay", queue)
        for _ in range(3):
            series.received()
            series.started()
        series.succeeded()
        series.failed("ValueError")
        series.failed("KeyError")
        series.retried()
        series.runtime(0.3)
        series.runtime(7.0)
        series.runtime(4000.0)
        series.queue_wait(0.004)
    totals.unknown("shop.pya")
    totals.unsent("shop.pay", "OSError", is_refused=True)
    totals.unstored("shop.pay", "OSError")
    totals.internal_error("agent")
    totals.count(counters.DEAD_LETTERED, "celery", "exception")
    totals.count(counters.DEAD_LETTERS_DROPPED, "celery", "length", amount=2)
    return dict(totals.drain().fields)


def collector(totals=None, the_report=None, **more):
    options = {
        "report": lambda: the_report or report(),
        "reading": lambda: reading(totals),
        "reset_if_behind": lambda epoch, version: None,
        "max_age_seconds": 0,
        **more,
    }
    return CeleryHealthCollector(**options)


def samples(text, parse=parse_text):
    """Return every sample of a scrape: (name, sorted labels) to value."""
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for metric in parse(text.decode())
        for sample in metric.samples
    }


def value(found, metric, /, **labels):
    return found.get((metric, tuple(sorted(labels.items()))))


# What is shown -----------------------------------------------------------------------------------------


def test_render__counters_with_their_labels():
    found = samples(collector(some_totals()).render())
    pay = {"name": "shop.pay", "queue_name": "emails"}
    assert value(found, "celery_task_received_total", **pay) == 3
    assert value(found, "celery_task_succeeded_total", **pay) == 1
    assert value(found, "celery_task_failed_total", **pay, exception="KeyError") == 1
    assert value(found, "celery_task_unknown_total", name="shop.pya") == 1
    assert value(found, "celery_health_internal_errors_total", where="agent") == 1


def test_render__histograms_are_cumulative_and_in_seconds():
    found = samples(collector(some_totals()).render())
    pay = {"name": "shop.pay", "queue_name": "emails"}
    buckets = {
        edge: value(found, "celery_task_runtime_bucket", **pay, le=edge)
        for edge in ("0.25", "0.5", "5.0", "10.0", "3600.0", "+Inf")
    }
    assert buckets == {"0.25": 0, "0.5": 1, "5.0": 1, "10.0": 2, "3600.0": 2, "+Inf": 3}
    assert value(found, "celery_task_runtime_count", **pay) == 3
    assert value(found, "celery_task_runtime_sum", **pay) == pytest.approx(4007.3)
    assert value(found, "celery_task_queue_wait_time_bucket", **pay, le="0.005") == 1


def test_render__background_job_sums_over_queues():
    found = samples(collector(some_totals(), dialects=["background_job"], namespace="shop").render())
    assert value(found, "shop_background_job_started_total", task_name="shop.pay") == 6
    assert value(found, "shop_background_job_completed_total", task_name="shop.pay") == 2
    assert value(found, "shop_background_job_failed_total", task_name="shop.pay", error_type="KeyError") == 2
    assert value(found, "shop_background_job_duration_seconds_count", task_name="shop.pay") == 6
    assert value(found, "shop_background_job_duration_seconds_sum", task_name="shop.pay") == pytest.approx(
        8014.6
    )


def test_render__task_status_sums_over_queues_and_exceptions():
    queues = (QueueState(name="emails", ready=0, active=2),)
    found = samples(collector(some_totals(), report(queues=queues), dialects=["task_status"]).render())
    by_status = {
        status: value(found, "celery_task_total", task_name="shop.pay", status=status)
        for status in ("success", "failure", "retry")
    }
    assert by_status == {"success": 2, "failure": 4, "retry": 2}
    assert value(found, "celery_task_retries_total", task_name="shop.pay") == 2
    assert value(found, "celery_active_tasks", queue_name="emails") == 2


def everything():
    emails = QueueState(
        name="emails",
        ready=0,
        active=2,
        consumers=1,
        capacity=4,
        reserved=1,
        held=1,
        oldest_age_seconds=2.0,
        consumer_names=("w1@host",),
        expected_by=("task:shop.pay",),
    )
    queues = (emails,)
    full = report(
        status=Status.DEGRADED,
        checks=(CheckResult(id="results.reachable", status=CheckStatus.PASS, message=""),),
        queues=queues,
        workers=(worker(active_count=1),),
        dead_letters={"emails": 2},
        losses=Losses(are_orphans_known=True),
    )
    beats = (beat(1.0, tick_age_seconds=1.0, entries=[{"entry": "sync", "overdue_seconds": 3.0}]),)
    totals = some_totals()
    streaks = {"shop.pay": TaskStreak(failures=7, failed_seconds=60.0), "shop.poll": TaskStreak(attempts=9)}
    return full, lambda: reading(totals, beats=beats, streaks=streaks)


def test_render__both_formats_and_the_registry_say_the_same():
    full, read = everything()
    one = collector(the_report=full, reading=read, dialects=DIALECTS)
    registry = CollectorRegistry()
    registry.register(one)
    found = samples(one.render())
    assert found == samples(one.render(openmetrics=True), parse_openmetrics)
    assert found == samples(generate_latest(registry))
    shown = {name.removesuffix(end) for name, _ in found for end in ("_bucket", "_sum", "")}
    assert {row.name for row in rows_of(DIALECTS)} <= shown
    assert registry.get_sample_value("celery_health_status", {"status": "degraded"}) == 1.0
    assert registry.get_sample_value("celery_beat_overdue_seconds", {"schedule": "sync"}) == 4.0
    (streak,) = [(dict(labels), value) for (name, labels), value in found.items() if name.endswith("_streak")]
    assert streak == ({"name": "shop.pay"}, 7.0)


@pytest.mark.prometheus
def test_render__promtool_can_read_it():
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("NOT RUN: promtool is not installed (Debian: apt-get install prometheus).")
    full, read = everything()
    text = collector(the_report=full, reading=read, dialects=DIALECTS).render()
    checked = subprocess.run([promtool, "check", "metrics"], input=text, capture_output=True, check=False)
    said = (checked.stdout + checked.stderr).decode()
    # Its taste, not an error: these are the names that existing dashboards ask for.
    complaints = [line for line in said.splitlines() if '"_count" suffix' not in line]
    assert complaints == []
    assert checked.returncode in (0, 3)


@pytest.mark.parametrize("openmetrics", [False, True])
def test_render__names_from_outside_cannot_inject(openmetrics):
    name = 'a"} 1\nevil_total{x="\\'
    queues = (QueueState(name=name, ready=4),)
    totals = {encode(counters.UNKNOWN, ('b"\\ c',)): 2}
    text = collector(totals, report(queues=queues)).render(openmetrics)
    found = samples(text, parse_openmetrics if openmetrics else parse_text)
    assert value(found, "celery_queue_length", queue_name=name) == 4
    assert value(found, "celery_task_unknown_total", name='b"\\ c') == 2
    assert not any(line.startswith(b"evil") for line in text.splitlines())


def test_render__fields_of_a_newer_version_are_left_out():
    found = samples(collector({"invented\x1fa": 1, encode(counters.UNKNOWN, ("x",)): 1}).render())
    assert value(found, "celery_task_unknown_total", name="x") == 1
    assert not any("invented" in name for name, _ in found)


# From the start ----------------------------------------------------------------------------------------


def registering(names, queues):
    record = StoredRecord(
        name="w1@host", age_seconds=1.0, record={"fingerprint": "f", "queues": list(queues)}
    )
    return lambda: reading(workers=(record,), registered={"f": tuple(names)})


COUNTED = ("received", "started", "succeeded", "retried", "rejected", "revoked", "sent")


def zeros(found):
    return {
        (labels["name"], labels["queue_name"])
        for (name, pairs), amount in found.items()
        if name in {f"celery_task_{fact}_total" for fact in COUNTED} and amount == 0
        for labels in [dict(pairs)]
    }


def test_zeros__a_routed_task_begins_in_its_queue_alone():
    queues = (QueueState(name="emails", expected_by=("task:shop.mail", "beat:nightly", "setting")),)
    read = registering(["shop.mail", "celery.chord"], ["celery", "emails"])
    found = samples(collector(the_report=report(queues=queues), reading=read).render())
    assert zeros(found) == {("shop.mail", "emails")}
    for fact in COUNTED:
        assert value(found, f"celery_task_{fact}_total", name="shop.mail", queue_name="emails") == 0


def test_zeros__other_registered_tasks_begin_in_every_queue_of_their_worker():
    found = samples(collector(reading=registering(["lib.clean", "celery.chord"], ["celery", "low"])).render())
    assert zeros(found) == {("lib.clean", "celery"), ("lib.clean", "low")}


def test_zeros__are_bounded():
    names = [f"lib.task{number}" for number in range(MAX_ZERO_PAIRS)]
    assert zeros(samples(collector(reading=registering(names, ["celery", "low"])).render())) == set()


def test_zeros__add_nothing_to_what_was_counted():
    queues = (QueueState(name="emails", expected_by=("task:shop.pay",)),)
    found = samples(collector(some_totals(), report(queues=queues)).render())
    assert value(found, "celery_task_received_total", name="shop.pay", queue_name="emails") == 3
    assert value(found, "celery_task_revoked_total", name="shop.pay", queue_name="emails") == 0


def test_zeros__overflow_is_there_before_it_happens():
    found = samples(collector().render())
    for label in ("name", "queue_name", "exception", "store"):
        assert value(found, "celery_health_label_overflow_total", label=label) == 0


# When something is down --------------------------------------------------------------------------------


def fails(error):
    def call(*_):
        raise error

    return call


def test_store_down__counters_are_absent_and_the_rest_is_there():
    queues = (QueueState(name="emails", ready=4, expected_by=("task:shop.pay",)),)
    one = collector(the_report=report(queues=queues), reading=fails(StoreError("The store is away.")))
    found = samples(one.render())
    assert value(found, "celery_health_store_up") == 0
    assert value(found, "celery_health_up") == 1
    assert value(found, "celery_queue_length", queue_name="emails") == 4
    assert not any(name.startswith(("celery_task_", "celery_health_label")) for name, _ in found)


def test_no_store__says_nothing_of_one():
    found = samples(collector(reading=lambda: None).render())
    assert value(found, "celery_health_store_up") is None
    assert not any(name.startswith("celery_task_") for name, _ in found)


def test_report_fails__the_totals_are_shown_all_the_same():
    found = samples(collector(some_totals(), report=fails(RuntimeError("odd"))).render())
    assert value(found, "celery_health_up") == 0
    assert value(found, "celery_health_store_up") == 1
    assert value(found, "celery_task_unknown_total", name="shop.pya") == 1
    assert value(found, "celery_health_status", status="healthy") is None


def test_registering__asks_nobody():
    registry = CollectorRegistry()
    one = collector(report=fails(AssertionError), reading=fails(AssertionError), dialects=DIALECTS)
    registry.register(one)
    names = {metric.name for metric in one.describe()}
    assert names == {row.name.removesuffix("_total") for row in rows_of(DIALECTS)}
    with pytest.raises(ValueError, match="Duplicated"):
        registry.register(collector())


# A store that goes back --------------------------------------------------------------------------------


class Rolling:
    """A store whose readings are given, and whose resets are noted."""

    def __init__(self, *readings):
        self.readings = list(readings)
        self.resets = []

    def read(self):
        return self.readings.pop(0)

    def reset(self, epoch, version):
        self.resets.append((epoch, version))

    def collector(self):
        return collector(reading=self.read, reset_if_behind=self.reset)


def runs(count):
    return {encode(counters.UNKNOWN, ("x",)): count}


def test_rollback__is_reset_and_never_shown():
    store = Rolling(
        reading(runs(1900), epoch=5, version=19),
        reading(runs(1000), epoch=5, version=10),
        reading({}, epoch=6, version=0),
    )
    one = store.collector()
    assert value(samples(one.render()), "celery_task_unknown_total", name="x") == 1900
    found = samples(one.render())
    assert value(found, "celery_task_unknown_total", name="x") is None
    assert value(found, "celery_health_store_up") == 1
    assert store.resets == [(5, 19)]


def test_rollback__that_somebody_else_reset_is_none():
    store = Rolling(reading(runs(5), epoch=5, version=19), reading(runs(1), epoch=6, version=1))
    one = store.collector()
    one.render()
    assert value(samples(one.render()), "celery_task_unknown_total", name="x") == 1
    assert store.resets == []


def test_rollback__that_cannot_be_reset_hides_the_totals():
    behind = reading(runs(1000), epoch=5, version=10)
    store = Rolling(reading(runs(1900), epoch=5, version=19), behind, behind)
    one = store.collector()
    one.render()
    found = samples(one.render())
    assert value(found, "celery_task_unknown_total", name="x") is None
    assert value(found, "celery_health_store_up") == 0


def test_reading__is_shared_for_a_second_by_all_who_scrape():
    asked = []
    one = collector(reading=lambda: asked.append(1) or reading(runs(1)), max_age_seconds=60)
    threads = [threading.Thread(target=one.render) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(asked) == 1


def test_render__the_result_backend_is_absent_where_nobody_knows():
    shown = {}
    for status in CheckStatus:
        checks = (CheckResult(id="results.reachable", status=status, message=""),)
        found = samples(collector({}, report(checks=checks)).render())
        shown[status.value] = value(found, "celery_result_backend_up")
    assert shown == {"pass": 1, "warn": 0, "fail": 0, "unknown": None, "unsupported": None, "off": None}
