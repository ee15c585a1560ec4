"""Options of routes, tasks and entries that do not do what they say."""

from __future__ import annotations

from datetime import timedelta

from kombu import Exchange, Queue

from tests.cases.support import Project, broken

MEDIA = Exchange("media", type="topic")

# Destinations ------------------------------------------------------------------------------------------


@broken("W127:route:shop.mail", fix="Write {'queue': 'mails'}.")
def a_route_has_the_routing_key_of_another_queue_alone(p: Project) -> None:
    p.tasks("shop.mail", "shop.clean")
    p.conf(
        task_queues=[Queue("celery"), Queue("mails", routing_key="mails")],
        task_routes={"shop.mail": {"routing_key": "mails"}},
    )


@broken("W127:route:shop.*", fix="Write {'queue': 'video', 'routing_key': 'video.cut'}.")
def a_route_has_a_key_that_a_topic_queue_would_take(p: Project) -> None:
    p.tasks("shop.cut", "shop.mix")
    p.conf(
        task_queues=[Queue("celery"), Queue("video", MEDIA, routing_key="video.*")],
        task_routes={"shop.*": {"routing_key": "video.cut"}},
    )


@broken("W127:route:shop.mail", fix="Name the queue that is meant")
def a_route_has_a_routing_key_that_nobody_knows(p: Project) -> None:
    p.tasks("shop.mail", "shop.clean")
    p.conf(task_routes={"shop.mail": {"routing_key": "mails"}})


@broken("W127:route:shop.mail", fix="Write {'queue': 'mails'}.")
def a_route_has_the_name_of_a_queue_that_another_route_names(p: Project) -> None:
    p.tasks("shop.mail", "shop.letter")
    p.conf(task_routes={"shop.mail": {"routing_key": "mails"}, "shop.letter": {"queue": "mails"}})


@broken("W127:task:shop.mail", fix="Write {'queue': 'mails'}.")
def a_router_that_is_code_gives_a_key_alone(p: Project) -> None:
    def router(name: str, *args: object, **kwargs: object) -> dict[str, str] | None:
        return {"routing_key": "mails"} if name == "shop.mail" else None

    p.tasks("shop.mail", "shop.clean")
    p.conf(task_queues=[Queue("celery"), Queue("mails", routing_key="mails")], task_routes=(router,))


@broken("W127:task:shop.mail", fix="Write {'queue': 'mails'} for queue 'mails', or leave the other out.")
def a_router_that_is_code_gives_one_queue_and_the_key_of_another(p: Project) -> None:
    def router(name: str, *args: object, **kwargs: object) -> dict[str, str]:
        return {"queue": "reports", "routing_key": "mails"}

    p.tasks("shop.mail")
    p.conf(
        task_queues=[Queue(name, routing_key=name) for name in ("celery", "mails", "reports")],
        task_routes=router,
    )


@broken("W127:beat_entry:mail", fix="Write {'queue': 'mails'}.")
def an_entry_has_a_routing_key_beside_the_queue_of_its_route(p: Project) -> None:
    p.tasks("shop.mail")
    p.conf(
        task_queues=[Queue("celery"), Queue("mails", routing_key="mails")],
        task_routes={"shop.mail": {"queue": "celery"}},
    )
    p.beat("shop.mail", "mail", options={"routing_key": "mails"})


@broken("W127:route:shop.mail", fix="Write {'queue': 'mails'} for queue 'mails', or leave the other out.")
def a_route_has_one_queue_and_the_key_of_another(p: Project) -> None:
    p.tasks("shop.mail")
    p.conf(
        task_queues=[Queue(name, routing_key=name) for name in ("celery", "mails", "reports")],
        task_routes={"shop.mail": {"queue": "reports", "routing_key": "mails"}},
    )


@broken("W127:route:shop.cut", fix="Write {'queue': 'video'}.")
def a_route_has_an_exchange_alone(p: Project) -> None:
    p.tasks("shop.cut", "shop.clean")
    p.conf(
        task_queues=[Queue("celery"), Queue("video", MEDIA, routing_key="video.*")],
        task_routes={"shop.cut": {"exchange": "media"}},
    )


@broken("W127:beat_entry:cut", fix="Write {'queue': 'video'}.")
def an_entry_has_an_exchange_alone(p: Project) -> None:
    p.tasks("shop.cut")
    p.conf(task_queues=[Queue("celery"), Queue("video", MEDIA, routing_key="video.*")])
    p.beat("shop.cut", "cut", options={"exchange": "media"})


@broken(
    "W127:route:shop.mix",
    fix="Write {'queue': 'audio'} alone, or {'queue': 'video', 'routing_key': 'video.mix'}.",
)
def a_route_has_one_topic_queue_and_the_key_of_another(p: Project) -> None:
    p.tasks("shop.mix", "shop.clean")
    p.conf(
        task_queues=[
            Queue("celery"),
            Queue("video", MEDIA, routing_key="video.*"),
            Queue("audio", MEDIA, routing_key="audio.*"),
        ],
        task_routes={"shop.mix": {"queue": "audio", "routing_key": "video.mix"}},
    )


@broken(
    "W127:route:shop.mail",
    fix="app.conf.task_annotations = {'shop.mail': {'queue': 'mails'}}",
)
def a_route_of_a_task_that_has_a_queue_of_its_own(p: Project) -> None:
    p.tasks("shop.mail", queue="post")
    p.conf(task_routes={"shop.mail": {"queue": "mails"}})


# Calls that never come to a run ------------------------------------------------------------------------


@broken("W128:task:shop.render", fix="app.conf.task_annotations = {'shop.render': {'soft_time_limit': 27}}")
def a_soft_limit_is_longer_than_the_hard_one(p: Project) -> None:
    p.tasks("shop.render", time_limit=30, soft_time_limit=45)


@broken("W128:task:shop.render", fix="expires=3600 on the task")
def a_task_expires_by_a_timedelta(p: Project) -> None:
    p.tasks("shop.render", expires=timedelta(hours=1))


@broken("W128:task:shop.render", fix="expires=3600 on the task")
def a_task_expires_at_once(p: Project) -> None:
    p.tasks("shop.render", expires=0)


@broken("W128:route:shop.mail", fix="Leave 'expires' and 'time_limit' out of the route. Tasks may")
def a_route_has_options_that_belong_to_a_call(p: Project) -> None:
    p.tasks("shop.mail")
    p.conf(task_routes={"shop.mail": {"queue": "mails", "expires": 60, "time_limit": 20}})


@broken("W128:beat_entry:report", fix="Write 'args' and 'kwargs' beside 'options'")
def an_entry_has_its_arguments_among_the_options(p: Project) -> None:
    p.tasks("shop.report")
    p.beat("shop.report", "report", options={"kwargs": {"days": 1}})


@broken("W128:beat_entry:report", fix="'expires': 3600")
def an_entry_expires_by_a_timedelta(p: Project) -> None:
    p.tasks("shop.report")
    p.beat("shop.report", "report", options={"expires": timedelta(hours=1)})


@broken("W128:beat_entry:report", fix="'expires': 1200 in its options, or none.")
def an_entry_expires_before_its_countdown_is_over(p: Project) -> None:
    p.tasks("shop.report")
    p.beat("shop.report", "report", options={"countdown": 600, "expires": 300})


# Limits ------------------------------------------------------------------------------------------------


@broken("W221:setting:task_soft_time_limit", fix="app.conf.task_soft_time_limit = 54")
def both_limits_of_the_app_are_the_same(p: Project) -> None:
    p.tasks("shop.render", "shop.clean")
    p.conf(task_soft_time_limit=60)


@broken("W221:task:shop.render", fix="app.conf.task_annotations = {'shop.render': {'soft_time_limit': 27}}")
def both_limits_of_a_task_are_the_same(p: Project) -> None:
    p.tasks("shop.render", time_limit=30, soft_time_limit=30)
    p.tasks("shop.clean")


@broken("W221:setting:task_time_limit", fix="app.conf.task_annotations = {'shop.render': {'time_limit': 66}}")
def a_task_has_the_hard_limit_of_the_app_as_its_soft_one(p: Project) -> None:
    p.tasks("shop.render", soft_time_limit=60)
    p.tasks("shop.clean")


@broken("W221:beat_entry:render", fix="'soft_time_limit': 27 in its options.")
def an_entry_has_a_hard_limit_below_the_soft_one_of_the_app(p: Project) -> None:
    p.tasks("shop.render")
    p.conf(task_soft_time_limit=45)
    p.beat("shop.render", "render", options={"time_limit": 30})


@broken(
    "W205:beat_entry:ping", fix="Run it every 1800 s, raise the task's rate_limit, or give it 'expires': 300"
)
def an_entry_comes_more_often_than_its_rate_limit(p: Project) -> None:
    p.tasks("shop.ping", rate_limit="1/h")
    p.beat("shop.ping", "ping", 300)
    p.worker("w1@host")
    p.worker("w2@host")


@broken("W215:queue:celery", fix="Give what is urgent a queue of its own")
def priorities_on_a_transport_without_any(p: Project) -> None:
    p.broker("sqs://broker.invalid")
    p.tasks("shop.mail", "shop.alert")
    p.conf(task_routes={"shop.alert": {"queue": "celery", "priority": 9}})


@broken("W222:setting:task_time_limit", fix="Run these tasks on a worker with --pool prefork")
def a_worker_of_threads_keeps_no_time_limit(p: Project) -> None:
    p.tasks("shop.fetch", "shop.clean")
    p.worker(pool="threads")


@broken(
    "W222:setting:task_soft_time_limit",
    fix="app.conf.task_time_limit = 600, a hard limit, which gevent keeps",
)
def gevent_keeps_no_soft_limit(p: Project) -> None:
    p.tasks("shop.fetch", "shop.clean")
    p.conf(task_time_limit=None, task_soft_time_limit=60)
    p.worker(pool="gevent")


@broken("W222:setting:worker_max_tasks_per_child", fix="Run workers with --pool prefork, or leave it out.")
def eventlet_has_no_processes_to_replace(p: Project) -> None:
    p.tasks("shop.fetch")
    p.conf(task_time_limit=None, worker_max_tasks_per_child=100)
    p.worker(pool="eventlet")


# Celery 6 ----------------------------------------------------------------------------------------------


@broken(
    "I319:setting:task_routes", fix="app.conf.task_routes = {'shop.mail': {'queue': 'mails', 'priority': 3}}"
)
def a_task_has_queue_and_priority_as_attributes(p: Project) -> None:
    p.tasks("shop.mail", queue="mails", priority=3)
    p.tasks("shop.clean")


@broken(
    "I319:setting:task_routes",
    fix="app.conf.task_routes |= {'shop.mail': {'compression': 'gzip', 'queue': 'mails'}}",
)
def a_task_has_a_queue_that_its_route_does_not_say(p: Project) -> None:
    p.tasks("shop.mail", queue="mails")
    p.tasks("shop.clean")
    p.conf(task_routes={"shop.*": {"compression": "gzip"}})


@broken(
    "I319:setting:task_routes",
    fix="app.conf.task_routes = ({'shop.mail': {'queue': 'mails'}}, *app.conf.task_routes)",
)
def a_task_has_another_queue_than_a_router_gives_it(p: Project) -> None:
    def router(name: str, *args: object, **kwargs: object) -> dict[str, str]:
        return {"queue": "rest"}

    p.tasks("shop.mail", queue="mails")
    p.conf(task_routes=[router])


@broken(
    "I319:setting:task_routes",
    fix="app.conf.task_routes = ({'shop.mail': {'queue': 'mails'}}, app.conf.task_routes)",
)
def a_task_has_another_queue_than_the_one_router_gives_it(p: Project) -> None:
    def router(name: str, *args: object, **kwargs: object) -> dict[str, str]:
        return {"queue": "rest"}

    p.tasks("shop.mail", queue="mails")
    p.conf(task_routes=router)


@broken(
    "I319:setting:task_routes",
    fix="app.conf.task_routes = ({'shop.mail': {'queue': 'mails'}}, app.conf.task_routes)",
)
def a_task_has_another_queue_than_the_router_of_a_path_gives_it(p: Project) -> None:
    p.package("shop_routers", init="def route(name, *args, **kwargs):\n    return 'rest'\n")
    p.tasks("shop.mail", queue="mails")
    p.conf(task_routes="shop_routers.route")


@broken("I319:setting:task_routes", fix=", with the Queue of 'mails' in app.conf.task_queues")
def a_task_brings_its_queue_along(p: Project) -> None:
    p.tasks("shop.mail", queue=Queue("mails", MEDIA, routing_key="mails.#"))


@broken(
    "I319:setting:broker_connection_retry_on_startup",
    "I319:setting:worker_cancel_long_running_tasks_on_connection_loss",
    fix="CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = False",
)
def defaults_that_will_change_are_left(p: Project) -> None:
    p.configure(
        CELERY_BROKER_URL="redis://broker.invalid/0",
        CELERY_BROKER_TRANSPORT_OPTIONS={"socket_timeout": 5},
        CELERY_BROKER_CONNECTION_RETRY=False,
        CELERY_TASK_TIME_LIMIT=60,
    )
    p.tasks("shop.render", acks_late=True, reject_on_worker_lost=True)


@broken(
    "I319:setting:BROKER_CONNECTION_RETRY_ON_STARTUP",
    fix="Rename BROKER_CONNECTION_RETRY_ON_STARTUP to CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP, BROKER_",
)
def settings_have_the_names_of_celery_3(p: Project) -> None:
    p.configure(
        namespace=None,
        BROKER_URL="redis://broker.invalid/0",
        BROKER_TRANSPORT_OPTIONS={"socket_timeout": 5},
        BROKER_CONNECTION_RETRY_ON_STARTUP=True,
        CELERYD_TASK_TIME_LIMIT=60,
    )
    p.tasks("shop.clean")


CELERY_3 = {
    "BROKER_URL": "redis://broker.invalid/0",
    "BROKER_TRANSPORT_OPTIONS": {"socket_timeout": 5},
    "BROKER_CONNECTION_RETRY_ON_STARTUP": True,
    "CELERYD_TASK_TIME_LIMIT": 60,
}


# The name of the time zone is the same under the namespace.
@broken(
    "I319:setting:BROKER_CONNECTION_RETRY_ON_STARTUP",
    fix="CELERYD_TASK_TIME_LIMIT to CELERY_TASK_TIME_LIMIT. All at once, with ",
)
def one_of_the_old_names_is_the_new_one(p: Project) -> None:
    p.settings.TIME_ZONE = "Europe/Paris"
    p.configure(namespace=None, CELERY_TIMEZONE="Europe/Paris", **CELERY_3)
    p.tasks("shop.clean")


# Of two fixes, each right by itself, this one says what it does to the other.
@broken(
    "I319:setting:BROKER_CONNECTION_RETRY_ON_STARTUP",
    fix="\"CELERY\"). That gives effect to 'CELERY_BEAT_SCHEDULE' too, without another name.",
)
def old_names_are_to_go_and_a_new_one_has_no_effect_beside_them(p: Project) -> None:
    p.health["SILENCED"] = ["W116"]  # it says to rename that one to its old name, the smaller change
    schedule = {"clean": {"task": "shop.clean", "schedule": 60}}
    p.configure(namespace=None, CELERY_BEAT_SCHEDULE=schedule, **CELERY_3)
    p.tasks("shop.clean")
