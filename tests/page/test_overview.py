"""The overview of each state, empty and broken ones among them: what it says first, what it leaves out."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from django.conf import settings as django_settings
from django.test import Client, override_settings

from celery_health.conf import get_settings
from celery_health.health import judge
from celery_health.page import overview
from celery_health.page.blocks import Code, Figure, Figures, Page, Table, Text
from celery_health.page.brief import Brief
from celery_health.page.counts import Counts
from celery_health.page.frame import frame
from celery_health.page.links import Links
from celery_health.page.problem_blocks import Problems
from celery_health.page.rendering import render_content
from celery_health.records import (
    AppFacts,
    BrokerState,
    CheckResult,
    CheckStatus,
    HealthReport,
    Hour,
    InspectionState,
    ReservedTask,
    RunningTask,
    Snapshot,
    Source,
    StoreState,
    TaskHour,
    TaskOutcomes,
    WorkerState,
)
from celery_health.testing import make_beat, make_queue, make_snapshot, make_worker
from celery_health.text.commands import store_settings
from tests.api.conftest import PREFIX, Celery

LINKS = Links()
UP = StoreState(configured=True, reachable=True, url="redis://db:6379/0")
LIVE: dict[str, Any] = {"source": Source.HEARTBEATS, "read_age_seconds": 0.4, "loop_age_seconds": 0.3}


def report_of(snapshot: Snapshot) -> HealthReport:
    return judge(snapshot, get_settings())


def page_of(snapshot: Snapshot, counts: Counts | None = None) -> Page:
    return overview.page(report_of(snapshot), LINKS, counts or Counts())


def ids(page: Page) -> list[str]:
    return [block.id for block in page.blocks]


def figures_of(report: HealthReport, counts: Counts | None = None) -> dict[str, Figure]:
    page = overview.page(report, LINKS, counts or Counts())
    (found,) = (block for block in page.blocks if isinstance(block, Figures))
    return {figure.label: figure for figure in found.figures}


def block(page: Page, id: str) -> Any:
    return next(one for one in page.blocks if one.id == id)


def ended(succeeded: dict[int, int], failed: dict[int, int] | None = None, **fields: Any) -> TaskHour:
    """Return the hour of a task: minute → runs."""
    rows = [tuple(counts.get(place, 0) for place in range(60)) for counts in (succeeded, failed or {})]
    return TaskHour(succeeded=rows[0], failed=rows[1], **fields)


def hour_of(minutes: int = 60, **tasks: TaskHour) -> Counts:
    return Counts(hour=Hour(taken_at=datetime.now(UTC), minutes=minutes, tasks=tasks))


# In which order -------------------------------------------------------------------------------------------


def test_overview__is_in_the_order_in_which_one_asks() -> None:
    snapshot = make_snapshot(
        workers=[make_worker(**LIVE)],
        queues=[make_queue(ready=5000)],
        store=UP,
        beats=[make_beat()],
        recent={"t": TaskOutcomes(succeeded=5)},
        dead_letters={"celery": 3},
    )

    page = page_of(snapshot, hour_of(t=ended({3: 5})))

    assert ids(page)[:7] == ["problems", "figures", "queues", "tasks", "workers", "schedule", "dead-letters"]
    assert ids(page)[7:] == ["findings-now", "passed", "notes"]


# Figures --------------------------------------------------------------------------------------------------


def test_figures__say_how_it_goes() -> None:
    workers = [make_worker("a", concurrency=8, active_count=3, reserved_count=2, scheduled_count=1, **LIVE)]
    queues = [make_queue("q", ready=7, oldest_age_seconds=65.0), make_queue("r", ready=5)]
    counts = hour_of(t=ended(dict.fromkeys(range(60), 10), {10: 6}))

    found = figures_of(report_of(make_snapshot(workers=workers, queues=queues, store=UP)), counts)

    assert list(found) == ["Running", "Done per minute", "Failed", "Waiting"]
    assert [(one.value, one.detail) for one in found.values()] == [
        ("3", "of 8 slots"),
        ("10", "606 in the last hour"),
        ("6", "under 1 % of 606 in the last hour"),
        ("12", "oldest 1 min 5 s, 3 held by workers"),
    ]
    assert {one.tone for one in found.values()} == {""}
    assert "<svg" in found["Done per minute"].plot


def test_figures__have_the_colour_that_the_checks_say_and_no_limit_of_their_own() -> None:
    # All failed, thousands wait: nothing that a check found.
    report = report_of(make_snapshot(queues=[make_queue(ready=900)], store=UP))
    counts = hour_of(t=ended({}, {50: 9999}))
    assert [one.tone for one in figures_of(report, counts).values()] == ["", "", "", ""]

    def found(id: str, status: CheckStatus) -> HealthReport:
        return replace(report, checks=(*report.checks, CheckResult(id=id, status=status, message="x")))

    for id, label in (
        ("tasks.failing", "Failed"),
        ("queues.age", "Waiting"),
        ("workers.alive", "Running"),
        ("tasks.stuck", "Running"),
    ):
        assert figures_of(found(id, CheckStatus.WARN), counts)[label].tone == "warn"
        assert figures_of(found(id, CheckStatus.FAIL), counts)[label].tone == "bad"
        assert figures_of(found(id, CheckStatus.UNKNOWN), counts)[label].tone == ""


@pytest.mark.parametrize(
    ("counts", "value", "detail"),
    [
        # Nobody counts.
        (Counts(), "?", "the store was not read in time"),
        # Nothing has been counted, which is no zero.
        (hour_of(minutes=0), "?", "no run has been counted yet"),
        (hour_of(minutes=1, t=ended({59: 4})), "4", "in the first minute"),
        # The present minute is not over: it does not lower the rate.
        (hour_of(minutes=3, t=ended({57: 6, 58: 6, 59: 1})), "6", "13 in 3 minutes"),
        (hour_of(t=ended({58: 1})), "0.2", "1 in the last hour"),
        (hour_of(), "0", "0 in the last hour"),
    ],
)
def test_figures__done_per_minute_is_of_minutes_that_are_known(
    counts: Counts, value: str, detail: str
) -> None:
    report = report_of(make_snapshot(store=replace(UP, reachable=None)))

    done = figures_of(report, counts)["Done per minute"]

    assert (done.value, done.detail) == (value, detail)


def test_figures__the_present_minute_is_no_fall() -> None:
    report = report_of(make_snapshot(store=UP))

    found = figures_of(report, hour_of(t=ended(dict.fromkeys(range(59), 10), {57: 1, 58: 2})))
    done, failed = found["Done per minute"].plot, found["Failed"].plot

    assert (
        'aria-label="Done in each minute of the last hour: in the last that is over 12, lowest 10, ' in done
    )
    assert (
        'aria-label="Failed in each minute of the last hour: in the last that is over 2, lowest 0, ' in failed
    )
    assert 'viewBox="0 0 59 24"' in done
    # Of the first minute there is nothing to draw.
    assert figures_of(report, hour_of(minutes=1, t=ended({59: 4})))["Done per minute"].plot == ""


def test_figures__what_is_not_known_is_no_zero() -> None:
    silent = make_worker(state=WorkerState.UNKNOWN, active_count=None, reserved_count=None)
    unread = [make_queue("a", ready=None), make_queue("b", ready=4)]

    found = figures_of(report_of(make_snapshot(workers=[silent], queues=unread)))

    assert [one.value for one in found.values()] == ["?", "?", "?", "at least 4"]
    assert found["Waiting"].detail.startswith("in 1 queue it is not known")
    assert figures_of(report_of(make_snapshot(queues=[make_queue(ready=None)])))["Waiting"].value == "?"


# Empty and broken -----------------------------------------------------------------------------------------


def test_first_minute__says_how_to_start_a_worker_and_that_nothing_has_run() -> None:
    snapshot = make_snapshot(
        workers=[],
        queues=[make_queue(consumers=0, capacity=0)],
        store=UP,
        recent={},
        inspection=InspectionState(asked=True, complete=True, roster=()),
    )

    page = page_of(snapshot, hour_of(minutes=0))

    (problem,) = block(page, "problems").problems
    assert problem.ids == ("workers.alive",)
    assert problem.advice.parts[-1] == (True, "celery -A proj worker")
    assert isinstance(block(page, "tasks"), Brief) and isinstance(block(page, "workers"), Brief)
    assert block(page, "tasks").says.text.startswith("No task has run.")
    assert [one.tone for one in block(page, "figures").figures] == ["bad", "", "", ""]


def test_no_store__says_what_nobody_watches_and_the_lines_that_change_it() -> None:
    snapshot = make_snapshot(
        broker=BrokerState(transport="amqp", url="amqp://mq//", reachable=True), schedule_exists=True
    )

    page = page_of(snapshot)

    told: Text = block(page, "no-store")
    assert told.title == "What is not watched"
    assert "failures" in told.lines[0].text and "beat" in told.lines[0].text
    code: Code = block(page, "store-settings")
    assert code.text == store_settings()
    assert len(code.text.splitlines()) == 3


def test_no_store__the_lines_are_settings_that_give_it_a_store() -> None:
    settings: dict[str, Any] = {}
    exec(store_settings(), settings)

    with override_settings(CELERY_HEALTH=settings["CELERY_HEALTH"]):
        assert get_settings().store_url == "redis://localhost:6379/0"
    assert not hasattr(django_settings, "STORE_URL")


def test_hung__is_one_cause_and_one_line_for_each_section() -> None:
    down: dict[str, Any] = {"ready": None, "consumers": None, "capacity": None}
    workers = [
        make_worker(name, state=WorkerState.UNKNOWN, active_count=None, reserved_count=None) for name in "ab"
    ]
    snapshot = make_snapshot(
        workers=workers,
        queues=[make_queue(f"q{number}", **down) for number in range(12)],
        broker=BrokerState(transport="redis", url="redis://db/0", reachable=False, error="TimeoutError"),
        store=StoreState(configured=True, reachable=False, url="redis://db/0", error="TimeoutError"),
        inspection=InspectionState(asked=False),
        dead_letters={"q1": None, "q2": None},
    )

    page = page_of(snapshot)

    assert "more problem" not in frame(report_of(snapshot), LINKS, "overview").reason
    problems: Problems = block(page, "problems")
    assert [problem.ids for problem in problems.problems] == [("broker.reachable",)]
    assert not [one for one in page.blocks if isinstance(one, Table)]
    briefs = {one.id: one for one in page.blocks if isinstance(one, Brief)}
    assert list(briefs) == ["queues", "tasks", "workers", "schedule", "dead-letters"]
    assert briefs["queues"].count == 12
    assert briefs["queues"].says.text == "Nothing is known now of q0, q1, q2, q3, q4 and 7 more."
    assert briefs["workers"].says.text == "Whether they live is not known: a, b."


def test_all_gone__says_what_they_held() -> None:
    def held(worker: str) -> dict[str, Any]:
        running = RunningTask(
            worker=worker, task_id="r-1", task_name="t.run", queue="q", runtime_seconds=40.0
        )
        reserved = ReservedTask(worker=worker, task_id="w-1", task_name="t.wait", queue="q")
        return {"active": (running,), "active_count": 1, "reserved": (reserved,), "reserved_count": 3}

    gone = make_worker("a", state=WorkerState.GONE, last_seen_seconds=90.0, **held("a"))
    left = make_worker("b", state=WorkerState.GONE, said_goodbye=True, **held("b"))
    snapshot = make_snapshot(workers=[gone, left], store=UP)

    found: Table = block(page_of(snapshot), "held")

    assert [[cell.text for cell in row.cells] for row in found.rows] == [
        ["t.run", "running", "40 s", "q", "a", "r-1"],
        ["t.wait", "reserved", "-", "q", "a", "w-1"],
    ]
    # Not every task is named in a record, and each is counted.
    assert (found.total, found.left_out) == (4, 2)
    assert found.note.startswith("1 worker vanished with 1 running, 3 reserved.")
    # While one lives, each worker's own page says it.
    assert "held" not in ids(page_of(make_snapshot(workers=[gone, make_worker("c", **LIVE)], store=UP)))
    # Who left as it was told to has lost nothing.
    assert "held" not in ids(page_of(make_snapshot(workers=[left], store=UP)))


def test_eager__shows_nothing_that_is_not_there() -> None:
    snapshot = make_snapshot(
        app=AppFacts(app_id="shop", name="shop", always_eager=True), workers=[], queues=[]
    )

    page = page_of(snapshot)

    assert ids(page) == ["findings-now", "gaps", "passed", "notes"]
    counts = {stop.id: stop.count for stop in frame(report_of(snapshot), LINKS, "overview").rail}
    assert {counts["queues"], counts["workers"]} == {None}


def test_late__nothing_is_said_to_be_none() -> None:
    why = "This process is still importing (for 1.2 s)."
    snapshot = make_snapshot(
        workers=[],
        queues=[],
        broker=BrokerState(transport="redis", url="redis://db/0", late=why),
        store=StoreState(configured=True, late=why),
        inspection=InspectionState(),
    )

    page, report = page_of(snapshot), report_of(snapshot)

    assert "problems" not in ids(page)
    assert {figure.value for figure in figures_of(report).values()} == {"?"}
    assert {stop.count for stop in frame(report, LINKS, "overview").rail} == {None}


def test_failing_task__is_shown_with_its_exceptions_and_letters() -> None:
    snapshot = make_snapshot(
        workers=[make_worker(**LIVE)],
        store=UP,
        recent={"t": TaskOutcomes(succeeded=2, failed=50)},
        dead_letters={"celery": 9},
        queues=[make_queue("celery", expected_by=("task:t",))],
    )
    counts = hour_of(t=ended({1: 2}, {1: 50}, exceptions={"PaymentError": 48, "KeyError": 2}))

    (problem,) = block(page_of(snapshot, counts), "problems").problems

    assert problem.known.text == "In the last hour 50 (96 %) failed, by PaymentError 48, KeyError 2."
    assert "queue=celery" in problem.known.href


def test_long_names__do_not_bury_what_is_wrong(staff: Client, celery: Celery) -> None:
    name = "accounts." * 33 + "sync"
    celery.snapshot = make_snapshot(
        store=UP, workers=[make_worker(**LIVE)], recent={name: TaskOutcomes(failed=50)}
    )

    page = staff.get(PREFIX).content.decode()

    message = re.findall(r'<p class="message">(.*?)</p>', page)[0]
    assert len(re.sub("<.*?>", "", message)) < 200
    # The link has all of it.
    assert f"name={name}" in page


@override_settings(USE_THOUSAND_SEPARATOR=True, LANGUAGE_CODE="de")
def test_overview__numbers_are_written_as_its_words_are() -> None:
    queues = [make_queue(f"q{n}") for n in range(1204)]
    report = replace(report_of(make_snapshot(queues=queues, dead_letters={"q1": 10_500})), age_seconds=0.3)

    html = render_content(overview.page(report, LINKS, Counts()), frame(report, LINKS, "overview"))

    assert '<span class="count">10,500</span>' in html
    assert '<span class="count">1,204</span>' in html
    assert 'data-age="0.3"' in html
    assert not re.findall(r"\d\.\d{3}\b", html)
