"""The verdict: what ``celery_health`` says when it is asked nothing else."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Mapping
from typing import Any, Final

from django.core.management.base import CommandParser

from celery_health.conf import get_settings
from celery_health.deadline import Deadline
from celery_health.health import get_report, report_body, with_tasks
from celery_health.management.rendering import headline, render
from celery_health.management.subcommands.base import UsageError
from celery_health.management.terminal import Terminal
from celery_health.reading import prepare
from celery_health.records import HealthReport, Status

HELP: Final = "Say whether Celery works: the verdict, the reasons, and what to do."
OK: Final = 0
BAD: Final = 1
UNKNOWN: Final = 2
DEFAULT_INTERVAL_SECONDS: Final = 2.0
#: A reading is shared for a second, so that asking more often tells nothing; one a day is a cron job.
_INTERVALS: Final = (0.1, 86400.0)
_TIMEOUTS: Final = (0.01, 3600.0)


def add_arguments(parser: CommandParser) -> None:
    """Add the options of the verdict."""
    parser.add_argument(
        "--verbose",
        action="store_true",
        help="Also show every check, worker, running task and queue (so does -v 2; -v 0 shows one line).",
    )
    parser.add_argument("--json", action="store_true", help="Print the body of health/, and nothing else.")
    parser.add_argument(
        "--watch",
        nargs="?",
        const=DEFAULT_INTERVAL_SECONDS,
        metavar="SECONDS",
        help="Ask again every SECONDS (2) until Ctrl-C; with --json, one line of JSON each time.",
    )
    parser.add_argument(
        "--timeout", metavar="SECONDS", help="Answer within SECONDS, instead of the DEADLINE setting."
    )
    parser.add_argument("--strict", action="store_true", help="Exit with 1 when degraded, too.")


def run(terminal: Terminal, options: Mapping[str, Any]) -> int:
    """Print the verdict, once or again and again, and return the exit status."""
    timeout = _seconds("--timeout", options["timeout"], _TIMEOUTS)
    interval = _seconds("--watch", options["watch"], _INTERVALS)
    # What an answer needs is imported first: that is no time in which anybody did not answer.
    prepare()
    while True:
        started = time.monotonic()
        seconds = get_settings().deadline if timeout is None else timeout
        deadline = Deadline.after(seconds)
        report = get_report(deadline, is_one_shot=interval is None)
        if interval is None and report.snapshot.broker.late:
            # It was not kept waiting, it was late itself: once more, since it will not ask again.
            deadline = Deadline.after(seconds)
            report = get_report(deadline, is_one_shot=True)
        if _lists_tasks(options):
            report = with_tasks(report, deadline)
        _show(report, terminal, options, interval)
        if interval is None or terminal.closed:
            return exit_status(report, strict=options["strict"])
        time.sleep(max(0.0, interval - (time.monotonic() - started)))


def exit_status(report: HealthReport, *, strict: bool) -> int:
    """Return 0 for healthy and degraded, 1 for unhealthy; with `strict` 1 for degraded as well.

    Where this process was too late to know anything of the broker, `strict` is a 2: no fault of Celery's.
    """
    if strict and report.status is Status.DEGRADED and report.snapshot.broker.late:
        return UNKNOWN
    good = (Status.HEALTHY,) if strict else (Status.HEALTHY, Status.DEGRADED)
    return OK if report.status in good else BAD


def _lists_tasks(options: Mapping[str, Any]) -> bool:
    return not options["json"] and _is_verbose(options)


def _is_verbose(options: Mapping[str, Any]) -> bool:
    return bool(options["verbosity"] >= 2 or (options["verbosity"] > 0 and options["verbose"]))


def _show(
    report: HealthReport, terminal: Terminal, options: Mapping[str, Any], interval: float | None
) -> None:
    if options["json"]:
        # ASCII only: whatever a name holds, it reaches the terminal as \u escapes.
        body = json.dumps(
            report_body(report), indent=2 if interval is None else None, ensure_ascii=True, allow_nan=False
        )
        terminal.write_lines([body])
        return
    if options["verbosity"] == 0:
        lines = [headline(report, terminal.style)]
    else:
        lines = render(report, terminal.style, verbose=_is_verbose(options))
    if interval is None:
        terminal.write_lines(lines)
    elif terminal.interactive:
        terminal.redraw([*lines, "", f"Every {interval:g} s. Ctrl-C ends."])
    else:
        terminal.write_lines(lines if len(lines) == 1 else [*lines, ""])


def _seconds(option: str, value: object, bounds: tuple[float, float]) -> float | None:
    """Return an option's seconds; None when it was not given.

    Checked here and not by argparse: ``call_command`` hands its keyword arguments over unchecked.
    """
    if value is None:
        return None
    lowest, highest = bounds
    try:
        seconds = float(value) if isinstance(value, str | int | float) else math.nan
    except (ValueError, OverflowError):
        seconds = math.nan
    # NaN is in no interval. True is 1.0 to Python and a mistake here.
    if isinstance(value, bool) or not lowest <= seconds <= highest:
        raise UsageError(
            f"{option} is {value!r}: give seconds from {lowest:g} to {highest:g}, such as {option} 2."
        )
    return seconds
