"""Options of routes, tasks and entries that look odd, and do what they say."""

from __future__ import annotations

from celery import Celery
from kombu import Exchange, Queue

from tests.cases.support import Project, sound

MEDIA = Exchange("media", type="topic")


@sound("destination-ignored")
def keys_and_exchanges_that_are_the_queues_own(p: Project) -> None:
    p.tasks("shop.mail", "shop.letter", "shop.clean", "shop.sweep")
    p.conf(
        task_queues=[Queue("celery"), Queue("mails", Exchange("post"), routing_key="mails.out")],
        task_routes={
            "shop.mail": {"queue": "mails", "routing_key": "mails.out"},
            "shop.letter": {"queue": "mails", "exchange": "post"},
            "shop.clean": {"routing_key": "celery"},
        },
    )
    p.beat("shop.sweep", "sweep", options={"exchange": "celery", "routing_key": "celery"})


@sound("destination-ignored")
def a_key_of_the_projects_own_beside_a_queue(p: Project) -> None:
    p.tasks("shop.mail", "shop.letter")
    p.conf(
        task_queues=[Queue("celery"), Queue("mails", routing_key="mails")],
        task_routes={
            "shop.mail": {"queue": "mails", "routing_key": "feed.import"},
            # What many give to everything: the default queue's.
            "shop.letter": {"queue": "mails", "routing_key": "celery"},
        },
    )


@sound("destination-ignored")
def routers_that_are_code_give_a_queue_and_a_key_of_the_projects_own(p: Project) -> None:
    class Router:
        def route_for_task(self, name: str, *args: object, **kwargs: object) -> dict[str, object] | None:
            return {"queue": Queue("night"), "routing_key": "feed.night"} if name == "shop.sweep" else None

    def router(name: str, *args: object, **kwargs: object) -> dict[str, str]:
        return {"queue": "mails", "routing_key": "feed.import"}

    p.tasks("shop.mail", "shop.letter", "shop.sweep")
    p.conf(task_routes=(Router(), router))
    p.beat("shop.mail", "mail")


@sound("destination-ignored")
def a_router_that_is_code_says_the_default_queue_and_a_key_of_the_projects_own(p: Project) -> None:
    def router(name: str, *args: object, **kwargs: object) -> dict[str, str]:
        return {"queue": "celery", "routing_key": "feed.import"}

    p.tasks("shop.mail")
    p.conf(task_routes=router)


@sound("destination-ignored")
def a_routing_key_alone_on_a_topic_exchange(p: Project) -> None:
    p.tasks("shop.cut", "shop.clean")
    p.conf(
        task_default_exchange="media",
        task_default_exchange_type="topic",
        task_default_routing_key="task.default",
        task_queues=[Queue("celery", routing_key="task.#"), Queue("video", routing_key="video.#")],
        task_routes={"shop.cut": {"routing_key": "task.cut"}},
    )


@sound("destination-ignored")
def a_task_whose_queue_goes_before_a_pattern(p: Project) -> None:
    p.health["SILENCED"] = ["I319"]  # which task attributes have, whatever they say
    p.tasks("shop.mail", queue="mails")
    p.tasks("shop.letter", queue="mails")
    p.conf(task_routes={"shop.*": {"queue": "rest"}, "shop.letter": {"queue": "mails"}})


@sound("destination-ignored")
def an_entry_that_chooses_another_queue_than_its_route(p: Project) -> None:
    p.tasks("shop.mail")
    p.conf(
        task_queues=[Queue(name, routing_key=name) for name in ("celery", "mails", "night")],
        task_routes={"shop.mail": {"queue": "mails", "routing_key": "mails"}},
    )
    p.beat("shop.mail", "mail", options={"queue": "night", "routing_key": "night"})


@sound("options-refused", "soft-limit-unreached")
def limits_and_expiry_in_every_place(p: Project) -> None:
    p.tasks("shop.render", time_limit=600, soft_time_limit=540, expires=3600)
    p.tasks("shop.draw", soft_time_limit=30)
    p.tasks("shop.clean", expires=None)
    p.conf(task_soft_time_limit=50, task_routes={"shop.draw": {"queue": "slow", "compression": "gzip"}})
    p.beat(
        "shop.clean",
        "clean",
        options={"countdown": 60, "expires": 120, "time_limit": 30, "soft_time_limit": 20},
    )


@sound("options-refused")
def what_belongs_to_a_call_stands_in_a_route_that_wins_nothing(p: Project) -> None:
    p.tasks("shop.clean")
    p.conf(task_routes={"warehouse.*": {"queue": "warehouse", "expires": 60}})


@sound("soft-limit-unreached", "limits-unkept")
def limits_that_a_solo_worker_has_no_use_for(p: Project) -> None:
    p.tasks("shop.clean")
    p.conf(task_soft_time_limit=60, worker_max_tasks_per_child=100)
    p.worker(pool="solo")


@sound("limits-unkept")
def a_worker_of_threads_for_tasks_without_limits(p: Project) -> None:
    p.tasks("shop.render", time_limit=600)
    p.tasks("shop.fetch")
    p.conf(task_time_limit=None, task_routes={"shop.fetch": {"queue": "io"}}, worker_max_tasks_per_child=100)
    p.worker("w1@host")
    p.worker("w2@host", queues=["io"], pool="threads")


@sound("limits-unkept")
def gevent_keeps_the_hard_limit(p: Project) -> None:
    p.tasks("shop.fetch")
    p.conf(task_soft_time_limit=50)
    p.worker(pool="gevent")


@sound("schedule-too-fast")
def rate_limits_that_enough_workers_keep(p: Project) -> None:
    p.tasks("shop.ping", "shop.poll", rate_limit="1/h")
    p.beat("shop.ping", "ping", 1800)
    p.beat("shop.poll", "poll", 60, options={"expires": 60})
    p.worker("w1@host")
    p.worker("w2@host")


@sound("priority-ignored")
def one_priority_on_a_transport_without_any(p: Project) -> None:
    p.broker("sqs://broker.invalid")
    p.tasks("shop.mail", "shop.alert")
    p.conf(task_default_priority=5)


# Celery 6 ----------------------------------------------------------------------------------------------


@sound("celery-6-changes")
def task_attributes_that_the_routes_say_as_well(p: Project) -> None:
    def router(name: str, *args: object, **kwargs: object) -> dict[str, object] | None:
        return {"queue": "night"} if name == "shop.sweep" else None

    p.tasks("shop.mail", queue="mails", priority=3)
    p.tasks("shop.letter", queue="mails")
    p.tasks("shop.sweep", queue="night")
    p.tasks("shop.clean")
    p.conf(
        task_default_priority=5,
        task_routes=(router, {"shop.mail": {"queue": "mails", "priority": 3}, "shop.*": {"queue": "mails"}}),
    )


@sound("celery-6-changes")
def all_that_celery_6_changes_is_set(p: Project) -> None:
    p.tasks("shop.render", acks_late=True, reject_on_worker_lost=True)
    p.conf(
        broker_connection_retry_on_startup=False,
        worker_cancel_long_running_tasks_on_connection_loss=False,
    )


@sound("celery-6-changes")
def no_task_is_acknowledged_late(p: Project) -> None:
    p.app = Celery("shop", broker="redis://broker.invalid/0", set_as_current=False)
    p.conf(
        task_time_limit=60,
        broker_transport_options={"socket_timeout": 5},
        broker_connection_retry_on_startup=True,
    )
    p.tasks("shop.clean")
