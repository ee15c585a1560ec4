"""An entry of the settings, and what beat keeps of it elsewhere: each fault is told once, with its place."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from celery_health.doctor.findings import DoctorReport
from tests.cases.broken_live import table_entry
from tests.cases.support import Project, a_project
from tests.doctor.shop import Shop

TABLES = frozenset({"django_celery_beat"})
QUEUES = ["celery", "emails", "reports"]


def row(p: Project, name: str, task: str, **changes: Any) -> Any:
    """Return a row of django-celery-beat's table."""
    return table_entry(p, name, task, **changes)


@pytest.fixture
def examine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., DoctorReport]:
    """Return what the doctor says where the settings have one entry, and the table these rows."""

    def of(task: str, *rows: tuple[str, str], **live: Any) -> DoctorReport:
        with a_project(tmp_path, monkeypatch) as p:
            p.tasks("shop.clean", "shop.mail")
            p.conf(task_routes={"shop.mail": {"queue": "mails"}})
            p.beat(task, "tidy", 60)
            p.worker(queues=["celery", "mails"])
            p.live(entries=tuple(row(p, *one) for one in rows), **{"read_from": TABLES, **live})
            return p.report()

    return of


def told(report: DoctorReport) -> list[str]:
    return [f"{one.code}:{one.subject.name}" for one in report.findings]


def test_entries__a_copy_in_the_table_is_no_second_fault(examine: Callable[..., DoctorReport]) -> None:
    report = examine("shop.tidy", ("tidy", "shop.tidy"), ("other", "shop.clean"))

    assert told(report) == ["E101:tidy"]
    (finding,) = report.findings
    assert finding.evidence["source"] == "settings"
    assert finding.evidence["copied_to"] == "django_celery_beat"
    assert finding.fix == (
        "Define 'shop.tidy', or remove the entry. Do so in the settings, and restart beat: when it starts, "
        "it writes them over its copy (django_celery_beat)."
    )


def test_entries__a_copy_with_another_schedule_is_none_either(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody changed the interval in the admin: what is wrong with the task is one thing all the same."""
    with a_project(tmp_path, monkeypatch) as p:
        p.tasks("shop.clean")
        p.beat("shop.tidy", "tidy", 3600)
        p.worker()
        p.live(entries=(row(p, "tidy", "shop.tidy"),), read_from=TABLES)
        report = p.report()

    assert told(report) == ["E101:tidy"]
    assert report.findings[0].evidence["copied_to"] == "django_celery_beat"


def test_entries__an_old_row_is_written_over_when_beat_starts(examine: Callable[..., DoctorReport]) -> None:
    (finding,) = examine("shop.clean", ("tidy", "shop.tidy")).findings

    assert finding.code == "E101"
    assert finding.evidence["source"] == "django_celery_beat"
    assert finding.fix == (
        "Restart beat: the settings have another entry 'tidy', which it writes over this one "
        "(django_celery_beat) when it starts."
    )


def test_entries__a_row_put_right_by_hand_is_undone_when_beat_starts(
    examine: Callable[..., DoctorReport],
) -> None:
    """Nothing is lost now: a warning."""
    (finding,) = examine("shop.tidy", ("tidy", "shop.clean")).findings

    assert finding.code == "W101"
    assert finding.evidence["source"] == "settings"
    assert finding.fix == (
        "Define 'shop.tidy', or remove the entry. Beat has another entry of that name (django_celery_beat), "
        "and writes this one over it when it starts."
    )


def test_entries__two_that_are_both_wrong_are_two_faults(examine: Callable[..., DoctorReport]) -> None:
    report = examine("shop.tidy", ("tidy", "shop.sweep"))

    assert [(one.code, one.evidence["task"]) for one in report.findings] == [
        ("E101", "shop.sweep"),
        ("W101", "shop.tidy"),
    ]


def test_entries__a_row_that_is_switched_off_is_sent_by_nobody(
    examine: Callable[..., DoctorReport],
) -> None:
    assert told(examine("shop.tidy", switched_off=frozenset({"tidy"}))) == []


def test_entries__where_beat_may_read_the_settings_both_count(examine: Callable[..., DoctorReport]) -> None:
    report = examine("shop.tidy", ("tidy", "shop.sweep"), read_from=frozenset())

    assert told(report) == ["E101:tidy", "E101:tidy"]


def test_entries__a_queue_is_that_of_the_row(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The settings' entry goes elsewhere, once beat starts again; nobody need consume that now."""
    with a_project(tmp_path, monkeypatch) as p:
        p.tasks("shop.clean", "shop.mail")
        p.beat("shop.mail", "tidy", 60, options={"queue": "mails"})
        p.worker(queues=["celery"])
        p.queue("mails", consumers=0, expected_by=("beat:tidy",))
        p.live(entries=(row(p, "tidy", "shop.clean"),), read_from=TABLES)
        assert told(p.report()) == []
        p.live(entries=(), switched_off=frozenset({"tidy"}))
        assert told(p.report()) == []
        p.live(switched_off=frozenset())
        assert told(p.report()) == ["E104:mails"]


SYNCED = """
    INSTALLED_APPS += ["django_celery_beat"]
    CELERY_BEAT_SCHEDULER = "django_celery_beat.schedulers:DatabaseScheduler"
    CELERY_BEAT_SCHEDULE = {
        "prices": {"task": "orders.tasks.refresh_price", "schedule": 3600, "args": ("northwind",)},
        "off": {"task": "orders.tasks.gone", "schedule": 3600},
    }
"""


@pytest.mark.slow
def test_entries__what_beat_synced_is_told_once_and_the_fix_works(
    make_shop: Callable[[str], Shop], redis_url: str
) -> None:
    shop = make_shop(redis_url)
    shop.change(SYNCED)
    assert shop.manage("migrate", "--verbosity", "0").returncode == 0
    worker, beat = shop.worker(queues=QUEUES), shop.beat()
    twice = ["E101:beat_entry:off", "E101:beat_entry:prices"]
    answer = shop.doctor_finds(twice)
    assert {one["evidence"]["copied_to"] for one in answer.body["findings"]} == {"django_celery_beat"}

    shop.run(
        """
        from django_celery_beat.models import PeriodicTask
        PeriodicTask.objects.filter(name="off").update(enabled=False)
        """
    )
    fix = shop.doctor_finds(["E101:beat_entry:prices"]).finding("E101")["fix"]
    assert fix.startswith("Set the entry's task to 'orders.tasks.refresh_prices'. Do so in the settings, and")

    shop.change(SYNCED.replace('refresh_price"', 'refresh_prices"'))
    stale = shop.doctor_finds(["E101:beat_entry:prices"]).finding("E101")
    assert stale["fix"].startswith("Restart beat: the settings have another entry 'prices'")
    beat.stop()
    shop.beat()
    shop.doctor_finds([])
    worker.stop()
