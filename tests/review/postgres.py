"""A PostgreSQL server of our own: in a temporary folder, on a Unix socket, gone afterwards. Debian's `postgresql`."""

from __future__ import annotations

import itertools
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

PROGRAMS = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
MISSING = "" if PROGRAMS else "no PostgreSQL: install Debian's postgresql"


class Postgres:
    """A server; `url` gives a new database each time."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="anogan-pg-"))  # short: a socket's path has at most 107 bytes
        self._numbers = itertools.count()
        self._as_postgres: list[str] = []
        if os.geteuid() == 0:  # which the server refuses
            shutil.chown(self.folder, "postgres", "postgres")
            self._as_postgres = ["runuser", "-u", "postgres", "--"]
        self._run("initdb", "--auth=trust", "--username=owner", "--encoding=UTF8", "--no-sync", "-D", self.data)
        options = f"-c listen_addresses='' -c unix_socket_directories='{self.folder}' -c max_connections=200"
        self._run("pg_ctl", "-D", self.data, "-w", "-l", f"{self.folder}/log", "-o", options, "start")

    @property
    def data(self) -> str:
        return f"{self.folder}/data"

    def url(self) -> str:
        name = f"desk{next(self._numbers)}"
        self._run("createdb", "-h", str(self.folder), "-U", "owner", name)
        return self.as_user("owner", name)

    def as_user(self, user: str, name: str) -> str:
        return f"postgresql://{user}@/{name}?host={self.folder}"

    def stop(self) -> None:
        self._run("pg_ctl", "-D", self.data, "-w", "-m", "immediate", "stop")
        shutil.rmtree(self.folder, ignore_errors=True)

    def _run(self, program: str, *arguments: str) -> None:
        command = [*self._as_postgres, str(PROGRAMS[-1].with_name(program)), *arguments]
        # Not captured through a pipe: the server would keep it open.
        with tempfile.TemporaryFile() as said:
            if subprocess.run(command, stdout=said, stderr=said, cwd="/").returncode:
                said.seek(0)
                raise RuntimeError(f"{program}: {said.read().decode(errors='replace')}")
