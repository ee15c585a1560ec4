"""promtool: check rules, and drive each of them with series made by hand."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from celery_health.metrics.rule_files import runbook
from tests.conftest import skip_loudly

#: Two replicas serve every series: whatever adds them up shows twice the value.
REPLICAS = ("web-1:8000", "web-2:8000")
TARGET = 'job="celery",namespace="shop"'


def promtool(*argv: str, given: str | None = None) -> subprocess.CompletedProcess[str]:
    """Run promtool."""
    program = shutil.which("promtool")
    if program is None:
        skip_loudly("promtool is not installed (Debian: apt-get install prometheus).")
    assert program is not None
    return subprocess.run(
        [program, *argv], input=given, capture_output=True, text=True, timeout=60, check=False
    )


def check_rules(folder: Path, text: str) -> str:
    """Return what ``promtool check rules`` says of a rule file; fail where it fails."""
    path = folder / "rules.yml"
    path.write_text(text)
    done = promtool("check", "rules", "--lint=all", "--lint-fatal", str(path))
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@dataclass(frozen=True, kw_only=True)
class Drive:
    """An alert, driven to fire and to resolve."""

    alert: str
    series: Mapping[str, str]
    """Name and labels to promtool's notation of values, one a minute."""
    fires_at: str
    """"" where it never does."""
    resolved_at: str
    quiet_at: str = "0m"
    labels: Mapping[str, str] = field(default_factory=dict)
    """Those of the subject."""
    severity: str = "warning"
    says: str = ""
    """The summary; "" where it does not matter."""


def series_of(given: Mapping[str, str]) -> list[dict[str, str]]:
    """Return promtool's input: each series once for each replica, unless it names its own."""
    found = []
    for name, values in given.items():
        metric, _, labels = name.partition("{")
        inside = ",".join(part for part in (labels.rstrip("}"), TARGET) if part)
        if "instance=" in inside:
            found.append({"series": f"{metric}{{{inside}}}", "values": values})
            continue
        for replica in REPLICAS:
            found.append({"series": f'{metric}{{{inside},instance="{replica}"}}', "values": values})
    return found


def drive_rules(folder: Path, rules: str, drives: Iterable[Drive]) -> None:
    """Fail unless each alert is quiet, fires once, and resolves."""
    (folder / "rules.yml").write_text(rules)
    tests = [_test(drive) for drive in drives]
    path = folder / "test.yml"
    # JSON is YAML.
    path.write_text(json.dumps({"rule_files": ["rules.yml"], "evaluation_interval": "1m", "tests": tests}))
    done = promtool("test", "rules", str(path))
    assert done.returncode == 0, done.stdout + done.stderr


def _test(drive: Drive) -> dict[str, Any]:
    target = {} if drive.alert == "CeleryMetricsAbsent" else {"job": "celery", "namespace": "shop"}
    fired = {
        "exp_labels": {**target, **drive.labels, "severity": drive.severity},
        "exp_annotations": {"summary": drive.says, "runbook_url": runbook(drive.alert)},
    }
    at: list[tuple[str, list[Any]]] = [(drive.quiet_at, []), (drive.resolved_at, [])]
    if drive.fires_at:
        at.append((drive.fires_at, [fired]))
    return {
        "name": drive.alert,
        "interval": "1m",
        "input_series": series_of(drive.series),
        "alert_rule_test": [
            {"eval_time": time, "alertname": drive.alert, "exp_alerts": alerts} for time, alerts in at
        ],
    }
