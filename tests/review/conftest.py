"""A desk on SQLite and one on PostgreSQL, and a clock that stands still."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from postgres import MISSING, Postgres

from anogan.review import Desk, NewCase, Policy, open_desk

TEAM = {"ana": "reader", "ben": "reader", "eva": "second reader", "ida": "admin", "uwe": "auditor"}


class Clock:
    """Seconds since 1970, moved by hand."""

    now = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    if MISSING:
        pytest.skip(MISSING)
    server = Postgres()
    yield server
    server.stop()


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Return the URL of an empty database."""
    if request.param == "sqlite":
        return str(tmp_path / "desk.db")
    return request.getfixturevalue("postgres").url()


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


def new(number: int, p_value: float | None = 0.5, subject: str = "", folder: str = "", priority: int = 0) -> NewCase:
    """Return a made-up case."""
    return NewCase(
        key=f"key-{number}",
        kind="image",
        subject=subject or f"subject-{number}",
        title=f"image {number}",
        detector="brain 0123456789abcdef",
        status="not scored" if p_value is None else "scored",
        reason="no face" if p_value is None else "",
        score=None if p_value is None else 1 - p_value,
        p_value=p_value,
        flagged=None if p_value is None else p_value <= 0.05,
        folder=folder,
        priority=priority,
        threshold="t1",
    )


def policy(desk: Desk, **changes: object) -> None:
    """Change the policy as its admin."""
    desk.set_policy(Policy(**changes))  # type: ignore[arg-type]
