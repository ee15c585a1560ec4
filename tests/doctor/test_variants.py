"""The example project is well; each of ten variants of it has one thing wrong, and one finding."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest

from tests.doctor.shop import Shop


@dataclass(frozen=True, kw_only=True)
class Variant:
    """What is changed, what is found for it, and what its fix says."""

    settings: str
    finds: str
    fix: str
    modules: dict[str, str] = field(default_factory=dict)


VARIANTS = {
    "a_task_was_renamed_and_its_entry_was_not": Variant(
        settings='CELERY_BEAT_SCHEDULE["refresh-prices"]["task"] = "orders.tasks.refresh_price"',
        finds="W101:beat_entry:refresh-prices",
        fix="Set the entry's task to 'orders.tasks.refresh_prices'.",
    ),
    "a_route_has_a_typo": Variant(
        settings='CELERY_TASK_ROUTES["orders.tasks.reserve_stok"] = {"queue": "emails"}',
        finds="W102:route:orders.tasks.reserve_stok",
        fix="'orders.tasks.reserve_stock'",
    ),
    "a_queue_in_a_route_has_a_typo": Variant(
        settings='CELERY_TASK_ROUTES["orders.tasks.send_*"] = {"queue": "emials"}',
        finds="W104:queue:emials",
        fix="Write 'emails'.",
    ),
    "an_option_of_an_entry_has_a_typo": Variant(
        settings='CELERY_BEAT_SCHEDULE["refresh-prices"]["options"] = {"qeue": "reports"}',
        finds="W123:beat_entry:refresh-prices",
        fix="'queue'",
    ),
    "an_entry_lacks_an_argument": Variant(
        settings='del CELERY_BEAT_SCHEDULE["refresh-prices"]["kwargs"]',
        finds="W201:beat_entry:refresh-prices",
        fix="takes: (supplier).",
    ),
    "the_visibility_timeout_is_shorter_than_a_task": Variant(
        settings='CELERY_BROKER_TRANSPORT_OPTIONS["visibility_timeout"] = 60',
        finds="W204:task:orders.tasks.charge_card",
        fix="CELERY_BROKER_TRANSPORT_OPTIONS['visibility_timeout'] = 240",
    ),
    "tasks_are_written_as_nobody_reads_them": Variant(
        settings='CELERY_TASK_SERIALIZER = "yaml"',
        finds="W117:setting:task_serializer",
        fix="CELERY_ACCEPT_CONTENT = ['json', 'yaml']",
    ),
    "a_message_fits_no_binding": Variant(
        settings="""
            from kombu import Exchange
            MEDIA = Exchange("media", type="topic")
            CELERY_TASK_QUEUES += [Queue("media", MEDIA, routing_key="media.#")]
            CELERY_TASK_ROUTES["orders.tasks.build_invoice"] = {"queue": "media", "routing_key": "invoice"}
        """,
        finds="W106:task:orders.tasks.build_invoice",
        fix="media.#",
    ),
    "tasks_live_where_nobody_looks": Variant(
        settings='CELERY_BEAT_SCHEDULE["tidy"] = {"task": "chores.tidy", "schedule": 60}',
        modules={
            "chores": """
                from celery import shared_task

                @shared_task
                def tidy():
                    pass
            """
        },
        finds="W101:beat_entry:tidy",
        fix="app.autodiscover_tasks(['chores'], related_name=None)",
    ),
    "tests_left_eager_mode_on": Variant(
        settings="DEBUG = False\nCELERY_TASK_ALWAYS_EAGER = True",
        finds="W212:setting:task_always_eager",
        fix="CELERY_TASK_ALWAYS_EAGER = False",
    ),
}


def test_example__is_well(shop: Shop) -> None:
    answer = shop.doctor("--static", "--fail-on", "info")

    assert (answer.status, answer.found, answer.body["notes"]) == (0, [], [])


def test_variants__are_ten() -> None:
    assert len(VARIANTS) == 10


@pytest.mark.parametrize("name", VARIANTS)
def test_variant__has_one_finding(shop: Shop, name: str) -> None:
    variant = VARIANTS[name]
    shop.change(variant.settings, **variant.modules)

    answer = shop.doctor("--static", "--fail-on", "warning")

    assert answer.found == [variant.finds], answer.body["findings"]
    assert variant.fix in answer.body["findings"][0]["fix"]
    assert answer.status == 1
