"""The first answer of a one-shot command, with all that it imports, beside the command without a reading."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile

from tests.benchmarks.base import Figure
from tests.support import ROOT, RedisServer, project_env

ROUNDS = 11

#: Says how many of the processor's seconds it took: others may be at work here.
_COMMAND = """
import os
import time

import django
from django.core.management import call_command

django.setup()
if not os.environ["BENCH_READS"]:
    from celery_health.conf import get_settings
    from celery_health.health import judge
    from celery_health.management.subcommands import verdict
    from celery_health.testing import make_snapshot

    verdict.prepare = lambda: None
    verdict.get_report = lambda deadline, is_one_shot: judge(make_snapshot(), get_settings())
try:
    call_command("celery_health", verbosity=0)
except SystemExit:
    pass
print(time.process_time())
"""


def bench_first_answer() -> Figure:
    with RedisServer() as redis, tempfile.TemporaryDirectory() as compiled:
        for reads in ("1", ""):  # as everywhere, what is imported was compiled before
            _run(redis.url, reads, compiled)
        rounds = [{reads: _run(redis.url, reads, compiled) for reads in ("1", "")} for _ in range(ROUNDS)]
    fastest = {reads: min(took[reads] for took in rounds) for reads in ("1", "")}
    return Figure(
        name="first answer of a command / the same without a reading",
        ours_seconds=fastest["1"] - fastest[""],
        floor_seconds=fastest[""],
        ratio=statistics.median(took["1"] / took[""] for took in rounds),
        target=0.15,
        target_is_seconds=True,
    )


def _run(broker_url: str, reads: str, compiled: str) -> float:
    """Return the seconds of one command, in a process of its own."""
    environ = {**os.environ, **project_env(broker_url), "PYTHONPYCACHEPREFIX": compiled, "BENCH_READS": reads}
    environ.pop("PYTHONDONTWRITEBYTECODE", None)
    done = subprocess.run(
        [sys.executable, "-c", _COMMAND], cwd=ROOT, env=environ, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    return float(done.stdout.splitlines()[-1])
