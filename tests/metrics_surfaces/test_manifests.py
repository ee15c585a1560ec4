"""The Kubernetes manifests of the documentation: valid to the letter, and right about this package."""

from __future__ import annotations

import copy
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml
from django.core.management import load_command_class
from django.urls import reverse
from jsonschema import Draft202012Validator, ValidationError

from celery_health.conf import Settings
from celery_health.metrics.alerts import Project
from celery_health.metrics.promql import Scope
from celery_health.metrics.rule_files import operator_manifest
from tests.metrics_surfaces.crd_schemas import SCHEMAS
from tests.metrics_surfaces.promtool import check_rules
from tests.support import ROOT

FOLDER = ROOT / "docs" / "manifests"
DOCUMENTS = {
    f"{path.stem} {document['kind']}": document
    for path in sorted(FOLDER.glob("*.yaml"))
    for document in yaml.safe_load_all(path.read_text())
}
#: The oldest version that is still common, and the newest that the validator carries.
VERSIONS = ("1.28", kubernetes_validate.latest_version())
DEADLINE = Settings().deadline


def validate(document: dict[str, Any], version: str) -> None:
    """Raise a ValidationError for a field that is unknown, missing or of a wrong type."""
    schema = SCHEMAS.get(document["kind"])
    if schema is None:
        kubernetes_validate.validate(document, version, strict=True)
    else:
        Draft202012Validator(schema).validate(document)


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("name", DOCUMENTS)
def test_manifest__is_valid(name: str, version: str) -> None:
    validate(DOCUMENTS[name], version)


@pytest.mark.parametrize("name", DOCUMENTS)
def test_manifest__with_a_wrong_field_is_refused(name: str) -> None:
    wrong = copy.deepcopy(DOCUMENTS[name])
    wrong["spec"]["replicaz"] = 1
    with pytest.raises((ValidationError, kubernetes_validate.ValidationError)):
        validate(wrong, VERSIONS[-1])


def test_manifests__are_all_that_is_promised() -> None:
    assert set(DOCUMENTS) == {
        "worker Deployment", "beat Deployment", "beat PersistentVolumeClaim", "web Deployment", "web Service",
        "exporter Deployment", "exporter Service", "exporter ServiceMonitor",
        "prometheus-rule PrometheusRule", "keda ScaledObject",
    }  # fmt: skip


def container(name: str) -> dict[str, Any]:
    (only,) = DOCUMENTS[f"{name} Deployment"]["spec"]["template"]["spec"]["containers"]
    return dict(only)


def probes(name: str) -> dict[str, dict[str, Any]]:
    return {key: probe for key, probe in container(name).items() if key.endswith("Probe")}


@pytest.mark.parametrize("name", ["worker", "beat"])
def test_exec_probes__are_commands_that_there_are(name: str, tmp_path: Path) -> None:
    found = probes(name)
    assert set(found) == {"startupProbe", "livenessProbe"}
    for probe in found.values():
        command, *arguments = probe["exec"]["command"]
        assert arguments[0] == name
        done = subprocess.run(
            [sys.executable, ROOT / "celery_health" / "scripts" / command, *arguments],
            env={"CELERY_HEALTH_PROBE_DIR": str(tmp_path), "PYTHONPATH": str(ROOT)},
            capture_output=True, timeout=30, check=False,
        )  # fmt: skip
        assert done.returncode == 1  # nobody is alive here; 2 would be misuse
    folder = {each["name"]: each["value"] for each in container(name)["env"]}["CELERY_HEALTH_PROBE_DIR"]
    assert folder in [mount["mountPath"] for mount in container(name)["volumeMounts"]]


def test_web__is_probed_where_it_answers() -> None:
    found = probes("web")
    assert found["livenessProbe"]["httpGet"]["path"] == reverse("celery_health:live")
    assert found["startupProbe"]["httpGet"]["path"] == reverse("celery_health:live")
    assert found["readinessProbe"]["httpGet"]["path"] == reverse("celery_health:ready")


@pytest.mark.parametrize("name", ["worker", "beat", "web", "exporter"])
def test_probes__wait_longer_than_an_answer_takes(name: str) -> None:
    for probe in probes(name).values():
        assert probe["timeoutSeconds"] == 3
        assert probe["timeoutSeconds"] > DEADLINE
        assert probe["timeoutSeconds"] < probe["periodSeconds"]
    for kind in ("startupProbe", "livenessProbe"):
        request = probes(name)[kind].get("httpGet", {})
        assert reverse("celery_health:health") != request.get("path")


def test_one_of_a_kind__is_never_two() -> None:
    for name in ("beat", "exporter"):
        spec = DOCUMENTS[f"{name} Deployment"]["spec"]
        assert (spec["replicas"], spec["strategy"]) == (1, {"type": "Recreate"})


def test_exporter__is_scraped_where_it_serves() -> None:
    python, manage, command, *arguments = container("exporter")["command"]
    assert (python, manage, command) == ("python", "manage.py", "celery_health")
    options = (
        load_command_class("celery_health", command).create_parser(manage, command).parse_args(arguments)
    )
    (port,) = container("exporter")["ports"]
    assert int(options.port) == port["containerPort"]
    (served,) = DOCUMENTS["exporter Service"]["spec"]["ports"]
    assert served["targetPort"] == port["name"]
    monitor = DOCUMENTS["exporter ServiceMonitor"]["spec"]
    (endpoint,) = monitor["endpoints"]
    assert endpoint["port"] == served["name"]
    assert DEADLINE < float(endpoint["scrapeTimeout"].rstrip("s")) <= float(endpoint["interval"].rstrip("s"))
    labels = DOCUMENTS["exporter Service"]["metadata"]["labels"]
    assert monitor["selector"]["matchLabels"].items() <= labels.items()


@pytest.mark.parametrize("name", ["web", "exporter"])
def test_service__finds_its_pods(name: str) -> None:
    pods = DOCUMENTS[f"{name} Deployment"]["spec"]["template"]["metadata"]["labels"]
    assert DOCUMENTS[f"{name} Service"]["spec"]["selector"].items() <= pods.items()


def test_rule__is_what_the_command_prints() -> None:
    job = DOCUMENTS["exporter Service"]["metadata"]["name"]
    wanted = operator_manifest(Project(scope=Scope(matchers=f'job="{job}"')), name="celery-health")
    assert (FOLDER / "prometheus-rule.yaml").read_text() == wanted, (
        "run: manage.py celery_health alerts --format operator --match 'job=\"celery-exporter\"'"
    )


@pytest.mark.prometheus
def test_rule__is_valid_to_prometheus(tmp_path: Path) -> None:
    spec = DOCUMENTS["prometheus-rule PrometheusRule"]["spec"]
    assert "SUCCESS" in check_rules(tmp_path, yaml.safe_dump(spec))


def test_rule__is_printed_by_the_command(tmp_path: Path) -> None:
    done = subprocess.run(
        [
            sys.executable, "-m", "django", "celery_health", "alerts",
            "--format", "operator", "--match", 'job="celery-exporter"',
        ],
        env={**os.environ, "DJANGO_SETTINGS_MODULE": "tests.project.settings", "CELERY_TEST_HEALTH": "{}"},
        capture_output=True, text=True, timeout=60, check=True,
    )  # fmt: skip
    assert done.stdout == (FOLDER / "prometheus-rule.yaml").read_text()
