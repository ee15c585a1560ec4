"""The addresses of the pages and of what is behind them, relative to the page that shows them.

The app may be included anywhere, twice, and behind a proxy that takes a prefix off: only relative addresses
hold there. Names stand in the query: they may hold slashes and dots, which browsers and proxies resolve.
"""

from __future__ import annotations

from urllib.parse import quote

from celery_health.api.base import json_query

#: From a page below ``page/`` to the prefix.
ROOT_OF_PAGES = "../../"


class Links:
    """What one page links to."""

    def __init__(self, root: str = "") -> None:
        """Take the way from the page to the prefix: empty, or `ROOT_OF_PAGES`."""
        self._root = root

    @property
    def overview(self) -> str:
        """Return the address of the overview."""
        return self._root or "./"

    @property
    def queues(self) -> str:
        """Return the address of all queues."""
        return self._page("queues")

    @property
    def tasks(self) -> str:
        """Return the address of all tasks."""
        return self._page("tasks")

    @property
    def workers(self) -> str:
        """Return the address of all workers."""
        return self._page("workers")

    @property
    def schedule(self) -> str:
        """Return the address of the schedule."""
        return self._page("schedule")

    @property
    def dead_letters(self) -> str:
        """Return the address of the queues with dead letters."""
        return self._page("dead-letters")

    @property
    def doctor(self) -> str:
        """Return the address of the doctor's findings."""
        return self._page("doctor")

    @property
    def search(self) -> str:
        """Return the address of the search."""
        return self._page("search")

    def search_for(self, text: str) -> str:
        """Return the address of what the search finds for `text`."""
        return self._page("search", q=text)

    def queue(self, name: str) -> str:
        """Return the address of one queue."""
        return self._page("queues", name=name)

    def task(self, name: str) -> str:
        """Return the address of one task, by its name."""
        return self._page("tasks", name=name)

    def worker(self, hostname: str) -> str:
        """Return the address of one worker."""
        return self._page("workers", name=hostname)

    def entry(self, name: str) -> str:
        """Return the address of one entry of the schedule."""
        return self._page("schedule", name=name)

    def letters(self, queue: str, **chosen: str) -> str:
        """Return the address of the dead letters of a queue, or of those that are `chosen`."""
        return self._page("dead-letters", queue=queue, **chosen)

    def letter(self, queue: str, letter_id: str) -> str:
        """Return the address of one dead letter."""
        return self._page("dead-letters", queue=queue, id=letter_id)

    def runbook(self, check: str) -> str:
        """Return the address of what to do about a check."""
        return self._page("runbook", check=check)

    def rule(self, name: str) -> str:
        """Return the address of what a rule of the doctor means."""
        return self._page("doctor", rule=name)

    def sending(self, queue: str, **chosen: str) -> str:
        """Return where letters of a queue are sent again: a page that asks first.

        `chosen` is the ``id`` of one, or what chooses some; all without it.
        """
        return self._page("dead-letters/requeue", queue=queue, **chosen)

    def purging(self, queue: str) -> str:
        """Return where the letters of a queue are purged: a page that asks first."""
        return self._page("dead-letters/purge", queue=queue)

    def json(self, resource: str, **query: str) -> str:
        """Return the address of a resource, such as ``queues``, as JSON."""
        given = json_query()
        more = "&".join(f"{key}={_quoted(value)}" for key, value in query.items())
        return f"{self._root}{resource}/{given}" + (f"{'&' if given else '?'}{more}" if more else "")

    def file(self, version: str, name: str) -> str:
        """Return the address of a file of the page's own, in one version."""
        return f"{self._root}page/files/{version}/{name}"

    def _page(self, path: str, **query: str) -> str:
        text = "&".join(f"{key}={_quoted(value)}" for key, value in query.items())
        return f"{self._root}page/{path}/" + (f"?{text}" if text else "")


def _quoted(value: str) -> str:
    return quote(value, safe="", errors="replace")
