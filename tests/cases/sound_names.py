"""Names that look like Celery's and are others', and brokers that are set in other ways."""

from __future__ import annotations

from typing import Any

from celery import Celery

from celery_health.records import BrokerState
from tests.cases.broken_names import DECENT, decent, not_testing
from tests.cases.support import Project, sound


@sound("setting-misspelt")
def other_libraries_have_names_that_look_alike(p: Project) -> None:
    others: dict[str, Any] = {
        "CELERY_ONCE": {"backend": "celery_once.backends.Redis", "settings": {}},
        "CELERY_EMAIL_BACKEND": "django.core.mail.backends.smtp.EmailBackend",
        "CELERY_EMAIL_TASK_CONFIG": {"queue": "email"},
        "CELERY_PROGRESS_BACKEND": "celery_progress.websockets.backend",
        "CELERY_SINGLETON_LOCK_EXPIRY": 60,
        "CELERY_REDBEAT_REDIS_URL": "redis://broker.invalid/1",
        "CELERY_REDIS_SCHEDULER_URL": "redis://broker.invalid/1",
        "CELERYBEAT_REDIS_URL": "redis://broker.invalid/1",
        "DJANGO_CELERY_BEAT_TZ_AWARE": True,
        "DJANGO_CELERY_RESULTS_TASK_ID_MAX_LENGTH": 191,
        "CELERY_TASK_TENANT_CACHE_SECONDS": 1,
        "CELERY_RESULTS_KEPT_DAYS": 7,
        "CELERY_BEAT_PING_URL": "https://ping.invalid/",
        "CELERY_HAYSTACK_QUEUE": "index",
        "CELERY_ENABLED": True,
        "REDIS_HOST": "broker.invalid",
        "RESULT_PAGE_SIZE": 20,
        "HEALTHCHECK_CELERY_TIMEOUT": 3,
    }
    decent(p, **others)


@sound("setting-misspelt")
def a_name_that_is_nearly_right_is_read_by_the_project(p: Project) -> None:
    p.package("shop", celery="from django.conf import settings\nbroker = lambda: settings.CELERY_BROKER\n")
    __import__("shop.celery")
    decent(p, without="BROKER_URL", CELERY_BROKER="redis://broker.invalid/0")


@sound("setting-misspelt")
def the_right_name_takes_its_value_from_one_nearly_right(p: Project) -> None:
    decent(p, CELERY_BROKER=DECENT["BROKER_URL"], CELERY_BROKER_URI=DECENT["BROKER_URL"])


@sound("setting-misspelt")
def names_of_newer_options_are_near_to_nothing(p: Project) -> None:
    decent(p, CELERY_WORKER_SOMETHING_NEW=True, CELERY_TASK_EXPIRES=60)


@sound("setting-misspelt")
def ours_is_put_together_from_others(p: Project) -> None:
    decent(p, CELERY_HEALTH_DEFAULTS={"DEADLINE": 3}, CELERY_HEALTH={"DEADLINE": 3})


@sound("broker-unset")
def a_broker_is_named_by_the_environment(p: Project) -> None:
    not_testing(p)
    p.monkeypatch.setenv("CELERY_BROKER_URL", "redis://broker.invalid/0")
    decent(p, without="BROKER_URL")


@sound("broker-unset")
def a_broker_is_named_by_its_parts(p: Project) -> None:
    not_testing(p)
    decent(p, without="BROKER_URL", CELERY_BROKER_HOST="broker.invalid", CELERY_BROKER_USER="shop")


@sound("broker-unset")
def celerys_default_broker_is_meant_and_answers(p: Project) -> None:
    not_testing(p)
    decent(p, without="BROKER_URL")
    p.snapshot(broker=BrokerState(transport="amqp", url="amqp://guest@localhost:5672//", reachable=True))
    p.worker()


@sound("broker-unset")
def no_broker_is_needed_where_tasks_run_in_place(p: Project) -> None:
    decent(p, without="BROKER_URL", CELERY_TASK_ALWAYS_EAGER=True)


@sound("broker-unset")
def no_broker_is_needed_without_tasks(p: Project) -> None:
    not_testing(p)
    p.app = Celery("shop", set_as_current=False)


@sound("setting-misspelt")
def the_values_are_of_another_kind(p: Project) -> None:
    # Renamed as its letters say, each would break what stands.
    decent(
        p,
        CELERY_TASK_QUEUE="emails",
        CELERY_QUEUE="emails",
        CELERY_ROUTE="fast",
        CELERY_SCHEDULE=300,
        CELERY_TASK_DEFAULT_QUEUES=["emails"],
        CELERY_RESULT_BACKEND_DB="3",
        CELERY_MAX_RETRIES=5,
        CELERY_TASK_ANNOTATION="none",
    )
