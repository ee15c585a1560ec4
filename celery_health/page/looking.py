"""Look something up for the page of the search: all that it reads, within the time of one answer."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from celery_health.celery_app import find_app
from celery_health.conf import get_settings
from celery_health.dead_letters.letters import search as search_letters
from celery_health.deadline import Deadline
from celery_health.page.lookup import MOST_HITS, Found, cleaned, find, may_be_letter
from celery_health.reading import get_totals
from celery_health.records import Snapshot
from celery_health.text.printable import printable

#: Queues whose letters were not looked at, by name: of more only their number is said.
_MOST_NAMED = 5


def look_up(typed: str, snapshot: Snapshot, deadline: Deadline, *, with_letters: bool) -> Found:
    """Return what begins with what was `typed`, letters among it for those who may read them.

    Raises:
        ConfigurationError: no app is configured, or a setting is wrong.
    """
    settings = get_settings()
    tasks = {name for name in find_app(settings).tasks if not name.startswith("celery.")}
    unread: list[str] = []
    if snapshot.store.reachable is True:
        totals = get_totals(deadline.within(deadline.remaining() / 2))
        tasks |= (totals or {}).keys()
        if totals is None:
            unread.append("What the store has counted could not be read in time: tasks may be missing here.")
    suffix = settings.dead_letters.suffix
    found = find(typed, snapshot, tasks=tasks, suffix=suffix, unread=unread)
    queues = [queue for queue, count in (snapshot.dead_letters or {}).items() if count != 0]
    if not queues or not may_be_letter(typed, found):
        return found
    if not with_letters:
        unread.append("Dead letters were not looked through: you may not read them.")
        return find(typed, snapshot, tasks=tasks, suffix=suffix, may_read=False, unread=unread)
    # One more than is shown, so that it is known whether there are more.
    looked = search_letters(cleaned(typed), queues, deadline, most=MOST_HITS + 1)
    return find(
        typed,
        snapshot,
        tasks=tasks,
        suffix=suffix,
        letters=looked.letters,
        unread=[*unread, *_unread(looked.unread)],
    )


def _unread(unread: Mapping[str, str]) -> Iterator[str]:
    named = list(unread.items())[:_MOST_NAMED]
    for queue, why in named:
        yield f"Not all dead letters of queue '{printable(queue, 120)}' were looked through: {why}"
    if len(unread) > len(named):
        yield f"Nor were those of {len(unread) - len(named)} other queues."
