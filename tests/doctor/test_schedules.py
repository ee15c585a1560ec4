"""Entries that are kept in tables and in RedBeat: read live, and judged like those of the settings."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.doctor.shop import Answer, Shop
from tests.support import eventually

Make = Callable[[str], Shop]
TABLES = """
    INSTALLED_APPS += ["django_celery_beat"]
    CELERY_BEAT_SCHEDULER = "django_celery_beat.schedulers:DatabaseScheduler"
    CELERY_BEAT_SCHEDULE = {}
"""
ROWS = """
    from datetime import timedelta
    from django.utils import timezone
    from django_celery_beat.models import IntervalSchedule, PeriodicTask

    often = IntervalSchedule.objects.create(every=60, period="seconds")

    def add(name, task, **fields):
        PeriodicTask.objects.create(name=name, task=task, interval=often, **fields)

    add("right", "orders.tasks.release_expired_baskets")
    add("stale", "orders.tasks.refresh_price", kwargs='{"supplier": "northwind"}')
    add("misfit", "orders.tasks.refresh_prices")
    add("garbled", "orders.tasks.release_expired_baskets", args="[1")
    add("off", "orders.tasks.gone", enabled=False)
    add("over", "orders.tasks.gone", expires=timezone.now() - timedelta(hours=1))
    add("once", "orders.tasks.gone", one_off=True)
    PeriodicTask.objects.filter(name="once").update(total_run_count=1)
"""
REDBEAT = """
    CELERY_BEAT_SCHEDULER = "redbeat.RedBeatScheduler"
    CELERY_BEAT_SCHEDULE = {}
"""
ENTRIES = """
    from celery.schedules import crontab, schedule
    from redbeat import RedBeatSchedulerEntry
    from shop.celery import app

    def add(name, task, when, **more):
        RedBeatSchedulerEntry(name, task, when, app=app, **more).save()

    add("right", "orders.tasks.release_expired_baskets", schedule(60.0))
    add("stale", "orders.tasks.refresh_price", crontab(minute="5"))
    add("off", "orders.tasks.gone", schedule(60.0), enabled=False)
"""
QUEUES = ["celery", "emails", "reports"]


@pytest.mark.slow
def test_tables__stale_rows_are_found_live_alone(make_shop: Make, redis_url: str) -> None:
    shop = make_shop(redis_url)
    shop.change(TABLES)
    assert shop.manage("migrate", "--verbosity", "0").returncode == 0
    shop.run(ROWS)
    shop.worker(queues=QUEUES)

    assert shop.doctor("--static").found == []
    answer = shop.doctor_finds(["E101:beat_entry:stale", "W201:beat_entry:garbled", "W201:beat_entry:misfit"])

    assert answer.body["notes"] == []
    assert answer.finding("E101")["fix"] == (
        "Set the entry's task to 'orders.tasks.refresh_prices', or disable it (django_celery_beat)."
    )
    assert answer.finding("E101")["evidence"]["source"] == "django_celery_beat"
    # Nothing was written: django-celery-beat's own reader disables what it cannot read.
    shop.run(
        """
        from django_celery_beat.models import PeriodicTask
        assert PeriodicTask.objects.filter(enabled=True).count() == 6
        """
    )


def test_tables__that_are_missing_are_a_note(make_shop: Make, redis_url: str) -> None:
    shop = make_shop(redis_url)
    shop.change(TABLES)
    shop.worker(queues=QUEUES)

    answer = shop.doctor_finds([])

    (note,) = answer.body["notes"]
    assert note.startswith("the tables of django-celery-beat: OperationalError")
    assert answer.status == 0


@pytest.mark.smoke
def test_redbeat__entries_are_found_live_alone(make_shop: Make, redis_url: str) -> None:
    shop = make_shop(redis_url)
    shop.change(REDBEAT)
    shop.run(ENTRIES)
    shop.worker(queues=QUEUES)

    assert shop.doctor("--static").found == []
    answer = shop.doctor_finds(["E101:beat_entry:stale"])

    assert answer.body["notes"] == []
    assert answer.finding("E101")["evidence"]["source"] == "redbeat"


OFTEN = """
    CELERY_BEAT_SCHEDULE = {
        "often": {"task": "orders.tasks.release_expired_baskets", "schedule": 1.0},
    }
"""


def test_beat__two_of_them_and_one_with_an_old_schedule(make_shop: Make, redis_url: str) -> None:
    shop = make_shop(redis_url)
    shop.change(OFTEN)
    shop.worker(queues=QUEUES)
    first, second = shop.beat(), shop.beat()

    twice = codes_of(shop, ["W219"]).finding("W219")
    assert twice["evidence"]["entries"] == ["often"]
    assert twice["fix"].startswith("Run one beat: one replica, without -B on workers;")
    second.stop()

    shop.change(OFTEN + '    CELERY_BEAT_SCHEDULE["new"] = {**CELERY_BEAT_SCHEDULE["often"]}\n')
    lacking = codes_of(shop, ["E120"]).finding("E120")
    assert lacking["evidence"]["missing"] == ["new"]
    assert lacking["fix"] == "Restart beat with the code that this process has."
    first.stop()


def codes_of(shop: Shop, codes: list[str]) -> Answer:
    """Ask until findings of exactly these codes are there: a beat's name holds its process id."""

    def ask() -> Answer:
        answer = shop.doctor()
        assert [one["code"] for one in answer.body["findings"]] == codes, answer.found
        return answer

    return eventually(ask, 30, interval=0.2)
