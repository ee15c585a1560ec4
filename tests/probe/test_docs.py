"""docs/reference/probe.md and the how-to pages say what the probe does, and what they say to do works."""

from __future__ import annotations

import configparser
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from django.urls import reverse

from celery_health import probe
from celery_health.conf import Settings
from celery_health.reporting.liveness import Liveness, LivenessFile
from tests.conftest import skip_loudly
from tests.support import ROOT, eventually

PAGES = {name: (ROOT / "docs/how-to" / f"{name}.md").read_text() for name in (
    "kubernetes", "docker", "systemd", "supervisor",
)}  # fmt: skip
REFERENCE = (ROOT / "docs/reference/probe.md").read_text()


def blocks(text: str, language: str) -> dict[str, str]:
    """Return title → snippet: each begins with a comment that says what it is."""
    found = re.findall(rf"```{language}\n(.*?)```", text, re.DOTALL)
    titles = [re.search(r"^[#;] \w+: (.*)$", block, re.MULTILINE) for block in found]
    return {title.group(1): block for title, block in zip(titles, found, strict=True) if title}


def first_cells(heading: str) -> list[str]:
    section = REFERENCE.split(f"\n## {heading}\n", 1)[1].split("\n## ", 1)[0]
    return re.findall(r"^\| `([^`]+)` \|", section, re.MULTILINE)


def commands(value: Any) -> Iterator[list[str]]:
    """Return every argument list in a document that runs the probe."""
    if isinstance(value, list):
        if "celery-health-probe" in value:
            yield value[value.index("celery-health-probe") :]
            return
        for one in value:
            yield from commands(one)
    elif isinstance(value, dict):
        for one in value.values():
            yield from commands(one)


@pytest.fixture
def living(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder where a worker and a beat have written, and a console script on the path."""
    alive = Liveness(state="running", started=True, turning=True, due=None)
    for kind in probe.KINDS:
        (tmp_path / kind).mkdir()
        LivenessFile(tmp_path / kind, kind, f"{kind}@host").write(alive)
        LivenessFile(tmp_path, kind, f"{kind}@host").write(alive)
    script = tmp_path / "bin" / "celery-health-probe"
    script.parent.mkdir()
    script.write_text(
        f"#!{sys.executable}\nimport sys\nsys.path.insert(0, {str(ROOT)!r})\n"
        "from celery_health.probe import run\nrun()\n"
    )
    script.chmod(0o755)
    monkeypatch.setenv("PATH", str(script.parent), prepend=os.pathsep)
    monkeypatch.setenv("CELERY_HEALTH_PROBE_DIR", str(tmp_path))
    return tmp_path


# The reference ---------------------------------------------------------------------------------------


def test_reference__statuses_equal_the_code() -> None:
    assert first_cells("Exit status") == [str(s) for s in (probe.ALIVE, probe.NOT_ALIVE, probe.MISUSE)]


def test_reference__options_equal_the_code() -> None:
    assert first_cells("Options") == re.findall(r"^  (--[a-z-]+)", probe.USAGE, re.MULTILINE)
    (usage,) = re.findall(r"```text\n(.*?)```", REFERENCE, re.DOTALL)
    assert probe.USAGE.startswith(f"usage: {usage}")
    assert f"({probe.DEFAULT_MAX_AGE_SECONDS:g})" in REFERENCE


def test_reference__states_equal_the_code() -> None:
    code = "".join(
        (ROOT / "celery_health" / name).read_text() for name in ("worker/monitor.py", "beat/monitor.py")
    )
    states = set(re.findall(r'state(?:, moved)? = "(\w+)"', code)) | set(re.findall(r'state="(\w+)"', code))
    states |= set(re.findall(r'state = "\w+" if \w+ else "(\w+)"', code))
    assert set(first_cells("States")) == states


def test_reference__transcript_is_what_it_prints(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    now = time.monotonic()
    path = tmp_path / "celery-health-worker-w1"
    text = "v1 worker w1@shop-7d9f 7 0\nwritten={now}\nstarted=1\nturning=1\ndue={due}\nstate=running\n"
    # Nobody can have number 7 on demand.
    monkeypatch.setattr(probe.Process, "has_ended", lambda self, now: False)
    said = []
    for late, *argv in ((0.0, "worker"), (34.2, "worker", "--max-age", "30"), (0.0, "beat")):
        path.write_text(text.format(now=now, due=now - late))
        probe.main([*argv, "--dir", str(tmp_path)])
        said.append("".join(capsys.readouterr()))
    said[2] = said[2].replace(str(tmp_path), "/tmp").rstrip() + (
        f"; if it writes elsewhere, give --dir or {probe.DIR_VARIABLE}\n"
    )
    (transcript,) = re.findall(r"```console\n(.*?)```", REFERENCE, re.DOTALL)
    answers = re.sub(r"^\$ .*\n", "", transcript, flags=re.MULTILINE)
    assert answers == "".join(said)


# Kubernetes ------------------------------------------------------------------------------------------


def test_kubernetes__web_probes_ask_what_they_should() -> None:
    web = yaml.safe_load(blocks(PAGES["kubernetes"], "yaml")["web"])
    prefix = "/api/celery/"
    live, ready, health = (reverse(f"celery_health:{name}") for name in ("live", "ready", "health"))
    base = os.path.commonprefix([live, ready])
    paths = {name: one["httpGet"]["path"] for name, one in web.items()}
    assert paths == {
        "startupProbe": prefix + live.removeprefix(base),
        "livenessProbe": prefix + live.removeprefix(base),
        "readinessProbe": prefix + ready.removeprefix(base),
    }
    assert health.removeprefix(base) not in str(web)
    # The answer comes within DEADLINE; the default of one second would cut it off.
    assert web["readinessProbe"]["timeoutSeconds"] == 3 > Settings().deadline
    assert "health/` as a liveness probe" in PAGES["kubernetes"]


@pytest.mark.parametrize("kind", probe.KINDS)
def test_kubernetes__exec_probes_run(kind: str, living: Path) -> None:
    pod = yaml.safe_load(blocks(PAGES["kubernetes"], "yaml")[kind])
    found = list(commands(pod))
    assert found == [["celery-health-probe", kind, "--started"], ["celery-health-probe", kind]]
    for command in found:
        assert subprocess.run(command, capture_output=True, timeout=30).returncode == 0
    container = (pod if kind == "worker" else pod["template"]["spec"])["containers"][0]
    # More than the probe can take on a busy machine, and start-up longer than slow imports.
    assert container["livenessProbe"]["timeoutSeconds"] >= 3
    startup = container["startupProbe"]
    assert startup["periodSeconds"] * startup["failureThreshold"] >= 180


def test_kubernetes__read_only_root_names_a_folder_that_is_mounted() -> None:
    pod = yaml.safe_load(blocks(PAGES["kubernetes"], "yaml")["worker"])
    (container,) = pod["containers"]
    assert container["securityContext"]["readOnlyRootFilesystem"] is True
    (variable,) = container["env"]
    assert variable["name"] == probe.DIR_VARIABLE
    mounts = {mount["mountPath"]: mount["name"] for mount in container["volumeMounts"]}
    assert mounts[variable["value"]] in {volume["name"] for volume in pod["volumes"]}


# Docker ----------------------------------------------------------------------------------------------


def test_docker__health_checks_run(living: Path) -> None:
    compose = yaml.safe_load(blocks(PAGES["docker"], "yaml")["compose"])
    found = list(commands(compose))
    assert found == [["celery-health-probe", "worker"], ["celery-health-probe", "beat"]]
    image = blocks(PAGES["docker"], "dockerfile")["the worker's image"]
    checked = re.search(r"HEALTHCHECK .*?CMD (\[.*?\])", image, re.DOTALL)
    assert checked is not None
    assert json.loads(checked.group(1)) == found[0]
    for command in found:
        assert subprocess.run(command, capture_output=True, timeout=30).returncode == 0
    code = compose["services"]["web"]["healthcheck"]["test"][-1]
    compile(code, "healthcheck", "exec")
    assert "/live/'" in code


# systemd ---------------------------------------------------------------------------------------------

UNITS = blocks(PAGES["systemd"], "ini")


def installed(text: str, folder: Path) -> str:
    """Return a text with the project at `folder`, where its programs are."""
    programs = folder / "srv/venv/bin"
    programs.mkdir(parents=True, exist_ok=True)
    for name in ("celery", "celery-health-probe"):
        if not (programs / name).exists():
            (programs / name).symlink_to(shutil.which(name) or "/bin/true")
    return text.replace("/srv/shop", str(folder / "srv"))


def test_systemd__units_verify(living: Path) -> None:
    verifier = shutil.which("systemd-analyze")
    if verifier is None:
        skip_loudly("systemd-analyze is not installed (Debian: apt-get install systemd).")
    assert list(UNITS) == [
        "celery-worker.service", "celery-worker-probe.service", "celery-worker-probe.timer",
        "celery-beat.service",
    ]  # fmt: skip
    folder = living / "units"
    folder.mkdir()
    for name, text in UNITS.items():
        (folder / name).write_text(installed(text, living))
    checked = subprocess.run(
        [str(verifier), "verify", "--man=no", *(str(folder / name) for name in UNITS)],
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, "SYSTEMD_UNIT_PATH": f"{folder}:"},
    )
    # It verifies what the units need as well: units of the machine are not ours.
    ours = [line for line in checked.stderr.splitlines() if any(name in line for name in UNITS)]
    assert (checked.returncode, ours) == (0, [])


@pytest.mark.parametrize("alive", [True, False])
def test_systemd__probe_restarts_what_is_not_alive(alive: bool, living: Path) -> None:
    text = installed(UNITS["celery-worker-probe.service"], living).replace("\\\n", "")
    line = re.search(r"^ExecStart=(.*)$", text, re.MULTILINE)
    assert line is not None
    # As systemd reads it: quotes, and $$ for a dollar.
    argv = shlex.split(line.group(1).replace("$$", "$"))
    called = recorder(living, "systemctl")
    recorder(living, "sleep")
    if not alive:
        shutil.rmtree(living / "worker")
        (living / "worker").mkdir()
    env = {**os.environ, "CELERY_HEALTH_PROBE_DIR": str(living / "worker")}
    assert subprocess.run(argv, env=env, capture_output=True, timeout=60).returncode == 0
    expected = [] if alive else ["--no-block restart celery-worker.service"]
    assert (called.read_text().splitlines() if called.exists() else []) == expected


def recorder(folder: Path, name: str) -> Path:
    """Put a program on the path that writes down how it is called; return where."""
    notes = folder / f"{name}.called"
    program = folder / "bin" / name
    program.write_text(f'#!/bin/sh\necho "$@" >> {notes}\n')
    program.chmod(0o755)
    return notes


# supervisor ------------------------------------------------------------------------------------------


def test_supervisor__configuration_parses() -> None:
    parser = configparser.RawConfigParser(inline_comment_prefixes=(" ;",))
    parser.read_string(blocks(PAGES["supervisor"], "ini")["shop.conf"])
    assert parser.sections() == ["program:celery-worker", "program:celery-beat", "program:celery-watch"]
    for kind in probe.KINDS:
        assert parser[f"program:celery-{kind}"]["environment"] == f'{probe.DIR_VARIABLE}="/run/shop/{kind}"'
    # A warm shutdown is told to the main process alone.
    assert parser["program:celery-worker"]["stopasgroup"] == "false"


def test_supervisor__watch_restarts_what_is_not_alive(living: Path) -> None:
    script = living / "celery-watch"
    script.write_text(blocks(PAGES["supervisor"], "sh")["/srv/shop/bin/celery-watch"])
    control = living / "bin" / "control"
    notes = living / "called"
    control.write_text(
        f'#!/bin/sh\necho "$@" >> {notes}\n[ "$1" = status ] && cat {living}/status-$2\nexit 0\n'
    )
    control.chmod(0o755)
    (living / "status-celery-worker").write_text("celery-worker RUNNING pid 7\n")
    (living / "status-celery-beat").write_text("celery-beat STOPPED\n")
    env = {**os.environ, "CONTROL": str(control), "RUN": str(living), "EVERY": "0.1", "PAUSES": "0 0"}
    env["PROBE"] = str(living / "bin" / "celery-health-probe")

    def calls(words: str) -> int:
        return notes.read_text().splitlines().count(words) if notes.exists() else 0

    watch = subprocess.Popen(
        ["/bin/sh", str(script)], env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        # Alive, and stopped on purpose: nothing is restarted.
        eventually(lambda: calls("status celery-beat") >= 3, 30)
        assert calls("restart celery-worker") == calls("restart celery-beat") == 0
        shutil.rmtree(living / "worker")
        (living / "worker").mkdir()
        eventually(lambda: calls("restart celery-worker") >= 1, 30)
        assert calls("restart celery-beat") == 0
    finally:
        watch.kill()
        watch.wait()
