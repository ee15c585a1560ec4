"""pretix: a ticket shop. No beat, five queues with priorities, plugins as further applications."""

from tests.hosts.application import Application, Fault

#: It has a name of its own, as a second worker on this host would need one else.
WORKER = "celery -A pretix.celery_app worker -l info -c 1 -n shop@%h"

PRETIX = Application(
    name="pretix",
    version="2026.8.0",
    kind="ticket shop",
    requirements=("pretix==2026.8.0",),
    settings_module="shop_settings",
    settings="from pretix.settings import *  # noqa\n",
    pasted="""
CELERY_TASK_TIME_LIMIT = 600
CELERY_TASK_SOFT_TIME_LIMIT = 540
CELERY_BROKER_TRANSPORT_OPTIONS["socket_timeout"] = 5
CELERY_WORKER_CANCEL_LONG_RUNNING_TASKS_ON_CONNECTION_LOSS = False
""",
    env={
        "DATA_DIR": "{folder}",
        "PRETIX_CELERY_BROKER": "{redis}/0",
        "PRETIX_CELERY_BACKEND": "{redis}/1",
        "PRETIX_REDIS_LOCATION": "{redis}/2",
    },
    manage="python -m pretix",
    prepare=("python -m pretix migrate",),
    workers=(WORKER,),
    faults=(
        Fault(
            name="a beat entry and a route under an unknown name, to a queue nobody consumes",
            settings="""
CELERY_BEAT_SCHEDULE = {
    "remind": {"task": "pretix.base.services.update_check.update_chek", "schedule": 3600.0},
}
CELERY_TASK_ROUTES = (
    {"pretix.base.services.update_check.update_chek": {"queue": "ai_tasks"}}, *CELERY_TASK_ROUTES,
)
""",
            finds="E101:beat_entry:remind",
            follows=(
                "E104:queue:ai_tasks",
                "W102:route:pretix.base.services.update_check.update_chek",
            ),
            fix="'pretix.base.services.update_check.update_check'",
            verdict="degraded",
        ),
        Fault(
            name="a plugin's tasks routed to a queue that no worker consumes",
            settings="""
CELERY_TASK_ROUTES = ([("pretix.plugins.sendmail.*", {"queue": "newsletter"})], *CELERY_TASK_ROUTES)
""",
            finds="E104:queue:newsletter",
            fix="celery -A pretix.celery_app worker -Q newsletter",
        ),
        Fault(
            name="a route key that is misspelt",
            settings="""
CELERY_TASK_ROUTES = (
    {"pretix.plugins.stripe.tasks.stripe_verify_domian": {"queue": "background"}}, *CELERY_TASK_ROUTES,
)
""",
            finds="W102:route:pretix.plugins.stripe.tasks.stripe_verify_domian",
            fix="Write 'pretix.plugins.stripe.tasks.stripe_verify_domain'",
        ),
        Fault(
            name="a visibility timeout shorter than what retries wait",
            settings="""
CELERY_BROKER_TRANSPORT_OPTIONS = {**CELERY_BROKER_TRANSPORT_OPTIONS, "visibility_timeout": 700}
""",
            finds="W204:task:pretix.api.webhooks.notify_webhooks",
            fix="CELERY_BROKER_TRANSPORT_OPTIONS['visibility_timeout'] = 1800",
        ),
        Fault(
            name="a serializer that workers refuse",
            settings='\nCELERY_TASK_SERIALIZER = "pickle"\n',
            finds="W117:setting:task_serializer",
            fix="CELERY_TASK_SERIALIZER = 'json'",
        ),
    ),
)
