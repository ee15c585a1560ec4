"""Systems that are well, as workers, broker and store show them."""

from __future__ import annotations

from dataclasses import replace

from kombu import Exchange, Queue

from celery_health.brokers.unreadable import Effect, Unreadable
from celery_health.connections.redis_keys import BoundQueue
from celery_health.doctor.live import (
    PIDBOX,
    OddMessage,
    ReplyQueues,
    UnackedMessages,
    WaitingMessages,
)
from celery_health.records import BeatState, InspectionState, RunningTask, TaskOutcomes, WorkerState
from tests.cases.beats import lives
from tests.cases.broken_live import TASK, TO_DEFAULT, beat, runtime, server, table_entry
from tests.cases.support import Project, sound
from tests.support.django_tasks import use_tasks
from tests.topology import backends

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
def djangos_tasks_go_where_their_backend_says(p: Project) -> None:
    jobs = use_tasks(p.monkeypatch, p.folder, "ByQueueName", "@task\ndef mail(): ...\n")
    p.task("tasks:jobs.mail")(jobs.mail.func)
    p.worker(queues=["default"])


@sound("queue-unconsumed", "workers-disagree")
def where_djangos_tasks_go_is_not_known(p: Project) -> None:
    use_tasks(p.monkeypatch, p.folder, "ByLookup", "@task\ndef mail(): ...\n")
    p.task(backends.run_django_task.name)(backends.run_django_task.run)
    p.worker(queues=["whatever"])


@sound("queue-unconsumed", "queue-abandoned")
def the_only_worker_does_not_answer(p: Project) -> None:
    p.tasks("shop.mail", "shop.clean")
    p.conf(task_routes={"shop.mail": {"queue": "mails"}})
    p.worker(state=WorkerState.UNKNOWN)
    p.live(abandoned={"legacy": 3})


@sound("queue-unconsumed")
def a_row_names_a_queue_of_another_project(p: Project) -> None:
    p.tasks("shop.clean")
    p.worker()
    # Who else listens, and to which queues, is not known.
    p.snapshot(inspection=InspectionState(asked=True, complete=True, roster=("w1@host", "crm@host")))
    p.live(entries=(table_entry(p, "nightly", "shop.clean", queue="crm"),))


@sound("queue-unconsumed")
def a_row_names_a_queue_that_a_worker_consumes(p: Project) -> None:
    p.tasks("shop.clean")
    p.worker()
    p.worker("w2@host", queues=["night"])
    p.snapshot(inspection=InspectionState(asked=True, complete=True, roster=("w1@host", "w2@host")))
    p.live(entries=(table_entry(p, "nightly", "shop.clean", queue="night"),))


@sound("queue-unconsumed")
def a_row_names_a_queue_and_a_worker_is_silent(p: Project) -> None:
    p.tasks("shop.clean")
    p.worker()
    p.worker("w2@host", queues=None, state=WorkerState.UNKNOWN)
    roster = ("w1@host", "w2@host")
    p.snapshot(inspection=InspectionState(asked=True, roster=roster, silent=("w2@host",)))
    p.live(entries=(table_entry(p, "nightly", "shop.clean", queue="night"),))


@sound("queue-unconsumed")
def a_row_names_a_queue_whose_consumers_the_broker_was_not_asked_for(p: Project) -> None:
    p.broker("amqp://broker.invalid//")
    p.tasks("shop.clean")
    p.worker()
    p.snapshot(inspection=InspectionState(asked=True, complete=True, roster=("w1@host",)))
    p.live(entries=(table_entry(p, "nightly", "shop.clean", queue="night"),))


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
            "media": (BoundQueue(queue="cinema", routing_key="films.#"),),
            "events": (BoundQueue(queue="crm", routing_key="shop.notified"),),
        }
    )


# Workers -----------------------------------------------------------------------------------------------


@sound("workers-disagree")
def a_task_is_registered_by_workers_of_another_queue(p: Project) -> None:
    # Called with apply_async(queue="gpu"), and nobody has a route for it.
    p.tasks("shop.clean", "ml.train")
    p.worker("w1@host", registered=frozenset({"shop.clean"}))
    p.worker("w2@host", queues=["gpu"], registered=frozenset({"ml.train"}))


@sound("workers-disagree", "waiting-unregistered")
def a_worker_that_does_not_say_what_it_registers(p: Project) -> None:
    p.tasks("shop.clean")
    p.worker("w1@host")
    p.worker("w2@host", registered=None)
    p.live(waiting={"celery": WaitingMessages(looked_at=2, names={"shop.clean": 2})})


@sound("waiting-unregistered")
def messages_of_another_service_wait_in_its_queue(p: Project) -> None:
    p.tasks("shop.clean")
    p.worker()
    p.live(waiting={"crm": WaitingMessages(looked_at=1, names={"crm.sync": 1})})


@sound("message-unreadable", "queue-no-list")
def what_no_worker_could_read_was_set_aside(p: Project) -> None:
    """Dead letters are for people; a queue that could not be read for another reason may be one of lists."""
    p.tasks("shop.clean")
    p.worker()
    why = Unreadable(why="it is no JSON (Expecting value)", effect=Effect.ENDS)
    odd = OddMessage(position=1, size_bytes=5, found=why)
    p.queue("celery", ready=None, error="NOPERM this user has no permissions to run the 'llen' command")
    p.health["IGNORED_QUEUES"] = ["crm"]
    unreadable = WaitingMessages(looked_at=1, unreadable=(odd,))
    p.live(waiting={"celery.dead": unreadable, "crm": unreadable})


@sound("unknown-received")
def a_deploy_is_over(p: Project) -> None:
    p.tasks("shop.clean", "shop.newest")
    p.worker()
    p.snapshot(recent={"shop.newest": TaskOutcomes(unknown=3, succeeded=40)})


@sound("queue-shared", "workers-disagree")
def a_project_is_deployed_under_two_app_ids(p: Project) -> None:
    p.tasks("shop.clean", "shop.mail")
    p.worker("blue@host")
    p.stranger("green@host", "shop.clean", "shop.mail", "shop.newest", app_id="shop-green")


@sound("queue-shared")
def another_project_has_queues_of_its_own(p: Project) -> None:
    p.tasks("shop.clean", "shop.mail")
    p.worker("w1@host")
    p.stranger("crm@host", "crm.sync", queues=["crm"])


@sound("queue-shared")
def we_send_to_the_queue_of_another_service(p: Project) -> None:
    p.tasks("shop.clean")
    p.tasks("crm.sync")
    p.conf(task_routes={"crm.sync": {"queue": "crm"}})
    p.worker("w1@host")
    p.stranger("crm@host", "crm.sync", "crm.tidy", queues=["crm"])


@sound("queue-shared", "workers-disagree")
def a_stranger_does_not_say_what_it_registers(p: Project) -> None:
    p.tasks("shop.clean")
    p.worker("w1@host")
    p.stranger("crm@host", registered=None)


@sound("queue-shared", "unknown-received")
def both_projects_look_at_a_queue_that_neither_uses(p: Project) -> None:
    p.tasks("shop.clean")
    p.conf(task_routes={"shop.clean": {"queue": "shop"}})
    p.worker("w1@host", queues=["celery", "shop"])
    p.stranger("crm@host", "crm.sync", queues=["celery", "crm"])


@sound("queue-shared", "workers-disagree")
def a_service_consumes_a_queue_that_we_name_in_each_call(p: Project) -> None:
    # Our tasks are sent with queue="shop": that they would go to "celery" is in no configuration.
    p.tasks("shop.clean")
    p.worker("w1@host", queues=["shop"])
    p.stranger("sync@host", "sync")


@sound("queue-shared")
def a_shared_queue_is_somebody_elses_business(p: Project) -> None:
    p.tasks("shop.clean")
    p.health["IGNORED_QUEUES"] = ["celery"]
    p.worker("w1@host", queues=["shop"])
    p.stranger("crm@host", "crm.sync")
    p.queue("celery", expected_by=())


@sound("queue-shared", "workers-disagree")
def workers_of_two_kinds_have_queues_of_their_own(p: Project) -> None:
    p.tasks("shop.clean", "ml.train")
    p.conf(task_routes={"ml.train": {"queue": "gpu"}})
    p.worker("w1@host", registered=frozenset({"shop.clean"}))
    p.worker("w2@host", queues=["gpu"], registered=frozenset({"ml.train"}))


@sound("prefetch-hoards")
def a_busy_worker_and_another_that_drains(p: Project) -> None:
    p.tasks("shop.render")
    run = RunningTask(worker="w1@host", task_id="a", task_name="shop.render", runtime_seconds=300)
    busy = {"concurrency": 1, "active": (run,), "active_count": 1, "reserved_by_queue": {"celery": 4}}
    p.worker("w1@host", state=WorkerState.SATURATED, **busy)
    p.worker("w2@host", state=WorkerState.DRAINING, is_draining=True)
    p.worker("w3@host", is_paused=True)


@sound("prefetch-hoards")
def a_busy_worker_with_short_tasks(p: Project) -> None:
    p.tasks("shop.mail")
    run = RunningTask(worker="w1@host", task_id="a", task_name="shop.mail", runtime_seconds=0.5)
    busy = {"concurrency": 1, "active": (run,), "active_count": 1, "reserved_by_queue": {"celery": 4}}
    p.worker("w1@host", state=WorkerState.SATURATED, **busy)
    p.worker("w2@host")


@sound("configuration-skew", "version-skew")
def workers_of_different_queues_are_configured_differently(p: Project) -> None:
    p.tasks("shop.clean")
    p.worker("w1@host", config="a1", versions={"celery": "5.7.0", "python": "3.12"})
    p.worker("w2@host", config="b2", queues=["gpu"], versions={"celery": "5.7.0", "python": "3.11"})
    p.worker("w3@host", config=None, versions={})


@sound("broker-differs")
def one_broker_has_two_addresses(p: Project) -> None:
    p.tasks("shop.clean")
    p.worker(broker="f1")
    bound = BoundQueue(queue=f"w1@host.{PIDBOX}", routing_key="")
    p.live(broker_fingerprint="f2", bindings={PIDBOX: (bound,)})


@sound("broker-differs")
def a_worker_does_not_name_its_broker(p: Project) -> None:
    p.tasks("shop.clean")
    p.worker(broker=None)
    p.live(broker_fingerprint="f2", bindings={PIDBOX: ()})


@sound("workers-elsewhere")
def another_project_uses_another_database(p: Project) -> None:
    p.tasks("shop.clean")
    p.worker()
    p.live(elsewhere={1: ("other@host",)})


@sound("workers-doubled")
def a_worker_was_restarted_while_the_one_before_drains(p: Project) -> None:
    p.tasks("shop.clean")
    p.worker("w@host", state=WorkerState.DRAINING)
    p.worker("w@host")


# Beat --------------------------------------------------------------------------------------------------


@sound("beat-lacks-entry", "beat-empty", "beats-doubled")
def beat_has_the_schedule_of_the_code_and_more(p: Project) -> None:
    p.tasks("shop.clean")
    p.beat("shop.clean", "often")
    p.worker()
    p.snapshot(beats=(beat("beat@host", "often", "celery.backend_cleanup", last_sent_seconds=1.0),))


@sound("beat-lacks-entry")
def an_entry_was_switched_off_in_the_table(p: Project) -> None:
    p.tasks("shop.clean")
    p.beat("shop.clean", "often")
    p.worker()
    p.snapshot(beats=(beat("beat@host", stored_outside=True),))


@sound("beat-lacks-entry", "beats-doubled")
def a_beat_was_replaced(p: Project) -> None:
    p.tasks("shop.clean")
    p.beat("shop.clean", "often")
    p.worker()
    gone = beat("old@host", "often", last_sent_seconds=60.0)
    new = beat("new@host", "often", last_sent_seconds=2.0)
    p.snapshot(beats=(replace(gone, state=BeatState.STOPPED), new))


@sound("beat-forgets")
def beat_is_restarted_and_remembers(p: Project) -> None:
    p.tasks("shop.clean")
    p.beat("shop.clean", "often", 3600)
    p.worker()
    p.snapshot(beats=lives(5400, 3000, 600, unsent=4500.0, next_due_in_seconds=30.0))


@sound("beat-forgets")
def beat_was_deployed_once_and_began_anew(p: Project) -> None:
    p.tasks("shop.clean")
    p.beat("shop.clean", "often", 3600)
    p.worker()
    p.snapshot(beats=lives(9000, 1800, unsent=5300.0))


@sound("beats-doubled")
def a_redbeat_waits_for_its_lock(p: Project) -> None:
    p.tasks("shop.clean")
    p.worker()
    first = beat("one@host", "often", last_sent_seconds=2.0, stored_outside=True)
    p.snapshot(beats=(first, replace(first, name="two@host", state=BeatState.STANDBY)))


@sound("beats-doubled")
def two_beats_have_schedules_of_their_own(p: Project) -> None:
    p.tasks("shop.clean")
    p.worker()
    p.snapshot(
        beats=(
            beat("one@host", "often", "celery.backend_cleanup", last_sent_seconds=2.0),
            beat("two@host", "seldom", "celery.backend_cleanup", last_sent_seconds=2.0),
        )
    )


@sound("schedule-too-fast", "visibility-timeout")
def tasks_are_quick(p: Project) -> None:
    p.tasks("shop.clean", acks_late=True, reject_on_worker_lost=True)
    p.beat("shop.clean", "often", 60)
    p.worker()
    p.live(observed={"shop.clean": runtime(2.0)})


# Broker ------------------------------------------------------------------------------------------------


@sound("redis-evicts", "results-evicted")
def a_memory_limit_that_evicts_nothing(p: Project) -> None:
    p.tasks("shop.clean")
    p.worker()
    p.live(servers=(server("broker", "noeviction", 2**28), server("result backend", "noeviction", 2**28)))


@sound("redis-evicts", "results-evicted")
def an_evicting_policy_without_a_memory_limit(p: Project) -> None:
    p.tasks("shop.clean")
    p.worker()
    p.live(servers=(server("broker", "allkeys-lru", 0), server("result backend", "allkeys-lru", 0)))


@sound("unacked-orphaned")
def tasks_wait_for_their_eta(p: Project) -> None:
    p.tasks("shop.remind")
    p.worker()
    p.live(unacked=UnackedMessages(total=4000, oldest_seconds=3500.0))


@sound("clock-skew", "reply-queues-leaked")
def a_clock_is_a_little_ahead_and_somebody_asks(p: Project) -> None:
    p.tasks("shop.clean")
    p.worker()
    p.live(
        waiting={"celery": WaitingMessages(looked_at=1, names={"shop.clean": 1}, ahead_seconds=0.4)},
        reply_queues=ReplyQueues(lists=2, messages=3, bindings=40),
    )


@sound("queue-abandoned")
def an_ignored_queue_holds_messages(p: Project) -> None:
    p.tasks("shop.clean")
    p.health["IGNORED_QUEUES"] = ["crm"]
    p.worker()
    p.live(abandoned={"crm": 12})


@sound("queue-abandoned")
def an_undeclared_queue_is_consumed(p: Project) -> None:
    p.tasks("shop.clean")
    p.worker(queues=["celery", "adhoc"])
    p.queue("adhoc", ready=12)


@sound("tasks-unimported")
def a_worker_includes_what_this_process_does_not_import(p: Project) -> None:
    p.tasks("shop.clean")
    p.package("attic", tasks="from celery import shared_task\n@shared_task\ndef sweep(): ...")
    p.installed("attic")
    p.worker(registered=frozenset({"shop.clean", "attic.tasks.sweep"}))


@sound("queue-unconsumed")
def what_installed_apps_leave_to_the_default_queue_is_not_sent(p: Project) -> None:
    p.tasks("shop.clean")
    p.conf(task_routes={"shop.*": {"queue": "shop"}})
    p.distribution("acme_orders", tasks=TASK)
    p.installed("acme_orders")
    p.worker(queues=["shop"])


@sound("queue-unconsumed")
def a_library_s_optional_tasks_have_a_queue_that_nobody_needs(p: Project) -> None:
    p.tasks("shop.clean")
    p.distribution("post_office", tasks=TO_DEFAULT)
    p.distribution("toolbox", tasks=TO_DEFAULT)
    p.installed("post_office")
    p.worker()


@sound("lost-with-worker")
def an_installed_app_acknowledges_late_as_its_author_wants(p: Project) -> None:
    p.tasks("shop.clean")
    p.distribution("acme_orders", tasks=TASK.replace("@shared_task", "@shared_task(acks_late=True)"))
    p.installed("acme_orders")
    p.worker()


# Dead letters ------------------------------------------------------------------------------------------


@sound("queue-abandoned")
def a_queue_of_dead_letters_is_nobodys_to_consume(p: Project) -> None:
    p.tasks("shop.clean")
    p.worker()
    p.live(abandoned={"celery.dead": 12})


@sound("dead-letters-full", "dead-letters-forgotten")
def some_dead_letters_of_this_week(p: Project) -> None:
    p.tasks("shop.clean")
    p.worker()
    p.snapshot(dead_letters={"celery": 12, "mails": None})
    p.live(oldest_letters={"celery": 2 * 86400.0})
