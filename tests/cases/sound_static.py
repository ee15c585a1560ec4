"""Configurations that are right, however unusual: real projects do all of this (FACTS 12)."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any

from celery import Celery, Task
from celery.schedules import BaseSchedule, crontab, schedule
from kombu import Exchange, Queue

from tests.cases.support import Project, sound

MEDIA = Exchange("media", type="topic")


class OwnSchedule(BaseSchedule):
    """A schedule of the project's own: nothing is known of when it is due."""


# Beat --------------------------------------------------------------------------------------------------


@sound("beat-task-unregistered")
def a_schedule_of_every_kind(p: Project) -> None:
    p.tasks("shop.clean")
    p.conf(
        beat_schedule={
            "seconds": {"task": "shop.clean", "schedule": 30},
            "delta": {"task": "shop.clean", "schedule": timedelta(minutes=5)},
            "object": {"task": "shop.clean", "schedule": schedule(60.0)},
            "crontab": {"task": "shop.clean", "schedule": crontab(hour=3, minute=30)},
            "quarter": {"task": "shop.clean", "schedule": crontab(minute="*/15")},
            "hours": {"task": "shop.clean", "schedule": crontab(hour="9-17")},
            "weekday": {"task": "shop.clean", "schedule": crontab(minute=0, hour=0, day_of_week="mon")},
            "own": {"task": "shop.clean", "schedule": OwnSchedule()},
        }
    )


@sound("beat-task-unregistered")
def celerys_own_tasks_are_scheduled(p: Project) -> None:
    p.tasks("shop.clean")
    p.beat("celery.backend_cleanup", "clean", crontab(hour=4, minute=0))


@sound("beat-task-unregistered")
def a_task_of_another_service_is_scheduled_by_name(p: Project) -> None:
    p.tasks("shop.clean")
    p.beat("warehouse.tasks.count", "count", options={"queue": "warehouse"})


@sound("beat-task-unregistered")
def a_scheduler_without_tasks_of_its_own(p: Project) -> None:
    p.beat("warehouse.tasks.count", "count")
    p.beat("billing.tasks.run", "run")


@sound("beat-task-unregistered")
def entries_carry_keys_of_somebody_elses_scheduler(p: Project) -> None:
    p.tasks("shop.clean")
    p.beat("shop.clean", "clean", enabled=True, tenant="all", run_on_start=False)


@sound("beat-task-unregistered")
def entries_are_added_in_code(p: Project) -> None:
    p.tasks("shop.clean")

    @p.task("shop.report")
    def report(days: int) -> None: ...

    @p.app.on_after_finalize.connect
    def add(sender: Any, **kwargs: Any) -> None:
        sender.add_periodic_task(10.0, sender.tasks["shop.clean"].s(), name="clean")
        sender.add_periodic_task(crontab(minute=0), sender.tasks["shop.report"].s(7))

    p.later(lambda: add)  # the signal holds it weakly


@sound("arguments-misfit")
def an_entry_fits_by_defaults_and_keywords(p: Project) -> None:
    @p.task("shop.report")
    def report(days: int, *, recipient: str = "boss", **options: Any) -> None: ...

    p.beat("shop.report", "report", args=[7], kwargs={"recipient": "me", "format": "pdf"})


@sound("arguments-misfit")
def a_decorator_brings_an_argument_along(p: Project) -> None:
    from functools import wraps

    def with_lock(function: Any) -> Any:
        @wraps(function)
        def locked(*args: Any, **kwargs: Any) -> Any:
            return function("lock", *args, **kwargs)

        return locked

    @p.task("shop.report")
    @with_lock
    def report(lock: str, days: int) -> None: ...

    p.beat("shop.report", "report", args=(7,))


@sound("arguments-misfit")
def a_decorator_claims_what_it_takes_of_an_unchecked_task(p: Project) -> None:
    """Celery asks nothing before it sends, and what the wrapper makes of it nobody knows."""
    import inspect
    from functools import wraps

    def with_days(function: Any) -> Any:
        @wraps(function)
        def filled(*args: Any, **kwargs: Any) -> Any:
            return function(*args, days=7, **kwargs)

        filled.__signature__ = inspect.signature(function)  # type: ignore[attr-defined]
        return filled

    @p.task("shop.report", typing=False)
    @with_days
    def report(days: int) -> None: ...

    p.beat("shop.report", "report")


@sound("arguments-misfit")
def a_task_class_with_retries_is_scheduled(p: Project) -> None:
    class Report(Task):  # type: ignore[type-arg]
        name = "shop.report"
        autoretry_for = (OSError,)

        def run(self, days: int) -> None: ...

    p.app.register_task(Report())
    p.beat("shop.report", "report", args=(7,))


@sound("crontab-every-minute")
def every_minute_of_office_hours(p: Project) -> None:
    p.tasks("shop.watch")
    p.beat("shop.watch", "watch", crontab(minute="*", hour="9-17"))


@sound("timezone-unchosen", "timezone-differs")
def utc_everywhere_but_no_hour_matters(p: Project) -> None:
    p.settings.TIME_ZONE = "Europe/Lisbon"
    p.conf(timezone="UTC")
    p.tasks("shop.clean")
    p.beat("shop.clean", "often", crontab(minute="*/5"))
    p.beat("shop.clean", "seldom", timedelta(days=1))


@sound("timezone-differs")
def two_names_for_one_zone(p: Project) -> None:
    p.settings.TIME_ZONE = "Europe/London"
    p.conf(timezone="GB")
    p.tasks("shop.clean")
    p.beat("shop.clean", "nightly", crontab(hour=3, minute=0))


@sound("timezone-unchosen")
def djangos_zone_is_taken_along(p: Project) -> None:
    p.configure(TIME_ZONE="America/New_York", **DECENT)
    p.tasks("shop.clean")
    p.beat("shop.clean", "nightly", crontab(hour=3, minute=0))


@sound("schedule-masked")
def a_schedule_of_the_settings_and_periodic_tasks_in_code(p: Project) -> None:
    p.configure(CELERY_BEAT_SCHEDULE={"nightly": {"task": "shop.clean", "schedule": 60}}, **DECENT)
    p.tasks("shop.clean")

    @p.app.on_after_finalize.connect
    def add(sender: Any, **kwargs: Any) -> None:
        sender.add_periodic_task(10.0, sender.tasks["shop.clean"].s(), name="often")

    p.later(lambda: add)


# Routes ------------------------------------------------------------------------------------------------


@sound("route-shadowed", "route-matches-nothing", "route-misspelt")
def routes_in_every_form(p: Project) -> None:
    class OldRouter:
        def route_for_task(self, task: str, args: Any = None, kwargs: Any = None) -> Any:
            return None

    def router(name: str, args: Any, kwargs: Any, options: Any, task: Any = None, **kw: Any) -> Any:
        return "urgent" if name == "shop.alert" else None

    p.tasks("shop.alert", "shop.mail", "shop.report", "shop.clean")
    p.conf(
        task_routes=(
            OldRouter(),
            router,
            {"shop.mail": "mails"},
            [("shop.rep*", {"queue": "reports"}), (re.compile(r"shop\.(clean|sweep)"), {"queue": "chores"})],
        )
    )


@sound("route-shadowed")
def exact_names_before_a_last_resort(p: Project) -> None:
    p.tasks("shop.mail", "shop.report")
    p.conf(
        task_routes={
            "shop.mail": {"queue": "mails"},
            "shop.report": {"queue": "reports"},
            "shop.*": {"queue": "rest"},
            "*": {"queue": "rest"},
        }
    )


@sound("route-shadowed")
def a_narrow_glob_after_a_broad_one_with_the_same_queue(p: Project) -> None:
    p.tasks("shop.mail.send", "shop.clean")
    p.conf(task_routes={"shop.*": {"queue": "shop"}, "shop.mail.*": {"queue": "shop"}})


@sound("route-shadowed")
def a_narrow_glob_behind_a_router_that_is_code(p: Project) -> None:
    def router(name: str, *args: Any, **kwargs: Any) -> Any:
        return None

    p.tasks("shop.mail.send", "shop.clean")
    p.conf(task_routes=(router, {"shop.mail.*": {"queue": "mails"}, "shop.*": {"queue": "shop"}}))


@sound("route-matches-nothing", "route-misspelt")
def routes_for_tasks_of_other_services_and_optional_apps(p: Project) -> None:
    p.tasks("shop.clean")
    p.conf(task_routes={"warehouse.tasks.*": {"queue": "warehouse"}, "djcelery_email.*": {"queue": "mails"}})


@sound("route-misspelt")
def two_tasks_of_like_names_are_both_routed(p: Project) -> None:
    p.tasks("shop.send_mail", "shop.send_mails")
    p.conf(task_routes={"shop.send_mail": {"queue": "single"}, "shop.send_mails": {"queue": "bulk"}})


@sound("task-unroutable")
def queues_are_declared_and_none_may_be_created(p: Project) -> None:
    p.tasks("shop.mail", "shop.clean")
    p.conf(
        task_create_missing_queues=False,
        task_queues={
            "celery": {"routing_key": "celery"},
            "mails": {"exchange": "mails", "routing_key": "mails"},
        },
        task_routes={"shop.mail": {"queue": "mails"}},
    )


@sound("option-misspelt")
def routes_and_entries_with_many_options(p: Project) -> None:
    p.tasks("shop.mail", "shop.clean")
    p.conf(
        task_routes={"shop.mail": {"queue": "mails", "priority": 3, "delivery_mode": 1, "serializer": "json"}}
    )
    p.beat(
        "shop.clean", "clean", options={"expires": 30, "time_limit": 20, "headers": {"a": 1}, "tenant": "x"}
    )


# Queues ------------------------------------------------------------------------------------------------


@sound("queue-unconsumed", "queue-undeclared", "queue-misspelt")
def queues_that_only_routes_name(p: Project) -> None:
    p.tasks("shop.mail", "shop.report", "shop.clean")
    p.conf(task_routes={"shop.mail": {"queue": "mails"}, "shop.report": {"queue": "reports"}})


@sound("queue-misspelt", "queue-undeclared")
def queues_that_differ_by_number_or_country(p: Project) -> None:
    p.tasks(*(f"shop.t{n}" for n in range(8)))
    names = ["jobs-1", "jobs-1", "jobs-2", "jobs-uk", "jobs-uk", "jobs-us", "cpu", "gpu"]
    p.conf(task_routes={f"shop.t{n}": {"queue": name} for n, name in enumerate(names)})


@sound("queue-unconsumed")
def declared_queues_with_like_names(p: Project) -> None:
    p.tasks("shop.mail", "shop.mails")
    p.conf(
        task_queues=[Queue(name, routing_key=name) for name in ("celery", "email", "emails")],
        task_routes={"shop.mail": {"queue": "email"}, "shop.mails": {"queue": "emails"}},
    )


@sound("queue-unconsumed")
def a_short_name_for_the_default_queue(p: Project) -> None:
    p.tasks("shop.mail")
    p.conf(task_default_queue="main", task_queues=[Queue("main", routing_key="main")])


@sound("message-unbound", "message-duplicated")
def bare_queues_on_a_direct_exchange(p: Project) -> None:
    p.tasks("shop.mail", "shop.clean")
    p.conf(
        task_queues=[Queue("celery"), Queue("mails"), Queue("reports")],
        task_routes={"shop.mail": {"queue": "mails"}},
    )


@sound("message-unbound")
def a_wrong_key_beside_a_named_queue_on_a_direct_exchange(p: Project) -> None:
    p.tasks("shop.mail")
    p.conf(
        task_queues=[Queue("celery"), Queue("mails", Exchange("mails"), routing_key="mails")],
        task_routes={"shop.mail": {"queue": "mails", "routing_key": "mail.send"}},
    )


@sound("message-unbound", "message-duplicated")
def a_topic_exchange_with_keys_that_match(p: Project) -> None:
    p.tasks("shop.cut", "shop.mix", "shop.clean")
    p.conf(
        task_queues=[
            Queue("celery", routing_key="celery"),
            Queue("video", MEDIA, routing_key="video.#"),
            Queue("audio", MEDIA, routing_key="audio.*"),
            Queue("archive", MEDIA, routing_key="#"),
        ],
        task_routes={
            "shop.cut": {"queue": "video", "routing_key": "video.cut.rough"},
            "shop.mix": {"queue": "audio", "routing_key": "audio.mix"},
        },
    )


@sound("exchange-undeclared")
def an_exchange_of_another_service_is_named_alone(p: Project) -> None:
    p.tasks("shop.notify")
    p.conf(task_routes={"shop.notify": {"exchange": "events", "routing_key": "shop.notified"}})


@sound("exchange-undeclared")
def a_topic_exchange_is_named_alone_on_rabbitmq(p: Project) -> None:
    p.broker("amqp://broker.invalid//")
    p.tasks("shop.cut")
    p.conf(
        task_queues=[Queue("celery"), Queue("video", MEDIA, routing_key="video.*")],
        task_routes={"shop.cut": {"exchange": "media", "routing_key": "video.cut"}},
    )


@sound("queue-declared-twice")
def one_queue_object_is_used_in_many_places(p: Project) -> None:
    mails = Queue("mails", routing_key="mails", max_priority=10)
    p.broker("amqp://broker.invalid//")
    p.conf(task_queues=[Queue("celery", max_priority=10), mails], task_routes={"shop.mail": {"queue": mails}})
    p.tasks("shop.mail")
    p.beat("shop.mail", "mail", options={"queue": mails})


@sound("queue-declared-twice", "queue-arguments-ignored", "priority-ignored")
def max_priority_on_redis(p: Project) -> None:
    p.health["SILENCED"] = ["I319"]  # which task attributes have, whatever they say
    p.tasks("shop.clean")
    p.tasks("shop.mail", priority=0)
    p.conf(
        task_queues=[Queue("celery", max_priority=10)],
        broker_transport_options={
            "socket_timeout": 5, "priority_steps": list(range(10)), "sep": ":", "global_keyprefix": "shop:",
            "queue_order_strategy": "priority",
        },
    )  # fmt: skip


@sound("queue-arguments-ignored")
def dead_letter_arguments_on_rabbitmq(p: Project) -> None:
    p.broker("amqp://broker.invalid//")
    p.tasks("shop.mail")
    p.conf(task_queues=[Queue("celery", queue_arguments={"x-dead-letter-exchange": "dead"}, message_ttl=60)])


@sound("priority-ignored")
def priorities_and_a_queue_that_has_them(p: Project) -> None:
    p.health["SILENCED"] = ["I319"]  # which task attributes have, whatever they say
    p.broker("amqp://broker.invalid//")
    p.tasks("shop.clean")
    p.tasks("shop.mail", priority=9)
    p.conf(task_queue_max_priority=10, task_default_priority=5)


@sound("priority-ignored")
def one_default_priority_for_all(p: Project) -> None:
    p.broker("amqp://broker.invalid//")
    p.tasks("shop.clean", "shop.mail")
    p.conf(task_default_priority=5)


@sound("quorum-unconfirmed")
def quorum_queues_with_confirmation(p: Project) -> None:
    p.broker("amqp://broker.invalid//")
    p.tasks("shop.mail")
    p.conf(
        task_queues=[Queue("celery", queue_arguments={"x-queue-type": "quorum"})],
        broker_transport_options={"confirm_publish": True},
    )


# Settings ----------------------------------------------------------------------------------------------

DECENT: dict[str, Any] = {
    "CELERY_BROKER_URL": "redis://broker.invalid/0",
    "CELERY_TASK_TIME_LIMIT": 60,
    "CELERY_BROKER_TRANSPORT_OPTIONS": {"socket_timeout": 5},
    "CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP": True,
}


@sound("setting-ignored")
def new_names_under_a_namespace(p: Project) -> None:
    p.configure(CELERY_RESULT_BACKEND="redis://results.invalid/1", CELERY_TASK_ACKS_LATE=False, **DECENT)
    p.tasks("shop.clean")


@sound("setting-ignored")
def old_names_without_a_namespace(p: Project) -> None:
    p.health["SILENCED"] = ["I319"]  # they will not be read by Celery 6
    p.configure(
        namespace=None,
        BROKER_URL="redis://broker.invalid/0",
        BROKER_TRANSPORT_OPTIONS={"socket_timeout": 5},
        CELERYD_TASK_TIME_LIMIT=60,
        CELERY_RESULT_BACKEND="redis://results.invalid/1",
        CELERY_TASK_RESULT_EXPIRES=3600,
    )
    p.tasks("shop.clean")


@sound("setting-ignored")
def a_namespace_of_the_projects_own(p: Project) -> None:
    p.configure(
        namespace="JOBS",
        JOBS_BROKER_URL="redis://broker.invalid/0",
        JOBS_TASK_TIME_LIMIT=60,
        JOBS_BROKER_TRANSPORT_OPTIONS={"socket_timeout": 5},
        JOBS_BROKER_CONNECTION_RETRY_ON_STARTUP=True,
    )
    p.tasks("shop.clean")


@sound("setting-ignored")
def another_app_reads_the_names_with_the_usual_namespace(p: Project) -> None:
    settings = {
        f"{namespace}_{option}": value
        for namespace in ("JOBS", "CELERY")
        for option, value in {
            "BROKER_URL": "redis://broker.invalid/0",
            "TASK_TIME_LIMIT": 60,
            "BROKER_TRANSPORT_OPTIONS": {"socket_timeout": 5},
            "BROKER_CONNECTION_RETRY_ON_STARTUP": True,
        }.items()
    }
    p.configure(namespace="JOBS", CELERY_TASK_DEFAULT_QUEUE="mails", **settings)
    other = Celery("mails", set_as_current=False)
    other.config_from_object(p.settings, namespace="CELERY")
    p.later(other.close)
    p.tasks("shop.clean")


@sound("setting-ignored")
def names_of_extensions_and_of_the_project(p: Project) -> None:
    p.configure(
        CELERY_HEALTH={},
        CELERY_ONCE={"backend": "redis"},
        CELERY_REDBEAT_REDIS_URL="redis://r.invalid/1",
        CELERY_EMAIL_TASK_CONFIG={"queue": "mails"},
        CELERY_BEAT_ENABLED=True,
        BROKER_NAME="main",
        BROKER_URL="redis://broker.invalid/0",
        **DECENT,
    )
    p.tasks("shop.clean")


@sound("setting-ignored")
def a_setting_is_overridden_in_code_on_purpose(p: Project) -> None:
    p.configure(CELERY_WORKER_PREFETCH_MULTIPLIER=8, CELERY_TASK_DEFAULT_QUEUE="main", **DECENT)
    # What "app.conf.x = ..." comes to where it wins: the name with the namespace as well.
    p.app.conf.maps[0]["worker_prefetch_multiplier"] = 1
    p.app.conf.maps[0]["CELERY_WORKER_PREFETCH_MULTIPLIER"] = 1
    p.tasks("shop.clean")


@sound("setting-ignored")
def the_environment_goes_before_the_settings(p: Project) -> None:
    p.monkeypatch.setenv("CELERY_BROKER_URL", "redis://elsewhere.invalid/3")
    p.configure(**DECENT)
    p.tasks("shop.clean")


@sound("serializer-refused")
def a_serializer_of_the_projects_own(p: Project) -> None:
    from kombu.serialization import register, unregister

    register("shop-json", str, str, content_type="application/x-shop-json")
    p.later(lambda: unregister("shop-json"))
    p.tasks("shop.clean")
    p.conf(
        task_serializer="shop-json",
        result_serializer="shop-json",
        accept_content=["json", "application/x-shop-json"],
    )


@sound("serializer-refused")
def content_types_instead_of_names(p: Project) -> None:
    p.tasks("shop.clean")
    p.conf(accept_content=["application/json"], result_backend="redis://results.invalid/1")


@sound("visibility-timeout", "lost-with-worker")
def late_acknowledgement_within_the_visibility_timeout(p: Project) -> None:
    p.tasks("shop.render", acks_late=True, reject_on_worker_lost=True, time_limit=1800)
    p.tasks("shop.charge", autoretry_for=(OSError,), retry_backoff=True, max_retries=5)
    p.conf(broker_transport_options={"socket_timeout": 5, "visibility_timeout": 43200})


@sound("visibility-timeout")
def a_long_task_that_is_acknowledged_early(p: Project) -> None:
    p.tasks("shop.render", time_limit=86400)


@sound("delivery-ack-timeout")
def a_queue_with_a_consumer_timeout_of_its_own(p: Project) -> None:
    p.broker("amqp://broker.invalid//")
    p.tasks("shop.render", acks_late=True, reject_on_worker_lost=True, time_limit=7200)
    p.conf(task_queues=[Queue("celery", queue_arguments={"x-consumer-timeout": 10_800_000})])


@sound("results-kept-forever")
def results_in_a_database_are_kept_for_the_record(p: Project) -> None:
    from django.apps import apps

    # A double: django-celery-results is not installed where this runs.
    p.monkeypatch.setattr(apps, "is_installed", lambda name: name == "django_celery_results")
    p.tasks("shop.clean")
    p.conf(result_backend="django-db", result_expires=None)


@sound("results-kept-forever")
def no_task_keeps_a_result(p: Project) -> None:
    p.conf(result_backend="redis://results.invalid/1", result_expires=0, task_ignore_result=True)
    p.tasks("shop.clean")


@sound("always-eager")
def tasks_run_eagerly_in_a_test(p: Project) -> None:
    p.tasks("shop.clean")
    p.conf(task_always_eager=True)


@sound("always-eager")
def tasks_run_eagerly_while_developing(p: Project) -> None:
    p.monkeypatch.setattr("celery_health.doctor.static.names._is_testing", lambda: False)
    p.settings.DEBUG = True
    p.tasks("shop.clean")
    p.conf(task_always_eager=True)


@sound("pickle-accepted", "chord-without-backend")
def json_and_yaml_and_a_backend(p: Project) -> None:
    p.tasks("shop.clean")
    p.conf(accept_content=["json", "yaml"], result_backend="redis://results.invalid/1")


@sound("everything-taken")
def each_worker_takes_one_ahead(p: Project) -> None:
    p.tasks("shop.clean")
    p.conf(worker_prefetch_multiplier=1)


@sound("no-time-limits")
def one_task_has_a_limit(p: Project) -> None:
    p.conf(task_time_limit=None)
    p.tasks("shop.render", soft_time_limit=50)


@sound("socket-timeout-missing")
def rabbitmq_needs_no_socket_timeout(p: Project) -> None:
    p.broker("amqp://broker.invalid//")
    p.tasks("shop.clean")
    p.conf(broker_transport_options={})


@sound("silenced-unknown", "queue-undeclared")
def a_hint_is_silenced_by_code_and_subject(p: Project) -> None:
    p.tasks("shop.export", "shop.clean")
    p.conf(
        task_queues=[Queue("celery")],
        task_routes={"shop.export": {"queue": "exports"}},
    )
    p.health["SILENCED"] = ["I302:queue:exports", "W101:beat_entry:a:b"]


# Code --------------------------------------------------------------------------------------------------


@sound("task-name-taken", "module-imported-twice")
def a_module_is_reloaded(p: Project) -> None:
    p.package("forge", tasks="from celery import shared_task\n@shared_task\ndef smelt(): ...")
    p.conf(imports=["forge.tasks"])
    import importlib

    __import__("forge.tasks")
    importlib.reload(importlib.import_module("forge.tasks"))


@sound("task-name-taken")
def a_task_is_imported_elsewhere(p: Project) -> None:
    p.package(
        "dairy",
        tasks="from celery import shared_task\n@shared_task\ndef churn(): ...",
        views="from dairy.tasks import churn",
    )
    p.conf(imports=["dairy.tasks", "dairy.views"])


@sound("tasks-unimported")
def a_module_called_tasks_that_is_not_celerys(p: Project) -> None:
    p.package("diary", tasks="class Task: ...\ndef task(function): return function\n@task\ndef write(): ...")
    p.package("notes", tasks="from huey import RedisHuey\nhuey = RedisHuey()\n@huey.task()\ndef jot(): ...")
    p.installed("diary", "notes")
    __import__("diary")
    __import__("notes")
    p.tasks("shop.clean")


@sound("chord-without-backend", "results-unreadable")
def chords_and_results_with_a_backend(p: Project) -> None:
    p.package(
        "press",
        tasks="""
            from celery import chord, shared_task
            from celery.result import AsyncResult

            @shared_task
            def squeeze(): ...
        """,
    )
    p.conf(imports=["press.tasks"], result_backend="redis://results.invalid/1")


@sound("tasks-unimported")
def a_base_class_and_a_request_of_ones_own(p: Project) -> None:
    class Base(Task):  # type: ignore[type-arg]
        abstract = True

        def on_failure(self, *args: Any, **kwargs: Any) -> None: ...

    p.tasks("shop.clean", base=Base)


@sound("results-unkept")
def results_are_read_where_they_are_kept_and_ignored_where_not(p: Project) -> None:
    p.package(
        "berth",
        tasks="""
            from celery import shared_task

            @shared_task
            def load(): ...

            @shared_task(ignore_result=True)
            def log(): ...
        """,
        views="""
            from celery.result import AsyncResult
            from berth.tasks import load, log

            def view(request, id):
                log.delay()
                return load.delay().get(), AsyncResult(id).status, log.apply_async(ignore_result=False).get()
        """,
    )
    p.app.set_current()
    p.conf(imports=["berth.tasks", "berth.views"], result_backend="redis://broker.invalid/1")
