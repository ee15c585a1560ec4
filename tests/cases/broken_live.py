"""Systems that are wrong, and show it to whoever looks at workers, broker and store."""

from __future__ import annotations

from celery.schedules import schedule
from kombu import Exchange, Queue

from celery_health.doctor.evidence import EntryFacts
from celery_health.doctor.live import BrokerBinding
from celery_health.topology import Resolver
from tests.cases.support import Project, broken

MEDIA = Exchange("media", type="topic")


def table_entry(p: Project, name: str, task: str, source: str = "django_celery_beat") -> EntryFacts:
    """Return an entry that is kept in a table, or in RedBeat."""
    from celery_health.doctor.static.entries import entry_facts

    fields = {"task": task, "schedule": schedule(60.0), "args": [], "kwargs": {}, "options": {}}
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


@broken("E104:queue:reports", fix="Workers consume 'reprots'")
def a_worker_was_started_with_a_misspelt_q(p: Project) -> None:
    p.tasks("shop.report", "shop.clean")
    p.conf(task_routes={"shop.report": {"queue": "reports"}})
    p.worker(queues=["celery", "reprots"])
    p.queue("reports", ready=35)


@broken("E106:task:shop.cut", fix="a routing key that 'video.*' takes")
def the_broker_has_no_binding_for_a_key(p: Project) -> None:
    p.tasks("shop.cut", "shop.clean")
    p.conf(
        task_queues=[Queue("celery"), Queue("video", MEDIA, routing_key="video.*")],
        task_routes={"shop.cut": {"queue": "video", "routing_key": "films.cut"}},
    )
    p.worker(queues=["celery", "video"])
    p.live(bindings={"media": (BrokerBinding(queue="video", routing_key="video.*"),)})


@broken("E107:task:shop.notify", fix="Name the queue in the route")
def an_exchange_has_no_binding_at_all(p: Project) -> None:
    p.tasks("shop.notify")
    p.conf(task_routes={"shop.notify": {"exchange": "events", "routing_key": "shop.notified"}})
    p.worker()
    p.live(bindings={"events": ()})
