"""Whether a task takes the arguments of an entry: what is proven is told, what a decorator hides is not."""

from __future__ import annotations

import contextlib
import functools
import inspect
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from celery import Celery, Task
from celery.beat import BeatLazyFunc

from celery_health.doctor.static.signatures import misfit, signature


@pytest.fixture
def app() -> Iterator[Celery]:
    made = Celery("proj", set_as_current=False, broker="memory://")
    yield made
    made.close()


def plain(order: int, copies: int = 1, *, colour: str = "red") -> None: ...
def needs_colour(order: int, *, colour: str) -> None: ...
def by_position(order: int, /, copies: int = 1) -> None: ...
def anything(*args: Any, **kwargs: Any) -> None: ...
def bound(self: Any, order: int) -> None: ...


class Atomic(contextlib.ContextDecorator):
    """As `transaction.atomic`."""

    def __enter__(self) -> None: ...
    def __exit__(self, *exc: object) -> None: ...


atomic = Atomic()(plain)


def injecting(function: Callable[..., None]) -> Callable[..., None]:
    @functools.wraps(function)
    def wrapper(*args: Any, **kwargs: Any) -> None:
        function(1, *args, **kwargs)

    return wrapper


wrapped = injecting(plain)
claiming = injecting(plain)
claiming.__signature__ = inspect.signature(plain)  # type: ignore[attr-defined]


#: Function, options of its decorator, args, kwargs, and what is said; None where it fits or nobody can tell.
CASES: list[tuple[Any, dict[str, Any], list[Any], dict[str, Any], str | None]] = [
    (plain, {}, [1], {}, None),
    (plain, {}, [], {"order": 1, "colour": "blue"}, None),
    (plain, {}, [], {}, "missing 1 required positional argument: 'order'"),
    (plain, {}, [1, 2, 3], {}, "takes from 1 to 2 positional arguments but 3"),
    (plain, {}, [1], {"size": 2}, "got an unexpected keyword argument 'size'"),
    (plain, {}, [1], {"order": 2}, "got multiple values for argument 'order'"),
    (plain, {"typing": False}, [], {}, "missing a required argument: 'order'"),  # the worker's own error
    (needs_colour, {}, [1], {}, "missing 1 required keyword-only argument: 'colour'"),
    (needs_colour, {"typing": False}, [1], {}, "missing a required"),
    # Celery's own check knows no positional-only parameters.
    (by_position, {}, [], {"order": 1}, "'order' parameter is positional only, but was passed as a keyword"),
    (by_position, {}, [1, 2], {}, None),
    (anything, {}, [1, 2, 3], {"size": 1}, None),
    (bound, {"bind": True}, [1], {}, None),
    (bound, {"bind": True}, [], {}, "missing 1 required positional argument: 'order'"),
    (bound, {"bind": True, "typing": False}, [1, 2], {}, "too many positional arguments"),
    (bound, {"bind": True, "autoretry_for": (OSError,)}, [], {}, "missing 1 required positional"),
    (plain, {"autoretry_for": (OSError,)}, [1], {}, None),
    # Both pass on what they are given.
    (atomic, {}, [], {}, "missing a required argument: 'order'"),
    (atomic, {}, [1], {}, None),
    # What the wrapper adds nobody knows, whatever it says that it takes.
    (wrapped, {}, [], {}, None),
    (wrapped, {"typing": False}, [1, 2, 3], {}, None),
    (claiming, {"typing": False}, [], {}, None),
    (claiming, {}, [], {}, "missing 1 required positional argument: 'order'"),  # Celery's own check
]


@pytest.mark.parametrize(("function", "options", "args", "kwargs", "said"), CASES)
def test_misfit__is_what_the_call_raises(
    app: Celery, function: Any, options: Any, args: Any, kwargs: Any, said: str | None
) -> None:
    task = app._task_from_fun(function, name="task", **options)  # type: ignore[attr-defined]

    found = misfit(task, args, kwargs)

    assert found == said if said is None else said in str(found)


def test_misfit__of_a_class_is_what_run_takes(app: Celery) -> None:
    class Report(Task):  # type: ignore[type-arg]
        name = "report"

        def run(self, month: str, *, year: int = 0) -> None: ...

    task = app.register_task(Report())
    assert misfit(task, ["june"], {}) is None
    assert misfit(task, [], {}) == "missing a required argument: 'month'"
    assert misfit(task, ["june", 3], {}) == "too many positional arguments"
    assert str(signature(task)).startswith("(month")


def test_misfit__of_a_partial_is_what_is_left(app: Celery) -> None:
    class Report(Task):  # type: ignore[type-arg]
        name = "report"
        run = functools.partial(plain, 7)

    task = app.register_task(Report())
    assert misfit(task, [2], {}) is None
    assert misfit(task, [2, 3], {}) == "too many positional arguments"


# pydantic -------------------------------------------------------------------------------------------------


@pytest.fixture
def models() -> Any:
    pydantic = pytest.importorskip("pydantic")

    class Order(pydantic.BaseModel):  # type: ignore[misc,name-defined]
        number: int
        shop: str = pydantic.Field(alias="shopName")
        note: str | None = None

    class Strict(Order):
        model_config = {"extra": "forbid"}

    class Prepared(Order):
        @pydantic.model_validator(mode="before")
        @classmethod
        def prepare(cls, value: Any) -> Any:
            return {"number": 1, "shopName": "x"}

    class Flexible(pydantic.BaseModel):  # type: ignore[misc,name-defined]
        number: int = pydantic.Field(validation_alias=pydantic.AliasChoices("number", "no"))

    return {"Order": Order, "Strict": Strict, "Prepared": Prepared, "Flexible": Flexible}


FULL = {"number": 1, "shopName": "x"}


@pytest.mark.parametrize(
    ("model", "args", "kwargs", "said"),
    [
        ("Order", [FULL], {}, None),
        ("Order", [], {"order": FULL}, None),
        ("Order", [FULL], {"fast": True}, None),
        ("Order", [], {}, "missing a required argument: 'order'"),
        ("Order", [FULL, 1, 2], {}, "too many positional arguments"),
        ("Order", [FULL], {"size": 1}, "got an unexpected keyword argument 'size'"),
        ("Order", [{"shopName": "x"}], {}, "argument 'order' is no Order: 'number' is missing"),
        ("Order", [{"number": 1}], {}, "argument 'order' is no Order: 'shopName' is missing"),
        ("Order", [{**FULL, "size": 1}], {}, None),
        ("Strict", [{**FULL, "size": 1}], {}, "argument 'order' is no Strict: 'size' is not known"),
        ("Order", ["1"], {}, "argument 'order' is no Order: it is of type str, and a dict is wanted"),
        ("Order", [BeatLazyFunc(dict)], {}, None),
        ("Prepared", [{}], {}, None),  # the project's code makes something of it
        ("Flexible", [{}], {}, None),
    ],
)
@pytest.mark.parametrize("is_bound", [False, True])
def test_misfit__of_a_pydantic_task_is_the_models(
    app: Celery, models: Any, model: str, args: Any, kwargs: Any, said: str | None, is_bound: bool
) -> None:
    def unbound(order, fast=False): ...  # type: ignore[no-untyped-def]

    def bound(self, order, fast=False): ...  # type: ignore[no-untyped-def]

    function = bound if is_bound else unbound
    # An optional one is validated by the same model.
    function.__annotations__ = {"order": models[model] | None if is_bound else models[model]}
    task = app._task_from_fun(function, name="task", bind=is_bound, pydantic=True)  # type: ignore[attr-defined]

    assert misfit(task, args, kwargs) == said
    # Whatever is said is what the worker's call raises.
    if said is not None and not any(isinstance(one, BeatLazyFunc) for one in args):
        with pytest.raises((TypeError, ValueError)):
            task(*args, **kwargs)
    elif said is None and not any(isinstance(one, BeatLazyFunc) for one in args) and model != "Flexible":
        task(*args, **kwargs)
