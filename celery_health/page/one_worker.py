"""One worker: what its state means, what it runs and holds, its queues, its clocks. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Final

from celery_health.conf import Settings
from celery_health.page import held_tasks, plots
from celery_health.page.blocks import (
    MOST_ON_OVERVIEW,
    MOST_ROWS,
    Block,
    Cell,
    Column,
    Figure,
    Figures,
    Page,
    Table,
    Text,
    joined,
    name,
    table,
)
from celery_health.page.links import Links
from celery_health.page.problems import about
from celery_health.page.single import in_full, missing
from celery_health.page.worker_facts import facts
from celery_health.page.worker_words import meaning, shown_state
from celery_health.page.workers import COLUMNS, last_seen, row, tone_of, worst_first
from celery_health.records import HealthReport, QueueState, Snapshot, Worker, WorkerState
from celery_health.text.formats import duration, number, plural
from celery_health.text.printable import printable

_REDIS: Final = ("redis", "rediss", "sentinel")


def page_of(hostname: str, report: HealthReport, links: Links, settings: Settings) -> Page:
    """Return the page of one worker; one that says where it was looked for, if nobody knows it."""
    snapshot = report.snapshot
    found = worst_first(worker for worker in snapshot.workers if worker.hostname == hostname)
    wrong = about(report.checks, "worker", hostname, links)
    if not found and wrong is None:
        return missing(
            "worker",
            hostname,
            links,
            looked=_looked(snapshot, settings),
            among=(worker.hostname for worker in snapshot.workers),
            address=links.workers,
            is_certain=snapshot.roster_is_known
            and (snapshot.store.reachable is True or not snapshot.store.configured),
        )
    return Page(
        title=name(hostname).text,
        kind="Worker",
        blocks=joined(
            in_full(hostname), wrong, _each(found, snapshot, links), _beside(hostname, snapshot, links)
        ),
        json=links.json("workers", worker=hostname),
    )


def _looked(snapshot: Snapshot, settings: Settings) -> Iterator[str]:
    memory = duration(settings.limits.lost_worker_memory_seconds)
    yield (
        f"It was looked for among {plural(len(snapshot.workers), 'worker')}: those that report themselves to "
        f"the store, and those that answered. One that is gone is forgotten after {memory}."
    )
    if not snapshot.roster_is_known:
        yield "Perhaps there are others: not every worker has answered."
    elif not snapshot.store.configured:
        yield "Without a store, only workers that answered lately are known."


def _each(workers: Sequence[Worker], snapshot: Snapshot, links: Links) -> Iterator[Block]:
    queues = {queue.name: queue for queue in snapshot.queues}
    for place, worker in enumerate(workers, 1):
        # Ids are unique on a page, and the first has the same whether or not there are others.
        suffix = "" if place == 1 else f"-{place}"
        pid = "?" if worker.pid is None else str(worker.pid)
        title = f"Process {pid}: {place} of {len(workers)} of this name" if len(workers) > 1 else ""
        yield _state(worker, suffix, title)
        yield _figures(worker, suffix)
        if worker.state is WorkerState.GONE and _holds_any(worker):
            yield _left_behind(worker, snapshot, suffix)
        yield from _tasks(worker, snapshot, links, suffix)
        yield _queues(worker, queues, links, suffix)
        yield facts(worker, suffix)
        yield _registered(worker, links, suffix)


def _state(worker: Worker, suffix: str, title: str) -> Text:
    state = shown_state(worker)
    line = Cell(f"{state[:1].upper()}{state[1:]}. {meaning(worker)}", tone_of(worker) or "plain")
    return Text(id=f"state{suffix}", title=title, lines=(line,))


def _figures(worker: Worker, suffix: str) -> Figures:
    is_gone = worker.state is WorkerState.GONE
    when = "when last seen" if is_gone else ""
    running, slots = worker.active_count, worker.concurrency
    return Figures(
        id=f"figures{suffix}",
        figures=(
            Figure(
                "Running",
                number(running),
                when or f"of {number(slots)} slots",
                plot="" if is_gone else plots.slots(running, slots),
            ),
            Figure("Reserved", number(worker.reserved_count), when or "taken, and not started"),
            Figure("Until later", number(worker.scheduled_count), when or "held until their ETA"),
            Figure("Last seen", last_seen(worker), _how_seen(worker)),
        ),
    )


def _how_seen(worker: Worker) -> str:
    reports = worker.source.value == "heartbeats"
    return "by its record in the store" if reports else "by its answer to a question"


def _holds_any(worker: Worker) -> bool:
    counts = (worker.active_count, worker.reserved_count, worker.scheduled_count)
    return any(count != 0 for count in counts)


def _left_behind(worker: Worker, snapshot: Snapshot, suffix: str) -> Text:
    """Say what became of what a worker held that is gone."""
    transport = snapshot.broker.transport
    if worker.said_goodbye:
        back = "goes back to its queue as it ends"
    elif transport in _REDIS:
        back = "comes back to its queue after the visibility timeout (an hour, unless it is set)"
    elif transport == "amqp":
        back = "comes back to its queue as soon as the broker sees its connection end"
    else:
        back = "comes back to its queue where the transport does so"
    ran = (
        f"It ran {number(worker.active_count)} when it was last seen. What ran may be lost: "
        "only tasks that acknowledge late (acks_late) come back."
    )
    rest = (
        f"What it had taken and not started ({number(worker.reserved_count)}, and "
        f"{number(worker.scheduled_count)} until later) {back}."
    )
    return Text(
        id=f"left{suffix}",
        title="What it held",
        lines=(Cell(ran, "plain"), Cell(rest, "plain"))
        if worker.active_count != 0
        else (Cell(rest, "plain"),),
    )


def _tasks(worker: Worker, snapshot: Snapshot, links: Links, suffix: str) -> Iterator[Table]:
    is_gone = worker.state is WorkerState.GONE
    what = "Running when last seen" if is_gone else "Running now"
    running = worker.active
    if is_gone and worker.last_seen_seconds is not None:
        # They run no longer: how long they had run then.
        since = worker.last_seen_seconds
        running = [
            replace(task, runtime_seconds=max(0.0, task.runtime_seconds - since))
            if task.runtime_seconds is not None
            else task
            for task in running
        ]
    yield held_tasks.running(
        running,
        worker.active_count,
        links,
        id=f"running{suffix}",
        what=what,
        note=" ".join(map(printable, snapshot.task_notes)),
    )
    # Of what it does not hold, a figure above has said so.
    if worker.reserved_count != 0 or worker.reserved:
        yield held_tasks.reserved(worker.reserved, worker.reserved_count, links, id=f"reserved{suffix}")
    if worker.scheduled_count != 0 or worker.scheduled:
        yield held_tasks.scheduled(worker.scheduled, worker.scheduled_count, links, id=f"scheduled{suffix}")


def _queues(worker: Worker, states: dict[str, QueueState], links: Links, suffix: str) -> Table:
    if worker.state.takes_messages:
        does = "takes from it"
    elif worker.state is WorkerState.GONE:
        does = "took from it"
    else:
        does = f"takes nothing now ({shown_state(worker)})"
    rows = [_queue(queue, does, worker, states.get(queue), links) for queue in worker.queues or ()]
    rows += [
        _queue(queue, "was told to take from it no more (cancel_consumer)", worker, states.get(queue), links)
        for queue in worker.cancelled_queues
    ]
    return table(
        f"queues{suffix}",
        "Its queues",
        (
            Column("Queue"),
            Column("What it does"),
            Column("Waiting", True),
            Column("Running from it", True),
            Column("Held of it", True),
        ),
        rows,
        "It is not known which it consumes." if worker.queues is None else "It consumes none.",
    )


def _queue(queue: str, does: str, worker: Worker, state: QueueState | None, links: Links) -> tuple[Cell, ...]:
    if queue in worker.single_active_queues:
        does += "; the broker gives it to one consumer alone (single active consumer)"
    taken = worker.reserved_by_queue.get(queue, 0) + worker.scheduled_by_queue.get(queue, 0)
    is_told = worker.reserved_count is not None and worker.scheduled_count is not None
    running = worker.active_by_queue.get(queue, 0)
    return (
        name(queue, href=links.queue(queue)),
        Cell(does),
        Cell(number(None if state is None else state.ready)),
        Cell(number(None if worker.active_count is None else running)),
        Cell(number(taken if is_told else None)),
    )


def _registered(worker: Worker, links: Links, suffix: str) -> Text:
    id, title = f"registered{suffix}", "Registered tasks"
    if worker.registered is None:
        return Text(id=id, title=title, lines=(Cell("It is not known which it registers.", "plain"),))
    # Celery's own stand last: every worker has them.
    names = sorted(worker.registered, key=lambda task: (task.startswith("celery."), task))
    shown = [name(task, href=links.task(task), tone="plain") for task in names[:MOST_ROWS]]
    more = len(names) - len(shown)
    return Text(
        id=id,
        title=title,
        count=len(names),
        lines=tuple(shown) or (Cell("None.", "plain"),),
        is_folded=True,
        note=f"and {number(more)} more: search for them by name" if more else "",
    )


def _beside(hostname: str, snapshot: Snapshot, links: Links) -> Iterator[Table]:
    host = hostname.partition("@")[2]
    others = [
        worker
        for worker in snapshot.workers
        if host and worker.hostname.partition("@")[2] == host and worker.hostname != hostname
    ]
    if others:
        yield table(
            "beside",
            f"Others on {name(host).text}",
            COLUMNS,
            [row(worker, links) for worker in worst_first(others)],
            "",
            most=MOST_ON_OVERVIEW,
            more=Cell("All workers", href=links.workers),
        )
