"""What the bytecode of a function tells before it runs, and while it does."""

from __future__ import annotations

import dis
from functools import lru_cache
from graphlib import CycleError, TopologicalSorter
from types import CodeType, FrameType
from typing import Final

#: Where a backward jump leads that ends with what it goes through: ``for``, ``await``, ``async for``.
_ENDING: Final = frozenset({"FOR_ITER", "SEND", "GET_ANEXT"})
_JUMPS: Final = frozenset((*dis.hasjrel, *dis.hasjabs))
#: What follows these is reached from elsewhere only.
_LEAVING: Final = frozenset(
    {
        *("RETURN_VALUE", "RETURN_CONST", "RAISE_VARARGS", "RERAISE"),
        *("JUMP_FORWARD", "JUMP_BACKWARD", "JUMP_BACKWARD_NO_INTERRUPT"),
    }
)
#: Steps of ``match`` that ask for a type.
_MATCHING: Final = frozenset({"MATCH_SEQUENCE", "MATCH_MAPPING", "MATCH_CLASS"})
#: What makes large things of a large number.
_GROWING: Final = frozenset({"*", "**", "<<", "*=", "**=", "<<="})
_LARGE: Final = 100_000
#: How many bytes after it was merged in, ``**mapping`` is passed to the call.
_NEXT: Final = 4


@lru_cache(maxsize=1000)
def is_risky(code: CodeType) -> bool:
    """Say whether a function, or one defined in it, may run long, or ask what a blank cannot answer."""
    instructions = list(dis.get_instructions(code))
    is_large = any(type(one) is int and one > _LARGE for one in code.co_consts)
    for before, one in zip(instructions, instructions[1:], strict=False):
        # ``is`` and ``match`` look at the object itself. That something is None, is told otherwise.
        is_identity = one.opname == "IS_OP" and not (before.opname == "LOAD_CONST" and before.argval is None)
        is_growing = is_large and one.opname == "BINARY_OP" and one.argrepr in _GROWING
        if is_identity or is_growing or one.opname in _MATCHING:
            return True
    inner = [one for one in code.co_consts if isinstance(one, CodeType)]
    return _has_while(code, instructions) or any(is_risky(one) for one in inner)


def _has_while(code: CodeType, instructions: list[dis.Instruction]) -> bool:
    """Say whether the code comes to an instruction again other than by a loop that ends with its items."""
    names: dict[int, str] = {}
    steps: dict[int, set[int]] = {}
    following: dis.Instruction | None = None
    for one in reversed(instructions):
        is_extended = one.opname == "EXTENDED_ARG" and following is not None
        names[one.offset] = names[following.offset] if is_extended and following else one.opname
        steps[one.offset] = {following.offset} if following and one.opname not in _LEAVING else set()
        following = one
    for one in instructions:
        if one.opcode in _JUMPS and not (one.argval < one.offset and names[one.argval] in _ENDING):
            steps[one.offset].add(one.argval)
    for entry in dis.Bytecode(code).exception_entries:  # type: ignore[attr-defined]
        for offset in steps:
            if entry.start <= offset < entry.end:
                steps[offset].add(entry.target)
    try:
        TopologicalSorter(steps).prepare()
    except CycleError:
        return True
    return False


def is_raise(code: CodeType, offset: int) -> bool:
    """Say whether the instruction is a ``raise`` of the code itself."""
    return code.co_code[offset] == dis.opmap["RAISE_VARARGS"]


def items_unpacked(frame: FrameType) -> int | None:
    """Return into how many names a frame is just unpacking something; None: it is not."""
    code, at = frame.f_code.co_code, frame.f_lasti
    return code[at + 1] if code[at] == dis.opmap["UNPACK_SEQUENCE"] else None


def is_passed_on(merged: tuple[int, int] | None, frame: FrameType) -> bool:
    """Say whether a frame's call is the one that ``**`` of this place (frame's id, offset) is for."""
    return merged is not None and merged[0] == id(frame) and 0 <= frame.f_lasti - merged[1] <= _NEXT


def is_merging(frame: FrameType) -> bool:
    """Say whether a frame is just passing ``**mapping`` to a call."""
    return frame.f_code.co_code[frame.f_lasti] == dis.opmap["DICT_MERGE"]


def is_ours(frame: FrameType) -> bool:
    """Say whether a frame is of this package, not of a copy of somebody's code."""
    return str(frame.f_globals.get("__name__", "")).startswith("celery_health.")
