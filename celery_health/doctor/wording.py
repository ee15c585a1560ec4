"""How the doctor puts things: lists of names, and what somebody may have meant."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from difflib import SequenceMatcher, get_close_matches
from typing import Final

_MOST_NAMES: Final = 5
_ALIKE: Final = 0.6


def listed(names: Iterable[str], most: int = _MOST_NAMES) -> str:
    """Return ``'a', 'b' and 'c'``, or the first few ``and 7 more``."""
    quoted = [repr(name) for name in names]
    if len(quoted) > most:
        return f"{', '.join(quoted[:most])} and {len(quoted) - most} more"
    if len(quoted) < 2:
        return "".join(quoted)
    return f"{', '.join(quoted[:-1])} and {quoted[-1]}"


def subjects(names: Collection[str], one: str, several: str) -> str:
    """Return names as what a sentence is about, with its verb: ``'a' is`` or ``'a' and 'b' are``."""
    return f"{listed(names)} {one if len(names) == 1 else several}"


def meant(name: str, known: Collection[str], tasks_at: Mapping[str, str] | None = None) -> tuple[str, ...]:
    """Return which of `known` somebody may have meant by `name`, the likeliest first.

    The task that really lives at that dotted path; else those of the same last segment; else the nearest.
    """
    at_path = (tasks_at or {}).get(name)
    if at_path is not None and at_path in known:
        return (at_path,)
    last = name.rpartition(".")[2]
    same_last = sorted(other for other in known if other.rpartition(".")[2] == last and other != name)
    if same_last:
        return tuple(get_close_matches(name, same_last, 3, 0.0))
    # Long common packages make everything look alike: the last part has to be like it too.
    near = [
        (likeness, other)
        for other in get_close_matches(name, sorted(known), 20, 0.6)
        if (likeness := _likeness(last, other.rpartition(".")[2])) >= _ALIKE
    ]
    return tuple(other for _, other in sorted(near, key=lambda pair: -pair[0])[:3])


def _likeness(one: str, other: str) -> float:
    if min(len(one), len(other)) > 2 and (one.startswith(other) or other.startswith(one)):
        return 1.0
    return SequenceMatcher(None, one, other).ratio()


def is_typo(written: str, right: str) -> bool:
    """Say whether `written` looks like a slip of the finger for `right`.

    One letter too many, too few, another, or two swapped; not where only a number or a short part of the
    name differs, as in ``queue-1`` and ``queue-2``, or ``jobs-uk`` and ``jobs-us``.
    """
    if written == right or min(len(written), len(right)) < 4 or abs(len(written) - len(right)) > 1:
        return False
    start = 0
    while start < min(len(written), len(right)) and written[start] == right[start]:
        start += 1
    one, other = written[start:], right[start:]
    swapped = len(one) > 1 and one[0:2] == other[1::-1] and one[2:] == other[2:]
    if not (swapped or one[1:] == other or one == other[1:] or one[1:] == other[1:]):
        return False
    if (one[:1] + other[:1]).strip("0123456789-_.:/") == "":
        return False
    return len(_part_at(right, start)) >= 4 and not (one[:1].isdigit() or other[:1].isdigit())


def _part_at(name: str, index: int) -> str:
    """Return the part of a name, between its separators, around `index`."""
    separators = "-_.:/"
    begin = end = min(index, len(name) - 1)
    if name[begin] in separators:
        return ""
    while begin > 0 and name[begin - 1] not in separators:
        begin -= 1
    while end < len(name) and name[end] not in separators:
        end += 1
    return name[begin:end]
