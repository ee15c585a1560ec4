"""A point in time as people write it, on the command line and in a query."""

from __future__ import annotations

import re
import time
from datetime import datetime
from typing import Final

from django.utils import timezone

HOW: Final = "Give a time (2026-01-28T10:00, 2026-01-28) or how long ago (90s, 15m, 2h, 7d)."
_AGO: Final = re.compile(r"([0-9]{1,9})(s|m|h|d|w)", re.ASCII)
_SECONDS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 7 * 86400}


def unix_seconds(text: str) -> float:
    """Return the moment that `text` names; without a zone it is one of the project's ``TIME_ZONE``.

    Raises:
        ValueError: it names none; the message says how to.
    """
    ago = _AGO.fullmatch(text.strip())
    if ago is not None:
        return time.time() - int(ago[1]) * _SECONDS[ago[2]]
    try:
        given = datetime.fromisoformat(text.strip())
        aware = given if given.tzinfo else timezone.make_aware(given, timezone.get_default_timezone())
        return aware.timestamp()
    except (ValueError, OverflowError):
        raise ValueError(HOW) from None
