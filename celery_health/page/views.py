"""The prefix itself: the status page."""

from __future__ import annotations

import secrets
from http import HTTPStatus
from typing import Any, ClassVar, Final
from urllib.parse import urlsplit, urlunsplit

from django.conf import settings as django_settings
from django.http import HttpResponse, HttpResponseRedirect, QueryDict
from django.shortcuts import resolve_url
from django.urls import NoReverseMatch, Resolver404, get_script_prefix, resolve, reverse

from celery_health.api.answers import error_body
from celery_health.api.base import BrowserView, json_query
from celery_health.api.query import BadParameter
from celery_health.conf import DEFAULT_PERMISSIONS, get_settings
from celery_health.deadline import Deadline
from celery_health.exceptions import CeleryHealthError
from celery_health.health import get_report, with_tasks
from celery_health.page.rendering import render_content, render_doctor, render_error, render_page

REFRESH_SECONDS: Final = 5
#: Which part an answer is, so that the page's script never shows a login form as if it were the content.
PART_HEADER: Final = "X-Celery-Health-Part"
_PARTS: Final = ("content", "doctor")
_LINKED: Final = ("health", "workers", "queues", "tasks", "stats", "schedule", "doctor", "dead-letters")
_NOT_YOURS: Final = "You may not see this page: it is for the staff."


class StatusPage(BrowserView):
    """The verdict, what it was judged by, and what the doctor finds, for people; it keeps itself up to date.

    `?part=content` and `?part=doctor` are what its script asks for.
    """

    access = "page"
    parameters: ClassVar = ["part"]
    # No resource of the API, so that its description leaves it out.
    schema = None

    def get(self, request: Any) -> HttpResponse:
        """Answer the page, or a part of it: 200 whatever the verdict is."""
        part = self._part()
        if part == "doctor":
            # Imported here: every worker and web process loads the URLs, and few of them are ever asked this.
            from celery_health.doctor.live_examination import examine_live

            return _part_answer(part, render_doctor(examine_live()))
        deadline = Deadline.after(get_settings().deadline)
        report = with_tasks(get_report(deadline), deadline)
        if part == "content":
            return _part_answer(part, render_content(report, links=_links()))
        nonce = secrets.token_urlsafe(16)
        html = render_page(report, nonce=nonce, refresh_seconds=REFRESH_SECONDS, links=_links())
        return _with_policy(HttpResponse(html), nonce)

    def _part(self) -> str | None:
        part = self.query().single("part")
        if part is not None and part not in _PARTS:
            raise BadParameter("part", part, f"Known: {', '.join(_PARTS)}.")
        return part

    def handle_exception(self, exc: Exception) -> Any:
        """Answer as a page: whoever is not logged in is sent where that is done."""
        if isinstance(exc, CeleryHealthError):
            code, body = error_body(exc, details=self._shows_error(exc))
            return _error_page(code, body["error"])
        if getattr(exc, "status_code", None) in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN):
            return self._refusal()
        return super().handle_exception(exc)

    def _refusal(self) -> HttpResponse:
        if self.is_logged_in() or "part" in self.request.GET:
            return _error_page(HTTPStatus.FORBIDDEN, _NOT_YOURS)
        address = _login_address()
        if address is not None:
            return HttpResponseRedirect(_with_next(address, self.request))
        challenge = self.challenge()
        response = _error_page(HTTPStatus.UNAUTHORIZED if challenge else HTTPStatus.FORBIDDEN, _NOT_YOURS)
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


def _links() -> dict[str, str]:
    """Return the addresses of the resources, relative to the page: it may be included anywhere, and twice."""
    return {name: f"{name}/{json_query()}" for name in _LINKED}


def _part_answer(part: str, html: str) -> HttpResponse:
    response = HttpResponse(html, headers={PART_HEADER: part})
    # Opened by itself it is a document, too: one that may do nothing.
    response["Content-Security-Policy"] = "default-src 'none'; frame-ancestors 'none'"
    response["X-Content-Type-Options"] = "nosniff"
    return response


def _error_page(status: int, message: str) -> HttpResponse:
    nonce = secrets.token_urlsafe(16)
    again = REFRESH_SECONDS * 3 if status >= HTTPStatus.INTERNAL_SERVER_ERROR else None
    html = render_error(message, nonce=nonce, again_seconds=again)
    return _with_policy(HttpResponse(html, status=status), nonce)


def _with_policy(response: HttpResponse, nonce: str) -> HttpResponse:
    """Have the browser run and load nothing but what this page brings along."""
    response["Content-Security-Policy"] = (
        f"default-src 'none'; style-src 'nonce-{nonce}'; script-src 'nonce-{nonce}'; connect-src 'self'; "
        "img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'self'"
    )
    response["X-Content-Type-Options"] = "nosniff"
    response["Referrer-Policy"] = "same-origin"
    return response
