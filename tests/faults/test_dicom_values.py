"""Values whose unit, sign or window was read wrongly: each has its right value, or is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from pydicom import dcmread

from anogan import io


@pytest.mark.parametrize(("name", "keyword"), [("intercept.dcm", "RescaleIntercept"), ("slope.dcm", "RescaleSlope")])
def test_a_decimal_comma_is_no_number(faults_root: Path, name: str, keyword: str) -> None:
    path = faults_root / "dicom" / "decimal-comma-in-rescale" / name
    with pytest.raises(ValueError) as caught:
        io.read_scan(path)
    assert str(caught.value) == f"{path}: its {keyword} is no number but has a decimal comma; export it again"


def test_a_slice_with_a_decimal_comma_is_left_out_and_said(faults_root: Path) -> None:
    ((one,), problems) = io.read_series([faults_root / "dicom" / "decimal-comma-in-rescale" / "series"])
    assert [path.name for path, _ in problems] == ["2.dcm"]
    assert len(one.scans) == 3
    assert "1 file of its series cannot be read" in one.notes


def test_a_map_in_other_units_is_the_same_picture(faults_root: Path) -> None:
    folder = faults_root / "dicom" / "small-rescale-slope-no-window"
    small, plain = (io.read_scan(folder / f"{name}.dcm").pixels for name in ("adc", "same-without-slope"))
    np.testing.assert_allclose(small, plain, atol=1e-6)
    assert (plain.min(), plain.max()) == (0, 1)
    volumes = [
        io.read_series([faults_root / "nifti" / f"{name}.nii.gz"])[0][0] for name in ("adc", "same-in-other-units")
    ]
    for one, other in zip(*(volume.scans for volume in volumes), strict=True):
        np.testing.assert_allclose(one.pixels, other.pixels, atol=1e-6)
    assert max(scan.pixels.max() for scan in volumes[0].scans) == 1


def test_the_header_decides_the_sign_of_a_voi_lut(faults_root: Path) -> None:
    """The first value is -1024 in all of them; by hand: entry = value + 1024 of 4096 entries."""
    folder = faults_root / "dicom" / "voi-lut-sign-guessed-from-pixels"
    for path in sorted(folder.rglob("*.dcm")):
        ds = dcmread(path)
        item = ds.VOILUTSequence[0]
        data = item.LUTData
        table = np.frombuffer(data, "<u2") if isinstance(data, bytes) else np.asarray(data)
        values = ds.pixel_array.astype(int) - 1024
        expected = table[(values + 1024).clip(0, 4095)] / 4095
        found = io.read_scan(path).pixels
        np.testing.assert_allclose(found, expected.clip(0, 1), atol=1e-6, err_msg=path.name)
        assert found.max() > 0.2, path.name


@pytest.mark.parametrize(("name", "slope", "center", "width"), [("0.1", 5e-5, 0.05, 0.1), ("0.9", 5e-4, 0.45, 0.9)])
def test_a_window_below_one_is_in_the_units_of_the_values(
    faults_root: Path, name: str, slope: float, center: float, width: float
) -> None:
    path = faults_root / "dicom" / "window-width-below-1" / f"width-{name}.dcm"
    values = dcmread(path).pixel_array * slope
    expected = ((values - (center - width / 2)) / width).clip(0, 1)
    np.testing.assert_allclose(io.read_scan(path).pixels, expected, atol=1e-6)
