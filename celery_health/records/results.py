"""Whether results can be stored, and who says so."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from celery_health.records.troubles import StoredResults


class SharedServer(StrEnum):
    """Whose server keeps the results, where it is asked anyway."""

    BROKER = "broker"
    STORE = "store"


@dataclass(frozen=True, kw_only=True, slots=True)
class ResultsState:
    """What is known of the result backend."""

    backend: str | None = None
    """``redis``, ``rpc``, ``db+postgresql``, ``django-db`` or a class; None without any."""
    url: str | None = None
    """Masked; None where it is none."""
    ignored: str | None = None
    """Why nobody keeps results; None where somebody does."""
    shared: SharedServer | None = None
    """It is the broker's or the store's server, and what is known of that one holds."""
    is_redis: bool = False
    """It can be asked."""
    reachable: bool | None = None
    """None where it was not asked, or has not answered yet."""
    error: str | None = None
    """Masked text, when it did not answer."""
    refusal: str | None = None
    """Why it answers and takes no results: a clause such as ``it is full (...)``."""
    fix: str | None = None
    """What to do about that: whole sentences."""
    late: str | None = None
    """Why this process itself was too late to know. A whole sentence."""
    told: StoredResults | None = None
    """What workers say; None without a store in which they could."""
