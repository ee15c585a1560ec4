"""Look at the newest letters of a queue, and count what kinds there are: one look, bounded."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import Final

from celery_health.dead_letters.boxes import Stop, Stored
from celery_health.dead_letters.envelope import decode_reason
from celery_health.dead_letters.letters import base_of, opened
from celery_health.dead_letters.reading import names, read_brief, read_letter
from celery_health.dead_letters.records import Brief, DeadLetter, Filter, Group, Newest, Seen
from celery_health.deadline import Deadline
from celery_health.exceptions import BrokerError, DeadlineExceeded, LetterNotFoundError, UnsupportedError

#: Letters looked at, where nobody asks for more: some 50 ms.
MOST_LOOKED: Final = 1000
#: Kinds that are told apart; what is of another is not counted.
MOST_GROUPS: Final = 1000
#: How long the looks of others are waited for: a thousand letters take some 0.3 s.
MOMENT_SECONDS: Final = 1.0
_POLL_SECONDS: Final = 0.1


@dataclass(kw_only=True)
class _Kinds:
    """The kinds of letters that were looked at."""

    found: dict[tuple[str, str | None], Group]

    def add(self, brief: Brief) -> None:
        key = (brief.exception or brief.cause.value, brief.task_name)
        before = self.found.get(key)
        if before is not None:
            times = [time for time in (before.first, before.last, brief.failed_at) if time is not None]
            self.found[key] = replace(
                before,
                count=before.count + 1,
                first=min(times, default=None),
                last=max(times, default=None),
            )
        elif len(self.found) < MOST_GROUPS:
            self.found[key] = Group(
                task_name=brief.task_name,
                exception=brief.exception,
                cause=brief.cause,
                count=1,
                first=brief.failed_at,
                last=brief.failed_at,
            )


def seen(queue: str, deadline: Deadline) -> Seen:
    """Return how many letters `queue` has, and which is the newest where a look does not mark them.

    Raises:
        BrokerError: the broker refuses, or does not answer within the deadline.
        UnsupportedError: this transport keeps no dead letters.
        ConfigurationError: no app is configured, or a setting is wrong.
    """
    found: list[str] = []
    with opened() as (box, settings):
        queue = base_of(box, queue)

        def visit(stored: Stored) -> Stop:
            found.append(read_letter(stored, queue, settings, box.app.tasks).id)
            return Stop.STOP

        if not box.looking_marks:
            box.walk_back(queue, visit, lambda: deadline)
        size = box.sizes([queue], deadline).get(queue)
        marked = box.looking_marks
    return Seen(size=size, newest_id=found[0] if found else None, marked=marked)


def size_in_a_moment(queue: str, kept: int, deadline: Deadline) -> int | None:
    """Return how many letters `queue` has once others have looked: those they look at are not counted before.

    It waits `MOMENT_SECONDS` at most, until there are more than `kept`. None where a look hides no letters,
    and where they could not be counted.
    """
    try:
        with opened() as (box, _):
            if not box.looking_marks:
                return None
            queue = base_of(box, queue)
            until = Deadline.after(min(MOMENT_SECONDS, deadline.remaining() / 2))
            while True:
                size = box.sizes([queue], deadline).get(queue)
                if size is None or size > kept or until.remaining() <= _POLL_SECONDS:
                    return size
                time.sleep(_POLL_SECONDS)
    except (BrokerError, DeadlineExceeded, UnsupportedError):
        return None


def find(queue: str, letter_id: str, deadline: Deadline) -> DeadLetter:
    """Return one letter of `queue`, by its own id or its task's: the newest where it has several.

    Raises:
        LetterNotFoundError: no letter has that id, or none among those that could be looked at.
        BrokerError: the broker refuses, or does not answer within the deadline.
        UnsupportedError: this transport keeps no dead letters.
        ConfigurationError: no app is configured, or a setting is wrong.
    """
    found: list[DeadLetter] = []
    late_at: int | None = None
    looked_at = 0
    wanted = frozenset({letter_id})
    with opened() as (box, settings):
        queue = base_of(box, queue)

        def visit(stored: Stored) -> Stop | None:
            nonlocal late_at, looked_at
            if deadline.remaining() < settings.deadline / 5:
                late_at = looked_at
                return Stop.STOP
            looked_at += 1
            if names(stored, decode_reason(stored.headers), wanted) is None:
                return None
            found.append(read_letter(stored, queue, settings, box.app.tasks))
            return Stop.STOP

        walk = box.walk_back(queue, visit, lambda: deadline)
    if found:
        return found[0]
    where = ""
    if late_at is not None:
        where = f" among the newest {late_at:,d} of {walk.size:,d}; the time was up (DEADLINE)"
    elif not walk.complete:
        why = "somebody else may be looking at the others" if walk.disturbed else "RabbitMQ shows no more"
        where = f" among the first {walk.shown:,d} of {walk.size:,d}; {why}"
    raise LetterNotFoundError(f"No dead letter of queue '{queue}' has the id {letter_id!r}{where}.")


def newest(
    queue: str,
    deadline: Deadline,
    *,
    limit: int,
    offset: int = 0,
    where: Filter | None = None,
    most: int = MOST_LOOKED,
) -> Newest:
    """Return letters of `queue`, the newest first, and the kinds of the `most` newest.

    RabbitMQ shows the first thousand of a queue, the oldest, and marks what is looked at as redelivered.

    Args:
        queue: as tasks know it.
        deadline: when to have answered: the look ends before.
        limit: letters to return.
        offset: letters that `where` takes to pass over first.
        where: which letters; None for all.
        most: letters to look at. Without `where` those behind are returned, and not counted.

    Raises:
        BrokerError: the broker refuses, or does not answer within the deadline.
        UnsupportedError: this transport keeps no dead letters.
        ConfigurationError: no app is configured, or a setting is wrong.
    """
    where = where or Filter()
    found: list[DeadLetter] = []
    kinds = _Kinds(found={})
    looked_at = taken = 0
    with opened() as (box, settings):
        queue = base_of(box, queue)

        def is_over() -> bool:
            return deadline.remaining() < settings.deadline / 5

        def visit(stored: Stored) -> Stop | None:
            nonlocal looked_at, taken
            if looked_at == most or is_over():
                return Stop.STOP
            looked_at += 1
            brief = read_brief(stored)
            kinds.add(brief)
            if where.takes(brief):
                taken += 1
                if offset < taken <= offset + limit:
                    found.append(read_letter(stored, queue, settings, box.app.tasks))
            return None

        def show(stored: Stored) -> Stop | None:
            if len(found) == limit or is_over():
                return Stop.STOP
            found.append(read_letter(stored, queue, settings, box.app.tasks))
            return None

        walk = box.walk_back(queue, visit, lambda: deadline)
        behind = offset + len(found)
        if where.takes_all and len(found) < limit and walk.complete and looked_at <= behind < walk.size:
            box.walk_back(queue, show, lambda: deadline, behind)
    return Newest(
        queue=queue,
        letters=tuple(found),
        groups=tuple(sorted(kinds.found.values(), key=lambda group: (-group.count, -(group.last or 0.0)))),
        size=walk.size,
        looked_at=looked_at,
        taken=taken,
        complete=walk.complete,
        marked=box.looking_marks,
        disturbed=walk.disturbed,
    )
