"""The prefix itself: the status page."""

from __future__ import annotations

import secrets
from http import HTTPStatus
from typing import Any, ClassVar, Final

from django.conf import settings as django_settings
from django.http import HttpResponse, HttpResponseRedirect
from django.shortcuts import resolve_url
from django.urls import NoReverseMatch, Resolver404, resolve, reverse
from django.utils.http import urlencode

from celery_health.api.answers import error_body
from celery_health.api.base import BrowserView
from celery_health.api.query import BadParameter
from celery_health.conf import get_settings
from celery_health.deadline import Deadline
from celery_health.exceptions import CeleryHealthError
from celery_health.health import get_report
from celery_health.page.rendering import render_content, render_doctor, render_error, render_page

REFRESH_SECONDS: Final = 5
#: Which part an answer is, so that the page's script never shows a login form as if it were the content.
PART_HEADER: Final = "X-Celery-Health-Part"
_PARTS: Final = ("content", "doctor")
_LINKED: Final = ("health", "workers", "queues", "tasks", "stats", "schedule", "doctor", "dead-letters")


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

            return self._answer_part(part, render_doctor(examine_live()))
        report = get_report(Deadline.after(get_settings().deadline))
        if part == "content":
            return self._answer_part(part, render_content(report, links=_links()))
        nonce = secrets.token_urlsafe(16)
        html = render_page(report, nonce=nonce, refresh_seconds=REFRESH_SECONDS, links=_links())
        return _with_policy(HttpResponse(html), nonce)

    def _part(self) -> str | None:
        part = self.query().single("part")
        if part is not None and part not in _PARTS:
            raise BadParameter("part", part, f"Known: {', '.join(_PARTS)}.")
        return part

    def _answer_part(self, part: str, html: str) -> HttpResponse:
        return HttpResponse(html, headers={PART_HEADER: part})

    def handle_exception(self, exc: Exception) -> Any:
        """Answer as a page: whoever is not logged in is sent where that is done."""
        status = getattr(exc, "status_code", None)
        if isinstance(exc, CeleryHealthError):
            code, body = error_body(exc, details=True)
            return _error_page(code, body["error"])
        if status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN):
            login = None if "part" in self.request.GET else self._login()
            return login or _error_page(
                HTTPStatus.FORBIDDEN, "You may not see this page: it is for the staff."
            )
        return super().handle_exception(exc)

    def _login(self) -> HttpResponse | None:
        """Return the way to the login; None for somebody who is logged in, or where no login is found."""
        address = None if self.is_logged_in() else _login_address()
        if address is None:
            return None
        return HttpResponseRedirect(f"{address}?{urlencode({'next': self.request.get_full_path()})}")


def _login_address() -> str | None:
    """Return the address of the admin's login, else of the project's own, else None."""
    try:
        return reverse("admin:login")
    except NoReverseMatch:
        pass
    try:
        address = resolve_url(django_settings.LOGIN_URL)
        if address.startswith("/"):
            resolve(address)
    except (NoReverseMatch, Resolver404):
        return None
    return address


def _links() -> dict[str, str]:
    return {name: reverse(f"celery_health:{name}") for name in _LINKED}


def _error_page(status: int, message: str) -> HttpResponse:
    nonce = secrets.token_urlsafe(16)
    return _with_policy(HttpResponse(render_error(message, nonce=nonce), status=status), nonce)


def _with_policy(response: HttpResponse, nonce: str) -> HttpResponse:
    """Have the browser run and load nothing but what this page brings along."""
    response["Content-Security-Policy"] = (
        f"default-src 'none'; style-src 'nonce-{nonce}'; script-src 'nonce-{nonce}'; connect-src 'self'; "
        "img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'self'"
    )
    response["X-Content-Type-Options"] = "nosniff"
    response["Referrer-Policy"] = "same-origin"
    return response
