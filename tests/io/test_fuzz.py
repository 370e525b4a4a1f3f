"""The reader on mutated files: a few seconds of what benchmarks/fuzz.py does for minutes, and what that has found."""

from __future__ import annotations

import importlib.util
import random
import sys
from pathlib import Path
from types import ModuleType
from unittest.mock import Mock

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

ROOT = Path(__file__).parents[2]
BRIEFLY = settings(
    max_examples=150,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


@pytest.fixture(scope="module")
def fuzz() -> ModuleType:
    spec = importlib.util.spec_from_file_location("fuzz", ROOT / "benchmarks" / "fuzz.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["fuzz"] = module  # its data classes look for themselves there
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def seeds(fuzz: ModuleType) -> list[bytes]:
    return [*fuzz.dicom_seeds(), *fuzz.raster_seeds()]


@pytest.mark.parametrize("path", sorted((ROOT / "tests" / "corpus").iterdir()), ids=lambda path: path.name)
def test_what_was_found_stays_fixed(fuzz: ModuleType, path: Path) -> None:
    assert fuzz.judge(path) == ""


def test_every_seed_can_be_read(fuzz: ModuleType, seeds: list[bytes], tmp_path: Path) -> None:
    from anogan.io import read_frames

    for seed in seeds:
        (tmp_path / "seed").write_bytes(seed)
        assert read_frames(tmp_path / "seed")[0].pixels.shape[:2] == (16, 16)
        assert fuzz.judge(tmp_path / "seed") == ""


@BRIEFLY
@given(number=st.integers(0, 2**32), place=st.integers(0, 200))
def test_no_mutation_gets_further_than_one_sentence(
    fuzz: ModuleType, seeds: list[bytes], tmp_path: Path, number: int, place: int
) -> None:
    path = tmp_path / "case"
    path.write_bytes(fuzz.mutated(seeds[place % len(seeds)], seeds, random.Random(number)))
    assert fuzz.judge(path) == ""


@BRIEFLY
@given(start=st.sampled_from([b"", bytes(128) + b"DICM", b"\x08\x00\x05\x00"]), rest=st.binary(max_size=200))
def test_no_bytes_get_further_than_one_sentence(fuzz: ModuleType, tmp_path: Path, start: bytes, rest: bytes) -> None:
    (tmp_path / "case").write_bytes(start + rest)
    assert fuzz.judge(tmp_path / "case") == ""


def test_the_judge_can_fail(fuzz: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from anogan import io

    path = tmp_path / "case"
    for error, told in [
        (ValueError(f"{path}: Doe^Unmistakable"), "tells of the patient"),
        (ValueError("bad"), "no sentence"),
        (ValueError(f"{path}: two\nlines"), "no sentence"),
        (RecursionError(), "RecursionError"),
        (MemoryError(), "memory"),
    ]:
        monkeypatch.setattr(io, "read_scan", Mock(side_effect=error, __name__="read_scan"))
        assert told in fuzz.judge(path)
