"""``results.reachable``: what is said of each kind of backend, by its own word and by what workers tell."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from celery_health.conf import Settings
from celery_health.health.results import ResultsReachable
from celery_health.records import (
    BrokerState,
    LastError,
    ResultsState,
    SharedServer,
    StoredResults,
    StoreState,
    Writes,
)
from celery_health.testing import make_snapshot
from celery_health.text.commands import split_commands

URL, BROKER = "redis://results:6379/1", "redis://broker:6379/0"
STORE = StoreState(configured=True, reachable=True, url="redis://store:6379/0")
LOST = LastError(task="shop.pay", exception="OperationalError", text="no route to host", age_seconds=3.0)
FAILED = StoredResults(unstored={"shop.pay": 3}, last=LOST)
OVER = StoredResults(unstored={"shop.pay": 3}, last=LOST, stored=5, is_over=True)


def asked(**changes: Any) -> ResultsState:
    return ResultsState(**{"backend": "redis", "url": URL, "is_redis": True, "reachable": True, **changes})


def other(told: StoredResults | None = None) -> ResultsState:
    return ResultsState(backend="django-db", told=told)


def of_broker(told: StoredResults | None = None) -> ResultsState:
    return ResultsState(backend="rpc", url=BROKER, shared=SharedServer.BROKER, told=told)


OF_STORE = ResultsState(backend="redis", url=URL, is_redis=True, shared=SharedServer.STORE)
ANSWERS = BrokerState(transport="redis", url=BROKER, reachable=True, writes=Writes(accepted=True))

CASES: dict[str, tuple[dict[str, Any], str, str | None, str]] = {
    # changes of the snapshot → status, because, part of the message
    "nobody keeps any": ({"results": ResultsState(ignored="x")}, "off", None, "Results are not kept: x."),
    "not looked at": ({"results": None}, "unknown", None, "not looked at"),
    "it answers": ({"results": asked()}, "pass", None, f"The result backend at {URL} answers."),
    "it has not answered yet": ({"results": asked(reachable=None)}, "unknown", None, "not answered yet"),
    "this process is late": ({"results": asked(late="This process slept.")}, "unknown", None, "slept"),
    # The error ends with a full stop, and the sentence with one.
    "it is away": (
        {"results": asked(reachable=False, error="ConnectionError: refused.")},
        "warn", None, f"The result backend at {URL} cannot be reached: ConnectionError: refused. While",
    ),
    "it is full": (
        {"results": asked(refusal="it is full (6 of 3 bytes)", fix="Make room.")},
        "warn", None,
        "answers and takes no results: it is full (6 of 3 bytes). While that is so, each task whose "
        "result is to be kept fails at its end, though it ran.",
    ),
    # It answers here, and workers do not reach it.
    "workers do not reach it": (
        {"results": asked(told=FAILED)}, "warn", None, "3 results could not be stored",
    ),
    "the broker is away": (
        {"results": of_broker(), "broker": BrokerState(transport="redis", url=BROKER, reachable=False)},
        "unknown", "broker.reachable", "does not answer",
    ),
    "the broker refuses": (
        {
            "results": of_broker(),
            "broker": replace(ANSWERS, writes=Writes(accepted=False)),
        },
        "unknown", "broker.writable", "refuses writes",
    ),
    "the broker answers": ({"results": of_broker(), "broker": ANSWERS}, "pass", None, "by the broker"),
    "the store answers": ({"results": OF_STORE, "store": STORE}, "pass", None, "answers"),
    # The store's row says that nothing is counted; this, that whoever sends waits.
    "the store is away": (
        {"results": OF_STORE, "store": StoreState(configured=True, reachable=False, error="refused")},
        "warn", None,
        f"The result backend at {URL} cannot be reached, nor can the store: it is the same server. While it "
        "is away, each delay()",
    ),
    "the store takes nothing": (
        {"results": OF_STORE, "store": replace(STORE, refuses_writes="it is full")},
        "warn", None, "takes no results: it is full.",
    ),
    "the store was not asked": (
        {"results": OF_STORE, "store": StoreState(configured=True)},
        "unknown", "store.reachable", "not asked",
    ),
    "workers complain": (
        {"results": other(FAILED), "store": STORE},
        "warn", None,
        "3 results could not be stored, as workers reported in the last 10 min (OperationalError: no route "
        "to host): 'shop.pay'.",
    ),
    "it is over": ({"results": other(OVER), "store": STORE}, "pass", None, "5 lately"),
    "workers store": ({"results": other(StoredResults(stored=7)), "store": STORE}, "pass", None, "7 lately"),
    # Nobody asks a database, and no task had a result for it.
    "nothing ran": ({"results": other(StoredResults()), "store": STORE}, "unknown", None, "no task has had"),
    "nobody tells": ({"results": other()}, "unsupported", "store.reachable", "workers would say it"),
    "what they tell cannot be read": (
        {"results": other(), "store": StoreState(configured=True, reachable=False)},
        "unknown", "store.reachable", "could not be read",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_results__says(name: str) -> None:
    changes, status, because, message = CASES[name]
    [result] = ResultsReachable().judge(make_snapshot(**changes), Settings())
    assert (result.status.value, result.because) == (status, because), result
    assert message in result.message
    assert bool(result.recommendation) is (status == "warn")


@pytest.mark.parametrize(
    "text",
    [
        "no such table: django_celery_results_taskresult",
        'relation "django_celery_results_taskresult" does not exist',
        "(1146, \"Table 'shop.django_celery_results_taskresult' doesn't exist\")",
        "ORA-00942: table or view does not exist",
        "database is locked",
    ],
)
def test_results__tables_that_are_not_there_are_made(text: str) -> None:
    last = LastError(task="shop.pay", exception="OperationalError", text=text, age_seconds=3.0)
    told = StoredResults(unstored={"shop.pay": 3}, last=last)
    (found,) = ResultsReachable().run(make_snapshot(results=other(told), store=STORE), Settings())
    advice = str(found.recommendation)
    is_made = advice.endswith("Make its tables: python manage.py migrate django_celery_results")
    assert is_made is (text != "database is locked")
    assert is_made is any(is_command for is_command, _ in split_commands(advice))
