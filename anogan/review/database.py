"""The database of the desk: SQLite (WAL) by a path, PostgreSQL by a URL; its tables are made and kept up to date."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import URL, Connection, Engine, create_engine, inspect, make_url, text
from sqlalchemy.exc import ArgumentError, SQLAlchemyError

from anogan.storage.sqlite import make_engine, make_read_only

MIGRATION_LOCK = 0x616E6F01  # advisory locks of PostgreSQL: one migrates at a time,
AUDIT_LOCK = 0x616E6F02  # and one appends to the log
_OURS = ("review_", "serving_")  # how the names of our tables begin


def parse(url: str | os.PathLike[str]) -> URL:
    """Return the URL of a database; a plain path is one of SQLite.

    Raises
    ------
    ValueError
        It is neither SQLite nor PostgreSQL.
    """
    given = os.fspath(url)
    if "://" not in given:
        return URL.create("sqlite", database=given)
    try:
        parsed = make_url(given)
    except ArgumentError:
        raise ValueError("the URL of the desk cannot be read; expected postgresql://USER@HOST/NAME") from None
    if (kind := parsed.get_backend_name()) not in ("sqlite", "postgresql"):
        raise ValueError(f"{name(parsed)}: a desk needs SQLite (a path) or postgresql://..., not {kind}")
    return parsed.set(drivername="postgresql+psycopg") if kind == "postgresql" else parsed


def absolute(url: str | os.PathLike[str]) -> str:
    """Return the URL in a form that also holds in another working folder."""
    parsed = parse(url)
    return str(Path(parsed.database or "").resolve()) if parsed.get_backend_name() == "sqlite" else os.fspath(url)


def name(url: URL) -> str:
    """Return how messages name the database: without its password."""
    return url.database or "sqlite" if url.get_backend_name() == "sqlite" else url.set(password=None).render_as_string()


def connect(url: str | os.PathLike[str], make: bool = True) -> Engine:
    """Return an engine for the database; where there is no such file, it is made, or refused.

    On SQLite, a connection with the execution option `write` begins with the write lock, so that nothing that it has
    read changes before it writes.

    Raises
    ------
    ValueError
        There is no such file or folder.
    """
    parsed = parse(url)
    if parsed.get_backend_name() == "postgresql":
        return create_engine(parsed, pool_pre_ping=True, pool_size=10, max_overflow=20, hide_parameters=True)
    path = Path(parsed.database or "")
    if not parsed.database or not path.parent.is_dir():
        raise ValueError(f"{path}: there is no such folder; make it first")
    if not path.exists():
        if not make:
            raise ValueError(f"{path}: there is no such file")
        os.close(os.open(path, os.O_CREAT, 0o600))  # it is about people
    return make_engine(parsed)


def connect_to_read(url: str | os.PathLike[str]) -> Engine:
    """Return an engine for a database that is only read, and that may lie on media that cannot be written.

    Raises
    ------
    ValueError
        There is no such file, its tables are not those of this anogan, or its last changes cannot be read from there.
    """
    found = state(url)
    if not found.migrated:
        raise ValueError(
            f"{found.name}: its tables are not those of this anogan; "
            "open the desk, or a copy of it that can be written, with `anogan desk list`, then try again"
        )
    return _read_only(parse(url)) or connect(url, make=False)


def _read_only(url: URL) -> Engine | None:
    """Return an engine for an SQLite file that cannot be written, or None where that is not needed."""
    path = Path(url.database or "")
    if url.get_backend_name() != "sqlite" or not path.exists():
        return None
    if os.access(path, os.W_OK) and os.access(path.parent, os.W_OK):
        return None
    if (log := path.with_name(f"{path.name}-wal")).exists() and log.stat().st_size:
        raise ValueError(f"{log}: holds the last changes, which cannot be read from here; copy both files elsewhere")
    return make_read_only(url)


class State(NamedTuple):
    """What a database is: its name without a password, revision of its tables and the newest one known, its bytes."""

    name: str
    revision: str
    newest: str
    size: int

    @property
    def migrated(self) -> bool:
        """Whether its tables are those of this anogan."""
        return self.revision == self.newest


def state(url: str | os.PathLike[str]) -> State:
    """Look at a database and change nothing.

    Raises
    ------
    ValueError
        It cannot be reached, or is none.
    """
    engine = _read_only(parse(url)) or connect(url, make=False)
    on_sqlite = engine.dialect.name == "sqlite"
    size = "SELECT page_count * page_size FROM pragma_page_count(), pragma_page_size()"
    try:
        with engine.connect() as connection:
            bytes_used = connection.scalar(text(size if on_sqlite else "SELECT pg_database_size(current_database())"))
            found = _version(connection)
    except SQLAlchemyError as error:
        raise ValueError(f"{name(engine.url)}: cannot be reached ({_why(error)})") from None
    finally:
        engine.dispose()
    return State(name(engine.url), found or "", _script().get_current_head() or "", int(bytes_used or 0))


def migrate(engine: Engine) -> None:
    """Bring the tables up to date; several processes may do so at once.

    Raises
    ------
    ValueError
        The database cannot be reached, is none, belongs to a newer anogan, or may not be changed by this user.
    """
    config, script = _config(), _script()
    try:
        with engine.connect() as connection:
            found = _version(connection)
        if found == script.get_current_head():
            return
        if found is not None and found not in {step.revision for step in script.walk_revisions()}:
            raise ValueError(f"{name(engine.url)}: was made by a newer anogan; install that, or use another database")
        with engine.execution_options(write=True).begin() as connection:
            lock(connection, MIGRATION_LOCK)
            config.attributes["connection"] = connection
            command.upgrade(config, "head")
    except SQLAlchemyError as error:
        raise ValueError(f"{name(engine.url)}: cannot be opened as a desk ({_why(error)})") from None


def lock(connection: Connection, number: int) -> None:
    """Wait for a lock that ends with the transaction; on SQLite the writer has one already."""
    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_advisory_xact_lock(:number)"), {"number": number})


def grant(engine: Engine, role: str) -> None:
    """Let another role of PostgreSQL work with the desk and the API: it can add to the audit log, but change no row.

    Run it as the owner of the tables, after each update of anogan; then open the desk as `role` every day.

    Raises
    ------
    ValueError
        It is not PostgreSQL, or the role does not exist.
    """
    if engine.dialect.name != "postgresql":
        raise ValueError(f"{name(engine.url)}: roles of the database are PostgreSQL's")
    quoted = engine.dialect.identifier_preparer.quote(role)
    closed = {"review_audit", "review_version"}
    try:
        with engine.begin() as connection:
            # Those of the API, too, which `anogan serve` keeps in the desk's database.
            tables = [
                name for name in inspect(connection).get_table_names() if name.startswith(_OURS) and name not in closed
            ]
            connection.execute(text(f"REVOKE ALL ON review_audit, review_version FROM {quoted}"))
            connection.execute(text(f"GRANT SELECT, INSERT ON review_audit TO {quoted}"))
            connection.execute(text(f"GRANT SELECT ON review_version TO {quoted}"))
            connection.execute(text(f"GRANT SELECT, INSERT, UPDATE, DELETE ON {', '.join(tables)} TO {quoted}"))
    except SQLAlchemyError as error:
        raise ValueError(f"{name(engine.url)}: {role} cannot be let in ({_why(error)})") from None


@contextlib.contextmanager
def snapshot(engine: Engine) -> Iterator[Connection]:
    """Read as of one moment, whatever others write meanwhile."""
    if engine.dialect.name == "postgresql":
        engine = engine.execution_options(isolation_level="REPEATABLE READ")
    with engine.begin() as connection:  # SQLite shows each transaction one moment anyway
        yield connection


@contextlib.contextmanager
def faults(engine: Engine) -> Iterator[None]:
    """Turn what a database fails with into one sentence."""
    try:
        yield
    except SQLAlchemyError as error:
        raise ValueError(f"{name(engine.url)}: the database failed ({_why(error)}); nothing was changed") from error


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations").replace("%", "%%"))
    return config


def _script() -> ScriptDirectory:
    return ScriptDirectory.from_config(_config())


def _version(connection: Connection) -> str | None:
    return MigrationContext.configure(connection, opts={"version_table": "review_version"}).get_current_revision()


def _why(error: SQLAlchemyError) -> str:
    lines = str(getattr(error, "orig", None) or error).strip().splitlines()
    return lines[0] if lines else type(error).__name__
