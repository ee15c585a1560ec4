"""Whose a worker's tasks are, and what of ours it would discard: a row is a pair, its comment says why."""

from __future__ import annotations

import pytest

from celery_health.reading.sharing import is_other_project, shared_queues
from celery_health.records import Worker, WorkerState
from celery_health.testing import make_worker
from celery_health.topology import Topology

PROJECT = ("shop.orders.pay", "shop.orders.ship", "shop.stock.count")
#: Of apps that are installed: another project may have them too.
INSTALLED = ("mails.send", "mails.tidy", "mails.count")
OWN = Topology(own_tasks=frozenset((*PROJECT, *INSTALLED)), project_tasks=frozenset(PROJECT))

PAIRS = [
    # Another project: no package in common.
    (("crm.sync", "crm.tidy"), True),
    # Apps that both have installed change nothing, however many.
    (("crm.sync", "crm.tidy", *INSTALLED), True),
    (("crm.sync", *INSTALLED), True),
    # Those alone tell nothing.
    (INSTALLED, False),
    # Celery's own tasks are everybody's.
    (("crm.sync", "celery.ping", "celery.chord"), True),
    # Only those: it registers nothing that could be another project's.
    (("celery.ping", "celery.chord"), False),
    ((), False),
    # An earlier version, in which everything had other names.
    (("shop.tasks.pay", "shop.tasks.ship"), False),
    # A later one, with a package more.
    ((*PROJECT, "coupons.issue", "coupons.expire"), False),
    # A worker for some of the tasks.
    (("shop.stock.count",), False),
    # The same, which has other tasks besides: half of what could be common is.
    (("shop.stock.count", "gpu.render"), False),
    # Names without a package tell nothing.
    (("sync", "tidy"), False),
    # Another project that shares less than half with this one.
    (("shop.orders.pay", "crm.sync", "crm.tidy", "crm.call"), True),
]


@pytest.mark.parametrize(("registered", "expected"), PAIRS)
def test_is_other_project__table(registered: tuple[str, ...], expected: bool) -> None:
    assert is_other_project(registered, OWN) is expected


def test_is_other_project__without_tasks_of_ones_own_nothing_is_known() -> None:
    assert not is_other_project(("crm.sync",), Topology())


def test_is_other_project__an_installed_application_is_the_project_where_there_is_no_other() -> None:
    topology = Topology(own_tasks=frozenset(PROJECT))

    assert is_other_project(("crm.sync",), topology)
    assert not is_other_project(PROJECT[:1], topology)


TOPOLOGY = Topology(
    expected={"celery": ("beat:nightly", "task:shop.pay", "task:shop.ship"), "mails": ("task:shop.mail",)},
    own_tasks=frozenset({"shop.pay", "shop.ship", "shop.mail"}),
)
OURS = make_worker("w@h", registered=TOPOLOGY.own_tasks)


def crm(*queues: str, **changes: object) -> Worker:
    changes.setdefault("registered", frozenset({"crm.sync"}))
    return make_worker("crm@h", queues=queues or ("celery",), **changes)


def test_shared_queues__names_both_sides_and_what_is_lost() -> None:
    (queue,) = shared_queues([OURS], [crm()], TOPOLOGY)

    assert (queue.name, queue.ours, queue.is_used) == ("celery", ("w@h",), True)
    (sharer,) = queue.sharers
    assert (sharer.lacks, sharer.is_foreign, sharer.is_other_project) == (
        ("shop.pay", "shop.ship"),
        True,
        True,
    )


def test_shared_queues__without_takers_only_what_is_known_to_be_sent_is_lost() -> None:
    # What only the router names may never be sent.
    assert shared_queues([OURS], [crm("mails", "theirs")], TOPOLOGY) == ()
    # The other project's task was sent there by name, for its workers to run.
    assert shared_queues([OURS], [crm("mails")], TOPOLOGY, sent_to={"mails": {"crm.sync"}}) == ()

    (queue,) = shared_queues([OURS], [crm("mails")], TOPOLOGY, sent_to={"mails": {"crm.sync", "shop.mail"}})
    assert (queue.is_used, queue.sent, queue.sharers[0].lacks) == (True, ("shop.mail",), ("shop.mail",))


def test_shared_queues__one_that_reports_under_our_app_id_is_no_worker_of_ours() -> None:
    (queue,) = shared_queues([OURS, crm()], [], TOPOLOGY)

    (sharer,) = queue.sharers
    assert (queue.ours, sharer.hostname, sharer.is_foreign) == (("w@h",), "crm@h", False)


SILENT = [
    # What it registers is not known.
    ([crm(registered=None)], ()),
    # It has ended, or never answered.
    ([crm(state=WorkerState.GONE)], ()),
    # The project says that the queue is somebody else's business.
    ([crm()], ("celery",)),
    # There is none.
    ([], ()),
]


@pytest.mark.parametrize(("strangers", "ignored"), SILENT)
def test_shared_queues__says_nothing_where_nothing_is_proven(
    strangers: list[Worker], ignored: tuple[str, ...]
) -> None:
    assert shared_queues([OURS], strangers, TOPOLOGY, ignored=ignored) == ()
