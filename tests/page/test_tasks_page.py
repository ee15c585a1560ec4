"""The pages about tasks: what matters first, what is not known, and one task with all that is known of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from html.parser import HTMLParser
from typing import Any

import pytest
from django.test import Client

from celery_health.conf import Settings
from celery_health.counters import FAILED, RECEIVED, SENT, encode
from celery_health.deadline import Deadline
from celery_health.health import judge
from celery_health.page import counts as counts_module
from celery_health.page import one_task, overview, tasks
from celery_health.page.blocks import MOST_ON_OVERVIEW, Block, Cell, Facts, Figures, Page, Plot, Table, Text
from celery_health.page.counts import Counts, counts_of
from celery_health.page.figures import figures
from celery_health.page.links import Links
from celery_health.page.runs import counted, quantile, share
from celery_health.reading.task_totals import TaskTotals, totals_by_task
from celery_health.records import (
    AppFacts,
    BrokerState,
    HealthReport,
    Hour,
    InspectionState,
    ObservedRuntime,
    ReservedTask,
    RunningTask,
    Snapshot,
    Source,
    StoreState,
    TaskHour,
    TaskOutcomes,
    Worker,
    WorkerState,
)
from celery_health.testing import make_beat, make_entry, make_queue, make_snapshot
from celery_health.testing import make_worker as make_any_worker
from tests.api.conftest import PREFIX, Celery
from tests.page.reading_pages import texts
from tests.page.test_page import HOSTILE, RAW, rows
from tests.reading.test_hour import Scene, scene

__all__ = ["scene"]

LINKS = Links("../../")
STORE = StoreState(configured=True, reachable=True, url="redis://store/1")
LONG = "shop.tasks." + "very_" * 57 + "long"


def make_worker(hostname: str = "worker1@host", **changes: Any) -> Worker:
    """Return a worker that reports to the store."""
    return make_any_worker(hostname, **{"source": Source.HEARTBEATS, **changes})


def report_of(snapshot: Snapshot, **limits: Any) -> HealthReport:
    judged = judge(snapshot, Settings(**limits))
    return HealthReport(status=judged.status, checks=judged.checks, snapshot=snapshot, age_seconds=0.2)


def with_store(**changes: Any) -> HealthReport:
    return report_of(make_snapshot(**{"store": STORE, "recent": {}, "workers": [make_worker()], **changes}))


def at(**minutes: int) -> tuple[int, ...]:
    """Return 60 counts: ``at(m59=3)`` is three in the present minute."""
    return tuple(minutes.get(f"m{place}", 0) for place in range(60))


def hour_of(tasks: Mapping[str, TaskHour] | None = None, **changes: Any) -> Hour:
    taken_at = datetime(2026, 1, 28, 10, 30, 7, tzinfo=UTC)
    return Hour(**{"taken_at": taken_at, "minutes": 60, "tasks": tasks or {}, **changes})


def block(page: Page, id: str) -> Any:
    found: dict[str, Block] = {block.id: block for block in page.blocks}
    return found.get(id)


PAY = TaskHour(
    succeeded=at(m10=80, m59=8),
    failed=at(m20=9, m59=3),
    retried=at(m59=5),
    exceptions={"CardError": 7, "TimeoutError": 3, "KeyError": 1},
)
RUNTIME = ObservedRuntime(
    samples=1204, p50_seconds=0.023, p95_seconds=1.25, p99_seconds=None, measured_to_seconds=3600.0
)


# All tasks -------------------------------------------------------------------------------------------------


def test_tasks__what_matters_stands_first() -> None:
    report = with_store(
        recent={"failing": TaskOutcomes(succeeded=1, failed=30)},
        workers=[make_worker(registered=frozenset({"idle", "celery.chord", "busy"}))],
    )
    hour = hour_of(
        {
            "busy": TaskHour(succeeded=at(m59=9000)),
            "fails sometimes": TaskHour(succeeded=at(m59=50), failed=at(m59=3)),
            "failing": TaskHour(succeeded=at(m59=1), failed=at(m59=2)),
            "discarded": TaskHour(unknown=at(m59=40)),
            "quiet": TaskHour(succeeded=at(m59=1)),
        }
    )
    found = tasks.tasks(report, LINKS, Counts(hour=hour, totals={}))

    names = [row.cells[0].text for row in found.rows]
    assert names == ["failing", "discarded", "fails sometimes", "busy", "quiet"]
    assert [row.tone for row in found.rows] == ["warn", "", "", "", ""]
    assert found.rows[0].cells[0].detail == "tasks.failing"
    # The page of all has also those that are only registered; Celery's own are nobody's.
    found = tasks.tasks(report, LINKS, Counts(hour=hour, totals={"earlier": TaskTotals()}), with_idle=True)
    assert [row.cells[0].text for row in found.rows][5:] == ["earlier", "idle"]


def test_tasks__a_row_says_what_became_of_the_hour() -> None:
    run = RunningTask(worker="w@host", task_id="1", task_name="pay")
    report = with_store(workers=[make_worker("w@host", active=(run,), active_count=1)])
    found = tasks.tasks(
        report, LINKS, Counts(hour=hour_of({"pay": PAY}), totals={"pay": TaskTotals(runtime=RUNTIME)})
    )

    ((name, hour, failed, p95, running),) = (row.cells for row in found.rows)
    assert (name.text, name.href) == ("pay", "../../page/tasks/?name=pay")
    assert hour.detail == "88 succeeded, 12 failed, 5 retried"
    # The numbers stand beside the bar: nobody need hear them twice.
    assert 'aria-hidden="true"' in hour.plot
    assert [kind in hour.plot for kind in ("bad", "retry", "ok", "lost")] == [True, True, True, False]
    assert (failed.text, failed.tone, failed.href) == ("12 (12 %)", "", "")
    assert failed.detail == "CardError 7, TimeoutError 3 and 2 more"
    assert (p95.text, running.text) == ("1.2 s", "1")
    assert found.note == ""


UNDONE = TaskHour(succeeded=at(m59=40), rejected=at(m58=2), expired=at(m20=50, m59=10), redelivered=at(m59=1))
UNDONE_WORDS = "2 rejected, 60 expired, 1 killed and delivered again"


def test_tasks__what_ended_undone_stands_where_failures_do() -> None:
    report = with_store(recent={"<b>pay": TaskOutcomes(expired=60)})
    counts = Counts(hour=hour_of({"<b>pay": UNDONE, "well": TaskHour(succeeded=at(m59=999))}), totals={})

    first, well = tasks.tasks(report, LINKS, counts).rows
    name, hour, failed, *_ = first.cells
    assert (name.text, hour.detail) == ("<b>pay", f"40 succeeded, {UNDONE_WORDS}")
    assert "lost" in hour.plot
    assert (failed.text, failed.tone, failed.detail) == ("0", "warn", UNDONE_WORDS)
    # Where none did, nothing is said.
    assert (well.cells[1].detail, well.cells[2]) == ("999 succeeded", Cell("0"))

    page = one_task.page("<b>pay", report, LINKS, counts)
    ended, failed, *_ = block(page, "figures").figures
    assert (ended.value, ended.detail) == ("103", f"40 succeeded, {UNDONE_WORDS}")
    assert (failed.value, failed.detail) == ("0", UNDONE_WORDS)
    behind = block(page, "hour").behind
    assert [column.title for column in behind.columns][5:] == [
        "Rejected", "Expired", "Killed and delivered again"
    ]  # fmt: skip
    assert [cell.text for cell in behind.rows[0].cells] == ["10:30", "40", "0", "0", "0", "0", "10", "1"]
    assert "rejected, expired, killed and delivered again" in block(page, "hour").plot

    both = replace(UNDONE, failed=at(m59=40), exceptions={"CardError": 40})
    found = tasks.tasks(report, LINKS, Counts(hour=hour_of({"pay": both}), totals={}))
    of_both = next(row.cells[2] for row in found.rows if row.cells[0].text == "pay")
    assert of_both.text == "40 (50 %)"
    assert of_both.detail == f"CardError 40; {UNDONE_WORDS.replace(', ', '; ')}"


def test_overview__what_ended_undone_stands_where_failures_do() -> None:
    report = with_store(recent={"pay": TaskOutcomes(expired=60)})

    def figure(*hours: TaskHour) -> str:
        hour = hour_of({str(number): one for number, one in enumerate(hours)})
        return figures(report, LINKS, Counts(hour=hour)).figures[2].detail

    assert figure(UNDONE) == f"0 % of 40 in the last hour; {UNDONE_WORDS}"
    assert figure(
        UNDONE, TaskHour(expired=at(m59=5))
    ) == f"0 % of 40 in the last hour; {UNDONE_WORDS}".replace("60", "65")
    assert figure(TaskHour(expired=at(m59=60))) == "60 expired in the last hour"
    assert figure(TaskHour(retried=at(m59=60))) == "none ended in the last hour"
    known = overview._known(report, LINKS, Counts(hour=hour_of({"pay": UNDONE})))
    assert known["tasks.failing", "pay"].text == f"In the last hour: {UNDONE_WORDS}."
    both = replace(UNDONE, failed=at(m59=40), exceptions={"CardError": 40})
    known = overview._known(report, LINKS, Counts(hour=hour_of({"pay": both})))
    assert known["tasks.failing", "pay"].text == (
        f"In the last hour 40 (50 %) failed, by CardError 40. Besides: {UNDONE_WORDS}."
    )


def test_tasks__a_failure_leads_to_its_letters_where_there_are_any() -> None:
    queues = [make_queue("a", expected_by=("task:pay",)), make_queue("b"), make_queue("c")]
    totals = {"pay": TaskTotals(sent_to=frozenset({"b"}))}
    for letters, href in (
        ({"a": 2, "b": 9, "c": 100}, "../../page/dead-letters/?queue=b&task=pay"),
        ({"a": 2, "b": 0, "c": 100}, "../../page/dead-letters/?queue=a&task=pay"),
        ({"a": 0, "b": None, "c": 100}, ""),
        (None, ""),
    ):
        report = with_store(queues=queues, dead_letters=letters)
        found = tasks.tasks(report, LINKS, Counts(hour=hour_of({"pay": PAY}), totals=totals))
        assert found.rows[0].cells[2].href == href, letters


def test_tasks__a_failure_leads_to_the_queue_where_it_failed() -> None:
    """Others fill the queues where it may come by, or did, and went well."""
    fields = {
        encode(SENT, ("pay", "routed")): 9,
        encode(RECEIVED, ("pay", "well")): 9,
        encode(RECEIVED, ("pay", "bad")): 2,
        encode(FAILED, ("pay", "bad", "CardError")): 1,
    }
    queues = [make_queue("routed", expected_by=("task:pay",)), make_queue("well"), make_queue("bad")]
    for letters, queue in (
        ({"routed": 50, "well": 20, "bad": 1}, "bad"),
        # It was sent again or purged there.
        ({"routed": 50, "well": 20, "bad": 0}, "well"),
        ({"routed": 50}, "routed"),
    ):
        counts = Counts(hour=hour_of({"pay": PAY}), totals=totals_by_task(fields))
        found = tasks.tasks(with_store(queues=queues, dead_letters=letters), LINKS, counts)
        assert found.rows[0].cells[2].href == f"../../page/dead-letters/?queue={queue}&task=pay"


def test_tasks__the_overview_has_a_few_and_says_how_many_there_are() -> None:
    hour = hour_of({f"t{number:04}": TaskHour(succeeded=at(m59=number + 1)) for number in range(3_000)})

    found = tasks.tasks(with_store(), LINKS, Counts(hour=hour), most=MOST_ON_OVERVIEW)

    assert (len(found.rows), found.total, found.left_out) == (20, 3_000, 2_980)
    assert found.rows[0].cells[0].text == "t2999"


@pytest.mark.parametrize(
    ("snapshot", "why"),
    [
        (make_snapshot(), "there is no store"),
        (
            make_snapshot(store=replace(STORE, reachable=False, error="redis://store/1: Connection refused")),
            "the store did not answer (redis://store/1: Connection refused)",
        ),
        (
            make_snapshot(store=StoreState(configured=True, late="This process was late by 2 s.")),
            "This process was late by 2 s",
        ),
        (make_snapshot(store=STORE), "there was no time left to read the store"),
        (
            make_snapshot(app=AppFacts(app_id="p", name="p", always_eager=True)),
            "tasks run in the process that calls them, where nobody counts them (task_always_eager)",
        ),
    ],
)
def test_tasks__without_counts_nothing_is_zero(snapshot: Snapshot, why: str) -> None:
    run = RunningTask(worker="w@host", task_id="1", task_name="pay")
    snapshot = replace(snapshot, workers=(make_worker("w@host", active=(run,), active_count=1),))
    page = tasks.page(report_of(snapshot), LINKS, Counts())

    text = block(page, "uncounted")
    assert text.lines[0].text.endswith(f"is not known: {why}.")
    # What would change it stands there, where something would.
    is_without = not snapshot.store.configured and not snapshot.app.always_eager
    assert ("STORE_URL" in text.lines[-1].text) is is_without
    # What runs is known all the same.
    assert texts(block(page, "tasks")) == [["pay", "?", "?", "?", "1"]]
    one = one_task.page("pay", report_of(snapshot), LINKS, Counts())
    assert block(one, "uncounted").lines[0].text.endswith(f"is not known: {why}.")
    assert [figure.value for figure in block(one, "figures").figures] == ["?", "?", "?", "1"]
    assert block(one, "hour") is None


@pytest.mark.parametrize(
    ("changes", "note"),
    [
        ({}, ""),
        ({"minutes": 12}, "Counted for 12 minutes: what was before is not known."),
        ({"minutes": 1}, "Counted for 1 minute: what was before is not known."),
        ({"unread": frozenset({3})}, "Not counted in: 1 minute of the hour, which could not be read."),
        ({"problems": ("The key 'x' is odd.",)}, "The key 'x' is odd."),
        ({"minutes": 0}, "No process has reported to the store yet: what became of runs is not known."),
    ],
)
def test_tasks__say_what_of_the_hour_is_not_known(changes: dict[str, Any], note: str) -> None:
    tasks_ = {} if changes.get("minutes") == 0 else {"pay": PAY}
    report = with_store(workers=[make_worker(registered=frozenset({"pay"}))])
    counts = Counts(hour=hour_of(tasks_, **changes))

    found = tasks.tasks(report, LINKS, counts, with_idle=True)

    assert found.note == note
    assert (found.rows[0].cells[2].text == "?") is (changes.get("minutes") == 0)
    assert block(one_task.page("pay", report, LINKS, counts), "hour") is not None


def test_tasks__of_workers_that_do_not_report_are_not_said_to_be_none() -> None:
    plain = make_worker("plain@host", source=Source.INSPECTION, registered=frozenset({"pay", "mail"}))
    report = with_store(workers=[make_worker(registered=frozenset({"own"})), plain])
    counts = Counts(hour=hour_of({"pay": PAY}))

    found = tasks.tasks(report, LINKS, counts, with_idle=True)

    assert [row[:3] for row in texts(found)] == [
        ["pay", "", "12 (12 %)"],
        ["mail", "?", "?"],
        ["own", "none", "0"],
    ]
    assert found.note == "1 worker does not report to the store: what it runs is not counted."
    page = one_task.page("mail", report, LINKS, counts)
    assert [figure.value for figure in block(page, "figures").figures] == ["?", "?", "?", "0"]
    assert block(page, "hour").lines[0].text == found.note
    # Nor where the store takes no reports.
    full_store = replace(STORE, refuses_writes="it is full (OOM)")
    report = with_store(store=full_store, workers=[make_worker(registered=frozenset({"own"}))])
    found = tasks.tasks(report, LINKS, counts, with_idle=True)
    assert texts(found)[1][:3] == ["own", "?", "?"]
    assert found.note.startswith(
        "The store takes no reports, so what ends now is not counted yet (it is full"
    )


def test_counts__are_not_asked_of_a_store_that_does_not_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    monkeypatch.setattr(counts_module, "get_hour", lambda deadline: asked.append(deadline.budget_seconds))
    monkeypatch.setattr(counts_module, "get_totals", lambda deadline: asked.append(deadline.budget_seconds))
    for store in (
        StoreState(configured=False),
        replace(STORE, reachable=False),
        replace(STORE, reachable=None),
    ):
        assert counts_of(report_of(make_snapshot(store=store)), Deadline.after(2)) == Counts()
    assert asked == []
    counts_of(with_store(), Deadline.after(2))
    # Both together leave time for the page.
    assert len(asked) == 2
    assert sum(asked) < 1.7


@pytest.mark.parametrize(
    ("runtime", "which", "text"),
    [
        (None, "p95", "?"),
        (RUNTIME, "p50", "23 ms"),
        (RUNTIME, "p95", "1.2 s"),
        (RUNTIME, "p99", "at least 1 h"),
        (replace(RUNTIME, p50_seconds=0.0004), "p50", "0 ms"),
        (replace(RUNTIME, p50_seconds=0.9996), "p50", "1.0 s"),
        (replace(RUNTIME, measured_to_seconds=None), "p99", "?"),
    ],
)
def test_quantile__in_words(runtime: ObservedRuntime | None, which: Any, text: str) -> None:
    assert quantile(runtime, which) == text


def test_share_and_count__are_never_more_than_is_known() -> None:
    assert [share(1, 3), share(1, 1000), share(999, 1000), share(5, 5), share(0, 0)] == [
        "33 %", "under 1 %", "over 99 %", "100 %", "0 %",
    ]  # fmt: skip
    assert [counted(0, True), counted(0, False), counted(3, False), counted(1204, True)] == [
        "0", "?", "at least 3", "1,204",
    ]  # fmt: skip


# One task --------------------------------------------------------------------------------------------------


def full() -> tuple[HealthReport, Counts]:
    """Return a system in which the task ``pay`` fails, runs, waits, and is sent by the schedule."""
    runs = tuple(
        RunningTask(worker="w1@host", task_id=id, task_name=task, queue="cards", runtime_seconds=seconds)
        for id, task, seconds in (("1", "pay", 5.0), ("2", "pay", 75.0), ("3", "mail", 99.0))
    )
    held = (ReservedTask(worker="w1@host", task_id="4", task_name="pay"),)
    registered = frozenset({"pay", "mail"})
    report = with_store(
        recent={"pay": TaskOutcomes(succeeded=1, failed=30)},
        workers=[
            make_worker("w0@host", registered=registered, last_seen_seconds=1.0),
            make_worker(
                "w1@host", registered=registered, active=runs, active_count=3, reserved=held, reserved_count=1
            ),
            make_worker("w2@host", registered=frozenset({"mail"})),
            make_worker("gone@host", registered=registered, state=WorkerState.GONE, active=runs[:1]),
        ],
        queues=[
            make_queue("cards", ready=7, oldest_age_seconds=12.0, consumers=2),
            make_queue("routed", expected_by=("task:pay",), ready=None, consumers=None),
            make_queue("mail", expected_by=("task:mail",)),
        ],
        beats=[
            make_beat(
                entries=(make_entry("nightly", task="pay", queue="night"), make_entry("x", task="mail"))
            )
        ],
        dead_letters={"cards": 14, "mail": 2},
    )  # fmt: skip
    totals = {"pay": TaskTotals(runtime=RUNTIME, taken_from=frozenset({"cards"}))}
    return report, Counts(hour=hour_of({"pay": PAY}), totals=totals)


def test_task__says_what_is_wrong_with_it_first() -> None:
    report, counts = full()
    page = one_task.page("pay", report, LINKS, counts)

    assert (page.title, page.kind, page.status) == ("pay", "Task", 200)
    assert page.blocks[0].id == "problems"
    assert page.json == "../../stats/?format=json&task=pay"
    assert block(one_task.page("mail", report, LINKS, counts), "problems") is None
    figures = block(page, "figures")
    assert isinstance(figures, Figures)
    assert [(figure.label, figure.value, figure.detail) for figure in figures.figures] == [
        ("In the last hour", "105", "88 succeeded, 12 failed, 5 retried"),
        ("Failed", "12", "12 %"),
        ("p95", "1.2 s", "of all runs"),
        ("Running now", "2", "1 taken and not begun"),
    ]
    assert [figure.tone for figure in figures.figures] == ["", "warn", "", ""]


def test_task__its_hour_minute_by_minute() -> None:
    report, counts = full()
    assert counts.hour is not None
    counts = replace(counts, hour=replace(counts.hour, minutes=50, unread=frozenset({30})))

    plot = block(one_task.page("pay", report, LINKS, counts), "hour")

    assert isinstance(plot, Plot)
    assert "Ends of runs per minute: 12 failed, 5 retried, 88 succeeded" in plot.plot
    assert "11 of 60 minutes not known" in plot.plot
    assert plot.behind is not None
    # The newest first, and only what there was.
    assert texts(plot.behind) == [
        ["10:30", "8", "3", "5", "0"],
        ["09:51", "0", "9", "0", "0"],
        ["09:41", "80", "0", "0", "0"],
    ]
    quiet = one_task.page("mail", report, LINKS, counts)
    text = block(quiet, "hour")
    assert isinstance(text, Text)
    assert text.lines[0].text.startswith("No run of it has ended in the last hour. Counted for 50 minutes")


def test_task__its_exceptions_and_where_their_tracebacks_are() -> None:
    report, counts = full()
    found = block(one_task.page("pay", report, LINKS, counts), "exceptions")

    assert isinstance(found, Table)
    assert texts(found) == [
        ["CardError", "7", "58 %"],
        ["TimeoutError", "3", "25 %"],
        ["KeyError", "1", "8 %"],
        ["not known", "1", "8 %"],
    ]
    assert found.more is not None
    assert found.more.href == "../../page/dead-letters/?queue=cards&task=pay"
    assert [row.cells[0].href for row in found.rows[::3]] == [
        "../../page/dead-letters/?queue=cards&task=pay&exception=CardError", "",
    ]  # fmt: skip
    without = replace(report, snapshot=make_snapshot(store=STORE))
    found = block(one_task.page("pay", without, LINKS, counts), "exceptions")
    assert found.more is None
    assert found.note.startswith(
        "Messages and tracebacks stand in the workers' logs. Where dead letters are on"
    )
    assert block(one_task.page("mail", report, LINKS, counts), "exceptions") is None


def test_task__where_it_runs_and_who_sends_it() -> None:
    report, counts = full()
    page = one_task.page("pay", report, LINKS, counts)

    assert texts(block(page, "running")) == [
        ["2", "1 min 15 s", "cards", "w1@host"],
        ["1", "5.0 s", "cards", "w1@host"],
    ]
    assert texts(block(page, "queues")) == [
        ["cards", "7", "12 s", "2", "14"],
        ["night", "?", "?", "?", "0"],
        ["routed", "?", "?", "?", "0"],
    ]
    assert texts(block(page, "workers")) == [
        ["w1@host", "ok", "2", "0.0 s ago"],
        ["w0@host", "ok", "0", "1.0 s ago"],
    ]
    assert texts(block(page, "schedule")) == [["nightly", "every 1 min", "5.0 s ago", "55 s"]]
    runtimes = block(page, "runtimes")
    assert isinstance(runtimes, Facts)
    assert [(label, cell.text) for label, cell in runtimes.pairs] == [
        ("p50", "23 ms"), ("p95", "1.2 s"), ("p99", "at least 1 h"),
    ]  # fmt: skip


def test_task__what_workers_do_not_tell_is_not_known() -> None:
    silent = make_worker("silent@host", state=WorkerState.UNKNOWN, active_count=None, registered=None)
    # A worker names some of its tasks; of the others only the number is known.
    busy = make_worker(
        "busy@host", registered=frozenset({"pay"}), active_count=400,
        active=(RunningTask(worker="busy@host", task_id="1", task_name="pay"),),
    )  # fmt: skip
    for workers, runs, reserved in (
        ([silent], "?", "?"),
        ([busy], "at least 1", "0"),
        ([busy, silent], "at least 1", "?"),
    ):
        report = with_store(workers=workers, queues=[make_queue(expected_by=("task:pay",))])
        page = one_task.page("pay", report, LINKS, Counts(hour=hour_of()))
        figure = block(page, "figures").figures[-1]
        assert figure.value == runs
        assert ("taken" in figure.detail) is (reserved == "?")
    assert block(page, "workers").note == "Of 1 worker it is not known what they register."
    report = with_store(workers=[silent], queues=[make_queue(expected_by=("task:pay",))])
    page = one_task.page("pay", report, LINKS, Counts(hour=hour_of()))
    assert block(page, "workers").empty == "It is not known which workers register it."
    assert block(page, "running").empty == "Whether one runs is not known."


@pytest.mark.parametrize(
    ("snapshot", "counts", "status"),
    [
        (make_snapshot(store=STORE), Counts(hour=hour_of()), 404),
        # Without a store workers say what they register, and that is all there is to know.
        (make_snapshot(), Counts(), 404),
        # What did not answer may know it.
        (make_snapshot(store=STORE), Counts(), 200),
        (make_snapshot(store=STORE, inspection=InspectionState(asked=True)), Counts(hour=hour_of()), 200),
        (
            make_snapshot(
                broker=BrokerState(transport="redis", url="redis://b", reachable=False),
                inspection=InspectionState(),
            ),
            Counts(),
            200,
        ),
    ],
)
def test_task__that_nobody_knows(snapshot: Snapshot, counts: Counts, status: int) -> None:
    snapshot = replace(snapshot, workers=(make_any_worker(registered=frozenset({"shop.tasks.charge"})),))
    page = one_task.page("shop.tasks.chrage", report_of(snapshot), LINKS, counts)

    assert page.status == status
    said, *similar, last = block(page, "unknown").lines
    assert said.text.startswith("No worker registers" if status == 404 else "Nothing is known of a task")
    assert [(cell.text, cell.href) for cell in similar] == [
        ("shop.tasks.charge", "../../page/tasks/?name=shop.tasks.charge")
    ]
    assert last.href == "../../page/tasks/"
    # One that is registered and has never run is known.
    known = one_task.page("shop.tasks.charge", report_of(snapshot), LINKS, counts)
    assert known.status == 200
    assert block(known, "unknown") is None


def test_task__of_a_long_name_or_of_all_others() -> None:
    report = with_store(workers=[make_worker(registered=frozenset({LONG}))])
    counts = Counts(hour=hour_of({LONG: PAY, "other": PAY, "": PAY}))

    page = one_task.page(LONG, report, LINKS, counts)

    assert len(LONG) == 300
    assert len(page.title) == 120
    assert block(page, "about").pairs[0][1].text == LONG
    about = {
        task: block(one_task.page(task, report, LINKS, counts), "about").lines[0].text
        for task in ("other", "")
    }
    assert about == {
        "other": "Counted under this name: all tasks over the number that is told apart.",
        "": "Counted under this name: messages that nobody could read.",
    }
    assert block(one_task.page("shop", with_store(), LINKS, counts), "about") is None


class Attributes(HTMLParser):
    """The names of all attributes of a page."""

    def __init__(self) -> None:
        super().__init__()
        self.names: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.names.update(name for name, _ in attrs)


# Over HTTP -------------------------------------------------------------------------------------------------


def test_pages__of_tasks_and_of_one(staff: Client, celery: Celery) -> None:
    report, counts = full()
    celery.snapshot, celery.hour, celery.totals = report.snapshot, counts.hour, counts.totals

    page = staff.get(f"{PREFIX}page/tasks/").content.decode()
    assert rows(page, "tasks")[0][0].split() == ["(fault)", "paytasks.failing"]
    assert [row[0] for row in rows(page, "tasks")[1:]] == ["mail"]
    assert [row[0] for row in rows(page, "running")] == ["mail", "pay", "pay"]
    one = staff.get(f"{PREFIX}page/tasks/", {"name": "pay"})
    assert one.status_code == 200
    assert [row[0] for row in rows(one.content.decode(), "exceptions")][:2] == ["CardError", "TimeoutError"]
    assert staff.get(f"{PREFIX}page/tasks/", {"name": "nobody's"}).status_code == 404
    part = staff.get(f"{PREFIX}page/tasks/", {"name": "pay", "part": "content"})
    assert part["X-Celery-Health-Part"] == "content"
    assert part.content.decode().strip() in one.content.decode()


@pytest.mark.parametrize(
    "hostile", [HOSTILE, "\x00", "a&b=c#d?e/../f", "\ud800", "%2e%2e", "' onmouseover='x", LONG]
)
def test_pages__hostile_names_are_text(staff: Client, celery: Celery, hostile: str) -> None:
    run = RunningTask(worker=hostile, task_id=hostile, task_name=hostile, queue=hostile, runtime_seconds=1.0)
    worker = make_worker(
        hostile, active=(run,), active_count=1, queues=(hostile,), registered=frozenset({hostile})
    )
    celery.snapshot = make_snapshot(
        store=replace(STORE, reachable=True),
        workers=[worker],
        queues=[make_queue(hostile, expected_by=(f"task:{hostile}",))],
        beats=[make_beat(entries=(make_entry(hostile, task=hostile, queue=hostile, schedule=hostile),))],
        recent={hostile: TaskOutcomes(failed=40)},
        dead_letters={hostile: 3},
    )
    celery.hour = hour_of({hostile: replace(PAY, exceptions={hostile: 5})}, problems=(hostile,))
    celery.totals = {hostile: TaskTotals(runtime=RUNTIME, sent_to=frozenset({hostile}))}

    for query in ({}, {"name": hostile.encode("utf-8", "replace").decode()}):
        answer = staff.get(f"{PREFIX}page/tasks/", query)
        page = answer.content.decode()
        assert not [raw for raw in (*RAW, "' onmouseover='x") if raw in page]
        found = Attributes()
        found.feed(page)
        assert not [name for name in found.names if name.startswith("on") or name == "style"]
    assert 'id="exceptions"' in page or hostile == "\ud800"  # a lone surrogate is in no address


def test_pages__of_what_stands_in_the_store(staff: Client, scene: Scene) -> None:
    scene.fail("CardError", 2)
    scene.fail("TimeoutError")

    page = staff.get(f"{PREFIX}page/tasks/", {"name": "pay"}).content.decode()

    assert [row[:2] for row in rows(page, "exceptions")] == [["CardError", "2"], ["TimeoutError", "1"]]
    assert "Ends of runs per minute: 3 failed" in page
    assert "Counted for" in page
    listed = rows(staff.get(f"{PREFIX}page/tasks/").content.decode(), "tasks")
    assert [row[0] for row in listed] == ["pay"]
    assert listed[0][2].strip() == "3 (100 %)CardError 2, TimeoutError 1"
