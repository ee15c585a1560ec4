"""Find a thing by its name. Pure."""

from __future__ import annotations

from celery_health.page.blocks import Column, Page, name, table
from celery_health.page.links import Links
from celery_health.records import HealthReport


def page(query: str, report: HealthReport, links: Links) -> Page:
    """Return what begins with `query`."""
    wanted = query.casefold()
    snapshot = report.snapshot
    found = [
        *((queue.name, "queue", links.queue(queue.name)) for queue in snapshot.queues),
        *((worker.hostname, "worker", links.worker(worker.hostname)) for worker in snapshot.workers),
        *((task, "task", links.task(task)) for task in snapshot.recent or ()),
    ]
    rows = [
        (name(title, href=href), name(kind))
        for title, kind, href in found
        if title.casefold().startswith(wanted)
    ]
    return Page(
        title="Search",
        refreshes=False,
        blocks=(table("found", "Found", (Column("Name"), Column("What")), rows, "Nothing is called so."),),
    )
