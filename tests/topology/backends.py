"""Backends of Django's tasks that publish by Celery, each in a way of its own. None of this really runs."""

from __future__ import annotations

import datetime
import os
import random
import time
import uuid
from enum import Enum
from functools import partial
from pathlib import Path
from typing import Any

import django
import redis
from asgiref.sync import async_to_sync
from celery import Celery, current_app, signature
from django.conf import settings
from django.db import transaction
from django.utils.module_loading import import_string
from kombu import Exchange, Queue

PREFIX = "tasks:"
LANES = {"default": "slow", "mail": "fast"}
VIDEO = Queue("video", Exchange("media", type="topic"), routing_key="video.cut")
registered: dict[str, Any] = {}


# Not shared: it would be a task of every app that a test makes.
@Celery("runner", set_as_current=False).task(name="tests.topology.backends.run_django_task", shared=False)
def run_django_task(path: str, args: Any, kwargs: Any) -> None: ...


def celery_name(path: str) -> str:
    return f"{PREFIX}{path}"


class Base:
    # Django's own since 6.0; what these tests need of it is little.
    task_class = import_string("django.tasks.Task") if django.VERSION >= (6, 0) else None

    options: dict[str, Any]

    def __init__(self, alias: str, params: Any) -> None:
        self.lane = params.get("OPTIONS", {}).get("LANE")

    def validate_task(self, task: Any) -> None:
        if not callable(task.func):
            raise TypeError(task)


class ByQueueName(Base):
    """Send by name, to the queue that the task names, keeping notes in the result backend first."""

    def enqueue(self, task: Any, args: Any, kwargs: Any) -> Any:
        self.validate_task(task)
        if current_app.conf.result_backend and isinstance(current_app.backend, redis.Redis):
            current_app.backend.set(task.module_path, str(args))
        options = {"eta": task.run_after, "priority": max(0, min(9, int((task.priority + 100) / 22)))}
        if task.queue_name:
            options["queue"] = task.queue_name
        current_app.send_task(celery_name(task.module_path), args=args, kwargs=kwargs, **options)
        return task


class UnlessDefault(Base):
    """Leave Django's default queue to the app's routes; register what is sent."""

    @property
    def app(self) -> Any:
        from celery import current_app

        return current_app._get_current_object()

    def _options(self, task: Any) -> dict[str, Any]:
        options = {}
        if task.queue_name != "default":
            options["queue"] = task.queue_name
        return options

    def enqueue(self, task: Any, args: Any, kwargs: Any) -> Any:
        super().validate_task(task)
        if task.module_path not in registered:
            registered[task.module_path] = self.app.task(name=task.module_path)(task.func)
        done = self.app.tasks[task.module_path].apply_async(args=list(args), **self._options(task))
        return {"id": done.id}


class ByRunner(Base):
    """Have one Celery task run them all."""

    def enqueue(self, task: Any, args: Any, kwargs: Any) -> Any:
        return run_django_task.apply_async((task.module_path, args, kwargs), queue=task.queue_name)


class ByImportedRunner(Base):
    """The same, imported where it is needed."""

    def enqueue(self, task: Any, args: Any, kwargs: Any) -> Any:
        from tests.topology.backends import run_django_task as runner

        return runner.apply_async(args=[task.module_path], queue=f"django-{task.queue_name}")


class OnCommit(Base):
    """Send when the transaction is done."""

    @transaction.atomic
    def enqueue(self, task: Any, args: Any, kwargs: Any) -> Any:
        send = partial(task.celery_task.apply_async, args, kwargs=kwargs, queue=task.queue_name)
        transaction.on_commit(send)


class OnCommitLambda(Base):
    """The same, by a lambda."""

    def enqueue(self, task: Any, args: Any, kwargs: Any) -> Any:
        transaction.on_commit(lambda: run_django_task.apply_async(args, kwargs, queue=task.queue_name))


class OnCommitMethod(Base):
    """The same, by a method of its own."""

    def enqueue(self, task: Any, args: Any, kwargs: Any) -> Any:
        transaction.on_commit(partial(self._send, task, args), using="default")

    def _send(self, task: Any, args: Any) -> None:
        run_django_task.apply_async(args, queue=task.queue_name)


class ByPath(Base):
    """Have the runner named in OPTIONS, or take it from the app's tasks."""

    def enqueue(self, task: Any, args: Any, kwargs: Any) -> Any:
        runner = import_string("tests.topology.backends.run_django_task")
        return runner.si(task.module_path).set(queue=task.queue_name).apply_async()


class ByTasks(Base):
    """Take the runner from the app's tasks."""

    def enqueue(self, task: Any, args: Any, kwargs: Any) -> Any:
        runner = current_app.tasks.get("tests.topology.backends.run_django_task")
        return runner.apply_async(args, queue=task.queue_name)


class ByFunction(Base):
    """Send by a function of Celery's."""

    def enqueue(self, task: Any, args: Any, kwargs: Any) -> Any:
        return signature(task.module_path, args, queue=task.queue_name).apply_async()


RUNNERS = {"default": run_django_task}


class ByQueuesRunner(Base):
    """Have a runner for each queue."""

    def enqueue(self, task: Any, args: Any, kwargs: Any) -> Any:
        return RUNNERS[task.queue_name].apply_async(args, queue=f"{task.queue_name}-tasks")


class BySignature(Base):
    """Set the queue on a signature."""

    def enqueue(self, task: Any, args: Any, kwargs: Any) -> Any:
        return current_app.signature(celery_name(task.module_path), args).set(queue=task.queue_name).delay()


class ByLane(Base):
    """Choose by a table, by OPTIONS and by the app's own default."""

    def enqueue(self, task: Any, args: Any, kwargs: Any) -> Any:
        queue = self.lane or LANES.get(task.queue_name) or current_app.conf.task_default_queue
        return run_django_task.apply_async(args, queue=queue)


class BySetting(Base):
    """Choose by Django's settings."""

    def enqueue(self, task: Any, args: Any, kwargs: Any) -> Any:
        return run_django_task.apply_async(args, queue=getattr(settings, "DJANGO_TASKS_QUEUE", "none"))


class ByTable(Base):
    """Choose by a table in OPTIONS, and send by the app that stands there."""

    def __init__(self, alias: str, params: Any) -> None:
        super().__init__(alias, params)
        self.app = params["OPTIONS"]["APP"]

    def enqueue(self, task: Any, args: Any, kwargs: Any) -> Any:
        lane = self.options["LANES"][task.queue_name]
        return self.app.send_task(task.module_path, args, queue=lane["queue"])


class Lane(Enum):
    """Members with queues."""

    SLOW = "slow"


class ByMember(Base):
    """Choose by an enumeration."""

    def enqueue(self, task: Any, args: Any, kwargs: Any) -> Any:
        return run_django_task.apply_async(args, queue=Lane.SLOW.value)


class ByDeclaration(Base):
    """Give a queue that is declared."""

    def enqueue(self, task: Any, args: Any, kwargs: Any) -> Any:
        return run_django_task.apply_async(args, queue=VIDEO)


class Sender:
    """Sends for somebody."""

    def __init__(self, queue: str) -> None:
        self.options = {"queue": queue}

    def send(self, name: str) -> Any:
        return current_app.send_task(name, **self.options)


class ByService(Base):
    """Leave it to another object."""

    def enqueue(self, task: Any, args: Any, kwargs: Any) -> Any:
        return Sender(task.queue_name).send(task.module_path)


class ByRoutes(Base):
    """Name no queue at all."""

    def enqueue(self, task: Any, args: Any, kwargs: Any) -> Any:
        return run_django_task.delay(task.module_path, queue=task.queue_name)


class ByChance(Base):
    """Choose by what nobody knows before."""

    def enqueue(self, task: Any, args: Any, kwargs: Any) -> Any:
        return run_django_task.apply_async(args, queue="a" if random.random() < 0.5 else "b")


class ByLookup(Base):
    """Ask somebody for the queue."""

    def enqueue(self, task: Any, args: Any, kwargs: Any) -> Any:
        return run_django_task.apply_async(args, queue=redis.Redis().get("queue"))


class ByForeignOptions(Base):
    """Take all options from somebody."""

    def enqueue(self, task: Any, args: Any, kwargs: Any) -> Any:
        options = {"priority": 3}
        options.update(redis.Redis().hgetall("options"))
        return run_django_task.apply_async(args, **options)


class NotByCelery(Base):
    """Push it to Redis."""

    def enqueue(self, task: Any, args: Any, kwargs: Any) -> Any:
        return redis.Redis().lpush(task.queue_name, task.module_path)


class ByCoroutine(Base):
    """Send in a coroutine."""

    def enqueue(self, task: Any, args: Any, kwargs: Any) -> Any:
        return async_to_sync(self.aenqueue)(task, args, kwargs)

    async def aenqueue(self, task: Any, args: Any, kwargs: Any) -> Any:
        return run_django_task.apply_async(args, queue=task.queue_name)


class ByCountdown(Base):
    """Wait for a number that somebody gives."""

    def enqueue(self, task: Any, args: Any, kwargs: Any) -> Any:
        left, step = 10, int(os.environ.get("CHUNK", "1"))
        while left > 0:
            left -= step
        return run_django_task.apply_async(args, queue="a")


class ByHelper(Base):
    """Have such a loop beside."""

    def enqueue(self, task: Any, args: Any, kwargs: Any) -> Any:
        lane = self._lane()
        return run_django_task.apply_async(args, queue="a" if lane is None else "b")

    def _lane(self) -> Any:
        left, step = 10, int(os.environ.get("CHUNK", "1"))
        while left > 0:
            left -= step


class ByShard(Base):
    """Choose by the clock."""

    def enqueue(self, task: Any, args: Any, kwargs: Any) -> Any:
        return run_django_task.apply_async(args, queue=f"shard-{int(time.time()) % 4}")


class ByLot(Base):
    """Draw one of a list."""

    def enqueue(self, task: Any, args: Any, kwargs: Any) -> Any:
        queues = ["a", "b"]
        return run_django_task.apply_async(args, queue=queues[int(random.random() * len(queues))])


class ByTenant(Base):
    """Choose by what the call is given."""

    def enqueue(self, task: Any, args: Any, kwargs: Any) -> Any:
        return run_django_task.apply_async(args, queue=kwargs.get("tenant", "none"))


class ByCopiedTenant(Base):
    """The same, of a copy."""

    def enqueue(self, task: Any, args: Any, kwargs: Any) -> Any:
        given = dict(kwargs)
        return run_django_task.apply_async(args, given, queue=given.pop("tenant", "none"))


class ByMergedTenant(Base):
    """The same, of a merged one."""

    def enqueue(self, task: Any, args: Any, kwargs: Any) -> Any:
        given = {"a": 1, **kwargs}
        return run_django_task.apply_async(args, given, queue=given.pop("tenant", "none"))


class ByWhetherTenant(Base):
    """Choose by whether something was given."""

    def enqueue(self, task: Any, args: Any, kwargs: Any) -> Any:
        tenant = kwargs.get("tenant")
        return run_django_task.apply_async(args, queue="shared" if tenant is None else "tenants")


class BySize(Base):
    """Choose by how much there is."""

    def enqueue(self, task: Any, args: Any, kwargs: Any) -> Any:
        return run_django_task.apply_async(args, queue="small" if len(str(args)) < 1000 else "large")


class ByCount(Base):
    """Choose by how many there are."""

    def enqueue(self, task: Any, args: Any, kwargs: Any) -> Any:
        return run_django_task.apply_async(args, queue="small" if len(list(args)) < 3 else "large")


class ByHour(Base):
    """Choose by the time of the day."""

    def enqueue(self, task: Any, args: Any, kwargs: Any) -> Any:
        night = int(datetime.datetime.now().hour) < 6
        return run_django_task.apply_async(args, queue="night" if night else "day")


class BySlice(Base):
    """Cut a name."""

    def enqueue(self, task: Any, args: Any, kwargs: Any) -> Any:
        return run_django_task.apply_async(args, queue="t" + str(uuid.uuid4())[:8])


class ByUpper(Base):
    """Write a name large."""

    def enqueue(self, task: Any, args: Any, kwargs: Any) -> Any:
        return run_django_task.apply_async(args, queue=f"{os.environ['HOST']}-q".upper())


class ByLetters(Base):
    """Take a name's letters."""

    def enqueue(self, task: Any, args: Any, kwargs: Any) -> Any:
        tenant = str(os.environ["TENANT"])
        return run_django_task.apply_async(args, queue="q_" + "".join(c for c in tenant if c.isalnum()))


class ByTurns(Base):
    """Go round."""

    def __init__(self, alias: str, params: Any) -> None:
        self.turn = 0

    def enqueue(self, task: Any, args: Any, kwargs: Any) -> Any:
        self.turn += 1
        return run_django_task.apply_async(args, queue=["a", "b"][self.turn % 2])


class BySharedTurns(Base):
    """Go round together."""

    turn = 0

    def enqueue(self, task: Any, args: Any, kwargs: Any) -> Any:
        self.__class__.turn += 1
        return run_django_task.apply_async(args, queue=["a", "b"][self.turn % 2])


class ByKnownTenant(Base):
    """Look a tenant up."""

    def enqueue(self, task: Any, args: Any, kwargs: Any) -> Any:
        return run_django_task.apply_async(args, queue=LANES.get(str(kwargs["tenant"]), "rest"))


class ByKeyword(Base):
    """Look at each keyword."""

    def enqueue(self, task: Any, args: Any, kwargs: Any) -> Any:
        queue = "rest"
        for name, value in kwargs.items():
            if name == "tenant":
                queue = value
        return run_django_task.apply_async(args, queue=queue)


class ByDelay(Base):
    """Pass all on, having looked at it, and write a line after."""

    def enqueue(self, task: Any, args: Any, kwargs: Any) -> Any:
        kwargs.pop("secret", None)
        sent = run_django_task.delay(*args, **kwargs)
        redis.Redis().rpush("log", f"sent {sent.id} with {len(args)} arguments")


def _nested(depth: int) -> Any:
    pair: Any = ()
    for _ in range(depth):
        pair = (pair, pair)
    return pair


NESTED = _nested(23)


class ByNested(Base):
    """Hold what is short and nearly endless."""

    def enqueue(self, task: Any, args: Any, kwargs: Any) -> Any:
        return run_django_task.apply_async((NESTED,), queue=task.queue_name)


class BySelf(Base):
    """Change what it is of."""

    def enqueue(self, task: Any, args: Any, kwargs: Any) -> Any:
        self.__class__.__getattribute__ = None
        task.__class__.__getattribute__ = None
        return run_django_task.apply_async(args, queue=task.queue_name)


class ForEver(Base):
    """Wait for something real."""

    def enqueue(self, task: Any, args: Any, kwargs: Any) -> Any:
        while True:
            try:
                redis.Redis().wait(1)
            except Exception:
                continue


class Acting(Base):
    """Do what nobody should do for a look."""

    def enqueue(self, task: Any, args: Any, kwargs: Any) -> Any:
        LANES["default"] = "changed"
        open(kwargs.get("path", PROOF), "w").write("done")  # noqa: SIM115
        Path(PROOF).write_text("done")
        __import__("os").system(f"touch {PROOF}")
        exec(f"open({PROOF!r}, 'w')")
        return run_django_task.apply_async(args, queue=task.queue_name)


PROOF = "/tmp/never"
