"""Shared tasks are global to a process: what a test declares must not reach the apps of others."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from celery import Celery, _state


@pytest.fixture
def app(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A Celery app that is the current one, and the only one that sees the shared tasks of this test."""
    state: Any = _state
    monkeypatch.setattr(state, "_on_app_finalizers", set(state._on_app_finalizers))
    own = Celery("own", broker="memory://", set_as_current=False)
    monkeypatch.setattr(state, "_get_active_apps", lambda: [own])
    before = state._tls.current_app
    state._set_current_app(own)
    try:
        yield own
    finally:
        state._tls.current_app = before
        own.close()
