"""Results that code reads and nobody keeps for it: what is proven by the source, and what is left alone."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from textwrap import indent
from typing import Any

import pytest
from celery import Celery

from celery_health.doctor.findings import DoctorReport
from celery_health.doctor.results import BackendFault
from celery_health.doctor.static import results
from tests.cases.support import a_project

TASKS = """
from celery import shared_task

@shared_task
def send(): ...

@shared_task(ignore_result=True)
def forget(): ...

@shared_task(ignore_result=True, store_errors_even_if_ignored=True)
def risky(): ...
"""
HEAD = """
import celery
from celery import group, chain, current_app as app, result
from celery.result import AsyncResult, GroupResult
from {package} import tasks
from {package}.tasks import send, forget, risky

def view(request, id):
"""

Examine = Callable[..., DoctorReport]


@pytest.fixture
def examine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Examine:
    """Return what the doctor says of a project with these lines in a view."""

    def of(body: str, *, name: str = "views", head: str = HEAD, **conf: Any) -> DoctorReport:
        with a_project(tmp_path, monkeypatch) as p:
            package = f"kiosk{len(list(tmp_path.iterdir()))}"
            p.package(package, tasks=TASKS, **{name: head.format(package=package) + indent(body, "    ")})
            p.app.set_current()
            p.conf(imports=[f"{package}.tasks", f"{package}.{name}"], **conf)
            return p.report()

    return of


def told(report: DoctorReport) -> list[str]:
    return [f"{one.code}:{one.subject.name.partition('.')[2] or one.subject.name}" for one in report.findings]


READS = [
    "return send.delay().get()",
    "return tasks.send.delay().status",
    "return send.apply_async(countdown=3).ready()",
    "return send.s(1).delay().result",
    "job = send.delay()\nreturn job.state",
    "return (job := send.delay()) and job.state",
    "job = send.delay()\ndef later():\n    return job.wait()\nreturn later",
    "return AsyncResult(id).status",
    "return celery.result.AsyncResult(id).status",
    "return result.AsyncResult(id).status",
    "return app.AsyncResult(id).status",
    "return send.AsyncResult(id).info",
    "found = AsyncResult(id)\nif found.ready(): return found.result",
    "return GroupResult.restore(id).completed_count() or GroupResult.restore(id).ready()",
    "return app.send_task('elsewhere.tasks.run').get(timeout=3)",
    "return group([send.s()])().join()",
    "return chain(send.s(), send.s()).delay().get()",
    "from celery import result as cr\nfound = cr.AsyncResult(id=id)\nreturn found.state",
    "return GroupResult.restore(id).completed_count()",
    # What is asked for is something else, and is asked for elsewhere.
    "if not request: return None\nreturn AsyncResult(id).status",
    "if app.conf.result_backend:\n    print(id)\nreturn AsyncResult(id).status",
    "def read(): return AsyncResult(id).status\ntry: return read()\nexcept KeyError: return None",
    "def read(): return AsyncResult(id).status\nread()\ntry: return read()\nexcept Exception: return None",
    "def read(): return read() or AsyncResult(id).status\nreturn read",
    "from .tasks import send as it\nreturn it.delay().get()",
    "from . import tasks as jobs\nreturn jobs.send.delay().get()",
]


@pytest.mark.parametrize("body", READS)
def test_results__are_read_and_there_is_no_backend(body: str, examine: Examine) -> None:
    report = examine(body)

    assert told(report) == ["W223:result_backend"]
    (finding,) = report.findings
    assert "views:" in finding.evidence["reads"][0]
    assert finding.fix.startswith(
        "Set app.conf.result_backend to a backend that all processes share: 'redis:"
    )
    # With one, all is well.
    assert told(examine(body, result_backend="redis://broker.invalid/1")) == []


LEFT = [
    # Another library's delay, a job whose class is not Celery's, an attribute of the same name.
    "return request.queue.delay().get()",
    "return request.delay(1).result",
    "return send.name.status, id.get('x')",
    # What no result is asked of.
    "return send.delay().id",
    "send.delay()",
    # May hold something else.
    "job = send.delay()\nif request: job = request\nreturn job.state",
    # Prepared for having no backend.
    "try:\n    return send.delay().get()\nexcept NotImplementedError:\n    return None",
    "try:\n    return AsyncResult(id).status\nexcept Exception:\n    return None",
    "if app.conf.result_backend:\n    return send.delay().get()",
    "if not app.conf.result_backend: return 'unknown'\nreturn AsyncResult(id).status",
    "if not getattr(app.conf, 'RESULT_BACKEND', 0): raise LookupError\nreturn AsyncResult(id).state",
    "backend = app.conf.result_backend\nif backend is None:\n    return None\nreturn AsyncResult(id).status",
    "for one in id:\n    if not app.conf.result_backend: continue\n    print(AsyncResult(one).status)",
    "assert app.conf.result_backend\nreturn AsyncResult(id).status",
    "return app.conf.result_backend and AsyncResult(id).status",
    # Whoever calls is prepared.
    "def read(): return AsyncResult(id).status\ntry: return read()\nexcept Exception: return None",
    "def read(): return AsyncResult(id).status\nif app.conf.result_backend: return read()",
    "def read(): return AsyncResult(id).status\ndef more(): return read()\n"
    "try: return more()\nexcept Exception: return None",
]


@pytest.mark.parametrize("body", LEFT)
def test_results__that_are_not_proven_to_be_read_are_left_alone(body: str, examine: Examine) -> None:
    assert [one for one in told(examine(body)) if one != "I308:result_backend"] == []


def test_results__whoever_imports_the_reading_function_may_be_prepared(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    views = "from . import services\nfrom .services import state\n{}"
    prepared = "def view(id):\n    try:\n        return {}(id)\n    except Exception:\n        return None\n"
    for name, calls, finds in [
        ("mast", prepared.format("state"), []),
        ("keel", prepared.format("services.state"), []),
        ("hull", prepared.format("len"), ["W223:result_backend"]),
        ("helm", prepared.format("state") + "def other(id):\n    return state(id)", ["W223:result_backend"]),
    ]:
        with a_project(tmp_path, monkeypatch) as p:
            p.package(
                name,
                tasks="from celery import shared_task\n@shared_task\ndef send(): ...",
                services="from celery.result import AsyncResult\n"
                "def state(id):\n    return AsyncResult(id).state",
                views=views.format(calls),
            )
            p.conf(imports=[f"{name}.tasks", f"{name}.services", f"{name}.views"])
            assert told(p.report()) == finds, name


def test_results__tests_and_eager_projects_are_left_alone(examine: Examine) -> None:
    read = "return send.delay().get()"

    assert "W223:result_backend" not in told(examine(read, name="test_views"))
    assert "W223:result_backend" not in told(examine(read, task_always_eager=True))


HANDLED = [
    ("AsyncResult(id).revoke(terminate=True)", []),
    ("job = AsyncResult(id)\njob.revoke()\nreturn job.id", []),
    ("AsyncResult(id).revoke()\nreturn 0", []),
    # It may be read by whoever is given it, and to forget one raises.
    ("return AsyncResult(id)", ["I308:result_backend"]),
    ("job = AsyncResult(id)\njob.revoke()\nreturn job", ["I308:result_backend"]),
    ("AsyncResult(id).forget()", ["I308:result_backend"]),
    ("AsyncResult(id).revoke()\nreturn isinstance(id, AsyncResult)", ["I308:result_backend"]),
]


@pytest.mark.parametrize(("body", "finds"), HANDLED)
def test_results__that_are_revoked_alone_need_no_backend(
    body: str, finds: list[str], examine: Examine
) -> None:
    head = "from celery.result import AsyncResult\ndef view(request, id):\n"
    report = examine(body, head=head)

    assert told(report) == finds
    assert all(one.fix.startswith("Set app.conf.result_backend") for one in report.findings)


BACKENDS: list[tuple[Mapping[str, Any], str, list[str]]] = [
    ({"result_backend": "cache+memory://"}, "send.delay().get()", ["W223:result_backend"]),
    ({"result_backend": "cache", "cache_backend": "memory"}, "send.delay().get()", ["W223:result_backend"]),
    ({"result_backend": "db+sqlite://"}, "AsyncResult(id).status", ["W223:result_backend"]),
    ({"result_backend": "cache+memcached://h"}, "AsyncResult(id).status", []),
    # The sender itself gets the reply.
    ({"result_backend": "rpc://"}, "send.delay().get()", []),
    ({"result_backend": "rpc://"}, "AsyncResult(id).status", ["W223:result_backend"]),
    ({"result_backend": "redis://h/1"}, "forget.delay().get()", ["W223:tasks.forget"]),
    ({"result_backend": "redis://h/1"}, "forget.AsyncResult(id).status", ["W223:tasks.forget"]),
    ({"result_backend": "redis://h/1"}, "forget.apply_async(ignore_result=False).get()", []),
    # Errors are kept, and may be what is asked for.
    ({"result_backend": "redis://h/1"}, "risky.delay().failed()", []),
    # Whose it is, nobody knows, and one task keeps its own.
    ({"result_backend": "redis://h/1"}, "AsyncResult(id).status", []),
    (
        {"result_backend": "redis://h/1", "task_ignore_result": True},
        "send.delay().get()",
        ["W223:tasks.send"],
    ),
    # Not installed here: each call raises, whoever reads.
    ({"result_backend": "django-db"}, "send.delay()", ["W223:result_backend"]),
    ({"result_backend": "django-cache"}, "send.delay()", ["W223:result_backend"]),
]


@pytest.mark.parametrize(("conf", "body", "finds"), BACKENDS)
def test_results__by_backend_and_task(
    conf: Mapping[str, Any], body: str, finds: list[str], examine: Examine
) -> None:
    assert told(examine(f"return {body}", **conf)) == finds


def test_results__of_any_task_where_all_are_ignored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with a_project(tmp_path, monkeypatch) as p:
        p.package(
            "stall",
            tasks="from celery import shared_task\n@shared_task\ndef send(): ...",
            views="from celery.result import AsyncResult\ndef view(id):\n    return AsyncResult(id).state",
        )
        backend = "redis://broker.invalid/1"
        p.conf(imports=["stall.tasks", "stall.views"], task_ignore_result=True, result_backend=backend)
        assert told(p.report()) == ["W223:task_ignore_result"]


def test_results__the_fix_of_an_ignored_one_works(examine: Examine) -> None:
    conf = {"result_backend": "redis://broker.invalid/1"}
    (finding,) = examine("return forget.delay().get()", **conf).findings
    line = finding.fix.removeprefix("Have it kept: ").partition(";")[0]
    assert line.startswith("app.conf.task_annotations = ")

    annotations = eval(line.partition(" = ")[2].replace(finding.subject.name, "*"))
    assert told(examine("return forget.delay().get()", task_annotations=annotations, **conf)) == []


def test_results__no_source_is_read_where_all_is_well(
    examine: Examine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(results, "_without_tests", lambda modules: pytest.fail("looked"))
    monkeypatch.setattr(
        sys.modules[__name__], "TASKS", TASKS.replace("ignore_result=True", "acks_late=False")
    )

    assert told(examine("return send.delay().get()", result_backend="redis://broker.invalid/1")) == []


def test_celery__says_nothing_of_what_is_ignored_and_raises_without_a_backend() -> None:
    """What the messages say, of Celery itself."""
    kept = Celery("kept", broker="memory://", backend="cache+memory://", set_as_current=False)
    none = Celery("none", broker="memory://", set_as_current=False)

    def send() -> None: ...

    ignored = kept.task(name="ignored", ignore_result=True, shared=False)(send)
    assert ignored.delay().get() is None, "at once: no worker has it yet"
    assert ignored.delay().state == "PENDING"
    sent = none.task(name="sent", shared=False)(send).delay()
    with pytest.raises(NotImplementedError):
        sent.get()
    with pytest.raises(AttributeError):
        _ = sent.state


@pytest.mark.parametrize(
    ("installed", "cache", "fault"),
    [
        (False, "locmem.LocMemCache", BackendFault.NO_PACKAGE),
        (True, "locmem.LocMemCache", BackendFault.PRIVATE),
        (True, "dummy.DummyCache", BackendFault.PRIVATE),
        (True, "redis.RedisCache", None),
    ],
)
def test_backend__djangos_cache_is_each_processs_own_where_it_is_in_memory(
    installed: bool, cache: str, fault: BackendFault | None, monkeypatch: pytest.MonkeyPatch, settings: Any
) -> None:
    """A double for the package, which is not installed here."""
    monkeypatch.setattr(results.apps, "is_installed", lambda name: installed)
    settings.CACHES = {"default": {"BACKEND": f"django.core.cache.backends.{cache}"}}

    app = Celery("cached", broker="memory://", backend="django-cache", set_as_current=False)
    assert results._fault(app) is fault
