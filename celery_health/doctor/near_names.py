"""Which option of Celery a name is nearly that of. Pure: by Celery's own table of options.

A name that another library reads may look like one, too (``CELERY_EMAIL_BACKEND``): it is near to an option
where a letter or two, an underscore, an ending or the first part is all that differs.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from functools import lru_cache
from typing import Final

#: What people write who know other libraries, or half of the name → what they mean.
_USUAL: Final[Mapping[str, str]] = {
    "broker": "broker_url",
    "broker_uri": "broker_url",
    "broker_address": "broker_url",
    "broker_connection": "broker_url",
    "broker_connection_url": "broker_url",
    "url": "broker_url",
    "backend": "result_backend",
    "backend_url": "result_backend",
    "result_backend_url": "result_backend",
    "result_url": "result_backend",
    "result_store": "result_backend",
    "time_limit": "task_time_limit",
    "soft_time_limit": "task_soft_time_limit",
    "hard_time_limit": "task_time_limit",
    "task_hard_time_limit": "task_time_limit",
    "eager": "task_always_eager",
    "task_eager": "task_always_eager",
    "routes": "task_routes",
    "schedule": "beat_schedule",
    "scheduler": "beat_scheduler",
    "queues": "task_queues",
    "tz": "timezone",
    "accept_contents": "accept_content",
    "accepted_content": "accept_content",
    "task_accept_content": "accept_content",
    "broker_options": "broker_transport_options",
    "transport_options": "broker_transport_options",
}
#: First parts that people leave out.
_PARTS: Final = ("task_", "worker_", "beat_", "broker_", "result_")
#: An option has as many letters at least, for one of them to be a slip.
_LEAST_LETTERS: Final = 6
#: And as many, for two.
_LONG: Final = 13


def near(key: str, options: Collection[str]) -> tuple[str, ...]:
    """Return which of Celery's `options` somebody meant by `key`, neither of them with a prefix.

    Nothing where it is one of them, or is near to none. Several where the same is left out of all.
    """
    if key in options:
        return ()
    bare = key.strip("_")
    if bare in options:
        return (bare,)
    if bare in _USUAL and _USUAL[bare] in options:
        return (_USUAL[bare],)
    plain = {plain_name(option): option for option in options}
    if plain_name(bare) in plain:
        return (plain[plain_name(bare)],)
    singular = {_singular(name): option for name, option in _USUAL.items() if option in options}
    singular |= {_singular(option): option for option in options}
    if _singular(bare) in singular:
        return (singular[_singular(bare)],)
    # The first part is left out: `prefetch_multiplier` of `worker_prefetch_multiplier`.
    if "_" in bare or bare == "concurrency":
        longer = sorted(one for one in options if one.partition("_")[2] == bare and one.startswith(_PARTS))
        if longer:
            return tuple(longer)
        # The last part is: `worker_prefetch` of it.
        longer = [option for option in options if option.startswith(f"{bare}_")]
        if len(longer) == 1:
            return tuple(longer)
    return _by_letters(bare, options)


def is_slip(written: str, right: str) -> bool:
    """Say whether two names differ by one letter, or two that are long; underscores count for nothing."""
    one, other = plain_name(written), plain_name(right)
    most = 0 if len(other) < _LEAST_LETTERS else 1 if len(other) < _LONG else 2
    return abs(len(one) - len(other)) <= most and distance(one, other, most) <= most


@lru_cache(maxsize=1024)
def plain_name(name: str) -> str:
    """Return a name in lower case, without what joins its parts."""
    return name.replace("_", "").replace("-", "").lower()


def _singular(name: str) -> str:
    return "_".join(part.removesuffix("s") for part in name.split("_"))


def _by_letters(key: str, options: Collection[str]) -> tuple[str, ...]:
    """Return the nearest option by letters; none where two are equally near, or it is far from all."""
    plain, found = plain_name(key), dict[str, int]()
    for option in options:
        other = plain_name(option)
        most = 0 if len(other) < _LEAST_LETTERS else 1 if len(other) < _LONG else 2
        if (far := distance(plain, other, most)) <= most:
            found[option] = far
    if not found:
        return ()
    least = min(found.values())
    nearest = [option for option, far in found.items() if far == least]
    return (nearest[0],) if len(nearest) == 1 else ()


def distance(one: str, other: str, most: int) -> int:
    """Return how many letters have to be put in, left out, changed or swapped; over `most`, just more."""
    # Nearly all that is asked about: a letter that is put in or left out changes the length, and one that is
    # changed at most two of all that are there.
    if abs(len(one) - len(other)) > most or len(set(one) ^ set(other)) > 2 * most:
        return most + 1
    before: list[int] = []
    row = list(range(len(other) + 1))
    for i, letter in enumerate(one, 1):
        before, last, row = row, before, [i]
        for j, right in enumerate(other, 1):
            cost = min(before[j] + 1, row[j - 1] + 1, before[j - 1] + (letter != right))
            if i > 1 and j > 1 and letter == other[j - 2] and one[i - 2] == right:
                cost = min(cost, last[j - 2] + 1)
            row.append(cost)
        if min(row) > most:
            return most + 1
    return row[-1]
