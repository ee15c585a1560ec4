"""Look through the dead letters, send them again, or purge them: what the surfaces and your own code call.

Queues are named as tasks know them: ``celery``, not ``celery.dead``. Times are unix seconds. Every call of
the broker is bounded by the ``DEADLINE`` setting. Nothing is ever unpickled or evaluated.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Final

from celery_health.celery_app import find_app
from celery_health.conf import Settings, get_settings
from celery_health.dead_letters.boxes import Box, Stop, Stored
from celery_health.dead_letters.destination import why_unconsumed
from celery_health.dead_letters.envelope import decode_reason
from celery_health.dead_letters.opening import open_box
from celery_health.dead_letters.reading import ids, names, read_letter
from celery_health.dead_letters.records import DeadLetter, Filter, Looked, Page, Requeued
from celery_health.dead_letters.resending import RequeueInterruptedError, RequeueStopped, Resending
from celery_health.deadline import Deadline
from celery_health.exceptions import (
    BrokerError,
    DeadlineExceeded,
    LateBrokerError,
    LetterNotFoundError,
    NotConsumedError,
    UnsupportedError,
)
from celery_health.reading import get_snapshot

__all__ = ["RequeueInterruptedError", "RequeueStopped", "entries", "entry", "purge", "requeue", "sizes"]

DEFAULT_LIMIT: Final = 100
MAX_LIMIT: Final = 10_000


def sizes() -> dict[str, int | None]:
    """Return how many dead letters each queue has: queue → letters, None where that is unknown.

    Every queue of the app is there, also those without letters; on Redis all others that have some, too.

    Raises:
        BrokerError: the broker refuses, or does not answer within ``DEADLINE``.
        UnsupportedError: this transport keeps no dead letters.
        ConfigurationError: no app is configured, or a setting is wrong.
    """
    with opened() as (box, settings):
        deadline = Deadline.after(settings.deadline)
        snapshot = get_snapshot(deadline)
        return dict(sorted(box.sizes([queue.name for queue in snapshot.queues], deadline).items()))


def entries(queue: str, *, limit: int = DEFAULT_LIMIT, offset: int = 0, where: Filter | None = None) -> Page:
    """Return letters of `queue`, the oldest first; nothing changes, except for the mark below.

    RabbitMQ shows a message only by taking it: it is put back at its place, marked as redelivered. There only
    the first thousand can be shown; `Page.complete` says whether that was all.

    Args:
        queue: as tasks know it.
        limit: letters on this page, 1 to 10,000.
        offset: letters that `where` takes to pass over first.
        where: which letters; None for all.

    Raises:
        ValueError: `limit` or `offset` is out of bounds.
        BrokerError: the broker refuses, or does not answer within ``DEADLINE``.
        UnsupportedError: this transport keeps no dead letters.
        ConfigurationError: no app is configured, or a setting is wrong.
    """
    if not 1 <= limit <= MAX_LIMIT:
        raise ValueError(f"limit is {limit!r}: give a whole number from 1 to {MAX_LIMIT}.")
    if offset < 0:
        raise ValueError(f"offset is {offset!r}: give 0 or more.")
    where = where or Filter()
    found: list[DeadLetter] = []
    looked_at = passed = 0
    more = False

    with opened() as (box, settings):
        queue = base_of(box, queue)
        deadline = Deadline.after(settings.deadline)

        def visit(stored: Stored) -> Stop | None:
            nonlocal looked_at, passed, more
            if len(found) == limit or deadline.remaining() < settings.deadline / 5:
                more = True
                return Stop.STOP
            looked_at += 1
            letter = read_letter(stored, queue, settings, box.app.tasks)
            if where.takes(letter):
                if passed < offset:
                    passed += 1
                else:
                    found.append(letter)
            return None

        walk = box.walk(queue, visit, lambda: deadline)
    return Page(
        queue=queue,
        letters=tuple(found),
        size=walk.size,
        offset=offset,
        looked_at=looked_at,
        more=more,
        complete=walk.complete,
        disturbed=walk.disturbed,
    )


def entry(queue: str, letter_id: str) -> DeadLetter:
    """Return one letter of `queue`, by its own id or its task's.

    Raises:
        LetterNotFoundError: no letter has that id, or none among those that could be looked at.
        BrokerError: the broker refuses, or does not answer within ``DEADLINE``.
        UnsupportedError: this transport keeps no dead letters.
        ConfigurationError: no app is configured, or a setting is wrong.
    """
    found: list[DeadLetter] = []
    wanted = frozenset({letter_id})
    with opened() as (box, settings):
        queue = base_of(box, queue)
        deadline = Deadline.after(settings.deadline)

        def visit(stored: Stored) -> Stop | None:
            if names(stored, decode_reason(stored.headers), wanted) is None:
                return None
            found.append(read_letter(stored, queue, settings, box.app.tasks))
            return Stop.STOP

        walk = box.walk(queue, visit, lambda: deadline)
    if found:
        return found[0]
    why = "somebody else may be looking at the others" if walk.disturbed else "RabbitMQ shows no more"
    how_far = "" if walk.complete else f" among the first {walk.shown} of {walk.size}: {why}"
    raise LetterNotFoundError(f"No dead letter of queue '{queue}' has the id {letter_id!r}{how_far}.")


def search(prefix: str, queues: Iterable[str], deadline: Deadline, *, most: int = DEFAULT_LIMIT) -> Looked:
    """Return letters of `queues` whose own ids, or their tasks', begin with `prefix`, whatever its case.

    It goes through the letters of one queue after the other until `most` are found or the time is over.
    RabbitMQ marks what is looked at, and shows the first thousand of a queue; see `entries`.

    Raises:
        ConfigurationError: no app is configured, or a setting is wrong.
    """
    found: list[DeadLetter] = []
    unread: dict[str, str] = {}
    left = [*queues]
    try:
        with opened() as (box, settings):
            while left and len(found) < most:
                queue = left.pop(0)
                try:
                    why = _search(box, settings, queue, prefix.casefold(), found, most, deadline)
                except (BrokerError, DeadlineExceeded) as error:
                    why = str(error)
                if why:
                    unread[queue] = why
    except UnsupportedError as error:
        unread = dict.fromkeys(left, str(error))
    return Looked(letters=tuple(found), unread=unread)


def _search(
    box: Box,
    settings: Settings,
    queue: str,
    wanted: str,
    found: list[DeadLetter],
    most: int,
    deadline: Deadline,
) -> str | None:
    """Add the letters of one queue, and return why not all were looked at."""
    looked_at = 0

    def visit(stored: Stored) -> Stop | None:
        nonlocal looked_at
        # What is left of the time is for the answer.
        if len(found) == most or deadline.remaining() < settings.deadline / 10:
            return Stop.STOP
        looked_at += 1
        if any(id.casefold().startswith(wanted) for id in ids(stored, decode_reason(stored.headers))):
            found.append(read_letter(stored, queue, settings, box.app.tasks))
        return None

    walk = box.walk(queue, visit, lambda: deadline)
    if looked_at >= walk.size or len(found) == most:
        return None
    return f"{looked_at} of {walk.size} were looked at"


def requeue(
    queue: str,
    ids: Iterable[str] | str | None = None,
    *,
    where: Filter | None = None,
    limit: int | None = None,
    rate: float | None = None,
    force: bool = False,
    dry_run: bool = False,
    timeout: float | None = None,
) -> Requeued:
    """Send letters of `queue` back to it as they were published, and remove them.

    Each is published with confirmation before it is removed. Killed in between, on RabbitMQ it is there
    twice; Redis does both at once. It is never lost. Our publish stamp is set anew, and the number of
    attempts goes with it.

    Args:
        queue: as tasks know it.
        ids: letters, by their own ids or their tasks'; None for all that `where` takes.
        where: which letters; None for all.
        limit: send no more than so many.
        rate: letters per second at most; None for as fast as it goes.
        force: also while nobody is known to consume the queue; also letters whose ``expires`` is over,
            without it.
        dry_run: only say what would be done.
        timeout: seconds after which no more letters are sent, nor waited for; None to go on to the end.

    Raises:
        ValueError: `limit`, `rate` or `timeout` is out of bounds.
        NotConsumedError: nobody is known to consume the queue; nothing was sent.
        RequeueStopped: Ctrl-C, a `KeyboardInterrupt`; its ``done`` says what was done before.
        RequeueInterruptedError: the broker failed; its ``done`` says what was done before.
        BrokerError: the broker refuses, or does not answer within ``DEADLINE``; nothing was sent.
        UnsupportedError: this transport keeps no dead letters.
        ConfigurationError: no app is configured, or a setting is wrong.
    """
    _check_positive("limit", limit)
    _check_positive("rate", rate)
    _check_positive("timeout", timeout)
    until = None if timeout is None else time.monotonic() + timeout
    wanted = None if ids is None else frozenset([ids] if isinstance(ids, str) else ids)
    with opened() as (box, settings):
        queue = base_of(box, queue)
        if not force and not dry_run:
            _check_consumed(queue, settings)
        resending = Resending(
            queue=queue,
            wanted=wanted,
            where=where or Filter(),
            limit=limit,
            rate=rate,
            force=force,
            dry_run=dry_run,
            until=until,
        )
        return resending.run(box, settings.deadline)


def purge(queue: str) -> int:
    """Remove every dead letter of `queue` for good, and return how many there were.

    Raises:
        BrokerError: the broker refuses, or does not answer within ``DEADLINE``.
        UnsupportedError: this transport keeps no dead letters.
        ConfigurationError: no app is configured, or a setting is wrong.
    """
    with opened() as (box, settings):
        return box.purge(base_of(box, queue), Deadline.after(settings.deadline))


@contextmanager
def opened() -> Iterator[tuple[Box, Settings]]:
    """Open a box of its own for one call: nothing is shared by threads, and nothing stays open."""
    settings = get_settings()
    box = open_box(find_app(settings), settings)
    try:
        yield box, settings
    finally:
        box.close()


def base_of(box: Box, queue: str) -> str:
    """Return the queue's own name also for who gave that of its dead letters."""
    return queue.removesuffix(box.suffix) or queue


def _check_positive(name: str, value: float | None) -> None:
    if value is not None and not 0 < value < float("inf"):
        raise ValueError(f"{name} is {value!r}: give a number over 0, or None.")


def _check_consumed(queue: str, settings: Settings) -> None:
    snapshot = get_snapshot(Deadline.after(settings.deadline))
    if snapshot.broker.late:
        raise LateBrokerError(snapshot.broker.late)
    if snapshot.broker.reachable is False:
        raise BrokerError(snapshot.broker.error or "The broker does not answer.")
    why_not = why_unconsumed(snapshot, queue)
    if why_not is not None:
        raise NotConsumedError(why_not)
