"""What an installer gets: the built wheel, by itself."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from email import message_from_bytes
from email.message import Message
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "celery_health"


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from the tree as it stands, without the network."""
    folder = tmp_path_factory.mktemp("wheel")
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)],
        cwd=ROOT, check=True, capture_output=True,
    )  # fmt: skip
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def names(wheel: Path) -> set[str]:
    with zipfile.ZipFile(wheel) as archive:
        return set(archive.namelist())


@pytest.fixture(scope="module")
def metadata(wheel: Path, names: set[str]) -> Message:
    (name,) = (name for name in names if name.endswith(".dist-info/METADATA"))
    with zipfile.ZipFile(wheel) as archive:
        return message_from_bytes(archive.read(name))


def run_bare(wheel: Path, code: str, folder: Path) -> str:
    """Return what `code` prints in an interpreter that knows of no project, with the wheel on its path."""
    env = {name: value for name, value in os.environ.items() if name != "DJANGO_SETTINGS_MODULE"}
    code = f"import sys; sys.path.insert(0, {str(wheel)!r})\n{code}"
    done = subprocess.run(
        [sys.executable, "-I", "-W", "error", "-c", code],
        cwd=folder, env=env, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_wheel__holds_every_file_of_the_package(names: set[str]) -> None:
    files = {
        path.relative_to(ROOT).as_posix()
        for path in PACKAGE.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }

    assert "celery_health/py.typed" in files
    assert files - names == set()


def test_wheel__holds_the_runbooks_that_the_page_shows(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        packed = archive.read("celery_health/page/runbooks.md")
    assert packed == (ROOT / "docs" / "how-to" / "runbooks.md").read_bytes()


def test_wheel__holds_nothing_else(names: set[str]) -> None:
    assert {name.partition("/")[0].rpartition(".")[2] for name in names} == {
        "celery_health",
        "data",
        "dist-info",
    }


def test_wheel__carries_the_licence(metadata: Message, names: set[str]) -> None:
    assert metadata["License-Expression"] == "MIT"
    assert any(name.endswith(".dist-info/licenses/LICENSE") for name in names)


def test_wheel__declares_what_it_needs(metadata: Message) -> None:
    requirements = [line.partition(";") for line in metadata.get_all("Requires-Dist", [])]
    always = {line.split("<")[0].split(">")[0] for line, _, marker in requirements if "extra" not in marker}

    assert metadata["Name"] == "django-celery-health"
    assert metadata["Requires-Python"] == ">=3.11"
    assert always == {"celery", "django", "djangorestframework", "prometheus-client", "redis"}
    assert set(metadata.get_all("Provides-Extra", [])) == {"demo", "docs", "openapi", "redis", "test"}


def test_wheel__names_the_probe(wheel: Path, names: set[str]) -> None:
    (name,) = (name for name in names if name.endswith(".data/scripts/celery-health-probe"))
    with zipfile.ZipFile(wheel) as archive:
        lines = archive.read(name).decode().splitlines()
    # An installer writes the environment's interpreter there. What else is imported, each probe pays for.
    assert lines == ["#!python", "from celery_health.probe import run", "", "run()"]


def test_wheel__has_the_version_of_the_package(wheel: Path, metadata: Message, tmp_path: Path) -> None:
    said = run_bare(wheel, "import celery_health; print(celery_health.__version__)", tmp_path)

    assert said == metadata["Version"]


def test_import__needs_no_settings_and_loads_neither_django_nor_celery(wheel: Path, tmp_path: Path) -> None:
    loaded = run_bare(
        wheel,
        "import celery_health\n"
        "print(celery_health.__file__)\n"
        "print(sorted({name.partition('.')[0] for name in sys.modules}\n"
        "             & {'celery', 'django', 'kombu', 'prometheus_client', 'redis', 'rest_framework'}))",
        tmp_path,
    )

    assert loaded.splitlines() == [f"{wheel}/celery_health/__init__.py", "[]"]


def test_import__knows_its_public_names(wheel: Path, tmp_path: Path) -> None:
    said = run_bare(wheel, "import celery_health; print(*celery_health.__all__)", tmp_path)

    assert said.split() == ["MonitoredTask", "__version__", "dead_letters", "get_report", "monitor_task"]


@pytest.mark.parametrize("name", ["MonitoredTask", "monitor_task", "get_report"])
def test_import__public_name_loads_without_settings(wheel: Path, tmp_path: Path, name: str) -> None:
    said = run_bare(wheel, f"from celery_health import {name}; print({name}.__name__)", tmp_path)

    assert said == name


def test_import__unknown_name_is_an_attribute_error(wheel: Path, tmp_path: Path) -> None:
    code = (
        "import celery_health\n"
        "try:\n"
        "    celery_health.nonsense\n"
        "except AttributeError as error:\n"
        "    print(error)"
    )

    assert run_bare(wheel, code, tmp_path) == "module 'celery_health' has no attribute 'nonsense'"
