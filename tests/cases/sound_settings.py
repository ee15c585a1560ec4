"""Settings that look as if they undid each other, and do not."""

from __future__ import annotations

from django.core.cache.backends.redis import RedisCache
from kombu import Queue

from tests.cases.broken_settings import cached
from tests.cases.support import Project, sound

# Caches ------------------------------------------------------------------------------------------------


class Careful(RedisCache):
    """A cache that deletes its own keys alone."""

    def clear(self) -> None: ...


@sound("cache-clears-broker")
def caches_in_databases_of_their_own(p: Project) -> None:
    cached(p, "redis://broker.invalid/1")
    cached(p, "redis://broker.invalid:6380/0", "other-port")
    cached(p, "redis://cache.invalid/0", "other-host")
    cached(p, "redis://broker.invalid/0?db=2", "query")
    p.tasks("shop.clean")


@sound("cache-clears-broker")
def a_replica_of_the_broker_is_read_from(p: Project) -> None:
    # Only the first is written to, and so flushed.
    cached(p, ["redis://cache.invalid/0", "redis://broker.invalid/0"])
    p.tasks("shop.clean")


@sound("cache-clears-broker")
def a_cache_that_clears_its_own_keys(p: Project) -> None:
    cached(p, "redis://broker.invalid/0", BACKEND=f"{Careful.__module__}.{Careful.__qualname__}")
    p.tasks("shop.clean")


@sound("cache-clears-broker")
def caches_that_are_no_redis(p: Project) -> None:
    cached(p, "broker.invalid:11211", BACKEND="django.core.cache.backends.memcached.PyMemcacheCache")
    cached(p, "", "here", BACKEND="django.core.cache.backends.locmem.LocMemCache")
    cached(p, "redis://broker.invalid/0", "gone", BACKEND="no.such.module.Cache")
    p.tasks("shop.clean")


@sound("cache-clears-broker")
def a_cache_in_redis_beside_rabbitmq(p: Project) -> None:
    p.broker("amqp://broker.invalid//")
    cached(p, "redis://broker.invalid/0")
    p.tasks("shop.clean")


@sound("cache-clears-broker")
def cacheops_is_configured_and_not_installed(p: Project) -> None:
    p.settings.INSTALLED_APPS = ["shop"]
    p.settings.CACHEOPS_REDIS = "redis://broker.invalid/0"
    p.tasks("shop.clean")


# What is acknowledged late, and what expires ------------------------------------------------------------


@sound("timeout-repeated")
def a_failed_run_goes_to_the_dead_letters_of_rabbitmq(p: Project) -> None:
    # A quorum queue gives up after twenty deliveries.
    p.broker("amqp://broker.invalid//")
    quorum = {"x-queue-type": "quorum", "x-dead-letter-exchange": "dead"}
    p.conf(
        task_queues=[Queue("celery", queue_arguments=quorum)],
        broker_transport_options={"confirm_publish": True},
        task_acks_late=True,
        task_reject_on_worker_lost=True,
        task_acks_on_failure_or_timeout=False,
    )
    p.tasks("shop.render")


@sound("timeout-repeated")
def a_failed_run_is_not_acknowledged_and_has_no_hard_limit(p: Project) -> None:
    p.conf(task_time_limit=None, task_soft_time_limit=50)
    p.tasks("shop.render", acks_late=True, reject_on_worker_lost=True, acks_on_failure_or_timeout=False)
    p.tasks("shop.clean", acks_on_failure_or_timeout=False, time_limit=60)  # acknowledged before


@sound("retry-expired")
def retries_are_due_before_the_message_expires(p: Project) -> None:
    p.tasks("shop.sync", autoretry_for=(OSError,), default_retry_delay=20)
    p.tasks("shop.pull", autoretry_for=(OSError,), retry_backoff=True)
    p.tasks("shop.push", max_retries=3)
    for name in ("sync", "pull", "push"):
        p.beat(f"shop.{name}", name, options={"expires": 60})
    p.tasks("shop.send", autoretry_for=(OSError,), expires=3600)


@sound("late-option-alone")
def one_of_many_tasks_is_acknowledged_late(p: Project) -> None:
    p.conf(task_reject_on_worker_lost=True)
    p.tasks("shop.render", acks_late=True)
    p.tasks("shop.clean")
