"""Counting in the process: exact under threads, forks and drains in between, and free once warm."""

import dis
import json
import os
import subprocess
import sys
import threading

import pytest

from celery_health import counters
from celery_health.beat import entries
from celery_health.counters import custom_labels, decode, encode
from celery_health.dead_letters import envelope
from celery_health.reading import fields as read_fields
from celery_health.records import Streak
from celery_health.reporting import admission
from celery_health.reporting import totals as module
from celery_health.reporting.series import TaskSeries
from celery_health.reporting.totals import Batch, Totals
from celery_health.store import readings
from celery_health.worker import held
from celery_health.worker.labelled import LabelledSeries


@pytest.fixture
def totals():
    return Totals()


def counter(family, *labels):
    return encode(family, labels)


# What comes out ----------------------------------------------------------------------------------------


def test_totals__each_fact_is_its_own_field(totals):
    series = totals.series("shop.pay", "celery")
    series.received()
    series.received()
    series.started()
    series.succeeded()
    series.failed("ValueError")
    series.failed("ValueError")
    series.failed("KeyError")
    series.retried()
    series.rejected()
    series.revoked()
    totals.sent("shop.pay", "celery")
    totals.unknown("shop.pya")
    totals.internal_error("agent")
    totals.count(counters.REJECTED, "", "celery", amount=3)
    task = ("shop.pay", "celery")
    assert totals.drain().fields == {
        counter(counters.RECEIVED, *task): 2,
        counter(counters.STARTED, *task): 1,
        counter(counters.SUCCEEDED, *task): 1,
        counter(counters.FAILED, *task, "ValueError"): 2,
        counter(counters.FAILED, *task, "KeyError"): 1,
        counter(counters.RETRIED, *task): 1,
        counter(counters.REJECTED, *task): 1,
        counter(counters.REVOKED, *task): 1,
        counter(counters.SENT, *task): 1,
        counter(counters.UNKNOWN, "shop.pya"): 1,
        counter(counters.INTERNAL_ERRORS, "agent"): 1,
        counter(counters.REJECTED, "", "celery"): 3,
    }
    assert totals.drain().empty


def test_totals__the_ring_sums_over_queues_and_exceptions(totals):
    for queue in ("a", "b"):
        series = totals.series("pay", queue)
        series.succeeded()
        series.failed("ValueError")
        series.failed("KeyError")
        series.retried()
        series.sent()
        series.received()
        series.revoked()
    totals.unknown("pya")
    assert totals.drain().ring == {
        "pay\x1fsucceeded": 2,
        "pay\x1ffailed": 4,
        "pay\x1fretried": 2,
        "pay\x1fsent": 2,
        "pya\x1funknown": 1,
    }


def test_totals__what_the_ring_tells_apart_changes_no_outcome(totals):
    """Readers that do not know these outcomes find all others as they were."""
    series = totals.series("pay", "celery")
    for fact in ("expired", "killed", "redelivered", "turned_down", "expected", "ignored"):
        getattr(series, fact)()
    batch = totals.drain()
    assert batch.ring == {
        f"pay\x1f{outcome}": 1
        for outcome in ("expired", "killed", "redelivered", "rejected", "expected", "ignored")
    }
    task = ("pay", "celery")
    assert batch.fields == {counter(counters.EXPIRED, *task): 1, counter(counters.KILLED, *task): 1}


STREAKS = [
    # A letter a run: w well, p well without a count, f failed, x failed otherwise, r retried in vain.
    ("w", Streak(ended_well=True)),
    ("ff", Streak(failures=2, failed_by="ValueError")),
    ("fx", Streak(failures=2, failed_by="KeyError")),
    ("ffwf", Streak(ended_well=True, failures=1, failed_by="ValueError")),
    ("ffw", Streak(ended_well=True)),
    ("wff", Streak(ended_well=True, failures=2, failed_by="ValueError")),
    ("fwfwwff", Streak(ended_well=True, failures=2, failed_by="ValueError")),
    ("ffp", Streak(ended_well=True)),
    ("fpwf", Streak(ended_well=True, failures=1, failed_by="ValueError")),
    # Retries in vain are a row of their own; a failure for good is no success.
    ("rrfr", Streak(failures=1, failed_by="ValueError", retries=3, retried_by="OSError")),
    ("rrw", Streak(ended_well=True)),
    ("rwr", Streak(ended_well=True, retries=1, retried_by="OSError")),
]


def end(series, letters):
    for letter in letters:
        match letter:
            case "w":
                series.succeeded()
            case "p":
                series.proved()
            case "f":
                series.broke("ValueError")
            case "x":
                series.broke("KeyError")
            case "r":
                series.retried_in_vain("OSError")


@pytest.mark.parametrize(("letters", "streak"), STREAKS)
def test_streak__knows_the_order_of_the_runs(totals, letters, streak):
    end(totals.series("pay", "celery"), letters)
    assert totals.drain().streaks == {"pay": streak}
    assert totals.drain().streaks == {}


@pytest.mark.parametrize(("letters", "streak"), STREAKS)
def test_streak__is_the_same_however_it_is_drained_and_merged(totals, letters, streak):
    series, whole = totals.series("pay", "celery"), Batch()
    for letter in letters:
        end(series, letter)
        whole = whole.merge(totals.drain())
    assert whole.streaks == {"pay": streak}


def test_streak__of_runs_with_labels_of_their_own_is_the_same_row(totals):
    series = totals.series("pay", "celery")
    labelled = LabelledSeries(series, totals, custom_labels([("tier", "gold")]))
    for one in (series, labelled):
        one.failed("ValueError")
        one.broke("ValueError")
    assert totals.drain().streaks == {"pay": Streak(failures=2, failed_by="ValueError")}
    labelled.succeeded()
    labelled.failed("ValueError")
    labelled.broke("ValueError")
    batch = totals.drain()
    assert batch.streaks == {"pay": Streak(ended_well=True, failures=1, failed_by="ValueError")}
    assert batch.ring == {"pay\x1fsucceeded": 1, "pay\x1ffailed": 1}


def test_streak__of_two_queues_never_counts_one_too_many(totals):
    end(totals.series("pay", "a"), "ff")
    end(totals.series("pay", "b"), "fwf")
    end(totals.series("other", "b"), "ff")  # several tasks under one name: no row of any
    assert totals.drain().streaks == {"pay": Streak(ended_well=True, failures=1, failed_by="ValueError")}
    end(totals.series("pay", "a"), "ff")
    end(totals.series("pay", "b"), "f")
    assert totals.drain().streaks == {"pay": Streak(failures=3, failed_by="ValueError")}


def test_streak__the_run_with_the_most_attempts_is_told(totals):
    series = totals.series("pay", "celery")
    for attempts in (7, 60, 8):
        series.retried()
        series.retries_without_end(attempts, float(attempts), "OSError")
    end(series, "w")
    told = Streak(ended_well=True, attempts=60, again_in_seconds=60.0, retried_by="OSError")
    assert totals.drain().streaks == {"pay": told}
    series.retried()
    series.retries_without_end(9, 1.0, "OSError")
    assert Batch(streaks={"pay": told}).merge(totals.drain()).streaks["pay"].attempts == 60


def test_streak__attempts_end_with_the_run_that_had_them(totals):
    series = totals.series("pay", "celery")

    def tried(attempts, *ended):
        series.retried()
        series.retries_without_end(attempts, 0.0, "OSError")
        for one in ended:
            series.retries_ended(one)
        return totals.drain()

    told = tried(60, 3).streaks["pay"]
    assert (told.attempts, told.attempts_ended) == (60, 3)
    over = tried(60, 61).streaks["pay"]
    assert (over.attempts, over.attempts_ended) == (0, 61)
    assert (told.then(over).attempts, told.then(over).attempts_ended) == (0, 61)
    assert over.then(told).attempts == 60


@pytest.mark.parametrize(
    ("seconds", "cells"),
    [
        (0.0, {"0": 1}),
        (0.005, {"0": 1, "sum": 5_000}),  # an edge belongs to its bucket, as Prometheus' `le` says
        (0.0050001, {"1": 1, "sum": 5_000}),
        (3600.0, {"17": 1, "sum": 3_600_000_000}),
        (3600.1, {"18": 1, "sum": 3_600_100_000}),  # over the last edge
        (-3.0, {"0": 1}),  # the producer's clock is ahead
        (float("nan"), {}),
        (float("inf"), {}),
        (1e300, {}),
    ],
)
@pytest.mark.parametrize("fact", [counters.RUNTIME, counters.QUEUE_WAIT], ids=lambda family: family.name)
def test_totals__durations_fall_into_buckets(totals, fact, seconds, cells):
    getattr(totals.series("pay", "celery"), fact.name)(seconds)
    assert totals.drain().fields == {encode(fact, ("pay", "celery"), part): n for part, n in cells.items()}


def test_totals__series_is_always_the_same_object(totals):
    assert totals.series("a", "q") is totals.series("a", "q")
    assert totals.series("a", "q") is not totals.series("a", "r")


def test_batch__merge_adds_up_and_changes_neither():
    one = Batch(fields={"a": 1, "b": 2}, ring={"r": 1})
    two = Batch(fields={"b": 3, "c": 4})
    assert one.merge(two) == Batch(fields={"a": 1, "b": 5, "c": 4}, ring={"r": 1})
    assert one == Batch(fields={"a": 1, "b": 2}, ring={"r": 1})
    assert one.merge(Batch()) == one
    assert Batch().merge(Batch()).empty


# Caps --------------------------------------------------------------------------------------------------


def by_name(fields, family):
    cells = ((decode(field), amount) for field, amount in fields.items())
    return {cell.labels: amount for cell, amount in cells if cell.family is family}


def test_totals__over_the_cap_names_are_other_and_the_total_stays_right(totals):
    for number in range(admission.MAX_NAMES + 7):
        totals.series(f"task-{number}", "celery").received()
    fields = totals.drain().fields
    received = by_name(fields, counters.RECEIVED)
    assert len(received) == admission.MAX_NAMES + 1
    assert received[("other", "celery")] == 7
    assert sum(received.values()) == admission.MAX_NAMES + 7
    assert by_name(fields, counters.LABEL_OVERFLOW) == {("name",): 7}


def test_totals__over_the_cap_exceptions_are_other(totals):
    series = totals.series("pay", "celery")
    for number in range(admission.MAX_EXCEPTIONS + 3):
        series.failed(f"Error{number}")
        series.failed(f"Error{number}")
    fields = totals.drain().fields
    failed = by_name(fields, counters.FAILED)
    assert len(failed) == admission.MAX_EXCEPTIONS + 1
    assert failed[("pay", "celery", "other")] == 6
    assert by_name(fields, counters.LABEL_OVERFLOW) == {("exception",): 6}


def test_totals__a_flood_of_unknown_names_does_not_push_out_real_ones(totals):
    for number in range(2_000):
        totals.unknown(f"random-{number}")
    totals.series("pay", "celery").received()
    fields = totals.drain().fields
    assert len(by_name(fields, counters.UNKNOWN)) == admission.MAX_UNKNOWN + 1
    assert sum(by_name(fields, counters.UNKNOWN).values()) == 2_000
    assert by_name(fields, counters.RECEIVED) == {("pay", "celery"): 1}


def test_totals__pairs_of_name_and_queue_are_capped(totals):
    names, queues = 50, module.MAX_SERIES // 50 + 2
    for name in range(names):
        for queue in range(queues):
            totals.series(f"t{name}", f"q{queue}").received()
    received = by_name(totals.drain().fields, counters.RECEIVED)
    assert len(received) == module.MAX_SERIES + 1
    assert received[("other", "other")] == names * queues - module.MAX_SERIES
    assert sum(received.values()) == names * queues


def test_totals__names_that_no_field_can_hold_are_cleaned(totals):
    totals.series("a\x1fb\nc\ud800", "q\x1e").received()
    totals.series("x" * 10_000, "q").received()
    assert by_name(totals.drain().fields, counters.RECEIVED) == {("a?b?c?", "q?"): 1, ("x" * 500, "q"): 1}


def test_totals__names_end_where_they_end_everywhere():
    """Cut at another length, the runs, the letters and the schedule of one task are those of two."""
    lengths = {
        counters.MAX_NAME_LENGTH,
        entries.MAX_NAME,
        envelope.MAX_TEXT,
        read_fields.MAX_NAME_LENGTH,
        held.MAX_NAME,
        readings.MAX_NAME_LENGTH,
    }
    assert lengths == {500}


# Threads and forks -------------------------------------------------------------------------------------


@pytest.fixture
def frantic_switching():
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


def test_totals__exact_under_eight_threads_and_drains_in_between(totals, frantic_switching):
    rounds, writers = 4_000, 8
    running = threading.Event()
    running.set()
    batches = []

    def count(number):
        series = totals.series("pay", "celery")
        for turn in range(rounds):
            series.received()
            series.started()
            series.queue_wait(0.02)
            series.failed(f"Error{(number + turn) % 5}")
            series.runtime(0.3)
            totals.unknown("pya")
            totals.sent("pay", f"queue-{number}")

    def drain():
        while running.is_set():
            batches.append(totals.drain())

    threads = [threading.Thread(target=count, args=(number,)) for number in range(writers)]
    drainer = threading.Thread(target=drain)
    drainer.start()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    running.clear()
    drainer.join()
    whole = Batch()
    for batch in [*batches, totals.drain()]:
        whole = whole.merge(batch)

    everything, task = rounds * writers, ("pay", "celery")
    assert len(batches) > 10
    assert whole.fields == {
        counter(counters.RECEIVED, *task): everything,
        counter(counters.STARTED, *task): everything,
        **{counter(counters.FAILED, *task, f"Error{number}"): everything // 5 for number in range(5)},
        encode(counters.QUEUE_WAIT, task, 2): everything,
        encode(counters.QUEUE_WAIT, task, "sum"): everything * 20_000,
        encode(counters.RUNTIME, task, 6): everything,
        encode(counters.RUNTIME, task, "sum"): everything * 300_000,
        counter(counters.UNKNOWN, "pya"): everything,
        **{counter(counters.SENT, "pay", f"queue-{number}"): rounds for number in range(writers)},
    }


def test_streak__exact_under_eight_threads_and_drains_in_between(totals, frantic_switching):
    rounds, writers = 4_000, 8
    running = threading.Event()
    running.set()
    batches = []
    series = totals.series("pay", "celery")
    end(series, "fw")

    def fail():
        for _ in range(rounds):
            series.failed("ValueError")
            series.broke("ValueError")

    def drain():
        while running.is_set():
            batches.append(totals.drain())

    threads = [threading.Thread(target=fail) for _ in range(writers)]
    drainer = threading.Thread(target=drain)
    drainer.start()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    running.clear()
    drainer.join()
    whole = Batch()
    for batch in [*batches, totals.drain()]:
        whole = whole.merge(batch)
    assert len(batches) > 10
    assert whole.streaks == {
        "pay": Streak(ended_well=True, failures=rounds * writers, failed_by="ValueError")
    }


@pytest.mark.parametrize(
    "method",
    [
        "received",
        "started",
        "succeeded",
        "failed",
        "retried",
        "rejected",
        "revoked",
        "sent",
        "runtime",
        "queue_wait",
        "expired",
        "killed",
        "redelivered",
        "turned_down",
        "expected",
        "ignored",
        "proved",
    ],
)
def test_series__nothing_can_come_between_load_and_store(method):
    """Every ``self._cells[...] += ...`` runs without a point at which threads could switch."""
    additions, loaded = 0, False
    for instruction in dis.get_instructions(getattr(TaskSeries, method)):
        if instruction.argval in ("_cells", "_failures"):
            loaded = True
        elif instruction.opname == "STORE_SUBSCR":
            assert loaded
            additions, loaded = additions + 1, False
        elif instruction.opname in ("CONTAINS_OP", "POP_TOP"):
            loaded = False
        elif loaded:
            assert not instruction.opname.startswith(("CALL", "PRECALL", "JUMP_BACKWARD", "RESUME"))
    assert additions == (2 if method in ("runtime", "queue_wait") else 1)
    assert not loaded


@pytest.mark.parametrize("method", ["broke", "retried_in_vain"])
def test_series__a_streak_is_one_straight_way_from_load_to_store(method):
    loaded = stored = False
    for instruction in dis.get_instructions(getattr(TaskSeries, method)):
        if instruction.argval == "_cells":
            assert not loaded, "a second load may find another list"
            loaded = True
        if loaded:
            assert not instruction.opname.startswith(("CALL", "PRECALL", "JUMP_BACKWARD", "RESUME"))
            stored = stored or instruction.opname == "STORE_SUBSCR"
    assert stored


def test_series__nothing_can_come_between_taking_and_replacing():
    opnames = [
        instruction.opname if instruction.argval not in ("_cells", "_failures") else instruction.argval
        for instruction in dis.get_instructions(TaskSeries._take)
    ]
    # The last four mentions are load and store of each.
    mentions = [index for index, name in enumerate(opnames) if name in ("_cells", "_failures")][-4:]
    assert [opnames[index] for index in mentions] == ["_cells", "_cells", "_failures", "_failures"]
    assert not any(name.startswith(("CALL", "JUMP_BACK")) for name in opnames[mentions[0] : mentions[3]])


def test_totals__a_child_process_does_not_hand_on_what_its_parent_counted(totals):
    totals.series("pay", "celery").received()
    totals.unknown("pya")
    read, write = os.pipe()
    with totals._admission.lock:  # held by a thread that the child does not have
        child = os.fork()
        if child == 0:
            status = 1
            try:
                inherited = totals.drain()
                totals.series("pay", "celery").received()
                own = totals.drain()
                os.write(write, repr((inherited.empty, dict(own.fields))).encode())
                status = 0
            finally:
                os._exit(status)
    assert os.waitpid(child, 0)[1] == 0
    os.close(write)
    with os.fdopen(read) as pipe:
        assert pipe.read() == repr((True, {"received\x1fpay\x1fcelery": 1}))
    assert totals.drain().fields == {"received\x1fpay\x1fcelery": 1, "unknown\x1fpya": 1}


# Cost --------------------------------------------------------------------------------------------------


#: In a process of its own: threads that other tests left in this one count too, and allocate as they please.
COST = """
import gc, json, tracemalloc
from celery_health.reporting.totals import Totals

totals = Totals()

def many(times):
    for _ in range(times):
        series = totals.series("shop.pay", "celery")
        series.received()
        series.started()
        series.queue_wait(0.0123)
        series.succeeded()
        series.runtime(0.4)
        series.failed("ValueError")

many(2_000)
totals.drain()
many(2_000)  # leave the small integers that the interpreter keeps anyway
gc.collect()
gc.disable()
tracemalloc.start()
before, tracked = tracemalloc.take_snapshot(), len(gc.get_objects())
many(10_000)
objects = len(gc.get_objects()) - tracked
ours = tracemalloc.Filter(True, "*/celery_health/*")
after = tracemalloc.take_snapshot()
grown = after.filter_traces([ours]).compare_to(before.filter_traces([ours]), "lineno")
print(json.dumps({
    "blocks": sum(max(0, line.count_diff) for line in grown),
    "bytes": sum(line.size_diff for line in grown),
    "objects": objects,
}))
"""


def test_totals__allocate_nothing_once_warm():
    ran = subprocess.run(
        [sys.executable, "-c", COST], capture_output=True, text=True, check=True, timeout=120
    )
    grown = json.loads(ran.stdout)
    # Each of the counters is one integer that replaced another; nothing grows with the 10,000.
    assert grown["blocks"] <= 50, grown
    assert grown["bytes"] < 4_000, grown
    assert grown["objects"] <= 1, grown  # the list of the objects themselves
