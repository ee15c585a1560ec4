"""What is sent to a queue: why somebody should take from it. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from celery_health.page.blocks import Cell, Column, Row, Table, name, table
from celery_health.page.links import Links
from celery_health.reading.schedules import schedule_entries
from celery_health.records import QueueState, Snapshot
from celery_health.text.printable import printable

_TASK: Final = "task:"
_ENTRY: Final = "beat:"


def sources(queue: QueueState, snapshot: Snapshot, links: Links) -> Table:
    """Return one row per task, entry or setting by which a queue is expected to be consumed."""
    unread = what_is_unread(snapshot)
    return table(
        "sources",
        "What is sent here",
        (Column("What"), Column("How")),
        list(_rows(queue, snapshot, links)),
        "Nothing of this project is known to be sent here: "
        + (
            "perhaps because not everything was read."
            if unread
            else "no route of a task, no entry of the schedule, and EXPECTED_QUEUES does not name it."
        ),
        note=f"There may be more: {unread}" if unread else "",
    )


def what_is_unread(snapshot: Snapshot) -> str:
    """Return why more may be sent to a queue than is known, a whole sentence; empty where that is not so."""
    if why := snapshot.importing or snapshot.tasks_error:
        return f"the project's tasks are not known. {printable(why)}"
    if not any(queue.expected_by for queue in snapshot.queues) and snapshot.broker.is_lacking:
        return "the broker was not read."
    if snapshot.store.configured and not snapshot.store.reachable:
        return "the store was not read, where beats and senders note it."
    if schedule_entries(snapshot.beats) is None and snapshot.schedule_exists is not False:
        return "no beat has told what it sends."
    return ""


def _rows(queue: QueueState, snapshot: Snapshot, links: Links) -> Iterator[Row]:
    tasks, entries = {}, {}
    for reason in queue.expected_by:
        if reason.startswith(_TASK):
            tasks[reason.removeprefix(_TASK)] = "by its route or options"
        elif reason.startswith(_ENTRY):
            entries[reason.removeprefix(_ENTRY)] = ""
        else:
            yield Row((Cell("EXPECTED_QUEUES"), Cell("the setting names it")))
    for entry in schedule_entries(snapshot.beats) or ():
        if entry.entry in entries or entry.queue == queue.name:
            entries[entry.entry] = entry.task
    for shared in snapshot.shared_queues:
        if shared.name == queue.name:
            tasks.update((task, "sent by this project") for task in shared.sent if task not in tasks)
    for entry_name, task in sorted(entries.items()):
        how = f"by the schedule: sends {name(task).text}" if task else "by the schedule"
        yield Row((name(entry_name, href=links.entry(entry_name)), Cell(how)))
    for task, how in sorted(tasks.items()):
        yield Row((name(task, href=links.task(task)), Cell(how)))
