"""Fixtures of the PACS tests."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from clinic import MISSING, Orthanc

from anogan.cli.console import free_port


@pytest.fixture
def our_port() -> int:
    return free_port()


@pytest.fixture
def orthanc(tmp_path: Path, our_port: int) -> Iterator[Orthanc]:
    if MISSING:
        pytest.skip(MISSING)
    pacs = Orthanc(tmp_path / "orthanc", our_port)
    try:
        pacs.start()
        yield pacs
    finally:
        pacs.stop(at_once=True)
