"""Whose a route is: the project's own, or a released package's that it cannot change."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType

import pytest

from celery_health.doctor.static.written import released_routes

RELEASED = 'CELERY_TASK_ROUTES = {"acme.old.*": {"queue": "slow"}, "acme.mail": {"queue": "mails"}}\n'


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Settings of a project that begin with those of an installed shop."""
    files = {
        "acme_settings": ("site-packages/acme_settings.py", RELEASED),
        "our_settings": (
            "our_settings.py",
            'CELERY_TASK_ROUTES = {"acme.mial": {"queue": "mails"}, "acme.mail": {"queue": "m"}}',
        ),
    }
    for name, (path, text) in files.items():
        (tmp_path / path).parent.mkdir(exist_ok=True)
        (tmp_path / path).write_text(text)
        module = ModuleType(name)
        module.__file__ = str(tmp_path / path)
        exec(text, vars(module))
        monkeypatch.setitem(sys.modules, name, module)


@pytest.mark.parametrize(
    ("key", "is_released"),
    [
        ("acme.old.*", True),
        ("acme.old", False),  # a part of a key is no key
        ("acme.mial", False),  # the project's own
        ("acme.mail", False),  # both wrote it
        ("acme.made.by.code", False),  # stands nowhere
    ],
)
def test_route__is_released_where_only_an_installed_package_wrote_it(
    settings: None, key: str, is_released: bool
) -> None:
    assert (key in released_routes({key, "shop.tasks.*"})) is is_released
