"""The four numbers that say how it goes. Their colours are what the checks say, and nothing else. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from celery_health.page.blocks import Figure, Figures
from celery_health.page.counts import Counts
from celery_health.page.links import Links
from celery_health.page.plots import slots, sparkline
from celery_health.page.problems import tone_of_checks
from celery_health.page.runs import share, undone_in_words
from celery_health.records import HOUR_MINUTES, HealthReport, Hour, Snapshot, WorkerState
from celery_health.text.formats import UNKNOWN, duration, number, plural

#: The last minutes that are over, by which a rate is told: the present one is not.
_RATE_PLACES: Final = range(HOUR_MINUTES - 6, HOUR_MINUTES - 1)


def figures(report: HealthReport, links: Links, counts: Counts) -> Figures:
    """Return them: running, done, failed, waiting."""
    return Figures(
        id="figures",
        figures=(
            _running(report, links),
            _done(report.snapshot, links, counts.hour),
            _failed(report, links, counts.hour),
            _waiting(report, links),
        ),
    )


def _running(report: HealthReport, links: Links) -> Figure:
    snapshot = report.snapshot
    running = snapshot.running_count
    live = [worker.concurrency for worker in snapshot.workers if worker.state.is_live]
    total = _sum(live) if live else None
    if total is None:
        is_silent = (
            live
            or not snapshot.roster_is_known
            or any(worker.state is WorkerState.UNKNOWN for worker in snapshot.workers)
        )
        detail = "of how many slots is not known" if is_silent else "no live worker"
    else:
        detail = f"of {plural(total, 'slot')}" + (", all busy" if running and running >= total else "")
    return Figure(
        "Running",
        number(running),
        detail,
        tone_of_checks(report.checks, "workers", "tasks.stuck"),
        links.workers,
        slots(running, total, is_told=True) if total else "",
    )


def _done(snapshot: Snapshot, links: Links, hour: Hour | None) -> Figure:
    label = "Done per minute"
    if hour is None:
        return Figure(label, UNKNOWN, _why_uncounted(snapshot), href=links.tasks)
    if not hour.minutes:
        return Figure(label, UNKNOWN, "no run has been counted yet", href=links.tasks)
    ends = _per_minute(hour)
    told = [ends[place] for place in _RATE_PLACES]
    counts = [count for count in told if count is not None]
    in_hour = sum(count or 0 for count in ends)
    since = "the last hour" if hour.minutes >= HOUR_MINUTES else plural(hour.minutes, "minute")
    plot = _line(ends, "Done")
    if not counts:
        return Figure(label, number(in_hour), "in the first minute", href=links.tasks, plot=plot)
    rate = sum(counts) / len(counts)
    shown = f"{rate:.1f}" if 0 < rate < 10 and rate != int(rate) else number(round(rate))
    return Figure(label, shown, f"{number(in_hour)} in {since}", href=links.tasks, plot=plot)


def _why_uncounted(snapshot: Snapshot) -> str:
    """Return in a few words why nothing that is counted is known: the tasks say more."""
    if not snapshot.store.configured:
        return "there is no store"
    return (
        "the store does not answer" if snapshot.store.reachable is False else "the store was not read in time"
    )


def _per_minute(hour: Hour) -> list[int | None]:
    """Return how many runs ended for good in each minute; None for one that is not known."""
    ends: list[int | None] = [0 if hour.is_known(place) else None for place in range(HOUR_MINUTES)]
    for task in hour.tasks.values():
        for place, (succeeded, failed) in enumerate(zip(task.succeeded, task.failed, strict=True)):
            known = ends[place]
            if known is not None:
                ends[place] = known + succeeded + failed
    return ends


def _failed(report: HealthReport, links: Links, hour: Hour | None) -> Figure:
    tone = tone_of_checks(report.checks, "tasks.failing")
    if hour is None or not hour.minutes:
        why = _why_uncounted(report.snapshot) if hour is None else "no run has been counted yet"
        return Figure("Failed", UNKNOWN, why, tone, links.tasks)
    failed = sum(task.failed_count for task in hour.tasks.values())
    done = failed + sum(task.succeeded_count for task in hour.tasks.values())
    since = "the last hour" if hour.minutes >= HOUR_MINUTES else plural(hour.minutes, "minute")
    undone = ", ".join(undone_in_words(hour.tasks.values()))
    if not done:
        return Figure("Failed", "0", f"{undone or 'none ended'} in {since}", tone, links.tasks)
    failing = list(_sums(hour))
    plot = _line(failing, "Failed") if failed else ""
    share_of = f"{share(failed, done)} of {number(done)} in {since}"
    detail = f"{share_of}; {undone}" if undone else share_of
    return Figure("Failed", number(failed), detail, tone, links.tasks, plot)


def _line(by_minute: Sequence[int | None], what: str) -> str:
    """Return a line of the minutes that are over: the present one would look like a fall."""
    over = by_minute[:-1]
    if all(count is None for count in over):
        return ""
    return sparkline(over, what=f"{what} in each minute of the last hour", last="in the last that is over")


def _sums(hour: Hour) -> Iterable[int | None]:
    for place in range(HOUR_MINUTES):
        yield (sum(task.failed[place] for task in hour.tasks.values()) if hour.is_known(place) else None)


def _waiting(report: HealthReport, links: Links) -> Figure:
    snapshot = report.snapshot
    tone = tone_of_checks(report.checks, "queues")
    read = [queue.ready for queue in snapshot.queues if queue.ready is not None]
    if not read:
        return Figure(
            "Waiting",
            UNKNOWN,
            "no queue could be read" if snapshot.queues else "no queue is known",
            tone,
            links.queues,
        )
    waiting = number(sum(read))
    unread = len(snapshot.queues) - len(read)
    held = _sum(
        None if count is None else count + (worker.scheduled_count or 0)
        for worker in snapshot.workers
        if worker.state.is_live
        for count in [worker.reserved_count]
    )
    ages = [queue.oldest_age_seconds for queue in snapshot.queues if queue.waiting]
    oldest = max((age for age in ages if age is not None), default=None)
    details = [f"in {plural(unread, 'queue')} it is not known"] if unread else []
    details += [f"oldest {duration(oldest)}"] if oldest is not None else []
    details += [f"{number(held)} held by workers"] if held is not None and snapshot.workers else []
    return Figure(
        "Waiting", f"at least {waiting}" if unread else waiting, ", ".join(details), tone, links.queues
    )


def _sum(counts: Iterable[int | None]) -> int | None:
    """Return the sum; None where one of them is not known."""
    told = list(counts)
    return None if None in told else sum(count or 0 for count in told)
