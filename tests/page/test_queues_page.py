"""The pages of queues: each fact as it is known, colour by the checks alone, and no queue of that name."""

from __future__ import annotations

import time
from typing import Any

import pytest
from django.test import Client, override_settings

from celery_health.conf import get_settings
from celery_health.health import judge
from celery_health.page import one_queue, queues
from celery_health.page.blocks import Figures, Page
from celery_health.page.links import ROOT_OF_PAGES, Links
from celery_health.records import (
    BrokerState,
    HealthReport,
    LettersLack,
    QueueState,
    RunningTask,
    SharedQueue,
    Sharer,
    StoreState,
    WorkerState,
)
from celery_health.testing import make_beat, make_entry, make_queue, make_snapshot, make_worker
from tests.api.conftest import PREFIX, Celery
from tests.page.reading_pages import table_of, text_of, texts

LINKS = Links(ROOT_OF_PAGES)
QUEUES = f"{PREFIX}page/queues/"
HOSTILE = "</td><script>alert(1)</script>\x1b[31m\u202e{{ x }}"


def report_of(**snapshot: Any) -> HealthReport:
    return judge(make_snapshot(**snapshot), get_settings())


def page_of(queue: QueueState, **snapshot: Any) -> Page:
    return one_queue.page_of(queue.name, report_of(queues=[queue], **snapshot), LINKS, get_settings())


def figures(page: Page) -> dict[str, tuple[str, str, str]]:
    """Return label → value, detail and tone."""
    block = next(block for block in page.blocks if isinstance(block, Figures))
    return {figure.label: (figure.value, figure.detail, figure.tone) for figure in block.figures}


@pytest.mark.parametrize(
    ("queue", "label", "expected"),
    [
        # A number, with the limit that a check has; nothing is over it, so nothing is coloured.
        (make_queue("q", ready=1000), "Waiting", ("1,000", "limit 1,000", "")),
        # Over it: the check says so, and the figure takes the check's colour.
        (make_queue("q", ready=1204), "Waiting", ("1,204", "limit 1,000", "warn")),
        # Not read is not known, never 0.
        (make_queue("q", ready=None), "Waiting", ("?", "limit 1,000", "")),
        # An empty queue has no oldest task: that is known.
        (make_queue("q"), "Oldest", ("-", "limit 10 min", "")),
        (make_queue("q", ready=1), "Oldest", ("?", "limit 10 min", "")),
        (
            make_queue("q", ready=1, oldest_age_seconds=601.0),
            "Oldest",
            ("10 min 1 s", "limit 10 min", "warn"),
        ),
        (
            make_queue("q", ready=1, oldest_age_seconds=9.0, oldest_age_is_minimum=True),
            "Oldest",
            ("over 9.0 s", "limit 10 min", ""),
        ),
        # What workers hold is known when they say both parts of it.
        (
            make_queue("q", reserved=3, scheduled=2),
            "Held by workers",
            ("5", "3 reserved, 2 until later", ""),
        ),
        (make_queue("q", reserved=0, scheduled=0), "Held by workers", ("0", "0 reserved, 0 until later", "")),
        (make_queue("q", reserved=3), "Held by workers", ("?", "3 reserved, ? until later", "")),
        # A worker that is gone had taken seven: the broker counts them still.
        (
            make_queue("q", reserved=0, scheduled=0, active=0, unacked=7),
            "Held by workers",
            ("0", "0 reserved, 0 until later; 7 unacknowledged by the broker's count", ""),
        ),
        (
            make_queue("q", reserved=2, scheduled=1, active=1, unacked=4),
            "Held by workers",
            ("3", "2 reserved, 1 until later", ""),
        ),
        (make_queue("q"), "Held by workers", ("?", "? reserved, ? until later", "")),
        (make_queue("q", active=2), "Running", ("2", "of 4 slots of its workers", "")),
        (make_queue("q", capacity=None), "Running", ("?", "of ? slots of its workers", "")),
        (
            make_queue("q", consumer_names=("w",), idle_consumers=("v (draining)",)),
            "Consumers",
            ("1", "1 of this project, 1 more take nothing now", ""),
        ),
        (
            make_queue("q", consumers=2, consumer_names=("w",), foreign_consumers=("x",)),
            "Consumers",
            ("2", "1 of this project, 1 of another application", ""),
        ),
        # Nobody takes from it, and nobody has to: no fault, no colour.
        (make_queue("q", consumers=0), "Consumers", ("0", "0 of this project", "")),
        (
            make_queue("q", consumers=0, ready=1, unconsumed_seconds=90.0, oldest_age_seconds=90.0),
            "Consumers",
            ("0", "0 of this project", "bad"),
        ),
        (make_queue("q", consumers=None), "Consumers", ("?", "who takes from it is not known", "")),
    ],
)
def test_queue__figures(queue: QueueState, label: str, expected: tuple[str, str, str]) -> None:
    assert figures(page_of(queue))[label] == expected


@pytest.mark.parametrize(
    ("letters", "lack", "expected"),
    [
        ({"q": 3}, None, ("3", "failed for good, and kept", "")),
        ({"q": 0}, None, ("0", "failed for good, and kept", "")),
        ({"q": None}, None, ("?", "not counted", "")),
        # Over the limit of `dead_letters.size`.
        ({"q": 101}, None, ("101", "failed for good, and kept", "warn")),
        # Nobody could count.
        (None, None, ("?", "not counted", "")),
        # None are kept: nothing is said of them.
        (None, LettersLack.OFF, None),
        (None, LettersLack.UNSUPPORTED, None),
    ],
)
def test_queue__dead_letters(
    letters: dict[str, int | None] | None, lack: LettersLack | None, expected: tuple[str, str, str] | None
) -> None:
    page = page_of(make_queue("q"), dead_letters=letters, dead_letters_lack=lack)

    assert figures(page).get("Dead letters") == expected


def test_queue__says_who_takes_from_it_and_who_does_not() -> None:
    queue = make_queue(
        "q",
        consumers=4,
        consumer_names=("ours@a",),
        foreign_consumers=("theirs@b",),
        idle_consumers=("slow@a (reconnecting)",),
    )
    workers = [
        make_worker("ours@a", queues=("q",), active_count=3, active_by_queue={"q": 2}, concurrency=8),
        make_worker("slow@a", queues=("q",), state=WorkerState.RECONNECTING, active_count=None),
        make_worker("told@a", queues=("other",), cancelled_queues=("q",)),
        make_worker(
            "dead@a",
            queues=("q",),
            state=WorkerState.GONE,
            last_seen_seconds=40.0,
            reserved_count=5,
            reserved_by_queue={"q": 3},
        ),
        make_worker("left@a", queues=("q",), state=WorkerState.GONE, said_goodbye=True),
        make_worker("mute@a", queues=("q",), state=WorkerState.UNKNOWN),
        # Nothing to do with it.
        make_worker("else@a", queues=("other",)),
    ]

    found = table_of(page_of(queue, workers=workers), "consumers")

    assert texts(found) == [
        ["ours@a", "takes from it (ok)", "2", "0", "3 of 8", "0.0 s ago"],
        ["theirs@b", "takes from it: of another application", "?", "?", "?", "?"],
        ["slow@a", "takes nothing now (reconnecting)", "?", "0", "? of 4", "0.0 s ago"],
        ["told@a", "was told to take from it no more (cancel_consumer)", "0", "0", "0 of 4", "0.0 s ago"],
        ["dead@a", "took from it, and is gone: it ran 0 and held 3 from here", "-", "-", "-", "40 s ago"],
        ["left@a", "took from it, and has left", "-", "-", "-", "0.0 s ago"],
        ["mute@a", "has it among its queues, and has not answered", "0", "0", "0 of 4", "0.0 s ago"],
    ]
    # 4 are counted, two have a name.
    assert (found.count, found.note) == (4, "The broker counts 2 more, whose names are not known.")
    # Nobody here knows a page of a worker of another application.
    assert [bool(row.cells[0].href) for row in found.rows[:3]] == [True, False, True]


@pytest.mark.parametrize(
    ("queue", "empty", "note"),
    [
        (
            make_queue("q", consumers=0, unconsumed_seconds=300.0, unconsumed_by_store=True),
            "No worker takes from it.",
            "Nobody has taken from it for 5 min, as the store says. "
            "Nobody has to: nothing of this project is known to be sent here.",
        ),
        (
            make_queue("q", consumers=0, unconsumed_seconds=8.0, expected_by=("setting",)),
            "No worker takes from it.",
            "Nobody has taken from it for 8.0 s, as long as this process watched it; it may be longer.",
        ),
        (
            make_queue("q", consumers=0, expected_by=("setting",)),
            "No worker takes from it.",
            "Nobody takes from it; since when is not known.",
        ),
        (
            make_queue("q", consumers=None, consumption_unknown="worker 'w' consumed it, and did not answer"),
            "It is not known who does.",
            "Whether anybody takes from it is not known: worker 'w' consumed it, and did not answer.",
        ),
        (
            make_queue("q", consumers=None, unconsumed_seconds=0.0),
            "It is not known who does.",
            "Somebody takes from it, for messages go; who does is not known.",
        ),
        (
            make_queue("q", consumers=None),
            "It is not known who does.",
            "Whether anybody takes from it is not known.",
        ),
    ],
)
def test_queue__says_since_when_nobody_takes_from_it(queue: QueueState, empty: str, note: str) -> None:
    found = table_of(page_of(queue, schedule_exists=False), "consumers")

    assert (found.rows, found.empty, found.note) == ((), empty, note)


def test_queue__says_what_is_sent_there() -> None:
    queue = make_queue("q", expected_by=("task:app.send", "beat:nightly", "beat:gone", "setting"))
    beat = make_beat(
        entries=(
            make_entry("nightly", task="app.night", queue="q"),
            make_entry("hourly", task="app.hour", queue="q"),
            make_entry("elsewhere", queue="other"),
        )
    )

    found = table_of(page_of(queue, beats=(beat,)), "sources")

    assert texts(found) == [
        ["EXPECTED_QUEUES", "the setting names it"],
        ["gone", "by the schedule"],
        ["hourly", "by the schedule: sends app.hour"],
        ["nightly", "by the schedule: sends app.night"],
        ["app.send", "by its route or options"],
    ]
    assert [row.cells[0].href for row in found.rows][-2:] == [
        "../../page/schedule/?name=nightly",
        "../../page/tasks/?name=app.send",
    ]


DOWN = BrokerState(transport="redis", url="redis://h", reachable=False, error="No answer within 2 s.")
NOTHING = "Nothing of this project is known to be sent here: "


@pytest.mark.parametrize(
    ("snapshot", "empty", "note"),
    [
        # All was read: there is nothing.
        (
            {"schedule_exists": False},
            "no route of a task, no entry of the schedule, and EXPECTED_QUEUES does not name it.",
            "",
        ),
        ({"broker": DOWN}, "perhaps because not everything was read.", "the broker was not read."),
        (
            {"store": StoreState(configured=True, reachable=False, error="refused")},
            "perhaps because not everything was read.",
            "the store was not read, where beats and senders note it.",
        ),
        (
            {"schedule_exists": True},
            "perhaps because not everything was read.",
            "no beat has told what it sends.",
        ),
        (
            {"importing": "Still importing.", "schedule_exists": False},
            "perhaps because not everything was read.",
            "the project's tasks are not known. Still importing.",
        ),
    ],
)
def test_queue__what_was_not_read_is_not_nothing(snapshot: dict[str, Any], empty: str, note: str) -> None:
    page = page_of(make_queue("q", consumers=0, unconsumed_seconds=8.0), **snapshot)

    found = table_of(page, "sources")
    assert (found.rows, found.empty) == ((), NOTHING + empty)
    assert found.note == (f"There may be more: {note}" if note else "")
    assert ("Nobody has to" in table_of(page, "consumers").note) is (not note)


def test_queue__says_who_shares_it() -> None:
    shared = SharedQueue(
        name="q",
        sharers=(Sharer(hostname="them@x", registered=frozenset(), lacks=("app.a",), is_other_project=True),),
        sent=("app.a",),
    )

    page = text_of(page_of(make_queue("q"), shared_queues=(shared,)))

    assert "them@x, of another project: does not register, and so discards, app.a." in page


def test_queue__says_what_runs_from_it() -> None:
    tasks = [
        RunningTask(worker="w", task_id="1", task_name="app.a", queue="q", runtime_seconds=1.0),
        RunningTask(
            worker="w", task_id="2", task_name="app.b", queue="q", runtime_seconds=9.0, limit_seconds=5.0
        ),
        RunningTask(worker="w", task_id="3", task_name="app.c", queue="other"),
    ]
    worker = make_worker("w", active=tasks, active_count=3, active_by_queue={"q": 2, "other": 1})

    found = table_of(page_of(make_queue("q", active=4), workers=[worker]), "running")

    assert texts(found) == [["app.b", "9.0 s", "w", "2"], ["app.a", "1.0 s", "w", "1"]]
    assert found.rows[0].cells[1].detail == "limit 5.0 s"
    # Two more run than are named.
    assert found.left_out == 2


@pytest.mark.parametrize(
    ("active", "text"), [(0, "None."), (None, "It is not known what runs."), (2, "It is not known which.")]
)
def test_queue__nothing_named_is_not_nothing_running(active: int | None, text: str) -> None:
    assert table_of(page_of(make_queue("q", active=active)), "running").empty == text


@override_settings(CELERY_HEALTH={"QUEUES": {"q": {"depth": 5, "scale_to_zero": True}}})
def test_queue__says_its_limits_and_whose_they_are() -> None:
    page = text_of(page_of(make_queue("q", ready=6)))

    assert '<dd class="">5<span class="detail">of this queue (QUEUES)</span>' in page
    assert '<dd class="">10 min<span class="detail">of every queue (LIMITS)</span>' in page
    assert "It may be without consumers while it is empty (scale_to_zero)." in page
    assert "celery_queue_length{queue_name=&quot;q&quot;}" in page


def test_queue__says_why_it_could_not_be_read() -> None:
    page = text_of(page_of(make_queue("q", ready=None, error="WRONGTYPE <b>")))

    assert "What waits in it could not be read: WRONGTYPE &lt;b&gt;" in page


def test_queue__begins_with_what_is_wrong_and_what_to_do(staff: Client, celery: Celery) -> None:
    celery.snapshot = make_snapshot(queues=[make_queue("emails", ready=1204)])

    page = staff.get(QUEUES, {"name": "emails"}).content.decode()

    assert page.index("celery -A proj worker") < page.index('id="figures"')
    assert "?format=json&amp;queue=emails" in page


def test_queue__of_no_such_name(staff: Client, celery: Celery) -> None:
    celery.snapshot = make_snapshot(queues=[make_queue("emails"), make_queue("reports")])

    answer = staff.get(QUEUES, {"name": "emials"})
    page = answer.content.decode()

    assert answer.status_code == 404
    assert "No queue of this name is known." in page
    assert "It was looked for among 2 queues" in page
    assert 'href="../../page/queues/?name=emails"' in page
    assert 'href="../../page/queues/?name=reports"' not in page
    assert 'href="../../page/search/?q=emials"' in page


@override_settings(CELERY_HEALTH={"IGNORED_QUEUES": ["legacy"]})
def test_queue__that_is_ignored_says_so(staff: Client, celery: Celery) -> None:
    answer = staff.get(QUEUES, {"name": "legacy"})

    assert (answer.status_code, b"IGNORED_QUEUES names it" in answer.content) == (404, True)


@pytest.mark.parametrize(
    "snapshot",
    [
        # A worker has it, and the broker was not asked about it.
        {"workers": [make_worker(queues=("q",))], "queues": []},
        {"workers": [make_worker(cancelled_queues=("q",))], "queues": []},
        {"dead_letters": {"q": 2}, "queues": []},
    ],
)
def test_queue__that_somebody_mentions_is_known(snapshot: dict[str, Any]) -> None:
    page = one_queue.page_of("q", report_of(**snapshot), LINKS, get_settings())

    assert (page.status, figures(page)["Waiting"][0]) == (200, "?")


def test_queues__colour_is_the_checks_alone() -> None:
    report = report_of(
        queues=[
            make_queue("deep", ready=1204),
            # Nobody takes from it, for so short a time that the check passes.
            make_queue("young", ready=3, consumers=0, unconsumed_seconds=2.0, oldest_age_seconds=2.0),
            make_queue("unread", ready=None, error="WRONGTYPE"),
        ]
    )

    found = queues.queues(report, LINKS)

    assert {row.cells[0].text: (row.tone, {cell.tone for cell in row.cells}) for row in found.rows} == {
        "deep": ("warn", {"", "warn"}),
        "young": ("", {""}),
        "unread": ("", {""}),
    }
    assert {row.cells[0].text: row.cells[1].detail for row in found.rows}["unread"] == "WRONGTYPE"


def test_queues__one_cause_is_said_once() -> None:
    broker = BrokerState(transport="redis", url="redis://h", reachable=False, error="refused")
    names = [f"q{number}" for number in range(50)]
    report = report_of(
        broker=broker,
        queues=[make_queue(name, ready=None, consumers=None, error="refused") for name in names],
    )

    assert {row.cells[1].detail for row in queues.queues(report, LINKS).rows} == {""}


@pytest.mark.parametrize("name", [HOSTILE, "q" * 300, "‮", "a/b?c=d&e#f", "\ud800", " "])
def test_queue__of_any_name(staff: Client, celery: Celery, name: str) -> None:
    """What a broker holds may be called anything, and asked for by any name."""
    celery.snapshot = make_snapshot(
        queues=[
            make_queue(
                name, ready=None, error=name, foreign_consumers=(name,), idle_consumers=(f"{name} (ok)",)
            )
        ],
        workers=[make_worker(name, queues=(name,))],
    )

    pages = [staff.get(QUEUES), staff.get(QUEUES, {"name": name.encode("utf-8", "replace").decode()})]

    assert pages[0].status_code == 200
    assert pages[1].status_code == (404 if name == "\ud800" else 200)
    for page in pages:
        assert b"<script>alert" not in page.content
        assert b"\x1b" not in page.content


def test_queue__of_which_nothing_is_known() -> None:
    page = page_of(
        QueueState(name="q"), workers=[make_worker(queues=None, active_count=None, concurrency=None)]
    )

    assert {label: value for label, (value, _, _) in figures(page).items()} == dict.fromkeys(
        ["Waiting", "Oldest", "Held by workers", "Running", "Consumers"], "?"
    )
    assert text_of(page)


def test_queues__of_a_thousand_are_quick() -> None:
    report = report_of(
        queues=[
            make_queue(f"queue-{number}", ready=number, consumer_names=("w1",)) for number in range(1000)
        ],
        workers=[make_worker(f"w{number}") for number in range(200)],
    )

    def seconds() -> float:
        begun = time.process_time()
        text_of(queues.page(report, LINKS))
        return time.process_time() - begun

    assert min(seconds() for _ in range(5)) < 0.06


def test_queues__are_chosen_by_how_they_begin(staff: Client, celery: Celery) -> None:
    celery.snapshot = make_snapshot(
        queues=[make_queue(f"queue-{number}") for number in range(150)] + [make_queue("EMails")]
    )

    every, some, none = (staff.get(QUEUES, query).content.decode() for query in ({}, {"q": "em"}, {"q": "x"}))

    assert (every.count('rowheader"'), some.count('rowheader"'), none.count('rowheader"')) == (100, 1, 0)
    # Whoever has a hundred and more can choose; there is a way back.
    assert 'id="choice"' in every and "Show all" not in every
    assert 'value="em"' in some and "?name=EMails" in some and "Show all" in some
    assert "None begins so." in none


def test_queues__that_are_few_need_no_choice(staff: Client, celery: Celery) -> None:
    assert 'id="choice"' not in staff.get(QUEUES).content.decode()
