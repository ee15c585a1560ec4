"""Fixtures: variants of the example project, on whichever broker a test asks for."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.doctor.shop import Shop
from tests.support import Beat, Worker


@pytest.fixture
def make_shop(
    tmp_path: Path, worker_factory: Callable[..., Worker], beat_factory: Callable[..., Beat]
) -> Callable[[str], Shop]:
    """Make the example project on a broker: ``make_shop(redis_url)``."""

    def make(broker_url: str) -> Shop:
        return Shop(tmp_path, broker_url, worker_factory, beat_factory)

    return make


@pytest.fixture
def shop(make_shop: Callable[[str], Shop]) -> Shop:
    """The example project; nothing listens at its broker."""
    return make_shop("redis://127.0.0.1:1/0")
