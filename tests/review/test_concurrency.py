"""Readers at work at once, and their program killed on the way: every decision once, the log intact."""

from __future__ import annotations

from pathlib import Path

import pytest
from desks import storm


def test_few_readers(database: str, tmp_path: Path) -> None:
    storm(database, tmp_path, cases=30, users=4, kills=1)


@pytest.mark.slow
def test_twenty_readers(database: str, tmp_path: Path) -> None:
    storm(database, tmp_path, cases=200, users=20)
