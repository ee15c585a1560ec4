"""The table of names: as the contract lists them, each once."""

import re

import pytest

from celery_health.conf.schema import DIALECTS as DIALECT_NAMES
from celery_health.conf.schema import LABELLED_DIALECTS
from celery_health.metrics.dialects import DIALECTS, rows_of

CONTRACT = {
    **{
        f"celery_task_{fact}_total": ("counter", ("name", "queue_name"))
        for fact in (
            "received",
            "started",
            "succeeded",
            "retried",
            "rejected",
            "revoked",
            "expired",
            "killed",
            "sent",
        )  # fmt: skip
    },
    "celery_task_failed_total": ("counter", ("name", "queue_name", "exception")),
    "celery_task_unknown_total": ("counter", ("name",)),
    "celery_task_publish_failed_total": ("counter", ("name", "exception")),
    "celery_task_result_failed_total": ("counter", ("name", "exception")),
    "celery_task_failure_streak": ("gauge", ("name",)),
    "celery_task_last_failure_timestamp_seconds": ("gauge", ("name",)),
    "celery_task_runtime": ("histogram", ("name", "queue_name")),
    "celery_task_queue_wait_time": ("histogram", ("name", "queue_name")),
    "celery_worker_up": ("gauge", ("hostname",)),
    "celery_worker_restarts_last_hour": ("gauge", ("hostname",)),
    "celery_worker_tasks_active": ("gauge", ("hostname",)),
    "celery_worker_tasks_lost": ("gauge", ("hostname",)),
    "celery_worker_last_heartbeat_timestamp_seconds": ("gauge", ("hostname",)),
    "celery_workers": ("gauge", ()),
    "celery_health_up": ("gauge", ()),
    "celery_health_store_up": ("gauge", ()),
    "celery_broker_writable": ("gauge", ()),
    "celery_result_backend_up": ("gauge", ()),
    "celery_queue_length": ("gauge", ("queue_name",)),
    "celery_queue_tasks_active": ("gauge", ("queue_name",)),
    "celery_queue_tasks_orphaned": ("gauge", ("queue_name",)),
    "celery_queue_tasks_reserved": ("gauge", ("queue_name",)),
    "celery_queue_tasks_held": ("gauge", ("queue_name",)),
    "celery_queue_oldest_message_age_seconds": ("gauge", ("queue_name",)),
    "celery_active_consumer_count": ("gauge", ("queue_name",)),
    "celery_active_worker_count": ("gauge", ("queue_name",)),
    "celery_active_process_count": ("gauge", ("queue_name",)),
    "celery_held_back_process_count": ("gauge", ("queue_name",)),
    "celery_dead_letter_queue_size": ("gauge", ("queue_name",)),
    "celery_dead_letters_total": ("counter", ("queue_name", "cause")),
    "celery_dead_letters_dropped_total": ("counter", ("queue_name", "reason")),
    "celery_beat_last_tick_timestamp_seconds": ("gauge", ()),
    "celery_beat_overdue_seconds": ("gauge", ("schedule",)),
    "celery_health_status": ("gauge", ("status",)),
    "celery_health_label_overflow_total": ("counter", ("label",)),
    "celery_health_internal_errors_total": ("counter", ("where",)),
}


def table(*dialects, namespace="celery"):
    return {row.name: (row.kind, row.labels) for row in rows_of(dialects, namespace)}


def test_exporter__is_the_table_of_the_contract():
    assert table("exporter") == CONTRACT


def test_background_job__is_the_table_of_the_contract():
    assert table("background_job", namespace="shop") == {
        "shop_background_job_started_total": ("counter", ("task_name",)),
        "shop_background_job_completed_total": ("counter", ("task_name",)),
        "shop_background_job_failed_total": ("counter", ("task_name", "error_type")),
        "shop_background_job_duration_seconds": ("histogram", ("task_name",)),
    }


def test_task_status__is_the_table_of_the_contract():
    assert table("task_status") == {
        "celery_task_total": ("counter", ("task_name", "status")),
        "celery_task_duration_seconds": ("histogram", ("task_name",)),
        "celery_task_retries_total": ("counter", ("task_name",)),
        "celery_dead_letter_queue_size": ("gauge", ("queue_name",)),
        "celery_active_tasks": ("gauge", ("queue_name",)),
    }


def test_all_together__no_name_twice():
    names = [row.name for row in rows_of(DIALECT_NAMES)]
    assert len(names) == len(set(names)) == len(CONTRACT) + 4 + 5 - 1  # the dead letters are in two


def test_dialects__are_those_of_the_settings():
    assert set(DIALECTS) == set(DIALECT_NAMES)


@pytest.mark.parametrize("row", rows_of(DIALECT_NAMES), ids=lambda row: row.name)
def test_row__is_sound(row):
    assert re.fullmatch(r"[a-z_]+", row.name)
    assert row.name.endswith("_total") == (row.kind == "counter")
    assert row.help.endswith(".")
    assert bool(row.sources) == (row.kind != "gauge")
    assert bool(row.fact) == (row.kind == "gauge")
    for source in row.sources:
        assert len(source.labels) + len(source.constants) == len(row.labels)
        assert set(source.labels) <= set(source.family.labels)
        assert source.family.kind == row.kind
    # Prometheus adds these itself; emitting them makes it rename ours.
    assert not {"job", "instance", "namespace", "cluster", "le"} & set(row.labels)


def test_dialects__labels_of_a_project_are_shown_by_those_that_the_settings_name():
    shown = {name for name, rows in DIALECTS.items() if any(row.takes_custom for row in rows)}
    assert shown == set(LABELLED_DIALECTS)
