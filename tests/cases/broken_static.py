"""Configurations that are wrong, and show it without anybody being asked."""

from __future__ import annotations

import re
from typing import Any

import pytest
from celery.schedules import crontab
from kombu import Exchange, Queue

from tests.cases.support import Project, broken

# Beat --------------------------------------------------------------------------------------------------


@broken("W101:beat_entry:sync", fix="Set the entry's task to 'accounts.tasks.sync_accounts'.")
def a_rename_forgot_the_schedule(p: Project) -> None:
    p.tasks("accounts.tasks.sync_accounts", "accounts.tasks.close")
    p.beat("accounts.tasks.sync", "sync")


@broken("W101:beat_entry:sync", fix="Set the entry's task to 'accounts.jobs.sync'.")
def a_move_forgot_the_schedule(p: Project) -> None:
    p.tasks("accounts.jobs.sync", "accounts.tasks.synchronise")
    p.beat("accounts.tasks.sync", "sync")


@broken("W101:beat_entry:sync", fix="Set the entry's task to 'synchronise'.")
def a_task_with_a_name_of_its_own_is_scheduled_by_its_path(p: Project) -> None:
    p.package(
        "billing",
        tasks="""
            from celery import shared_task

            @shared_task(name="synchronise")
            def sync(): ...
        """,
    )
    p.conf(imports=["billing.tasks"])
    p.app.set_current()
    p.beat("billing.tasks.sync", "sync")


@broken("W101:beat_entry:dues", fix="app.autodiscover_tasks(['club'], related_name='jobs')")
def a_scheduled_task_lives_in_a_module_that_nobody_imports(p: Project) -> None:
    p.package(
        "club",
        tasks="from celery import shared_task\n@shared_task\ndef greet(): ...",
        jobs="from celery import shared_task\n@shared_task\ndef collect_dues(): ...",
    )
    p.conf(imports=["club.tasks"])
    p.beat("club.jobs.collect_dues", "dues")


@broken("W101:beat_entry:gone", fix="Define 'sweep', or remove the entry.")
def a_short_name_goes_to_the_projects_own_queue(p: Project) -> None:
    p.tasks("accounts.tasks.close")
    p.beat("sweep", "gone")


@broken("W201:beat_entry:report", fix="to what 'shop.report' takes: (days, recipient).")
def an_entry_lacks_an_argument(p: Project) -> None:
    @p.task("shop.report")
    def report(days: int, recipient: str) -> None: ...

    p.beat("shop.report", "report", kwargs={"days": 1})


@broken("W201:beat_entry:report", fix="to what 'shop.report' takes")
def an_entry_has_a_string_for_a_tuple(p: Project) -> None:
    @p.task("shop.report")
    def report(recipient: str) -> None: ...

    p.beat("shop.report", "report", args=("monday"))  # the comma is missing


@broken("W201:beat_entry:report", fix="to what 'shop.report' takes: (days).")
def a_transaction_around_it_takes_what_the_task_takes(p: Project) -> None:
    from django.db import transaction

    @p.task("shop.report")
    @transaction.atomic
    def report(days: int) -> None: ...

    p.beat("shop.report", "report")


@broken("W201:beat_entry:report", fix="to what 'shop.report' takes: (order, *, fast=False).")
def a_pydantic_task_lacks_its_model(p: Project) -> None:
    pydantic = pytest.importorskip("pydantic")

    class Order(pydantic.BaseModel):  # type: ignore[misc,name-defined]
        number: int

    def report(order, *, fast=False): ...  # type: ignore[no-untyped-def]

    report.__annotations__ = {"order": Order}
    p.task("shop.report", pydantic=True)(report)
    p.beat("shop.report", "report", kwargs={"fast": True})


@broken("W201:beat_entry:report", fix="to what 'shop.report' takes: (days).")
def an_entry_calls_a_bound_task_with_one_argument_too_many(p: Project) -> None:
    @p.task("shop.report", bind=True)
    def report(self: Any, days: int) -> None: ...

    p.beat("shop.report", "report", args=[1, 2])


@broken("I307:beat_entry:nightly", fix="Add minute=0.")
def a_nightly_crontab_forgot_its_minute(p: Project) -> None:
    p.tasks("shop.clean")
    p.beat("shop.clean", "nightly", crontab(hour=3))


@broken("I307:beat_entry:monthly", fix="Add minute=0 and hour=0.")
def a_monthly_crontab_forgot_hour_and_minute(p: Project) -> None:
    p.tasks("shop.bill")
    p.beat("shop.bill", "monthly", crontab(day_of_month=1))


@broken("W202:setting:timezone", fix="app.conf.timezone = 'America/New_York'")
def crontabs_run_in_utc_and_nobody_chose_that(p: Project) -> None:
    p.settings.TIME_ZONE = "America/New_York"
    p.tasks("shop.clean")
    p.beat("shop.clean", "nightly", crontab(hour=3, minute=30))


@broken("I306:setting:timezone", fix="app.conf.timezone = 'Europe/Lisbon', if")
def crontabs_run_in_a_zone_that_was_chosen(p: Project) -> None:
    p.settings.TIME_ZONE = "Europe/Lisbon"
    p.conf(timezone="Asia/Tokyo")
    p.tasks("shop.clean")
    p.beat("shop.clean", "nightly", crontab(hour=3, minute=30))


@broken("W115:setting:CELERY_BEAT_SCHEDULE", fix="Move them to app.conf.beat_schedule")
def a_schedule_on_the_app_masks_that_of_the_settings(p: Project) -> None:
    p.configure(CELERY_BEAT_SCHEDULE={"nightly": {"task": "shop.clean", "schedule": 60}}, **DECENT)
    p.tasks("shop.clean", "shop.bill")
    # What "app.conf.beat_schedule = ..." comes to from 5.7 on; before that, the settings win.
    p.app.conf.maps[0]["beat_schedule"] = {"billing": {"task": "shop.bill", "schedule": 60}}
    p.app.conf.maps[0]["CELERY_BEAT_SCHEDULE"] = p.app.conf.maps[0]["beat_schedule"]


# Routes ------------------------------------------------------------------------------------------------


@broken("W102:route:shop.send_mial", fix="Write 'shop.send_mail'.")
def a_route_is_misspelt(p: Project) -> None:
    p.tasks("shop.send_mail", "shop.clean")
    p.conf(task_routes={"shop.send_mial": {"queue": "mails"}})


@broken("W102:route:shop.tasks.send_mail", fix="Write 'shop.mailing.send_mail'.")
def a_route_names_the_module_where_the_task_was(p: Project) -> None:
    p.tasks("shop.mailing.send_mail", "shop.tasks.clean")
    p.conf(task_routes={"shop.tasks.send_mail": {"queue": "mails"}})


@broken("W102:route:shop.mailling.*", fix="Write 'shop.mailing.*'.")
def a_glob_is_misspelt(p: Project) -> None:
    p.tasks("shop.mailing.send", "shop.clean")
    p.conf(task_routes={"shop.mailling.*": {"queue": "mails"}})


@broken("I301:route:shop.imports.*", fix="Remove it")
def a_route_is_left_over(p: Project) -> None:
    p.tasks("shop.clean")
    p.conf(task_routes={"shop.imports.*": {"queue": "imports"}})


# By its right name it would have no effect either.
@broken("I301:route:shop.tasks.Pay", fix="Remove it")
def a_route_nearly_names_a_task_with_a_queue_of_its_own(p: Project) -> None:
    p.health["SILENCED"] = ["I319"]
    p.tasks("shop.tasks.pay", queue="slow")
    p.tasks("shop.clean")
    p.conf(task_routes={"shop.tasks.Pay": {"queue": "mails"}})


@broken("W103:route:shop.send_*", fix="Put 'shop.send_*' before 'shop.*'")
def a_narrow_glob_comes_after_a_broad_one(p: Project) -> None:
    p.tasks("shop.send_mail", "shop.clean")
    p.conf(task_routes={"shop.*": {"queue": "celery"}, "shop.send_*": {"queue": "mails"}})


@broken("W103:route:shop.send_mail", fix="Put 'shop.send_mail' before")
def a_name_comes_in_a_later_router_than_a_glob(p: Project) -> None:
    p.tasks("shop.send_mail", "shop.clean")
    p.conf(task_routes=({"shop.*": {"queue": "celery"}}, {"shop.send_mail": {"queue": "mails"}}))


@broken("W103:route:shop\\.send_.*", fix="before 'shop\\..*'")
def a_regex_comes_after_a_broader_one(p: Project) -> None:
    p.tasks("shop.send_mail", "shop.clean")
    routes = [
        (re.compile(r"shop\..*"), {"queue": "celery"}),
        (re.compile(r"shop\.send_.*"), {"queue": "mails"}),
    ]
    p.conf(task_routes=(routes,))


@broken("W105:setting:task_routes", fix="(router, [(pattern, {'queue': 'q'})])")
def a_list_of_pairs_lacks_the_tuple_around_it(p: Project) -> None:
    p.tasks("shop.send_mail")
    p.conf(task_routes=[("shop.send_mail", {"queue": "mails"})])


@broken(
    "W105:task:shop.send_mail",
    fix="Name a queue of app.conf.task_queues ('mails'?), or add the missing",
)
def a_queue_is_misspelt_that_may_not_be_created(p: Project) -> None:
    p.tasks("shop.send_mail", "shop.clean")
    p.conf(
        task_create_missing_queues=False,
        task_queues=[Queue("celery"), Queue("mails", routing_key="mails")],
        task_routes={"shop.send_mail": {"queue": "mailz"}},
    )


@broken("W105:beat_entry:clean", fix="Name a queue of app.conf.task_queues")
def an_entry_names_a_queue_that_may_not_be_created(p: Project) -> None:
    p.tasks("shop.clean")
    p.conf(task_create_missing_queues=False)
    p.beat("shop.clean", "clean", options={"queue": "chores"})


@broken("W105:beat_entry:clean", fix="Name a queue of app.conf.task_queues ('duplicates_slow'?)")
def an_entry_names_a_queue_that_is_nearly_two_others(p: Project) -> None:
    p.tasks("shop.clean")
    queues = [Queue(name, routing_key=name) for name in ("celery", "duplicates", "duplicates_slow")]
    p.conf(task_create_missing_queues=False, task_queues=queues)
    p.beat("shop.clean", "clean", options={"queue": "duplicates_slo"})


@broken("W105:task:shop.clean", fix="fix the router that raises")
def a_router_raises(p: Project) -> None:
    def router(name: str, *args: Any, **kwargs: Any) -> None:
        raise KeyError("tenant")

    p.tasks("shop.clean")
    p.conf(task_routes=(router,))


@broken("W123:route:shop.send_mail", fix="Write 'queue'.")
def a_route_has_a_misspelt_option(p: Project) -> None:
    p.tasks("shop.send_mail")
    p.conf(task_routes={"shop.send_mail": {"qeue": "mails"}})


@broken("W123:beat_entry:clean", fix="Write 'expires'.")
def an_entry_has_a_misspelt_option(p: Project) -> None:
    p.tasks("shop.clean")
    p.beat("shop.clean", "clean", options={"expire": 30})


# Queues ------------------------------------------------------------------------------------------------


@broken("W104:queue:reprots", fix="Write 'reports'.")
def a_route_misspells_a_declared_queue(p: Project) -> None:
    p.tasks("shop.report", "shop.clean")
    p.conf(
        task_queues=[Queue("celery"), Queue("reports", routing_key="reports")],
        task_routes={"shop.report": {"queue": "reprots"}},
    )


@broken("W104:queue:emails", "I319:setting:task_routes", fix="Write 'email'.")
def a_task_misspells_a_declared_queue(p: Project) -> None:
    p.tasks("shop.clean")
    p.tasks("shop.mail", queue="emails")
    p.conf(task_queues=[Queue("celery"), Queue("email", routing_key="email")])


@broken("I302:queue:exports", fix="Queue('exports', routing_key='exports')")
def a_route_names_a_queue_that_is_not_declared(p: Project) -> None:
    p.tasks("shop.export", "shop.clean")
    p.conf(
        task_queues=[Queue("celery"), Queue("reports", routing_key="reports")],
        task_routes={"shop.export": {"queue": "exports"}},
    )


@broken("I314:queue:reprots", fix="Write 'reports'")
def one_of_two_queues_looks_like_a_misspelling(p: Project) -> None:
    p.tasks("shop.daily", "shop.weekly", "shop.monthly")
    p.conf(
        task_routes={
            "shop.daily": {"queue": "reports"},
            "shop.weekly": {"queue": "reports"},
            "shop.monthly": {"queue": "reprots"},
        }
    )


MEDIA = Exchange("media", type="topic")


@broken("W106:task:shop.cut", fix="a routing key that 'video.*' takes")
def a_topic_key_matches_no_binding(p: Project) -> None:
    p.tasks("shop.cut")
    p.conf(
        task_queues=[Queue("celery"), Queue("video", MEDIA, routing_key="video.*")],
        task_routes={"shop.cut": {"queue": "video", "routing_key": "films.cut"}},
    )


@broken("W106:beat_entry:cut", fix="with the routing key of queue 'video': 'video'")
def an_entry_names_exchange_and_a_wrong_key(p: Project) -> None:
    p.tasks("shop.cut")
    p.conf(
        task_queues=[Queue("celery"), Queue("video", Exchange("video", type="direct"), routing_key="video")]
    )
    p.beat("shop.cut", "cut", options={"queue": "video", "exchange": "video", "routing_key": "vidoe"})


@broken("W107:task:shop.cut", fix="{'queue': 'video', 'routing_key': 'video.cut'}")
def a_route_names_a_topic_exchange_alone_on_redis(p: Project) -> None:
    p.tasks("shop.cut")
    p.conf(
        task_queues=[Queue("celery"), Queue("video", MEDIA, routing_key="video.*")],
        task_routes={"shop.cut": {"exchange": "media", "routing_key": "video.cut"}},
    )


@broken("W108:queue:mails", fix="Queue('mails', routing_key='mails')")
def a_bare_queue_gets_the_default_queues_messages(p: Project) -> None:
    p.tasks("shop.clean")
    p.conf(
        task_default_exchange_type="topic",
        task_queues=[Queue("celery"), Queue("mails"), Queue("reports", routing_key="reports.#")],
    )


@broken("W109:queue:mails", fix="Declare 'mails' once, in app.conf.task_queues")
def a_queue_has_priorities_on_one_side_only(p: Project) -> None:
    p.broker("amqp://broker.invalid//")
    p.tasks("shop.mail")
    p.conf(
        task_queues=[Queue("celery"), Queue("mails", routing_key="mails", max_priority=10)],
        task_routes={"shop.mail": {"queue": Queue("mails", routing_key="mails")}},
    )


@broken("W109:queue:mails", fix="Declare 'mails' once, in app.conf.task_queues")
def a_queue_stands_twice_in_task_queues(p: Project) -> None:
    p.tasks("shop.mail")
    p.conf(
        task_queues=[
            Queue("celery"),
            Queue("mails", MEDIA, routing_key="mails.#"),
            Queue("mails", routing_key="m"),
        ]
    )


@broken("W109:queue:video", fix="Make one Exchange('media', type=...)")
def an_exchange_has_two_types(p: Project) -> None:
    p.broker("amqp://broker.invalid//")
    p.tasks("shop.mail")
    p.conf(
        task_queues=[
            Queue("celery"),
            Queue("video", MEDIA, routing_key="video"),
            Queue("audio", Exchange("media", type="direct"), routing_key="audio"),
        ]
    )


@broken("W203:queue:mails", fix="'DEAD_LETTERS': {'enabled': True}")
def dead_letter_arguments_on_redis(p: Project) -> None:
    p.tasks("shop.mail")
    p.conf(
        task_queues=[
            Queue("celery"),
            Queue("mails", routing_key="mails", queue_arguments={"x-dead-letter-exchange": "dead"}),
        ]
    )


@broken("W203:queue:mails", fix="expires= on the tasks")
def a_message_ttl_on_redis(p: Project) -> None:
    p.tasks("shop.mail")
    p.conf(task_queues=[Queue("celery"), Queue("mails", routing_key="mails", message_ttl=60)])


@broken("W214:setting:broker_transport_options", fix="broker_transport_options['confirm_publish'] = True")
def a_quorum_queue_is_published_to_without_confirmation(p: Project) -> None:
    p.broker("amqp://broker.invalid//")
    p.tasks("shop.mail")
    p.conf(task_queues=[Queue("celery", queue_arguments={"x-queue-type": "quorum"})])


@broken("W215:queue:celery", "I319:setting:task_routes", fix="Queue('celery', max_priority=10)")
def priorities_go_into_a_queue_without_any(p: Project) -> None:
    p.broker("amqp://broker.invalid//")
    p.tasks("shop.clean")
    p.tasks("shop.mail", priority=9)


@broken("W215:queue:mails", fix="under a new name")
def a_route_gives_a_priority_to_a_queue_without_any(p: Project) -> None:
    p.broker("amqp://broker.invalid//")
    p.tasks("shop.mail", "shop.alert")
    p.conf(
        task_routes={"shop.mail": {"queue": "mails"}, "shop.alert": {"queue": "mails", "priority": 9}},
    )


# Settings ----------------------------------------------------------------------------------------------

#: What a project needs that has no hint given.
DECENT: dict[str, Any] = {
    "CELERY_BROKER_URL": "redis://broker.invalid/0",
    "CELERY_TASK_TIME_LIMIT": 60,
    "CELERY_BROKER_TRANSPORT_OPTIONS": {"socket_timeout": 5},
    "CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP": True,
}


#: The same, by names from before Celery 4.
OLD: dict[str, Any] = {
    "BROKER_URL": "redis://broker.invalid/0",
    "CELERYD_TASK_TIME_LIMIT": 60,
    "BROKER_TRANSPORT_OPTIONS": {"socket_timeout": 5},
    "BROKER_CONNECTION_RETRY_ON_STARTUP": True,
}
NIGHTLY = {"clean": {"task": "shop.clean", "schedule": 60}}
NAMESPACE = 'app.config_from_object("django.conf:settings", namespace="CELERY")'


@broken(
    "W116:setting:CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP",
    "I304:setting:task_time_limit",
    fix=NAMESPACE,
)
def the_namespace_is_forgotten(p: Project) -> None:
    p.configure(namespace=None, **DECENT)
    p.tasks("shop.clean")


@broken("W116:setting:CELERY_TASK_ALWAYS_EAGER", fix=NAMESPACE)
def the_app_reads_no_settings_at_all(p: Project) -> None:
    p.settings.CELERY_TASK_ALWAYS_EAGER = True
    p.tasks("shop.clean")


@broken("W116:setting:CELERY_TASK_ALWAYS_EAGER", fix="app.conf.task_always_eager = ...")
def the_app_reads_another_module_than_djangos_settings(p: Project) -> None:
    p.app.config_from_object({"worker_concurrency": 2})
    p.settings.CELERY_TASK_ALWAYS_EAGER = True
    p.tasks("shop.clean")


# Celery 5.5 and 5.6 would not read BROKER_URL under a namespace.
@broken(
    "W116:setting:CELERY_BEAT_SCHEDULE",
    "I319:setting:BROKER_CONNECTION_RETRY_ON_STARTUP",
    fix="Rename it to CELERYBEAT_SCHEDULE: with a namespace, Celery would read",
)
def a_new_name_stands_among_old_ones(p: Project) -> None:
    p.configure(namespace=None, CELERY_BEAT_SCHEDULE=NIGHTLY, **OLD)
    p.tasks("shop.clean")


@broken(
    "W116:setting:CELERY_BEAT_SCHEDULE",
    "I319:setting:CELERYD_TASK_TIME_LIMIT",
    fix=f"{NAMESPACE}, and rename CELERYD_TASK_TIME_LIMIT to CELERY_TASK_TIME_LIMIT, which",
)
def an_old_name_stands_among_new_ones(p: Project) -> None:
    p.configure(
        namespace=None,
        CELERYD_TASK_TIME_LIMIT=60,
        CELERY_BROKER_TRANSPORT_OPTIONS={"socket_timeout": 5},
        CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP=True,
        CELERY_BEAT_SCHEDULE=NIGHTLY,
        CELERY_BROKER_URL="redis://broker.invalid/0",
    )
    p.tasks("shop.clean")


@broken("W116:setting:CELERY_TASK_DEFAULT_QUEUE", fix="Rename it to JOBS_TASK_DEFAULT_QUEUE.")
def a_name_with_the_usual_namespace_under_one_of_the_projects_own(p: Project) -> None:
    p.configure(
        namespace="JOBS",
        JOBS_BROKER_URL="redis://broker.invalid/0",
        JOBS_TASK_TIME_LIMIT=60,
        JOBS_BROKER_TRANSPORT_OPTIONS={"socket_timeout": 5},
        JOBS_BROKER_CONNECTION_RETRY_ON_STARTUP=True,
        CELERY_TASK_DEFAULT_QUEUE="jobs",
    )
    p.tasks("shop.clean")


@broken("W117:setting:task_serializer", fix="accept_content = ['json', 'yaml']")
def messages_are_written_in_a_format_that_workers_refuse(p: Project) -> None:
    p.tasks("shop.clean")
    p.conf(task_serializer="yaml")


@broken("W117:task:shop.clean", fix="accept_content = ['json', 'pickle']")
def one_task_is_written_in_a_format_that_workers_refuse(p: Project) -> None:
    p.tasks("shop.clean", serializer="pickle")


@broken("W117:setting:task_serializer", fix="Install or register it")
def a_serializer_is_unknown(p: Project) -> None:
    p.tasks("shop.clean")
    p.conf(task_serializer="jsonx", accept_content=["jsonx"])


@broken("W117:setting:result_serializer", fix="result_accept_content = ['json', 'pickle']")
def results_are_written_in_a_format_that_readers_refuse(p: Project) -> None:
    p.tasks("shop.clean")
    p.conf(result_backend="redis://results.invalid/1", result_serializer="pickle")


@broken("W204:task:shop.render", fix="broker_transport_options['visibility_timeout'] = 14400")
def a_late_acknowledged_task_may_run_longer_than_the_visibility_timeout(p: Project) -> None:
    p.tasks("shop.render", acks_late=True, reject_on_worker_lost=True, time_limit=7200)


@broken("W204:beat_entry:remind", fix="broker_transport_options['visibility_timeout']")
def an_entry_waits_longer_than_the_visibility_timeout(p: Project) -> None:
    p.tasks("shop.remind")
    p.beat("shop.remind", "remind", options={"countdown": 86400})


@broken("W204:task:shop.charge", fix="['visibility_timeout'] = 1200")
def a_backoff_grows_longer_than_the_visibility_timeout(p: Project) -> None:
    p.conf(broker_transport_options={"socket_timeout": 5, "visibility_timeout": 120})
    p.tasks("shop.charge", autoretry_for=(OSError,), retry_backoff=True, max_retries=12)


# One setting is for all.
@broken("W204:task:shop.film", fix="['visibility_timeout'] = 18000")
def several_tasks_may_run_longer_than_the_visibility_timeout(p: Project) -> None:
    p.tasks("shop.render", acks_late=True, reject_on_worker_lost=True, time_limit=7200)
    p.tasks("shop.film", acks_late=True, reject_on_worker_lost=True, time_limit=9000)
    p.tasks("shop.cut", acks_late=True, reject_on_worker_lost=True, time_limit=5000)


@broken("W211:setting:result_expires", fix="result_expires = 86400")
def results_in_redis_never_expire(p: Project) -> None:
    p.tasks("shop.clean")
    p.conf(result_backend="redis://results.invalid/1", result_expires=None)


@broken("W212:setting:task_always_eager", fix="task_always_eager = False")
def tasks_run_eagerly_in_production(p: Project) -> None:
    p.monkeypatch.setattr("celery_health.doctor.static.names._is_testing", lambda: False)
    p.tasks("shop.clean")
    p.conf(task_always_eager=True)


@broken("W213:setting:accept_content", fix="accept_content = ['json']")
def pickle_is_accepted(p: Project) -> None:
    p.tasks("shop.clean")
    p.conf(accept_content=["json", "application/x-python-serialize"])


@broken("W224:setting:worker_prefetch_multiplier", fix="app.conf.worker_prefetch_multiplier = 1")
def each_worker_takes_all_there_is(p: Project) -> None:
    p.tasks("shop.clean")
    p.conf(worker_prefetch_multiplier=0)


@broken("I303:setting:task_reject_on_worker_lost", fix="reject_on_worker_lost=True")
def late_acknowledgement_alone_does_not_survive_a_killed_process(p: Project) -> None:
    p.tasks("shop.render", acks_late=True)


@broken(
    "I303:setting:task_reject_on_worker_lost",
    fix="app.conf.task_annotations = {'acme_orders.tasks.send': {'reject_on_worker_lost': True}}",
)
def a_setting_acknowledges_the_tasks_of_installed_apps_late(p: Project) -> None:
    p.conf(task_acks_late=True)
    p.distribution("acme_orders", tasks="from celery import shared_task\n\n@shared_task\ndef send(): ...\n")
    p.installed("acme_orders")


@broken("W102:route:toolbox.task.send", fix="Write 'toolbox.tasks.send'.")
def a_route_means_a_task_of_a_library_that_is_scheduled(p: Project) -> None:
    p.conf(task_routes={"toolbox.task.send": {"queue": "tools"}})
    p.distribution("toolbox", tasks="from celery import shared_task\n\n@shared_task\ndef send(): ...\n")
    p.beat("toolbox.tasks.send")


@broken("I304:setting:task_time_limit", fix="task_time_limit = 600")
def nothing_has_a_time_limit(p: Project) -> None:
    p.tasks("shop.render")
    p.conf(task_time_limit=None)


@broken("I305:setting:broker_transport_options", fix="{'socket_timeout': 5}")
def redis_has_no_socket_timeout(p: Project) -> None:
    p.tasks("shop.render")
    p.conf(broker_transport_options={})


@broken("I309:task:shop.render", fix="Raise consumer_timeout on the server above 7200 s")
def a_late_acknowledged_task_may_run_longer_than_rabbitmq_allows(p: Project) -> None:
    p.broker("amqp://broker.invalid//")
    p.tasks("shop.render", acks_late=True, reject_on_worker_lost=True, time_limit=7200)


@broken("I315:setting:SILENCED", fix="Write one of W203")
def a_code_to_silence_does_not_exist(p: Project) -> None:
    p.tasks("shop.clean")
    p.health["SILENCED"] = ["W2033"]


@broken("I315:setting:SILENCED", fix="Write 'W203:<kind>:<name>'")
def a_subject_to_silence_has_no_kind(p: Project) -> None:
    p.tasks("shop.clean")
    p.health["SILENCED"] = ["W203:legacy"]


# Code --------------------------------------------------------------------------------------------------


@broken("W112:task:mail", fix="Give each task a name of its own: name='...'.")
def two_functions_ask_for_one_name(p: Project) -> None:
    p.package(
        "post",
        tasks="""
            from celery import shared_task

            @shared_task(name="mail")
            def letter(): ...
        """,
        jobs="""
            from celery import shared_task

            @shared_task(name="mail")
            def parcel(): ...
        """,
    )
    p.conf(imports=["post.tasks", "post.jobs"])


@broken("W112:task:inn.tasks.wrapper", fix="Use functools.wraps in the decorator beneath the task's")
def a_decorator_hides_the_names_of_its_functions(p: Project) -> None:
    p.package(
        "inn",
        tasks="""
            from celery import shared_task

            def logged(function):
                def wrapper():
                    return function()
                return wrapper

            @shared_task
            @logged
            def cook(): ...

            @shared_task
            @logged
            def serve(): ...
        """,
    )
    p.conf(imports=["inn.tasks"])


@broken("W114:task:depot.tasks.count", fix="app.autodiscover_tasks(['depot']) in the module")
def the_tasks_of_an_installed_app_are_not_imported(p: Project) -> None:
    p.package("depot", tasks="from celery import shared_task\n@shared_task\ndef count(): ...")
    p.installed("depot")
    import_package("depot")
    p.tasks("shop.clean")


@broken("W118:task:lodge.tasks.sweep", fix="Import it as one of them everywhere, as 'rooms' for example.")
def a_module_is_imported_under_two_names(p: Project) -> None:
    p.package("lodge", tasks="from celery import shared_task\n@shared_task\ndef sweep(): ...")
    (p.folder / "lodge" / "rooms.py").symlink_to(p.folder / "lodge" / "tasks.py")
    p.monkeypatch.syspath_prepend(str(p.folder / "lodge"))
    p.conf(imports=["lodge.tasks", "rooms"])


@broken("W210:setting:result_backend", fix="'django-db'")
def a_chord_without_a_result_backend(p: Project) -> None:
    p.package(
        "mill",
        tasks="""
            from celery import chord, shared_task

            @shared_task
            def grind(): ...
        """,
    )
    p.conf(imports=["mill.tasks"])


@broken("I308:setting:result_backend", fix="Set app.conf.result_backend")
def results_are_read_and_nowhere_kept(p: Project) -> None:
    p.package(
        "quay",
        tasks="""
            from celery import shared_task
            from celery.result import AsyncResult

            @shared_task
            def load(): ...
        """,
    )
    p.conf(imports=["quay.tasks"])


@broken(
    "W223:setting:result_backend", fix="Set app.conf.result_backend to a backend that all processes share"
)
def a_view_reads_a_result_and_nothing_keeps_it(p: Project) -> None:
    p.package(
        "pier",
        tasks="from celery import shared_task\n@shared_task\ndef load(): ...",
        views="from pier.tasks import load\ndef view(request):\n    return load.delay().get(timeout=3)",
    )
    p.app.set_current()
    p.conf(imports=["pier.tasks", "pier.views"])


@broken("W223:task:jetty.tasks.load", fix="{'jetty.tasks.load': {'ignore_result': False}}")
def a_view_reads_a_result_that_its_task_ignores(p: Project) -> None:
    p.package(
        "jetty",
        tasks="from celery import shared_task\n@shared_task(ignore_result=True)\ndef load(): ...",
        views="from jetty.tasks import load\ndef view(id):\n    return load.AsyncResult(id).status",
    )
    p.app.set_current()
    p.conf(imports=["jetty.tasks", "jetty.views"], result_backend="redis://broker.invalid/1")


def import_package(name: str) -> None:
    __import__(name)
