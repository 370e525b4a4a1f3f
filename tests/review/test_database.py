"""Opening: what is made, what is refused, and that the migrations lead to the tables of the code."""

from __future__ import annotations

import sqlite3
import stat
import threading
from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from desks import new

from anogan.review import database as place
from anogan.review import open_desk
from anogan.review.tables import Table


def same_type(context: Any, inspected: Any, declared: Any, found: Any, expected: Any) -> bool | None:
    """Tell whether a type differs; SQLAlchemy 2.1 calls SQLite's FLOAT and its own DOUBLE different."""
    return None if context.dialect.name == "postgresql" else False


def test_migrations_lead_to_the_tables_of_the_code(database: str) -> None:
    open_desk(database).close()
    engine = place.connect(database)
    with engine.connect() as connection:
        context = MigrationContext.configure(
            connection, opts={"version_table": "review_version", "compare_type": same_type}
        )
        assert compare_metadata(context, Table.metadata) == []
    engine.dispose()


def test_several_programs_may_open_a_new_desk_at_once(request: pytest.FixtureRequest, tmp_path: Path) -> None:
    urls = [str(tmp_path / "desk.db")]
    urls += [] if place_missing() else [request.getfixturevalue("postgres").url()]
    for url in urls:
        numbers: list[int] = []

        def work(url: str = url, numbers: list[int] = numbers) -> None:
            desk = open_desk(url)
            numbers.append(desk.add(new(1)))
            desk.close()

        threads = [threading.Thread(target=work) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert numbers == [numbers[0]] * 4


def place_missing() -> str:
    from postgres import MISSING

    return MISSING


def test_a_file_is_for_its_owner_alone_and_in_wal_mode(tmp_path: Path) -> None:
    path = tmp_path / "desk.db"
    open_desk(path).close()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert sqlite3.connect(path).execute("PRAGMA journal_mode").fetchone() == ("wal",)


def test_errors_do_not_quote_values(tmp_path: Path) -> None:
    """Statements carry references and words of readers, and whoever prints a traceback would print them, too."""
    for url in (tmp_path / "desk.db", "postgresql://ana@host/desk"):
        assert place.connect(url).hide_parameters


def test_refusals(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("no database, but long enough to look like one to somebody" * 20)
    with pytest.raises(ValueError, match="notes.txt: cannot be opened as a desk"):
        open_desk(tmp_path / "notes.txt")
    with pytest.raises(ValueError, match="nowhere/desk.db: there is no such folder; make it first"):
        open_desk("nowhere/desk.db")
    with pytest.raises(ValueError, match=r"a desk needs SQLite \(a path\) or postgresql://..., not mysql"):
        open_desk("mysql://root:secret@host/desk")
    with pytest.raises(ValueError, match="cannot be opened as a desk") as caught:
        open_desk("postgresql://ana:secret@/desk?host=/nowhere")
    assert "secret" not in str(caught.value)
    with pytest.raises(ValueError, match=r"missing.db: there is no such file"):
        place.connect(tmp_path / "missing.db", make=False)


def test_a_newer_desk_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "desk.db"
    open_desk(path).close()
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE review_version SET version_num = '9999'")
    with pytest.raises(ValueError, match="was made by a newer anogan; install that"):
        open_desk(path)


def test_tables_of_others_stay(tmp_path: Path) -> None:
    path = tmp_path / "desk.db"
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE alembic_version (version_num TEXT)")
        connection.execute("CREATE TABLE screening (id INTEGER)")
    open_desk(path).close()
    names: Any = sqlite3.connect(path).execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
    assert {"alembic_version", "screening", "review_case"} <= {name for (name,) in names}


def test_a_file_is_named_so_that_another_working_folder_finds_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert place.absolute("desk.db") == place.absolute("sqlite:///desk.db") == str(tmp_path / "desk.db")
    assert place.absolute("postgresql://ana@host/desk") == "postgresql://ana@host/desk"


def test_the_state_of_a_database_is_told_and_nothing_is_changed(database: str) -> None:
    open_desk(database).close()
    found = place.state(database)
    assert found.migrated
    assert found.size > 0
    assert found.revision == found.newest


def test_what_is_no_desk_yet_is_not_made_one(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="there is no such file"):
        place.state(tmp_path / "none.db")
    assert not (tmp_path / "none.db").exists()
    with sqlite3.connect(tmp_path / "other.db") as connection:
        connection.execute("CREATE TABLE other (x)")
    connection.close()
    found = place.state(tmp_path / "other.db")
    assert (found.revision, found.migrated) == ("", False)
    with pytest.raises(ValueError, match="cannot be reached"):
        place.state("postgresql://owner:secret@127.0.0.1:1/none")
