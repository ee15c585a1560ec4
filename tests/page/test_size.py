"""The overview of 200 workers and 1,000 queues is small, whatever is wrong with them."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from django.test import Client

from tests.api.conftest import PREFIX, Celery
from tests.page.large import STATES, Large

MOST_BYTES = 60_000


@pytest.mark.parametrize("state", STATES.values(), ids=STATES)
def test_overview__of_a_large_system_is_small(
    staff: Client, celery: Celery, state: Callable[[], Large]
) -> None:
    found = state()
    celery.snapshot, celery.hour, celery.totals = found.snapshot, found.hour, found.totals

    page = staff.get(PREFIX)

    print(f"\n  {len(page.content):,} bytes, {page.content.count(b'<tr')} rows")
    assert page.status_code == 200
    assert len(page.content) <= MOST_BYTES
