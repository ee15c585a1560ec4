"""Arguments of tasks, as people are shown them: no secret, whatever stands around a task's function."""

from __future__ import annotations

import functools
import json
import sys
import time
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any, NamedTuple

import pytest
from celery import Celery, Task
from celery.utils.saferepr import saferepr
from django.db import transaction

from celery_health.conf import DEFAULT_REDACT
from celery_health.monitoring import monitor_task
from celery_health.text.arguments import MAX_LENGTH, shown
from celery_health.text.embedded import mask_inside
from celery_health.text.positions import position_names

SECRET = "hunter2"


@pytest.fixture
def app() -> Iterator[Celery]:
    app = Celery("proj", set_as_current=False, broker="memory://")
    yield app
    app.close()


# Decorators as people write them


def honest(function: Any) -> Any:
    """With ``wraps``, handing on what comes."""

    @functools.wraps(function)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        return function(*args, **kwargs)

    return wrapper


def bare(function: Any) -> Any:
    """Without ``wraps``."""

    def wrapper(*args: Any, **kwargs: Any) -> Any:
        return function(*args, **kwargs)

    return wrapper


def adding(function: Any) -> Any:
    """With ``wraps``, and one argument that the caller does not give."""

    @functools.wraps(function)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        return function("lock", *args, **kwargs)

    return wrapper


def taking(function: Any) -> Any:
    """With ``wraps``, and one argument that the function does not get."""

    @functools.wraps(function)
    def wrapper(tenant: str, *args: Any, **kwargs: Any) -> Any:
        return function(*args, **kwargs)

    return wrapper


def alike(function: Any) -> Any:
    """With ``wraps``, and the very arguments of the function."""

    @functools.wraps(function)
    def wrapper(user: str, password: str) -> Any:
        return function(user, password)

    return wrapper


def lying(function: Any) -> Any:
    """Without ``__wrapped__``, and a signature that says something else."""

    def wrapper(*args: Any, **kwargs: Any) -> Any:
        return function(*args, **kwargs)

    wrapper.__signature__ = __import__("inspect").signature(function)  # type: ignore[attr-defined]
    return wrapper


def log_in(user: str, password: str) -> None: ...


def log_in_bound(self: Any, user: str, password: str) -> None: ...


def anything(*args: Any, **kwargs: Any) -> None: ...


def some(user: str, *rest: Any) -> None: ...


def by_position(user: str, password: str, /) -> None: ...


def by_keyword(user: str, *, password: str) -> None: ...


class Callable_:
    """An object that is called."""

    __name__ = "called"

    def __call__(self, user: str, password: str) -> None: ...


class ClassBased(Task):  # type: ignore[type-arg]
    name = "class-based"

    def run(self, user: str, password: str) -> None: ...


class ClassBasedDecorated(Task):  # type: ignore[type-arg]
    name = "class-based-decorated"

    @bare
    def run(self, user: str, password: str) -> None: ...


class ClassBasedStatic(Task):  # type: ignore[type-arg]
    name = "class-based-static"

    @staticmethod
    def run(user: str, password: str) -> None: ...


def held(run: Any) -> Callable[[Celery], Any]:
    """Return how to make a task of what the decorator takes no tasks of."""
    return registered(type("Held", (Task,), {"name": "held", "run": run}))


def locked(lock: str, user: str, password: str) -> None: ...


def task(function: Any, **options: Any) -> Callable[[Celery], Any]:
    return lambda app: app.task(function, name="t", shared=False, **options)


def registered(kind: type[Any]) -> Callable[[Celery], Any]:
    return lambda app: app.register_task(kind())


NAMED = "['ann', '**']"
UNKNOWN = "['**', '**']"
FIRST = "['ann', '**']"
KINDS: dict[str, tuple[Callable[[Celery], Any], str]] = {
    # Names are certain: the password is masked, and nothing else.
    "plain": (task(log_in), NAMED),
    "bind": (task(log_in_bound, bind=True), NAMED),
    "monitored": (task(monitor_task(log_in)), NAMED),
    "autoretry": (task(log_in, autoretry_for=(ValueError,)), NAMED),
    "autoretry and bind": (task(log_in_bound, bind=True, autoretry_for=(ValueError,)), NAMED),
    "atomic": (task(transaction.atomic(log_in)), NAMED),
    "atomic and bind": (task(transaction.atomic(log_in_bound), bind=True), NAMED),
    "alike": (task(alike(log_in)), NAMED),
    "class-based": (registered(ClassBased), NAMED),
    "static": (registered(ClassBasedStatic), NAMED),
    "lambda": (held(staticmethod(lambda user, password=None: None)), NAMED),
    "positional-only": (task(by_position), NAMED),
    "an object": (held(Callable_()), NAMED),
    # The second position has none: it may be a password.
    "*args behind": (task(some), FIRST),
    "keyword-only": (task(by_keyword), FIRST),
    # No name is certain.
    "no wraps": (task(bare(log_in)), UNKNOWN),
    "no wraps, bind": (task(bare(log_in_bound), bind=True), UNKNOWN),
    "wraps": (task(honest(log_in)), UNKNOWN),
    "wraps, bind": (task(honest(log_in_bound), bind=True), UNKNOWN),
    "wraps and autoretry": (task(honest(log_in), autoretry_for=(ValueError,)), UNKNOWN),
    "adds one": (task(adding(locked)), UNKNOWN),
    "takes one": (task(taking(log_in)), UNKNOWN),
    "a signature that is set": (task(lying(log_in)), UNKNOWN),
    "atomic over wraps": (task(transaction.atomic(honest(log_in))), UNKNOWN),
    "*args": (task(anything), UNKNOWN),
    "*args, bind": (task(anything, bind=True), UNKNOWN),
    "class-based, decorated": (registered(ClassBasedDecorated), UNKNOWN),
    "built-in": (held(print), UNKNOWN),
}


@pytest.mark.parametrize("kind", KINDS)
def test_shown__positions_of_real_tasks(app: Celery, kind: str) -> None:
    make, expected = KINDS[kind]
    made = make(app)

    args, kwargs = shown(made.run, ["ann", SECRET], {}, DEFAULT_REDACT)

    assert (args, kwargs) == (expected, "{}")
    # By name they are certain, whatever takes them.
    assert shown(made.run, [], {"user": "ann", "password": SECRET}, DEFAULT_REDACT)[1] == (
        "{'user': 'ann', 'password': '**'}"
    )


@pytest.mark.parametrize("bind", [False, True])
def test_shown__of_a_pydantic_task(app: Celery, monkeypatch: pytest.MonkeyPatch, bind: bool) -> None:
    """The package is not needed for it: Celery's wrapper asks for one class of it."""
    pydantic = ModuleType("pydantic")
    pydantic.BaseModel = type("BaseModel", (), {})  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "pydantic", pydantic)
    made = app.task(log_in_bound if bind else log_in, name="t", shared=False, bind=bind, pydantic=True)

    assert shown(made.run, ["ann", SECRET], {}, DEFAULT_REDACT)[0] == NAMED


def test_shown__of_a_partial() -> None:
    def give(region: str, user: str, password: str) -> None: ...

    assert shown(functools.partial(give, "eu"), ["ann", SECRET], {}, DEFAULT_REDACT)[0] == NAMED
    assert shown(functools.partial(give, region="eu"), ["x", "ann"], {}, DEFAULT_REDACT)[0] == "['x', 'ann']"
    assert shown(functools.partial(bare(give), "eu"), ["ann", SECRET], {}, DEFAULT_REDACT)[0] == UNKNOWN


def test_shown__of_a_task_that_runs_others(app: Celery) -> None:
    """As backends of Django's tasks have it: what is called ``args`` holds values without names."""

    @app.task(name="t", shared=False)
    def execute(path: str, args: list[Any], kwargs: dict[str, Any]) -> None: ...

    given = ["shop.log_in", ["ann", SECRET], {"password": SECRET, "n": 1}]
    assert shown(execute.run, given, {}, DEFAULT_REDACT)[0] == (
        "['shop.log_in', ['**', '**'], {'password': '**', 'n': 1}]"
    )
    signature = {"task": "t", "args": ["ann", SECRET], "kwargs": {"token": SECRET}}
    assert shown(anything, [], {"callback": signature}, DEFAULT_REDACT)[1] == (
        "{'callback': {'task': 't', 'args': ['**', '**'], 'kwargs': {'token': '**'}}}"
    )


def test_positions__of_what_has_none() -> None:
    class Odd:
        def __getattr__(self, name: str) -> Any:
            raise RuntimeError(name)

    class Wrapped:
        __wrapped__ = log_in

        def __call__(self, *args: Any) -> None: ...

    loop: Any = honest(log_in)
    loop.__wrapped__ = loop
    for function in (Odd(), Wrapped(), loop, 3, None, dict):
        assert set(position_names(function)) <= {None}


# Inside texts

TEXTS = [
    # JSON
    ('{"user": "ann", "password": "hunter2"}', '{"user": "ann", "password": "**"}'),
    ('[{"Card_Number": 4111, "n": 1}]', '[{"Card_Number": "**", "n": 1}]'),
    ('  {"a": {"b": {"token": ["hunter2"]}}}', '{"a": {"b": {"token": "**"}}}'),
    ('{"args": ["hunter2"], "kwargs": {}}', '{"args": ["**"], "kwargs": {}}'),
    ('{"n": 1, "ü": "ß"}', '{"n": 1, "ü": "ß"}'),
    # JSON inside JSON
    (json.dumps({"body": json.dumps({"token": "hunter2"})}), '{"body": "{\\"token\\": \\"**\\"}"}'),
    # JSON that is cut, in a sentence, and what repr makes
    ('{"user": "ann", "password": "hunt', '{"user": "ann", "password": **'),
    ('got {"password":"hunter2", "n": 1}.', 'got {"password":**, "n": 1}.'),
    ('x {"password": "hun\\"ter2", "n": 1}', 'x {"password": **, "n": 1}'),
    ('x {"password": 42, "n": 1}', 'x {"password": **, "n": 1}'),
    ('x {"password": {"a": "hunter2"}, "n": 1}', 'x {"password": **'),
    ('x {"p\\u0061ssword": "hunter2"}', 'x {"p\\u0061ssword": **}'),
    ('x {\\"password\\": \\"hunter2\\", \\"n\\": 1}', 'x {\\"password\\": **, \\"n\\": 1}'),
    ("{'password': 'hunter2', 'n': 1}", "{'password': **, 'n': 1}"),
    ("User(name='ann', password='hunter2')", "User(name='ann', password=**)"),
    # URLs
    ("https://ann:hunter2@host/x", "https://ann:**@host/x"),
    ("https://hunter2@host/x", "https://**@host/x"),
    ("https://host/?a=1&session_id=hunter2&b=2#x", "https://host/?a=1&session_id=**&b=2#x"),
    ("https://host/?a=1&card%5Fnumber=hunter2", "https://host/?a=1&card%5Fnumber=**"),
    ("https://host/cb#access_token=hunter2&x=1", "https://host/cb#access_token=**&x=1"),
    ("see https://host/?cookie=hunter2, please", "see https://host/?cookie=** please"),
    ("https://host/cb?tokens=hunter2,hunter3,hunter4&n=1", "https://host/cb?tokens=**&n=1"),
    ("https://host/cb?token=hun&ter2&n=1", "https://host/cb?token=**&n=1"),
    # Forms and connection strings
    ("user=ann&password=hunter2&n=1", "user=ann&password=**&n=1"),
    ("user[password]=hunter2", "user[password]=**"),
    ("host=db password=hunter2 user=ann", "host=db password=** user=ann"),
    ("host=db password='hunter2 x' user=ann", "host=db password=** user=ann"),
    ("password=ab#hunter2&x=1", "password=**&x=1"),
    ("password=ab hunter2&x=1", "password=**&x=1"),
    ("user=ann,password=hun,ter2,n=1", "user=ann,password=**,n=1"),
    ("password='hun''ter2' x", "password=** x"),
    ('password="hun"ter2 x', "password=** x"),
    ("f('password=', 'hunter2')", "f('password=**"),
    ("(password=hun)ter2) x", "(password=**) x"),
    ("auth:token=hunter2", "auth:token=**"),
    ("a|password=hunter2", "a|password=**"),
    # Lines, headers, options
    ("host = h\npassword = hunter2 x\nn = 1", "host = h\npassword = **\nn = 1"),
    ('password = "hunter2" # x', "password = ** # x"),
    ("user: ann\npassword: hunter2\nn: 1", "user: ann\npassword: **\nn: 1"),
    ("Authorization: Bearer hunter2", "Authorization: **"),
    ("curl --user ann --password hunter2 x", "curl --user ann --password ** x"),
    ("curl --password 'hunter2 x' --token=hunter2", "curl --password ** --token=**"),
    # What repr makes of other things than texts
    ("User(name='ann', password=b'hunter2', n=1)", "User(name='ann', password=**, n=1)"),
    ("User(tokens=['hunter2','hunter3'])", "User(tokens=**"),
    ("User(password=Secret('hunter2', 'hunter3'))", "User(password=**"),
    ("User(password=<Secret hunter2 hunter3>)", "User(password=**"),
    ("{'tokens': ('hunter2', 'hunter3')}", "{'tokens': **"),
    ("{'password': b'hunter2', 'n': 1}", "{'password': **, 'n': 1}"),
    ("[('password', 'hunter2'), ('n', 1)]", "[('password', **), ('n', 1)]"),
    ("[(b'authorization', b'Bearer hunter2')]", "[(b'authorization', **)]"),
    ("Cfg('host=a\\npassword=hunter2')", "Cfg('host=a\\npassword=**')"),
    # Nothing in it
    ("Traceback: keyboard: x, at 12:30:01", "Traceback: keyboard: x, at 12:30:01"),
    ("a plain text: with = signs, [and] {more}", "a plain text: with = signs, [and] {more}"),
    ("https://host/?a=1&b=2", "https://host/?a=1&b=2"),
    ("[INFO] started", "[INFO] started"),
    ("", ""),
]


@pytest.mark.parametrize(("text", "expected"), TEXTS)
def test_shown__inside_texts(text: str, expected: str) -> None:
    for given in (text, text.encode()):
        args, kwargs = shown(log_in, [given], {"body": [given]}, DEFAULT_REDACT)
        assert args == saferepr([expected])
        assert kwargs == saferepr({"body": [expected]})


def test_shown__names_of_a_projects_own() -> None:
    redact = ["Пароль"]
    text = json.dumps({"пароль": SECRET})
    assert "\\u" in text

    for given in (text, "x " + text, f"https://host/?%D0%BF%D0%B0%D1%80%D0%BE%D0%BB%D1%8C={SECRET}"):
        assert SECRET not in shown(log_in, [given], {}, redact)[0]


def test_shown__objects_and_sets() -> None:
    class User:
        def __repr__(self) -> str:
            return f"User(name='ann', password='{SECRET}')"

    assert shown(log_in, [User()], {}, DEFAULT_REDACT)[0] == "[User(name='ann', password=**)]"
    assert shown(log_in, [{f"token={SECRET}"}], {}, DEFAULT_REDACT)[0] == "[['token=**']]"


class Login(NamedTuple):
    user: str
    password: str


PAIRS: list[tuple[Any, str]] = [
    (Login("ann", SECRET), "{'user': 'ann', 'password': '**'}"),
    ([["password", SECRET], ["n", 1]], "[['password', '**'], ['n', 1]]"),
    ([(b"Authorization", b"Bearer hunter2")], "[['Authorization', '**']]"),
    ({f"https://{SECRET}@host/": 2, f"password={SECRET}": 1}, "{'https://**@host/': 2, 'password=**': '**'}"),
    ({("x", f"token={SECRET}"): 1}, "{('x', 'token=**'): '**'}"),
    # Two of a kind, and no name among them
    (["ann", "bob"], "['ann', 'bob']"),
]


@pytest.mark.parametrize(("given", "expected"), PAIRS)
def test_shown__pairs_and_keys(given: Any, expected: str) -> None:
    text = shown(log_in, [given], {}, DEFAULT_REDACT)[0]

    assert text.replace('"', "'") == f"[{expected}]".replace('"', "'")


def test_shown__names_behind_an_escape() -> None:
    """What ``repr`` writes as ``\\n`` is no part of the name, also where that must begin so."""
    is_secret = {"ssn", "pin"}.__contains__

    assert mask_inside(r"Cfg('a=1\nssn=hunter2')", is_secret) == r"Cfg('a=1\nssn=**')"
    assert mask_inside(r"Cfg('a=1	pin=hunter2')", is_secret) == r"Cfg('a=1	pin=**')"


def test_shown__json_longer_than_is_parsed() -> None:
    text = json.dumps({"cfg": f"host=a\npassword={SECRET}", "pad": "x" * 2000})

    assert SECRET not in shown(log_in, [text], {}, DEFAULT_REDACT)[0]


# Bounded, and never raising


class Broken:
    def __repr__(self) -> str:
        raise ZeroDivisionError

    __str__ = __repr__


def nested(depth: int) -> Any:
    value: Any = SECRET
    for _ in range(depth):
        value = [value]
    return value


HOSTILE = {
    "deep": nested(100_000),
    "deep JSON": "[" * 900,
    "wide": [[[[n] * 60] * 60] * 60 for n in range(60)],
    "many keys": {f"k{n}": {f"k{m}": m for m in range(1000)} for n in range(1000)},
    "megabytes": '{"a": "' + "x" * 5_000_000,
    "quotes": '"' * 5_000_000,
    "escapes": '\\"' * 1_000_000,
    "brackets": "[=" * 1_000_000,
    "signs": "=" * 1_000_000,
    "URLs": "a://" * 1_000_000,
    "broken": Broken(),
    "huge": 10**5000,
    "names": "a" * 1_000_000 + "=",
    "secret names": "token=" * 200_000,
    "fields": "&token=x" * 200_000,
    "spaces": ("token" + " " * 50) * 20_000,
    "commas": "token=" + "a,)" * 300_000,
    "surrogates": '{"\ud800": "\udfff", "password": "hunter2"} \ud800',
    "bytes": b"\xff" * 5_000_000,
    "not a number": float("nan"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_shown__is_quick_and_never_raises(name: str) -> None:
    started = time.thread_time()

    for text in shown(log_in, [HOSTILE[name]], {"x": HOSTILE[name]}, DEFAULT_REDACT):
        assert len(text) <= MAX_LENGTH + 100
        assert SECRET not in text
    assert time.thread_time() - started < 0.2


def test_shown__of_no_arguments_at_all() -> None:
    assert shown(log_in, None, None, DEFAULT_REDACT) == ("**", "**")  # type: ignore[arg-type]
