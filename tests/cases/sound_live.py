"""Systems that are well, as workers, broker and store show them."""

from __future__ import annotations

from kombu import Exchange, Queue

from celery_health.doctor.live import BrokerBinding
from celery_health.records import WorkerState
from tests.cases.broken_live import table_entry
from tests.cases.support import Project, sound

MEDIA = Exchange("media", type="topic")


@sound("beat-task-unregistered", "queue-unconsumed")
def everything_is_registered_and_consumed(p: Project) -> None:
    p.tasks("shop.mail", "shop.clean")
    p.conf(task_routes={"shop.mail": {"queue": "mails"}})
    p.beat("shop.clean", "clean")
    p.worker("w1@host")
    p.worker("w2@host", queues=["mails"])


@sound("beat-task-unregistered")
def workers_register_what_this_process_does_not(p: Project) -> None:
    p.tasks("shop.clean")
    p.beat("shop.report", "report")
    p.worker(registered=frozenset({"shop.clean", "shop.report"}))


@sound("beat-task-unregistered")
def a_worker_of_other_queues_lacks_a_scheduled_task(p: Project) -> None:
    p.tasks("shop.clean", "shop.mail")
    p.conf(task_routes={"shop.mail": {"queue": "mails"}})
    p.beat("shop.clean", "clean")
    p.worker("w1@host")
    p.worker("w2@host", queues=["mails"], registered=frozenset({"shop.mail"}))


@sound("beat-task-unregistered")
def a_worker_that_is_gone_lacked_a_task(p: Project) -> None:
    p.tasks("shop.clean")
    p.beat("shop.clean", "clean")
    p.worker("w1@host")
    p.worker("w0@host", registered=frozenset(), state=WorkerState.GONE)


@sound("beat-task-unregistered")
def a_table_holds_entries_of_the_project(p: Project) -> None:
    p.tasks("shop.clean")
    p.worker()
    p.live(
        entries=(table_entry(p, "nightly", "shop.clean"), table_entry(p, "daily", "shop.clean", "redbeat"))
    )


@sound("queue-unconsumed")
def a_queue_scales_to_zero(p: Project) -> None:
    p.tasks("shop.render", "shop.clean")
    p.conf(task_routes={"shop.render": {"queue": "gpu"}})
    p.health["QUEUES"] = {"gpu": {"scale_to_zero": True}}
    p.worker()


@sound("queue-unconsumed")
def a_queue_is_somebody_elses_business(p: Project) -> None:
    p.tasks("shop.notify", "shop.clean")
    p.conf(task_routes={"shop.notify": {"queue": "crm"}})
    p.health["IGNORED_QUEUES"] = ["crm"]
    p.worker()
    p.queue("crm", consumers=0, expected_by=())


@sound("queue-unconsumed")
def whether_a_queue_is_consumed_is_not_known(p: Project) -> None:
    p.tasks("shop.mail", "shop.clean")
    p.conf(task_routes={"shop.mail": {"queue": "mails"}})
    p.worker()
    p.queue("mails", consumers=None)


@sound("queue-unconsumed")
def no_worker_is_known_to_live(p: Project) -> None:
    p.tasks("shop.mail", "shop.clean")
    p.conf(task_routes={"shop.mail": {"queue": "mails"}})
    p.worker(state=WorkerState.UNKNOWN, queues=None)


@sound("message-unbound", "exchange-undeclared")
def another_service_has_bound_a_queue(p: Project) -> None:
    p.tasks("shop.cut", "shop.notify")
    p.conf(
        task_queues=[Queue("celery"), Queue("video", MEDIA, routing_key="video.*")],
        task_routes={
            "shop.cut": {"queue": "video", "routing_key": "films.cut"},
            "shop.notify": {"exchange": "events", "routing_key": "shop.notified"},
        },
    )
    p.worker(queues=["celery", "video"])
    p.live(
        bindings={
            "media": (BrokerBinding(queue="cinema", routing_key="films.#"),),
            "events": (BrokerBinding(queue="crm", routing_key="shop.notified"),),
        }
    )
