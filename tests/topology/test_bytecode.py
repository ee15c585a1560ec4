"""Which functions may run long, or ask what nobody can answer, as their bytecode shows."""

from __future__ import annotations

from textwrap import dedent
from types import CodeType

import pytest

from celery_health.topology.bytecode import is_risky

SOUND = {
    "for": "for x in y:\n    if x: continue\n    print([a for a in x])",
    "nested": "for a in b:\n    for c in d:\n        try: pass\n        except E: continue",
    "handlers": "try: a()\nexcept E: b = None\nfinally: c()\nwith d: e()\nreturn g()",
    "retry": "for i in r:\n    try: return a()\n    except E as e:\n        if x: raise\nelse: b()",
    "await": "async for x in y: await x\nasync with a: pass\nreturn [z async for z in q]",
    "large": "for x in y:\n" + "    a(b, c)\n" * 400,
    "none": "return a if b is None or c is not None else d * 5",
}
RISKY = {
    "while": "while x: y()",
    "ever": "while True:\n    try: a()\n    except E: continue",
    "inner": "def k():\n    while a() < 3: pass\nfor x in k: g()",
    "in for": "for a in b:\n    while a: g()",
    "for in it": "while True:\n    for a in b: c()\n    if x(): break",
    "handled": "while not d():\n    try: e()\n    except E: pass\n    with f: g()",
    "large": "while y:\n" + "    a(b, c)\n" * 400,
    "identity": "return a is True",
    "type": "return type(a) is list",
    "match": "match a:\n    case [x, *_]: return x",
    "repeated": "return [a] * 1000000",
}


@pytest.mark.parametrize("body", SOUND.values(), ids=SOUND)
def test_is_risky__not_what_ends_with_its_items(body: str) -> None:
    assert not is_risky(_code(body))


@pytest.mark.parametrize("body", RISKY.values(), ids=RISKY)
def test_is_risky__what_may_not_end_or_looks_behind_a_blank(body: str) -> None:
    assert is_risky(_code(body))


def _code(body: str) -> CodeType:
    head = "async def run():" if "await" in body else "def run():"
    lines = "\n".join(f"    {line}" for line in dedent(body).splitlines())
    module = compile(f"{head}\n{lines}\n", "run", "exec")
    return next(one for one in module.co_consts if isinstance(one, CodeType))
