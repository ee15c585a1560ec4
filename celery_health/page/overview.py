"""The overview, in the order in which one asks: what is wrong, what to do, figures, all else. Pure."""

from __future__ import annotations

from dataclasses import replace

from celery_health.page.blocks import MOST_ON_OVERVIEW, Cell, Figure, Figures, Html, Page, Text, joined
from celery_health.page.letters import sizes
from celery_health.page.links import Links
from celery_health.page.problems import passed, troubles
from celery_health.page.queues import queues
from celery_health.page.schedule import schedule
from celery_health.page.tasks import recent
from celery_health.page.workers import workers
from celery_health.records import HealthReport, Snapshot
from celery_health.text.formats import number
from celery_health.text.printable import printable


def page(report: HealthReport, links: Links) -> Page:
    """Return the overview."""
    wrong = troubles(report.checks, links)
    most = MOST_ON_OVERVIEW
    return Page(
        title="",
        json=links.json("health"),
        blocks=joined(
            wrong if wrong.problems else None,
            figures(report.snapshot, links),
            replace(queues(report, links, most=most), more=Cell("All queues", href=links.queues)),
            replace(recent(report, links, most=most), more=Cell("All tasks", href=links.tasks)),
            replace(workers(report, links, most=most), more=Cell("All workers", href=links.workers)),
            replace(schedule(report, links, most=most), more=Cell("All entries", href=links.schedule)),
            None
            if report.snapshot.dead_letters is None
            else replace(sizes(report, links, most=most), more=Cell("All", href=links.dead_letters)),
            Html(
                id="findings-now",
                title="Doctor",
                more=Cell("All findings", href=links.doctor),
                html="Its findings are on a page of their own.",
                is_kept=True,
            ),
            Text(id="passed", title="What passed", lines=passed(report.checks)),
            Text(id="notes", lines=tuple(Cell(printable(note)) for note in report.snapshot.notes[:20])),
        ),
    )


def figures(snapshot: Snapshot, links: Links) -> Figures:
    """Return the four numbers that say how it goes."""
    slots = [worker.concurrency for worker in snapshot.workers if worker.state.is_live]
    ready = [queue.ready for queue in snapshot.queues]
    total = None if None in slots else sum(slot or 0 for slot in slots)
    return Figures(
        id="figures",
        figures=(
            Figure(
                "Running", number(snapshot.running_count), f"of {number(total)} slots", href=links.workers
            ),
            Figure(
                "Waiting",
                number(None if None in ready else sum(count or 0 for count in ready)),
                href=links.queues,
            ),
        ),
    )
