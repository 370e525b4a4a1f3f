"""Files whose pixels are stored otherwise than their headers say, or as they did once."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from anogan.io import read_frames, read_scan, read_series
from anogan.io.dicom.reading import _read_frames
from anogan.privacy.deidentify import deidentify

LONGER = "dicom/pixel-data-longer-than-header-says"
QUARTERS = np.array([[[200, 30, 30], [30, 200, 30]], [[30, 30, 200], [180, 180, 40]]])
COLORS = (
    "rgb-adobe-pi-RGB",
    "rgb-adobe-pi-YBR_FULL_422",
    "ybr-jfif-pi-RGB",
    "ybr-jfif-pi-YBR_FULL_422",
    "ybr-no-marker-420-pi-RGB",
    "ybr-no-marker-pi-YBR_FULL_422",
)


def test_values_in_the_high_bits_and_below_an_overlay(faults_root: Path, tmp_path: Path) -> None:
    folder = faults_root / "dicom" / "high-bit-15-bits-stored-12"
    left, overlay = (_read_frames(folder / f"{name}.dcm")[0].stored for name in ("left", "overlay-in-bit-15"))
    np.testing.assert_array_equal(left, overlay)  # the same phantom
    assert left.max() < 4096
    scans = [read_scan(folder / f"{name}.dcm") for name in ("left", "overlay-in-bit-15")]
    np.testing.assert_array_equal(scans[0].pixels, scans[1].pixels)
    # center 1000, width 2000 (PS3.3, C.11.2.1.2)
    np.testing.assert_allclose(scans[0].pixels, ((left - 999.5) / 1999 + 0.5).clip(0, 1), atol=1e-6)
    for path in sorted(folder.iterdir()):
        _, problems = deidentify([path], tmp_path / path.stem)
        assert problems == []
        (out,) = (tmp_path / path.stem).rglob("*.dcm")
        np.testing.assert_array_equal(_read_frames(out)[0].stored, left)


@pytest.mark.parametrize(
    ("name", "held", "described"),
    [
        ("three-frames-no-NumberOfFrames", "6,144", "2,048 (1 frame of 32 x 32 x 1 values of 16 bits)"),
        ("header-8-bit-data-16-bit", "2,048", "1,024 (1 frame of 32 x 32 x 1 values of 8 bits)"),
        ("columns-halved", "2,048", "1,024 (1 frame of 32 x 16 x 1 values of 16 bits)"),
    ],
)
def test_more_pixels_than_the_header_describes(faults_root: Path, name: str, held: str, described: str) -> None:
    path = faults_root / LONGER / f"{name}.dcm"
    sentence = f"{path}: holds {held} bytes of pixels, but its header describes {described}; export it again"
    for read in (read_scan, read_frames):
        with pytest.raises(ValueError) as caught:
            read(path)
        assert str(caught.value) == sentence
    series, problems = read_series([path])
    assert (series, [reason for _, reason in problems]) == ([], [sentence])


def test_a_few_zero_bytes_behind_the_pixels_do_no_harm(faults_root: Path) -> None:
    padded = _read_frames(faults_root / LONGER / "few-zero-bytes-behind.dcm")[0].stored
    data = (faults_root / LONGER / "few-zero-bytes-behind.dcm").read_bytes()
    np.testing.assert_array_equal(padded, np.frombuffer(data[-2560:-512], "<u2").reshape(32, 32))
    assert data[-512:] == bytes(512)


@pytest.mark.parametrize("name", COLORS)
def test_the_colors_of_a_jpeg(faults_root: Path, name: str, tmp_path: Path) -> None:
    path = faults_root / "dicom" / "jpeg-ycbcr-labelled-rgb" / f"{name}.dcm"
    scan = read_scan(path)
    np.testing.assert_allclose(scan.pixels[8::16, 8::16] * 255, QUARTERS, atol=4)
    deidentify([path], tmp_path, accept_burned_in=True)
    (out,) = tmp_path.rglob("*.dcm")
    np.testing.assert_array_equal(read_scan(out).pixels, scan.pixels)


def test_no_file_is_forgotten(faults_root: Path) -> None:
    found = {path.stem for path in (faults_root / "dicom" / "jpeg-ycbcr-labelled-rgb").iterdir()}
    assert found == set(COLORS)
    assert len(list((faults_root / LONGER).iterdir())) == 4
    assert len(list((faults_root / "dicom" / "high-bit-15-bits-stored-12").iterdir())) == 2
