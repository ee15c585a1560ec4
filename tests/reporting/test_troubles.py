"""What a process remembers of what it could not write: told once, while it lasts, and bounded."""

from __future__ import annotations

import os
import ssl
from time import monotonic
from typing import Any

import pytest
from amqp.exceptions import MessageNacked
from kombu.exceptions import EncodeError, OperationalError

from celery_health.reporting.totals import Totals
from celery_health.reporting.troubles import MAX_CONNECTIONS, Troubles, is_refusal, words_of


@pytest.fixture
def totals() -> Totals:
    return Totals()


@pytest.fixture
def troubles(totals: Totals) -> Troubles:
    return Troubles(totals)


class Line:
    """As py-amqp's connection is: no server is needed to hear callbacks."""

    def __init__(self) -> None:
        self.connected = True
        self.on_blocked: Any = None
        self.on_unblocked: Any = None


def test_due__nothing_where_nothing_is_wrong(troubles: Troubles) -> None:
    troubles.end(troubles.begin("a"))
    assert troubles.due(monotonic()) is None


def test_failed__is_counted_and_told_once(troubles: Troubles, totals: Totals) -> None:
    troubles.failed("a", OperationalError("OOM at redis://u:secret@h/0"))
    now = monotonic()
    state = troubles.due(now)
    assert state is not None
    assert {**state["refused"], "seconds": 0} == {
        "task": "a", "exception": "OperationalError", "error": "OOM at redis://u:**@h/0", "seconds": 0
    }  # fmt: skip
    assert (state["pid"], bool(state["host"])) == (os.getpid(), True)
    # Until the store has taken it.
    assert troubles.due(now) is not None
    troubles.told(state, now)
    assert troubles.due(now + 60) is None
    # It is forgotten in time, and the store told so.
    assert troubles.due(now + 700) == {}
    troubles.told({}, now + 700)
    assert troubles.due(now + 800) is None
    batch = totals.drain()
    assert dict(batch.fields) == {"publish_failed\x1fa\x1fOperationalError": 1}
    assert dict(batch.ring) == {"a\x1frefused": 1}


def test_failed__by_the_callers_mistake_is_no_refusal(troubles: Troubles, totals: Totals) -> None:
    troubles.failed("a", EncodeError("not JSON"))
    assert troubles.due(monotonic()) is None
    batch = totals.drain()
    assert (list(batch.fields), dict(batch.ring)) == (["publish_failed\x1fa\x1fEncodeError"], {})


@pytest.mark.parametrize(
    ("error", "refused"),
    [
        (OperationalError(), True), (TimeoutError(), True), (ConnectionRefusedError(), True),
        # Both an OSError and a ValueError.
        (ssl.SSLCertVerificationError(), True),
        (EncodeError(), False), (KeyError("queue"), False), (TypeError(), False), (UnicodeError(), False),
    ],
)  # fmt: skip
def test_refusal__is_not_the_callers_mistake(error: Exception, refused: bool) -> None:
    assert is_refusal(error) is refused


def test_words__end_before_a_statement_and_its_values() -> None:
    text = "(psycopg.OperationalError) no route\n[SQL: INSERT ... ] [parameters: {'result': 'secret'}]"
    assert words_of(Exception(text)) == "(psycopg.OperationalError) no route"
    assert words_of(Exception("no route [SQL: INSERT 'secret']")) == "no route"
    assert len(words_of(Exception("x" * 5000))) == 200


def test_words_of__an_error_without_words_are_those_of_its_cause() -> None:
    try:
        try:
            raise MessageNacked
        except MessageNacked as cause:
            raise OperationalError(str(cause)) from cause
    except OperationalError as error:
        assert words_of(error).startswith("MessageNacked")


def test_hanging__is_told_while_it_lasts(troubles: Troubles) -> None:
    calls = [troubles.begin(f"t{number}") for number in range(9)]
    now = monotonic()
    assert troubles.due(now + 4) is None
    state = troubles.due(now + 6)
    assert state is not None
    assert (state["hanging"]["count"], len(state["hanging"]["tasks"])) == (9, 5)
    troubles.told(state, now + 6)
    assert troubles.due(now + 7) is None
    assert troubles.due(now + 12) is not None  # again, while it lasts
    for call in calls:
        troubles.end(call)
    assert troubles.due(now + 13) == {}


def test_blocked__is_heard_beside_the_connections_own_callback(troubles: Troubles) -> None:
    line, heard = Line(), []
    line.on_blocked, line.on_unblocked = heard.append, lambda: heard.append("over")
    troubles.listen(line)
    troubles.listen(line)  # twice is once
    now = monotonic()
    line.on_blocked("why")
    state = troubles.due(now + 1)
    assert state is not None
    assert set(state["blocked"]) == {"seconds", "quiet_seconds"}
    troubles.told(state, now)
    line.on_unblocked()
    assert troubles.due(now + 1) == {}
    assert heard == ["why", "over"]


def test_blocked__a_connection_that_is_gone_is_not(troubles: Troubles) -> None:
    line, other = Line(), Line()
    for one in (line, other):
        troubles.listen(one)
        one.on_blocked("why")
    line.connected = False
    del other, one
    assert troubles.due(monotonic()) is None


def test_blocked__connections_are_bounded(troubles: Troubles) -> None:
    lines = [Line() for _ in range(2 * MAX_CONNECTIONS)]
    for line in lines:
        troubles.listen(line)
        line.on_blocked("why")
    assert len(troubles._hearings) == MAX_CONNECTIONS
    for line in lines:
        line.connected = False
    troubles.listen(fresh := Line())
    fresh.on_blocked("why")
    assert len(troubles._hearings) == 1


def test_listen__leaves_other_transports_alone(troubles: Troubles) -> None:
    other = object()
    troubles.listen(other)  # has no place for a callback
    assert not troubles._hearings


def test_fork__the_child_begins_anew(troubles: Troubles) -> None:
    call = troubles.begin("a")
    troubles.failed("a", OperationalError())
    pid = os.fork()
    if pid == 0:
        os._exit(0 if troubles.due(monotonic() + 60) is None else 1)
    assert os.waitpid(pid, 0)[1] == 0
    troubles.end(call)
    assert troubles.due(monotonic()) is not None
