"""What the store tells workers of the runs that others, which fell silent, had named as running."""

from __future__ import annotations

import time
from typing import Any

import pytest

from celery_health.store import keys
from celery_health.store.base import MissingQuestion, MissingRuns, Store
from tests.store.conftest import Writer
from tests.support import eventually


def record(*ids: object, **fields: Any) -> dict[str, Any]:
    return {"hostname": "a", "goodbye": False, "active": [{"task_id": one} for one in ids], **fields}


def worker(store: Store, name: str = "a") -> Writer:
    return Writer(store, kind="worker", name=name)


def ask(writer: Writer, silent: float = 0.0, known: str = "") -> MissingRuns | None:
    question = MissingQuestion(silent_seconds=silent, known=known)
    return writer.publish(record=record(), missing=question).missing


def until_told(store: Store, ids: set[str], silent: float = 0.0) -> MissingRuns:
    """Ask as a worker does, until the store has looked again."""
    asker = worker(store, "asker")

    def told() -> MissingRuns | None:
        found = ask(asker, silent)
        return found if found is not None and found.ids == ids else None

    found = eventually(told, keys.MISSING_PAUSE_SECONDS + 5, what=f"{ids} told")
    assert found is not None
    return found


def test_missing__runs_of_who_fell_silent(store: Any) -> None:
    worker(store).publish(record=record("one", "two"))
    found = until_told(store, {"one", "two"})
    # Nothing changed: nothing is said.
    assert ask(worker(store, "b"), known=found.change) is None


def test_missing__runs_that_were_given_up(store: Any) -> None:
    worker(store).publish(
        record=record("one", goodbye=True, given_up=[{"task_id": "two"}, {"task_id": "three"}], unacked=None)
    )
    until_told(store, {"two", "three"})


@pytest.mark.parametrize(
    ("told", "silent"),
    [
        # It said goodbye.
        (record("one", goodbye=True), 0.0),
        # It reported just now.
        (record("one"), 30.0),
        # It ran nothing.
        (record(), 0.0),
        # Whatever somebody else wrote there.
        ({"active": 7}, 0.0),
        (record(5, None, "", "x" * 501), 0.0),
        ({"active": [3, {"task_id": {}}]}, 0.0),
    ],
)
def test_missing__nothing(store: Any, told: dict[str, Any], silent: float) -> None:
    worker(store).publish(record=told)
    found = ask(worker(store, "asker"), silent)
    assert found is None or found.ids == frozenset()


def test_missing__who_does_not_ask_is_not_told(store: Any) -> None:
    worker(store).publish(record=record("one"))
    assert worker(store, "b").publish(record=record()).missing is None
    assert worker(store, "b").publish({"x": 1}).missing is None


def test_missing__is_bounded_and_forgotten(
    store: Any, redis_client: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(5):
        worker(store, f"w{number}").publish(record=record(*[f"{number}-{n}" for n in range(100)]))
    key = store.keys.missing
    assert (found := ask(worker(store, "asker"))) is not None
    assert len(found.ids) == keys.MAX_MISSING
    assert 0 < redis_client.ttl(key) <= keys.MISSING_SECONDS
    # All of them are old by now, and the looks are due.
    old = str(int((time.time() - keys.MISSING_SECONDS - 5) * 1e6))
    redis_client.hset(key, mapping={**dict.fromkeys(redis_client.hkeys(key), old), "": "0 0 0"})
    redis_client.delete(store.keys.processes)
    assert (found := ask(worker(store, "asker"))) is not None
    assert found.ids == frozenset()


def test_missing__a_key_of_another_type_stops_nothing(store: Any, redis_client: Any) -> None:
    redis_client.set(store.keys.missing, "mine")
    answer = worker(store).publish(
        {"runs": 1}, record=record("one"), missing=MissingQuestion(silent_seconds=0)
    )
    assert (answer.missing, answer.unwritten) == (None, (store.keys.missing,))
