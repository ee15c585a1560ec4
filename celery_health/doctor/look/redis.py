"""What a Redis broker, and the Redis of the results, show to whoever looks; nothing there is changed."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from contextlib import closing
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from kombu import Connection
from redis.exceptions import ResponseError

from celery_health.connections.redis import RedisLink, is_redis
from celery_health.connections.redis_keys import RedisKeys
from celery_health.connections.urls import masked_url, secrets_of
from celery_health.deadline import Deadline
from celery_health.doctor.evidence import Evidence
from celery_health.doctor.live import PIDBOX, LiveEvidence, RedisServer, WaitingMessages
from celery_health.doctor.look.redis_parts import Look
from celery_health.text.masking import describe_error

if TYPE_CHECKING:
    from celery import Celery

#: Seconds for everything that is asked of one server.
LOOK_SECONDS: Final = 2.0
#: Databases of one Redis that are looked into for workers.
MOST_DATABASES: Final = 16


def look_at_broker(
    app: Celery, evidence: Evidence, live: LiveEvidence, deadline: Deadline, notes: list[str]
) -> LiveEvidence:
    """Return `live` with what the broker shows; a part that it refuses is a note."""
    source = app.connection_for_read()
    secrets = secrets_of(source)
    url = masked_url(source)
    try:
        with closing(RedisLink(source)) as link:
            look = Look(link, RedisKeys(source), deadline.within(LOOK_SECONDS))
            for what, part in _parts(evidence, look, url):
                try:
                    live = part(live)
                except ResponseError as error:  # an ACL, most likely
                    notes.append(f"{what} of the broker: {describe_error(error, secrets)}")
            if not evidence.workers:
                live = replace(live, elsewhere=_elsewhere(app, look, live))
    except Exception as error:  # it went away, or is too slow
        notes.append(f"the broker at {url}: {describe_error(error, secrets)}")
    return live


def _parts(
    evidence: Evidence, look: Look, url: str
) -> list[tuple[str, Callable[[LiveEvidence], LiveEvidence]]]:
    """Return what is looked at, each with its name for notes."""
    queues = {queue.name: queue.ready for queue in evidence.live.snapshot.queues} if evidence.live else {}
    exchanges = {to.exchange for to in _destinations(evidence) if to is not None and to.exchange}
    exchanges |= {binding.exchange for binding in evidence.bindings}
    fanout = {binding.exchange for binding in evidence.bindings if binding.exchange_type == "fanout"}
    return [
        ("the memory", lambda live: replace(live, servers=(*live.servers, look.server("broker", url)))),
        ("the bindings", lambda live: replace(live, bindings=look.bindings({*exchanges, PIDBOX}))),
        ("waiting messages", lambda live: replace(live, waiting=_waiting(evidence, look, queues))),
        ("unacknowledged messages", lambda live: replace(live, unacked=look.unacked())),
        ("reply queues", lambda live: replace(live, reply_queues=look.reply_queues(f"reply.{PIDBOX}"))),
        ("abandoned queues", lambda live: _with_abandoned(live, look, set(queues), fanout)),
        ("lists of broadcasts", lambda live: _with_broadcasts(live, look, fanout)),
    ]


def _waiting(evidence: Evidence, look: Look, queues: Mapping[str, int | None]) -> dict[str, WaitingMessages]:
    names = evidence.all_names
    return look.waiting(queues, names.__contains__, takes_json="json" in evidence.conf.accepted)


def _with_broadcasts(live: LiveEvidence, look: Look, fanout: Collection[str]) -> LiveEvidence:
    """Return `live` with the lists of broadcasts, and what lies in them."""
    lists = look.broadcast_lists(fanout)
    filled = {name: ready for those in lists.values() for name, ready in those.items()}
    return replace(live, broadcast_lists=lists, waiting={**live.waiting, **look.waiting(filled)})


def _with_abandoned(live: LiveEvidence, look: Look, known: set[str], fanout: Collection[str]) -> LiveEvidence:
    """Return `live` with the queues that nobody knows, and what waits in them."""
    abandoned = look.unknown_queues(known, fanout)
    return replace(live, abandoned=abandoned, waiting={**live.waiting, **look.waiting(abandoned)})


def _destinations(evidence: Evidence) -> list[Any]:
    return [task.destination for task in evidence.own_tasks] + [e.destination for e in evidence.all_entries]


def _elsewhere(app: Celery, look: Look, live: LiveEvidence) -> dict[int, tuple[str, ...]]:
    """Return the workers that listen in other databases of the same Redis; none are known in this one."""
    found = {}
    here = str(app.connection_for_read().virtual_host or "0").strip("/") or "0"
    for number in look.databases()[:MOST_DATABASES]:
        if str(number) == here:
            continue
        source: Any = app.connection_for_read()
        source.virtual_host = str(number)
        with closing(RedisLink(source)) as link:
            names = Look(link, look.keys, look.deadline).control_names(PIDBOX)
        if names:
            found[number] = names
    return found


def look_at_backend(app: Celery, live: LiveEvidence, deadline: Deadline, notes: list[str]) -> LiveEvidence:
    """Return `live` with the server that keeps the results, if that is a Redis."""
    conf: Any = app.conf
    url = conf.result_backend
    if not isinstance(url, str) or not url.startswith(("redis://", "rediss://")):
        return live
    source = Connection(url, ssl=conf.redis_backend_use_ssl)
    if not is_redis(source):
        return live
    shown = masked_url(source)
    try:
        with closing(RedisLink(source)) as link:
            look = Look(link, RedisKeys(source), deadline.within(LOOK_SECONDS))
            server = look.server("result backend", shown)
    except Exception as error:
        notes.append(f"the result backend at {shown}: {describe_error(error, [source.password])}")
        return live
    shared = _place(source) == _place(app.connection_for_read())
    servers: list[RedisServer] = [replace(one, is_shared=shared) for one in (*live.servers, server)]
    return replace(live, servers=tuple(servers))


def _place(connection: Connection) -> tuple[object, ...]:
    database = str(connection.virtual_host or "0").strip("/") or "0"
    return (connection.hostname, connection.port or 6379, database)
