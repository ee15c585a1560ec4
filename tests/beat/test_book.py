"""What beat writes of its entries is what readers look them up by."""

from __future__ import annotations

import json
from time import monotonic
from types import SimpleNamespace

import pytest
from celery import Celery

from celery_health.beat.book import Book
from celery_health.beat.entries import EntryFacts
from celery_health.beat.sources import Heap, Listing
from celery_health.beat.ticks import Ticks
from celery_health.conf import Limits
from celery_health.reading.beat_reports import beat_from_record
from celery_health.reporting.faults import Faults
from celery_health.reporting.totals import Totals


@pytest.mark.parametrize(("length", "kept"), [(200, 200), (300, 300), (500, 500), (600, 500)])
def test_book__two_long_names_that_begin_alike_are_two(length: int, kept: int) -> None:
    app, faults = Celery("book", set_as_current=False), Faults(Totals())
    scheduler = SimpleNamespace()
    ticks = Ticks(scheduler, faults, on_close=lambda: None)
    book = Book(app, ticks, Heap(scheduler), faults)
    names = ["n" * (length - 1) + end for end in "ab"]
    facts = [EntryFacts(name=name, task=name) for name in names]
    book.stored = Listing(entries=facts, total=2, read_at=monotonic())

    record = json.loads(json.dumps({"entries": book.rows()}))
    beat = beat_from_record("beat", record, 1.0, Limits())

    assert [(entry.entry, entry.task) for entry in beat.entries or ()] == [
        (name[:kept], name[:kept]) for name in names
    ]
