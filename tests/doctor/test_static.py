"""The static doctor and the system checks touch neither network nor database."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from tests.doctor.shop import Shop

#: Ends the process at the first touch: an exception could be caught on the way.
GUARD = """
import os, sys

def refuse(event, args):
    if event in ("socket.connect", "socket.getaddrinfo", "socket.sendto", "sqlite3.connect"):
        os.write(2, f"TOUCHED {event} {args!r}".encode())
        os._exit(99)

sys.addaudithook(refuse)
from django.core.management import execute_from_command_line
execute_from_command_line(["manage.py", *sys.argv[1:]])
"""
TABLES = """
    INSTALLED_APPS += ["django_celery_beat"]
    CELERY_BEAT_SCHEDULER = "django_celery_beat.schedulers:DatabaseScheduler"
"""
REDBEAT = """
    CELERY_BEAT_SCHEDULER = "redbeat.RedBeatScheduler"
    CELERY_REDBEAT_REDIS_URL = "redis://127.0.0.1:1/1"
"""


@pytest.mark.parametrize("settings", ["", TABLES, REDBEAT], ids=["file", "tables", "redbeat"])
@pytest.mark.parametrize(
    "argv",
    [["celery_health", "doctor", "--static"], ["check", "--deploy", "--tag", "celery"]],
    ids=["doctor", "check"],
)
def test_static__touches_nothing(shop: Shop, settings: str, argv: list[str]) -> None:
    shop.change(settings)

    done = guarded(shop, *argv)

    assert "TOUCHED" not in done.stderr
    assert done.returncode == 0, done.stderr


def test_guard__sees_what_the_live_doctor_touches(shop: Shop) -> None:
    done = guarded(shop, "celery_health", "doctor")

    assert done.returncode == 99
    assert "TOUCHED socket" in done.stderr


def guarded(shop: Shop, *argv: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", GUARD, *argv],
        env={**os.environ, **shop.env},
        capture_output=True,
        text=True,
        timeout=60,
    )
