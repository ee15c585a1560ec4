"""The view that every page builds on: who may see it, its parts, and errors as pages."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from http import HTTPStatus
from typing import Any, ClassVar, Final, NamedTuple
from urllib.parse import urlsplit, urlunsplit

from django.conf import settings as django_settings
from django.http import HttpResponse, HttpResponseRedirect, QueryDict
from django.shortcuts import resolve_url
from django.urls import NoReverseMatch, Resolver404, get_script_prefix, resolve, reverse

from celery_health.api.answers import error_body
from celery_health.api.base import BrowserView, json_query
from celery_health.api.permissions import permission_class
from celery_health.api.query import BadParameter, Query
from celery_health.conf import DEFAULT_PERMISSIONS, get_settings
from celery_health.deadline import Deadline
from celery_health.exceptions import CeleryHealthError
from celery_health.health import get_report
from celery_health.page.blocks import Page
from celery_health.page.frame import frame
from celery_health.page.links import ROOT_OF_PAGES, Links
from celery_health.page.once import OncePerReading
from celery_health.page.rendering import render_content, render_error, render_page
from celery_health.records import HealthReport
from celery_health.text.formats import duration

REFRESH_SECONDS: Final = 5
#: Which part an answer is, so that the page's script never shows a login form as if it were the content.
PART_HEADER: Final = "X-Celery-Health-Part"
CONTENT: Final = "content"
#: Where the age will stand: a page is made once and read for a second. No text that is printable has it.
_AGE: Final = "\ue000"
_NOT_YOURS: Final = "You may not see this page: it is for the staff."


class _Made(NamedTuple):
    """A page or its content as HTML, in which `_AGE` stands for how old the reading is."""

    html: str = ""
    status: int = HTTPStatus.OK
    leads_to: str = ""
    """Where to go instead."""


_made: Final[OncePerReading[_Made]] = OncePerReading()


class _Names(Query):
    """Takes names: one may be empty."""

    def single(self, name: str) -> str | None:
        """Return the one value of a parameter; None when it is not given.

        Raises:
            BadParameter: it is given more than once.
        """
        return self._single(name)


class PageView(BrowserView):
    """One page; it keeps itself up to date. `?part=content` is what its script asks for."""

    access = "page"
    stop: ClassVar[str]
    """The id of its stop on the rail."""
    parameters: ClassVar = ["part"]
    parts: ClassVar[tuple[str, ...]] = (CONTENT,)
    root: ClassVar[str] = ROOT_OF_PAGES
    """The way from it to the prefix."""
    refusal: ClassVar[str] = _NOT_YOURS
    """What those are told who may not see it."""
    query_class = _Names
    is_shared: ClassVar[bool] = False
    """What it shows follows from the reading and the address alone, whoever asks: it is made once for all."""
    # No resource of the API, so that its description leaves it out.
    schema = None

    def page(self, report: HealthReport, query: Query, links: Links, deadline: Deadline) -> Page:
        """Return what it shows."""
        raise NotImplementedError

    def get(self, request: Any) -> HttpResponse:
        """Answer the page, or a part of it: 200 whatever the verdict is, 404 where there is no such thing."""
        query = self.query()
        part = self._part(query)
        if part is not None and part != CONTENT:
            return part_answer(part, self.part(part))
        deadline = Deadline.after(get_settings().deadline)
        return self.answer(query, deadline, part)

    def answer(self, query: Query, deadline: Deadline, part: str | None = None) -> HttpResponse:
        """Answer the page as it is now."""
        report = get_report(deadline)
        make = partial(self._make, report, query, deadline, part)
        if self.is_shared:
            # The checks are one object as long as reading and settings are.
            asked = (type(self), self.request.GET.urlencode(), json_query())
            made = _made.get(report.checks, asked, make, deadline)
        else:
            made = make()
        if made.leads_to:
            return with_headers(HttpResponseRedirect(made.leads_to))
        html = made.html.replace(_AGE, duration(report.age_seconds))
        if part == CONTENT:
            return part_answer(part, html)
        return with_headers(HttpResponse(html, status=made.status))

    def _make(self, report: HealthReport, query: Query, deadline: Deadline, part: str | None) -> _Made:
        page = self.page(report, query, Links(self.root), deadline)
        if page.leads_to:
            return _Made(leads_to=page.leads_to)
        return self._rendered(page, report, part)

    def _rendered(self, page: Page, report: HealthReport, part: str | None) -> _Made:
        around = replace(frame(report, Links(self.root), self.stop), age=_AGE)
        if part == CONTENT:
            return _Made(html=render_content(page, around))
        again = self.request.GET.copy()
        again.pop("part", None)
        html = render_page(page, around, refresh_seconds=REFRESH_SECONDS, again=again.urlencode())
        return _Made(html=html, status=page.status)

    def shown(self, page: Page, report: HealthReport) -> HttpResponse:
        """Answer a page."""
        made = self._rendered(page, report, None)
        html = made.html.replace(_AGE, duration(report.age_seconds))
        return with_headers(HttpResponse(html, status=made.status))

    def part(self, part: str) -> str:
        """Return a part of its own, one of `parts`."""
        raise NotImplementedError

    def _part(self, query: Query) -> str | None:
        part = query.single("part")
        if part is not None and part not in self.parts:
            raise BadParameter("part", part, f"Known: {', '.join(self.parts)}.")
        return part

    def may(self, access: str) -> bool:
        """Say whether the caller may do what `access`, a key of ``PERMISSIONS``, is asked for."""
        return bool(permission_class(access)().has_permission(self.request, self))

    def handle_exception(self, exc: Exception) -> Any:
        """Answer as a page: whoever is not logged in is sent where that is done."""
        if isinstance(exc, CeleryHealthError):
            code, body = error_body(exc, details=self._shows_error(exc))
            return self.error(code, body["error"])
        if getattr(exc, "status_code", None) in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN):
            return self._refusal()
        return super().handle_exception(exc)

    def error(self, status: int, message: str) -> HttpResponse:
        """Answer that there is no page, and why."""
        again = REFRESH_SECONDS * 3 if status >= HTTPStatus.INTERNAL_SERVER_ERROR else None
        html = render_error(message, links=Links(self.root), again_seconds=again)
        return with_headers(HttpResponse(html, status=status))

    def _refusal(self) -> HttpResponse:
        not_yours = self.refusal
        if self.is_logged_in() or "part" in self.request.GET:
            return self.error(HTTPStatus.FORBIDDEN, not_yours)
        address = _login_address()
        if address is not None:
            return HttpResponseRedirect(_with_next(address, self.request))
        challenge = self.challenge()
        response = self.error(HTTPStatus.UNAUTHORIZED if challenge else HTTPStatus.FORBIDDEN, not_yours)
        if challenge:
            response["WWW-Authenticate"] = challenge
        return response


def _login_address() -> str | None:
    """Return where people log in who may see the page: the admin, or the project's own login."""
    # Only the staff can log in at the admin.
    is_for_staff = get_settings().permissions["page"] == DEFAULT_PERMISSIONS["page"]
    found = (_admin_login(), _project_login())
    return next((address for address in (found if is_for_staff else found[::-1]) if address), None)


def _admin_login() -> str | None:
    try:
        return reverse("admin:login")
    except NoReverseMatch:
        return None


def _project_login() -> str | None:
    """Return ``LOGIN_URL``, unless it is Django's default and nothing is there."""
    if not django_settings.LOGIN_URL:
        return None
    try:
        address = resolve_url(django_settings.LOGIN_URL)
        if not address.startswith(("/", "http://", "https://")):
            return None  # a name that is not in these URLs, and that it takes for an address for its dot
        if address.startswith(get_script_prefix()):
            resolve("/" + urlsplit(address).path.removeprefix(get_script_prefix()))
    except (NoReverseMatch, Resolver404):
        return None
    return address


def _with_next(address: str, request: Any) -> str:
    """Return the address of a login that comes back to what was asked for."""
    parts = urlsplit(address)
    query = QueryDict(parts.query, mutable=True)
    # Another host must be told which one to come back to.
    query["next"] = request.build_absolute_uri() if parts.netloc else request.get_full_path()
    return urlunsplit(parts._replace(query=query.urlencode(safe="/")))


def part_answer(part: str, html: str) -> HttpResponse:
    """Return a part of a page, as its script asks for it."""
    return with_headers(HttpResponse(html, headers={PART_HEADER: part}))


def with_headers(response: HttpResponse) -> HttpResponse:
    """Keep browsers from guessing its type and from telling others its address; have it framed as allowed.

    Its policy stands in the page itself (`templates/head.html`), not in a header: middlewares of projects
    merge policies in headers, replace them, and raise on directives that they do not know.
    """
    response["X-Content-Type-Options"] = "nosniff"
    response["Referrer-Policy"] = "same-origin"
    response.setdefault("X-Frame-Options", django_settings.X_FRAME_OPTIONS or "DENY")
    return response
