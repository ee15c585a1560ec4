"""Which option a name is nearly that of, and who reads it."""

from __future__ import annotations

import pytest
from celery.app.defaults import DEFAULTS

from celery_health.doctor.near_names import is_slip, near
from celery_health.doctor.static.misspelt import own_settings
from celery_health.doctor.static.readers import read_in

NEAR = {
    "brokerurl": "broker_url",
    "broker": "broker_url",
    "broker_urll": "broker_url",
    "task_route": "task_routes",
    "beat_scheduler_": "beat_scheduler",
    "beat_schedul": "beat_schedule",
    "result_backed": "result_backend",
    "results_backend": "result_backend",
    "time_zone": "timezone",
    "task_always_eagar": "task_always_eager",
    "task_serialiser": "task_serializer",
    "concurrency": "worker_concurrency",
    "prefetch_multiplier": "worker_prefetch_multiplier",
    "worker_prefetch": "worker_prefetch_multiplier",
    "import": "imports",
    "includes": "include",
    "task_soft_time_limt": "task_soft_time_limit",
    "route": "task_routes",
}
#: Names of released libraries, and of projects; options themselves.
FAR = (
    "once", "email_backend", "email_task_config", "singleton_lock_expiry", "progress_backend",
    "redbeat_redis_url", "haystack_queue", "enabled", "task_timeout", "task_tenant_cache_seconds",
    "results_kept_days", "broker_pool", "beat_ping_url", "queue_prefix", "broker_url", "task_routes",
    "task_expires", "worker_class", "flower_url", "redis_url",
)  # fmt: skip


@pytest.mark.parametrize(("key", "option"), NEAR.items())
def test_near__finds_the_option(key: str, option: str) -> None:
    assert near(key, DEFAULTS) == (option,)


@pytest.mark.parametrize("key", FAR)
def test_near__finds_none(key: str) -> None:
    assert near(key, DEFAULTS) == ()


@pytest.mark.parametrize(
    ("written", "right", "expected"),
    [
        ("CELERYHEALTH", "CELERY_HEALTH", True),
        ("CELERY_HEALHT", "CELERY_HEALTH", True),
        ("CELERY_HELTH", "CELERY_HEALTH", True),
        ("CELERY_HEALTH_CHECK", "CELERY_HEALTH", False),
        ("CELERY_WEALTH_X", "CELERY_HEALTH", False),
    ],
)
def test_slip__table(written: str, right: str, expected: bool) -> None:
    assert is_slip(written, right) is expected


NAME = "CELERY_BROKER"


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        (f"{NAME} = 'redis://'", False),
        (f"{NAME} = env('{NAME}')", False),
        (f"{NAME}: str = env('{NAME}')", False),
        (f"'''{NAME} is read here.'''", False),
        (f"CACHES = {{'default': {NAME}}}", True),
        (f"app = Celery(broker=settings.{NAME})", True),
        (f"url = getattr(settings, '{NAME}', None)", True),
        (f"url = vars(settings)['{NAME}']", True),
        (f"from shop.settings import {NAME}", True),
        ("what is no Python", True),
    ],
)
def test_read__of_a_setting(source: str, expected: bool) -> None:
    assert bool(read_in(source, [NAME])) is expected


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("app.conf.brokerurl = 'redis://'", False),
        ("app.conf.update(brokerurl='redis://')", False),
        ("self.brokerurl", False),
        ("url = app.conf.brokerurl", True),
        ("url = app.conf.get('brokerurl')", True),
        ("url = app.conf['brokerurl']", True),
        ("brokerurl = 'redis://'", False),
        ("brokerurl = 'redis://'\nbroker_url = brokerurl", True),
    ],
)
def test_read__of_an_option(source: str, expected: bool) -> None:
    assert bool(read_in(source, ["brokerurl"])) is expected


class Settings:
    CELERY_BROKER = "redis://broker.invalid/0"
    SECRET_KEY = ""

    @property
    def VAULT_KEY(self) -> str:
        raise RuntimeError("no vault here")


def test_own_settings__one_that_raises_is_left_out() -> None:
    assert own_settings(Settings()) == {"CELERY_BROKER": "redis://broker.invalid/0"}
