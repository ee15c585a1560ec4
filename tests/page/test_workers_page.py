"""The pages of workers: what a state means and since when, what it holds, and what nobody knows."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from django.test import Client, override_settings

from celery_health.conf import get_settings
from celery_health.health import judge
from celery_health.page import one_worker, workers
from celery_health.page.blocks import Facts, Figures, Page, Text
from celery_health.page.links import ROOT_OF_PAGES, Links
from celery_health.page.worker_words import meaning
from celery_health.records import (
    BrokerState,
    HealthReport,
    Hold,
    InspectionState,
    ReservedTask,
    RunningTask,
    ScheduledTask,
    Source,
    StoreState,
    Worker,
    WorkerState,
)
from celery_health.testing import make_queue, make_snapshot, make_worker
from tests.api.conftest import PREFIX, Celery
from tests.page.reading_pages import table_of, text_of, texts

LINKS = Links(ROOT_OF_PAGES)
WORKERS = f"{PREFIX}page/workers/"
HOSTILE = "</td><script>alert(1)</script>\x1b[31m\u202e{{ x }}"


def report_of(**snapshot: Any) -> HealthReport:
    return judge(make_snapshot(**snapshot), get_settings())


def page_of(*found: Worker, **snapshot: Any) -> Page:
    report = report_of(workers=found, **snapshot)
    return one_worker.page_of(found[0].hostname, report, LINKS, get_settings())


def figures(page: Page) -> dict[str, tuple[str, str]]:
    """Return label → value and detail."""
    block = next(block for block in page.blocks if isinstance(block, Figures))
    return {figure.label: (figure.value, figure.detail) for figure in block.figures}


def facts(page: Page) -> dict[str, tuple[str, str]]:
    block = next(block for block in page.blocks if isinstance(block, Facts) and block.id == "facts")
    return {label: (cell.text, cell.detail) for label, cell in block.pairs}


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"state": WorkerState.OK}, "It has free slots."),
        ({"state": WorkerState.BUSY}, "It runs a task in each of its slots."),
        (
            {"state": WorkerState.SATURATED},
            "It holds all that it may take ahead, and takes no more until a task ends.",
        ),
        ({"state": WorkerState.DRAINING}, "It was told to stop, and finishes what it has."),
        ({"state": WorkerState.RECONNECTING}, "It has lost the broker, and tries again."),
        (
            {"state": WorkerState.UNKNOWN},
            "It was asked, and did not answer in time: it may be busy, stopped or gone.",
        ),
        (
            {
                "state": WorkerState.HELD_BACK,
                "held_back": (
                    Hold(by="rate_limit", task_name="app.sync", count=8, limit="20/h"),
                    Hold(by="eta", task_name="app.later", count=100),
                ),
            },
            "It has free slots and takes nothing: it holds 8 of app.sync for its rate limit (20/h), "
            "100 of app.later until its ETA.",
        ),
        # A limit that is not known is no reason to be silent about the state.
        (
            {"state": WorkerState.HELD_BACK, "held_back": None},
            "It has free slots and takes nothing: what holds it back is not known.",
        ),
        (
            {"state": WorkerState.NO_QUEUES, "cancelled_queues": ("a", "b")},
            "It lives and consumes no queue: it was told to (cancel_consumer): a, b.",
        ),
        ({"state": WorkerState.NO_QUEUES}, "It lives and consumes no queue: why is not known."),
        (
            {"state": WorkerState.STUCK, "loop_age_seconds": 90.0},
            "Its event loop should turn, and has not for 1 min 30 s.",
        ),
        (
            {"state": WorkerState.STUCK},
            "Its event loop should turn, and has not for a time that is not known.",
        ),
        (
            {"state": WorkerState.NOT_CONSUMING, "read_age_seconds": 999.0, "unread_seconds": 70.0},
            "It lives, and should have read its queues, and has not for 1 min 10 s.",
        ),
        (
            {"state": WorkerState.GONE, "said_goodbye": True, "last_seen_seconds": 40.0},
            "It has left: it said goodbye 40 s ago.",
        ),
        (
            {"state": WorkerState.GONE, "is_draining": True, "last_seen_seconds": 40.0},
            "It was told to stop, and was last seen 40 s ago.",
        ),
        (
            {"state": WorkerState.GONE, "last_seen_seconds": 40.0},
            "It vanished without a goodbye; last seen 40 s ago.",
        ),
        (
            {"state": WorkerState.GONE, "is_disconnected": True, "last_seen_seconds": 9.0},
            "It vanished without a goodbye: its reports stay away, and its connection to the broker is gone; "
            "last seen 9.0 s ago.",
        ),
        (
            {"state": WorkerState.GONE, "last_seen_seconds": None},
            "It vanished without a goodbye; last seen at a time that is not known.",
        ),
    ],
)
def test_meaning__of_every_state(changes: dict[str, Any], text: str) -> None:
    assert meaning(make_worker(**changes)) == text


def test_meaning__has_words_for_each_state() -> None:
    assert all(meaning(make_worker(state=state)) for state in WorkerState)


def test_worker__says_what_it_holds() -> None:
    worker = make_worker(
        "w@h",
        active=[
            RunningTask(worker="w@h", task_id="1", task_name="app.a", queue="q", runtime_seconds=2.0),
            RunningTask(
                worker="w@h", task_id="2", task_name="app.b", runtime_seconds=70.0, limit_seconds=30.0
            ),
        ],
        active_count=2,
        active_by_queue={"q": 1},
        reserved=[ReservedTask(worker="w@h", task_id="3", task_name="app.c", queue="q")],
        reserved_count=5,
        reserved_by_queue={"q": 5},
        scheduled=[
            ScheduledTask(worker="w@h", task_id="4", task_name="app.d"),
            ScheduledTask(
                worker="w@h", task_id="5", task_name="app.e", eta=datetime(2026, 1, 28, 12, 0, tzinfo=UTC)
            ),
        ],
        scheduled_count=2,
        queues=("q",),
        cancelled_queues=("old",),
    )

    page = page_of(worker, queues=[make_queue("q", ready=7)])

    assert texts(table_of(page, "running")) == [
        ["app.b", "1 min 10 s", "?", "2"],
        ["app.a", "2.0 s", "q", "1"],
    ]
    assert table_of(page, "running").rows[0].cells[1].detail == "limit 30 s"
    assert texts(table_of(page, "reserved")) == [["app.c", "q", "3"]]
    # It names one of five.
    assert table_of(page, "reserved").left_out == 4
    # The soonest first; one of which nobody knows when stands last.
    assert texts(table_of(page, "scheduled")) == [
        ["app.e", "2026-01-28 12:00:00 UTC", "?", "5"],
        ["app.d", "?", "?", "4"],
    ]
    assert texts(table_of(page, "queues")) == [
        ["q", "takes from it", "7", "1", "5"],
        ["old", "was told to take from it no more (cancel_consumer)", "?", "0", "0"],
    ]
    assert figures(page)["Running"] == ("2", "of 4 slots")


def test_worker__none_is_not_known_and_never_zero() -> None:
    worker = Worker(hostname="w@h", state=WorkerState.UNKNOWN, source=Source.INSPECTION)

    page = page_of(worker)

    assert {label: value for label, (value, _) in figures(page).items()} == dict.fromkeys(
        ["Running", "Reserved", "Until later", "Last seen"], "?"
    )
    assert table_of(page, "running").empty == "It is not known what runs."
    assert table_of(page, "reserved").empty == "It is not known which."
    assert table_of(page, "queues").empty == "It is not known which it consumes."
    assert "It is not known which it registers." in text_of(page)
    assert {value for value, _ in facts(page).values()} == {"?"}


def test_worker__that_is_gone_says_what_it_held() -> None:
    """What it ran may be lost; what it had only taken comes back, by the broker's own way."""
    worker = make_worker(
        "w@h", state=WorkerState.GONE, last_seen_seconds=45.0, active_count=2, reserved_count=3
    )

    redis = page_of(worker)
    rabbit = page_of(worker, broker=BrokerState(transport="amqp", url="amqp://h", reachable=True))

    assert figures(redis)["Running"] == ("2", "when last seen")
    assert table_of(redis, "running").title == "Running when last seen"
    assert "It ran 2 when it was last seen. What ran may be lost" in text_of(redis)
    assert "(3, and 0 until later) comes back to its queue after the visibility timeout" in text_of(redis)
    assert "as soon as the broker sees its connection end" in text_of(rabbit)


def test_worker__that_left_with_nothing_has_lost_nothing() -> None:
    page = page_of(make_worker("w@h", state=WorkerState.GONE, said_goodbye=True, last_seen_seconds=5.0))

    assert "What it held" not in text_of(page)


def test_worker__tells_its_facts() -> None:
    worker = make_worker(
        "w@h",
        source=Source.HEARTBEATS,
        pid=12345,
        children_restarted=12,
        children_lost_per_minute=1.5,
        prefetch_count=0,
        processed=1204,
        loop_age_seconds=0.5,
        read_age_seconds=3.0,
        unread_seconds=2.0,
        progress_age_seconds=60.0,
        idle_seconds=50.0,
        started_at=datetime(2026, 1, 28, 9, 0, tzinfo=UTC),
        versions={"python": "3.12", "celery": "5.5"},
        app_id="shop",
        is_doubled=True,
    )

    found = facts(page_of(worker))

    assert found["Pool"] == ("prefork", "4 slots")
    assert found["Processes replaced"] == ("12", "1.5 died in the last minute")
    # 0 is unlimited, which is no zero.
    assert found["May hold"] == ("any number", "messages at once")
    assert found["Event loop turned"] == ("0.5 s ago", "")
    assert found["Read the broker"] == ("3.0 s ago", "should have read for 2.0 s")
    assert found["A task began or ended"] == ("1 min ago", "had a free slot for 50 s")
    assert found["Started"] == ("2026-01-28 09:00:00 UTC", "")
    # To be pasted: no thousands.
    assert found["Process id"] == ("12345", "")
    assert found["Versions"] == ("celery 5.5, python 3.12", "")
    assert found["Its name"] == ("is not its own", "another live process reports under it")


def test_worker__two_of_one_name_are_told_apart() -> None:
    one = make_worker("w@h", pid=1, is_doubled=True, active_count=1)
    other = make_worker("w@h", pid=2, is_doubled=True, state=WorkerState.STUCK)

    page = page_of(one, other)

    states = [block for block in page.blocks if isinstance(block, Text) and block.id.startswith("state")]
    # The one that worries comes first.
    assert [block.title for block in states] == [
        "Process 2: 1 of 2 of this name",
        "Process 1: 2 of 2 of this name",
    ]
    ids = [block.id for block in page.blocks]
    assert len(set(ids)) == len(ids)
    assert "2 workers live under the name" in text_of(page)


def test_worker__names_the_others_on_its_host() -> None:
    page = page_of(
        make_worker("a@h"),
        make_worker("b@h", state=WorkerState.STUCK),
        make_worker("c@h"),
        make_worker("d@i"),
    )

    found = table_of(page, "beside")

    assert (found.title, [row.cells[0].text for row in found.rows]) == ("Others on h", ["b@h", "c@h"])


def test_worker__lists_what_it_registers_its_own_first() -> None:
    names = frozenset({"celery.chord", *(f"app.task_{number:03}" for number in range(150))})

    page = page_of(make_worker(registered=names))

    found = next(block for block in page.blocks if isinstance(block, Text) and block.id == "registered")
    assert (found.count, len(found.lines), found.is_folded) == (151, 100, True)
    assert (found.lines[0].text, found.lines[0].href) == (
        "app.task_000",
        "../../page/tasks/?name=app.task_000",
    )
    assert found.note == "and 51 more: search for them by name"


def test_worker__begins_with_what_is_wrong_and_what_to_do(staff: Client, celery: Celery) -> None:
    celery.snapshot = make_snapshot(
        workers=[
            make_worker("well@h"),
            make_worker("lost@h", state=WorkerState.GONE, last_seen_seconds=40.0, queues=("celery",)),
        ]
    )

    page = staff.get(WORKERS, {"name": "lost@h"}).content.decode()

    assert page.index("vanished without a goodbye") < page.index('id="figures"')
    assert "celery -A proj worker" in page
    assert "?format=json&amp;worker=lost%40h" in page


@pytest.mark.parametrize(
    ("snapshot", "status", "text"),
    [
        ({}, 404, "Without a store, only workers that answered lately are known."),
        (
            {"inspection": InspectionState(asked=True, complete=False, silent=("x",))},
            200,
            "Perhaps there are others: not every worker has answered.",
        ),
        (
            {"store": StoreState(configured=True, reachable=True)},
            404,
            "One that is gone is forgotten after 10 min.",
        ),
    ],
)
def test_worker__of_no_such_name(
    staff: Client, celery: Celery, snapshot: dict[str, Any], status: int, text: str
) -> None:
    celery.snapshot = make_snapshot(**snapshot)

    answer = staff.get(WORKERS, {"name": "worker2@host"})
    page = answer.content.decode()

    assert (answer.status_code, text in page) == (status, True)
    assert "No worker of this name is known" in page
    # A 404 is said only where everybody was asked.
    assert ("and not everything could be asked" in page) is (status == 200)
    assert 'href="../../page/workers/?name=worker1%40host"' in page


def test_workers__say_whether_there_may_be_others() -> None:
    silent = InspectionState(asked=True, complete=False, silent=("x",))

    assert workers.workers(report_of(), LINKS).note == ""
    assert workers.workers(report_of(inspection=silent), LINKS).note.startswith("Perhaps there are others")
    nobody = workers.workers(report_of(inspection=silent, workers=[]), LINKS)
    assert nobody.empty == "No worker is known, and not every one that may be has answered."


def test_workers__the_list_begins_with_what_is_wrong_with_all(staff: Client, celery: Celery) -> None:
    celery.snapshot = make_snapshot(workers=[])

    page = staff.get(WORKERS).content.decode()

    assert page.index("No active Celery workers found") < page.index("No worker is known.")
    assert "celery -A proj worker" in page


@pytest.mark.parametrize("name", [HOSTILE, "w" * 300, "\u202e", "a/b?c=d&e#f@h", "\ud800", " ", "@", "a@b@c"])
def test_worker__of_any_name(staff: Client, celery: Celery, name: str) -> None:
    celery.snapshot = make_snapshot(
        workers=[
            make_worker(
                name,
                pool=name,
                queues=(name,),
                cancelled_queues=(name,),
                registered=frozenset({name}),
                versions={name: name},
                app_id=name,
                held_back=(Hold(by=name, task_name=name, count=1, limit=name),),
                state=WorkerState.HELD_BACK,
                active=[RunningTask(worker=name, task_id=name, task_name=name, queue=name)],
            )
        ]
    )

    pages = [staff.get(WORKERS), staff.get(WORKERS, {"name": name.encode("utf-8", "replace").decode()})]

    assert pages[0].status_code == 200
    assert pages[1].status_code == (404 if name == "\ud800" else 200)
    for page in pages:
        assert b"<script>alert" not in page.content
        assert b"\x1b" not in page.content


def _many(_: int = 0) -> HealthReport:
    return report_of(
        workers=[
            make_worker(
                f"worker-{number:03}@host",
                active_count=2,
                queues=tuple(f"queue-{each}" for each in range(number, number + 20)),
                registered=frozenset(f"app.tasks.task_{each}" for each in range(100)),
            )
            for number in range(200)
        ]
    )


@pytest.mark.parametrize(
    "build",
    [
        lambda report: workers.page(report, LINKS),
        lambda report: one_worker.page_of("worker-000@host", report, LINKS, get_settings()),
    ],
)
def test_workers__two_hundred_are_quick(build: Callable[[HealthReport], Page]) -> None:
    report = _many()

    def seconds() -> float:
        begun = time.process_time()
        text_of(build(report))
        return time.process_time() - begun

    assert min(seconds() for _ in range(5)) < 0.06


@override_settings(CELERY_HEALTH={"LIMITS": {"lost_worker_memory_seconds": 3600}})
def test_worker__of_no_such_name_says_how_long_the_gone_are_remembered(staff: Client, celery: Celery) -> None:
    assert b"forgotten after 1 h" in staff.get(WORKERS, {"name": "x"}).content


def test_workers__are_chosen_by_how_they_begin() -> None:
    report = report_of(workers=[make_worker("a1@h"), make_worker("A2@h"), make_worker("b@h")])

    page = workers.page(report, LINKS, begins="a")

    found = table_of(page, "workers")
    assert [row.cells[0].text for row in found.rows] == ["A2@h", "a1@h"]
    assert found.title == "Those that begin with a"
    assert table_of(workers.page(report, LINKS, begins="x"), "workers").empty == "None begins so."
