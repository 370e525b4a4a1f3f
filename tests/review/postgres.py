"""A PostgreSQL server of our own: in a temporary folder, on a Unix socket, gone afterwards. Debian's `postgresql`."""

from __future__ import annotations

import itertools
import os
import shutil
import subprocess
import tempfile
import time
from pathlib import Path

import psycopg

PROGRAMS = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
MISSING = "" if PROGRAMS else "no PostgreSQL: install Debian's postgresql"


class Postgres:
    """A server; `url` gives a new database each time, which costs hundreds of files."""

    def __init__(self, durable: bool = False) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="anogan-pg-"))  # short: a socket's path has at most 107 bytes
        self._numbers = itertools.count()
        self._as_postgres: list[str] = []
        if os.geteuid() == 0:  # which the server refuses
            shutil.chown(self.folder, "postgres", "postgres")
            self._as_postgres = ["runuser", "-u", "postgres", "--"]
        self._run("initdb", "--auth=trust", "--username=owner", "--encoding=UTF8", "--no-sync", "-D", self.data)
        options = f"-c listen_addresses='' -c unix_socket_directories='{self.folder}' -c max_connections=200"
        if not durable:
            options += " -c fsync=off -c full_page_writes=off -c synchronous_commit=off"
        self._run("pg_ctl", "-D", self.data, "-w", "-l", f"{self.folder}/log", "-o", options, "start")

    @property
    def data(self) -> str:
        return f"{self.folder}/data"

    def url(self) -> str:
        name = f"desk{next(self._numbers)}"
        self.execute("postgres", f"CREATE DATABASE {name}")
        return self.as_user("owner", name)

    def execute(self, name: str, *statements: str) -> None:
        with psycopg.connect(host=str(self.folder), user="owner", dbname=name, autocommit=True) as connection:
            for statement in statements:
                connection.execute(statement)  # type: ignore[call-overload]

    def as_user(self, user: str, name: str) -> str:
        return f"postgresql://{user}@/{name}?host={self.folder}"

    def stop(self) -> None:
        self._run("pg_ctl", "-D", self.data, "-W", "-m", "fast", "stop")
        # Not by waiting for the process: where nobody reaps it, it stays as a zombie.
        deadline = time.monotonic() + 600
        while Path(self.data, "postmaster.pid").exists() and time.monotonic() < deadline:
            time.sleep(0.02)
        shutil.rmtree(self.folder, ignore_errors=True)

    def _run(self, program: str, *arguments: str) -> None:
        command = [*self._as_postgres, str(PROGRAMS[-1].with_name(program)), *arguments]
        # Not captured through a pipe: the server would keep it open.
        with tempfile.TemporaryFile() as said:
            if subprocess.run(command, stdout=said, stderr=said, cwd="/").returncode:
                said.seek(0)
                raise RuntimeError(f"{program}: {said.read().decode(errors='replace')}")


def name_of(url: str) -> str:
    """Return the name of the database in a URL of `Postgres`."""
    return url.partition("@/")[2].partition("?")[0]
