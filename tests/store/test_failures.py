"""When the store cannot answer: in time, in words that help, and without a password in them."""

import json
import os
import signal
import time

import pytest
import redis

from celery_health.deadline import Deadline
from celery_health.exceptions import StoreError
from celery_health.store.keys import COMMANDS
from tests.store.conftest import Writer, read
from tests.support import eventually, free_port, unanswered_port


def timed(call):
    """Return the error of `call` and the seconds it took."""
    started = time.monotonic()
    with pytest.raises(StoreError) as raised:
        call()
    return str(raised.value), time.monotonic() - started


def test_refused__says_so_at_once(open_store_at):
    store = open_store_at(f"redis://:s3cr3t-word@127.0.0.1:{free_port()}/0")
    for call in (Writer(store).publish, lambda: read(store)):
        error, seconds = timed(call)
        assert "refused" in error
        assert "s3cr3t-word" not in error
        assert seconds < 1


def test_hung_server__the_writer_gives_up_soon_and_the_reader_at_its_deadline(open_store_at, own_redis):
    server = own_redis()
    store, fresh = open_store_at(server.url), open_store_at(server.url)
    Writer(store).publish({"a": 1})
    server.pause()
    try:
        for one in (store, fresh):  # an open connection, and a new one
            error, seconds = timed(Writer(one).publish)
            assert "did not take the call" in error
            assert seconds < 1.2
            error, seconds = timed(lambda one=one: one.read(Deadline.after(0.6)))
            assert seconds < 0.9
    finally:
        server.resume()
    Writer(store).publish({"b": 1})
    assert read(store).totals["b"] == 1


def test_paused__is_said_to_keep_waiting_and_not_once_it_is_away(open_store_at, own_redis):
    server = own_redis()
    store = open_store_at(server.url)
    Writer(store).publish({"a": 1})
    with redis.Redis(port=server.port) as client:
        client.execute_command("CLIENT", "PAUSE", "60000", "WRITE")
        for one in (store, open_store_at(server.url)):
            error, _ = timed(lambda one=one: one.read(Deadline.after(0.6)))
            assert error.endswith("writes are kept waiting (CLIENT PAUSE), or it is busy.")
        client.shutdown(nosave=True)
    error, _ = timed(lambda: store.read(Deadline.after(0.6)))
    assert "did not take the call" in error


def test_unreachable__nobody_takes_the_connection(open_store_at):
    with unanswered_port() as port:
        store = open_store_at(f"redis://127.0.0.1:{port}/0")
        _, seconds = timed(Writer(store).publish)
        assert seconds < 1.2
        _, seconds = timed(lambda: store.read(Deadline.after(0.5)))
        assert seconds < 0.8


def test_forgotten_flow__the_reader_opens_a_new_one_within_its_deadline(
    open_store_at, redis_server, redis_url, proxy
):
    between = proxy(redis_server.port)
    store = open_store_at(between.url(redis_url))
    Writer(store).publish({"a": 1})
    between.forget_flows()
    started = time.monotonic()
    assert store.read(Deadline.after(1), totals=True).totals == {"a": 1}
    assert time.monotonic() - started < 0.9


def test_restarted_server__the_next_call_works(open_store_at, own_redis):
    server = own_redis()
    store = open_store_at(server.url)
    Writer(store).publish({"a": 1})
    server.restart()
    assert Writer(store).publish({"a": 1}).sequence == 1
    assert read(store).totals == {"a": 1}


def test_expired_deadline__is_a_store_error(store):
    error, seconds = timed(lambda: store.read(Deadline.after(0)))
    assert "did not take the call" in error
    assert seconds < 0.1


def test_wrong_password__is_named_and_masked(open_store_at, own_redis):
    server = own_redis(password="right-password")
    error, _ = timed(Writer(open_store_at(server.url_for(password="wrong-password"))).publish)
    assert "WRONGPASS" in error or "invalid" in error.lower()
    assert "wrong-password" not in error
    assert Writer(open_store_at(server.url)).publish({"a": 1}).sequence == 1


# Scripts -----------------------------------------------------------------------------------------------


def test_script_flush__the_server_is_handed_the_script_again(store, redis_client):
    writer = Writer(store)
    writer.publish({"a": 1})
    redis_client.script_flush()
    writer.publish({"a": 1})
    assert read(store).totals == {"a": 2}
    redis_client.script_flush()
    assert read(store).totals == {"a": 2}


def test_acl__a_user_of_our_keys_alone_is_enough(open_store_at, own_redis):
    commands = " ".join(f"+{command}" for command in COMMANDS)
    server = own_redis(acl=[f"monitor on >a-password ~celery_health:* {commands}"])
    store = open_store_at(server.url_for(user="monitor", password="a-password"))
    writer = Writer(store, kind="worker", name="w1@host")
    for turn in range(2):
        writer.publish(
            {"a": 1}, ring={"p\x1fsent": 1}, record={"turn": turn}, registered=("f", ("p",)), consumed=("q",)
        )
    writer.publish(kind="beat", name="beat@host", record={})
    writer.publish({"failed\x1fp\x1fq\x1fE": 1}, ring={"p\x1ffailed": 1})
    reading = read(store, ring_minutes=2)
    assert reading.totals == {"a": 2, "failed\x1fp\x1fq\x1fE": 1}
    assert reading.registered == {"f": ("p",)}
    minutes = store.minutes(0, (), Deadline.after(5)).minutes.values()
    assert [dict(minute.exceptions) for minute in minutes if minute.exceptions] == [{("p", "E"): 1}]
    assert store.reset_if_behind(reading.epoch, reading.version + 1, Deadline.after(5)) > reading.epoch


@pytest.mark.parametrize(
    "rights",
    [
        "~celery_health:* +@all -@scripting",  # no scripts
        "~celery_health:* +@all -hincrby",  # a command that the script needs
        "~other:* +@all",  # other keys only
    ],
)
def test_acl__what_is_missing_is_named(open_store_at, own_redis, rights):
    server = own_redis(acl=[f"monitor on >a-password {rights}"])
    store = open_store_at(server.url_for(user="monitor", password="a-password"))
    error, _ = timed(lambda: Writer(store).publish({"a": 1}))
    assert "does not let its user run celery_health's scripts" in error
    assert "ACL SETUSER <user> ~celery_health:shop:* +eval +evalsha" in error
    assert "a-password" not in error


def test_full_server__the_batch_is_kept_and_applied_when_there_is_room(open_store_at, own_redis):
    server = own_redis()
    store = open_store_at(server.url)
    writer = Writer(store)
    writer.publish({"a": 1})
    with redis.Redis.from_url(server.url) as client:
        client.config_set("maxmemory", "1")
        writer.prepare({"a": 10})
        error, _ = timed(writer.send)
        assert "OOM" in error or "maxmemory" in error
        assert read(store).totals == {"a": 1}  # reading still works
        client.config_set("maxmemory", "0")
    writer.send()
    assert read(store).totals == {"a": 11}


def test_foreign_totals__are_named_with_the_way_out(store, redis_client):
    redis_client.set(store.keys.totals, "a text")
    error, _ = timed(Writer(store).publish)
    assert "celery_health:shop:*" in error
    assert "STORE_PREFIX" in error
    assert "WRONGTYPE" in error
    assert redis_client.get(store.keys.totals) == b"a text"


def test_record__that_json_cannot_hold_is_told_by_its_text(store):
    Writer(store, kind="worker", name="w\udce9@host").publish(record={"odd": {1: object}, "half": "\ud83d"})
    (worker,) = read(store).workers
    assert worker.name == "w?@host"
    assert worker.record == {"odd": {"1": str(object)}, "half": "\ud83d"}


# Processes ---------------------------------------------------------------------------------------------


def test_fork__parent_and_child_each_have_a_connection(store, redis_client):
    writer = Writer(store)
    writer.publish({"parent": 1})
    read_end, write_end = os.pipe()
    child = os.fork()
    if child == 0:
        status = 1
        try:
            Writer(store).publish({"child": 1})
            os.write(write_end, json.dumps(dict(read(store).totals)).encode())
            store.close()
            status = 0
        finally:
            os._exit(status)
    os.close(write_end)
    with os.fdopen(read_end) as pipe:
        assert json.loads(pipe.read()) == {"parent": 1, "child": 1}
    assert os.waitpid(child, 0)[1] == 0
    before = {client["id"] for client in redis_client.client_list()}
    writer.publish({"parent": 1})
    assert read(store).totals == {"parent": 2, "child": 1}
    assert {client["id"] for client in redis_client.client_list()} == before  # its own, still open


def test_close__leaves_no_connection_and_the_next_call_opens_one(store, redis_client):
    def connections():
        return {client["id"] for client in redis_client.client_list()}

    before = connections()
    Writer(store).publish({"a": 1})
    (ours,) = connections() - before
    store.close()
    eventually(lambda: ours not in connections())
    assert read(store).totals == {"a": 1}


def test_interrupted_call__a_late_reply_is_not_taken_for_the_next(
    open_store_at, redis_server, redis_url, proxy
):
    between = proxy(redis_server.port)
    store = open_store_at(between.url(redis_url))
    Writer(store).publish({"a": 1})

    def interrupt(*_):
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGALRM, interrupt)
    between.delay(0.3)
    signal.setitimer(signal.ITIMER_REAL, 0.1)
    try:
        with pytest.raises(KeyboardInterrupt):
            store.read(Deadline.after(2))
    finally:
        signal.signal(signal.SIGALRM, before)
        between.delay(0)
    assert Writer(store).publish({"b": 1}).sequence == 1
    assert read(store).totals == {"a": 1, "b": 1}
