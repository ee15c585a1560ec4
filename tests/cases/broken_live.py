"""Systems that are wrong, and show it to whoever looks at workers, broker and store."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from celery.schedules import schedule
from kombu import Exchange, Queue

from celery_health.brokers.unreadable import Effect, Unreadable
from celery_health.connections.redis_keys import BoundQueue
from celery_health.doctor.facts import EntryFacts
from celery_health.doctor.live import (
    PIDBOX,
    OddMessage,
    RedisServer,
    ReplyQueues,
    UnackedMessages,
    WaitingMessages,
)
from celery_health.records import (
    Beat,
    BeatState,
    InspectionState,
    ObservedRuntime,
    RunningTask,
    ScheduledTask,
    ScheduleEntryState,
    TaskOutcomes,
    WorkerState,
)
from celery_health.topology import Resolver
from tests.cases.beats import lives
from tests.cases.support import TAKEN_AT, Project, broken
from tests.support.django_tasks import use_tasks

MEDIA = Exchange("media", type="topic")
#: Of packages that are installed.
TASK = "from celery import shared_task\n\n@shared_task\ndef send(): ...\n"
TO_DEFAULT = TASK.replace("@shared_task", "@shared_task(queue='default')")


def table_entry(
    p: Project, name: str, task: str, source: str = "django_celery_beat", **options: Any
) -> EntryFacts:
    """Return an entry that is kept in a table, or in RedBeat."""
    from celery_health.doctor.static.entries import entry_facts

    fields = {"task": task, "schedule": schedule(60.0), "args": [], "kwargs": {}, "options": options}
    return entry_facts(p.app, Resolver(p.app), name, fields, source=source)


# Names -------------------------------------------------------------------------------------------------


@broken("E101:beat_entry:sync", fix="Set the entry's task to 'accounts.tasks.sync_accounts'.")
def no_worker_registers_what_beat_sends(p: Project) -> None:
    p.tasks("accounts.tasks.sync_accounts")
    p.beat("accounts.tasks.sync", "sync")
    p.worker()


@broken("E101:beat_entry:sync", fix="Restart 'w2@host' with the same code as the others")
def one_of_two_workers_does_not_register_what_beat_sends(p: Project) -> None:
    p.tasks("accounts.tasks.sync")
    p.beat("accounts.tasks.sync", "sync")
    p.worker("w1@host")
    p.worker("w2@host", registered=frozenset({"accounts.tasks.old"}))


@broken(
    "E101:beat_entry:nightly",
    fix="Set the entry's task to 'shop.tidy_up', or disable it (django_celery_beat).",
)
def a_row_outlived_a_rename(p: Project) -> None:
    p.tasks("shop.tidy_up")
    p.worker()
    p.live(entries=(table_entry(p, "nightly", "shop.tidy"),))


@broken("E101:beat_entry:nightly", fix="Define 'fetch', or remove the entry.")
def a_redbeat_entry_names_nothing_known(p: Project) -> None:
    p.tasks("shop.tidy_up")
    p.worker()
    p.live(entries=(table_entry(p, "nightly", "fetch", "redbeat"),))


# Queues ------------------------------------------------------------------------------------------------


@broken(
    "E104:queue:mails",
    fix="celery -A shop worker -Q mails, or have one take it too: celery -A shop worker -Q celery,mails",
)
def a_worker_was_started_without_q(p: Project) -> None:
    p.tasks("shop.mail", "shop.clean")
    p.conf(task_routes={"shop.mail": {"queue": "mails"}})
    p.worker()


@broken("E104:queue:mails", fix="celery -A shop worker -Q mails")
def a_worker_was_started_without_q_where_others_are_declared(p: Project) -> None:
    p.tasks("shop.mail", "shop.clean")
    p.conf(task_routes={"shop.mail": {"queue": "mails"}}, task_queues=[Queue("celery")])
    p.worker()


# That nobody is left to consume "celery" is for the verdict to say.
@broken("E104:queue:mails", "I312:queue:legacy", fix="celery -A shop worker -Q celery,mails")
def the_workers_that_are_gone_did_not_consume_a_queue(p: Project) -> None:
    p.tasks("shop.mail", "shop.clean")
    p.conf(task_routes={"shop.mail": {"queue": "mails"}})
    p.worker(state=WorkerState.GONE)
    p.queue("celery", consumers=0, ready=7)
    p.live(abandoned={"legacy": 35})


@broken("E104:queue:reports", fix="Workers consume 'reprots'")
def a_worker_was_started_with_a_misspelt_q(p: Project) -> None:
    p.tasks("shop.report", "shop.clean")
    p.conf(task_routes={"shop.report": {"queue": "reports"}})
    p.worker(queues=["celery", "reprots"])
    p.queue("reports", ready=35)


@broken("E104:queue:default", "I319:setting:task_routes", fix="celery -A shop worker -Q celery,default")
def an_installed_app_chose_a_queue_that_no_worker_consumes(p: Project) -> None:
    p.tasks("shop.clean")
    p.distribution("acme_orders", tasks=TO_DEFAULT)
    p.installed("acme_orders")
    p.worker()


@broken("E104:queue:celery", fix="celery -A shop worker -Q celery")
def something_waits_where_an_installed_app_leaves_its_tasks(p: Project) -> None:
    p.tasks("shop.clean")
    p.conf(task_routes={"shop.*": {"queue": "shop"}})
    p.distribution("acme_orders", tasks=TASK)
    p.installed("acme_orders")
    p.worker(queues=["shop"])
    p.queue("celery", ready=1)


@broken("E104:queue:default", fix="celery -A shop worker -Q default")
def what_a_library_sends_waits_where_nobody_consumes(p: Project) -> None:
    p.tasks("shop.clean")
    p.distribution("post_office", tasks=TO_DEFAULT)
    p.installed("post_office")
    p.worker()
    p.queue("default", ready=3)


@broken("E104:queue:elsewhere", fix="celery -A shop worker -Q elsewhere")
def a_call_named_a_queue_that_nobody_consumes(p: Project) -> None:
    p.tasks("shop.clean")
    p.worker()
    p.queue("elsewhere", ready=3)
    p.live(waiting={"elsewhere": WaitingMessages(looked_at=3, names={"shop.clean": 3})})


@broken("E104:queue:nowhere", fix="Start a worker for it: celery -A shop worker -Q nowhere")
def a_row_names_a_queue_that_nobody_consumes_while_no_beat_runs(p: Project) -> None:
    p.tasks("shop.clean")
    p.worker()
    p.snapshot(inspection=InspectionState(asked=True, complete=True, roster=("w1@host",)))
    p.live(entries=(table_entry(p, "nightly", "shop.clean", queue="nowhere"),))


@broken("E104:queue:nowhere", fix="Start a worker for it: celery -A shop worker -Q nowhere")
def a_redbeat_entry_waits_in_a_queue_that_nobody_consumes(p: Project) -> None:
    p.tasks("shop.clean")
    p.worker()
    p.worker("w0@host", state=WorkerState.GONE)
    p.snapshot(inspection=InspectionState())
    listening = [BoundQueue(queue=f"{name}@host.{PIDBOX}", routing_key="") for name in ("w0", "w1")]
    p.live(
        entries=(table_entry(p, "nightly", "shop.clean", "redbeat", queue="nowhere"),),
        bindings={PIDBOX: tuple(listening)},
        abandoned={"nowhere": 2},
    )


# Celery keeps the blank in the name.
@broken("E104:queue:mails", fix="celery -A shop worker -Q celery,mails,news")
def a_worker_was_started_with_a_blank_after_the_comma(p: Project) -> None:
    p.tasks("shop.mail", "shop.clean")
    p.conf(task_routes={"shop.mail": {"queue": "mails"}})
    p.worker(queues=["celery", " mails", " news"])
    p.queue("mails", ready=35)


@broken("E104:queue:default", fix="Start a worker for it: celery -A shop worker -Q default")
def a_plain_worker_does_not_read_the_queue_of_djangos_tasks(p: Project) -> None:
    # Their backend names the queue in each call: the app's routes, which say "celery", are not asked.
    jobs = use_tasks(p.monkeypatch, p.folder, "ByQueueName", "@task\ndef mail(): ...\n")
    p.task("tasks:jobs.mail")(jobs.mail.func)
    p.worker()


@broken("E104:queue:elsewhere", fix="celery -A shop worker -Q elsewhere")
def a_queue_that_nobody_can_look_into_was_sent_to(p: Project) -> None:
    p.tasks("shop.clean")
    p.worker()
    p.queue("elsewhere", ready=3)
    p.live(sent={"elsewhere": frozenset({"shop.clean", "shop.gone"})})


@broken("E106:task:shop.cut", fix="a routing key that 'video.*' takes")
def the_broker_has_no_binding_for_a_key(p: Project) -> None:
    p.tasks("shop.cut", "shop.clean")
    p.conf(
        task_queues=[Queue("celery"), Queue("video", MEDIA, routing_key="video.*")],
        task_routes={"shop.cut": {"queue": "video", "routing_key": "films.cut"}},
    )
    p.worker(queues=["celery", "video"])
    p.live(bindings={"media": (BoundQueue(queue="video", routing_key="video.*"),)})


@broken("E107:task:shop.notify", fix="Name the queue in the route")
def an_exchange_has_no_binding_at_all(p: Project) -> None:
    p.tasks("shop.notify")
    p.conf(task_routes={"shop.notify": {"exchange": "events", "routing_key": "shop.notified"}})
    p.worker()
    p.live(bindings={"events": ()})


# Workers -----------------------------------------------------------------------------------------------


@broken("E111:worker:w2@host", fix="Restart 'w2@host' with the code of the others")
def one_worker_lacks_a_task_that_the_other_has(p: Project) -> None:
    p.tasks("shop.clean", "shop.mail")
    p.worker("w1@host")
    p.worker("w2@host", registered=frozenset({"shop.clean"}))


@broken("E111:queue:celery", fix="Restart 'w1@host' and 'w2@host' with the code that this process has.")
def no_worker_has_the_newest_task(p: Project) -> None:
    p.tasks("shop.clean", "shop.mail")
    p.worker("w1@host", registered=frozenset({"shop.clean"}))
    p.worker("w2@host", registered=frozenset({"shop.clean"}))


@broken("E111:worker:w2@host", fix="Restart 'w2@host' with the code of this project")
def a_worker_of_an_older_version_has_another_app_id(p: Project) -> None:
    p.tasks("shop.clean", "shop.mail", "shop.tidy")
    p.worker("w1@host")
    p.stranger("w2@host", "shop.clean", "shop.mail", app_id="shop-blue")


@broken("E111:worker:w2@host", fix="Restart 'w2@host' with the code of this project")
def a_worker_registers_no_task_at_all(p: Project) -> None:
    p.tasks("shop.clean")
    p.worker("w1@host")
    p.stranger("w2@host")


SHARED = "E126:queue:celery"
OWN_QUEUE = (
    'Give this project a queue of its own, app.conf.task_default_queue = "shop", and restart web, beat and '
    "workers: celery -A shop worker -Q shop. Or keep all queues apart: "
)


@broken(SHARED, fix=OWN_QUEUE + "app.conf.broker_transport_options['global_keyprefix'] = 'shop:', or")
def another_project_consumes_the_default_queue(p: Project) -> None:
    p.tasks("shop.clean", "shop.mail")
    p.worker("w1@host")
    p.stranger("crm@host", "crm.sync", "crm.tidy")


@broken(SHARED, fix=OWN_QUEUE + "a virtual host of its own in app.conf.broker_url.")
def another_project_consumes_the_default_queue_on_rabbitmq(p: Project) -> None:
    p.broker("amqp://broker.invalid//")
    p.tasks("shop.clean", "shop.mail")
    p.worker("w1@host")
    p.stranger("crm@host", "crm.sync", app_id="crm")


@broken(
    "E126:queue:jobs", fix="write 'shop' for 'jobs' in its settings, routes and schedule, and restart web,"
)
def another_project_consumes_a_queue_of_a_route(p: Project) -> None:
    p.tasks("shop.clean", "shop.mail")
    p.conf(task_routes={"shop.mail": {"queue": "jobs"}})
    p.worker("w1@host", queues=["celery", "jobs"])
    p.stranger("crm@host", "crm.sync", queues=["jobs"])


@broken(SHARED, fix='CELERY_TASK_DEFAULT_QUEUE = "shop", and restart')
def another_project_shares_the_queue_and_a_library(p: Project) -> None:
    p.configure(CELERY_BROKER_URL="redis://broker.invalid/0", CELERY_TASK_TIME_LIMIT=60)
    p.conf(broker_transport_options={"socket_timeout": 5}, broker_connection_retry_on_startup=True)
    p.tasks("shop.clean", "shop.mail", "shop.pay", "library.tidy")
    p.worker("w1@host")
    p.stranger("crm@host", "crm.sync", "crm.call", "crm.tidy", "library.tidy")


@broken(
    SHARED, fix="Both report under APP_ID 'proj': set CELERY_HEALTH = {'APP_ID': 'shop'} as well. Or keep"
)
def another_project_has_the_same_app_id(p: Project) -> None:
    p.tasks("shop.clean", "shop.mail")
    p.worker("w1@host")
    p.worker("crm@host", registered=frozenset({"crm.sync", "crm.tidy"}))


@broken(SHARED, "E101:beat_entry:often", fix=OWN_QUEUE[:60])
def another_project_has_the_same_app_id_and_takes_what_beat_sends(p: Project) -> None:
    p.tasks("shop.clean", "shop.mail")
    p.beat("shop.clean", "often")
    p.worker("w1@host")
    p.worker("crm@host", registered=frozenset({"crm.sync", "crm.tidy"}))


@broken(SHARED, fix=OWN_QUEUE[:60])
def another_project_alone_consumes_the_queue(p: Project) -> None:
    p.tasks("shop.clean", "shop.mail")
    p.beat("shop.clean", "often")
    p.conf(task_routes={"shop.mail": {"queue": "mails"}})
    p.worker("w1@host", queues=["mails"])
    p.stranger("crm@host", "crm.sync")


@broken(SHARED, fix="write 'shop' for 'celery' in its settings, routes and schedule, and restart")
def beat_sends_to_a_queue_of_another_project(p: Project) -> None:
    p.tasks("shop.clean")
    p.conf(task_routes={"shop.clean": {"queue": "mails"}})
    p.beat("shop.clean", "often", options={"queue": "celery"})
    p.worker("w1@host", queues=["mails", "celery"])
    p.stranger("crm@host", "crm.sync")


@broken(SHARED, fix=OWN_QUEUE[:60])
def our_worker_discards_what_another_project_sends(p: Project) -> None:
    p.tasks("shop.clean")
    p.conf(task_routes={"shop.clean": {"queue": "mails"}})
    p.worker("w1@host", queues=["celery", "mails"])
    p.stranger("crm@host", "crm.sync")
    p.snapshot(recent={"crm.sync": TaskOutcomes(unknown=3)})
    p.live(waiting={"celery": WaitingMessages(looked_at=1, names={"crm.sync": 1})})


@broken("E110:queue:celery", fix="Send 'shop.tidy_up' instead")
def messages_wait_under_a_name_that_nobody_registers(p: Project) -> None:
    p.tasks("shop.tidy_up")
    p.worker()
    p.live(waiting={"celery": WaitingMessages(looked_at=5, names={"shop.tidy": 3, "shop.tidy_up": 2})})


@broken("E132:queue:celery", fix="python manage.py celery_health dead-letters set-aside celery")
def a_text_lies_in_a_queue(p: Project) -> None:
    p.tasks("shop.clean")
    p.worker()
    why = Unreadable(why="it is no JSON (Expecting value)", effect=Effect.ENDS)
    odd = OddMessage(position=1, size_bytes=5, found=why)
    p.live(waiting={"celery": WaitingMessages(looked_at=2, names={"shop.clean": 1}, unreadable=(odd,))})


@broken("E133:queue:celery", fix="give the key another name, by RENAME of Redis.")
def somebody_keeps_a_hash_under_a_queues_name(p: Project) -> None:
    p.tasks("shop.clean")
    p.worker()
    p.queue("celery", ready=None, error="WRONGTYPE Operation against a key holding the wrong kind of value")


@broken("E113:task:shop.tidy", fix="Send 'shop.tidy_up' instead, or give 'shop.tidy' back to the workers.")
def a_worker_discarded_what_it_does_not_register(p: Project) -> None:
    p.tasks("shop.tidy_up")
    p.worker()
    p.snapshot(recent={"shop.tidy": TaskOutcomes(unknown=7), "shop.tidy_up": TaskOutcomes(succeeded=3)})


@broken("W207:worker:w1@host", fix="worker_prefetch_multiplier = 1")
def a_busy_worker_hoards_what_an_idle_one_could_run(p: Project) -> None:
    p.tasks("shop.render")
    long = [
        RunningTask(worker="w1@host", task_id=str(i), task_name="shop.render", runtime_seconds=300)
        for i in "ab"
    ]
    p.worker(
        "w1@host", state=WorkerState.SATURATED, concurrency=2, active=tuple(long), active_count=2,
        reserved_count=8, reserved_by_queue={"celery": 8},
    )  # fmt: skip
    p.worker("w2@host", concurrency=2)


@broken(
    "W208:worker:w3@host",
    fix="Restart 'w3@host' with the code, settings and environment of 'w1@host' and 'w2@host'.",
)
def one_worker_has_another_configuration(p: Project) -> None:
    p.tasks("shop.clean")
    p.worker("w1@host", config="a1")
    p.worker("w2@host", config="a1")
    p.worker("w3@host", config="b2")


@broken("I310:worker:w3@host", fix="Deploy 'w3@host' again")
def one_worker_has_another_version(p: Project) -> None:
    p.tasks("shop.clean")
    p.worker("w1@host", versions={"celery": "5.7.0"})
    p.worker("w2@host", versions={"celery": "5.7.0"})
    p.worker("w3@host", versions={"celery": "5.5.3"})


@broken("E119:broker:redis://localhost:6379/0", fix="Give all processes one app.conf.broker_url.")
def workers_read_from_another_broker(p: Project) -> None:
    p.tasks("shop.clean")
    p.worker(broker="f1")
    p.live(broker_fingerprint="f2", bindings={PIDBOX: ()})


@broken("I317:broker:redis://localhost:6379/0", fix="database number included")
def workers_listen_in_another_database(p: Project) -> None:
    p.tasks("shop.clean")
    p.live(elsewhere={1: ("w1@host",)})


# Beat --------------------------------------------------------------------------------------------------


def beat(name: str, *entries: str, **changes: Any) -> Beat:
    """Return a beat that lives and says what it sends."""
    rows = tuple(
        ScheduleEntryState(
            entry=entry, task=entry if entry.startswith("celery.") else "shop.clean", beat=name
        )
        for entry in entries
    )
    return Beat(name=name, state=BeatState.OK, entries=rows, entries_total=len(rows), **changes)


@broken("E120:beat:beat@host", fix="Restart beat")
def beat_was_not_restarted_after_a_deploy(p: Project) -> None:
    p.tasks("shop.clean")
    p.beat("shop.clean", "often")
    p.beat("shop.clean", "newest")
    p.worker()
    p.snapshot(beats=(beat("beat@host", "often"),))


@broken("W218:beat:beat@host", fix="Stop it, or give it the app")
def beat_has_nothing_to_send(p: Project) -> None:
    p.tasks("shop.clean")
    p.worker()
    p.snapshot(beats=(beat("beat@host", scheduler="celery.beat:PersistentScheduler"),))


@broken(
    "W229:setting:beat_schedule_filename",
    fix="app.conf.beat_schedule_filename = '/var/lib/celery/beat-schedule', on a disk that outlives beat",
)
def beat_is_restarted_before_an_entry_is_due_and_loses_its_file(p: Project) -> None:
    p.tasks("shop.clean")
    p.beat("shop.clean", "often", 3600)
    p.worker()
    scheduler = "celery.beat.PersistentScheduler"
    p.snapshot(beats=lives(5400, 4200, 3000, 1800, 600, unsent=7200.0, scheduler=scheduler))


@broken(
    "W229:setting:beat_scheduler",
    fix="app.conf.beat_scheduler = 'celery.beat:PersistentScheduler', with its file on a disk",
)
def beat_is_restarted_before_an_entry_is_due_and_keeps_no_file(p: Project) -> None:
    p.tasks("shop.clean")
    p.beat("shop.clean", "often", 60)
    p.worker()
    beats = lives(120, 90, 60, 30, 5, interval=60, unsent=200.0, scheduler="celery.beat.Scheduler")
    p.snapshot(beats=beats)


@broken("W219:beat:two@host", fix="Run one beat")
def two_beats_send_one_schedule(p: Project) -> None:
    p.tasks("shop.clean")
    p.beat("shop.clean", "often")
    p.worker()
    p.snapshot(
        beats=(
            beat("one@host", "often", last_sent_seconds=10.0),
            beat("two@host", "often", last_sent_seconds=12.0),
        )
    )


@broken("W220:worker:w@host", fix="-n worker1@%h")
def two_workers_live_under_one_name(p: Project) -> None:
    p.tasks("shop.clean")
    p.worker("w@host", is_doubled=True)
    p.worker("w@host", is_doubled=True, queues=("celery", "emails"))


@broken("W205:beat_entry:often", fix="Run it every 180 s")
def an_entry_comes_more_often_than_its_task_takes(p: Project) -> None:
    p.tasks("shop.clean")
    p.beat("shop.clean", "often", 60)
    p.worker()
    p.live(observed={"shop.clean": runtime(90.0)})


def runtime(seconds: float) -> ObservedRuntime:
    """Return what was seen of a task that always takes so long."""
    return ObservedRuntime(samples=50, p50_seconds=seconds, p95_seconds=seconds, p99_seconds=seconds)


# Broker ------------------------------------------------------------------------------------------------


@broken("W204:task:shop.render", fix="['visibility_timeout'] = 10800")
def a_late_acknowledged_task_was_seen_to_run_longer_than_the_visibility_timeout(p: Project) -> None:
    p.tasks("shop.render", acks_late=True, reject_on_worker_lost=True)
    p.worker()
    p.live(observed={"shop.render": runtime(5400.0)})


@broken("W204:task:shop.remind", fix="['visibility_timeout'] = 172800")
def a_worker_holds_a_task_until_tomorrow(p: Project) -> None:
    p.tasks("shop.remind")
    eta = TAKEN_AT + timedelta(days=1)
    held = ScheduledTask(worker="w1@host", task_id="a", task_name="shop.remind", eta=eta)
    p.worker(scheduled=(held,), scheduled_count=1)


@broken("E124:broker:redis://localhost:6379/0", fix="c.qos.restore_by_tag(t)")
def unacknowledged_messages_are_in_no_index(p: Project) -> None:
    p.tasks("shop.clean")
    p.worker()
    p.live(unacked=UnackedMessages(total=12, orphaned=9, oldest_seconds=30.0))


@broken("E124:broker:redis://localhost:6379/0", fix="Start a worker on this broker")
def overdue_messages_are_never_handed_out_again(p: Project) -> None:
    p.tasks("shop.clean")
    p.worker()
    p.live(unacked=UnackedMessages(total=3, oldest_seconds=90_000.0))


@broken("W209:broker:redis://b/0", fix="CONFIG SET maxmemory-policy noeviction")
def the_brokers_redis_evicts_any_key(p: Project) -> None:
    p.tasks("shop.clean")
    p.worker()
    p.live(servers=(server("broker", "allkeys-lru", 2**28),))


@broken("I316:setting:result_backend", fix="noeviction")
def the_redis_of_the_results_evicts(p: Project) -> None:
    p.tasks("shop.clean")
    p.worker()
    p.live(servers=(server("broker", "volatile-lru", 2**28), server("result backend", "volatile-lru", 2**28)))


def server(role: str, policy: str, maxmemory: int) -> RedisServer:
    """Return a Redis server."""
    return RedisServer(role=role, url="redis://b/0", policy=policy, maxmemory_bytes=maxmemory, evicted_keys=0)


@broken("W216:queue:celery", fix="chronyc tracking")
def a_producers_clock_is_ahead(p: Project) -> None:
    p.tasks("shop.clean")
    p.worker()
    p.live(waiting={"celery": WaitingMessages(looked_at=1, names={"shop.clean": 1}, ahead_seconds=300.0)})


@broken("I311:broker:redis://localhost:6379/0", fix="xargs redis-cli UNLINK")
def replies_pile_up(p: Project) -> None:
    p.tasks("shop.clean")
    p.worker()
    p.live(reply_queues=ReplyQueues(lists=120, messages=4000, bindings=500))


@broken("I312:queue:legacy", fix="celery -A shop worker -Q legacy")
def a_queue_was_renamed_with_work_in_it(p: Project) -> None:
    p.tasks("shop.clean")
    p.worker()
    p.live(abandoned={"legacy": 35})


@broken("I312:queue:old", fix="add 'old' to IGNORED_QUEUES")
def a_queue_of_the_settings_is_used_by_nobody(p: Project) -> None:
    p.tasks("shop.clean")
    p.worker()
    p.queue("old", ready=3)


@broken("I312:queue:legacy", fix="Have them done by code that registers 'shop.old'")
def what_waits_in_an_old_queue_is_known_to_no_worker(p: Project) -> None:
    p.tasks("shop.clean")
    p.worker()
    p.live(
        abandoned={"legacy": 35},
        waiting={"legacy": WaitingMessages(looked_at=20, names={"shop.old": 20})},
    )


# Dead letters ------------------------------------------------------------------------------------------


@broken("E125:queue:celery", fix="manage.py celery_health dead-letters requeue celery")
def there_is_no_room_for_another_dead_letter(p: Project) -> None:
    p.tasks("shop.clean")
    p.health["DEAD_LETTERS"] = {"enabled": True, "max_length": 500}
    p.worker()
    p.snapshot(dead_letters={"celery": 500})


@broken("I318:queue:celery", fix="manage.py celery_health dead-letters list celery")
def nobody_looks_after_dead_letters(p: Project) -> None:
    p.tasks("shop.clean")
    p.worker()
    p.snapshot(dead_letters={"celery": 12})
    p.live(oldest_letters={"celery": 9 * 86400.0})
