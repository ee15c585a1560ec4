"""Middlewares and URLs as released applications have them: each does to our answers what theirs do."""

from __future__ import annotations

from typing import Any

from django.conf.urls.i18n import i18n_patterns
from django.http import HttpRequest, HttpResponse
from django.urls import include, path
from django.utils.deprecation import MiddlewareMixin

from celery_health import urls

CSP = "Content-Security-Policy"


class MergingPolicy(MiddlewareMixin):
    """Takes apart the policy of each answer, adds its own, and raises on a directive that it does not know.

    As the ``SecurityMiddleware`` of pretix 2026.8 does (``pretix/base/middleware.py``).
    """

    known = (
        "child-src", "connect-src", "default-src", "font-src", "form-action", "frame-src", "img-src",
        "manifest-src", "media-src", "object-src", "report-uri", "script-src", "script-src-elem",
        "script-src-attr", "style-src", "style-src-elem", "style-src-attr", "worker-src",
    )  # fmt: skip
    own = {
        "default-src": ["'self'"],
        "script-src": ["'self'"],
        "object-src": ["'none'"],
        "style-src": ["'self'"],
        "connect-src": ["'self'"],
        "img-src": ["'self'", "data:"],
        "form-action": ["'self'", "https:"],
    }

    def process_response(self, request: HttpRequest, response: HttpResponse) -> HttpResponse:
        if response["Content-Type"].split(";")[0] in ("application/json", "text/css"):
            if CSP in response:
                del response[CSP]
            return response
        merged = {name: list(sources) for name, sources in self.own.items()}
        if CSP in response:
            for part in response[CSP].split(";"):
                # A directive without a value, or a semicolon at the end, is a ValueError: as there.
                name, sources = part.strip().split(" ", 1)
                have = merged.setdefault(name, [])
                have += [source for source in sources.split(" ") if source not in have]
        for name in merged:
            if name not in self.known:
                raise ValueError(f"Invalid CSP directive {name}")
        response[CSP] = "; ".join(f"{name} {' '.join(sources)}" for name, sources in merged.items())
        return response


class ReplacingPolicy(MiddlewareMixin):
    """Puts its own policy in the place of any other, as Weblate 2026.10 does (``weblate/middleware.py``)."""

    policy = (
        "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; connect-src 'self'; "
        "font-src 'self'; frame-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'self'"
    )

    def process_response(self, request: HttpRequest, response: HttpResponse) -> HttpResponse:
        response[CSP] = self.policy
        return response


class TrustedTypes(MiddlewareMixin):
    """Has the browser refuse text where a script would make markup of it."""

    policy = f"{ReplacingPolicy.policy}; require-trusted-types-for 'script'"

    def process_response(self, request: HttpRequest, response: HttpResponse) -> HttpResponse:
        response[CSP] = self.policy
        return response


class UrlsByHost(MiddlewareMixin):
    """Chooses the URLs by the host, so that ``ROOT_URLCONF`` is nobody's, as pretix's multidomain does."""

    def process_request(self, request: HttpRequest) -> None:
        request.urlconf = "tests.project.urls"  # type: ignore[attr-defined]


class HeadersOfProxy(MiddlewareMixin):
    """Sets the headers that a careful proxy puts on every answer."""

    def process_response(self, request: HttpRequest, response: HttpResponse) -> HttpResponse:
        response["X-Frame-Options"] = "DENY"
        response["Referrer-Policy"] = "no-referrer"
        response["Permissions-Policy"] = "clipboard-write=(), interest-cohort=()"
        response["Cross-Origin-Opener-Policy"] = "same-origin"
        response["Cross-Origin-Embedder-Policy"] = "require-corp"
        response["Cross-Origin-Resource-Policy"] = "same-origin"
        return response


class Nowhere:
    """URLs without ours."""

    urlpatterns: list[Any] = []


class Languages:
    """Ours below a language."""

    urlpatterns = i18n_patterns(path("celery/", include((urls.urlpatterns, "celery_health"))))


class Twice:
    """Ours twice."""

    urlpatterns = [
        path("first/", include((urls.urlpatterns, "celery_health"), namespace="one")),
        path("second/celery/", include((urls.urlpatterns, "celery_health"), namespace="two")),
    ]
