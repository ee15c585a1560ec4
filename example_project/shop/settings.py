"""The shop's settings. One variable of the environment chooses the broker: see `shop.broker`."""

from __future__ import annotations

import os
from datetime import timedelta
from pathlib import Path
from typing import Any

from celery.schedules import crontab
from kombu import Queue

from shop import broker

BASE_DIR = Path(__file__).resolve().parent.parent

# Django ----------------------------------------------------------------------------------------------
SECRET_KEY = os.environ.get("SECRET_KEY", "of-an-example-that-listens-on-the-loopback-interface-only")
DEBUG = True
ALLOWED_HOSTS = ["localhost", "127.0.0.1", "[::1]"]

INSTALLED_APPS = [
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.messages",
    "django.contrib.sessions",
    "django.contrib.staticfiles",
    "rest_framework",
    "celery_health",
    "orders",
]
MIDDLEWARE = [
    "celery_health.middleware.ProbeMiddleware",
    "django.middleware.security.SecurityMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
]
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ]
        },
    }
]
ROOT_URLCONF = "shop.urls"
WSGI_APPLICATION = "shop.wsgi.application"
STATIC_URL = "static/"
# Only for the people who log in: neither the shop's tasks nor any verdict needs a database.
DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": os.environ.get("SHOP_DATABASE", BASE_DIR / "db.sqlite3"),
    }
}
# Where the shop keeps what its processes share: for now, whether somebody has broken the payment service.
SHOP_FOLDER = os.environ.get("SHOP_FOLDER", BASE_DIR)
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
TIME_ZONE = "Europe/Lisbon"
USE_TZ = True

# Celery ----------------------------------------------------------------------------------------------
CELERY_BROKER_URL = broker.URL
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
# Celery 6 will have it on: what is acknowledged late is then cancelled, as the broker hands it out again.
CELERY_WORKER_CANCEL_LONG_RUNNING_TASKS_ON_CONNECTION_LOSS = False
CELERY_TIMEZONE = TIME_ZONE
# Nobody asks for results: the broker need not keep them.
CELERY_TASK_IGNORE_RESULT = True
# What takes longer hangs: first the task may tidy up, then its process is killed.
CELERY_TASK_TIME_LIMIT = 120
CELERY_TASK_SOFT_TIME_LIMIT = 90

# One queue for what customers wait for, one for their mail, one for slow work, which has a worker of its own.
CELERY_TASK_QUEUES = [
    Queue(name, routing_key=name, max_priority=10) for name in ("celery", "emails", "reports")
]
CELERY_TASK_ROUTES = {
    "orders.tasks.send_*": {"queue": "emails"},
    "orders.tasks.build_*": {"queue": "reports"},
}
# Of each queue: a rush of orders, or a newsletter, must not hold up what is urgent.
CELERY_TASK_DEFAULT_PRIORITY = broker.NORMAL
if broker.IS_REDIS:
    CELERY_BROKER_TRANSPORT_OPTIONS: dict[str, Any] = {
        "queue_order_strategy": "priority",
        # A Redis that hangs is an error, and no silence.
        "socket_timeout": 5,
        # How long a message may be held before it is given to another worker: longer than any task takes.
        "visibility_timeout": 3600,
    }

CELERY_BEAT_SCHEDULE = {
    "release-expired-baskets": {
        "task": "orders.tasks.release_expired_baskets",
        "schedule": timedelta(seconds=5),
    },
    "refresh-prices": {
        "task": "orders.tasks.refresh_prices",
        "schedule": timedelta(minutes=1),
        "kwargs": {"supplier": "northwind"},
    },
    "build-catalogue": {
        "task": "orders.tasks.build_catalogue",
        "schedule": timedelta(minutes=2),
    },
    "build-sales-report-every-night": {
        "task": "orders.tasks.build_sales_report",
        "schedule": crontab(hour=3, minute=30),
        "kwargs": {"days": 1},
    },
}

# Celery health ---------------------------------------------------------------------------------------
CELERY_HEALTH: dict[str, Any] = {
    # What failed for good is kept, to look at and to send again. The oldest goes first: an example that runs
    # for days is to stay below the 100 letters of a queue at which the verdict is degraded.
    "DEAD_LETTERS": {"enabled": True, "max_length": 80},
    # Staff may see what a task was called with; what is named like a secret ("card_token") is masked.
    "SHOW_ARGUMENTS": True,
    "LIMITS": {
        # How long after a polite stop of the last worker a deploy is assumed to be under way.
        "restart_grace_seconds": float(os.environ.get("RESTART_GRACE_SECONDS", "30")),
        # The last two minutes count instead of ten: who breaks something here wants to see it soon.
        "recent_seconds": 120,
    },
    "TASKS": {
        # Half of all confirmations may fail (the default), but of the payments only a few.
        "orders.tasks.charge_card": {"failure_ratio": 0.1},
    },
}
if os.environ.get("REDIS_URL"):
    CELERY_HEALTH["STORE_URL"] = os.environ["REDIS_URL"]
