"""A PostgreSQL server of one's own, over a folder that may be kept."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
from pathlib import Path
from typing import Self

from tests.support.ports import free_port
from tests.support.processes import ManagedProcess


def find_postgres() -> Path | None:
    """Return the folder with ``initdb`` and ``postgres``; Debian keeps them off PATH."""
    found = shutil.which("initdb")
    if found:
        return Path(found).resolve().parent
    folders = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    return folders[-1].parent if folders else None


class PostgresServer(ManagedProcess):
    """PostgreSQL on the loopback interface, over `data`, which is made if it is missing. Anyone may enter.

    It refuses to run as root: then it runs as Debian's user ``postgres``.
    """

    def __init__(self, data: Path) -> None:
        programs = find_postgres()
        assert programs is not None, "There is no PostgreSQL here."
        self.data = data
        self.port = free_port()
        self._as_user = ["runuser", "-u", "postgres", "--"] if os.geteuid() == 0 else []
        self._initdb = str(programs / "initdb")
        self._psql = str(programs / "psql")
        options = ["-p", str(self.port), "-h", "127.0.0.1", "-k", "", "-c", "fsync=off"]
        super().__init__(
            [*self._as_user, str(programs / "postgres"), "-D", str(data), *options], name="postgres"
        )

    def start(self) -> Self:
        """Make the database cluster if there is none, start the server, and wait until it answers."""
        if not self.data.exists():
            self.data.mkdir(parents=True)
            self.give()
            made = [*self._as_user, self._initdb, "-D", str(self.data), "-A", "trust", "-U", "postgres"]
            subprocess.run(
                [*made, "-E", "UTF8", "--no-sync"], check=True, capture_output=True, cwd="/", timeout=60
            )
        super().start()
        # It listens before it answers: "the database system is starting up".
        self.wait_until(self._answers, 30)
        return self

    def _answers(self) -> bool:
        try:
            self.execute("SELECT 1")
        except subprocess.CalledProcessError:
            return False
        return True

    def execute(self, statement: str) -> None:
        """Carry out one statement in the database ``postgres``."""
        address = ["-h", "127.0.0.1", "-p", str(self.port), "-U", "postgres"]
        subprocess.run([self._psql, *address, "-qc", statement], check=True, capture_output=True, timeout=60)

    def give(self) -> None:
        """Give the folder, and what is in it, to the user who runs the server."""
        if self._as_user:
            user = pwd.getpwnam("postgres")
            for path in (self.data, *self.data.rglob("*")):
                os.chown(path, user.pw_uid, user.pw_gid, follow_symlinks=False)
            self.data.chmod(0o700)
