"""The verdict as people read it, letter by letter."""

from __future__ import annotations

import re
from dataclasses import replace
from textwrap import dedent
from typing import Any

import pytest
from django.core.management.color import color_style, no_style

from celery_health.management.rendering import headline, render
from celery_health.records import (
    AppFacts,
    BrokerState,
    CheckStatus,
    HealthReport,
    InspectionState,
    Source,
    Status,
    WorkerState,
)
from celery_health.testing import make_beat, make_entry
from tests.management.reports import (
    DEEP,
    DEGRADED,
    HEALTHY,
    NO_WORKERS,
    PASSED,
    UNHEALTHY,
    check,
    queue,
    report,
    running,
    worker,
)

LACKING = ("workers.alive", "queues.depth")
PASS, WARN, FAIL, UNKNOWN, UNSUPPORTED, OFF = (
    CheckStatus.PASS,
    CheckStatus.WARN,
    CheckStatus.FAIL,
    CheckStatus.UNKNOWN,
    CheckStatus.UNSUPPORTED,
    CheckStatus.OFF,
)


def shown(report: HealthReport, **options: Any) -> str:
    return "\n".join(render(report, no_style(), **options)) + "\n"


def test_render__healthy() -> None:
    assert shown(HEALTHY) == dedent(
        """\
        HEALTHY: 2 workers alive, 1,206 tasks waiting.

        Workers  2 live (w1@host busy, w2@host)
        Queues   celery 1,205, slow 1, emails 0
        App      shop, broker redis://localhost:6379/0
        Read     2026-11-21 10:00:00 UTC, 0.8 s ago, from heartbeats
        """
    )


def test_render__degraded() -> None:
    assert shown(DEGRADED) == dedent(
        """\
        DEGRADED: Queue 'emails' holds 1204 tasks (limit 1000).

          warn         queues.depth: Queue 'emails' holds 1204 tasks (limit 1000).
                       Add workers: celery -A shop worker -Q emails

        Workers  1 live (w1@host); 1 gone (w3@host)
        Queues   emails 1,204, celery 5
        App      shop, broker redis://localhost:6379/0
        Read     2026-11-21 10:00:00 UTC, 0.8 s ago, from inspection
        """
    )


def test_render__unhealthy_puts_the_worst_first() -> None:
    assert shown(UNHEALTHY) == dedent(
        """\
        UNHEALTHY: No active Celery workers found. (and 1 more problem)

          fail         workers.alive: No active Celery workers found.
                       Start one: celery -A shop worker
          warn         queues.depth: Queue 'emails' holds 1204 tasks (limit 1000).
                       Add workers: celery -A shop worker -Q emails

        Workers  none
        Queues   emails 1,204, celery 12, 1 not known (slow)
        App      shop, broker redis://localhost:6379/0
        Read     2026-11-21 10:00:00 UTC, 0.8 s ago, from inspection
        """
    )


def test_render__verbose() -> None:
    assert shown(HEALTHY, verbose=True) == dedent(
        """\
        HEALTHY: 2 workers alive, 1,206 tasks waiting.

          pass         broker.reachable: The broker at redis://localhost:6379/0 answers.
          pass         workers.alive: 2 workers are alive.

        Workers  2 live (w1@host busy, w2@host)
        Queues   celery 1,205, slow 1, emails 0
        App      shop, broker redis://localhost:6379/0
        Read     2026-11-21 10:00:00 UTC, 0.8 s ago, from heartbeats

        Workers
          name     state  pool       running  reserved  scheduled  seen       queues
          w1@host  busy   prefork 2        2         3          0  0.4 s ago  celery, emails
          w2@host  ok     ?                ?         ?          ?  not known  ?

        Running tasks
          task                       for  queue   worker   id
          shop.tasks.report   1 min 15 s  celery  w1@host  9c1e
          shop.tasks.invoice       2.0 s  celery  w1@host  3f2a
          ... and perhaps others: not every worker has told

        Queues
          name    waiting  held  reserved  unacked  scheduled  running          oldest  consumers
          celery    1,205     3         3        5          0        2       1 min 1 s          2
          emails        0     ?         ?        ?          ?        ?               -          0
          slow          1     ?         ?        ?          ?        ?  over 1 h 6 min          ?

        Schedule
          none known

        ? is not known; zero is a value.
        """
    )


def test_render__broker_down_does_not_bury_the_reason() -> None:
    down = report(
        Status.UNHEALTHY,
        check(
            "broker.reachable",
            FAIL,
            "The broker at redis://:**@db/0 cannot be reached: TimeoutError: slow",
            "The broker at redis://:**@db/0 cannot be reached. Check that it runs.",
        ),
        *(check(id, UNKNOWN, "The broker is away.", because="broker.reachable") for id in LACKING),
        check("tasks.failing", UNKNOWN, "This has a reason of its own."),
        check("tasks.stuck", OFF, "Off by choice (CHECKS)."),
        broker=BrokerState(transport="redis", url="redis://:**@db/0", reachable=False),
        inspection=InspectionState(),
        queues=tuple(queue(f"q{number}", None) for number in range(30)),
    )
    assert shown(down) == dedent(
        """\
        UNHEALTHY: The broker at redis://:**@db/0 cannot be reached: TimeoutError: slow

          fail         broker.reachable: The broker at redis://:**@db/0 cannot be reached: TimeoutError: slow
                       Check that it runs.
                       Not known because of broker.reachable: workers.alive, queues.depth
          unknown      tasks.failing: This has a reason of its own.
          off          tasks.stuck: Off by choice (CHECKS).

        Workers  none known
        Queues   30 not known (q0, q1, q2 and 27 more)
        App      shop, broker redis://:**@db/0
        Read     2026-11-21 10:00:00 UTC, 0.8 s ago, from inspection
        """
    )
    # Asked for everything, each says it.
    assert "  unknown      workers.alive, queues.depth: The broker is away.\n" in shown(down, verbose=True)


def test_render__what_the_reading_skipped() -> None:
    skipped = report(Status.HEALTHY, *PASSED, notes=("One record \x1b[2J was skipped.",))

    assert shown(skipped).endswith(", from inspection\nNote     One record \\x1b[2J was skipped.\n")


def test_render__many_unknown_queues_do_not_bury_the_rest() -> None:
    unread = report(
        Status.HEALTHY,
        *(check("queues.depth", UNKNOWN, f"The depth of queue 'q{n}' could not be read.") for n in range(30)),
    )
    text = shown(unread)
    assert text.count("could not be read") == 3
    assert "  unknown      ... and 27 more (--verbose shows all)\n" in text
    assert shown(unread, verbose=True).count("could not be read") == 30


def test_render__eager_tasks_say_so_once() -> None:
    why = "task_always_eager is on."
    eager = report(
        Status.HEALTHY,
        *(check(id, UNSUPPORTED, why) for id in ("broker.reachable", "workers.alive", "queues.depth")),
        app=AppFacts(app_id="shop", name="shop", always_eager=True),
        broker=BrokerState(transport="eager", url=""),
    )
    assert shown(eager) == dedent(
        """\
        HEALTHY: tasks run in the process that calls them (task_always_eager): no broker or worker is asked.

          unsupported  broker.reachable, workers.alive, queues.depth: task_always_eager is on.

        App      shop
        Read     2026-11-21 10:00:00 UTC, 0.8 s ago, from inspection
        """
    )


@pytest.mark.parametrize(
    ("given", "line"),
    [
        # Nothing was found wrong, but not everything could be looked at: no bare HEALTHY.
        (
            report(
                Status.HEALTHY,
                check("workers.alive", UNKNOWN, "No worker has answered in time."),
                check("workers.alive", UNKNOWN, "Nor has this one."),
                inspection=InspectionState(asked=True),
                queues=(queue("celery", 0),),
            ),
            "HEALTHY: as far as is known: no worker alive, 0 tasks waiting. Not known: workers.",
        ),
        # No depth at all could be read: not "0 tasks".
        (
            report(Status.HEALTHY, *PASSED, workers=(worker("w1@host"),), queues=(queue("celery", None),)),
            "HEALTHY: 1 worker alive, waiting tasks unknown.",
        ),
        (
            report(Status.HEALTHY, *PASSED, workers=(worker("w1@host"),)),
            "HEALTHY: 1 worker alive, no queue known.",
        ),
        # MIN_WORKERS 0: nobody there, and nobody needed.
        (report(Status.HEALTHY, queues=(queue("celery", 1),)), "HEALTHY: no worker alive, 1 task waiting."),
        # A worker of unknown state is not alive.
        (
            report(Status.HEALTHY, workers=(worker("w", WorkerState.UNKNOWN),), queues=(queue("q", 2),)),
            "HEALTHY: no worker alive, 2 tasks waiting.",
        ),
        (
            report(Status.UNHEALTHY, DEEP, DEEP, NO_WORKERS),
            "UNHEALTHY: No active Celery workers found. (and 2 more problems)",
        ),
    ],
)
def test_headline(given: HealthReport, line: str) -> None:
    assert headline(given, no_style()) == line


def test_render__many_faults_are_counted() -> None:
    many = report(
        Status.DEGRADED,
        *(replace(DEEP, message=f"Queue 'q{n}' is deep.", recommendation=f"Do {n}.") for n in range(1204)),
    )
    text = shown(many)
    assert "(and 1,203 more problems)" in text
    assert "  warn         ... and 1,194 more (--verbose shows all)\n" in text
    assert text.count("  warn  ") == 11
    assert shown(many, verbose=True).count("  warn  ") == 1204


def test_render__many_workers_and_queues_fit() -> None:
    crowd = report(
        Status.HEALTHY,
        *PASSED,
        workers=tuple(worker(f"w{number:03}@host", WorkerState.SATURATED) for number in range(200)),
        queues=tuple(queue(f"q{number:04}", number % 3) for number in range(1000)),
    )
    text = shown(crowd)
    assert "HEALTHY: 200 workers alive, 999 tasks waiting." in text
    assert "Workers  200 live (w000@host saturated, w001@host saturated, w002@host" in text
    assert "w004@host saturated and 195 more)" in text
    assert (
        "Queues   q0002 2, q0005 2, q0008 2, q0011 2, q0014 2, q0017 2, q0020 2, q0023 2, 658 more, 334 empty"
        in text
    )
    assert len(text) < 700


@pytest.mark.parametrize(
    ("workers", "line"),
    [
        ((), "none"),
        ((worker("a", WorkerState.UNKNOWN), worker("b", WorkerState.UNKNOWN)), "2 not known (a, b)"),
        (
            (worker("a", WorkerState.DRAINING), worker("b", WorkerState.NOT_CONSUMING), worker("c")),
            "3 live (a draining, b not consuming, c)",
        ),
        ((worker("a", WorkerState.GONE),), "1 gone (a)"),
    ],
)
def test_render__workers_line(workers: tuple[Any, ...], line: str) -> None:
    assert f"\nWorkers  {line}\n" in shown(report(Status.HEALTHY, workers=workers))


@pytest.mark.parametrize(
    ("workers", "lines"),
    [
        ((), ["  none"]),
        # A worker that does not say is no worker that runs nothing.
        ((worker("a"),), ["  not known"]),
        ((worker("a", active_count=0), worker("b")), ["  not known"]),
        ((worker("a", active_count=0),), ["  none"]),
        # One that is gone runs nothing that matters.
        ((worker("a", active_count=0), worker("b", WorkerState.GONE)), ["  none"]),
        # Named are some of them, counted all.
        (
            (worker("a", active_count=70, active=(running("t", None, queue=None),)),),
            ["  task  for  queue  worker   id", "  t       ?  ?      w1@host  3f2a", "  ... and 69 more"],
        ),
    ],
)
def test_render__running_tasks(workers: tuple[Any, ...], lines: list[str]) -> None:
    text = shown(report(Status.HEALTHY, workers=workers), verbose=True)
    assert text.split("Running tasks\n")[1].split("\n\n")[0].split("\n") == lines


def test_render__running_tasks_are_cut() -> None:
    active = tuple(running("t", float(number)) for number in range(80))
    text = shown(report(Status.HEALTHY, workers=(worker("a", active=active, active_count=80),)), verbose=True)
    section = text.split("Running tasks\n")[1].split("\n\n")[0].split("\n")
    assert len(section) == 1 + 50 + 1
    assert section[1].split()[1:3] == ["1", "min"]  # 79 seconds: the longest first
    assert section[-1] == "  ... and 30 more"


def test_render__source_and_age() -> None:
    old = replace(HEALTHY, age_seconds=75.0, snapshot=replace(HEALTHY.snapshot, source=Source.MIXED))
    assert "Read     2026-11-21 10:00:00 UTC, 1 min 15 s ago, from mixed\n" in shown(old)


@pytest.mark.parametrize(
    ("advice", "line"),
    [
        ("No active Celery workers found. Start one: x", "Start one: x"),
        ("Start one: x", "Start one: x"),
        # The message alone is no advice, and better than an empty line.
        ("No active Celery workers found.", "No active Celery workers found."),
        ("Look at it. Then start one.", "Look at it. Then start one."),
    ],
)
def test_render__advice_does_not_repeat_the_message(advice: str, line: str) -> None:
    text = shown(report(Status.UNHEALTHY, replace(NO_WORKERS, recommendation=advice)))
    assert text.splitlines()[3] == " " * 15 + line


def test_render__plain_has_no_escapes_and_colour_has_only_colours() -> None:
    for given in (HEALTHY, DEGRADED, UNHEALTHY):
        plain = shown(given, verbose=True)
        assert "\x1b" not in plain
        coloured = "\n".join(render(given, color_style(force_color=True), verbose=True)) + "\n"
        assert "\x1b[" in coloured
        assert strip_colours(coloured) == plain


def strip_colours(text: str) -> str:
    return re.sub(r"\x1b\[[0-9;]*m", "", text)


HOSTILE = [
    "\x1b[2J\x1b]0;owned\x07",
    "queue\nHEALTHY: all is well",
    "queue\r\x1b[A",
    "\u202emoc.elpmaxe\u2066",
    "\x9b31mC1",
    "zero\u200bwidth\ufeff",
    "\u2028line\u2029paragraph\x85",
    "\ud800 lone surrogate",
    "\x00null\x7fdelete\x08\x08",
    "x" * 100_000,
    "\U000e0041tag",
]


@pytest.mark.parametrize("name", HOSTILE, ids=range(len(HOSTILE)))
@pytest.mark.parametrize("verbose", [False, True])
def test_render__hostile_names_do_nothing(name: str, verbose: bool) -> None:
    hostile = report(
        Status.UNHEALTHY,
        replace(DEEP, message=f"Queue '{name}' is deep.", recommendation=f"celery -Q {name}", subject=name),
        replace(NO_WORKERS, message=name, recommendation=name),
        app=AppFacts(app_id=name, name=name),
        broker=BrokerState(transport=name, url=f"redis://{name}", reachable=True, error=name),
        workers=(
            worker(
                name, pool=name, queues=(name, name), active=(running(name, 1.0, worker=name, task_id=name),)
            ),
            worker(name, WorkerState.GONE),
            worker(name, WorkerState.UNKNOWN),
        ),
        queues=(queue(name, 5), queue(name, None, error=name), queue(name, 0)),
    )
    lines = render(hostile, no_style(), verbose=verbose)
    # Each is one line of what a terminal shows as it stands, and none is without end.
    assert [line for line in lines if not line.isprintable()] == []
    assert max(map(len, lines)) < 2200
    assert lines[0].startswith("UNHEALTHY: ")
    assert sum(line.startswith("HEALTHY") for line in lines) == 0


def test_render__schedule() -> None:
    entries = (
        make_entry("nightly", schedule="0 4 * * * (UTC)", last_sent_seconds=3600.0, next_due_in_seconds=60.0),
        make_entry("late", task="shop.tasks.sync", overdue_seconds=90.0, last_sent_seconds=None),
        make_entry("off", enabled=False),
    )
    beat = make_beat(entries=entries, entries_total=5)
    text = shown(report(Status.HEALTHY, beats=(beat,)), verbose=True)
    lines = text.split("Schedule\n")[1].split("\n\n")[0].split("\n")
    assert [line.split()[0] for line in lines] == ["entry", "late", "nightly", "off", "..."]
    assert "1 min 30 s" in lines[1] and "1 h ago" in lines[2] and "disabled" in lines[3]
    assert lines[-1] == "  ... and 2 more"
