"""One queue: what waits in it, who takes it, why somebody should, and what its workers hold of it. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from celery_health.conf import QUEUE_LIMITS, Settings
from celery_health.health.headline import oldest
from celery_health.page import held_tasks, plots
from celery_health.page.blocks import Block, Cell, Code, Facts, Figure, Figures, Page, Text, joined, name
from celery_health.page.consumers import consumers
from celery_health.page.links import Links
from celery_health.page.problems import about
from celery_health.page.single import in_full, missing, tones
from celery_health.page.sources import sources
from celery_health.records import HealthReport, QueueState, SharedQueue, Snapshot
from celery_health.text.formats import duration, listing, number, plural
from celery_health.text.printable import printable

_LIMITS: Final = {
    "depth": "Waiting",
    "age_seconds": "Age of the oldest",
    "unconsumed_seconds": "Without a consumer",
    "stalled_seconds": "Nothing taken, though consumers are free",
    "dead_letters": "Dead letters",
}
_MOST_LACKED: Final = 5


def page_of(queue: str, report: HealthReport, links: Links, settings: Settings) -> Page:
    """Return the page of one queue; one that says where it was looked for, if nobody knows it."""
    snapshot = report.snapshot
    state = next((state for state in snapshot.queues if state.name == queue), None)
    wrong = about(report.checks, "queue", queue, links)
    if state is None and wrong is None and not _is_mentioned(queue, snapshot):
        return missing(
            "queue",
            queue,
            links,
            looked=_looked(queue, snapshot, settings),
            among=(each.name for each in snapshot.queues),
            address=links.queues,
            is_certain=not (snapshot.broker.is_lacking or snapshot.importing or snapshot.tasks_error),
        )
    return Page(
        title=name(queue).text,
        kind="Queue",
        blocks=joined(
            in_full(queue), wrong, _blocks(state or QueueState(name=queue), report, links, settings)
        ),
        json=links.json("queues", queue=queue),
    )


def _blocks(queue: QueueState, report: HealthReport, links: Links, settings: Settings) -> Iterator[Block]:
    snapshot = report.snapshot
    if queue.ready is None:
        why = printable(queue.error or "the broker did not say")
        yield Text(id="unread", lines=(Cell(f"What waits in it could not be read: {why}", "plain"),))
    yield _figures(queue, report, links, settings)
    yield consumers(queue, snapshot, links, scales_to_zero=settings.scales_to_zero(queue.name))
    if shared := _shared(queue.name, snapshot):
        yield shared
    yield held_tasks.running(
        held_tasks.of_queue(queue.name, snapshot.workers),
        queue.active,
        links,
        by_queue=True,
        what="Running from it now",
        note=" ".join(map(printable, snapshot.task_notes)),
    )
    yield sources(queue, snapshot, links)
    yield _numbers(queue)
    yield _limits(queue.name, settings)
    if "exporter" in settings.metrics_dialects:
        metric = f"celery_queue_length{{{_label('queue_name', queue.name)}}}"
        yield Code(id="metric", title="In Prometheus", text=printable(metric, 1000))


def _is_mentioned(queue: str, snapshot: Snapshot) -> bool:
    """Say whether somebody knows of it, though the broker was not asked about it."""
    return queue in (snapshot.dead_letters or {}) or any(
        queue in (worker.queues or ()) or queue in worker.cancelled_queues for worker in snapshot.workers
    )


def _looked(queue: str, snapshot: Snapshot, settings: Settings) -> Iterator[str]:
    count = plural(len(snapshot.queues), "queue")
    yield (
        f"It was looked for among {count}: those of the settings, routes and schedule of this project, those "
        "that its workers consume, and those that its processes sent to."
    )
    if queue in settings.ignored_queues:
        yield "It is ignored by setting: IGNORED_QUEUES names it."
    if why := snapshot.importing or snapshot.tasks_error:
        yield f"Perhaps there are others. {printable(why)}"
    if snapshot.broker.is_lacking:
        yield "The broker was not read: a queue that only it knows of is not listed."


def _figures(queue: QueueState, report: HealthReport, links: Links, settings: Settings) -> Figures:
    found = tones(report.checks, "queue", queue.name)
    depth = settings.limit("depth", queue=queue.name)
    age = settings.limit("age_seconds", queue=queue.name)
    running, capacity = queue.active, queue.capacity
    figures = [
        Figure(
            "Waiting",
            number(queue.ready),
            (f"and {number(queue.held)} in workers, " if queue.held else "") + f"limit {number(depth)}",
            found.get("queues.depth") or found.get("queues.stalled", ""),
        ),
        Figure("Oldest", oldest(queue), f"limit {duration(age)}", found.get("queues.age", "")),
        _held(queue),
        Figure(
            "Running",
            number(running),
            f"of {number(capacity)} slots of its workers",
            plot=plots.slots(running, capacity, what="Slots that run tasks of it"),
        ),
        Figure(
            "Consumers",
            number(queue.consumers),
            _of_whom(queue),
            found.get("queues.consumed", ""),
        ),
    ]
    letters = _letters(queue.name, report, links)
    return Figures(id="figures", figures=(*figures, *([letters] if letters else [])))


def _held(queue: QueueState) -> Figure:
    reserved, later = queue.reserved, queue.scheduled
    total = None if reserved is None or later is None else reserved + later
    parts = f"{number(reserved)} reserved, {number(later)} until later"
    # More than the workers that are known hold: others had taken them, perhaps one that is gone.
    if queue.unacked is not None and queue.unacked > (total or 0) + (queue.active or 0):
        parts += f"; {number(queue.unacked)} unacknowledged by the broker's count"
    return Figure("Held by workers", number(total), parts)


def _of_whom(queue: QueueState) -> str:
    if queue.consumers is None:
        return "who takes from it is not known"
    notes = [f"{number(len(queue.consumer_names))} of this project"]
    if queue.foreign_consumers:
        notes.append(f"{number(len(queue.foreign_consumers))} of another application")
    if queue.idle_consumers:
        notes.append(f"{number(len(queue.idle_consumers))} more take nothing now")
    return ", ".join(notes)


def _letters(queue: str, report: HealthReport, links: Links) -> Figure | None:
    """Return how many dead letters it has; None where none are kept."""
    snapshot = report.snapshot
    tone = tones(report.checks, "letters", queue).get("dead_letters.size", "")
    if snapshot.dead_letters is None:
        is_unknown = snapshot.dead_letters_lack is None
        return Figure("Dead letters", number(None), "not counted", tone) if is_unknown else None
    # A queue without any is not listed, where the broker could be asked.
    count = snapshot.dead_letters.get(queue, None if snapshot.broker.is_lacking else 0)
    detail = "not counted" if count is None else "failed for good, and kept"
    return Figure("Dead letters", number(count), detail, tone, links.letters(queue) if count != 0 else "")


def _shared(queue: str, snapshot: Snapshot) -> Text | None:
    """Return who else takes from it, and what they would discard; None where nobody does."""
    found = next((shared for shared in snapshot.shared_queues if shared.name == queue), None)
    if found is None:
        return None
    lines = tuple(Cell(line, "plain") for line in _sharers(found))
    return Text(id="shared", title="Workers that are not this project's", lines=lines)


def _sharers(queue: SharedQueue) -> Iterator[str]:
    for sharer in queue.sharers:
        whose = "of another project" if sharer.is_other_project else "of another application or version"
        text = f"{name(sharer.hostname).text}, {whose if sharer.is_foreign else 'of this project'}"
        if sharer.app_id:
            text += f" (APP_ID {name(sharer.app_id).text})"
        if sharer.lacks:
            lacks = listing([name(task).text for task in sharer.lacks], _MOST_LACKED)
            text += f": does not register, and so discards, {lacks}"
        yield f"{text}."


def _numbers(queue: QueueState) -> Facts:
    unacked = (
        "the broker does not say"
        if queue.unacked is None
        else "by the broker's own count: taken and not confirmed, also by workers that are gone"
    )
    nobody_says = "no worker says" if queue.reserved is None else ""
    held_for = (
        Cell("-", detail="it is empty")
        if queue.ready == 0
        else Cell(duration(queue.held_seconds), detail="at least" if queue.held_seconds is not None else "")
    )
    return Facts(
        id="numbers",
        title="What its workers hold",
        pairs=(
            ("Could run now", Cell(number(queue.held), detail="waits for a slot" if queue.held else "")),
            ("Reserved", Cell(number(queue.reserved), detail=nobody_says or "taken, and not started")),
            ("Until later", Cell(number(queue.scheduled), detail=nobody_says or "held until their ETA")),
            ("Running", Cell(number(queue.active), detail=nobody_says)),
            ("Unacknowledged", Cell(number(queue.unacked), detail=unacked)),
            ("Not empty for", held_for),
        ),
    )


def _limits(queue: str, settings: Settings) -> Facts:
    own = settings.queues.get(queue, {})
    pairs = [
        (
            _LIMITS[limit],
            Cell(
                _in_words(limit, settings.limit(limit, queue=queue)),
                detail="of this queue (QUEUES)" if limit in own else "of every queue (LIMITS)",
            ),
        )
        for limit in QUEUE_LIMITS
        if limit != "dead_letters" or settings.dead_letters.enabled or limit in own
    ]
    if settings.scales_to_zero(queue):
        pairs.append(("May be without consumers", Cell("yes", detail="scale_to_zero (QUEUES)")))
    return Facts(id="limits", title="Limits", pairs=tuple(pairs))


def _in_words(limit: str, value: float) -> str:
    return duration(value) if limit.endswith("_seconds") else f"{number(value)}"


def _label(key: str, value: str) -> str:
    escaped = value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'{key}="{escaped}"'
