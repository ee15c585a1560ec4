"""Applications that run, one after the other, and the table of what was seen of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from tests.conftest import skip_loudly
from tests.hosts.application import Application
from tests.hosts.deployment import Deployment
from tests.hosts.install import NotInstallableError
from tests.support.postgres import find_postgres

#: What the end of the run prints: rows of cells, one table for the sound ones and one for the faults.
SOUND = [("application", "tasks", "entries", "queues", "check", "with us", "verdict", "doctor")]
FAULTS = [("application", "fault", "found", "fix followed", "verdict")]


@pytest.fixture(scope="module")
def _hosts() -> Iterator[Callable[[Application], Deployment]]:
    current: list[Deployment] = []

    def get(application: Application) -> Deployment:
        if current and current[0].application is application:
            return current[0]
        if current:
            current.pop().close()
        if application.postgres and find_postgres() is None:
            skip_loudly("PostgreSQL is not installed (Debian: apt-get install postgresql).")
        try:
            current.append(Deployment(application))
        except NotInstallableError as error:
            skip_loudly(f"{application.name} {application.version} is not here. {error}")
        return current[0].open()

    yield get
    for one in current:
        one.close()


@pytest.fixture
def host(_hosts: Callable[[Application], Deployment], application: Application) -> Iterator[Deployment]:
    """The application of this test, installed and with a database and an empty broker; nothing runs yet."""
    deployment = _hosts(application)
    deployment.forget()
    yield deployment
    deployment.stop()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print what was seen of released applications."""
    for title, table in (("released applications, sound", SOUND), ("and with a fault", FAULTS)):
        if len(table) < 2:
            continue
        terminalreporter.section(title)
        widths = [max(len(row[column]) for row in table) for column in range(len(table[0]))]
        for row in table:
            cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
            terminalreporter.write_line("  ".join(cells).rstrip())
