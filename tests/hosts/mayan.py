"""Mayan EDMS: a document archive. Forty queues, six workers, a schedule that beat keeps in a table."""

from tests.hosts.application import Application, Fault

_QUEUES = {
    "worker_a": "converter,default",
    "worker_b": "documents_fast,documents_file,documents_file_slow,documents_slow,documents_version,"
    "events_fast,file_caching,indexing,metadata,ocr,sources,storage,workflows",
    "worker_c": "documents_downloads,documents_exports,documents_periodic,documents_trash,duplicates,"
    "duplicates_slow,events_slow,file_caching_slow,indexing_slow,mailing,parsing,signatures,sources_periodic,"
    "statistics,storage_periodic,task_manager_periodic,workflows_slow",
    "worker_d": "ocr_slow",
    "worker_e": "authentication_attempts,checkouts_periodic,search,search_slow,server_side_events_periodic",
    "worker_f": "file_metadata,signatures_slow",
}
#: As `mayan-edms.py platforms_template supervisord` writes it.
_WORKER = (
    "celery -A mayan worker --concurrency=1 --hostname=mayan-edms-{}.%h --loglevel=INFO -Ofair --queues={}"
)

MAYAN = Application(
    name="mayan-edms",
    version="4.12.2",
    kind="document archive",
    requirements=("mayan-edms==4.12.2", "psycopg[binary]==3.3.9", "redis==8.1.0"),
    headers=("libldap2-dev", "libsasl2-dev"),
    postgres=True,
    settings_module="archive_settings",
    settings="from mayan.settings.production import *  # noqa\n",
    pasted="""
CELERY_TASK_TIME_LIMIT = 600
CELERY_TASK_SOFT_TIME_LIMIT = 540
CELERY_BROKER_TRANSPORT_OPTIONS = {"socket_timeout": 5}
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_WORKER_DISABLE_RATE_LIMITS = True
""",
    env={
        "MAYAN_MEDIA_ROOT": "{folder}",
        "MAYAN_DATABASES": "{{'default': {{'ENGINE': 'django.db.backends.postgresql', 'NAME': 'postgres', "
        "'USER': 'postgres', 'HOST': '127.0.0.1', 'PORT': '{postgres}'}}}}",
        "MAYAN_CELERY_BROKER_URL": "{redis}/0",
        "MAYAN_CELERY_RESULT_BACKEND": "{redis}/1",
    },
    manage="mayan-edms.py",
    prepare=("mayan-edms.py common_initial_setup --no-dependencies --force",),
    workers=tuple(_WORKER.format(name, queues) for name, queues in _QUEUES.items()),
    few_workers=(_WORKER.format("all", ",".join(_QUEUES.values())),),
    beat="celery -A mayan beat --pidfile= -l INFO",
    faults=(
        Fault(
            name="a beat entry under a task's wrong name",
            settings="""
CELERY_BEAT_SCHEDULE = {
    "tidy": {"task": "mayan.apps.duplicates.tasks.task_duplicates_clean_empty_list", "schedule": 3600.0},
}
""",
            finds="E101:beat_entry:tidy",
            fix="'mayan.apps.duplicates.tasks.task_duplicates_clean_empty_lists'",
        ),
        Fault(
            name="a beat entry with a queue that may not be made",
            settings="""
CELERY_BEAT_SCHEDULE = {
    "scan": {
        "task": "mayan.apps.duplicates.tasks.task_duplicates_scan_all",
        "schedule": 86400.0,
        "options": {"queue": "duplicates_slo"},
    },
}
""",
            finds="W105:beat_entry:scan",
            fix="'duplicates_slow'",
        ),
        Fault(
            name="arguments that do not fit",
            settings="""
CELERY_BEAT_SCHEDULE = {
    "rebuild": {
        "task": "mayan.apps.dynamic_search.tasks.task_reindex_backend", "schedule": 86400.0, "args": ("all",),
    },
}
""",
            finds="W201:beat_entry:rebuild",
            fix="takes: ()",
            mend=lambda fix, settings: settings.replace('"args": ("all",)', '"args": ()'),
        ),
        Fault(
            name="an old name of a setting",
            settings="\nCELERYD_PREFETCH_MULTIPLIER = 1\n",
            finds="W116:setting:CELERYD_PREFETCH_MULTIPLIER",
            fix="CELERY_WORKER_PREFETCH_MULTIPLIER",
        ),
        Fault(
            name="tasks run in requests",
            settings="\nCELERY_TASK_ALWAYS_EAGER = True\n",
            finds="W212:setting:task_always_eager",
            fix="CELERY_TASK_ALWAYS_EAGER = False",
        ),
    ),
)
