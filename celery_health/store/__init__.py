"""The store: what workers, beats and producers say of themselves, and the totals of what they counted."""

from celery_health.store.base import (
    Acknowledgement,
    MinuteCounts,
    MinutesReading,
    Publication,
    RowsReading,
    Store,
    StoredRecord,
    StoreReading,
)
from celery_health.store.opening import open_store

__all__ = [
    "Acknowledgement",
    "MinuteCounts",
    "MinutesReading",
    "Publication",
    "RowsReading",
    "Store",
    "StoreReading",
    "StoredRecord",
    "open_store",
]
