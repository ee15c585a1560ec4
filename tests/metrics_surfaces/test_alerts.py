"""The alerting rules: valid, each driven to fire and to resolve, and made for a project's settings."""

from __future__ import annotations

import re
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
import yaml
from django.core.management import CommandError, call_command
from django.core.management.base import CommandParser

from celery_health.conf import parse
from celery_health.conf.schema import CHECK_IDS, Settings
from celery_health.management.subcommands.alerts import add_arguments
from celery_health.metrics.alerts import Project, alerts_of
from celery_health.metrics.promql import Scope, duration, none_of, quoted
from celery_health.metrics.rule_files import SHIPPED, operator_manifest, prometheus_file, runbook
from tests.metrics_surfaces.promtool import Drive, check_rules, drive_rules
from tests.support import ROOT

pytestmark = pytest.mark.prometheus

EMAILS = {"queue_name": "emails"}
ADD = {"name": "shop.add"}
UP = {"celery_health_store_up": "1x200"}

DRIVES = [
    Drive(
        alert="CeleryMetricsAbsent",
        series={"celery_health_up": "1x9 _x14 1x20"},
        quiet_at="18m", fires_at="20m", resolved_at="26m", severity="critical",
        says="No Celery metrics are scraped, or they come without a verdict: nobody watches Celery.",
    ),
    # They come, and without a verdict.
    Drive(
        alert="CeleryMetricsAbsent",
        series={"celery_health_up": "1x9 0x9 1x20"},
        quiet_at="14m", fires_at="16m", resolved_at="22m", severity="critical",
        says="No Celery metrics are scraped, or they come without a verdict: nobody watches Celery.",
    ),
    Drive(
        alert="CeleryUnhealthy",
        series={'celery_health_status{status="unhealthy"}': "0x4 1x5 0x5"},
        quiet_at="6m", fires_at="8m", resolved_at="12m", severity="critical",
        says="The verdict on Celery is 'unhealthy': python manage.py celery_health says why.",
    ),
    Drive(
        alert="CeleryDegraded",
        series={'celery_health_status{status="degraded"}': "0x4 1x20 0x5"},
        quiet_at="18m", fires_at="21m", resolved_at="27m",
        says="The verdict on Celery is 'degraded': python manage.py celery_health says why.",
    ),
    Drive(
        alert="CeleryStoreDown",
        series={"celery_health_store_up": "1x4 0x5 1x5"},
        quiet_at="6m", fires_at="8m", resolved_at="12m",
        says="The store of Celery's heartbeats and totals does not answer: silence proves nothing now.",
    ),
    Drive(
        alert="CeleryBrokerRefusesWrites",
        series={"celery_broker_writable": "1x4 0x5 1x5"},
        quiet_at="5m30s", fires_at="7m", resolved_at="12m", severity="critical",
        says="The broker answers and refuses writes: no task can be sent. Workers take what waits.",
    ),
    Drive(
        alert="CeleryResultBackendDown",
        series={"celery_result_backend_up": "1x4 0x5 1x5"},
        quiet_at="6m", fires_at="8m", resolved_at="12m",
        says="Results cannot be stored: whoever sends, ends or reads a task waits for that, and fails.",
    ),
    Drive(
        alert="CeleryTasksNotSent",
        series={**UP, 'celery_task_publish_failed_total{name="shop.pay",exception="OSError"}': "_x14 3x40"},
        quiet_at="13m", fires_at="15m", resolved_at="30m", labels={"name": "shop.pay"},
        says="3 tasks shop.pay were to be sent lately, and were not.",
    ),
    Drive(
        alert="CeleryLabelOverflow",
        series={**UP, 'celery_health_label_overflow_total{label="name"}': "0x4 7x100"},
        quiet_at="4m", fires_at="6m", resolved_at="80m", labels={"label": "name"}, severity="info",
        says="The metric label name has more values than its cap: the rest is 'other'.",
    ),
    # Born at 1, a while after the target was first seen.
    Drive(
        alert="CeleryHealthInternalErrors",
        series={**UP, 'celery_health_internal_errors_total{where="agent.flush"}': "_x70 1x100"},
        quiet_at="69m", fires_at="71m", resolved_at="140m", labels={"where": "agent.flush"}, severity="info",
        says="celery_health had an error of its own at agent.flush: what it shows may be short.",
    ),
    Drive(
        alert="CeleryNoWorkers",
        series={"celery_workers": "2x4 0x3 2x5"},
        quiet_at="5m", fires_at="7m", resolved_at="9m", severity="critical",
        says="No Celery worker is alive.",
    ),
    Drive(
        alert="CeleryWorkerHeartbeatStale",
        series={'celery_worker_up{hostname="w1@a"}': "1x4 0x30", 'celery_worker_up{hostname="w2@a"}': "1x40"},
        quiet_at="4m", fires_at="8m", resolved_at="41m", labels={"hostname": "w1@a"},
        says="Worker w1@a sent no heartbeat for over 30 s, and no goodbye.",
    ),
    Drive(
        alert="CeleryTasksLost",
        series={
            'celery_worker_tasks_lost{hostname="w1@a"}': "0x4 3x10 _x20",
            'celery_worker_tasks_lost{hostname="w2@a"}': "0x40",
        },
        quiet_at="4m", fires_at="5m", resolved_at="21m", labels={"hostname": "w1@a"},
        says="Worker w1@a took up to 3 tasks with it when it ended.",
    ),
    Drive(
        alert="CeleryMessagesOrphaned",
        series={'celery_queue_tasks_orphaned{queue_name="emails"}': "0x4 8x10 0x20"},
        quiet_at="5m", fires_at="7m", resolved_at="16m", labels=EMAILS,
        says="8 messages taken from queue emails are held by no worker.",
    ),
    Drive(
        alert="CeleryWorkerRestarting",
        series={
            'celery_worker_restarts_last_hour{hostname="w1@a"}': "0x4 6x20 5x20",
            'celery_worker_restarts_last_hour{hostname="w2@a"}': "5x45",
        },
        quiet_at="5m", fires_at="7m", resolved_at="27m", labels={"hostname": "w1@a"},
        says="Worker w1@a ended over 5 times in an hour, and was not told to.",
    ),
    Drive(
        alert="CeleryQueueWithoutConsumer",
        series={
            'celery_queue_length{queue_name="emails"}': "5x20",
            'celery_active_consumer_count{queue_name="emails"}': "1x4 0x5 1x10",
            'celery_queue_length{queue_name="idle"}': "0x20",
            'celery_active_consumer_count{queue_name="idle"}': "0x20",
        },
        quiet_at="5m", fires_at="7m", resolved_at="11m", labels=EMAILS, severity="critical",
        says="Queue emails holds 5 tasks, and no worker consumes it.",
    ),
    Drive(
        alert="CeleryQueueStalled",
        series={
            'celery_queue_length{queue_name="emails"}': "5x20",
            'celery_active_process_count{queue_name="emails"}': "6x20",
            # One of its workers is held back by a limit; the other is not, and takes nothing.
            'celery_held_back_process_count{queue_name="emails"}': "2x20",
            'celery_worker_tasks_active{hostname="w1@a"}': "1x20",
            'celery_task_received_total{name="a",queue_name="emails"}': "0+5x5 25x6 30+5x20",
        },
        quiet_at="6m", fires_at="11m", resolved_at="14m", labels=EMAILS, severity="critical",
        says="Queue emails holds 5 tasks, its workers have free slots, and none takes any.",
    ),
    Drive(
        alert="CeleryQueueBacklog",
        series={'celery_queue_length{queue_name="emails"}': "100x3 101x8 99x9"},
        quiet_at="8m", fires_at="10m", resolved_at="13m", labels=EMAILS, severity="info",
        says="Queue emails holds 101 tasks, and has for a while.",
    ),
    Drive(
        alert="CeleryQueueBacklogLarge",
        series={'celery_queue_length{queue_name="emails"}': "1000x3 1204x8 99x9"},
        quiet_at="3m", fires_at="6m", resolved_at="13m", labels=EMAILS,
        says="Queue emails holds 1.204k tasks, over its limit.",
    ),
    Drive(
        alert="CeleryOldestMessageTooOld",
        series={'celery_queue_oldest_message_age_seconds{queue_name="emails"}': "600x3 660x8 5x9"},
        quiet_at="3m", fires_at="6m", resolved_at="13m", labels=EMAILS,
        says="The oldest task in queue emails has waited for 11m 0s.",
    ),
    Drive(
        alert="CeleryDeadLettersGrowing",
        series={
            "celery_health_up": "1x200",
            'celery_dead_letter_queue_size{queue_name="emails"}': "_x70 3x100",
        },
        quiet_at="69m", fires_at="71m", resolved_at="132m", labels=EMAILS, severity="info",
        says="Queue emails has 3 more dead letters than an hour ago.",
    ),
    Drive(
        alert="CeleryDeadLettersTooMany",
        series={'celery_dead_letter_queue_size{queue_name="emails"}': "100x4 101x5 0x9"},
        quiet_at="4m", fires_at="7m", resolved_at="11m", labels=EMAILS,
        says="Queue emails has 101 dead letters, over its limit.",
    ),
    Drive(
        alert="CeleryDeadLettersLost",
        series={
            **UP, 'celery_dead_letters_dropped_total{queue_name="emails",reason="length"}': "_x70 4x100",
        },
        quiet_at="69m", fires_at="71m", resolved_at="140m", labels=EMAILS,
        says="4 dead letters of queue emails were lost in the last hour.",
    ),
    # Its failures are born at 30, and nothing fails after them.
    Drive(
        alert="CeleryTaskFailing",
        series={
            **UP,
            'celery_task_succeeded_total{name="shop.add",queue_name="a"}': "100x13 110x40",
            'celery_task_failed_total{name="shop.add",queue_name="a",exception="KeyError"}': "_x14 30x40",
            'celery_task_succeeded_total{name="shop.rare",queue_name="a"}': "1x60",
            'celery_task_failed_total{name="shop.rare",queue_name="a",exception="KeyError"}': "_x14 9x40",
        },
        quiet_at="13m", fires_at="16m", resolved_at="27m", labels=ADD,
        says="75% of the last runs of shop.add failed for good.",
    ),
    # Its last failure is at 10 m; a task that has ended well since has no series.
    Drive(
        alert="CeleryTaskFailingInARow",
        series={
            'celery_task_failure_streak{name="shop.add"}': "4x10 5x1600",
            'celery_task_last_failure_timestamp_seconds{name="shop.add"}': "0+60x10 600x1600",
            'celery_task_failure_streak{name="shop.rare"}': "4x1600",
            'celery_task_last_failure_timestamp_seconds{name="shop.rare"}': "600x1600",
        },
        quiet_at="10m", fires_at="13m", resolved_at="1515m", labels=ADD,
        says="The last 5 runs of shop.add ended badly, one after the other.",
    ),
    Drive(
        alert="CeleryTaskSlow",
        series={
            'celery_task_runtime_bucket{name="shop.add",queue_name="a",le="300.0"}': "0+90x20 1890x20",
            'celery_task_runtime_bucket{name="shop.add",queue_name="a",le="600.0"}': "0+100x20 2100x20",
            'celery_task_runtime_bucket{name="shop.add",queue_name="a",le="+Inf"}': "0+100x20 2100x20",
            'celery_task_succeeded_total{name="shop.add",queue_name="a"}': "0+100x20 2100x20",
            # As slow, but three runs in an hour.
            'celery_task_runtime_bucket{name="nightly",queue_name="a",le="300.0"}': "0x40",
            'celery_task_runtime_bucket{name="nightly",queue_name="a",le="600.0"}': "0x5 3x40",
            'celery_task_runtime_bucket{name="nightly",queue_name="a",le="+Inf"}': "0x5 3x40",
            'celery_task_succeeded_total{name="nightly",queue_name="a"}': "0x5 3x40",
        },
        quiet_at="2m", fires_at="8m", resolved_at="35m", labels=ADD,
        says="One in twenty runs of shop.add takes over 7m 30s.",
    ),
    # It never ends: there is no series of successes or failures.
    Drive(
        alert="CeleryTaskRetryStorm",
        series={**UP, 'celery_task_retried_total{name="shop.add",queue_name="a"}': "0x13 60x40"},
        quiet_at="13m", fires_at="21m", resolved_at="30m", labels=ADD,
        says="shop.add was retried 60 times lately, and seldom ended.",
    ),
    Drive(
        alert="CeleryTaskUnknown",
        series={**UP, 'celery_task_unknown_total{name="shop.ad"}': "_x14 1x40"},
        quiet_at="13m", fires_at="15m", resolved_at="30m", labels={"name": "shop.ad"},
        says="Workers received shop.ad, which they do not register, and threw it away.",
    ),
    Drive(
        alert="CeleryBeatDead",
        series={"celery_beat_last_tick_timestamp_seconds": "0+60x10 600x10 1300+60x20"},
        quiet_at="16m", fires_at="20m", resolved_at="23m", severity="critical",
        says="Beat last looked at its schedule 10m 0s ago: nothing that is scheduled is sent.",
    ),
    Drive(
        alert="CeleryScheduleOverdue",
        series={'celery_beat_overdue_seconds{schedule="sync"}': "600x3 720x5 0x9"},
        quiet_at="3m", fires_at="6m", resolved_at="10m", labels={"schedule": "sync"},
        says="The schedule entry sync is overdue by 12m 0s.",
    ),
]  # fmt: skip


def test_rules__are_valid(tmp_path: Path) -> None:
    count = len(alerts_of(Project())) + 4

    assert f"SUCCESS: {count} rules found" in check_rules(tmp_path, prometheus_file(Project()))


@pytest.mark.parametrize("drive", DRIVES, ids=lambda drive: drive.alert)
def test_rules__fire_and_resolve(tmp_path: Path, drive: Drive) -> None:
    drive_rules(tmp_path, prometheus_file(Project()), [drive])


def test_rules__shipped_file() -> None:
    assert SHIPPED.read_text() == prometheus_file(Project())


def test_rules__runbooks_exist() -> None:
    """Every address leads to a heading of the page that it names."""
    project = Project(settings=parse({"EXPECTED_QUEUES": ["emails"]}))
    pages: dict[str, set[str]] = {}
    for alert in alerts_of(project):
        page, _, anchor = runbook(alert.name).partition("#")
        if page not in pages:
            pages[page] = {
                line.removeprefix("## ").strip()
                for line in (ROOT / page).read_text().splitlines()
                if line.startswith("## Celery")
            }
        # What renders Markdown makes anchors of headings in lower case.
        assert alert.name in pages[page]
        assert anchor == alert.name.lower()
    assert {alert.name for alert in alerts_of(project)} == set().union(*pages.values())


def test_docs__say_what_fires_at_which_severity() -> None:
    page = (ROOT / "docs" / "how-to" / "alerts.md").read_text()
    told = re.findall(r"^\| \[(\w+)\]\(runbooks\.md#(\w+)\) \| (\w+) \|", page, re.MULTILINE)
    alerts = alerts_of(Project(settings=parse({"EXPECTED_QUEUES": ["emails"]})))

    assert told == [(alert.name, alert.name.lower(), alert.severity) for alert in alerts]


def test_docs__say_every_option() -> None:
    page = (ROOT / "docs" / "how-to" / "alerts.md").read_text()
    parser = CommandParser(add_help=False)
    add_arguments(parser)

    told = re.findall(r"^\| `(--[a-z]+)` \|", page, re.MULTILINE)
    assert told == [action.option_strings[0] for action in parser._actions]


def test_rules__each_is_driven() -> None:
    assert {alert.name for alert in alerts_of(Project())} == {drive.alert for drive in DRIVES}


QUIET = {
    # A target that is seen for the first time, with totals from before: nothing was born.
    "CeleryTaskUnknown": {
        "celery_health_store_up": "_x13 1x40", 'celery_task_unknown_total{name="x"}': "_x13 5x40",
    },
    # As many dead letters as before we looked: none of them is new.
    "CeleryDeadLettersGrowing": {
        "celery_health_up": "_x13 1x200", 'celery_dead_letter_queue_size{queue_name="x"}': "_x13 50x200",
    },
    # A third replica starts; its series are young, and what they count is not.
    "CeleryLabelOverflow": {
        "celery_health_store_up": "1x200",
        'celery_health_label_overflow_total{label="name"}': "500x200",
        'celery_health_label_overflow_total{label="name",instance="web-3:8000"}': "_x70 500x100",
    },
    # The store was away, and its totals come back.
    "CeleryHealthInternalErrors": {
        "celery_health_store_up": "1x20 0x70 1x40",
        'celery_health_internal_errors_total{where="x"}': "5x20 _x70 5x40",
    },
    # Every slot is taken by tasks of other queues, but for those of a worker that a rate limit holds back.
    "CeleryQueueStalled": {
        'celery_queue_length{queue_name="emails"}': "5x20",
        'celery_active_process_count{queue_name="emails"}': "6x20",
        'celery_held_back_process_count{queue_name="emails"}': "2x20",
        'celery_worker_tasks_active{hostname="w1@a"}': "4x20",
        'celery_task_received_total{name="a",queue_name="emails"}': "7x20",
    },
    # Three runs, all failed: below the floor.
    "CeleryTaskFailing": {
        **UP, 'celery_task_failed_total{name="x",exception="E",queue_name="a"}': "_x13 3x40",
    },
    # All totals start again together: no growth, and no fall.
    "CeleryTaskRetryStorm": {
        **UP,
        'celery_task_retried_total{name="x",queue_name="a"}': "500x15 0x20",
        'celery_task_succeeded_total{name="x",queue_name="a"}': "500x15 0x20",
    },
    # It is not known any more who holds them: the series ends, and begins again at none.
    "CeleryMessagesOrphaned": {'celery_queue_tasks_orphaned{queue_name="emails"}': "0x5 _x10 0x100"},
    # Deployments come and go, with their names.
    "CeleryTasksLost": {
        'celery_worker_tasks_lost{hostname="w1"}': "0x10 _x20",
        'celery_worker_tasks_lost{hostname="w2"}': "_x9 0x99",
    },
    # A goodbye: the worker's series ends.
    "CeleryWorkerHeartbeatStale": {'celery_worker_up{hostname="w"}': "1x10 _x20"},
}  # fmt: skip


@pytest.mark.parametrize("alert", QUIET)
def test_rules__stay_quiet(tmp_path: Path, alert: str) -> None:
    rules = prometheus_file(Project())
    drives = [
        Drive(alert=alert, series=QUIET[alert], fires_at="", resolved_at=f"{minute}m")
        for minute in (10, 16, 25, 35, 72, 95, 105)
    ]
    drive_rules(tmp_path, rules, drives)


# A project's own ---------------------------------------------------------------------------------------

OWN = {
    "LIMITS": {"depth": 50, "stuck_floor_seconds": 20},
    "QUEUES": {
        'slow "q".*': {"depth": 5000, "unconsumed_seconds": 600, "age_seconds": 10},
        "night": {"scale_to_zero": True, "dead_letters": 0},
    },
    "TASKS": {"shop.add": {"failure_ratio": 0.05, "failure_floor": 100, "expected": 1.5}},
    "CHECKS": {"tasks.unknown": "off", "queues.depth": "fail"},
    "MIN_WORKERS": 0,
    "EXPECT_BEAT": False,
}


def expressions(settings: Settings) -> dict[str, str]:
    """Return each alert's expression; several of one name together."""
    found: dict[str, str] = {}
    for alert in alerts_of(Project(settings=settings)):
        found[alert.name] = found.get(alert.name, "") + alert.expr
    return found


def test_rules__of_a_project_are_valid(tmp_path: Path) -> None:
    check_rules(tmp_path, prometheus_file(Project(settings=parse(OWN))))


def test_rules__take_the_projects_limits() -> None:
    alerts = {alert.name: alert for alert in alerts_of(Project(settings=parse(OWN)))}
    found = expressions(parse(OWN))

    assert (
        # One that scales to zero is judged by age alone.
        'celery_queue_length{queue_name!~"night|slow \\"q\\"\\\\.\\\\*"})) > 50\n'
        in found["CeleryQueueBacklogLarge"]
    )
    assert 'celery_queue_length{queue_name="slow \\"q\\".*"})) > 5000' in found["CeleryQueueBacklogLarge"]
    assert "> 5\n" in found["CeleryQueueBacklog"]
    assert alerts["CeleryQueueBacklogLarge"].severity == "critical"
    assert alerts["CeleryQueueBacklog"].severity == "info"
    assert "night" in found["CeleryQueueWithoutConsumer"].partition("!~")[2]
    assert 'celery_dead_letter_queue_size{queue_name="night"}) > 0' in found["CeleryDeadLettersTooMany"]
    assert '{name="shop.add"} > 0.05' in found["CeleryTaskFailing"]
    assert '{name="shop.add"} >= 100' in found["CeleryTaskFailing"]
    assert '{name="shop.add"}[10m]' in found["CeleryTaskSlow"]
    assert "> 1.5\nand\n" in found["CeleryTaskSlow"]
    assert "celery_queue_length" in found["CeleryNoWorkers"]
    assert not {"CeleryTaskUnknown", "CeleryBeatDead", "CeleryScheduleOverdue"} & found.keys()


@pytest.mark.parametrize("dialects", [["task_status"], ["background_job"], ["task_status", "exporter"]])
def test_rules__follow_the_dialects(tmp_path: Path, dialects: list[str]) -> None:
    settings = parse({"METRICS_DIALECTS": dialects, "METRICS_NAMESPACE": "shop", "LABELS": {"tier": {}}})
    project = Project(settings=settings, labels=("tier",))
    text = prometheus_file(project)

    check_rules(tmp_path, text)
    names = {alert.name for alert in alerts_of(project)}
    assert {"CeleryTaskFailing", "CeleryTaskSlow"} <= names
    assert ("CeleryTaskRetryStorm" in names) == (dialects != ["background_job"])
    assert ("CeleryNoWorkers" in names) == ("exporter" in dialects)
    if dialects == ["background_job"]:
        assert "shop_background_job_failed_total" in text
        assert "celery_" not in text.replace("celery_health:task", "").replace("name: celery_health", "")


def test_rules__expected_queue_without_consumer(tmp_path: Path) -> None:
    settings = parse(
        {"EXPECTED_QUEUES": ["emails", "old", "night"], "IGNORED_QUEUES": ["old"],
         "QUEUES": {"night": {"scale_to_zero": True}}}
    )  # fmt: skip
    drive = Drive(
        alert="CeleryExpectedQueueWithoutConsumer",
        series={
            f'celery_active_consumer_count{{queue_name="{name}"}}': "1x4 0x5 1x10"
            for name in ("emails", "old", "night", "other")
        },
        quiet_at="5m", fires_at="7m", resolved_at="11m", labels=EMAILS,
        says="No worker consumes queue emails, which EXPECTED_QUEUES names.",
    )  # fmt: skip

    text = prometheus_file(Project(settings=settings))
    check_rules(tmp_path, text)
    drive_rules(tmp_path, text, [drive])


def test_rules__take_what_tasks_say() -> None:
    # In the code, in the settings over it, and more than the last bucket of the histogram can tell.
    expected = {"a": 20.0, "b": 30.0, "c": 7200.0}
    project = Project(settings=parse({"TASKS": {"b": {"expected": 40}}}), expected=expected)
    (slow,) = [alert.expr for alert in alerts_of(project) if alert.name == "CeleryTaskSlow"]

    assert [line.rpartition("> ")[2] for line in slow.splitlines() if ") > " in line] == ["300", "20", "40"]
    assert '!~"a|b|c"' in slow
    assert 'name="c"' not in slow


def test_rules__count_opted_in_labels_apart(tmp_path: Path) -> None:
    settings = parse({"METRICS_DIALECTS": ["background_job"], "METRICS_NAMESPACE": "shop"})
    project = Project(settings=settings, labels=("tier",))
    done, failed = "shop_background_job_completed_total", "shop_background_job_failed_total"
    drive = Drive(
        alert="CeleryTaskFailing",
        series={
            f'{done}{{task_name="x",tier="a"}}': "5x60",
            f'{done}{{task_name="x",tier="b"}}': "5x13 10x60",
            f'{failed}{{task_name="x",tier="a",error_type="E"}}': "0x13 10x40",
            f'{failed}{{task_name="x",tier="b",error_type="E"}}': "0x13 10x40",
        },
        quiet_at="13m", fires_at="16m", resolved_at="27m", labels={"task_name": "x"},
        says="80% of the last runs of x failed for good.",
    )  # fmt: skip

    drive_rules(tmp_path, prometheus_file(project), [drive])


def test_rules__of_one_app_among_several(tmp_path: Path) -> None:
    text = prometheus_file(Project(settings=parse(OWN), scope=Scope(matchers='job="shop"')))

    check_rules(tmp_path, text)
    for line in text.splitlines():
        if "celery_" in line and not line.strip().startswith(("-", "summary", "runbook")):
            assert 'job="shop"' in line, line


def test_rules__name_only_checks_that_exist() -> None:
    assert {alert.check for alert in alerts_of(Project())} - {None} <= set(CHECK_IDS)


def test_operator_manifest__holds_the_same_rules() -> None:
    manifest = yaml.safe_load(operator_manifest(Project(), name="celery", namespace="shop"))

    assert manifest["kind"] == "PrometheusRule"
    assert manifest["metadata"] == {"name": "celery", "namespace": "shop"}
    assert manifest["spec"] == yaml.safe_load(prometheus_file(Project()))


# The command -------------------------------------------------------------------------------------------


def printed(*argv: str) -> str:
    out = StringIO()
    call_command("celery_health", "alerts", *argv, stdout=out)
    return out.getvalue()


def test_command__prints_the_projects_rules(settings: Any) -> None:
    settings.CELERY_HEALTH = OWN

    assert printed() == prometheus_file(Project(settings=parse(OWN)))


def test_command__options(settings: Any) -> None:
    settings.CELERY_HEALTH = {"METRICS_DIALECTS": ["background_job"], "LABELS": {"tier": {}}}
    argv = ["--match", 'job="a", namespace=~"b|c"', "--runbooks", "https://wiki/", "--format", "operator"]

    manifest = yaml.safe_load(printed(*argv, "--name", "mine", "--namespace", "prod"))

    assert manifest["metadata"] == {"name": "mine", "namespace": "prod"}
    (group,) = manifest["spec"]["groups"]
    assert 'celery_background_job_completed_total{job="a",namespace=~"b|c"}' in group["rules"][0]["expr"]
    assert "by (job, namespace, task_name, error_type, tier)" in group["rules"][0]["expr"]
    assert group["rules"][-1]["annotations"]["runbook_url"].startswith("https://wiki/celery")


def test_command__labels_that_are_matched_are_kept(tmp_path: Path) -> None:
    """Alerts stand on recorded series, which are matched by the same labels: they must have them."""
    text = printed("--match", 'cluster="eu",job=~".*celery.*"')
    (plain,) = [drive for drive in DRIVES if drive.alert == "CeleryTaskFailing"]
    series = {
        name.replace("{", '{cluster="eu",') if "{" in name else f'{name}{{cluster="eu"}}': values
        for name, values in plain.series.items()
    }
    drive = Drive(
        alert="CeleryTaskFailing",
        series=series,
        quiet_at="13m", fires_at="16m", resolved_at="27m", labels={**ADD, "cluster": "eu"},
        says="75% of the last runs of shop.add failed for good.",
    )  # fmt: skip

    check_rules(tmp_path, text)
    drive_rules(tmp_path, text, [drive])


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["--match", "job=shop"], "--match is"),
        (["--match", 'job="a" x="b"'], "--match is"),
        (["--match", '{job="a"}'], "--match is"),
        (["--format", "yaml"], "--format is 'yaml': give one of prometheus, operator"),
        (["--format", "operator", "--name", "Mine"], "--name is 'Mine'"),
        (["--format", "operator", "--namespace", "a b"], "--namespace is 'a b'"),
    ],
)
def test_command__wrong_options(argv: list[str], message: str) -> None:
    with pytest.raises(CommandError, match=message) as caught:
        printed(*argv)

    assert caught.value.returncode == 2


# PromQL ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0s"), (60, "1m"), (90, "90s"), (3600, "1h"), (5400, "90m"), (0.5, "500ms"), (1.5, "1500ms")],
)
def test_duration__table(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_matchers__escape() -> None:
    assert none_of("q", []) == ""
    assert none_of("q", ["b", "a.c"]) == 'q!~"a\\\\.c|b"'
    assert quoted('a"\n\\') == '"a\\"\\n\\\\"'
