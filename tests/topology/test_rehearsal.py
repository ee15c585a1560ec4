"""Where backends of Django's tasks publish, learnt from their code: a row is a way to write one."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from celery import Celery

from celery_health.topology.model import DjangoTask
from celery_health.topology.rehearsal import rehearse
from tests.topology import backends

MAIL = DjangoTask(
    module_path="shop.tasks.mail",
    queue_name="default",
    fields={"priority": 0, "backend": "default", "run_after": None, "takes_context": False},
)
RUNNER = "tests.topology.backends.run_django_task"


@pytest.fixture
def app() -> Iterator[Celery]:
    app = Celery("shop", broker="memory://", set_as_current=False)
    app.conf.task_default_queue = "main"
    yield app
    app.close()


#: Backend, Celery task, options that say where it goes.
WAYS: list[tuple[type, str | None, dict[str, Any] | None]] = [
    (backends.ByQueueName, "tasks:shop.tasks.mail", {"queue": "default"}),
    (backends.UnlessDefault, "shop.tasks.mail", {}),
    (backends.ByRunner, RUNNER, {"queue": "default"}),
    (backends.ByImportedRunner, RUNNER, {"queue": "django-default"}),
    # The task's own wrapper: which that is, links say.
    (backends.OnCommit, None, {"queue": "default"}),
    (backends.OnCommitLambda, RUNNER, {"queue": "default"}),
    (backends.OnCommitMethod, RUNNER, {"queue": "default"}),
    (backends.ByPath, RUNNER, {"queue": "default"}),
    (backends.ByTasks, RUNNER, {"queue": "default"}),
    (backends.ByFunction, "shop.tasks.mail", {"queue": "default"}),
    (backends.ByQueuesRunner, RUNNER, {"queue": "default-tasks"}),
    (backends.BySignature, "tasks:shop.tasks.mail", {"queue": "default"}),
    (backends.ByLane, RUNNER, {"queue": "slow"}),
    (backends.ByMember, RUNNER, {"queue": "slow"}),
    (backends.BySetting, RUNNER, {"queue": "from-settings"}),
    (backends.ByDeclaration, RUNNER, {"queue": backends.VIDEO}),
    (backends.ByService, "shop.tasks.mail", {"queue": "default"}),
    # What stands beside delay() is for the task itself.
    (backends.ByRoutes, RUNNER, {}),
    # Nobody can know, and nothing is claimed.
    (backends.ByChance, RUNNER, None),
    (backends.ByLookup, RUNNER, None),
    (backends.ByDelay, RUNNER, {}),
    (backends.ByNested, RUNNER, {"queue": "default"}),
]

#: Nobody can know where these send, whatever single runs of their code show.
UNKNOWABLE = [
    *(backends.ByCountdown, backends.ByHelper, backends.ByShard, backends.ByLot, backends.ByTenant),
    *(backends.ByCopiedTenant, backends.ByMergedTenant, backends.ByWhetherTenant, backends.BySize),
    *(backends.ByCount, backends.ByHour, backends.BySlice, backends.ByUpper, backends.ByLetters),
    *(
        backends.ByTurns,
        backends.BySharedTurns,
        backends.ByKnownTenant,
        backends.ByKeyword,
        backends.BySelf,
        backends.ByForeignOptions,
    ),
]


@pytest.mark.parametrize(("backend", "name", "options"), WAYS, ids=lambda one: getattr(one, "__name__", ""))
def test_rehearse__finds_where_a_backend_sends(
    app: Celery, settings: Any, backend: type, name: str, options: dict[str, Any] | None
) -> None:
    settings.DJANGO_TASKS_QUEUE = "from-settings"

    way = rehearse(app, backend, "default", {"BACKEND": "..."}, MAIL)

    assert way is not None
    assert (way.name, way.options) == (name, options)


@pytest.mark.parametrize("backend", UNKNOWABLE, ids=lambda one: one.__name__)
def test_rehearse__claims_nothing_of_what_is_not_known(app: Celery, backend: type) -> None:
    way = rehearse(app, backend, "default", {"BACKEND": "..."}, MAIL)

    assert way is None or way.options is None
    # And the next is judged as ever.
    after = rehearse(app, backends.ByRunner, "default", {}, MAIL)
    assert after is not None and after.options == {"queue": "default"}


@pytest.mark.parametrize(("queue", "options"), [("default", {}), ("mail", {"queue": "mail"})])
def test_rehearse__goes_by_the_tasks_queue(app: Celery, queue: str, options: dict[str, Any]) -> None:
    task = DjangoTask(module_path="shop.tasks.mail", queue_name=queue, fields=MAIL.fields)

    way = rehearse(app, backends.UnlessDefault, "default", {}, task)

    assert way is not None and way.options == options


@pytest.mark.parametrize(
    ("params", "queue", "options"),
    [
        ({"OPTIONS": {"LANE": "own"}}, "default", {"queue": "own"}),
        ({}, "mail", {"queue": "fast"}),
        ({}, "else", {"queue": "main"}),
    ],
)
def test_rehearse__goes_by_options_and_conf(
    app: Celery, params: dict[str, Any], queue: str, options: dict[str, Any]
) -> None:
    task = DjangoTask(module_path="shop.tasks.mail", queue_name=queue, fields=MAIL.fields)

    way = rehearse(app, backends.ByLane, "default", params, task)

    assert way is not None and way.options == options


def test_rehearse__never_uses_what_the_options_hold(app: Celery, monkeypatch: pytest.MonkeyPatch) -> None:
    sent: list[Any] = []
    monkeypatch.setattr(app, "send_task", lambda *args, **options: sent.append(args))
    params = {"OPTIONS": {"APP": app, "LANES": {"default": {"queue": "slow"}}}}

    way = rehearse(app, backends.ByTable, "default", params, MAIL)

    assert way is not None and (way.name, way.options) == ("shop.tasks.mail", {"queue": "slow"})
    assert sent == []


@pytest.mark.parametrize("backend", [backends.NotByCelery, backends.ForEver])
def test_rehearse__sees_no_way_to_celery(app: Celery, backend: type) -> None:
    assert rehearse(app, backend, "default", {}, MAIL) is None


def test_rehearse__does_nothing(app: Celery, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    proof = tmp_path / "proof"
    monkeypatch.setattr(backends, "PROOF", str(proof))

    way = rehearse(app, backends.Acting, "default", {}, MAIL)

    assert way is not None and way.options == {"queue": "default"}
    assert not proof.exists()
    assert backends.LANES["default"] == "slow"
    assert backends.registered == {}
