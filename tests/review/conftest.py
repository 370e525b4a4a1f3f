"""A desk on SQLite and one on PostgreSQL, and a clock that stands still."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from desks import TEAM
from postgres import Postgres, name_of

from anogan.review import Desk, open_desk
from anogan.review.tables import Table


class Clock:
    """Seconds since 1970, moved by hand."""

    now = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture(scope="session")
def shared(postgres: Postgres) -> str:
    url = postgres.url()
    open_desk(url).close()
    return url


@pytest.fixture
def emptied(postgres: Postgres, shared: str) -> str:
    tables = ", ".join(Table.metadata.tables)
    postgres.execute(
        name_of(shared),
        "ALTER TABLE review_audit DISABLE TRIGGER ALL",
        f"TRUNCATE {tables} RESTART IDENTITY",
        "ALTER TABLE review_audit ENABLE TRIGGER ALL",
    )
    return shared


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Return the URL of a database without cases."""
    if request.param == "sqlite":
        return str(tmp_path / "desk.db")
    return request.getfixturevalue("emptied")


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def desk(database: str, clock: Clock) -> Iterator[Desk]:
    """Return the desk of one person."""
    opened = open_desk(database, clock=clock)
    yield opened
    opened.close()


@pytest.fixture
def team(desk: Desk) -> dict[str, Desk]:
    """Return a desk with members, as each of them sees it."""
    desk.set_role("ida", "admin")
    admin = desk.sign_in("ida")
    for user, role in TEAM.items():
        admin.set_role(user, role)
    return {user: desk.sign_in(user) for user in TEAM}
