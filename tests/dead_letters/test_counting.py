"""What the verdict and the metrics know of dead letters."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest
from celery import Celery

from celery_health import MonitoredTask, get_report
from celery_health.conf import get_settings
from celery_health.dead_letters.counting import LetterCount
from celery_health.deadline import Deadline
from celery_health.metrics.gauges import facts_of
from celery_health.reading import get_snapshot
from celery_health.records import CheckResult, CheckStatus, LettersLack
from tests.dead_letters.conftest import Post
from tests.support import eventually, unanswered_port

ON = {"DEAD_LETTERS": {"enabled": True}}


class Counted:
    """A count, and the box that it asks."""

    def __init__(self, app: Celery) -> None:
        self.count = LetterCount(app, get_settings())
        self.box: Any = self.count.open()

    def read(self, queues: list[str], deadline: Deadline) -> Mapping[str, int | None] | None:
        return self.count.keep(self.count.read(self.box, queues, deadline))


@pytest.fixture
def count_of() -> Iterator[Callable[[Celery], Counted]]:
    """Count the letters of apps: ``count_of(app)``."""
    made: list[Counted] = []

    def count(app: Celery) -> Counted:
        made.append(Counted(app))
        return made[-1]

    yield count
    for one in made:
        if one.box is not None:
            one.box.close()


@pytest.fixture
def counted(post: Post, settings: Any, count_of: Callable[[Celery], Counted]) -> Counted:
    """A count of what `post` writes, dead letters being on."""
    settings.CELERY_HEALTH = {**settings.CELERY_HEALTH, **ON}
    return count_of(post.app)


def soon() -> Deadline:
    return Deadline.after(10)


def check() -> list[CheckResult]:
    return [result for result in get_report().checks if result.id == "dead_letters.size"]


def test_count__of_those_that_have_some(counted: Counted, post: Post) -> None:
    assert counted.read(["emails", "celery"], soon()) == {}
    post.letter("celery")

    def read() -> object:
        counted.box._missing = {}  # RabbitMQ is not asked again within a minute
        return counted.read(["emails", "celery"], soon())

    eventually(lambda: read() == {"celery": 1})
    post.box.purge("celery", soon())
    assert counted.read(["emails", "celery"], soon()) in ({}, {"celery": 0})


def test_count__off(current_app: Celery, count_of: Callable[[Celery], Counted]) -> None:
    counted = count_of(current_app)

    assert counted.read(["celery"], soon()) is None
    assert counted.count.unknown() is None


def test_count__on_by_one_task(current_app: Celery, count_of: Callable[[Celery], Counted]) -> None:
    from celery_health import monitor_task

    @current_app.task(name="precious", shared=False)
    @monitor_task(dead_letter=True)
    def precious() -> None: ...

    current_app.finalize()

    assert count_of(current_app).read(["celery"], soon()) == {}


def test_count__broker_away_is_unknown(
    make_app: Any, settings: Any, count_of: Callable[[Celery], Counted]
) -> None:
    settings.CELERY_HEALTH = ON
    with unanswered_port() as port:
        counted = count_of(make_app(f"redis://127.0.0.1:{port}/0"))
        assert counted.read(["celery"], Deadline.after(0.2)) == {"celery": None}


def test_count__transport_that_keeps_none(
    make_app: Any, settings: Any, count_of: Callable[[Celery], Counted]
) -> None:
    settings.CELERY_HEALTH = ON
    counted = count_of(make_app("memory://"))

    assert counted.box is None
    assert counted.read(["celery"], soon()) is None
    assert counted.count.lack(None) is LettersLack.UNSUPPORTED


def test_count__one_task_on_a_transport_that_keeps_none(
    make_app: Any, count_of: Callable[[Celery], Counted]
) -> None:
    app = make_app("memory://")
    off = count_of(app).count

    assert off.lack(None) is LettersLack.OFF

    @app.task(name="kept", base=MonitoredTask, dead_letter=True)
    def kept() -> None: ...

    app.finalize()
    counted = count_of(app)
    assert counted.read(["celery"], soon()) is None
    assert counted.count.lack(None) is LettersLack.UNSUPPORTED


def test_count__says_nothing_of_a_cause_before_it_has_asked(make_app: Any, settings: Any) -> None:
    settings.CELERY_HEALTH = ON
    count = LetterCount(make_app("memory://"), get_settings())

    assert count.lack(None) is None
    assert count.lack({"celery": None}) is None


def test_verdict__over_the_limit(post: Post, settings: Any) -> None:
    settings.CELERY_HEALTH = {**settings.CELERY_HEALTH, **ON, "LIMITS": {"dead_letters": 1}}
    for _ in range(2):
        post.letter("celery")

    (result,) = check()

    assert (result.status, result.subject, result.observed, result.limit) == (
        CheckStatus.WARN,
        "celery",
        2,
        1,
    )
    assert result.recommendation is not None
    assert "celery_health dead-letters list celery" in result.recommendation


def test_verdict__off(current_app: Celery) -> None:
    (result,) = check()

    assert result.status is CheckStatus.OFF


def test_metrics__size_by_queue(post: Post, settings: Any) -> None:
    settings.CELERY_HEALTH = {**settings.CELERY_HEALTH, **ON}
    post.letter("celery")

    assert facts_of(get_report(), None)["celery_dead_letter_queue_size"] == {("celery",): 1.0}


def test_snapshot__no_queue_of_dead_letters_among_the_queues(post: Post, settings: Any) -> None:
    settings.CELERY_HEALTH = {**settings.CELERY_HEALTH, **ON}
    post.letter("celery")

    snapshot = get_snapshot()

    assert [queue.name for queue in snapshot.queues] == ["celery"]
    assert snapshot.dead_letters == {"celery": 1}
