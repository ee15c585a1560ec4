"""The overview is made once for each reading, whoever asks; and of what there is, no more than is shown."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from django.test import Client, override_settings

from celery_health.page import overview
from celery_health.page.blocks import Cell, Column, Row, table
from celery_health.testing import make_snapshot
from tests.api.conftest import PREFIX, Celery


def body(client: Client, **parameters: str) -> str:
    response = client.get(PREFIX, parameters)
    assert response.status_code == 200
    return response.content.decode()


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What the overview was made of, each time."""
    found: list[Any] = []
    original: Any = overview.page

    def page(report: Any, *others: Any, **more: Any) -> Any:
        found.append(report)
        return original(report, *others, **more)

    monkeypatch.setattr(overview, "page", page)
    return found


def test_overview__is_made_once_for_all_who_share_a_reading(
    staff: Client, celery: Celery, made: list[Any]
) -> None:
    assert len({body(staff) for _ in range(3)}) == 1
    assert len(made) == 1
    # A part of it is another answer.
    assert "<html" not in body(staff, part="content")
    assert "<html" in body(staff)
    assert len(made) == 2


def test_overview__of_another_reading_is_made_anew(staff: Client, celery: Celery, made: list[Any]) -> None:
    assert 'data-status="healthy"' in body(staff)

    celery.snapshot = make_snapshot(workers=[])
    assert 'data-status="unhealthy"' in body(staff)
    # The same reading, judged by other settings, is another verdict.
    with override_settings(CELERY_HEALTH={"CHECKS": {"workers.alive": "off", "queues.consumed": "off"}}):
        assert 'data-status="healthy"' in body(staff)
    assert 'data-status="unhealthy"' in body(staff)
    assert len(made) == 4


def test_overview__says_how_old_its_reading_is_at_each_answer(
    staff: Client, celery: Celery, made: list[Any]
) -> None:
    celery.age_seconds = 0.1
    first = body(staff)
    celery.age_seconds = 0.9
    second = body(staff)

    assert "0.1 s ago" in first
    assert second == first.replace("0.1 s ago", "0.9 s ago")
    assert "\ue000" not in first
    assert len(made) == 1


def test_overview__is_not_shared_with_who_may_not_see_it(
    client_of: Any, staff: Client, celery: Celery
) -> None:
    body(staff)

    assert client_of("user").get(PREFIX).status_code == 403
    assert client_of("anonymous").get(PREFIX).status_code == 403


def test_table__of_a_thousand_makes_no_more_rows_than_it_shows() -> None:
    made = []

    def rows() -> Iterator[Row]:
        for number in range(1000):
            made.append(number)
            yield Row((Cell(str(number)),))

    block = table("t", "T", (Column("N"),), rows(), "None.", most=20, total=1000)

    assert (len(made), len(block.rows), block.left_out, block.count) == (20, 20, 980, 1000)


@pytest.mark.parametrize(("rows", "count"), [([], 0), ([Row((Cell("1"),))] * 3, 3)])
def test_table__of_a_list_counts_it(rows: list[Row], count: int) -> None:
    block = table("t", "T", (Column("N"),), rows, "None.", most=2)

    assert (len(block.rows), block.count, block.total) == (min(2, count), count, count)
