"""Another company's project, which shares a broker with ours and knows nothing of celery_health."""

from __future__ import annotations

import os

from celery import Celery

app = Celery("crm", broker=os.environ.get("CELERY_TEST_BROKER"), set_as_current=False)
app.conf.update(task_default_queue=os.environ.get("CRM_QUEUE", "celery"))


@app.task(name="crm.sync")
def sync() -> None:
    """Do nothing."""


@app.task(name="crm.import_contacts")
def import_contacts() -> None:
    """Do nothing."""
