"""Names of settings that nobody reads, and settings that nobody made."""

from __future__ import annotations

import sys
from types import ModuleType
from typing import Any

from celery import Celery

from tests.cases.support import Project, broken

DECENT: dict[str, Any] = {
    "BROKER_URL": "redis://broker.invalid/0",
    "TASK_TIME_LIMIT": 60,
    "BROKER_TRANSPORT_OPTIONS": {"socket_timeout": 5},
    "BROKER_CONNECTION_RETRY_ON_STARTUP": True,
    "WORKER_CANCEL_LONG_RUNNING_TASKS_ON_CONNECTION_LOSS": True,
}
ROUTES = {"shop.clean": {"queue": "slow"}}
NIGHTLY = {"clean": {"task": "shop.clean", "schedule": 60}}


def decent(p: Project, prefix: str = "CELERY", without: str | None = None, **more: Any) -> None:
    """Configure the project by Django's settings, soundly but for one option and what is added."""
    names = {f"{prefix}_{name}": value for name, value in DECENT.items() if name != without}
    p.configure(namespace=prefix, **names, **more)
    p.tasks("shop.clean")


def not_testing(p: Project) -> None:
    p.monkeypatch.setattr("celery_health.doctor.static.names._is_testing", lambda: False)


# Typing errors -----------------------------------------------------------------------------------------


@broken("W134:setting:CELERY_BROKERURL", fix="Rename it to CELERY_BROKER_URL.")
def the_brokers_name_lacks_a_line(p: Project) -> None:
    decent(p, without="BROKER_URL", CELERY_BROKERURL="redis://broker.invalid/0")


@broken("W134:setting:CELERY_BROKER", "W135:setting:broker_url", fix="Rename it to CELERY_BROKER_URL.")
def the_brokers_name_is_cut_short(p: Project) -> None:
    not_testing(p)
    decent(p, without="BROKER_URL", CELERY_BROKER="redis://broker.invalid/0")


@broken("W134:setting:CELERY_TASK_ROUTE", fix="Rename it to CELERY_TASK_ROUTES.")
def the_routes_are_one(p: Project) -> None:
    decent(p, CELERY_TASK_ROUTE=ROUTES)


@broken("W134:setting:CELERY_BEAT_SCHEDULE_", fix="Rename it to CELERY_BEAT_SCHEDULE.")
def the_schedules_name_has_a_line_too_many(p: Project) -> None:
    decent(p, CELERY_BEAT_SCHEDULE_=NIGHTLY)


@broken("W134:setting:CELERY_TASK_DEFUALT_QUEUE", fix="Rename it to CELERY_TASK_DEFAULT_QUEUE.")
def two_letters_are_swapped(p: Project) -> None:
    decent(p, CELERY_TASK_DEFUALT_QUEUE="shop")


@broken("W134:setting:CELERY_PREFETCH_MULTIPLIER", fix="Rename it to CELERY_WORKER_PREFETCH_MULTIPLIER.")
def the_first_part_is_left_out(p: Project) -> None:
    decent(p, CELERY_PREFETCH_MULTIPLIER=1)


@broken("W134:setting:CELRY_TASK_ROUTES", fix="Rename it to CELERY_TASK_ROUTES.")
def the_namespace_is_misspelt(p: Project) -> None:
    decent(p, CELRY_TASK_ROUTES=ROUTES)


@broken("W134:setting:QUEUES_TASK_ROUTES", fix="Rename it to QUEUE_TASK_ROUTES.")
def a_namespace_of_the_projects_own_is_misspelt(p: Project) -> None:
    decent(p, "QUEUE", QUEUES_TASK_ROUTES=ROUTES)


@broken("W134:setting:TASK_ROUTES", fix="Rename it to CELERY_TASK_ROUTES.")
def the_namespace_is_left_out(p: Project) -> None:
    decent(p, TASK_ROUTES=ROUTES)


@broken("W134:setting:CELERY_CELERYBEAT_SCHEDULE", fix="Rename it to CELERY_BEAT_SCHEDULE.")
def an_old_name_is_put_under_the_namespace(p: Project) -> None:
    decent(p, CELERY_CELERYBEAT_SCHEDULE=NIGHTLY)


@broken("W134:setting:CELERY_ROUTE", fix="Rename it to CELERY_ROUTES.")
def an_old_name_is_misspelt(p: Project) -> None:
    p.configure(
        namespace=None,
        BROKER_URL="redis://broker.invalid/0",
        CELERYD_TASK_TIME_LIMIT=60,
        BROKER_TRANSPORT_OPTIONS={"socket_timeout": 5},
        CELERY_ROUTE=ROUTES,
    )
    p.app.conf.broker_connection_retry_on_startup = True
    p.monkeypatch.setattr("celery_health.doctor.rules.celery_6_changes.Celery6Changes.find", lambda *_: ())
    p.tasks("shop.clean")


@broken("W134:setting:app.conf.brokerurl", fix="Rename it to app.conf.broker_url.")
def it_is_misspelt_on_the_app(p: Project) -> None:
    p.app = Celery("shop", set_as_current=False)
    p.app.conf.update({name.lower(): value for name, value in DECENT.items() if name != "BROKER_URL"})
    p.app.conf.brokerurl = "redis://broker.invalid/0"
    p.tasks("shop.clean")


@broken("W134:setting:task_route", fix="Rename it to task_routes.")
def it_is_misspelt_in_a_module_of_its_own(p: Project) -> None:
    module = ModuleType("celeryconfig")
    module.__dict__.update({name.lower(): value for name, value in DECENT.items()}, task_route=ROUTES)
    p.monkeypatch.setitem(sys.modules, "celeryconfig", module)
    p.app = Celery("shop", set_as_current=False)
    p.app.config_from_object("celeryconfig")
    p.tasks("shop.clean")


@broken("W134:setting:CELERYHEALTH", fix="Rename it to CELERY_HEALTH.")
def our_own_name_is_misspelt(p: Project) -> None:
    decent(p, CELERYHEALTH={})


@broken("W134:setting:CELERY_HEALHT", fix="Rename it to CELERY_HEALTH.")
def our_own_name_has_swapped_letters(p: Project) -> None:
    decent(p, CELERY_HEALHT={"DEADLINE": 3})


@broken("W134:setting:CELERY_HEALTH_DEADLINE", fix="CELERY_HEALTH = {'DEADLINE': CELERY_HEALTH_DEADLINE}")
def a_key_of_ours_stands_alone(p: Project) -> None:
    decent(p, CELERY_HEALTH_DEADLINE=3)


# Not set at all ----------------------------------------------------------------------------------------


@broken("W135:setting:broker_url", fix="CELERY_BROKER_URL = 'redis://localhost:6379/0', with")
def nobody_set_a_broker_under_a_namespace(p: Project) -> None:
    not_testing(p)
    decent(p, without="BROKER_URL")


@broken("W135:setting:broker_url", fix="app.conf.broker_url = 'redis://localhost:6379/0', with")
def nobody_set_a_broker_on_the_app(p: Project) -> None:
    not_testing(p)
    p.app = Celery("shop", set_as_current=False)
    p.app.conf.update({name.lower(): value for name, value in DECENT.items() if name != "BROKER_URL"})
    p.tasks("shop.clean")


@broken("W135:setting:broker_url", fix="In celeryconfig: broker_url = 'redis://localhost:6379/0', with")
def nobody_set_a_broker_in_a_module_of_its_own(p: Project) -> None:
    not_testing(p)
    module = ModuleType("celeryconfig")
    module.__dict__.update({name.lower(): value for name, value in DECENT.items() if name != "BROKER_URL"})
    p.monkeypatch.setitem(sys.modules, "celeryconfig", module)
    p.app = Celery("shop", set_as_current=False)
    p.app.config_from_object("celeryconfig")
    p.tasks("shop.clean")
