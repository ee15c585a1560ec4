"""The page of an action: it asks, and says what was done. Only for those who may, and only when they mean it.

What was done travels in the address, signed: a reload shows it again, and does nothing again.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any, Final

from django.core import signing
from django.http import HttpResponse, QueryDict

from celery_health.api.query import BadParameter, Query
from celery_health.api.writing import Writing
from celery_health.conf import get_settings
from celery_health.deadline import Deadline
from celery_health.exceptions import BrokerError, CeleryHealthError
from celery_health.health import get_report
from celery_health.page.actions import Action, Outcome, Question, Refused, Target, is_confirmed, typed_form
from celery_health.page.base import PageView
from celery_health.page.blocks import Cell, Page, Text, joined
from celery_health.page.csrf import keep, token_of
from celery_health.page.form_blocks import Actions, Form
from celery_health.page.letter_actions import SendAgain
from celery_health.page.letter_purge import Purge
from celery_health.page.links import Links
from celery_health.records import HealthReport
from celery_health.text.masking import mask
from celery_health.text.printable import printable

#: What can be done, by its address below ``page/``.
ACTIONS: Final[Mapping[str, Action]] = {action.path: action for action in (SendAgain(), Purge())}

#: What became of it, in the address.
_DONE: Final = "done"
_SALT: Final = "celery_health.page.acting"
#: An old result says nothing of what is so now (seconds).
_SHOWN_FOR: Final = 3600
#: After that, it asks anew (seconds).
_GOES_ON_FOR: Final = 120
_CONFIRM: Final = "confirm"
_NO_CSRF: Final = (
    "Nothing was done: the form is not from this page, is too old, or the browser keeps no cookies (CSRF). "
    "Go back, reload the page, and press again."
)


class ActionPage(Writing, PageView):
    """Asks on GET, does it on POST, and leads to a page that says what was done."""

    also = ("read", "write")
    takes_tokens = False
    refusal = (
        "You may not do this: it takes the permissions “page”, “read” and “write” (PERMISSIONS); superusers "
        "have them, unless the project says otherwise."
    )
    action: Action = next(iter(ACTIONS.values()))

    def setup(self, request: Any, *args: Any, **kwargs: Any) -> None:
        """Take what belongs to the action."""
        super().setup(request, *args, **kwargs)
        self.root = "../" * (self.action.path.count("/") + 2)  # type: ignore[misc]
        self.stop = self.action.stop  # type: ignore[misc]
        self.parameters = [*self.action.parameters, _DONE, "part"]  # type: ignore[misc]

    def page(self, report: HealthReport, query: Query, links: Links, deadline: Deadline) -> Page:
        """Return the question, or what was done."""
        target = self._target(query)
        done = self._done(target, query.single(_DONE))
        if done is not None:
            outcome, fields = done
            return self._result(outcome, target, fields, links)
        return self._question(target, report, links, deadline)

    def post(self, request: Any) -> HttpResponse:
        """Do it, once it is confirmed."""
        target = self._target(self.query())
        given = self.fields([_CONFIRM, *self.action.fields])
        fields = {name: given.text_or_empty(name) for name in (_CONFIRM, *self.action.fields)}
        try:
            name = self.action.confirmation(target)
            if name is not None and not is_confirmed(fields[_CONFIRM], name):
                raise Refused(f"Nothing was done. Type {typed_form(name)} as it stands here.", 400)
            outcome = self.action.do(target, fields, self.who(), Deadline.after(get_settings().deadline))
        except Refused as refused:
            if refused.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
                # It has waited for the broker: a reading, to ask again, would wait as long once more.
                return self.error(refused.status, f"{mask(refused)} Go back, and try again.")
            return self._ask_again(target, refused)
        query = QueryDict(mutable=True)
        query.update({**target, _DONE: self._signed(target, outcome, fields)})
        return HttpResponse(status=303, headers={"Location": f"?{query.urlencode()}"})

    def handle_exception(self, exc: Exception) -> Any:
        """Answer as a page, also where CSRF's token is missing or wrong."""
        if str(getattr(exc, "detail", "")).startswith("CSRF Failed"):
            return self.error(403, _NO_CSRF)
        return super().handle_exception(exc)

    def finalize_response(self, request: Any, response: Any, *args: Any, **kwargs: Any) -> Any:
        """Keep the form's token, and the page out of other pages' frames."""
        response = super().finalize_response(request, response, *args, **kwargs)
        response["X-Frame-Options"] = "DENY"
        keep(getattr(request, "_request", request), response)
        return response

    def _target(self, query: Query) -> Target:
        found = {name: query.single(name) for name in self.action.parameters}
        first = self.action.parameters[0]
        if found[first] is None:
            raise BadParameter(first, "", "Say which one is meant.")
        for name, value in found.items():
            # Empty, it would mean more than was asked for.
            if value == "" and name != first:
                raise BadParameter(name, "", "Give a value, or leave the parameter out.")
        return {name: value for name, value in found.items() if value is not None}

    # What was done, in the address

    def _signed(self, target: Target, outcome: Outcome, fields: Mapping[str, str]) -> str:
        told = {
            "of": [self.action.path, target],
            "at": time.time(),
            "who": self.who(),
            "lines": [[tone, text[:500]] for tone, text in outcome.lines],
            "again": outcome.again,
            "fields": dict(fields) if outcome.again else {},
        }
        return signing.dumps(told, salt=_SALT, compress=True)

    def _done(self, target: Target, signed: str | None) -> tuple[Outcome, Mapping[str, str]] | None:
        if signed is None:
            return None
        try:
            told = signing.loads(signed, salt=_SALT, max_age=_SHOWN_FOR)
        except signing.BadSignature:
            return None  # too old, or not ours: it asks once more
        if told["of"] != [self.action.path, dict(target)]:
            return None
        at = datetime.fromtimestamp(told["at"], UTC)
        when = ("plain", f"At {at:%Y-%m-%d %H:%M:%S} UTC, by {told['who']}:")
        lines = tuple((str(tone), str(text)) for tone, text in told["lines"])
        again = bool(told["again"]) and time.time() - told["at"] < _GOES_ON_FOR
        return Outcome(lines=(when, *lines), again=again), told["fields"]

    # The pages

    def _ask_again(self, target: Target, refused: Refused) -> HttpResponse:
        deadline = Deadline.after(get_settings().deadline)
        report = get_report(deadline)
        links = Links(self.root)
        page = self._question(target, report, links, deadline, error=refused)
        return self.shown(page, report)

    def _question(
        self,
        target: Target,
        report: HealthReport,
        links: Links,
        deadline: Deadline,
        error: Refused | None = None,
    ) -> Page:
        broker = report.snapshot.broker
        try:
            if broker.reachable is False:
                # The reading has waited for it: a second wait would end at once, and blame this process.
                raise BrokerError(f"The broker cannot be reached: {broker.error or 'it does not answer'}")
            asked = self.action.question(target, report, deadline)
        except BadParameter:
            raise
        except CeleryHealthError as problem:
            said = f"What would happen cannot be found out now. {mask(problem)}"
            asked = Question(title=self.action.kind, says=(said,), button="", status=503)
        ways = self.action.ways(target, links)
        name = self.action.confirmation(target)
        said_before = "" if error is None else mask(error)
        if not asked.button:
            lines = [*([("bad", said_before)] if error else []), *(("", text) for text in asked.says)]
            blocks = joined(_lines("nothing", lines), Actions(id="ways", buttons=ways))
        else:
            form = Form(
                id="question",
                csrf_token=token_of(self.request._request),
                says=tuple(map(printable, asked.says)),
                button=asked.button,
                tone=asked.tone,
                typed="" if name is None else typed_form(name),
                error=printable(said_before),
                boxes=asked.boxes,
                hidden=asked.hidden,
                action=f"?{_query(target)}",
                cancel=ways[0].href,
            )
            blocks = (form,)
        return Page(
            title=asked.title,
            kind=self.action.kind,
            status=asked.status if error is None else error.status,
            refreshes=False,
            blocks=blocks,
        )

    def _result(self, outcome: Outcome, target: Target, fields: Mapping[str, str], links: Links) -> Page:
        again = Form(
            id="again",
            csrf_token=token_of(self.request._request),
            says=(),
            button="Go on",
            hidden=tuple(fields.items()),
            action=f"?{_query(target)}",
        )
        return Page(
            title="What was done",
            kind=self.action.kind,
            refreshes=False,
            blocks=joined(
                _lines("outcome", outcome.lines),
                again if outcome.again else None,
                Actions(id="ways", buttons=self.action.ways(target, links)),
            ),
        )


def _lines(id: str, lines: Any) -> Text:
    return Text(id=id, lines=tuple(Cell(printable(text), tone or "plain") for tone, text in lines))


def _query(target: Target) -> str:
    query = QueryDict(mutable=True)
    query.update(dict(target))
    return query.urlencode()
