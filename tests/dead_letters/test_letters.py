"""Sizes, pages, filters, requeue and purge, on both brokers."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest
from celery import Celery

from celery_health import dead_letters
from celery_health.dead_letters.capture import Failure
from celery_health.dead_letters.letters import search
from celery_health.dead_letters.records import Cause, Filter
from celery_health.deadline import Deadline
from celery_health.exceptions import BrokerError, LetterNotFoundError, NotConsumedError
from tests.dead_letters.conftest import BOOM, Post
from tests.support import eventually

VALUE_ERROR = Failure(cause=Cause.EXCEPTION, exception="ValueError", message="no", traceback=None)


def test_sizes__of_all_queues(post: Post) -> None:
    post.letter("celery")
    post.letter("celery")

    assert dead_letters.sizes()["celery"] == 2


def test_sizes__zero_is_a_value(post: Post) -> None:
    assert dead_letters.sizes() == {"celery": 0}


def test_entries__say_why(post: Post) -> None:
    before = time.time()
    task_id = post.letter("celery", task="shop.pay", args=[1], kwargs={"a": 2})

    page = dead_letters.entries("celery")

    assert (page.size, page.offset, page.looked_at, page.more, page.complete) == (1, 0, 1, False, True)
    (letter,) = page.letters
    assert letter.task_id == task_id
    assert letter.task_name == "shop.pay"
    assert letter.cause is Cause.EXCEPTION
    assert (letter.exception, letter.message) == ("Boom", "failed as told")
    assert letter.traceback == BOOM.traceback
    assert letter.failed_at is not None
    assert before <= letter.failed_at <= time.time()
    assert letter.first_failed_at == letter.failed_at
    assert (letter.worker, letter.attempts, letter.queue) == ("w1@test", 1, "celery")
    assert letter.size_bytes > 0
    assert (letter.args, letter.kwargs) == (None, None)


def test_entries__arguments_where_allowed(post: Post, settings: Any) -> None:
    settings.CELERY_HEALTH = {**settings.CELERY_HEALTH, "SHOW_ARGUMENTS": True}
    post.letter("celery", args=[1, "two"], kwargs={"password": "secret", "n": 3})

    (letter,) = dead_letters.entries("celery").letters

    # Nobody here knows what they are called: one of them may be a password.
    assert letter.args == "['**', '**']"
    assert letter.kwargs == "{'password': '**', 'n': 3}"


def test_entries__positional_arguments_have_the_names_of_their_task(
    post: Post, settings: Any, current_app: Celery
) -> None:
    settings.CELERY_HEALTH = {**settings.CELERY_HEALTH, "SHOW_ARGUMENTS": True}
    post.letter("celery", args=[1, "two"])
    (letter,) = dead_letters.entries("celery").letters
    assert letter.task_name is not None

    @current_app.task(name=letter.task_name, shared=False)
    def known(number: int, token: str) -> None: ...

    (letter,) = dead_letters.entries("celery").letters
    assert letter.args == "[1, '**']"


def test_entries__oldest_first_and_paged(post: Post) -> None:
    ids = [post.letter("celery") for _ in range(5)]

    first = dead_letters.entries("celery", limit=2)
    second = dead_letters.entries("celery", limit=2, offset=2)
    last = dead_letters.entries("celery", limit=2, offset=4)

    assert [letter.task_id for letter in first.letters] == ids[:2]
    assert [letter.task_id for letter in second.letters] == ids[2:4]
    assert [letter.task_id for letter in last.letters] == ids[4:]
    assert [page.more for page in (first, second, last)] == [True, True, False]


def test_entries__filtered(post: Post) -> None:
    post.letter("celery", task="shop.pay")
    pay_value = post.letter("celery", task="shop.pay", failure=VALUE_ERROR)
    ship = post.letter("celery", task="shop.ship")
    late = dead_letters.entries("celery").letters[2].failed_at

    def ids(**chosen: Any) -> list[str | None]:
        return [x.task_id for x in dead_letters.entries("celery", where=Filter(**chosen)).letters]

    assert len(ids(task="shop.pay")) == 2
    assert ids(task="shop.pay", exception="ValueError") == [pay_value]
    assert ids(since=late) == [ship]
    assert len(ids(until=late)) == 2
    assert ids(task="nothing") == []


def test_entries__change_nothing(post: Post) -> None:
    ids = [post.letter("celery") for _ in range(3)]

    for _ in range(2):
        assert [letter.task_id for letter in dead_letters.entries("celery").letters] == ids
    assert dead_letters.sizes()["celery"] == 3


def test_entries__of_a_queue_without_any(post: Post) -> None:
    page = dead_letters.entries("nothing")

    assert (page.size, page.letters, page.complete) == (0, (), True)


def test_entries__bad_limits(post: Post) -> None:
    with pytest.raises(ValueError, match="limit is 0: give a whole number from 1 to 10000"):
        dead_letters.entries("celery", limit=0)
    with pytest.raises(ValueError, match="offset is -1"):
        dead_letters.entries("celery", offset=-1)


def test_entry__by_its_own_id_and_its_tasks(post: Post) -> None:
    post.letter("celery")
    task_id = post.letter("celery")
    letter = dead_letters.entry("celery", task_id)

    assert letter.task_id == task_id
    assert dead_letters.entry("celery", letter.id) == letter
    assert dead_letters.entry("celery.dead", letter.id) == letter
    with pytest.raises(LetterNotFoundError, match="No dead letter of queue 'celery' has the id 'x'"):
        dead_letters.entry("celery", "x")


def test_purge__counts(post: Post) -> None:
    for _ in range(3):
        post.letter("celery")

    assert dead_letters.purge("celery") == 3
    assert dead_letters.purge("celery") == 0
    assert dead_letters.purge("nothing") == 0
    assert dead_letters.sizes()["celery"] == 0


@pytest.mark.smoke
def test_requeue__runs_as_it_was_published(post: Post, recorded: Callable[..., Any]) -> None:
    """Same id, arguments, headers, priority and queue."""
    options = {"priority": 4, "headers": {"x-trace": "abc", "x-number": 7}}
    task_id = post.letter("emails", args=[1, "ü"], kwargs={"a": [1, 2]}, **options)
    read = recorded(queues=["emails"])
    eventually(lambda: dead_letters.requeue("emails", dry_run=True).requeued == 1)

    done = eventually_requeue("emails")

    assert (done.requeued, done.remaining, done.finished, done.complete) == (1, 0, True, True)
    (run,) = eventually(read)
    assert (run["id"], run["args"], run["kwargs"]) == (task_id, [1, "ü"], {"a": [1, 2]})
    assert run["headers"]["x-trace"] == "abc"
    assert run["headers"]["x-number"] == 7
    assert (run["priority"], run["routing_key"], run["retries"]) == (4, "emails", 0)
    assert post.ready("emails") == 0


def eventually_requeue(queue: str, **options: Any) -> dead_letters.Requeued:
    """Requeue as soon as it is seen that somebody consumes the queue."""

    def attempt() -> Any:
        try:
            return dead_letters.requeue(queue, **options)
        except NotConsumedError as error:
            raise AssertionError(str(error)) from error

    done: dead_letters.Requeued = eventually(attempt, timeout=20, interval=0.2)
    return done


def test_requeue__message_is_the_same_but_for_our_headers(post: Post) -> None:
    post.publish("celery", args=[1], kwargs={"a": 2}, priority=3, headers={"x": "y"}, expires=3600)
    original = post.take("celery")
    post.publish("celery", args=[1], kwargs={"a": 2}, priority=3, headers={"x": "y"}, expires=3600)
    post.bury("celery")
    before = time.time()

    dead_letters.requeue("celery", force=True)
    again = post.take("celery")

    assert again.body == original.body
    assert (again.content_type, again.content_encoding) == (original.content_type, original.content_encoding)
    ours = {"celery_health_published_at", "celery_health_requeued"}
    varying = {"id", "root_id", "expires", "celery_health_published_at", "stamped_headers", "stamps"}
    assert {k: v for k, v in again.headers.items() if k not in ours | varying} == {
        k: v for k, v in original.headers.items() if k not in varying
    }
    assert again.headers["celery_health_published_at"] >= before
    assert again.properties["priority"] == 3
    assert again.properties.get("expiration") == original.properties.get("expiration")
    assert again.properties["delivery_mode"] == 2
    assert dead_letters.sizes()["celery"] == 0


def test_requeue__attempts_travel_along(post: Post) -> None:
    post.letter("celery")
    for attempts in (1, 2, 3):
        (letter,) = dead_letters.entries("celery").letters
        assert letter.attempts == attempts
        dead_letters.requeue("celery", force=True)
        post.bury("celery")
    first, last = letter.first_failed_at, letter.failed_at
    assert first is not None
    assert last is not None
    assert first < last


def test_requeue__one_some_or_all(post: Post) -> None:
    ids = [post.letter("celery") for _ in range(5)]
    third = dead_letters.entries("celery").letters[2].id

    assert dead_letters.requeue("celery", third, force=True).requeued == 1
    done = dead_letters.requeue("celery", [ids[0], "unknown"], force=True)
    assert (done.requeued, done.not_found) == (1, ("unknown",))
    assert dead_letters.requeue("celery", [], force=True).requeued == 0
    assert dead_letters.requeue("celery", limit=1, force=True).requeued == 1
    assert [letter.task_id for letter in dead_letters.entries("celery").letters] == ids[3:]
    assert dead_letters.requeue("celery", force=True).requeued == 2
    assert post.ready("celery") == 5
    assert {post.take("celery").headers["id"] for _ in ids} == set(ids)


def test_requeue__filtered(post: Post) -> None:
    post.letter("celery", task="shop.pay")
    ship = post.letter("celery", task="shop.ship")
    post.letter("celery", task="shop.pay")

    done = dead_letters.requeue("celery", where=Filter(task="shop.pay"), force=True)

    assert (done.requeued, done.remaining, done.looked_at) == (2, 1, 3)
    assert [letter.task_id for letter in dead_letters.entries("celery").letters] == [ship]


def test_requeue__dry_run_changes_nothing(post: Post) -> None:
    for _ in range(3):
        post.letter("celery")

    done = dead_letters.requeue("celery", dry_run=True, limit=2)

    assert (done.requeued, done.remaining, done.finished, done.dry_run) == (2, 3, False, True)
    assert dead_letters.sizes()["celery"] == 3
    assert post.ready("celery") == 0


def test_requeue__refuses_where_nobody_consumes(post: Post) -> None:
    post.letter("celery")

    with pytest.raises(NotConsumedError, match=r"queue 'celery': what is sent there would wait.*-Q celery"):
        dead_letters.requeue("celery")

    assert dead_letters.sizes()["celery"] == 1
    assert post.ready("celery") == 0


def test_requeue__expired_ones_stay_unless_forced(post: Post) -> None:
    task_id = post.letter("celery", expires=2)  # RabbitMQ itself drops it from its queue then
    eventually(lambda: dead_letters.requeue("celery", dry_run=True).expired == 1)

    done = dead_letters.requeue("celery", force=True)

    assert (done.requeued, done.expired) == (1, 0)
    again = post.take("celery")
    assert again.headers["id"] == task_id
    assert again.headers["expires"] is None


def test_requeue__keeps_to_a_rate(post: Post) -> None:
    for _ in range(4):
        post.letter("celery")
    started = time.monotonic()

    dead_letters.requeue("celery", rate=10, force=True)

    assert time.monotonic() - started >= 0.3


def test_requeue__ends_with_its_time(post: Post) -> None:
    for _ in range(4):
        post.letter("celery")

    done = dead_letters.requeue("celery", rate=2, timeout=0.6, force=True)

    assert 1 <= done.requeued < 4
    assert done.finished is False
    assert done.remaining == 4 - done.requeued


@pytest.mark.parametrize("rate", [0.01, 1.0])
def test_requeue__waits_for_no_letter_beyond_its_time(post: Post, rate: float) -> None:
    ids = [post.letter("celery") for _ in range(3)]
    started = time.monotonic()

    done = dead_letters.requeue("celery", rate=rate, timeout=0.9, force=True)

    # The second letter's turn would come after one second, or a hundred.
    assert time.monotonic() - started < 0.9
    assert (done.requeued, done.remaining, done.looked_at) == (1, 2, 1)
    assert (done.finished, done.timed_out) == (False, True)
    assert [letter.task_id for letter in dead_letters.entries("celery").letters] == ids[1:]


def test_requeue__of_few_among_many_waits_for_none(post: Post) -> None:
    """A rate holds for what is sent, not for what is looked at."""
    ids = [post.letter("celery") for _ in range(4)]

    done = dead_letters.requeue("celery", ids[3], rate=0.01, timeout=5, force=True)

    assert (done.requeued, done.finished, done.timed_out, done.looked_at) == (1, True, False, 4)


@pytest.mark.parametrize("option", ["limit", "rate", "timeout"])
def test_requeue__bad_numbers(post: Post, option: str) -> None:
    with pytest.raises(ValueError, match=f"{option} is 0: give a number over 0, or None"):
        dead_letters.requeue("celery", **{option: 0})  # type: ignore[arg-type]


def test_requeue__queue_that_does_not_exist_any_more(post: Post) -> None:
    """RabbitMQ would drop what is published to it without a word; Redis makes the queue."""
    post.publish("celery.dead")
    if "redis" in str(post.app.conf.broker_url):
        assert dead_letters.requeue("celery", force=True).requeued == 1
        return

    with pytest.raises(BrokerError, match="Queue 'celery' does not exist. Start a worker that consumes it"):
        dead_letters.requeue("celery", force=True)

    assert dead_letters.entries("celery").size == 1


def test_requeue__new_letters_are_not_looked_at(post: Post) -> None:
    """What fails again at once comes in at the other end: the call must end all the same."""
    for _ in range(3):
        post.letter("celery")
    looked = []

    def visit(stored: Any) -> None:
        looked.append(stored)
        post.letter("celery")

    walk = post.box.walk("celery", visit, lambda: Deadline.after(10))

    assert (len(looked), walk.size, walk.shown) == (3, 3, 3)


# Searching


def test_search__by_the_beginning_of_a_letters_or_its_tasks_id(post: Post) -> None:
    first, other = post.letter("celery"), post.letter("emails")
    (letter,) = dead_letters.entries("emails").letters

    for prefix in (other, other[:8].upper(), letter.id, letter.id[:8]):
        looked = search(prefix, ["celery", "emails", "empty"], Deadline.after(10))
        assert [(found.queue, found.id) for found in looked.letters] == [("emails", letter.id)]
        assert not looked.unread
    assert [found.task_id for found in search(first, ["emails"], Deadline.after(10)).letters] == []
    # It only looked.
    assert (dead_letters.sizes()["celery"], dead_letters.entries("emails").size) == (1, 1)


def test_search__stops_at_what_was_asked_for(post: Post) -> None:
    for _ in range(4):
        post.letter("celery")

    assert len(search("", ["celery"], Deadline.after(10), most=3).letters) == 3


def test_search__says_what_it_had_no_time_for(post: Post) -> None:
    post.letter("celery")

    looked = search("7b6d1a52", ["celery", "emails"], Deadline.after(0))

    assert looked.letters == ()
    assert list(looked.unread) == ["celery", "emails"]
    assert all(looked.unread.values())


def test_search__where_the_broker_is_away(post: Post, current_app: Celery) -> None:
    current_app.conf.broker_url = "redis://127.0.0.1:1/0"

    looked = search("7b6d1a52", ["celery"], Deadline.after(10))

    assert looked.letters == () and looked.unread["celery"]
