"""The pages of the schedule: its beats, its entries, and what to do where none sends it."""

from __future__ import annotations

import time
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from django.test import Client

from celery_health.conf import get_settings
from celery_health.health import judge
from celery_health.page import one_entry, schedule
from celery_health.page.beats import meaning
from celery_health.page.blocks import Code, Facts, Figures, Page, Text
from celery_health.page.links import ROOT_OF_PAGES, Links
from celery_health.records import AppFacts, Beat, BeatState, HealthReport, StoreState
from celery_health.testing import make_beat, make_entry, make_snapshot
from tests.api.conftest import PREFIX, Celery
from tests.page.reading_pages import table_of, text_of, texts

LINKS = Links(ROOT_OF_PAGES)
SCHEDULE = f"{PREFIX}page/schedule/"
STORE = StoreState(configured=True, reachable=True)
HOSTILE = "</td><script>alert(1)</script>\x1b[31m\u202e{{ x }}"


def report_of(*beats: Beat, **snapshot: Any) -> HealthReport:
    settings: dict[str, Any] = {"store": STORE, "store_age_seconds": 3600.0, **snapshot}
    return judge(make_snapshot(beats=beats, **settings), get_settings())


def page_of(*beats: Beat, **snapshot: Any) -> Page:
    return schedule.page(report_of(*beats, **snapshot), LINKS)


def entry_page(name: str, *beats: Beat, **snapshot: Any) -> Page:
    return one_entry.page_of(name, report_of(*beats, **snapshot), LINKS, get_settings())


def facts(page: Page, facts_id: str = "facts") -> dict[str, tuple[str, str]]:
    block = next(block for block in page.blocks if isinstance(block, Facts) and block.id == facts_id)
    return {label: (cell.text, cell.detail) for label, cell in block.pairs}


def figures(page: Page) -> dict[str, tuple[str, str, str]]:
    block = next(block for block in page.blocks if isinstance(block, Figures))
    return {figure.label: (figure.value, figure.detail, figure.tone) for figure in block.figures}


def said(page: Page) -> list[str]:
    return [cell.text for block in page.blocks if isinstance(block, Text) for cell in block.lines]


@pytest.mark.parametrize(
    ("snapshot", "text", "has_command"),
    [
        # The check does not complain yet, and the command is of use already.
        (
            {"schedule_exists": True, "store_age_seconds": 5.0},
            "No beat was ever seen: nothing is sent by a schedule. One without celery_health is not seen.",
            True,
        ),
        # The check says what to do: once is enough.
        (
            {"schedule_exists": True},
            "No beat was ever seen: nothing is sent by a schedule. One without celery_health is not seen.",
            False,
        ),
        (
            {"schedule_exists": False},
            "No beat was ever seen, and the settings hold no schedule: there is nothing to send.",
            False,
        ),
        (
            {"store": StoreState(configured=False)},
            "Beats report themselves to a store, and there is none: set STORE_URL to a Redis.",
            False,
        ),
        (
            {"store": StoreState(configured=True, reachable=False, error="Connection refused.")},
            "Whether a beat runs is not known: Connection refused.",
            False,
        ),
        (
            {"app": AppFacts(app_id="p", name="p", always_eager=True)},
            "Tasks run in the process that calls them (task_always_eager): beats are not looked at.",
            False,
        ),
    ],
)
def test_schedule__without_any_beat(snapshot: dict[str, Any], text: str, has_command: bool) -> None:
    page = page_of(**snapshot)

    assert said(page) == [text]
    assert [block.text for block in page.blocks if isinstance(block, Code)] == (
        ["celery -A proj beat"] if has_command else []
    )
    # What is to be done is said somewhere wherever a beat is missing.
    assert ("celery -A proj beat" in text_of(page)) is (snapshot.get("schedule_exists") is True)


@pytest.mark.parametrize(
    ("beat", "text"),
    [
        (
            make_beat("b", state=BeatState.STOPPED, last_seen_seconds=300.0),
            "No beat runs: 'b' said goodbye 5 min ago. Nothing is sent by a schedule.",
        ),
        (
            make_beat("b", state=BeatState.GONE, last_seen_seconds=300.0),
            "No beat runs: 'b' was last seen 5 min ago. Nothing is sent by a schedule.",
        ),
        (
            make_beat("b", state=BeatState.STANDBY),
            "No beat sends the schedule: those that run wait for a lock that another holds.",
        ),
    ],
)
def test_schedule__of_beats_that_do_not_send(beat: Beat, text: str) -> None:
    page = page_of(beat, schedule_exists=True)

    assert said(page) == [text]
    assert texts(table_of(page, "beats"))[0][0] == "b"


def test_schedule__lists_its_beats() -> None:
    page = page_of(
        make_beat("old", state=BeatState.GONE, last_seen_seconds=900.0),
        make_beat("one", scheduler="celery.beat:PersistentScheduler", last_sent_seconds=None),
        make_beat("two", state=BeatState.STANDBY, stored_outside=True, entries=None, entries_total=None),
    )

    found = table_of(page, "beats")

    assert texts(found) == [
        ["one", "ok", "1.0 s ago", "nothing yet", "1", "celery.beat:PersistentScheduler"],
        ["two", "standby", "1.0 s ago", "5.0 s ago", "?", "?"],
        ["old", "gone", "15 min ago", "5.0 s ago", "1", "?"],
    ]
    assert [row.tone for row in found.rows] == ["", "", "quiet"]
    assert [row.cells[-1].detail for row in found.rows][1] == "its schedule is kept in a table or in Redis"


def test_meaning__has_words_for_each_state() -> None:
    assert all(meaning(make_beat(state=state)) for state in BeatState)
    stuck = make_beat(state=BeatState.STUCK, late_seconds=200.0)
    assert meaning(stuck) == "lives, and its scheduler was to wake 3 min 20 s ago, and has not"


def test_schedule__those_with_a_fault_first_and_those_that_are_off_last() -> None:
    """Only what a check found is coloured: an entry that is a little late is not."""
    page = page_of(
        make_beat(
            entries=(
                make_entry("a-off", enabled=False, overdue_seconds=9000.0),
                make_entry("b-well"),
                make_entry("c-young", overdue_seconds=20.0),
                make_entry("d-late", overdue_seconds=900.0),
                make_entry("e-failed", last_error="Connection refused", overdue_seconds=900.0),
            )
        )
    )

    found = table_of(page, "schedule")

    assert [(row.cells[0].text, row.tone) for row in found.rows] == [
        ("d-late", "warn"),
        ("e-failed", "warn"),
        ("c-young", ""),
        ("b-well", ""),
        ("a-off", "quiet"),
    ]
    late = {row.cells[0].text: (row.cells[6].text, row.cells[6].tone) for row in found.rows}
    assert late == {
        "d-late": ("15 min", "warn"),
        "e-failed": ("15 min", "warn"),
        "c-young": ("20 s", ""),
        "b-well": ("-", ""),
        "a-off": ("-", ""),
    }
    assert [row.cells[7].text for row in found.rows] == ["", "Connection refused", "", "", ""]


def test_schedule__has_no_column_of_troubles_that_nobody_has() -> None:
    assert "Trouble" not in [column.title for column in table_of(page_of(make_beat()), "schedule").columns]


def test_entry__says_when_by_whom_and_where_to() -> None:
    entry = make_entry(
        "nightly",
        task="app.night",
        queue="reports",
        last_sent_at=datetime(2026, 1, 28, 9, 59, 55, tzinfo=UTC),
        next_due_at=datetime(2026, 1, 28, 10, 0, 55, tzinfo=UTC),
    )

    page = entry_page("nightly", make_beat("b", entries=(replace(entry, beat="b"),)))

    assert figures(page) == {
        "Last sent": ("5.0 s ago", "2026-01-28 09:59:55 UTC, by beat's clock", ""),
        "Next": ("55 s", "2026-01-28 10:00:55 UTC, by beat's clock", ""),
        "Late": ("-", "limit 1 min", ""),
    }
    assert {label: value for label, (value, _) in facts(page).items()} == {
        "Task": "app.night",
        "Queue": "reports",
        "When": "every 1 min",
        "Enabled": "yes",
        "From one run to the next": "1 min",
        "Beat": "b",
    }
    html = text_of(page)
    for address in ("tasks/?name=app.night", "queues/?name=reports", "schedule/?name=b"):
        assert f'href="../../page/{address}"' in html


@pytest.mark.parametrize(
    ("changes", "lines"),
    [
        ({"enabled": False}, ["It is disabled: beat does not send it."]),
        ({"last_error": "refused"}, ["It could not be sent the last time: refused"]),
        ({"missed": True}, ["It was due while no beat ran, and none has made up for it."]),
        ({}, []),
    ],
)
def test_entry__says_what_went_wrong(changes: dict[str, Any], lines: list[str]) -> None:
    assert said(entry_page("sync", make_beat(entries=(make_entry(**changes),)))) == lines


def test_entry__of_a_beat_that_has_ended() -> None:
    beat = make_beat("b", state=BeatState.GONE, last_seen_seconds=60.0, entries=(make_entry(beat="b"),))

    page = entry_page("sync", beat)

    assert said(page) == [
        "The beat that sent it has ended: this is as it was 1 min ago. Nobody sends it now."
    ]


def test_entry__that_is_late_takes_the_colour_of_the_check() -> None:
    page = entry_page("sync", make_beat(entries=(make_entry(overdue_seconds=900.0),)))

    assert figures(page)["Late"] == ("15 min", "limit 1 min", "warn")
    assert "is overdue by 15 minutes" in text_of(page)


def test_entry__of_two_beats_is_told_by_each() -> None:
    page = entry_page(
        "sync",
        make_beat("a", entries=(make_entry(beat="a", last_sent_seconds=5.0),)),
        make_beat("b", entries=(make_entry(beat="b", last_sent_seconds=None, schedule="every 2 min"),)),
    )

    assert [row[:4] for row in texts(table_of(page, "tellers"))] == [
        ["a", "ok", "every 1 min", "5.0 s ago"],
        ["b", "ok", "every 2 min", "-"],
    ]


def test_entry__none_is_not_known() -> None:
    page = entry_page(
        "sync",
        make_beat(
            entries=(
                make_entry(
                    queue=None,
                    schedule=None,
                    last_sent_seconds=None,
                    next_due_in_seconds=None,
                    overdue_seconds=None,
                    interval_seconds=None,
                ),
            )
        ),
    )

    assert {label: value for label, (value, _, _) in figures(page).items()} == {
        # Never sent, as far as the beat remembers.
        "Last sent": "-",
        "Next": "?",
        "Late": "?",
    }
    found = facts(page)
    assert found["Queue"] == ("?", "it goes to an exchange, or nobody can say")
    assert (found["When"][0], found["From one run to the next"][0]) == ("?", "?")


def test_entry__a_beat_of_that_name_is_shown() -> None:
    beat = make_beat("celerybeat@h", pid=12345, scheduler="x.Y", uptime_seconds=60.0)

    page = entry_page("celerybeat@h", beat)

    assert (page.kind, page.title) == ("Beat", "celerybeat@h")
    found = facts(page, "beat")
    assert (found["Process id"][0], found["Runs for"][0]) == ("12345", "1 min")
    assert texts(table_of(page, "entries")) == [["sync", "proj.tasks.sync", "5.0 s ago", "55 s"]]


def test_entry__what_a_check_links_to_is_a_page() -> None:
    """Beats that are one too many are one subject of a check, under no name of an entry."""
    beats = [make_beat(name, last_sent_seconds=1.0, entries=(make_entry(beat=name),)) for name in "ab"]
    doubled = next(check for check in report_of(*beats).checks if check.unit == "beats")

    page = entry_page(doubled.subject or "", *beats)

    assert (page.status, "2 beats send the same schedule" in text_of(page)) == (200, True)


@pytest.mark.parametrize(
    ("beats", "status", "text"),
    [
        ([make_beat()], 404, "No entry of this name is known."),
        # It may be one of those that beat does not list.
        ([make_beat(entries_total=500)], 200, "Beat does not list 499 more."),
        ([], 200, "No beat has told what it sends, so it is not known which entries there are."),
    ],
)
def test_entry__of_no_such_name(
    staff: Client, celery: Celery, beats: list[Beat], status: int, text: str
) -> None:
    celery.snapshot = make_snapshot(beats=tuple(beats), store=STORE)

    answer = staff.get(SCHEDULE, {"name": "synk"})
    page = answer.content.decode()

    assert (answer.status_code, text in page) == (status, True)
    assert ('href="../../page/schedule/?name=sync"' in page) is bool(beats)


def test_entry__is_known_by_its_name_in_full_though_less_is_kept() -> None:
    kept, full = "e" * 500, "e" * 600

    page = entry_page(full, make_beat(entries=(make_entry(kept), make_entry("e" * 499))))

    assert (page.status, page.kind) == (200, "Schedule entry")
    assert dict(facts(page, "name"))["Name in full"][0] == kept


@pytest.mark.parametrize("name", [HOSTILE, "e" * 300, "\u202e", "a/b?c=d&e#f", "\ud800", " "])
def test_entry__of_any_name(staff: Client, celery: Celery, name: str) -> None:
    entry = make_entry(name, task=name, beat=name, queue=name, schedule=name, last_error=name)
    beat = make_beat(name, entries=(entry,), scheduler=name, hostname=name, versions={name: name})
    celery.snapshot = make_snapshot(beats=(beat,), store=STORE)

    pages = [staff.get(SCHEDULE), staff.get(SCHEDULE, {"name": name.encode("utf-8", "replace").decode()})]

    assert pages[0].status_code == 200
    assert pages[1].status_code == (404 if name == "\ud800" else 200)
    for page in pages:
        assert b"<script>alert" not in page.content
        assert b"\x1b" not in page.content


def test_schedule__of_a_thousand_entries_is_quick() -> None:
    report = report_of(make_beat(entries=tuple(make_entry(f"entry-{number}") for number in range(1000))))

    def seconds() -> float:
        begun = time.process_time()
        text_of(schedule.page(report, LINKS))
        return time.process_time() - begun

    assert min(seconds() for _ in range(5)) < 0.06


def test_schedule__entries_are_chosen_by_how_they_begin() -> None:
    report = report_of(make_beat(entries=(make_entry("sync"), make_entry("night")), entries_total=9))

    found = table_of(schedule.page(report, LINKS, begins="NI"), "schedule")

    # How many of those that beat does not list begin so, nobody knows.
    assert ([row.cells[0].text for row in found.rows], found.left_out) == (["night"], 0)
