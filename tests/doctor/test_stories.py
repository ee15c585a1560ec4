"""The stories that cost people days, with real workers: each is found, with what puts it right.

Each test first shows that the work is lost without a word, then what the doctor says: statically where code
and settings show it, and live.
"""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest
from celery import Celery

from tests.doctor.shop import Shop
from tests.support import eventually

pytestmark = pytest.mark.slow

#: The app's module would take the shop's own settings.
WORKER = "DJANGO_SETTINGS_MODULE=variant celery -A shop worker"
Make = Callable[[str], Shop]
RENAMED = """
    CELERY_BEAT_SCHEDULE = {
        "refresh-prices": {
            "task": "orders.tasks.refresh_price",  # it is refresh_prices
            "schedule": 1.0,
            "kwargs": {"supplier": "northwind"},
        }
    }
"""


def test_story__beat_sends_a_name_that_workers_discard(make_shop: Make, broker_url: str) -> None:
    shop = make_shop(broker_url)
    shop.change(RENAMED)

    before_deployment = shop.doctor("--static")
    assert before_deployment.found == ["W101:beat_entry:refresh-prices"]
    fix = "Set the entry's task to 'orders.tasks.refresh_prices'."
    assert before_deployment.finding("W101")["fix"] == fix
    assert "celery_health.W101" in shop.manage("check").stderr

    worker = shop.worker(queues=["celery", "emails", "reports"])
    beat = shop.beat()
    worker.wait_for_log("Received unregistered task of type 'orders.tasks.refresh_price'")

    # The counts of what was discarded are in a store: with RabbitMQ alone there is none.
    counted = ["E113:task:orders.tasks.refresh_price"] if broker_url.startswith("redis") else []
    in_production = shop.doctor_finds(["E101:beat_entry:refresh-prices", *counted])
    finding = in_production.finding("E101")
    assert in_production.status == 1
    assert finding["fix"] == fix
    assert finding["evidence"] == {
        "task": "orders.tasks.refresh_price",
        "nearest": ["orders.tasks.refresh_prices"],
        "workers": [worker.hostname],
        "source": "settings",
    }
    beat.stop()

    # What the fix says, done.
    shop.change(RENAMED.replace('refresh_price"', 'refresh_prices"'))
    worker.stop()
    again = shop.worker(queues=["celery", "emails", "reports"])
    assert shop.doctor("--static").found == []
    shop.doctor_finds(counted)
    again.stop()


POLLED = """
    CELERY_TASK_ROUTES["orders.tasks.poll_*"] = {"queue": "snmp"}
    CELERY_TASK_QUEUES += [Queue("snmp")]
    CELERY_HEALTH |= {"LIMITS": {"unconsumed_seconds": 0.5}}
    CELERY_BEAT_SCHEDULE = {"poll": {"task": "orders.tasks.poll_snmp", "schedule": 0.5}}
"""


def test_story__an_unknown_name_goes_to_a_queue_that_nobody_consumes(make_shop: Make, redis_url: str) -> None:
    """A worker that is started for the queue, as the loudest finding used to say, would only discard it."""
    shop = make_shop(redis_url)
    shop.change(POLLED)
    worker = shop.worker(queues=["celery", "emails", "reports"])
    beat = shop.beat()

    found = ["E101:beat_entry:poll", "E104:queue:snmp", "I301:route:orders.tasks.poll_*"]
    findings = shop.doctor_finds(found).body["findings"]
    assert [one["code"] for one in findings] == ["E101", "E104", "I301"]
    cause = {"code": "E101", "subject": {"kind": "beat_entry", "name": "poll"}}
    assert [one["because"] for one in findings] == [None, cause, cause]
    assert findings[0]["evidence"]["workers"] == [worker.hostname]
    assert findings[1]["fix"].startswith("First put right E101 of beat entry 'poll'. Then, if this is still")
    assert "one that is started for the queue alone would discard it." in findings[1]["message"]

    def advice() -> str:
        checks = json.loads(shop.manage("celery_health", "--json").stdout)["checks"]
        (one,) = [one for one in checks if one["id"] == "queues.consumed"]
        assert "First correct the schedule's entry 'poll'" in (one["recommendation"] or ""), one
        return str(one["recommendation"])

    # The verdict knows it too, from what beat and workers report.
    assert "-Q snmp" in eventually(advice, 30, interval=0.2)

    # What was said, in the order in which it was said.
    beat.stop()
    worker.stop()
    shop.change(POLLED.replace("poll_", "release_").replace("release_snmp", "release_expired_baskets"))
    shop.worker(queues=["celery", "emails", "reports", "snmp"])
    assert shop.doctor("--static").found == []


def test_story__a_wrong_name_misses_its_route_and_waits_for_ever(
    make_shop: Make, broker_url: str, make_app: Callable[..., Celery]
) -> None:
    shop = make_shop(broker_url)
    shop.change(
        """
        CELERY_BEAT_SCHEDULE = {}
        CELERY_TASK_ROUTES = {
            "orders.tasks.build_*": {"queue": "reports"},
            "orders.tasks.send_confirmations": {"queue": "emails"},  # it is send_confirmation
        }
        """
    )

    before_deployment = shop.doctor("--static")
    assert before_deployment.found == ["W102:route:orders.tasks.send_confirmations"]
    assert "'orders.tasks.send_confirmation'" in before_deployment.finding("W102")["fix"]

    shop.worker(queues=["emails", "reports"])
    shop.run("from orders.tasks import send_confirmation; send_confirmation.delay(1)")

    in_production = shop.doctor_finds(["W102:route:orders.tasks.send_confirmations", "E104:queue:celery"])
    finding = in_production.finding("E104")
    assert in_production.status == 1
    assert finding["evidence"]["ready"] == 1
    assert "task:orders.tasks.send_confirmation" in finding["evidence"]["sent_by"]
    assert finding["fix"] == (
        f"Start a worker for it: {WORKER} -Q celery, "
        f"or have one take it too: {WORKER} -Q celery,emails,reports"
    )


def test_story__a_worker_without_q(make_shop: Make, broker_url: str) -> None:
    """Its queues are listed nowhere, so nothing in the code is wrong: only a look at the workers shows it."""
    shop = make_shop(broker_url)
    shop.change("del CELERY_TASK_QUEUES\nCELERY_TASK_ROUTES = {'orders.tasks.build_*': {'queue': 'reports'}}")
    assert shop.doctor("--static").found == []

    worker = shop.worker()
    shop.run("from orders.tasks import build_sales_report as it; it.delay(1); it.delay(1)")

    in_production = shop.doctor_finds(["E104:queue:reports"])
    finding = in_production.finding("E104")
    assert finding["evidence"]["workers"] == {worker.hostname: ["celery"]}
    assert finding["evidence"]["ready"] == 2
    assert finding["fix"] == (
        f"Start a worker for it: {WORKER} -Q reports, or have one take it too: {WORKER} -Q celery,reports"
    )

    worker.stop()
    again = shop.worker(queues=["celery", "reports"])
    shop.doctor_finds([])
    again.stop()


def test_story__a_message_that_no_binding_takes(make_shop: Make, broker_url: str) -> None:
    """A topic queue with a key that matches nothing: the call succeeds, the depth is 0, the task is gone."""
    shop = make_shop(broker_url)
    shop.change(
        """
        from kombu import Exchange
        MEDIA = Exchange("media", type="topic")
        CELERY_TASK_QUEUES = [Queue("celery"), Queue("media", MEDIA, routing_key="media.#")]
        CELERY_TASK_ROUTES = {"orders.tasks.build_invoice": {"queue": "media", "routing_key": "invoice.one"}}
        CELERY_BEAT_SCHEDULE = {}
        """
    )
    code = "W106:task:orders.tasks.build_invoice"
    assert shop.doctor("--static").found == [code]

    worker = shop.worker()
    shop.run("from orders.tasks import build_invoice; build_invoice.delay(1)")
    shop.run("from orders.tasks import reserve_stock; reserve_stock.delay(1)")

    # The other one came, later: this one never did.
    worker.wait_for_log("Task orders.tasks.reserve_stock")
    assert "build_invoice[" not in worker.log
    # Redis tells its bindings; on RabbitMQ they are known as the code declares them.
    live = code.replace("W", "E", 1) if broker_url.startswith("redis") else code
    in_production = shop.doctor_finds([live])
    assert "a routing key that 'media.#' takes" in in_production.body["findings"][0]["fix"]


def test_story__a_queue_name_with_a_typo_in_apply_async(make_shop: Make, redis_url: str) -> None:
    """``queue="emials"`` in a call is in no configuration: the messages that wait there are the proof."""
    shop = make_shop(redis_url)
    shop.change("CELERY_BEAT_SCHEDULE = {}")
    worker = shop.worker(queues=["celery", "emails", "reports"])
    shop.run("from orders.tasks import send_confirmation as it; it.apply_async([1], queue='reprots')")

    answer = shop.doctor_finds(["E104:queue:reprots"])

    assert answer.status == 1
    assert answer.finding("E104")["evidence"]["nearest"] == "reports"
    assert answer.finding("E104")["message"] == (
        "Task 'orders.tasks.send_confirmation' was sent to queue 'reprots', which no worker consumes. "
        "1 wait there."
    )
    assert answer.finding("E104")["fix"].startswith("Workers consume 'reports': name the queue alike on both")
    worker.stop()


def test_story__a_worker_was_left_out_of_a_deploy(make_shop: Make, redis_url: str) -> None:
    shop = make_shop(redis_url)
    shop.change("CELERY_BEAT_SCHEDULE = {}")
    old = shop.worker(name="old", queues=["celery", "emails", "reports"])
    shop.doctor_finds([])

    # The new release has a task more.
    shop.change(
        "CELERY_BEAT_SCHEDULE = {}\nINSTALLED_APPS += ['returns']",
    )
    (shop.folder / "returns").mkdir()
    (shop.folder / "returns" / "__init__.py").write_text("")
    (shop.folder / "returns" / "tasks.py").write_text(
        "from celery import shared_task\n\n@shared_task\ndef take_back(order_id):\n    pass\n"
    )
    new = shop.worker(name="new", queues=["celery", "emails", "reports"])

    answer = shop.doctor_finds([f"E111:worker:{old.hostname}"])

    assert answer.finding("E111")["evidence"]["tasks"] == ["returns.tasks.take_back"]
    old.pause()  # so that neither takes what waits
    new.pause()
    # Each has asked for one already, and Redis hands it that.
    shop.run("from returns.tasks import take_back as it; [it.delay(number) for number in range(5)]")
    eventually(lambda: "E110:queue:celery" in shop.doctor().found, 30, what="it waits for either")
