"""``celery_health dead-letters``: what failed for good, to be looked at, sent again, or purged."""

from __future__ import annotations

import getpass
import json
import math
from collections.abc import Callable, Mapping
from typing import Any, Final

from django.core.management.base import CommandParser

from celery_health.dead_letters import acting, letters
from celery_health.dead_letters.body import aside_body, letter_row, page_body, requeued_body, sizes_body
from celery_health.dead_letters.letters import MAX_LIMIT, RequeueInterruptedError, RequeueStopped
from celery_health.dead_letters.moments import unix_seconds
from celery_health.dead_letters.records import Cause, Filter
from celery_health.exceptions import LetterNotFoundError, NotConsumedError, ReadableError
from celery_health.management.letters_text import (
    aside_lines,
    letter_lines,
    page_lines,
    requeued_lines,
    sizes_lines,
)
from celery_health.management.subcommands.base import UsageError
from celery_health.management.terminal import Terminal
from celery_health.reading import prepare
from celery_health.text.printable import printable

HELP: Final = (
    "List what failed for good, show why, send it again, or purge it; set aside what no worker can read."
)
OK: Final = 0
NOT_DONE: Final = 1
DEFAULT_LIMIT: Final = 20
#: Which options each action takes, by their names in `options`.
_OPTIONS: Final[Mapping[str, frozenset[str]]] = {
    "list": frozenset({"task", "exception", "cause", "since", "until", "limit", "offset"}),
    "show": frozenset(),
    "requeue": frozenset(
        {"task", "exception", "cause", "since", "until", "limit", "rate", "timeout", "dry_run", "force"}
    ),
    "purge": frozenset({"dry_run", "yes"}),
    "set-aside": frozenset({"dry_run"}),
}
_RATES: Final = (0.01, 1e6)
_TIMEOUTS: Final = (0.01, 86400.0)
_ALL_OPTIONS: Final = frozenset[str]().union(*_OPTIONS.values())


def add_arguments(parser: CommandParser) -> None:
    """Add the options of dead letters."""
    add = parser.add_argument
    add("action", help="list, show, requeue, purge or set-aside")
    add("queue", nargs="?", help="A queue, as tasks know it. Without one, list shows how many each has.")
    add(
        "ids",
        nargs="*",
        metavar="id",
        help="Letters, by their own ids or their tasks'. requeue: without, all.",
    )
    add("--task", metavar="NAME", help="Only letters of this task.")
    add("--exception", metavar="CLASS", help="Only letters of this exception.")
    add("--cause", metavar="CAUSE", help=f"Only letters of this cause: {', '.join(Cause)}.")
    add(
        "--since", metavar="TIME", help="Only what failed then or later: 2026-01-28T10:00, or 2h for 2 h ago."
    )
    add("--until", metavar="TIME", help="Only what failed before.")
    add(
        "--limit",
        metavar="N",
        help=f"list: letters to show ({DEFAULT_LIMIT}); requeue: letters to send at most.",
    )
    add("--offset", metavar="N", help="list: letters to pass over.")
    add("--rate", metavar="N", help="requeue: letters per second at most.")
    add("--timeout", metavar="SECONDS", help="requeue: send for so long at most, and say what is left.")
    add("--dry-run", action="store_true", help="Say what would be done, and do nothing.")
    add("--force", action="store_true", help="requeue: also without a consumer, and also what has expired.")
    add("--yes", action="store_true", help="purge: do not ask.")
    add("--json", action="store_true", help="Print what dead-letters/ answers over HTTP, and nothing else.")


def run(terminal: Terminal, options: Mapping[str, Any]) -> int:
    """Do it, and return the exit status: 1 when something that was asked for was not done."""
    action = _action(options)
    prepare()
    try:
        return _ACTIONS[action](terminal, options)
    except (LetterNotFoundError, NotConsumedError, ReadableError) as error:
        _answer(terminal, options, {"error": str(error)}, [terminal.style.ERROR(printable(error))])
        return NOT_DONE


def _list(terminal: Terminal, options: Mapping[str, Any]) -> int:
    if options["ids"]:
        raise UsageError("list takes a queue and no ids: show QUEUE ID shows one letter.")
    if options["queue"] is None:
        for name in sorted(_OPTIONS["list"]):
            if options[name] is not None:
                raise UsageError(f"--{name} needs a queue: dead-letters list QUEUE --{name} ...")
        found = letters.sizes()
        _answer(terminal, options, sizes_body(found), sizes_lines(found))
        return OK
    page = letters.entries(
        options["queue"],
        limit=_whole("--limit", options["limit"], 1) or DEFAULT_LIMIT,
        offset=_whole("--offset", options["offset"], 0) or 0,
        where=_filter(options),
    )
    _answer(terminal, options, page_body(page), page_lines(page, terminal.style))
    return OK


def _show(terminal: Terminal, options: Mapping[str, Any]) -> int:
    if len(options["ids"]) != 1:
        raise UsageError("show takes a queue and one id: dead-letters show QUEUE ID.")
    letter = letters.entry(options["queue"], options["ids"][0])
    _answer(terminal, options, letter_row(letter), letter_lines(letter, terminal.style))
    return OK


def _requeue(terminal: Terminal, options: Mapping[str, Any]) -> int:
    chosen: dict[str, Any] = {
        "where": _filter(options),
        "limit": _whole("--limit", options["limit"], 1),
        "rate": _number("--rate", options["rate"], _RATES, "letters per second", "10"),
        "timeout": _number("--timeout", options["timeout"], _TIMEOUTS, "seconds", "60"),
        "force": options["force"],
        "dry_run": options["dry_run"],
    }
    ids = options["ids"] or None
    interrupted: RequeueInterruptedError | RequeueStopped | None = None
    try:
        done = acting.requeue(_who(), options["queue"], ids, **chosen)
    except (RequeueInterruptedError, RequeueStopped) as error:
        done, interrupted = error.done, error
    body, lines = requeued_body(done), requeued_lines(done, terminal.style)
    if interrupted is not None:
        body |= {"error": str(interrupted)}
        lines = [terminal.style.ERROR(printable(interrupted)), *lines]
    _answer(terminal, options, body, lines)
    if isinstance(interrupted, KeyboardInterrupt):
        raise interrupted
    failed = interrupted or done.timed_out or done.not_found or done.expired or done.unsendable
    return NOT_DONE if failed else OK


def _purge(terminal: Terminal, options: Mapping[str, Any]) -> int:
    if options["ids"]:
        raise UsageError("purge takes a queue and no ids: it removes all letters of the queue.")
    queue = options["queue"]
    if options["dry_run"] or not options["yes"]:
        size = letters.entries(queue, limit=1).size
        if options["dry_run"]:
            body = {"queue": printable(queue), "purged": size, "dry_run": True}
            _answer(
                terminal, options, body, [f"Would purge {size:,d} dead letters of queue {printable(queue)}."]
            )
            return OK
        if options["json"]:
            raise UsageError("purge --json asks nothing: give --yes as well.")
        if not _is_confirmed(terminal, queue, size):
            terminal.write_lines(["Nothing was purged."])
            return NOT_DONE
    count = acting.purge(_who(), queue)
    body = {"queue": printable(queue), "purged": count, "dry_run": False}
    _answer(terminal, options, body, [f"Purged {count:,d} dead letters of queue {printable(queue)}."])
    return OK


def _set_aside(terminal: Terminal, options: Mapping[str, Any]) -> int:
    if options["ids"]:
        raise UsageError("set-aside takes a queue and no ids: it looks at the first messages of the queue.")
    done = acting.set_aside(_who(), options["queue"], dry_run=options["dry_run"])
    _answer(terminal, options, aside_body(done), aside_lines(done, terminal.style))
    return OK


_ACTIONS: Final[Mapping[str, Callable[[Terminal, Mapping[str, Any]], int]]] = {
    "list": _list,
    "show": _show,
    "requeue": _requeue,
    "purge": _purge,
    "set-aside": _set_aside,
}


def _action(options: Mapping[str, Any]) -> str:
    action = str(options["action"])
    if action not in _ACTIONS:
        raise UsageError(f"dead-letters {action!r}: give one of {', '.join(_ACTIONS)}.")
    if action != "list" and options["queue"] is None:
        raise UsageError(f"{action} needs a queue: dead-letters {action} QUEUE.")
    for name in sorted(_ALL_OPTIONS - _OPTIONS[action]):
        if options[name] not in (None, False):
            raise UsageError(f"--{name.replace('_', '-')} does not belong to {action}. Leave it out.")
    return action


def _answer(
    terminal: Terminal, options: Mapping[str, Any], body: Mapping[str, Any], lines: list[str]
) -> None:
    if options["json"]:
        # ASCII only: whatever a name holds, it reaches the terminal as \\u escapes.
        lines = [json.dumps(body, indent=2, ensure_ascii=True, allow_nan=False)]
    terminal.write_lines(lines)


def _is_confirmed(terminal: Terminal, queue: str, size: int) -> bool:
    terminal.write_lines(
        [
            f"This removes {size:,d} dead letters of queue {printable(queue)} for good.",
            "Type the queue's name to go on:",
        ]
    )
    try:
        return input() == queue
    except EOFError:
        raise UsageError("purge asks for the queue's name, and nobody answered: give --yes.") from None


def _who() -> str:
    try:
        return f"{getpass.getuser()} (command line)"
    except (OSError, KeyError, ImportError):  # a container's user without a name
        return "an unnamed user (command line)"


def _filter(options: Mapping[str, Any]) -> Filter:
    return Filter(
        task=options["task"],
        exception=options["exception"],
        cause=_cause(options["cause"]),
        since=_moment("--since", options["since"]),
        until=_moment("--until", options["until"]),
    )


def _cause(value: object) -> Cause | None:
    if value is None:
        return None
    try:
        return Cause(str(value))
    except ValueError:
        raise UsageError(f"--cause is {value!r}. Known: {', '.join(Cause)}.") from None


def _moment(option: str, value: object) -> float | None:
    if value is None:
        return None
    try:
        return unix_seconds(str(value))
    except ValueError as error:
        raise UsageError(f"{option} is {value!r}: {error}") from None


def _whole(option: str, value: object, lowest: int) -> int | None:
    """Return a whole number; checked here, since ``call_command`` hands its arguments over unchecked."""
    if value is None:
        return None
    text = str(value)
    if not (text.isascii() and text.isdigit() and len(text) < 10 and lowest <= int(text) <= MAX_LIMIT):
        raise UsageError(f"{option} is {value!r}: give a whole number from {lowest} to {MAX_LIMIT}.")
    return int(text)


def _number(option: str, value: object, bounds: tuple[float, float], what: str, such: str) -> float | None:
    if value is None:
        return None
    try:
        number = float(str(value))
    except ValueError:
        number = math.nan
    least, most = bounds
    if not least <= number <= most:
        raise UsageError(
            f"{option} is {value!r}: give {what} from {least:g} to {most:.0f}, such as {option} {such}."
        )
    return number
