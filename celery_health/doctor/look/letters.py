"""How long the oldest dead letter of each queue has been there."""

from __future__ import annotations

import time
from collections.abc import Mapping
from contextlib import closing
from typing import TYPE_CHECKING, Final

from celery_health.conf import Settings
from celery_health.dead_letters.boxes import Stop, Stored
from celery_health.dead_letters.envelope import decode_reason
from celery_health.dead_letters.opening import open_box
from celery_health.deadline import Deadline
from celery_health.records import Snapshot
from celery_health.text.masking import describe_error

if TYPE_CHECKING:
    from celery import Celery

#: Queues beyond are not looked into.
MOST_QUEUES: Final = 50
#: Seconds for the whole look.
LOOK_SECONDS: Final = 2.0


def oldest_letters(
    app: Celery, settings: Settings, snapshot: Snapshot, deadline: Deadline, notes: list[str]
) -> Mapping[str, float]:
    """Return queue → seconds since its oldest letter failed, by the clock of its worker.

    Only where a look leaves no mark: RabbitMQ hands a letter out to show it.
    """
    filled = sorted(queue for queue, size in (snapshot.dead_letters or {}).items() if size)[:MOST_QUEUES]
    if not filled:
        return {}
    deadline = deadline.within(LOOK_SECONDS)
    found: dict[str, float] = {}
    try:
        with closing(open_box(app, settings)) as box:
            if not box.knows_its_queues:
                return {}
            for queue in filled:
                # A list, since the visitor sees the first one alone.
                seen: list[Stored] = []

                def look(letter: Stored, seen: list[Stored] = seen) -> Stop:
                    seen.append(letter)
                    return Stop.STOP

                box.walk(queue, look, lambda: deadline)
                reason = decode_reason(seen[0].headers) if seen else None
                if reason is not None and reason.failed_at:
                    found[queue] = time.time() - reason.failed_at
    except Exception as error:  # it went away, or is too slow
        notes.append(f"the dead letters: {describe_error(error)}")
    return found
