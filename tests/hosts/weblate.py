"""Weblate: a translation platform. A schedule that its modules add to, workers that skip Django's checks."""

from tests.hosts.application import Application, Fault

_SETTINGS = """
import os

from weblate.settings_example import *  # noqa

SITE_DOMAIN = "localhost:8080"
SITE_URL = f"https://{SITE_DOMAIN}"
OTP_WEBAUTHN_RP_ID = "localhost"
OTP_WEBAUTHN_ALLOWED_ORIGINS = [SITE_URL]
SECRET_KEY = "only for tests, where nobody signs in: 0123456789abcdefghijklmnopqrst"
DATA_DIR = os.environ["WEBLATE_DATA"]
CACHE_DIR = f"{DATA_DIR}/cache"
MEDIA_ROOT = f"{DATA_DIR}/media"
STATIC_ROOT = f"{CACHE_DIR}/static"
DATABASES["default"] |= {"NAME": "postgres", "USER": "postgres", "PORT": os.environ["DATABASE_PORT"]}
CACHES["default"]["LOCATION"] = os.environ["REDIS"] + "/1"
CELERY_BROKER_URL = os.environ["REDIS"] + "/0"
CELERY_RESULT_BACKEND = CELERY_BROKER_URL
"""

_ROUTES = "\nCELERY_TASK_ROUTES = {{{}, {}, **CELERY_TASK_ROUTES}}\n"
_BROAD = '"weblate.trans.tasks.c*": {"queue": "celery"}'
_NARROW = '"weblate.trans.tasks.cleanup_*": {"queue": "backup"}'
_WORKER = "celery --app=weblate.utils worker --concurrency=1 --loglevel=info --queues={queues} -n {name}@%h"

WEBLATE = Application(
    name="weblate",
    version="2026.10.1",
    kind="translation platform",
    requirements=("weblate[postgres]==2026.10.1",),
    headers=(
        "libacl1-dev",
        "libssl-dev",
        "liblz4-dev",
        "libzstd-dev",
        "libxxhash-dev",
        "libcairo2-dev",
        "libgirepository1.0-dev",
        "pkg-config",
    ),
    postgres=True,
    settings_module="translate_settings",
    settings=_SETTINGS,
    pasted="""
CELERY_TASK_TIME_LIMIT = 600
CELERY_TASK_SOFT_TIME_LIMIT = 540
CELERY_BROKER_TRANSPORT_OPTIONS = {"socket_timeout": 5}
""",
    env={"WEBLATE_DATA": "{folder}", "DATABASE_PORT": "{postgres}", "REDIS": "{redis}"},
    manage="weblate",
    prepare=("weblate migrate",),
    workers=tuple(
        _WORKER.format(name=name, queues=name)
        for name in ("celery", "notify", "memory", "backup", "translate")
    ),
    few_workers=(_WORKER.format(name="celery", queues="celery,notify,memory,backup,translate"),),
    beat="celery --app=weblate.utils beat --pidfile= --loglevel=info",
    faults=(
        Fault(
            name="a route to a queue that is misspelt",
            settings='\nCELERY_TASK_ROUTES["weblate.fonts.tasks.*"] = {"queue": "bakcup"}\n',
            finds="I314:queue:bakcup",
            follows=("E104:queue:bakcup",),
            fix="Write 'backup'",
            verdict="degraded",  # an entry of the schedule goes there
        ),
        Fault(
            name="another time zone for Celery than Django's",
            settings='\nCELERY_TIMEZONE = "Asia/Tokyo"\n',
            finds="I306:setting:timezone",
            fix="CELERY_TIMEZONE = ",
        ),
        Fault(
            name="an option of a route that is misspelt",
            settings='\nCELERY_TASK_ROUTES["weblate.memory.tasks.*"] = {"queue": "memory", "prioritty": 3}\n',
            finds="W123:route:weblate.memory.tasks.*",
            fix="'priority'",
        ),
        Fault(
            name="views that read results without a backend",
            settings="\nCELERY_RESULT_BACKEND = None\n",
            finds="W223:setting:result_backend",
            fix="Set CELERY_RESULT_BACKEND",
            mend=lambda fix, settings: settings.replace("None", "CELERY_BROKER_URL"),
        ),
        Fault(
            name="a broad route before a narrow one",
            settings=_ROUTES.format(_BROAD, _NARROW),
            finds="W103:route:weblate.trans.tasks.cleanup_*",
            fix="Put 'weblate.trans.tasks.cleanup_*' before 'weblate.trans.tasks.c*'",
            mend=lambda fix, settings: _ROUTES.format(_NARROW, _BROAD),
        ),
    ),
)
