"""Pictures and masks that were once read wrongly."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from anogan.io import read_scan

NAMES = ("contig", "sep", "int8", "int8_low", "uint16_be", "uint32")


@pytest.mark.parametrize("name", NAMES)
def test_values_of_a_picture_are_mapped_in_their_order(faults_root: Path, name: str) -> None:
    right = np.load(faults_root / "pictures" / f"{name}.npy")
    np.testing.assert_allclose(read_scan(faults_root / "pictures" / f"{name}.tif").pixels, right, atol=1e-6)


def test_all_pictures_are_looked_at(faults_root: Path) -> None:
    assert {path.stem for path in (faults_root / "pictures").iterdir()} == set(NAMES)
