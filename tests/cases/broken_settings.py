"""Settings that undo each other."""

from __future__ import annotations

from typing import Any

from tests.cases.support import Project, broken

DJANGO_CACHE = "django.core.cache.backends.redis.RedisCache"


def cached(p: Project, location: Any, alias: str = "default", **given: Any) -> None:
    """Have a cache of Django's own in Redis."""
    caches = dict(getattr(p.settings, "CACHES", {}))
    p.settings.CACHES = {**caches, alias: {"BACKEND": DJANGO_CACHE, "LOCATION": location, **given}}


# Caches ------------------------------------------------------------------------------------------------

DEFAULT = "W228:setting:CACHES['default']"
LOCATION = "CACHES['default']['LOCATION']"


@broken(DEFAULT, fix=f"{LOCATION} = 'redis://broker.invalid:6379/1', or")
def the_cache_is_in_the_brokers_database(p: Project) -> None:
    cached(p, "redis://broker.invalid:6379/0", KEY_PREFIX="cache", VERSION=2)
    p.tasks("shop.clean")


@broken(DEFAULT, fix=f"{LOCATION} = 'redis://127.0.0.1/1'")
def the_cache_names_the_brokers_host_another_way(p: Project) -> None:
    p.broker("redis://localhost")
    cached(p, "redis://127.0.0.1")
    p.tasks("shop.clean")


# The password is not printed: what is there is changed.
@broken(DEFAULT, fix=f"{LOCATION} += '?db=2'")
def the_cache_has_a_password_in_its_address(p: Project) -> None:
    p.broker("redis://:hunter2@broker.invalid/0")
    p.conf(result_backend="redis://:hunter2@broker.invalid/1")
    cached(p, "redis://:hunter2@Broker.Invalid:6379/0")
    p.tasks("shop.clean")


@broken(DEFAULT, fix=f"{LOCATION} = [url + '?db=1' for url in CACHES['default']['LOCATION']]")
def the_cache_has_replicas_and_passwords(p: Project) -> None:
    cached(p, ["redis://:hunter2@broker.invalid/0", "redis://:hunter2@replica.invalid/0"])
    p.tasks("shop.clean")


@broken(DEFAULT, fix=f"{LOCATION} = 'redis://broker.invalid/1,redis://replica.invalid/1'")
def the_cache_has_replicas_in_one_text(p: Project) -> None:
    cached(p, "redis://broker.invalid/0; redis://replica.invalid/0")
    p.tasks("shop.clean")


@broken(DEFAULT, fix=f"{LOCATION} = CACHES['default']['LOCATION'].replace('?db=0', '?db=1')")
def the_cache_has_its_database_in_the_query(p: Project) -> None:
    cached(p, "redis://:hunter2@broker.invalid/7?db=0")
    p.tasks("shop.clean")


@broken(DEFAULT, fix=f"{LOCATION} = 'redis://broker.invalid/1'")
def the_cache_has_its_database_in_its_options(p: Project) -> None:
    p.broker("redis://broker.invalid/5")
    cached(p, "redis://broker.invalid", OPTIONS={"db": 5})
    p.tasks("shop.clean")


@broken(DEFAULT, fix=f"{LOCATION} = 'unix:///run/redis.sock?db=1'")
def the_cache_is_on_the_brokers_socket(p: Project) -> None:
    p.broker("redis+socket:///run/redis.sock")
    cached(p, "unix:///run/redis.sock")
    p.tasks("shop.clean")


@broken(DEFAULT, fix=f"{LOCATION} = 'rediss://broker.invalid:6380/1'")
def the_cache_is_where_the_broker_fails_over_to(p: Project) -> None:
    p.conf(broker_url=["redis://first.invalid/0", "rediss://broker.invalid:6380/0?ssl_cert_reqs=none"])
    cached(p, "rediss://broker.invalid:6380/0")
    p.tasks("shop.clean")


@broken("W228:setting:CACHES['pages']", fix="CACHES['pages']['LOCATION'] = 'redis://results.invalid/3'")
def another_cache_is_in_the_database_of_the_results(p: Project) -> None:
    p.conf(result_backend="redis://results.invalid/1")
    cached(p, "redis://results.invalid/1", "pages")
    cached(p, "redis://results.invalid/2")
    p.tasks("shop.clean")


@broken(DEFAULT, fix=f"{LOCATION} = 'redis://counts.invalid/1'")
def the_cache_is_in_the_database_of_the_store(p: Project) -> None:
    p.health["STORE_URL"] = "redis://counts.invalid/0"
    cached(p, "redis://counts.invalid/0")
    p.tasks("shop.clean")


@broken("W228:setting:CACHEOPS_REDIS", fix="CACHEOPS_REDIS['db'] = 1")
def cached_queries_are_in_the_brokers_database(p: Project) -> None:
    p.settings.INSTALLED_APPS = ["cacheops"]
    p.settings.CACHEOPS_REDIS = {"host": "broker.invalid", "port": 6379, "db": 0}
    p.tasks("shop.clean")


# What is acknowledged late, and what expires ------------------------------------------------------------


@broken("W230:setting:task_acks_on_failure_or_timeout", fix="app.conf.task_acks_on_timeout = True")
def a_run_over_its_limit_is_put_back_without_end(p: Project) -> None:
    p.conf(task_acks_late=True, task_reject_on_worker_lost=True, task_acks_on_failure_or_timeout=False)
    p.tasks("shop.render", "shop.clean")


@broken("W230:task:shop.render", fix="acks_on_timeout=True on the task")
def one_task_is_not_acknowledged_on_a_timeout(p: Project) -> None:
    p.tasks("shop.render", acks_late=True, reject_on_worker_lost=True, acks_on_failure_or_timeout=False)
    p.tasks("shop.clean")


@broken(
    "W231:beat_entry:sync",
    fix="'expires': 720 in its options, or a default_retry_delay of",
)
def an_entry_expires_before_a_retry_of_its_task_is_due(p: Project) -> None:
    p.tasks("shop.sync", autoretry_for=(OSError,))
    p.beat("shop.sync", "sync", options={"expires": 60})


@broken("W231:task:shop.sync", fix="expires=400 on the task, or a default_retry_delay of the task below 30.")
def a_task_expires_before_its_retry_is_due(p: Project) -> None:
    p.tasks("shop.sync", autoretry_for=(OSError,), retry_kwargs={"countdown": 100}, expires=30)


@broken("W232:setting:task_reject_on_worker_lost", fix="app.conf.task_acks_late = True, if it may")
def tasks_are_to_survive_a_killed_process_and_are_acknowledged_before(p: Project) -> None:
    p.conf(task_reject_on_worker_lost=True)
    p.tasks("shop.render", "shop.clean")


@broken("W232:task:shop.render", fix="acks_late=True on the task, if it may run twice")
def one_task_is_to_survive_and_is_acknowledged_before(p: Project) -> None:
    p.tasks("shop.render", reject_on_worker_lost=True)
    p.tasks("shop.clean", acks_late=True, reject_on_worker_lost=True)
