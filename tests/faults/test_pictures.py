"""Pictures and masks that were once read wrongly."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from anogan.io import read_scan
from anogan.io.masks import read_mask

NAMES = ("contig", "sep", "int8", "int8_low", "uint16_be", "uint32")


@pytest.mark.parametrize("name", NAMES)
def test_values_of_a_picture_are_mapped_in_their_order(faults_root: Path, name: str) -> None:
    right = np.load(faults_root / "pictures" / f"{name}.npy")
    np.testing.assert_allclose(read_scan(faults_root / "pictures" / f"{name}.tif").pixels, right, atol=1e-6)


def test_all_pictures_are_looked_at(faults_root: Path) -> None:
    assert {path.stem for path in (faults_root / "pictures").iterdir()} == set(NAMES)


@pytest.mark.parametrize("name", ["a255.png", "blackpal.png", "rgba_black_paint.png", "soft.png"])
def test_the_region_of_a_mask(faults_root: Path, name: str) -> None:
    right = np.load(faults_root / "masks" / "true.npy")
    np.testing.assert_array_equal(read_mask(faults_root / "masks" / name), right)


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("allint1.tif", "the mask marks all of the image"),
        ("empty.png", "the mask marks nothing of the image"),
        ("jpg1.jpg", "the mask is JPEG and no brighter than 2 of 255"),
    ],
)
def test_a_mask_whose_region_cannot_be_known(faults_root: Path, name: str, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        read_mask(faults_root / "masks" / name)
