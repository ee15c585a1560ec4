"""The entry in ``django.contrib.admin`` that leads to the status page, for those who may see that.

The admin imports this by itself wherever it is installed, in workers too: what it needs of ours, and of
Django REST framework, is imported when somebody asks.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from django.apps.registry import Apps
from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.db import models
from django.http import Http404, HttpRequest, HttpResponseRedirect
from django.urls import NoReverseMatch, path, reverse

__all__ = ["StatusPage", "StatusPageAdmin"]

if TYPE_CHECKING:
    _ModelAdmin = admin.ModelAdmin["StatusPage"]
else:  # a generic of the type stubs alone
    _ModelAdmin = admin.ModelAdmin

_PAGE: Final = "celery_health:page"


class StatusPage(models.Model):
    """What the admin lists; in no project's registry: no table, migration or permission comes of it."""

    name = models.CharField(primary_key=True, max_length=1)

    class Meta:
        """The admin asks for a model; this one is known to nobody else."""

        apps = Apps()
        managed = False
        default_permissions = ()
        verbose_name = verbose_name_plural = "Celery: status page"


@admin.register(StatusPage)
class StatusPageAdmin(_ModelAdmin):
    """Leads to the status page.

    It is on the default admin site; for another one: ``site.register(StatusPage, StatusPageAdmin)``.
    """

    def get_urls(self) -> list[Any]:
        """Return the one address: all others would ask a table that is not there."""
        name = f"{self.opts.app_label}_{self.opts.model_name}_changelist"
        return [path("", self.admin_site.admin_view(self.changelist_view), name=name)]

    def changelist_view(self, request: HttpRequest, extra_context: Any = None) -> Any:
        """Send the caller to the page."""
        address = _address()
        if address is None:
            raise Http404("celery_health.urls are not included here.")
        if not _may_see_page(request):
            raise PermissionDenied
        return HttpResponseRedirect(address)

    def has_module_permission(self, request: HttpRequest) -> bool:
        """Say whether there is a page, and the caller may see it."""
        return _address() is not None and _may_see_page(request)

    def has_view_permission(self, request: HttpRequest, obj: StatusPage | None = None) -> bool:
        """Say the same of the entry."""
        return self.has_module_permission(request)

    def has_add_permission(self, request: HttpRequest, obj: StatusPage | None = None) -> bool:
        """Deny it: there is nothing to add."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: StatusPage | None = None) -> bool:
        """Deny it: there is nothing to change."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: StatusPage | None = None) -> bool:
        """Deny it: there is nothing to delete."""
        return False


def _address() -> str | None:
    """Return where the page is; None where the project has not included our URLs."""
    try:
        return reverse(_PAGE)
    except NoReverseMatch:
        return None


def _may_see_page(request: HttpRequest) -> bool:
    """Say whether the page would answer this caller; no where that cannot be found out.

    Every page of the admin asks: a wrong setting of ours must not take it down.
    """
    from celery_health.api.base import BrowserView

    try:
        return BrowserView.as_asked_by(request, access="page").may_be_asked()
    except Exception:
        return False
