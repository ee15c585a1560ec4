"""Two projects on one broker, with real workers: what is lost is said, and what is printed parts them."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

import pytest

from tests.doctor.shop import Shop
from tests.support import Worker, eventually

pytestmark = pytest.mark.slow

Make = Callable[[str], Shop]
#: The default queue, without which nothing is declared or routed.
BARE = """
CELERY_TASK_QUEUES, CELERY_TASK_ROUTES, CELERY_BEAT_SCHEDULE = None, {}, {}
CELERY_TASK_DEFAULT_PRIORITY = None
CELERY_HEALTH |= {"DEADLINE": 10}
"""
FIX = re.compile(
    r"Give this project a queue of its own, (?P<setting>.+), and restart web, beat and workers: "
    r"DJANGO_SETTINGS_MODULE=variant celery -A shop worker -Q (?P<queues>\S+)\. "
    r"Or keep all queues apart: (?P<apart>.+)\."
)


@dataclass(frozen=True, kw_only=True)
class Place:
    """A broker, and the settings that give the shop a store beside it."""

    broker_url: str
    settings: str = ""


@pytest.fixture(
    params=[
        pytest.param("redis", marks=pytest.mark.redis),
        pytest.param("rabbitmq", marks=pytest.mark.rabbitmq),
        pytest.param("rabbitmq with a store", marks=[pytest.mark.rabbitmq, pytest.mark.redis]),
    ]
)
def place(request: pytest.FixtureRequest) -> Place:
    """Where both projects work: on Redis, the broker is the store."""
    if request.param == "redis":
        return Place(broker_url=request.getfixturevalue("redis_url"))
    url = request.getfixturevalue("rabbit_url")
    if request.param == "rabbitmq":
        return Place(broker_url=url)
    store_url = request.getfixturevalue("redis_url")
    return Place(broker_url=url, settings=f'CELERY_HEALTH |= {{"STORE_URL": "{store_url}"}}\n')


def says_at_last(shop: Shop, beginning: str) -> None:
    """Ask for the verdict until it begins so: a busy machine may keep a first answer from coming in time."""

    def ask() -> str:
        said = shop.manage("celery_health").stdout
        assert said.startswith(beginning), said
        return said

    eventually(ask, 30, interval=0.2)


def test_two_projects__on_one_queue_are_found_and_parted(
    make_shop: Make, place: Place, worker_factory: Callable[..., Worker]
) -> None:
    shop = make_shop(place.broker_url)
    before = BARE + place.settings
    shop.change(before)
    crm = worker_factory(place.broker_url, app="tests.crm", pool="solo", env={"DJANGO_SETTINGS_MODULE": ""})
    ours = shop.worker()

    answer = shop.doctor_finds(["E126:queue:celery"])
    finding = answer.finding("E126")
    assert answer.status == 1
    assert finding["evidence"]["others"] == {crm.hostname: None}
    assert finding["evidence"]["workers"] == [ours.hostname]
    assert "'crm.import_contacts' and 'crm.sync'" in finding["message"]
    assert "orders.tasks.release_expired_baskets" in finding["evidence"]["lost"]
    why = f"DEGRADED: Queue 'celery' is consumed by '{crm.hostname}' of another project"
    says_at_last(shop, why)

    if apart := re.search(r"(\"global_keyprefix\": \S+) in broker_transport_options", finding["fix"]):
        ours.stop()
        options = f"CELERY_BROKER_TRANSPORT_OPTIONS = {{**CELERY_BROKER_TRANSPORT_OPTIONS, {apart[1]}}}"
        shop.change(f"{before}{options}\n")
        ours = shop.worker()
        shop.doctor_finds([])
        shop.change(before)

    # What the fix says, done: with a queue of its own.
    fix = FIX.fullmatch(finding["fix"])
    assert fix is not None, finding["fix"]
    ours.stop()
    shop.change(f"{before}{fix['setting']}\n")
    ours = shop.worker(queues=fix["queues"].split(","))
    shop.doctor_finds([])
    says_at_last(shop, "HEALTHY")
    ours.stop()
    assert "pidbox command error" not in crm.log


@pytest.mark.redis
def test_two_projects__under_one_worker_name_are_found(
    make_shop: Make, redis_url: str, worker_factory: Callable[..., Worker]
) -> None:
    shop = make_shop(redis_url)
    shop.change(BARE)
    name, env = "celery@one-machine", {"DJANGO_SETTINGS_MODULE": ""}
    ours = shop.worker(name=name)
    crm = worker_factory(redis_url, app="tests.crm", pool="solo", env=env, name=name, wait=False)
    crm.wait_ready()

    finding = shop.doctor_finds(["E126:queue:celery"]).finding("E126")

    assert finding["evidence"]["workers"] == [ours.hostname]
    assert f"'{name}' (without celery_health) lacks" in finding["message"]
    says_at_last(shop, f"DEGRADED: Queue 'celery' is consumed by '{name}' of another project")
    assert "pidbox command error" not in crm.log


@pytest.mark.redis
def test_two_projects__tasks_sent_to_the_other_by_name_are_no_loss(
    make_shop: Make, redis_url: str, worker_factory: Callable[..., Worker]
) -> None:
    shop = make_shop(redis_url)
    shop.change(BARE + 'CELERY_HEALTH |= {"MIN_WORKERS": 0}\n')
    worker_factory(redis_url, app="tests.crm", pool="solo", env={"DJANGO_SETTINGS_MODULE": ""})
    shop.run("""
        from celery import current_app
        current_app.send_task("crm.sync", queue="celery")
    """)

    said = shop.manage("celery_health", "doctor").stdout

    assert "E126" not in said, said
