"""A store that took no reports: how long its silence proves nothing, and who may have ended meanwhile."""

from __future__ import annotations

import pytest

from celery_health.conf import Settings
from celery_health.reading.outages import Outages
from celery_health.records import StoreState

#: By default a process that is well reports every 7 s, and tries again within 6.
LONGEST = 7.0
#: It is asked each 15 s whether it takes writes: the last report may lie before that, too.
UNSEEN = 15.0 + 2 * LONGEST


def outages(*seen: float) -> Outages:
    found = Outages(Settings())
    for now in seen:
        found.note(now, is_one=True)
    return found


def test_outage__none_was_seen() -> None:
    found = outages()
    found.note(5, is_one=False)
    assert found.last(6) is None


@pytest.mark.parametrize(("now", "is_recent"), [(141, True), (153, True), (155, False)])
def test_outage__is_recent_until_all_can_have_reported(now: float, is_recent: bool) -> None:
    found = outages(100, 120, 140).last(now)
    assert found is not None
    assert (found.ended_seconds, found.began_seconds) == (now - 140, now - 100 + UNSEEN)
    assert found.is_recent is is_recent


def test_outage__a_later_one_is_another() -> None:
    found = outages(100, 120, 500).last(501)
    assert found is not None and found.began_seconds == 1 + UNSEEN


# Of a store that is well again for a second, after 40 s: when who reported last, and whether he may live.
EXCUSED = [
    (41.0, True),
    (50.0, True),
    # Silent before it began.
    (71.0, False),
    # Has reported since.
    (0.5, False),
    (None, False),
]


@pytest.mark.parametrize(("seen", "expected"), EXCUSED)
def test_outage__excuses_who_was_well_before(seen: float | None, expected: bool) -> None:
    store = StoreState(configured=True, reachable=True, outage=outages(100, 120, 140).last(141))
    assert store.excuses(seen) is expected
    assert store.no_reports == "the store took no reports until 1 s ago"


def test_outage__of_long_ago_excuses_nobody() -> None:
    store = StoreState(configured=True, reachable=True, outage=outages(100, 140).last(170))
    assert (store.excuses(70), store.no_reports) == (False, None)
