"""What is shown of a DICOM image, by value, against pydicom's own route and dcmtk's, over a grid of headers."""

from __future__ import annotations

import itertools
import shutil
import subprocess
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.pixels import apply_modality_lut, apply_voi_lut, apply_windowing
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian, RLELossless

from anogan import io
from anogan.io.dicom import write_dicom

STORED = {"unsigned": np.arange(64).reshape(8, 8) * 60 + 40, "signed": np.arange(64).reshape(8, 8) * 60 - 1900}


def write(path: Path, sign: str, bits: int, syntax: Any, **values: Any) -> Dataset:
    stored = (STORED[sign] >> (12 - min(bits, 12))).astype(np.int16 if sign == "signed" else np.uint16)
    write_dicom(path, stored.astype(np.uint16))
    ds = dcmread(path)
    ds.BitsStored, ds.HighBit, ds.PixelRepresentation = bits, bits - 1, int(sign == "signed")
    ds.PixelData = (stored & (2**bits - 1) if sign == "unsigned" else stored).astype("<i2").tobytes()
    for keyword in ("WindowCenter", "WindowWidth", "RescaleSlope", "RescaleIntercept"):
        ds.pop(keyword, None)
    for keyword, value in values.items():
        setattr(ds, keyword, value)
    if syntax == RLELossless:
        ds.compress(RLELossless)
    else:
        ds.file_meta.TransferSyntaxUID = syntax
    ds.save_as(path, implicit_vr=syntax == ImplicitVRLittleEndian, little_endian=True, enforce_file_format=True)
    return dcmread(path)


@pytest.mark.parametrize("photometric", ["MONOCHROME2", "MONOCHROME1"])
@pytest.mark.parametrize("window", [(300.0, 900.0, "LINEAR"), (40, 400, "LINEAR_EXACT"), (0, 700, "SIGMOID"), None])
@pytest.mark.parametrize("rescale", [None, (1, -1024), (0.5, 10), (-2, 100), (1e-6, 0)])
def test_modality_and_window(
    tmp_path: Path, photometric: str, window: tuple[float, float, str] | None, rescale: tuple[float, float] | None
) -> None:
    syntaxes = (ExplicitVRLittleEndian, ImplicitVRLittleEndian, RLELossless)
    for sign, bits, syntax in itertools.product(("unsigned", "signed"), (12, 16), syntaxes):
        values: dict[str, Any] = {"PhotometricInterpretation": photometric}
        if rescale is not None:
            values |= {"RescaleSlope": rescale[0], "RescaleIntercept": rescale[1]}
        if window is not None:
            center, width = window[0], window[1]
            if rescale is not None and rescale[0] == 1e-6:
                center, width = center * 1e-6, width * 1e-6
            values |= {"WindowCenter": center, "WindowWidth": width, "VOILUTFunction": window[2]}
        ds = write(tmp_path / "a.dcm", sign, bits, syntax, **values)
        units = apply_modality_lut(ds.pixel_array, ds).astype(float)
        if window is None:
            expected = (units - units.min()) / (units.max() - units.min())
        elif window[2] == "LINEAR" and values["WindowWidth"] < 1:  # not defined; in the units of the values
            expected = ((units - (center - width / 2)) / width).clip(0, 1)
        elif window[2] == "SIGMOID":
            expected = 1 / (1 + np.exp(-4 * (units - center) / width))
        else:  # pydicom gives it in the range of the stored values
            shown = apply_windowing(units, ds)
            low, high = apply_windowing(np.array([[-1e9, 1e9]]), ds)[0]
            expected = (shown - low) / (high - low)
        expected = 1 - expected if photometric == "MONOCHROME1" else expected
        found = io.read_scan(tmp_path / "a.dcm").pixels
        np.testing.assert_allclose(found, expected, atol=2e-6, err_msg=f"{sign} {bits} {syntax.name}")


@pytest.mark.parametrize(("sign", "intercept"), [("unsigned", 0), ("unsigned", -1024), ("signed", 0), ("signed", 2048)])
def test_voi_lut(tmp_path: Path, sign: str, intercept: float) -> None:
    low = (-2048 if sign == "signed" else 0) + intercept
    for syntax in (ExplicitVRLittleEndian, ImplicitVRLittleEndian):
        item = Dataset()
        item.add_new("LUTDescriptor", "SS" if low < 0 else "US", [4096, int(low), 12])
        item.LUTData = (np.arange(4096) * 7 % 4096).astype("<u2").tobytes()
        values = {"RescaleSlope": 1, "RescaleIntercept": intercept, "VOILUTSequence": [item]}
        ds = write(tmp_path / "a.dcm", sign, 12, syntax, **values)
        units = ds.pixel_array.astype(int) + int(intercept)
        expected = (np.arange(4096) * 7 % 4096)[units - int(low)] / 4095
        np.testing.assert_allclose(io.read_scan(tmp_path / "a.dcm").pixels, expected, atol=2e-6)
        if syntax == ExplicitVRLittleEndian:
            np.testing.assert_allclose(apply_voi_lut(units, ds) / 4095, expected, atol=2e-6)


@pytest.mark.skipif(shutil.which("dcm2pnm") is None, reason="dcmtk is not installed")
@pytest.mark.parametrize("photometric", ["MONOCHROME2", "MONOCHROME1"])
@pytest.mark.parametrize("sign", ["unsigned", "signed"])
def test_dcmtk_shows_the_same(tmp_path: Path, photometric: str, sign: str) -> None:
    for rescale, window in (((1, -1024), (40, 400)), ((0.5, 10), (300, 900))):
        values = {"RescaleSlope": rescale[0], "RescaleIntercept": rescale[1], "PhotometricInterpretation": photometric}
        write(
            tmp_path / "a.dcm",
            sign,
            12,
            ExplicitVRLittleEndian,
            WindowCenter=window[0],
            WindowWidth=window[1],
            **values,
        )
        command = ["dcm2pnm", "--use-window", "1", "--write-raw-pnm", tmp_path / "a.dcm", tmp_path / "a.pgm"]
        subprocess.run(command, check=True, capture_output=True)
        shown = cv2.imread(str(tmp_path / "a.pgm"), cv2.IMREAD_UNCHANGED)
        found = io.read_scan(tmp_path / "a.dcm").pixels * 255
        assert np.abs(found - shown).max() <= 1.5


@pytest.mark.parametrize(
    ("keyword", "value", "why"),
    [
        ("RescaleIntercept", "-1024,0", "is no number but has a decimal comma"),
        ("RescaleSlope", "1.0 HU", "is no number"),
        ("RescaleSlope", "1e400", "is not finite"),
        ("RescaleIntercept", "", "is empty, so its values have no known unit"),
        ("RescaleIntercept", "0\\1", "has 2 values where one belongs"),
        ("WindowCenter", "4O", "is no number"),
        ("WindowWidth", "400,5", "is no number but has a decimal comma"),
        ("PixelSpacing", "0,5\\0,5", "is no number but has a decimal comma"),
        ("ImagePositionPatient", "1\\2\\x", "is no number"),
        ("ImageOrientationPatient", "1\\0\\0\\0\\nan\\0", "is not finite"),
        ("InstanceNumber", "1,0", "is no number but has a decimal comma"),
    ],
)
def test_a_number_that_is_none_is_refused(tmp_path: Path, keyword: str, value: str, why: str) -> None:
    path = tmp_path / "a.dcm"
    rescale = {"RescaleSlope": 1, "RescaleIntercept": 0, "WindowCenter": 10, "WindowWidth": 20}
    marker = {"RescaleSlope": "7777", "InstanceNumber": "7777"}.get(keyword, "7777")
    count = {"PixelSpacing": 2, "ImagePositionPatient": 3, "ImageOrientationPatient": 6}.get(keyword, 1)
    write(
        path, "unsigned", 12, ExplicitVRLittleEndian, **rescale | {keyword: [marker] * count if count > 1 else marker}
    )
    data = path.read_bytes()
    old = "\\".join([marker] * count).encode()
    at = data.index(old)
    length = len(old) + len(old) % 2
    new = value.encode() + b" " * (len(value) % 2)
    data = data[: at - 2] + len(new).to_bytes(2, "little") + new + data[at + length :]
    path.write_bytes(data)
    with pytest.raises(ValueError) as caught:
        io.read_scan(path)
    assert str(caught.value).startswith(f"{path}: its {keyword} {why}")
