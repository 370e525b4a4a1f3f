"""SQLite files that threads and processes share."""

from __future__ import annotations

import contextlib
import os
import sqlite3
from typing import Any
from urllib.parse import quote

from sqlalchemy import URL, Connection, Engine, create_engine, event


def make_engine(url: str | URL, write: bool = False) -> Engine:
    """Return an engine whose connections write ahead (WAL), wait for each other, and leave no trace of what is erased.

    Parameters
    ----------
    url
        sqlite://...
    write
        Whether every transaction begins with the write lock, so that nothing that it has read changes before it writes.
        Otherwise only those do whose connection has the execution option `write`.
    """
    # Values are about people, and an error is printed by whoever does not expect it.
    engine = create_engine(url, execution_options={"write": write}, hide_parameters=True)
    event.listen(engine, "connect", _configure)
    event.listen(engine, "begin", _begin)
    return engine


def make_read_only(url: URL) -> Engine:
    """Return an engine for a file on media that cannot be written; beside it, SQLite needs no other file then.

    It must have no write-ahead log, whose changes would not be seen (SQLite, URI filenames, `immutable`).
    """
    place = quote(os.path.abspath(url.database or ""))

    def connection() -> sqlite3.Connection:
        return sqlite3.connect(f"file:{place}?mode=ro&immutable=1", uri=True, check_same_thread=False)

    return create_engine(url, creator=connection, hide_parameters=True)


def scrub(engine: Engine) -> None:
    """Empty the log of an SQLite file, so that what was erased is in no file any more; other databases see to it."""
    if engine.dialect.name == "sqlite":
        with contextlib.closing(engine.raw_connection()) as connection:  # outside a transaction
            connection.cursor().execute("PRAGMA wal_checkpoint(TRUNCATE)")


def _configure(connection: Any, _: Any) -> None:
    connection.isolation_level = None  # or sqlite3 begins transactions of its own
    for pragma in (
        "busy_timeout = 60000",
        "journal_mode = WAL",
        "synchronous = FULL",  # what was acknowledged outlives a power cut
        "foreign_keys = ON",
        "secure_delete = ON",  # what is erased leaves no trace in free pages
    ):
        connection.execute(f"PRAGMA {pragma}")


def _begin(connection: Connection) -> None:
    write = connection.get_execution_options().get("write", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if write else "BEGIN")
