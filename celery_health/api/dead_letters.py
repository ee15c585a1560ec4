"""``dead-letters/``: how many, which, why; sent again, or purged."""

from __future__ import annotations

from collections.abc import Callable
from http import HTTPStatus
from typing import ClassVar, Final

from rest_framework.request import Request
from rest_framework.response import Response

from celery_health.api.base import MonitoringView
from celery_health.api.query import BadParameter
from celery_health.api.schema import describe
from celery_health.api.writing import MAX_RATE, MIN_RATE, BadField, Fields, WritingView
from celery_health.conf import get_settings
from celery_health.dead_letters import acting, letters
from celery_health.dead_letters.body import letter_row, page_body, requeued_body, sizes_body
from celery_health.dead_letters.letters import DEFAULT_LIMIT, MAX_LIMIT
from celery_health.dead_letters.moments import unix_seconds
from celery_health.dead_letters.records import Cause, Filter
from celery_health.text.printable import printable

FILTERS: Final = ("task", "exception", "cause", "since", "until")


class DeadLettersView(MonitoringView):
    """How many dead letters each queue has; `null` is unknown."""

    @describe("dead-letters")
    def get(self, request: Request) -> Response:
        """Answer the sizes."""
        self.query()
        return Response(sizes_body(letters.sizes()))


class DeadLetterQueueView(MonitoringView):
    """The dead letters of a queue, the oldest first.

    `?task=`, `?exception=`, `?cause=`, `?since=` and `?until=` choose (a time, or `2h` for two hours ago),
    `?limit=` and `?offset=` page. On RabbitMQ only the first thousand can be shown, and looking marks them as
    redelivered.
    """

    parameters: ClassVar = ["limit", "offset", *FILTERS]

    @describe("dead-letters-queue")
    def get(self, request: Request, queue: str) -> Response:
        """Answer some letters."""
        query = self.query()
        page = letters.entries(
            queue,
            limit=query.limit(DEFAULT_LIMIT),
            offset=query.offset(),
            where=filter_of(query.single, BadParameter),
        )
        return Response(page_body(page))


class DeadLetterView(MonitoringView):
    """One dead letter, by its own id or its task's: why it failed, and where it goes back to."""

    @describe("dead-letters-entry")
    def get(self, request: Request, queue: str, letter_id: str) -> Response:
        """Answer one letter."""
        self.query()
        return Response(letter_row(letters.entry(queue, letter_id)))


class RequeueView(WritingView):
    """Sends letters back to their queue as they were published: those of `ids`, else all.

    `task`, `exception`, `cause`, `since` and `until` choose; `limit` and `rate` (per second) bound;
    `dry_run` only says what would be done; `force` also sends while nobody consumes the queue, and what has
    expired. It ends within the `DEADLINE` setting: `finished` says whether that was all.
    """

    @describe("dead-letters-requeue")
    def post(self, request: Request, queue: str) -> Response:
        """Send letters again."""
        self.query()
        fields = self.fields(["ids", *FILTERS, "limit", "rate", "dry_run", "force"])
        chosen = {
            "where": filter_of(fields.text, BadField),
            "limit": fields.whole("limit", MAX_LIMIT),
            "rate": _rate(fields),
            "force": fields.flag("force"),
            "dry_run": fields.flag("dry_run"),
        }
        ids = fields.texts("ids")
        done = acting.requeue(self.who(), queue, ids, timeout=get_settings().deadline, **chosen)
        return Response(requeued_body(done))


class RequeueOneView(WritingView):
    """Sends one letter back to its queue, as it was published; 409 when it has expired, unless `force`."""

    @describe("dead-letters-entry-requeue")
    def post(self, request: Request, queue: str, letter_id: str) -> Response:
        """Send a letter again."""
        self.query()
        fields = self.fields(["dry_run", "force"])
        chosen = {"force": fields.flag("force"), "dry_run": fields.flag("dry_run")}
        letters.entry(queue, letter_id)
        done = acting.requeue(self.who(), queue, [letter_id], timeout=get_settings().deadline, **chosen)
        return Response(requeued_body(done), HTTPStatus.OK if done.requeued else HTTPStatus.CONFLICT)


class PurgeView(WritingView):
    """Removes all letters of a queue, for good; `dry_run` only counts them."""

    @describe("dead-letters-purge")
    def post(self, request: Request, queue: str) -> Response:
        """Purge."""
        self.query()
        if self.fields(["dry_run"]).flag("dry_run"):
            size = letters.entries(queue, limit=1).size
            return Response({"queue": printable(queue), "purged": size, "dry_run": True})
        count = acting.purge(self.who(), queue)
        return Response({"queue": printable(queue), "purged": count, "dry_run": False})


def filter_of(text: Callable[[str], str | None], error: type[BadParameter]) -> Filter:
    """Return which letters are meant: `text` gives the value of each of `FILTERS`, None without one.

    Raises:
        BadParameter: a time or a cause cannot be understood; it is an `error`.
    """
    return Filter(
        task=text("task"),
        exception=text("exception"),
        cause=_cause(text("cause"), error),
        since=_moment("since", text("since"), error),
        until=_moment("until", text("until"), error),
    )


def _cause(value: str | None, error: type[BadParameter]) -> Cause | None:
    if value is None:
        return None
    try:
        return Cause(value)
    except ValueError:
        raise error("cause", value, f"Known: {', '.join(Cause)}.") from None


def _rate(fields: Fields) -> float | None:
    """Return the letters per second.

    One so low that a second letter never comes within ``DEADLINE`` is refused: whoever asks again until all
    are sent would send one at each call, as fast as the calls go.
    """
    rate = fields.number("rate", MIN_RATE, MAX_RATE)
    seconds = get_settings().deadline
    if rate is not None and rate * seconds < 1:
        fix = (
            f"Give {1 / seconds:g} or more, since one call sends for {seconds:g} s at most (DEADLINE), or "
            "use the command: celery_health dead-letters requeue --rate."
        )
        raise BadField("rate", rate, fix)
    return rate


def _moment(name: str, value: str | None, error: type[BadParameter]) -> float | None:
    if value is None:
        return None
    try:
        return unix_seconds(value)
    except ValueError as problem:
        raise error(name, value, str(problem)) from None
