"""The view that every resource builds on: what a monitored project may set, and what must not reach us."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from typing import Any, ClassVar, Final, Self

from django.apps import apps
from django.db import transaction
from django.http import Http404, HttpRequest
from rest_framework.authentication import BaseAuthentication, SessionAuthentication
from rest_framework.exceptions import NotAcceptable
from rest_framework.negotiation import DefaultContentNegotiation
from rest_framework.permissions import AllowAny
from rest_framework.renderers import BaseRenderer, BrowsableAPIRenderer, JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.settings import api_settings
from rest_framework.views import APIView

from celery_health.api.answers import error_body, finish
from celery_health.api.permissions import permission_class
from celery_health.api.query import BadParameter, Query
from celery_health.conf import details_are_public
from celery_health.exceptions import CeleryHealthError, ConfigurationError

#: What monitors ask, and may be open to anyone: not all who may ask may see everything.
_FOR_MONITORS: Final = ("health", "metrics")


class ForgivingNegotiation(DefaultContentNegotiation):
    """Answers JSON to whoever accepts nothing we have: 406 would tell a monitor that Celery is down."""

    def select_renderer(
        self, request: Request, renderers: Any, format_suffix: str | None = None
    ) -> tuple[BaseRenderer, str]:
        """Return the renderer and media type to answer with."""
        try:
            chosen: tuple[BaseRenderer, str] = super().select_renderer(request, renderers, format_suffix)
        except NotAcceptable:
            return renderers[0], renderers[0].media_type
        return chosen

    def filter_renderers(self, renderers: Any, format: str) -> Any:
        """Return the renderers of ``?format=``.

        Raises:
            BadParameter: there are none.
        """
        try:
            return super().filter_renderers(renderers, format)
        except Http404:
            known = ", ".join(renderer.format for renderer in renderers)
            raise BadParameter(
                api_settings.URL_FORMAT_OVERRIDE or "format", format, f"Known: {known}."
            ) from None


def _browsable_renderers() -> Iterator[type[BaseRenderer]]:
    """Yield the project's browsable API: nothing where it has switched that off, or has not installed it."""
    if apps.apps_ready and not apps.is_installed("rest_framework"):
        return  # its templates are not found; all else of it does without
    renderers: Any = api_settings.DEFAULT_RENDERER_CLASSES
    for renderer in renderers:
        if issubclass(renderer, BrowsableAPIRenderer) and renderer.format == BrowsableAPIRenderer.format:
            yield renderer


class MonitoringView(APIView):
    """Answers one resource as JSON, or in the browsable API.

    Authentication is the project's. Its renderers, throttles and versioning are not used: field names and
    paths are a contract, and a throttle would ask a cache that may be the very thing that is down.
    """

    access: ClassVar[str] = "read"
    """The key of ``PERMISSIONS`` that says who may ask."""
    also: ClassVar[Sequence[str]] = ()
    """Further keys, each of which has to let the caller in, too."""
    parameters: ClassVar[Sequence[str]] = ()
    """The query parameters that the resource takes."""
    refuse_unknown_parameters: ClassVar[bool] = True
    query_class: ClassVar[type[Query]] = Query

    renderer_classes = (JSONRenderer, *_browsable_renderers())
    content_negotiation_class = ForgivingNegotiation
    throttle_classes = ()
    versioning_class = None

    @classmethod
    def as_view(cls, **initkwargs: Any) -> Any:
        """Return the view function, outside transactions: ATOMIC_REQUESTS would need a living database."""
        return transaction.non_atomic_requests(super().as_view(**initkwargs))

    # Who may ask

    @property
    def is_public(self) -> bool:
        """Say whether anyone may ask."""
        return all(permission_class(key) is AllowAny for key in (self.access, *self.also))

    def needs_user(self) -> bool:
        """Say whether it matters who asks; if not, neither session nor database is touched."""
        return not self.is_public

    def get_authenticators(self) -> list[BaseAuthentication]:
        """Return the project's authenticators, or none where it does not matter who asks."""
        try:
            return super().get_authenticators() if self.needs_user() else []
        except ConfigurationError:
            # DRF calls this before it catches errors; get_permissions raises the same where it does.
            return []

    def get_permissions(self) -> list[Any]:
        """Return what ``PERMISSIONS`` says now, so that it can be changed without a restart in tests."""
        return [permission_class(key)() for key in (self.access, *self.also)]

    def shows_details(self) -> bool:
        """Say whether this caller may see more than states.

        Under ``HEALTH_DETAILS`` that is who may read tasks, and whom a view for chosen people lets in.

        Raises:
            ConfigurationError: that cannot be found out.
        """
        if details_are_public():
            return True
        keys = {"read"} if self.access in _FOR_MONITORS else {"read", self.access}
        return any(permission_class(key)().has_permission(self.request, self) for key in sorted(keys))

    # Questions and answers

    def query(self) -> Query:
        """Return the query parameters.

        Raises:
            BadParameter: one is unknown.
        """
        known = [*self.parameters]
        if api_settings.URL_FORMAT_OVERRIDE:
            known.append(api_settings.URL_FORMAT_OVERRIDE)
        given = self.request.query_params
        return self.query_class(given, known, refuse_unknown=self.refuse_unknown_parameters)

    def handle_exception(self, exc: Exception) -> Response:
        """Answer our own errors as JSON with their fix; leave the others to DRF and the project."""
        if not isinstance(exc, CeleryHealthError):
            return super().handle_exception(exc)
        status, body = error_body(exc, details=self._shows_error(exc))
        response = Response(body, status=status)
        response.exception = True
        return response

    def _shows_error(self, error: CeleryHealthError) -> bool:
        try:
            # What callers sent they may see again, whoever they are.
            return isinstance(error, BadParameter) or self.shows_details()
        except Exception:
            # Who may see it is unknown: the server's log has it.
            return False

    def finalize_response(self, request: Any, response: Any, *args: Any, **kwargs: Any) -> Any:
        """Return the answer with the headers that all of ours have."""
        response = super().finalize_response(request, response, *args, **kwargs)
        finish(response)
        return response


class BrowserView(MonitoringView):
    """A view for people, who log in to Django whatever the project's API takes: tokens, for one."""

    # It answers in HTML of its own: what is left to these are errors that DRF makes.
    renderer_classes = (JSONRenderer,)

    def get_authenticators(self) -> list[BaseAuthentication]:
        """Return Django's own session besides the project's authenticators."""
        return [SessionAuthentication(), *super().get_authenticators()] if self.needs_user() else []

    def needs_user(self) -> bool:
        """Say whether it matters who asks; yes while a wrong setting keeps that from being known."""
        try:
            return super().needs_user()
        except ConfigurationError:
            return True

    @classmethod
    def as_asked_by(cls, request: HttpRequest, *, access: str) -> Self:
        """Return a view for what `access` guards, as if whoever sent `request` to another page read it."""
        asked = copy.copy(request)
        asked.method = "GET"
        view = cls()
        view.access = access  # type: ignore[misc]
        view.setup(asked)
        view.request = Request(asked)
        view.request.user = request.user
        return view

    def may_be_asked(self) -> bool:
        """Say whether the caller may.

        Raises:
            ConfigurationError: that cannot be found out.
        """
        return all(each.has_permission(self.request, self) for each in self.get_permissions())

    def is_logged_in(self) -> bool:
        """Say whether Django knows who asks: nobody is sent to log in twice."""
        user = getattr(self.request, "user", None)
        by_django = getattr(getattr(self.request, "_request", None), "user", None)
        return any(getattr(each, "is_authenticated", False) for each in (user, by_django))

    def challenge(self) -> str | None:
        """Return the ``WWW-Authenticate`` by which a browser may log in; None without one.

        As in Django REST framework, that is the business of the project's first authenticator.
        """
        authenticators = super().get_authenticators()
        header: str | None = authenticators[0].authenticate_header(self.request) if authenticators else None
        return header


def json_query() -> str:
    """Return the query that has a browser get JSON rather than the browsable API."""
    name = api_settings.URL_FORMAT_OVERRIDE
    return f"?{name}={JSONRenderer.format}" if name else ""
