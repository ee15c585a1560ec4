"""Answer ``live/`` and ``ready/`` before anything else: a kubelet sends the pod's address as Host, over HTTP.

Placed first in ``MIDDLEWARE``, this comes before ``ALLOWED_HOSTS``, login and HTTPS redirects. It asks the
project's URLconf where the two are, and calls what it finds there.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final, cast
from urllib.parse import unquote

from asgiref.sync import iscoroutinefunction, markcoroutinefunction, sync_to_async
from django.apps import apps
from django.conf import settings
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.urls import NoReverseMatch, Resolver404, get_script_prefix, resolve, reverse

logger = logging.getLogger(__name__)

View = Callable[[HttpRequest], HttpResponseBase]

LIVE: Final = "live"
READY: Final = "ready"


class ProbeMiddleware:
    """Answers probes itself, and hands every other request on untouched."""

    sync_capable = True
    async_capable = True

    def __init__(self, get_response: Callable[[HttpRequest], Any]) -> None:
        self._get_response = get_response
        self._probes: Mapping[str, tuple[str, View]] | None = None
        self._is_async = iscoroutinefunction(get_response)
        if self._is_async:
            markcoroutinefunction(self)

    def __call__(self, request: HttpRequest) -> HttpResponseBase | Awaitable[HttpResponseBase]:
        """Return the answer to `request`, or under ASGI an awaitable of it."""
        if self._is_async:
            return self._acall(request)
        name, view = self._find(request)
        return cast(HttpResponseBase, view(request) if view else self._get_response(request))

    async def _acall(self, request: HttpRequest) -> HttpResponseBase:
        name, view = self._find(request)
        if view is None:
            return cast(HttpResponseBase, await self._get_response(request))
        if name == LIVE:
            return view(request)
        # A thread of its own: Django's one thread for synchronous code may be waiting for something else.
        return await sync_to_async(view, thread_sensitive=False)(request)

    def _find(self, request: HttpRequest) -> tuple[str, View | None]:
        if self._probes is None:
            self._probes = probe_paths()
        return self._probes.get(request.path_info, ("", None))


def probe_paths() -> Mapping[str, tuple[str, View]]:
    """Return the name and view of each probe by its path below the script prefix.

    Each is there with and without its last slash: a redirect would go through the very middleware that a
    probe is to be kept from, and a kubelet takes redirects to other hosts for success.
    """
    found: dict[str, tuple[str, View]] = {}
    for name in (LIVE, READY):
        try:
            # Not the thread's URLconf: another middleware may set one per host.
            url = reverse(f"celery_health:{name}", urlconf=settings.ROOT_URLCONF)
            path = unquote("/" + url.removeprefix(get_script_prefix()))
            view = cast(View, resolve(path, urlconf=settings.ROOT_URLCONF).func)
        except (NoReverseMatch, Resolver404):
            logger.error(
                "ProbeMiddleware answers nothing: %s has no celery_health URLs%s. "
                'Add path("api/celery/", include("celery_health.urls")) to it, or take the middleware out.',
                settings.ROOT_URLCONF,
                "" if apps.is_installed("celery_health") else ", and its app is not in INSTALLED_APPS",
            )
            return {}
        found[path] = found[path.removesuffix("/")] = (name, view)
    return found
