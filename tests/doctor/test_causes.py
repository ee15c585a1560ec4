"""What only follows from another finding stands beneath it, and says so everywhere."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.core.management.color import no_style
from kombu import Queue

from celery_health.doctor.body import report_body
from celery_health.doctor.checks import _messages
from celery_health.doctor.findings import DoctorReport, Severity, by_depth
from celery_health.doctor.live import PIDBOX, WaitingMessages
from celery_health.management.subcommands.doctor import render
from celery_health.page.doctor import findings
from celery_health.page.links import Links
from celery_health.records import TaskOutcomes, WorkerState
from tests.cases.broken_live import table_entry
from tests.cases.broken_static import DECENT
from tests.cases.support import Project, a_project

Build = Callable[[Project], None]


def told(report: DoctorReport) -> list[str]:
    """Return ``code:subject`` of each finding in order, one ``>`` for each cause that it stands under."""
    return [f"{'>' * depth}{one.code}:{one.subject.name}" for one, depth in by_depth(report.findings)]


@pytest.fixture
def examine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[Build], DoctorReport]:
    """Return what the doctor says of a project."""

    def of(build: Build) -> DoctorReport:
        with a_project(tmp_path, monkeypatch) as project:
            build(project)
            return project.report()

    return of


# The pairs ----------------------------------------------------------------------------------------------


def an_unknown_name_goes_where_nobody_consumes(p: Project) -> None:
    p.tasks("devices.tasks.clean")
    p.conf(task_routes={"devices.tasks.poll*": {"queue": "snmp"}})
    p.beat("devices.tasks.poll_snmp", "poll")
    p.worker()


def a_row_of_a_table_does_so(p: Project) -> None:
    p.tasks("devices.tasks.clean")
    p.conf(task_routes={"devices.tasks.poll*": {"queue": "snmp"}})
    p.worker()
    p.live(entries=(table_entry(p, "poll", "devices.tasks.poll"),))
    p.queue("snmp", consumers=0, ready=3, expected_by=("beat:poll",))


def two_unknown_names_go_there(p: Project) -> None:
    p.tasks("devices.tasks.clean")
    p.conf(task_routes={"devices.tasks.poll*": {"queue": "snmp"}})
    p.beat("devices.tasks.poll_one", "one")
    p.beat("devices.tasks.poll_two", "two")
    p.worker()


def one_of_two_names_is_known(p: Project) -> None:
    """So the queue wants a worker, whatever becomes of the other entry."""
    p.tasks("devices.tasks.clean", "devices.tasks.poll_two")
    p.conf(task_routes={"devices.tasks.poll*": {"queue": "snmp"}})
    p.beat("devices.tasks.poll_one", "one")
    p.beat("devices.tasks.poll_two", "two")
    p.worker()


def an_unknown_name_is_discarded_and_waits(p: Project) -> None:
    p.tasks("shop.tidy_up")
    p.beat("shop.tidy", "tidy")
    p.worker()
    p.live(waiting={"celery": WaitingMessages(looked_at=5, names={"shop.tidy": 3})})
    p.snapshot(recent={"shop.tidy": TaskOutcomes(unknown=7)})


def an_old_worker_discards_what_others_know(p: Project) -> None:
    p.tasks("shop.clean", "shop.mail", "shop.bill")
    p.beat("shop.mail", "mail")
    p.worker("w1@host")
    p.worker("w2@host", registered=frozenset({"shop.clean"}))
    p.live(waiting={"celery": WaitingMessages(looked_at=5, names={"shop.bill": 3})})
    p.snapshot(recent={"shop.mail": TaskOutcomes(unknown=7)})


def misspelt_routes_leave_their_tasks_on_the_default_queue(p: Project) -> None:
    p.tasks("shop.send_mail", "shop.render_film")
    p.conf(task_routes={"shop.send_mial": {"queue": "mails"}, "shop.rendr_film": {"queue": "films"}})
    p.beat("shop.send_mail", "mail")
    p.worker(queues=["mails", "films"])


def an_undeclared_queue_is_not_consumed(p: Project) -> None:
    p.tasks("shop.mail", "shop.clean")
    p.conf(task_queues=[Queue("celery")], task_routes={"shop.mail": {"queue": "newsletter"}})
    p.worker()


def a_misspelt_route_is_not_all_that_leads_there(p: Project) -> None:
    p.tasks("shop.send_mail", "shop.clean")
    p.conf(task_routes={"shop.send_mial": {"queue": "mails"}})
    p.worker(queues=["mails"])


def a_misspelt_option_leaves_a_task_on_the_default_queue(p: Project) -> None:
    p.tasks("shop.send_mail")
    p.conf(task_routes={"shop.send_mail": {"qeue": "mails"}})
    p.worker(queues=["mails"])


def a_misspelt_option_leaves_an_entry_on_the_default_queue(p: Project) -> None:
    p.tasks("shop.send_mail")
    p.conf(task_routes={"shop.send_mail": {"queue": "mails"}}, task_default_queue="other")
    p.beat("shop.send_mail", "mail", options={"qeue": "mails", "routing_key": "other", "queue": "other"})
    p.worker(queues=["mails"])


def a_routing_key_without_effect_leaves_a_task_on_the_default_queue(p: Project) -> None:
    p.tasks("shop.send_mail")
    p.conf(task_routes={"shop.send_mail": {"routing_key": "mails"}})
    p.worker(queues=["mails"])


def a_shadowed_route_leads_where_nobody_consumes(p: Project) -> None:
    p.tasks("shop.mail.send", "shop.clean")
    routes = [("shop.*", {"queue": "any"}), ("shop.mail.*", {"queue": "mails"})]
    p.conf(task_routes=({"shop.clean": {"queue": "mails"}}, routes))
    p.worker(queues=["mails"])


def routes_without_effect_leave_tasks_on_the_default_queue(p: Project) -> None:
    p.configure(namespace=None, CELERY_TASK_ROUTES={"shop.mail": {"queue": "mails"}}, **DECENT)
    p.tasks("shop.mail")
    p.worker(queues=["mails"])


def workers_of_another_broker_consume_nothing_here(p: Project) -> None:
    p.tasks("shop.clean", "shop.mail")
    p.conf(task_routes={"shop.mail": {"queue": "mails"}})
    p.worker(broker="f1")
    p.live(broker_fingerprint="f2", bindings={PIDBOX: ()}, abandoned={"legacy": 35})


def workers_went_to_another_database(p: Project) -> None:
    p.tasks("shop.clean", "shop.mail")
    p.conf(task_routes={"shop.mail": {"queue": "mails"}})
    p.worker(state=WorkerState.GONE)
    p.live(elsewhere={1: ("w1@host",)})


def others_listen_in_another_database(p: Project) -> None:
    p.tasks("shop.clean", "shop.mail")
    p.conf(task_routes={"shop.mail": {"queue": "mails"}})
    p.worker(state=WorkerState.GONE)
    p.live(elsewhere={1: ("theirs@host",)})


@pytest.mark.parametrize(
    ("build", "findings"),
    [
        (
            an_unknown_name_goes_where_nobody_consumes,
            ["E101:poll", ">E104:snmp", ">I301:devices.tasks.poll*"],
        ),
        (a_row_of_a_table_does_so, ["E101:poll", ">E104:snmp", ">I301:devices.tasks.poll*"]),
        (two_unknown_names_go_there, ["E101:one", ">E104:snmp", ">I301:devices.tasks.poll*", "E101:two"]),
        (one_of_two_names_is_known, ["E101:one", "E104:snmp"]),
        (an_unknown_name_is_discarded_and_waits, ["E101:tidy", ">E110:celery", ">E113:shop.tidy"]),
        (
            an_old_worker_discards_what_others_know,
            ["E111:w2@host", ">E101:mail", ">E110:celery", ">E113:shop.mail"],
        ),
        (
            misspelt_routes_leave_their_tasks_on_the_default_queue,
            ["W102:shop.rendr_film", ">E104:celery", "W102:shop.send_mial"],
        ),
        (a_misspelt_route_is_not_all_that_leads_there, ["E104:celery", "W102:shop.send_mial"]),
        (a_misspelt_option_leaves_a_task_on_the_default_queue, ["W123:shop.send_mail", ">E104:celery"]),
        (a_misspelt_option_leaves_an_entry_on_the_default_queue, ["W123:mail", ">E104:other"]),
        (
            a_routing_key_without_effect_leaves_a_task_on_the_default_queue,
            ["W127:shop.send_mail", ">E104:celery"],
        ),
        (an_undeclared_queue_is_not_consumed, ["E104:newsletter"]),
        (a_shadowed_route_leads_where_nobody_consumes, ["W103:shop.mail.*", ">E104:any"]),
        (
            routes_without_effect_leave_tasks_on_the_default_queue,
            ["W116:CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP", ">E104:celery", ">I304:task_time_limit"],
        ),
        (
            workers_of_another_broker_consume_nothing_here,
            ["E119:redis://localhost:6379/0", ">E104:mails", ">I312:legacy"],
        ),
        (workers_went_to_another_database, ["I317:redis://localhost:6379/0", ">E104:mails"]),
        (others_listen_in_another_database, ["E104:mails", "I317:redis://localhost:6379/0"]),
    ],
    ids=lambda value: value.__name__ if callable(value) else "",
)
def test_causes__come_first(
    build: Build, findings: list[str], examine: Callable[[Build], DoctorReport]
) -> None:
    assert told(examine(build)) == findings


# What is said of it -------------------------------------------------------------------------------------


def test_causes__are_told_in_the_same_words_everywhere(examine: Callable[[Build], DoctorReport]) -> None:
    report = examine(a_row_of_a_table_does_so)
    cause = {"code": "E101", "subject": {"kind": "beat_entry", "name": "poll"}}

    assert [one["because"] for one in report_body(report)["findings"]] == [None, cause, cause]
    lines = list(render(report, no_style()))
    assert lines[2].startswith(
        "E101  Beat entry 'poll' sends 'devices.tasks.poll', which no worker registers"
    )
    at = lines.index("            Follows from E101 of beat entry 'poll'.")
    assert lines[at - 1].startswith(
        "      E104  Beat entry 'poll' goes to queue 'snmp', which no worker consumes"
    )
    assert lines[at - 2] != "", "it stands right beneath its cause"
    assert lines[at + 1] == (
        "            Fix: First put right E101 of beat entry 'poll'. Then, if this is still found: "
        "Start a worker for it: celery -A shop worker -Q snmp, "
        "or have one take it too: celery -A shop worker -Q celery,snmp"
    )
    page = findings(report, Links())
    # On the page it is folded beneath its cause.
    assert page.count('<ul class="follows"><li class="error"') == 1
    assert "Follows from E101 of beat entry &#x27;poll&#x27;." in page


def test_causes__a_queue_says_that_a_worker_alone_is_no_help(
    examine: Callable[[Build], DoctorReport],
) -> None:
    queue = examine(a_row_of_a_table_does_so).findings[1]

    assert queue.message == (
        "Beat entry 'poll' goes to queue 'snmp', which no worker consumes. 3 wait there. No worker registers "
        "'devices.tasks.poll' either: one that is started for the queue alone would discard it."
    )


def test_queue_unconsumed__what_a_call_sent_is_told_apart_from_where_a_task_goes(
    examine: Callable[[Build], DoctorReport],
) -> None:
    def build(p: Project) -> None:
        p.tasks("shop.clean")
        p.worker()
        p.queue("elsewhere", ready=3)
        p.live(waiting={"elsewhere": WaitingMessages(looked_at=3, names={"shop.clean": 3})})

    (finding,) = examine(build).findings

    assert finding.message.startswith(
        "Task 'shop.clean' was sent to queue 'elsewhere', which no worker consumes. 3 wait there."
    )


@pytest.mark.parametrize(("taken", "is_told"), [(20, True), (21, False)])
def test_queue_unconsumed__no_worker_is_told_to_take_hundreds_of_queues(
    examine: Callable[[Build], DoctorReport], taken: int, is_told: bool
) -> None:
    """The command would be cut, and a part of it takes a part of them."""
    names = [f"queue-{number}" for number in range(taken)]

    def build(p: Project) -> None:
        p.tasks("shop.clean")
        p.conf(task_routes={"shop.clean": {"queue": "reports"}})
        p.worker(queues=names)
        for name in names:
            p.queue(name, consumers=1, expected_by=("settings",))

    (finding,) = [one for one in examine(build).findings if one.subject.name == "reports"]

    assert finding.fix.startswith("Start a worker for it: celery -A shop worker")
    assert ("or have one take it too" in finding.fix) is is_told


def test_causes__another_projects_name_is_nobodys_fault(examine: Callable[[Build], DoctorReport]) -> None:
    """An entry for a service that this project knows nothing of: that no worker is here may be right."""

    def build(p: Project) -> None:
        p.tasks("shop.clean")
        p.beat("mailer.send", "mail", options={"queue": "mailer"})
        p.worker()

    (finding,) = examine(build).findings

    assert finding.code == "E104"
    assert finding.fix == (
        "If workers of another project take 'mailer.send', add 'mailer' to IGNORED_QUEUES. Else name a task "
        "that workers register, or give them the code; then: start a worker for it: "
        "celery -A shop worker -Q mailer, or have one take it too: celery -A shop worker -Q celery,mailer"
    )


def test_causes__what_follows_from_a_silenced_one_stands_for_itself(
    examine: Callable[[Build], DoctorReport],
) -> None:
    def build(p: Project) -> None:
        an_unknown_name_goes_where_nobody_consumes(p)
        p.health["SILENCED"] = ["E101:beat_entry:poll"]

    report = examine(build)

    assert told(report) == ["E104:snmp", "I301:devices.tasks.poll*"]
    assert [finding.because for finding in report.findings] == [None, None]


@pytest.mark.parametrize("silenced", [[], ["celery_health.W116"]])
def test_checks__say_a_cause_once(
    silenced: list[str], examine: Callable[[Build], DoctorReport], settings: Any
) -> None:
    settings.SILENCED_SYSTEM_CHECKS = silenced

    def build(p: Project) -> None:
        p.package("press", tasks="from celery import chord, shared_task\n@shared_task\ndef grind(): ...")
        p.settings.CELERY_RESULT_BACKEND = "redis://broker.invalid/1"  # which the app does not read
        p.conf(imports=["press.tasks"])

    report = examine(build)
    messages = {one.id: one for one in _messages(report.findings)}

    assert [f.code for f in report.findings if f.severity is Severity.WARNING] == ["W116", "W210"]
    # Silenced by Django's own setting it is left out later; what follows from it is not.
    assert list(messages) == ["celery_health.W116", *(["celery_health.W210"] if silenced else [])]
    assert "W210 of setting 'result_backend' follows from it." in str(messages["celery_health.W116"].hint)
