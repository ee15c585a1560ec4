"""Labels of a project's own: where values come from, the cap over all workers, and totals that stay right."""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Callable, Iterator, Mapping
from datetime import date
from decimal import Decimal
from enum import Enum
from typing import Any
from uuid import UUID

import pytest
from celery import Celery
from celery.worker.request import Request

from celery_health import counters, monitor_task
from celery_health.conf import parse
from celery_health.counters import custom_labels, decode, encode
from celery_health.deadline import Deadline
from celery_health.reporting import admission
from celery_health.reporting import totals as totals_module
from celery_health.reporting.agent import Agent
from celery_health.reporting.faults import Faults
from celery_health.reporting.totals import Totals
from celery_health.store import Store
from celery_health.store import keys as limits
from celery_health.store import redis as redis_store
from celery_health.worker.composer import Composer
from celery_health.worker.labels.requests import LabelledRequest
from celery_health.worker.labels.rules import LabelRules, TaskLabels
from celery_health.worker.queues import QueueNames
from celery_health.worker.requests import Recording
from tests.metrics_surfaces.conftest import Exporter
from tests.metrics_surfaces.scraping import PROMETHEUS_ACCEPT, get, samples, value
from tests.store.conftest import Writer, open_store_at, read, store
from tests.support import ROOT, Worker, eventually

__all__ = ["open_store_at", "store"]

TASKS = "tests.metrics_surfaces.labelled_tasks"
CONF = {"include": [TASKS]}
BOTH = ["exporter", "background_job"]
JOB = "celery_background_job"


# Over several workers ----------------------------------------------------------------------------------


def labels_of(text: str, metric: str, **wanted: str) -> dict[tuple[tuple[str, str], ...], float]:
    """Return the samples of a metric that have these labels."""
    return {
        labels: number
        for labels, number in samples(text).get(metric, {}).items()
        if wanted.items() <= dict(labels).items()
    }


def total(text: str, metric: str, **wanted: str) -> float:
    return sum(labels_of(text, metric, **wanted).values())


@pytest.mark.slow
@pytest.mark.timeout(240)
def test_labels__a_thousand_customers_under_a_cap_of_a_hundred(
    redis_url: str,
    worker_factory: Callable[..., Worker],
    exporter_factory: Callable[..., Exporter],
    make_app: Callable[..., Celery],
) -> None:
    health = {"LABELS": {"customer_id": {"max_values": 100}}, "METRICS_DIALECTS": BOTH, "FLUSH_INTERVAL": 0.2}
    workers = [
        worker_factory(redis_url, pool=pool, concurrency=2, health=health, conf=CONF, loglevel="INFO")
        for pool in ("prefork", "threads", "prefork")
    ]
    exporter = exporter_factory(redis_url, health=health, conf=CONF)
    app, charge = make_app(redis_url), f"{TASKS}.charge"
    with app.producer_pool.acquire() as producer:
        for turn in range(2):
            for customer in range(1_000):
                app.send_task(charge, (f"c{customer}",), {"amount": customer + turn}, producer=producer)

    def ended() -> str:
        text = get(exporter.port).text
        ends = [total(text, f"{JOB}_{end}_total", task_name=charge) for end in ("completed", "failed")]
        assert sum(ends) == 2_000, ends
        return text

    text = eventually(ended, timeout=120, interval=0.3)
    for worker in workers:  # each of them took part
        assert f"Task {charge}[" in worker.log
    values: set[str] = set()
    for metric in ("started", "completed", "failed"):
        found = labels_of(text, f"{JOB}_{metric}_total", task_name=charge)
        values |= {dict(labels)["customer_id"] for labels in found if "customer_id" in dict(labels)}
    assert len(values) == 101
    assert "other" in values
    assert total(text, f"{JOB}_started_total", task_name=charge) == 2_000
    assert total(text, f"{JOB}_failed_total", task_name=charge, error_type="ValueError") == 200
    # What was admitted is counted in full, whichever worker ran it.
    kept = {name for name in values if name != "other"}
    for customer in kept:
        assert value(text, f"{JOB}_started_total", task_name=charge, customer_id=customer) == 2
    assert value(text, f"{JOB}_started_total", task_name=charge, customer_id="other") == 1_800
    # The other dialect knows nothing of customers, and has the same totals.
    assert value(text, "celery_task_started_total", name=charge, queue_name="celery") == 2_000
    assert value(text, "celery_task_succeeded_total", name=charge, queue_name="celery") == 1_800
    # 1,800 starts, and as many ends.
    assert value(text, "celery_health_label_overflow_total", label="customer_id") == 3_600
    for worker in workers:
        assert worker.log.count("The metric label 'customer_id' has more values than its cap") == 1


def test_labels__of_tasks_and_how_their_runs_end(
    redis_url: str,
    worker_factory: Callable[..., Worker],
    exporter_factory: Callable[..., Exporter],
    make_app: Callable[..., Celery],
) -> None:
    health = {
        "LABELS": {"customer_id": {}, "size": {"values": ["small"]}},
        "METRICS_DIALECTS": BOTH,
        "METRICS_NAMESPACE": "shop",
        "FLUSH_INTERVAL": 0.1,
    }
    worker = worker_factory(redis_url, health=health, conf=CONF)
    exporter = exporter_factory(redis_url, health=health, conf=CONF)
    app = make_app(redis_url)

    def send(name: str, *args: Any, **kwargs: Any) -> None:
        app.send_task(f"{TASKS}.{name}", args, kwargs)

    send("ship", 5, "gold")
    send("ship", 50, tier='a"b\n\\')
    send("ship", 5)
    send("ship", 5, None)
    send("source_fails")
    send("again", customer_id="acme")
    send("plain")

    def done() -> str:
        text = get(exporter.port).text
        assert total(text, "shop_background_job_completed_total") == 6
        assert total(text, "shop_background_job_failed_total") == 1
        return text

    text = eventually(done, timeout=30, interval=0.2)
    ship, again = f"{TASKS}.ship", f"{TASKS}.again"
    shown = {
        key: found for key, found in labels_of(text, "shop_background_job_completed_total").items() if found
    }
    assert {tuple(dict(key).items()): found for key, found in shown.items()} == {
        (("plan", "gold"), ("size", "small"), ("task_name", ship)): 1,
        (("plan", 'a"b?\\'), ("size", "other"), ("task_name", ship)): 1,
        (("plan", "free"), ("size", "small"), ("task_name", ship)): 1,
        (("size", "small"), ("task_name", ship)): 1,  # None is no value
        (("task_name", f"{TASKS}.source_fails"),): 1,
        (("task_name", f"{TASKS}.plain"),): 1,
    }
    # Started twice, failed once: a retry is no end.
    assert value(text, "shop_background_job_started_total", task_name=again, customer_id="acme") == 2
    failed = {"task_name": again, "customer_id": "acme", "error_type": "KeyError"}
    assert value(text, "shop_background_job_failed_total", **failed) == 1
    assert value(text, "celery_task_retried_total", name=again, queue_name="celery") == 1
    # A list of allowed values is meant: it overflows nothing.
    assert value(text, "celery_health_label_overflow_total", label="size") is None
    assert value(text, "celery_health_internal_errors_total", where="labels.broken") == 1
    assert worker.log.count("celery_health failed at labels.broken") == 1
    # Both formats and any parser say the same.
    assert samples(get(exporter.port, headers={"Accept": PROMETHEUS_ACCEPT}).text) == samples(text)


# Where a value comes from ------------------------------------------------------------------------------


class Tier(Enum):
    GOLD = "gold"


@pytest.fixture
def app(make_app: Callable[..., Celery]) -> Iterator[Celery]:
    yield make_app("memory://")


def labelled(
    app: Celery, function: Callable[..., Any], health: Mapping[str, Any], **options: Any
) -> tuple[TaskLabels | None, Totals]:
    settings = parse({"METRICS_DIALECTS": BOTH, **health})
    totals = Totals()
    return LabelRules(settings, totals, Faults(totals)).of(app.task(function, **options)), totals


def positional(order: Any, customer_id: Any = "nobody") -> None: ...
def only_keyword(*, customer_id: Any = None) -> None: ...
def any_keyword(order: Any, **more: Any) -> None: ...
def bound(self: Any, customer_id: Any) -> None: ...


@pytest.mark.parametrize(
    ("function", "args", "kwargs", "found"),
    [
        (positional, (1, "acme"), {}, "acme"),
        (positional, (1,), {"customer_id": "acme"}, "acme"),
        (positional, (1,), {}, "nobody"),  # its default
        (positional, (1, None), {}, None),
        (positional, (1, ""), {}, None),
        (positional, (1, 5), {}, "5"),
        (positional, (1, True), {}, "True"),
        (positional, (1, Decimal("1.5")), {}, "1.5"),
        (positional, (1, date(2026, 1, 2)), {}, "2026-01-02"),
        (positional, (1, UUID(int=1)), {}, "00000000-0000-0000-0000-000000000001"),
        (positional, (1, Tier.GOLD), {}, "gold"),
        (positional, (1, "x" * 10_000_000), {}, "x" * 200),
        (positional, (1, "a\nb\x1d\x1f"), {}, "a?b??"),
        (positional, (1, "redis://user:hunter2@host"), {}, "redis://user:**@host"),
        (positional, (1, ["acme"]), {}, None),  # a list is no label
        (only_keyword, (), {"customer_id": "acme"}, "acme"),
        (only_keyword, (), {}, None),
        (any_keyword, (1,), {"customer_id": "acme"}, "acme"),
        (any_keyword, (1,), {}, None),
    ],
)
def test_value__by_the_name_of_a_parameter(
    app: Celery, function: Callable[..., Any], args: Any, kwargs: Any, found: str | None
) -> None:
    labels, totals = labelled(app, function, {"LABELS": {"customer_id": {}}})

    assert labels is not None
    assert labels.of(args, kwargs) == ("" if found is None else f"\x1dcustomer_id={found}")
    assert totals.label_caps == {"customer_id": 100}


def test_value__of_a_bound_task_begins_after_self(app: Celery) -> None:
    labels, _ = labelled(app, bound, {"LABELS": {"customer_id": {}}}, bind=True, autoretry_for=(ValueError,))

    assert labels is not None
    assert labels.of(("acme",), {}) == "\x1dcustomer_id=acme"


def test_value__by_another_parameter_or_a_callable(app: Celery) -> None:
    def first_letter(order: str, customer_id: str = "") -> str:
        return customer_id[:1]

    rules = {"letter": {"source": first_letter}, "order_kind": {"source": "order", "values": ["web"]}}
    labels, totals = labelled(app, positional, {"LABELS": rules})

    assert labels is not None
    assert labels.of(("web", "acme"), {}) == "\x1dletter=a\x1dorder_kind=web"
    assert labels.of(("phone",), {"customer_id": "acme"}) == "\x1dletter=a\x1dorder_kind=other"
    assert totals.label_caps == {"letter": 100}  # those of a list need no cap


def test_value__a_task_goes_before_the_settings(app: Celery) -> None:
    def ordered(order: str, customer_id: str) -> None: ...

    function = monitor_task(labels={"customer_id": "order"})(ordered)
    labels, totals = labelled(app, function, {"LABELS": {"customer_id": {"max_values": 7}}}, name="own")

    assert labels is not None
    assert labels.of(("o1", "acme"), {}) == "\x1dcustomer_id=o1"
    assert totals.label_caps == {"customer_id": 7}


def test_task__without_the_parameter_has_no_label_and_pays_nothing(app: Celery) -> None:
    settings = parse({"METRICS_DIALECTS": BOTH, "LABELS": {"customer_id": {}}})
    totals = Totals()
    faults = Faults(totals)
    labels = LabelRules(settings, totals, faults)
    composer = Composer(Recording(totals=totals, queues=QueueNames(), faults=faults), labels)
    plain, own = app.task(any_argument), app.task(positional)

    assert composer.apply([plain, own]) == [plain.name, own.name]
    assert not issubclass(plain.Request, LabelledRequest)
    assert issubclass(own.Request, LabelledRequest)
    assert issubclass(own.Request, Request)
    # At a reconnect it is asked again, and the classes are the same.
    before = plain.Request, own.Request
    composer.apply([plain, own])
    assert (plain.Request, own.Request) == before


def any_argument(order: Any) -> None: ...


def test_secret__is_no_label(app: Celery, caplog: pytest.LogCaptureFixture) -> None:
    def pay(card_number: str) -> None: ...

    labels, _ = labelled(app, pay, {"LABELS": {"card": {"source": "card_number"}}})

    assert labels is None
    assert "The metric label 'card' is not counted: its parameter 'card_number'" in caplog.text


def test_dialect__that_shows_no_label_counts_none_and_says_so(
    app: Celery, caplog: pytest.LogCaptureFixture
) -> None:
    health = {"LABELS": {"customer_id": {}}, "METRICS_DIALECTS": ["exporter", "task_status"]}
    labels, _ = labelled(app, positional, health)

    assert labels is None
    assert "(customer_id) are not counted" in caplog.text
    assert "Add 'background_job'" in caplog.text


# The cap in the store ----------------------------------------------------------------------------------

PAY = ("pay", "celery")


def started(customer: str, *more: tuple[str, str]) -> str:
    return encode(counters.STARTED, PAY) + custom_labels([("customer_id", customer), *more])


def test_store__admits_the_first_values_over_all_writers(store: Store) -> None:
    one, two = (Writer(store, caps={"customer_id": 2}) for _ in range(2))
    assert one.publish({started("a"): 1, started("b"): 2}).overflowed == ()
    assert two.publish({started("b"): 3, started("c"): 4, started("d"): 5}).overflowed == ("customer_id",)
    assert one.publish({started("c"): 1, started("a"): 1}).overflowed == ("customer_id",)
    assert two.publish({started("a"): 1}).overflowed == ()

    assert read(store).totals == {
        started("a"): 3, started("b"): 5, started("other"): 10,
        "label_overflow\x1fcustomer_id": 10,
    }  # fmt: skip


def test_store__the_same_again_is_admitted_once(store: Store) -> None:
    writer = Writer(store, caps={"customer_id": 1})
    first = writer.prepare({started("a"): 1, started("b"): 1})
    store.publish(first)
    assert store.publish(first).overflowed == ()

    assert read(store).totals == {started("a"): 1, started("other"): 1, "label_overflow\x1fcustomer_id": 1}


def test_store__each_label_has_a_cap_of_its_own(store: Store) -> None:
    writer = Writer(store, caps={"customer_id": 1, "plan": 2})
    fields = [started("a", ("plan", "x")), started("b", ("plan", "y")), started("b", ("plan", "z"))]
    writer.publish(dict.fromkeys(fields, 1))
    writer.publish({started("a", ("plan", "other")): 1, started("a"): 1})

    assert read(store).totals == {
        started("a", ("plan", "x")): 1,
        started("other", ("plan", "y")): 1,
        started("other", ("plan", "other")): 1,
        started("a", ("plan", "other")): 1,
        started("a"): 1,
        "label_overflow\x1fcustomer_id": 2,
        "label_overflow\x1fplan": 1,
    }


def test_store__a_higher_cap_holds_at_once_and_a_label_without_one_is_free(store: Store) -> None:
    Writer(store, caps={"customer_id": 1}).publish({started("a"): 1, started("b"): 1})
    Writer(store, caps={"customer_id": 2}).publish({started("b"): 1, started("c"): 1})
    Writer(store).publish({started("d"): 1})

    assert dict(read(store).totals or {}) | {"label_overflow\x1fcustomer_id": 0} == {
        started("a"): 1, started("b"): 1, started("other"): 2, started("d"): 1,
        "label_overflow\x1fcustomer_id": 0,
    }  # fmt: skip


def test_store__values_are_admitted_anew_when_all_totals_start_again(store: Store) -> None:
    writer = Writer(store, caps={"customer_id": 1})
    writer.publish({started("a"): 1})
    reading = read(store)
    store.reset_if_behind(reading.epoch, reading.version + 1, Deadline.after(5))
    writer.publish({started("b"): 1})

    assert read(store).totals == {started("b"): 1}


NAMED = {
    "name": (limits.MAX_NAMES, lambda number: ("received", f"t{number}", "celery")),
    "queue_name": (limits.MAX_QUEUES, lambda number: ("received", "pay", f"q{number}")),
    "exception": (limits.MAX_EXCEPTIONS, lambda number: ("failed", *PAY, f"Error{number}")),
}


@pytest.mark.parametrize("label", NAMED)
def test_store__names_and_exceptions_are_capped_over_all_writers(store: Store, label: str) -> None:
    most, field_of = NAMED[label]
    fields = ["\x1f".join(field_of(number)) for number in range(most + 5)]
    Writer(store).publish(dict.fromkeys(fields[:most], 1))
    answer = Writer(store).publish(dict.fromkeys(fields[most:], 2) | {fields[0]: 1})

    found = dict(read(store).totals or {})
    assert answer.overflowed == (label,)
    assert found.pop(f"label_overflow\x1f{label}") == 10
    assert len(found) == most + 1
    assert sum(found.values()) == most + 11
    assert found[fields[0]] == 2
    assert [amount for field, amount in found.items() if "other" in field] == [10]


def test_store__names_that_nobody_registers_have_a_cap_of_their_own(store: Store) -> None:
    Writer(store).publish({f"unknown\x1fmade-up-{number}": 1 for number in range(limits.MAX_UNKNOWN + 50)})
    Writer(store).publish({"received\x1fpay\x1fcelery": 1, "internal_errors\x1fx": 1})

    found = dict(read(store).totals or {})
    assert found["unknown\x1fother"] == 50
    assert found["label_overflow\x1fname"] == 50
    assert found["received\x1fpay\x1fcelery"] == 1
    assert len(found) == limits.MAX_UNKNOWN + 4


def test_store__a_full_one_keeps_the_task_of_a_new_value(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    base = encode(counters.STARTED, PAY)
    Writer(store).publish({base: 1})
    full = list(redis_store._LIMITS)
    full[full.index(limits.MAX_FIELDS)] = 3
    monkeypatch.setattr(redis_store, "_LIMITS", tuple(full))
    Writer(store, caps={"customer_id": 10}).publish({started("a"): 1})

    assert read(store).totals == {base: 2, "label_overflow\x1fstore": 1}


def test_docs__state_the_caps() -> None:
    page = (ROOT / "docs/how-to/labels.md").read_text()
    assert re.findall(r"^\| `(\w+)`.* \| ([\d,]+) \|$", page, re.MULTILINE) == [
        ("name", f"{limits.MAX_NAMES:,}"),
        ("name", f"{limits.MAX_UNKNOWN:,}"),
        ("queue_name", f"{limits.MAX_QUEUES:,}"),
        ("exception", f"{limits.MAX_EXCEPTIONS:,}"),
    ]
    assert f"{totals_module.MAX_LABELLED:,} totals" in page
    assert f"{limits.MAX_FIELDS:,} totals" in page
    assert f"{counters.MAX_LABEL_LENGTH} characters" in page


# In the process ----------------------------------------------------------------------------------------


def test_totals__labels_share_the_ring_of_their_task() -> None:
    totals = Totals()
    series = totals.series(*PAY)
    series.succeeded()
    for customer in "ab":
        totals.labelled(counters.STARTED, series, custom_labels([("customer_id", customer)]))
        totals.labelled(counters.SUCCEEDED, series, custom_labels([("customer_id", customer)]))
    totals.labelled(counters.FAILED, series, custom_labels([("customer_id", "a")]), "KeyError")

    batch = totals.drain()
    assert batch.ring == {"pay\x1fsucceeded": 3, "pay\x1ffailed": 1}
    assert batch.fields["failed\x1fpay\x1fcelery\x1fKeyError\x1dcustomer_id=a"] == 1
    assert len(batch.fields) == 6
    assert totals.drain().empty


def test_totals__what_waits_for_the_store_is_bounded() -> None:
    totals = Totals()
    series, most = totals.series(*PAY), totals_module.MAX_LABELLED
    for number in range(most + 10):
        totals.labelled(counters.STARTED, series, custom_labels([("customer_id", f"c{number}")]))
    assert totals.overflowed() == {"customer_id"}
    assert totals.overflowed() == set()
    # Drained and not sent: it waits with the agent, and there is no more room.
    first = totals.drain()
    totals.labelled(counters.STARTED, series, custom_labels([("customer_id", "late")]))
    second = totals.drain()
    totals.all_sent()
    totals.labelled(counters.STARTED, series, custom_labels([("customer_id", "late")]))

    assert len(first.fields) == most + 2
    assert first.fields[started("other")] == 10
    assert first.fields["label_overflow\x1fcustomer_id"] == 10
    assert second.fields == {started("other"): 1, "label_overflow\x1fcustomer_id": 1}
    assert totals.drain().fields == {started("late"): 1}


def test_totals__queue_overflow_is_called_as_in_the_metrics(monkeypatch: pytest.MonkeyPatch) -> None:
    totals = Totals()
    for number in range(admission.MAX_QUEUES + 1):
        totals.series("pay", f"q{number}").received()

    fields = totals.drain().fields
    found = {cell.labels: amount for field, amount in fields.items() if (cell := decode(field))}
    assert found[("queue_name",)] == 1


def test_agent__logs_an_overflow_once(store: Store, caplog: pytest.LogCaptureFixture) -> None:
    totals = Totals()
    totals.label_caps["customer_id"] = 1
    agent = Agent(
        kind="producer", name=None, totals=totals, faults=Faults(totals), open_store=lambda: store,
        flush_interval=0.05,
    )  # fmt: skip
    agent.start()
    until = time.monotonic() + 10
    with caplog.at_level(logging.WARNING, "celery_health"):
        for turn in range(3):
            for customer in "abc":
                totals.labelled(
                    counters.STARTED, totals.series(*PAY), custom_labels([("customer_id", customer)])
                )
            eventually(lambda: sum((read_totals(store) or {}).values()) >= 3 * (turn + 1))  # noqa: B023
    assert agent.finish(until - time.monotonic())

    assert caplog.text.count("The metric label 'customer_id' has more values than its cap") == 1


def read_totals(store: Store) -> Mapping[str, int] | None:
    # The agent's thread has this store's connection: look through another one.
    import redis

    with redis.Redis.from_url(store.url) as client:
        found = client.hgetall(store.keys.totals)  # type: ignore[attr-defined]
    return {key.decode(): int(number) for key, number in found.items() if key.startswith(b"started")}
