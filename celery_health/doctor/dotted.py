"""Dotted names, and in which of their parts two of them differ. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from celery_health.doctor.wording import is_typo


def pieces(words: Iterable[str], wrong: str, *, open_end: bool, open_start: bool) -> Iterator[str]:
    """Yield the words, or, beside a star, their ends, of which `wrong` is a slip of the finger."""
    cuts: list[Callable[[str, int], str]] = [lambda word, size: word]
    if open_end:
        cuts = [lambda word, size: word[:size]]
    elif open_start:
        cuts = [lambda word, size: word[-size:]]
    sizes = range(len(wrong) - 1, len(wrong) + 2)
    for piece in {cut(word, size) for word in words for cut in cuts for size in sizes if size > 0}:
        # At an open end any cut would do for a letter that is missing.
        if open_end and piece[-1:] != wrong[-1] or open_start and piece[:1] != wrong[0]:
            continue
        if is_typo(wrong, piece):
            yield piece


def last(name: str) -> str:
    """Return the last part of a name."""
    return name.rpartition(".")[2]


def common(one: list[str], other: list[str]) -> int:
    """Return how many parts two names have in common from the start."""
    count = 0
    for mine, theirs in zip(one, other, strict=False):
        if mine != theirs:
            break
        count += 1
    return count


def difference(key: str, name: str) -> tuple[str, str, int]:
    """Return the starts in which two names differ, and how many parts they have in common behind those."""
    one, other = key.split("."), name.split(".")
    same = common(one[::-1], other[::-1])
    return ".".join(one[: len(one) - same]), ".".join(other[: len(other) - same]), same


def is_within(some: Iterable[str], parts: Iterable[str]) -> bool:
    """Say whether `some` occur in `parts` in their order."""
    left = iter(parts)
    return all(part in left for part in some)
