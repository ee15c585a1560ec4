"""Errors of our own: counted by place, logged once, and never passed on to what is monitored."""

from __future__ import annotations

import logging
import traceback
from typing import Final

from celery_health.reporting.totals import Totals
from celery_health.text.masking import mask

logger = logging.getLogger("celery_health")

#: Places in the code are few and fixed; this only bounds a mistake.
_MAX_PLACES: Final = 100


class Faults:
    """Where everything that we catch ends up."""

    def __init__(self, totals: Totals) -> None:
        self._totals = totals
        self._logged: set[str] = set()

    def caught(self, where: str, error: BaseException) -> None:
        """Count an error at a fixed place in the code; log the first one of each place. Never raises."""
        try:
            self._totals.internal_error(where)
            if where in self._logged or len(self._logged) >= _MAX_PLACES:
                return
            self._logged.add(where)
            text = mask("".join(traceback.format_exception(error)))
            logger.error(
                "celery_health failed at %s. Tasks are not affected, what it reports may be incomplete. "
                "This is logged once and counted in celery_health_internal_errors_total.\n%s",
                where,
                text,
            )
        except Exception:  # nothing is left to tell it to
            return
