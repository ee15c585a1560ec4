"""Which key of ``task_routes`` was meant by one that matches no task. Pure."""

from __future__ import annotations

import fnmatch
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from difflib import SequenceMatcher, get_close_matches
from functools import cached_property
from typing import Final

from celery_health.doctor.dotted import common, difference, is_within, last, pieces
from celery_health.doctor.evidence import Evidence
from celery_health.doctor.facts import RouteFacts
from celery_health.doctor.wording import is_typo

#: What stands in a text that was meant as a regular expression, and in no name and no glob.
_REGEX_SIGNS: Final = re.compile(r"[\\^$|(+]|\.\*\.|\.\*$")
_WORD: Final = re.compile(r"[^\W\d]\w*")
_DIGITS: Final = re.compile(r"\d")
_ALIKE: Final = 0.9
#: By how much the likest of several must be ahead.
_AHEAD: Final = 0.05


@dataclass(frozen=True, kw_only=True, slots=True)
class Meant:
    """The key that somebody meant."""

    key: str
    """As it is to be written; of a regular expression, its source."""
    tasks: tuple[str, ...]
    """Those that it matches and that do not get what the route gives."""
    fix: str


class MeantKeys:
    """What was meant by keys that match nothing, as far as names tell. One for all keys of a project."""

    def __init__(self, evidence: Evidence) -> None:
        self._evidence = evidence
        self._targets = {name: route.target for route in evidence.routes for name in route.wins}
        exact = {name for route in evidence.routes if not route.is_pattern for name in route.matches}
        narrow = {name for route in evidence.routes if not _is_broad(route) for name in route.matches}
        own = [task.name for task in evidence.own_tasks]
        self._unnamed = [name for name in own if name not in exact]
        """Own tasks that no key names in full."""
        self._unclaimed = [name for name in own if name not in narrow]
        """Those that no key chooses, unless it takes a whole package or everything."""
        self._dead = [route for route in evidence.routes if self._is_dead(route)]

    def of(self, route: RouteFacts) -> Meant | None:
        """Return what was meant by the key of `route`; None where it matches, or nobody can say."""
        if not self._is_dead(route):
            return None
        for guess in (self._at_its_path, self._of_a_module, self._as_regex, self._respelt, self._moved):
            meant = guess(route)
            if meant is not None:
                return meant
        return None

    def _is_dead(self, route: RouteFacts) -> bool:
        # What could not be imported may hold the very task that the key names.
        evidence = self._evidence
        return evidence.knows_all_names and not route.matches and route.key not in evidence.all_names

    # Guesses, the surest first

    def _at_its_path(self, route: RouteFacts) -> Meant | None:
        """Guess that the key says where a task lives that has a name of its own."""
        names = self._missing(route, route.lives_at)
        if not names:
            return None
        if not route.is_pattern or len(names) == 1:
            return _text(names[0], names[:1])
        start = names[0].rpartition(".")[0]
        key = f"{start}.*"
        if start and self._matched(key, sorted(self._evidence.tasks)) == sorted(names):
            return _text(key, names)
        keys = ", ".join(repr(name) for name in names)
        return Meant(key=names[0], tasks=names, fix=f"Write a key for each name: {keys}.")

    def _of_a_module(self, route: RouteFacts) -> Meant | None:
        """Guess that the key names the module of tasks, and lacks the star."""
        key = f"{route.key.strip().rstrip('.')}.*"
        return None if route.is_pattern else self._glob(route, key, self._unclaimed)

    def _as_regex(self, route: RouteFacts) -> Meant | None:
        """Guess that it is a regular expression written as a text, or one that would match further on."""
        if not route.is_regex and not _REGEX_SIGNS.search(route.key):
            return None
        pattern = _compiled(route.key)
        if pattern is None:
            return None
        if not route.is_regex:
            return self._regex(route, route.key)
        return self._regex(route, f".*{route.key}") if not route.key.startswith("^") else None

    def _respelt(self, route: RouteFacts) -> Meant | None:
        """Guess that it is one slip of the finger away, or differs in case or by a blank."""
        tidy = "".join(route.key.split())
        if route.is_regex:
            return self._best(self._regex(route, key) for key in self._respellings(route.key))
        if "*" in tidy:
            keys = [tidy] if tidy != route.key else []
            return self._best(self._glob(route, key, self._unnamed) for key in keys) or self._best(
                self._glob(route, key, self._unnamed) for key in self._respellings(tidy)
            )
        same = [name for name in self._unnamed if name.casefold() == tidy.casefold()]
        slips = same or [name for name in self._unnamed if is_typo(tidy, name)]
        slips = [name for name in slips if name in self._unclaimed] or slips
        names = self._missing(route, slips)
        return _text(names[0], names[:1]) if names else None

    def _moved(self, route: RouteFacts) -> Meant | None:
        """Guess that the task is in another module than the key says, or has nearly that name."""
        if route.is_regex:
            return None
        if route.is_pattern:
            return self._best(self._glob(route, key, self._unclaimed) for key in self._moved_globs(route))
        names = self._missing(route, [self._moved_name(route.key)])
        if not names:
            names = self._missing(route, self._nearly(route.key))
        return _text(names[0], names[:1]) if names else None

    # Spelling

    def _nearly(self, key: str) -> Iterator[str]:
        """Yield the tasks of nearly that name, and not by a number alone.

        In the last part too: long packages make everything look alike.
        """
        part = last(key)
        near = get_close_matches(part, [o for o in self._lasts if abs(len(o) - len(part)) <= 2], 3, _ALIKE)
        for name in self._unclaimed:
            is_near = last(name) in near and _DIGITS.sub("", part) != _DIGITS.sub("", last(name))
            if is_near and SequenceMatcher(None, key, name).ratio() >= _ALIKE:
                yield name

    @cached_property
    def _lasts(self) -> frozenset[str]:
        return frozenset(map(last, self._unclaimed))

    def _respellings(self, key: str) -> Iterator[str]:
        """Yield `key` with one word, or the case of all, put right by what occurs in names."""
        by_case = {word.casefold(): word for word in self._words}
        in_case = _WORD.sub(lambda found: by_case.get(found[0].casefold(), found[0]), key)
        if in_case != key:
            yield in_case
        for found in _WORD.finditer(key):
            begins, ends = key[found.end() :][:1], key[: found.start()][-1:]
            for word in sorted(pieces(self._words, found[0], open_end=begins == "*", open_start=ends == "*")):
                yield key[: found.start()] + word + key[found.end() :]

    @cached_property
    def _words(self) -> frozenset[str]:
        return frozenset(word for name in self._unnamed for word in name.split("."))

    # Moves

    def _moved_name(self, key: str) -> str | None:
        """Return the task of the same last part that was most likely meant."""
        found = [name for name in self._unclaimed if last(name) == last(key) and self._may_be(key, name)]
        if len(found) < 2:
            return found[0] if found else None
        # Keys that were moved together tell where to: the package that takes the most of them.
        ranks = {name: self._rank(key, name) for name in found}
        best = max(ranks.values())
        found = [name for name in found if ranks[name] == best]
        likeness = sorted(((SequenceMatcher(None, key, name).ratio(), name) for name in found), reverse=True)
        if len(found) > 1 and likeness[0][0] - likeness[1][0] < _AHEAD:
            return None
        return likeness[0][1]

    def _rank(self, key: str, name: str) -> tuple[int, int, int]:
        old, new, same = difference(key, name)
        return self._moves[old, new], same, common(key.split("."), name.split("."))

    @cached_property
    def _moves(self) -> Counter[tuple[str, str]]:
        """Return how many dead keys each move explains: the old start of a name → the new one."""
        moves: Counter[tuple[str, str]] = Counter()
        for route in self._dead:
            if not route.is_pattern:
                names = [name for name in self._unclaimed if last(name) == last(route.key)]
                moves.update({difference(route.key, name)[:2] for name in names})
        return moves

    def _may_be(self, key: str, name: str) -> bool:
        """Say whether a key of this last part may mean the task: other projects have such names too."""
        if self._evidence.is_own_name(key) or "." not in key:
            return True
        old, new, same = difference(key, name)
        return same > 1 or self._moves[old, new] > 1 or is_typo(key.split(".")[0], name.split(".")[0])

    def _moved_globs(self, route: RouteFacts) -> Iterator[str]:
        """Yield the globs of other modules that a glob may mean."""
        parts = route.key.split(".")
        fixed = next(index for index, part in enumerate(parts) if "*" in part)
        start, rest = parts[:fixed], ".".join(parts[fixed:])
        for (old, new), count in self._moves.items():
            if count > 1 and old and f"{'.'.join(start)}.".startswith(f"{old}."):
                yield ".".join(filter(None, [new, *start[old.count(".") + 1 :], rest]))
        if start and self._evidence.is_own_name(route.key):
            tells = len(rest.strip("*.")) >= 4
            for other in self._starts:
                # The same module, deeper or less deep; or any, where the rest is a name by itself.
                if other[-1] == start[-1] and (tells or is_within(start, other) or is_within(other, start)):
                    yield ".".join([*other, rest])

    @cached_property
    def _starts(self) -> list[tuple[str, ...]]:
        parts = (name.split(".") for name in self._unclaimed)
        return sorted({tuple(part[:depth]) for part in parts for depth in range(1, len(part))})

    # Trying them out

    def _missing(self, route: RouteFacts, names: Iterable[str | None]) -> tuple[str, ...]:
        """Return those of `names` that would get by the route what they do not get already."""
        return tuple(
            name
            for name in names
            if name is not None and not self._gets_it(name, route.target) and not self._outdoes(name, route)
        )

    def _outdoes(self, name: str, route: RouteFacts) -> bool:
        """Say whether the task has all that the route gives as attributes of its own, which go before it."""
        own = self._evidence.tasks[name].options
        return bool(route.options) and route.options.keys() <= own.keys()

    def _gets_it(self, name: str, target: str) -> bool:
        destination = self._evidence.tasks[name].destination
        there = [f"queue {queue!r}" for queue in destination.queues] if destination else []
        return target in (self._targets.get(name), *there)

    def _matched(self, key: str, names: Iterable[str]) -> list[str]:
        return [name for name in names if fnmatch.fnmatchcase(name, key)]

    def _glob(self, route: RouteFacts, key: str, names: Iterable[str]) -> Meant | None:
        matched = self._missing(route, self._matched(key, names))
        return _text(key, matched) if matched else None

    def _regex(self, route: RouteFacts, source: str) -> Meant | None:
        pattern = _compiled(source)
        names = [name for name in self._unnamed if pattern.match(name)] if pattern else []
        matched = self._missing(route, names)
        fix = f"Write re.compile({_raw(source)}) as the key."
        return Meant(key=source, tasks=matched, fix=fix) if matched else None

    def _best(self, found: Iterable[Meant | None]) -> Meant | None:
        """Return the one that matches the most; None where several match as many."""
        by_key = {meant.key: meant for meant in found if meant is not None}
        ranked = sorted(by_key.values(), key=lambda meant: -len(meant.tasks))
        if len(ranked) > 1 and len(ranked[0].tasks) == len(ranked[1].tasks):
            return None
        return ranked[0] if ranked else None


def _text(key: str, tasks: tuple[str, ...]) -> Meant:
    return Meant(key=key, tasks=tasks, fix=f"Write {key!r}.")


def _is_broad(route: RouteFacts) -> bool:
    """Say whether a pattern takes a whole package, or everything, and so chooses nothing."""
    return route.is_pattern and re.match(r"\^?\w*\\?\.?(\.?\*|\.\+|$)", route.key) is not None


def _compiled(source: str) -> re.Pattern[str] | None:
    try:
        return re.compile(source)
    except re.error:
        return None


def _raw(source: str) -> str:
    return repr(source) if "'" in source or source.endswith("\\") else f"r'{source}'"
