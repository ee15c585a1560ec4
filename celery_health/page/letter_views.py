"""The pages of dead letters: a look at the broker, and pure functions that make blocks of it."""

from __future__ import annotations

from typing import Any, ClassVar, Final

from celery_health.api.dead_letters import filter_of
from celery_health.api.query import BadParameter, Query
from celery_health.conf import get_settings
from celery_health.dead_letters.newest import MOST_LOOKED, find, newest
from celery_health.deadline import Deadline
from celery_health.exceptions import BrokerError, DeadlineExceeded, LetterNotFoundError, UnsupportedError
from celery_health.page import letter, letter_queues, letters
from celery_health.page.base import PageView
from celery_health.page.blocks import Page
from celery_health.page.csrf import keep, token_of
from celery_health.page.letters import LETTERS_PER_PAGE, Asked
from celery_health.page.links import Links
from celery_health.records import HealthReport
from celery_health.text.masking import mask

#: Letters that a look at all of them goes through, as far as the time allows.
MOST_OF_ALL: Final = 100_000
MOST_PAGES: Final = 20_000
_UNREAD: Final = (BrokerError, DeadlineExceeded, UnsupportedError)


class DeadLettersPage(PageView):
    """The queues with dead letters, the letters of ``?queue=``, or the one of ``?id=``."""

    also = ("read",)
    stop = "dead-letters"
    parameters: ClassVar = ["queue", "id", "task", "exception", "cause", "since", "page", "all", "part"]

    def page(self, report: HealthReport, query: Query, links: Links, deadline: Deadline) -> Page:
        """Return the letters."""
        queue, letter_id = query.single("queue"), query.single("id")
        if queue is None:
            return letter_queues.page(report, links)
        broker = report.snapshot.broker
        if broker.reachable is False:
            # The reading has waited for it: a second wait would end at once, and blame this process.
            why = f"The broker cannot be reached: {mask(broker.error or 'it does not answer')}"
            return letters.page_unread(queue, why, report, links)
        try:
            if letter_id is not None:
                return self._one(queue, letter_id, report, links, deadline)
            asked = asked_of(queue, query)
            found = newest(
                queue,
                deadline,
                limit=LETTERS_PER_PAGE,
                offset=asked.offset,
                where=asked.where,
                most=MOST_OF_ALL if asked.everything else MOST_LOOKED,
            )
        except _UNREAD as error:
            return letters.page_unread(queue, mask(error), report, links)
        return letters.page_of(asked, found, report, links, may_write=self.may("write"))

    def _one(
        self, queue: str, letter_id: str, report: HealthReport, links: Links, deadline: Deadline
    ) -> Page:
        try:
            found = find(queue, letter_id, deadline)
        except LetterNotFoundError as error:
            return letter.page_of_none(queue, letter_id, mask(error), links)
        shows = get_settings().show_arguments
        token = token_of(self.request._request) if self.may("write") else None
        return letter.page(found, report, links, csrf_token=token, shows_arguments=shows)

    def finalize_response(self, request: Any, response: Any, *args: Any, **kwargs: Any) -> Any:
        """Keep the token of the form by which a letter is sent again, and that form out of others' frames."""
        response = super().finalize_response(request, response, *args, **kwargs)
        if "id" in request.GET:
            response["X-Frame-Options"] = "DENY"
        keep(getattr(request, "_request", request), response)
        return response


def asked_of(queue: str, query: Query) -> Asked:
    """Return which letters the address asks for."""
    return Asked(
        queue=queue,
        where=filter_of(query.given, BadParameter),
        task=query.given("task"),
        exception=query.given("exception"),
        cause=query.given("cause"),
        since=query.given("since"),
        number=query.whole("page", 1, MOST_PAGES) or 1,
        everything=query.flag("all"),
    )
