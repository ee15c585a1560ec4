"""A real Prometheus: it scrapes what a test starts, evaluates rules, and answers queries."""

from __future__ import annotations

import http.client
import json
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlencode

from tests.conftest import skip_loudly
from tests.support import ManagedProcess, eventually, free_port

JOB = "celery"
INTERVAL = "1s"
#: A series: its labels.
Labels = frozenset[tuple[str, str]]


class Prometheus(ManagedProcess):
    """``prometheus`` over some targets (``host:port``), all of `JOB`, or `jobs` of several names.

    `rules` is the text of a rule file.
    """

    def __init__(
        self,
        *targets: str,
        path: str = "/metrics",
        rules: str = "",
        jobs: Mapping[str, Sequence[str]] | None = None,
    ) -> None:
        program = shutil.which("prometheus")
        if program is None:
            skip_loudly("prometheus is not installed (Debian: apt-get install prometheus).")
        assert program is not None
        self.port = free_port()
        self.folder = Path(tempfile.mkdtemp(prefix="celery-health-prometheus-"))
        (self.folder / "rules.yml").write_text(rules or "groups: []\n")
        config = {
            "global": dict.fromkeys(("scrape_interval", "scrape_timeout", "evaluation_interval"), INTERVAL),
            "rule_files": ["rules.yml"],
            "scrape_configs": [
                {"job_name": job, "metrics_path": path, "static_configs": [{"targets": list(addresses)}]}
                for job, addresses in (jobs or {JOB: targets}).items()
            ],
        }  # fmt: skip
        # JSON is YAML.
        (self.folder / "prometheus.yml").write_text(json.dumps(config))
        argv = [
            program,
            f"--config.file={self.folder / 'prometheus.yml'}",
            f"--storage.tsdb.path={self.folder / 'data'}",
            f"--web.listen-address=127.0.0.1:{self.port}",
            # The interface's files are elsewhere in Debian; no test looks at it.
            "--log.level=warn",
        ]
        super().__init__(argv, name="prometheus")

    def wait_ready(self, timeout: float = 30.0) -> Self:
        """Wait until it answers queries."""
        self.wait_until(lambda: self._get("/-/ready")[0] == 200, timeout)
        return self

    def __enter__(self) -> Self:
        super().__enter__()
        return self.wait_ready()

    def close(self) -> None:
        """Kill it, and remove its data."""
        super().close()
        shutil.rmtree(self.folder, ignore_errors=True)

    # Questions

    def query(self, expr: str) -> dict[Labels, float]:
        """Return the value of each series of an expression now, by its labels without the name."""
        rows = self._api("query", query=expr)["result"]
        return {_labels(row["metric"]): float(row["value"][1]) for row in rows}

    def one(self, expr: str) -> float | None:
        """Return the value of an expression that has one series at most."""
        found = self.query(expr)
        assert len(found) <= 1, found
        return next(iter(found.values()), None)

    def values(self, selector: str, window: str = "10m") -> dict[Labels, list[float]]:
        """Return every sample of a selector in the last `window`, in the order of time; with the name."""
        rows = self._api("query", query=f"{selector}[{window}]")["result"]
        return {
            frozenset(row["metric"].items()): [float(value) for _, value in row["values"]] for row in rows
        }

    def series(self, selector: str) -> list[dict[str, str]]:
        """Return the labels of all series of a selector, the name among them."""
        found: list[dict[str, str]] = self._api("series", **{"match[]": selector})
        return found

    def types(self) -> dict[str, str]:
        """Return the type of each metric, as its targets tell it."""
        return {name: rows[0]["type"] for name, rows in self._api("metadata").items()}

    def targets(self) -> list[dict[str, Any]]:
        """Return what it scrapes, and how that goes."""
        found: list[dict[str, Any]] = self._api("targets")["activeTargets"]
        return found

    def wait_scraped(self, timeout: float = 30.0) -> Self:
        """Wait until every target was scraped."""

        def healths() -> bool:
            told = [(target["health"], target["lastError"]) for target in self.targets()]
            assert all(health == "up" for health, _ in told), told
            return bool(told)

        eventually(healths, timeout, interval=0.1)
        return self

    def firing(self) -> dict[str, list[dict[str, Any]]]:
        """Return the alerts that fire, by name."""
        found: dict[str, list[dict[str, Any]]] = {}
        for alert in self._api("alerts")["alerts"]:
            if alert["state"] == "firing":
                found.setdefault(alert["labels"]["alertname"], []).append(alert)
        return found

    def broken_rules(self) -> list[str]:
        """Return the last error of every rule that has one."""
        groups: Sequence[Any] = self._api("rules")["groups"]
        return [
            f"{rule['name']}: {rule['lastError']}"
            for group in groups
            for rule in group["rules"]
            if rule.get("lastError")
        ]

    def _api(self, method: str, **parameters: str) -> Any:
        status, body = self._get(f"/api/v1/{method}?{urlencode(parameters)}")
        answer = json.loads(body)
        assert (status, answer["status"]) == (200, "success"), answer
        return answer["data"]

    def _get(self, path: str) -> tuple[int, bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        try:
            connection.request("GET", path)
            answer = connection.getresponse()
            return answer.status, answer.read()
        except ConnectionError:
            return 0, b""
        finally:
            connection.close()


def _labels(metric: Mapping[str, str]) -> Labels:
    return frozenset((name, value) for name, value in metric.items() if name != "__name__")
