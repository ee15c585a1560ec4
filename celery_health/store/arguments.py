"""What publish.lua is given of a publication, in the order in which it takes it."""

from __future__ import annotations

import json
from collections.abc import Mapping

from celery_health.store import entries, missing, streaks
from celery_health.store import keys as limits
from celery_health.store.base import Publication
from celery_health.store.keys import Keys
from celery_health.store.readings import LINE_FEED


def arguments(publication: Publication, keys: Keys) -> tuple[str | bytes | int, ...]:
    """Return what publish.lua takes, in its order, after the limits."""
    own = publication
    is_brief = own.kind == "producer"
    given: list[str | bytes | int] = [len(own.caps), *(part for cap in own.caps.items() for part in cap)]
    given += [
        limits.PRODUCER_SEQUENCE_SECONDS if is_brief else limits.SEQUENCE_SECONDS, own.sequence,
        own.acknowledged, int(own.acknowledged_at * 1e6), own.epoch,
    ]  # fmt: skip
    given += (*_couples(own.fields), *_couples(own.ring))
    if own.record is not None and own.name is not None and not is_brief:
        mark = "g" if own.record.get("goodbye") else "-"
        rows = "" if own.rows is None else _json(own.rows)
        given += (own.kind, sent(own.name), own.writer, mark, _json(own.record), rows)
    else:
        given.append("")
    if own.registered is not None:
        fingerprint, names = own.registered
        given += (fingerprint, _json(names))
    else:
        given.append("")
    # Readers take the queues apart at line feeds: one in a name would have each of them looked at, for good.
    consumed = (sent(queue.replace("\n", LINE_FEED)) for queue in own.consumed)
    own_streaks = streaks.arguments(own.streaks, keys.streaks)
    last = (*own_streaks, *_trouble(own, keys), *missing.arguments(own, keys), *entries.arguments(own, keys))
    return (*given, len(own.consumed), *consumed, *_start(own), *last)


def _start(own: Publication) -> tuple[str | bytes | int, ...]:
    start = own.start
    if start is None or own.kind != "worker" or own.name is None:
        return ("",)
    state = int(start.is_ready) + 2 * int(start.is_told)
    # The script takes an age that is over the end of the hour for too old, whatever it is.
    age = int(min(max(0.0, start.age_seconds), 2 * limits.STARTS_SECONDS) * 1e6)
    bounds = (limits.STARTS_SECONDS, limits.MAX_STARTS, limits.MAX_STARTED_NAMES)
    return (state, sent(own.name), own.writer, age, *bounds)


def _trouble(own: Publication, keys: Keys) -> tuple[str | bytes | int, ...]:
    """Return what troubles.lua takes: nothing to say, all is over, or what is amiss."""
    if own.trouble is None:
        return ("",)
    told = _json(own.trouble) if own.trouble else "-"
    return (told, keys.troubles, own.writer, limits.TROUBLE_SECONDS, limits.MAX_TROUBLES)


def _json(value: object) -> str:
    """Return JSON in one line of ASCII: the scripts take texts apart at line feeds."""
    return json.dumps(value, separators=(",", ":"), default=str)


def _couples(counts: Mapping[str, int]) -> tuple[str | int, ...]:
    """Return how many they are, and the couples: in one text, or apart where one holds a line feed."""
    text = "".join([f"{field}\n{amount}\n" for field, amount in counts.items()])
    if text.count("\n") == 2 * len(counts):
        return len(counts), text
    return (len(counts), "", *(part for couple in counts.items() for part in couple))


def sent(name: str) -> bytes:
    """Return a name as it is sent."""
    # A host name may hold bytes that are no text (PEP 383), and redis-py would raise.
    return name.encode("utf-8", "replace")
