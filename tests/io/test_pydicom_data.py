"""The 77 files of pydicom-data: each is read right, or refused with its reason; and those that pydicom brings along."""

from __future__ import annotations

import shutil
import subprocess
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from pydicom import dcmread
from pydicom.pixels import apply_color_lut, apply_modality_lut, apply_voi_lut, apply_windowing, pixel_array
from pydicom.uid import ImplicitVRLittleEndian, JPEGBaseline8Bit, JPEGLSTransferSyntaxes, JPEGTransferSyntaxes

from anogan.io import read_frames
from anogan.io.dicom.reading import _read_frames
from anogan.scan import Scan

CT, MR, US, CR, SC = (
    f"{kind} Image Storage" for kind in ("CT", "MR", "Ultrasound", "Computed Radiography", "Secondary Capture")
)
EMR, SEG, MAP = "Enhanced MR Image Storage", "Segmentation Storage", "Parametric Map Storage"
RGB = (100, 100, 3)

# File: (frames, shape, kind), or words of the reason.
TABLE: dict[str, tuple[int, tuple[int, ...], str] | str] = {
    "693_J2KR": (1, (512, 512), CT),
    "693_UNCI": (1, (512, 512), CT),
    "693_UNCR": (1, (512, 512), CT),
    "HTJ2KLossless_08_RGB": (1, (480, 640, 3), SC),
    "HTJ2K_08_RGB": (1, (480, 640, 3), SC),
    "JLSL_08_07_0_1F": (1, (128, 128), SC),
    "JLSL_16_15_1_1F": (1, (128, 128), SC),
    "JLSL_RGB_ILV0": (1, (256, 256, 3), SC),
    "JLSL_RGB_ILV1": (1, (256, 256, 3), SC),
    "JLSL_RGB_ILV2": (1, (256, 256, 3), SC),
    "JLSN_RGB_ILV0": (1, (256, 256, 3), SC),
    "JPEG-LL": (1, (1024, 256), SC),
    "JPEG2000_UNC": (1, (1024, 256), SC),
    "JPGLosslessP14SV1_1s_1f_8b": (1, (768, 1024), US),
    "MR-SIEMENS-DICOM-WithOverlays": (1, (484, 484), MR),
    "MR2_J2KI": (1, (1024, 1024), MR),
    "MR2_J2KR": (1, (1024, 1024), MR),
    "OBXXXX1A": (1, (600, 800, 3), US),
    "OBXXXX1A_2frame": (2, (600, 800, 3), US),
    "OBXXXX1A_expb": (1, (600, 800, 3), US),
    "OBXXXX1A_expb_2frame": (2, (600, 800, 3), US),
    "OBXXXX1A_rle": (1, (600, 800, 3), US),
    "OBXXXX1A_rle_2frame": (2, (600, 800, 3), "Ultrasound Multi-frame Image Storage"),
    "OT-PAL-8-face": (1, (480, 640, 3), SC),
    "RG1_J2KI": (1, (1955, 1841), CR),
    "RG3_J2KI": (1, (1760, 1760), CR),
    "RG3_J2KR": (1, (1760, 1760), CR),
    "SC_rgb": (1, RGB, SC),
    "SC_rgb_16bit": (1, RGB, SC),
    "SC_rgb_16bit_2frame": (2, RGB, SC),
    "SC_rgb_2frame": (2, RGB, SC),
    "SC_rgb_32bit": (1, RGB, SC),
    "SC_rgb_32bit_2frame": (2, RGB, SC),
    "SC_rgb_dcmtk_ebcr_dcmd": (1, RGB, SC),
    "SC_rgb_dcmtk_ebcyn1_dcmd": (1, RGB, SC),
    "SC_rgb_dcmtk_ebcyn2_dcmd": (1, RGB, SC),
    "SC_rgb_dcmtk_ebcynp_dcmd": (1, RGB, SC),
    "SC_rgb_dcmtk_ebcys2_dcmd": (1, RGB, SC),
    "SC_rgb_dcmtk_ebcys4_dcmd": (1, RGB, SC),
    "SC_rgb_expb": (1, RGB, SC),
    "SC_rgb_expb_16bit": (1, RGB, SC),
    "SC_rgb_expb_16bit_2frame": (2, RGB, SC),
    "SC_rgb_expb_2frame": (2, RGB, SC),
    "SC_rgb_expb_32bit": (1, RGB, SC),
    "SC_rgb_expb_32bit_2frame": (2, RGB, SC),
    "SC_rgb_gdcm2k_uncompressed": (1, RGB, SC),
    "SC_ybr_full_uncompressed": (1, RGB, SC),
    "US1_J2KI": (1, (480, 640, 3), US),
    "US1_J2KR": (1, (480, 640, 3), US),
    "US1_UNCI": (1, (480, 640, 3), US),
    "US1_UNCR": (1, (480, 640, 3), US),
    "bad_sequence": (1, (512, 512), CT),
    "color-pl": (1, (120, 256, 3), US),
    "color-px": (1, (120, 256, 3), US),
    "eCT_Supplemental": (2, (512, 512, 3), "Enhanced CT Image Storage"),
    "emri_small": (10, (64, 64), EMR),
    "emri_small_RLE": (10, (64, 64), EMR),
    "emri_small_big_endian": (10, (64, 64), EMR),
    "emri_small_jpeg_2k_lossless": (10, (64, 64), EMR),
    "emri_small_jpeg_2k_lossless_too_short": "is cut off in its pixels",
    "emri_small_jpeg_ls_lossless": (10, (64, 64), EMR),
    "explicit_VR-UN": (1, (512, 512), CT),
    "gdcm-US-ALOKA-16": (1, (480, 640, 3), US),
    "gdcm-US-ALOKA-16_big": (1, (480, 640, 3), US),
    "liver": (3, (512, 512), SEG),
    "liver_deflate": "frame 1 of 3 cannot be decoded (",  # deflated frames: unknown to pydicom 3
    "liver_expb": (3, (512, 512), SEG),
    "liver_j2k": (3, (512, 512), SEG),
    "liver_nonbyte_aligned": (3, (510, 510), SEG),
    "liver_nonbyte_aligned_deflate": "frame 1 of 3 cannot be decoded (",
    "liver_nonbyte_aligned_j2k": (3, (510, 510), SEG),
    "liver_nonbyte_aligned_rle": "frame 1 of 3 cannot be decoded (RLE Lossless)",  # so are single bits in RLE
    "liver_rle": "frame 1 of 3 cannot be decoded (RLE Lossless)",
    "mlut_18": (1, (512, 512), SC),
    "parametric_map_double_float": (1, (128, 128), MAP),
    "parametric_map_float": (1, (128, 128), MAP),
    "vlut_04": (1, (512, 512), SC),
}
BY_HAND = {"eCT_Supplemental", "parametric_map_float", "parametric_map_double_float"}


def by_pydicom(ds: Any, stored: np.ndarray, everything: np.ndarray) -> np.ndarray:
    """Show one frame by pydicom's own functions; `everything` is all frames of the file."""
    if ds.PhotometricInterpretation == "PALETTE COLOR":
        colors = apply_color_lut(stored, ds)[..., :3].astype(np.float64)
        return colors / (65535 if colors.max() > 255 else 255)
    if stored.ndim == 3:
        return stored / (2.0**ds.BitsStored - 1)
    values = apply_modality_lut(stored, ds)
    if "WindowCenter" in ds:
        ends = apply_windowing(np.array([-1e9, 1e9]), ds)
        shown = (apply_windowing(values, ds) - ends[0]) / (ends[1] - ends[0])
    elif "VOILUTSequence" in ds:
        shown = apply_voi_lut(values, ds) / (2.0 ** ds.VOILUTSequence[0].LUTDescriptor[2] - 1)
    elif ds.BitsStored <= 8:
        shown = values / (2.0**ds.BitsStored - 1)
    else:
        everything = apply_modality_lut(everything, ds).astype(np.float64)
        shown = (values - everything.min()) / (everything.max() - everything.min())
    shown = 1 - shown if ds.PhotometricInterpretation == "MONOCHROME1" else shown
    return np.where(stored == ds.get("PixelPaddingValue"), 0, shown)


def by_others(path: Path, folder: Path) -> np.ndarray:
    """Decode the pixels of a file by pydicom, or, JPEG, by dcmtk, whose values ours are to the last bit.

    Skips what none of them can decode on this machine.
    """
    ds = dcmread(path, force=True)
    if "TransferSyntaxUID" not in ds.file_meta:
        ds.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian
    syntax = ds.file_meta.TransferSyntaxUID
    if syntax == JPEGBaseline8Bit:
        return pixel_array(ds, decoding_plugin="pillow")
    if syntax in JPEGTransferSyntaxes:
        if shutil.which("dcmdjpeg") is None:
            pytest.skip("needs dcmdjpeg of dcmtk")
        subprocess.run(["dcmdjpeg", path, folder / "plain.dcm"], check=True, capture_output=True)
        return pixel_array(dcmread(folder / "plain.dcm"))
    return pixel_array(ds, decoding_plugin="pyjpegls" if syntax in JPEGLSTransferSyntaxes else "")


def test_what_pydicom_reads_of_its_own_files_is_read(tmp_path: Path) -> None:
    read, refused = 0, set()
    for path in sorted(Path(pydicom.__file__).parent.glob("data/test_files/**/*.dcm")):
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                everything = by_others(path, tmp_path)
        except Exception:
            with pytest.raises(ValueError) as caught:
                read_frames(path)
            assert str(caught.value).startswith(f"{path}: ")
            continue
        try:
            frames = _read_frames(path)
        except ValueError:
            refused.add(path.name)
            continue
        stored = everything if len(frames) > 1 else everything[None]
        for frame, values in zip(frames, stored, strict=True):
            np.testing.assert_array_equal(frame.stored, values, err_msg=path.name)
        assert len(read_frames(path)) == len(frames)
        read += 1
    assert read > 50
    assert refused == {"liver_1frame.dcm", "liver_expb_1frame.dcm"}  # their one frame has the places of three


@pytest.fixture(scope="module")
def folder(data_root: Path) -> Path:
    return data_root / "dicom" / "pydicom_data"


@pytest.mark.realdata
def test_the_table_is_complete(folder: Path) -> None:
    assert {path.stem for path in folder.iterdir()} == set(TABLE)
    assert len(TABLE) == 77


@pytest.mark.realdata
@pytest.mark.parametrize("name", TABLE)
def test_every_file_is_read_right_or_refused_with_its_reason(folder: Path, name: str, tmp_path: Path) -> None:
    path, expected = folder / f"{name}.dcm", TABLE[name]
    if isinstance(expected, str):
        with pytest.raises(ValueError) as caught:
            read_frames(path)
        assert str(caught.value).startswith(f"{path}: {expected}")
        return
    scans = read_frames(path)
    assert (len(scans), scans[0].pixels.shape, scans[0].details["kind"]) == expected
    assert [(scan.frame, scan.frames) for scan in scans] == [(n + 1, len(scans)) for n in range(len(scans))]
    ds = dcmread(path, force=True)
    everything = by_others(path, tmp_path)
    stored = everything if len(scans) > 1 else everything[None]
    for frame, values in zip(_read_frames(path), stored, strict=True):
        np.testing.assert_array_equal(frame.stored, values)
    if name in BY_HAND:
        return
    if name in ("OBXXXX1A_expb", "OBXXXX1A_expb_2frame"):  # pydicom takes the words of its palette for little endian
        for color in ("Red", "Green", "Blue"):
            element = ds[f"{color}PaletteColorLookupTableData"]
            element.value = np.frombuffer(element.value, ">u2").astype("<u2").tobytes()
    for scan, values in zip(scans, stored, strict=True):
        np.testing.assert_allclose(scan.pixels, by_pydicom(ds, values, everything), atol=1e-6)


@pytest.mark.realdata
def test_a_supplemental_palette_colors_the_values_above_its_first(folder: Path) -> None:
    path = folder / "eCT_Supplemental.dcm"
    scans, ds = read_frames(path), dcmread(path)
    tables = [
        np.frombuffer(ds[f"{color}PaletteColorLookupTableData"].value, "<u2") for color in ("Red", "Green", "Blue")
    ]
    for scan, stored in zip(scans, ds.pixel_array, strict=True):
        gray = ((stored - 1024.0 - 48.5) / 101 + 0.5).clip(0, 1)  # center 49, width 102, of all frames
        place = (stored.astype(int) - 1024).clip(0, 99)
        colors = np.stack([table[place] / 65535 for table in tables], axis=-1)
        expected = np.where(stored[..., None] >= 1024, colors, gray[..., None])
        np.testing.assert_allclose(scan.pixels, expected, atol=1e-6)
    assert np.ptp(scans[0].pixels, axis=2).max() > 0.5
    assert [scan.geometry.origin[2] for scan in scans if scan.geometry] == [-159, -149]
    assert scans[0].geometry is not None
    assert scans[0].geometry.along_row == (-1, 0, 0)


@pytest.mark.realdata
@pytest.mark.parametrize("name", ["parametric_map_float", "parametric_map_double_float"])
def test_maps_of_floats_keep_their_values(folder: Path, name: str) -> None:
    # Their window is center 0.5, width 1: the values from 0 to 1.
    stored = dcmread(folder / f"{name}.dcm").pixel_array
    np.testing.assert_allclose(read_frames(folder / f"{name}.dcm")[0].pixels, stored, atol=1e-6)


@pytest.mark.realdata
@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("693_J2KR", "693_UNCR"),  # CT, JPEG 2000
        ("OBXXXX1A", "OBXXXX1A_rle"),  # palette
        ("OBXXXX1A", "OBXXXX1A_expb"),  # big endian
        ("gdcm-US-ALOKA-16", "gdcm-US-ALOKA-16_big"),  # segmented palette
        ("SC_rgb", "SC_rgb_16bit"),
        ("SC_rgb", "SC_rgb_expb_32bit"),
        ("JLSL_RGB_ILV0", "JLSL_RGB_ILV2"),  # JPEG-LS, no preamble
        ("US1_UNCR", "US1_J2KR"),  # a TIFF header in the preamble
        ("emri_small", "emri_small_RLE"),
        ("emri_small", "emri_small_jpeg_ls_lossless"),
        ("emri_small", "emri_small_big_endian"),
        ("liver", "liver_j2k"),
        ("parametric_map_float", "parametric_map_double_float"),
    ],
)
def test_the_same_picture_in_two_encodings(folder: Path, one: str, other: str) -> None:
    pixels = [[scan.pixels for scan in read_frames(folder / f"{name}.dcm")] for name in (one, other)]
    np.testing.assert_allclose(*pixels, atol=1e-6)


@pytest.mark.realdata
def test_monochrome1_shows_a_light_leg_in_dark_air(folder: Path) -> None:
    scan: Scan = read_frames(folder / "RG3_J2KR.dcm")[0]
    assert scan.details["photometric"] == "MONOCHROME1"
    air, leg = scan.pixels[860:900, 490:510], scan.pixels[860:900, 870:890]
    assert np.median(air) < 0.2 < 0.4 < np.median(leg)
