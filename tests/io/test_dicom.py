"""DICOM in: gray values worked out by hand from the standard, refusals, privacy."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.uid import BasicTextSRStorage, ImplicitVRLittleEndian, MRImageStorage

from anogan.io import read_frames, read_scan, read_subject
from anogan.io.dicom import write_dicom

VALUES = np.array([[0, 50, 100, 150, 200, 4000]], np.uint16)


def made(
    path: Path, pixels: np.ndarray = VALUES, edit: Callable[[Dataset], None] | None = None, **options: Any
) -> Path:
    """Write a DICOM file; `edit` changes it afterwards, pixels of another type included."""
    write_dicom(path, pixels.astype(np.uint16), **options)
    ds = dcmread(path)
    if pixels.dtype == np.int16:
        ds.PixelRepresentation = 1
    if edit is not None:
        edit(ds)
    ds.save_as(path)
    return path


def setting(**attributes: Any) -> Callable[[Dataset], None]:
    def edit(ds: Dataset) -> None:
        for keyword, value in attributes.items():
            setattr(ds, keyword, value)
            if ds[keyword].VR == "US or SS":
                ds[keyword].VR = "US"

    return edit


def read(path: Path, **attributes: Any) -> np.ndarray:
    """Read the first row of VALUES with these attributes."""
    return read_scan(made(path / "a.dcm", edit=setting(**attributes))).pixels[0]


# Gray values


def test_a_linear_window(tmp_path: Path) -> None:
    # PS3.3 C.11.2.1.2: (x - (c - 0.5)) / (w - 1) + 0.5, here (x - 99.5) / 200 + 0.5
    expected = [0.0025, 0.2525, 0.5025, 0.7525, 1, 1]
    np.testing.assert_allclose(read(tmp_path, WindowCenter=100, WindowWidth=201), expected, atol=1e-6)


def test_the_first_of_several_windows(tmp_path: Path) -> None:
    several = read(tmp_path, WindowCenter=[100, 1000], WindowWidth=[201, 2000])
    np.testing.assert_allclose(several[:2], [0.0025, 0.2525], atol=1e-6)


def test_a_window_by_its_name(tmp_path: Path) -> None:
    names = setting(WindowCenter=[100, 150], WindowWidth=[201, 101], WindowCenterWidthExplanation=["BRAIN", "BONE"])
    path = made(tmp_path / "a.dcm", edit=names)
    # (x - 149.5) / 100 + 0.5
    np.testing.assert_allclose(read_scan(path, "bone").pixels[0], [0, 0, 0.005, 0.505, 1, 1], atol=1e-6)
    assert "BONE: center 150, width 101" in read_scan(path).details["windows"]
    with pytest.raises(ValueError, match="has no window named 'lung'") as caught:
        read_scan(path, "lung")
    assert "BRAIN" not in str(caught.value)  # words of the header stay there


def test_a_window_of_the_profile(tmp_path: Path) -> None:
    path = made(tmp_path / "a.dcm", edit=setting(WindowCenter=100, WindowWidth=201, RescaleSlope=2, RescaleIntercept=0))
    # 2 x: (2 x - 199.5) / 400 + 0.5
    np.testing.assert_allclose(
        read_scan(path, (200, 401)).pixels[0], [0.00125, 0.25125, 0.50125, 0.75125, 1, 1], atol=1e-6
    )


def test_what_a_window_clips(tmp_path: Path) -> None:
    # 99.5 - 50 to 99.5 + 50: of six values 0, 150, 200 and 4000 lie outside
    path = made(tmp_path / "a.dcm", edit=setting(WindowCenter=100, WindowWidth=101))
    assert read_scan(path).clipped == pytest.approx(4 / 6)
    # padding does not count: 0, 150 and 200 of five
    path = made(tmp_path / "b.dcm", edit=setting(WindowCenter=100, WindowWidth=101, PixelPaddingValue=4000))
    assert read_scan(path).clipped == pytest.approx(3 / 5)
    assert read_scan(made(tmp_path / "c.dcm")).clipped is None


def test_an_exact_window_and_a_sigmoid(tmp_path: Path) -> None:
    window = {"WindowCenter": 100, "WindowWidth": 200}
    exact = read(tmp_path, VOILUTFunction="LINEAR_EXACT", **window)
    np.testing.assert_allclose(exact, [0, 0.25, 0.5, 0.75, 1, 1], atol=1e-6)
    sigmoid = read(tmp_path, VOILUTFunction="SIGMOID", **window)
    np.testing.assert_allclose(sigmoid[1:4], [1 / (1 + np.e), 0.5, np.e / (1 + np.e)], atol=1e-6)


def test_a_window_of_width_one_is_a_threshold(tmp_path: Path) -> None:
    assert read(tmp_path, WindowCenter=100.5, WindowWidth=1).tolist() == [0, 0, 0, 1, 1, 1]


@pytest.mark.parametrize("window", [{}, {"WindowCenter": "", "WindowWidth": ""}])
def test_without_a_window_minimum_and_maximum(tmp_path: Path, window: dict[str, Any]) -> None:
    np.testing.assert_allclose(read(tmp_path, **window), VALUES[0] / 4000, atol=1e-6)


def test_rescale_comes_before_the_window(tmp_path: Path) -> None:
    # 2 x - 100: -100, 0, 100, ... in a window of -100 to 100
    pixels = read(tmp_path, RescaleSlope=2, RescaleIntercept=-100, WindowCenter=0.5, WindowWidth=201)
    np.testing.assert_allclose(pixels[:3], [0, 0.5, 1], atol=1e-6)


def test_signed_values(tmp_path: Path) -> None:
    stored = np.array([[-1000, -500, 0, 1000]], np.int16)
    scan = read_scan(made(tmp_path / "a.dcm", stored))
    np.testing.assert_allclose(scan.pixels, [[0, 0.25, 0.5, 1]], atol=1e-6)
    assert scan.details["bits"] == "16 signed"


def test_monochrome1_is_turned_round(tmp_path: Path) -> None:
    pixels = read(tmp_path, PhotometricInterpretation="MONOCHROME1")
    np.testing.assert_allclose(pixels, 1 - VALUES[0] / 4000, atol=1e-6)


def test_eight_bits_keep_their_full_range(tmp_path: Path) -> None:
    def eight(ds: Dataset) -> None:
        ds.BitsAllocated, ds.BitsStored, ds.HighBit = 8, 8, 7
        ds.Rows, ds.Columns, ds.PixelData = 1, 4, bytes([0, 51, 102, 204])
        ds["PixelData"].VR = "OB"

    scan = read_scan(made(tmp_path / "a.dcm", edit=eight))
    np.testing.assert_allclose(scan.pixels, [[0, 0.2, 0.4, 0.8]], atol=1e-6)


def test_padding_is_black_and_does_not_count(tmp_path: Path) -> None:
    np.testing.assert_allclose(read(tmp_path, PixelPaddingValue=4000), [0, 0.25, 0.5, 0.75, 1, 0], atol=1e-6)
    inverted = read(tmp_path, PixelPaddingValue=4000, PhotometricInterpretation="MONOCHROME1")
    np.testing.assert_allclose(inverted, [1, 0.75, 0.5, 0.25, 0, 0], atol=1e-6)

    def implicit(ds: Dataset) -> None:  # an encoding that does not say whether the value is signed
        ds.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian
        setting(PixelPaddingValue=0)(ds)

    pixels = read_scan(made(tmp_path / "b.dcm", edit=implicit)).pixels[0]
    np.testing.assert_allclose(pixels, [0, 0, 50 / 3950, 100 / 3950, 150 / 3950, 1], atol=1e-6)


def test_a_voi_lut(tmp_path: Path) -> None:
    def table(ds: Dataset) -> None:
        lut = Dataset()
        lut.LUTDescriptor = [3, 50, 8]  # entries, first input, bits
        lut.LUTData = [0, 51, 255]
        lut["LUTDescriptor"].VR, lut["LUTData"].VR = "US", "US"
        ds.VOILUTSequence = [lut]

    stored = np.array([[0, 50, 51, 52, 300]], np.uint16)
    scan = read_scan(made(tmp_path / "a.dcm", stored, edit=table))
    np.testing.assert_allclose(scan.pixels, [[0, 0, 0.2, 1, 1]], atol=1e-6)


def test_a_modality_lut_comes_before_the_window(tmp_path: Path) -> None:
    def table(ds: Dataset) -> None:
        lut = Dataset()
        lut.LUTDescriptor = [3, 50, 16]
        lut.LUTData = [1000, 2000, 3000]
        lut.ModalityLUTType = "HU"
        lut["LUTDescriptor"].VR, lut["LUTData"].VR = "US", "US"
        ds.ModalityLUTSequence = [lut]
        ds.WindowCenter, ds.WindowWidth, ds.VOILUTFunction = 2000, 4000, "LINEAR_EXACT"

    stored = np.array([[0, 50, 51, 52, 300]], np.uint16)
    scan = read_scan(made(tmp_path / "a.dcm", stored, edit=table))
    np.testing.assert_allclose(scan.pixels, [[0.25, 0.25, 0.5, 0.75, 0.75]], atol=1e-6)


def test_padding_of_signed_pixels_may_stand_as_an_unsigned_number(tmp_path: Path) -> None:
    stored = np.array([[-2000, -1000, 0, 1000]], np.int16)
    pixels = read_scan(made(tmp_path / "a.dcm", stored, edit=setting(PixelPaddingValue=63536))).pixels
    np.testing.assert_allclose(pixels, [[0, 0, 0.5, 1]], atol=1e-6)


def test_overlays_in_the_unused_bits_are_ignored(tmp_path: Path) -> None:
    def overlay(ds: Dataset) -> None:
        ds.BitsStored, ds.HighBit = 12, 11
        ds.add_new(0x60000010, "US", 1)
        ds.add_new(0x60000011, "US", 6)
        ds.add_new(0x60000100, "US", 16)
        ds.add_new(0x60000102, "US", 15)

    drawn = made(tmp_path / "a.dcm", VALUES | np.uint16(0x8000), edit=overlay)
    np.testing.assert_allclose(read_scan(drawn).pixels[0], VALUES[0] / 4000, atol=1e-6)


@pytest.mark.parametrize("function", ["LINEAR", "LINEAR_EXACT"])
def test_floating_point_pixels(tmp_path: Path, function: str) -> None:
    def floats(ds: Dataset) -> None:
        del ds.PixelData
        for keyword in ("BitsStored", "HighBit", "PixelRepresentation"):
            delattr(ds, keyword)
        ds.BitsAllocated, ds.FloatPixelData = 32, np.array([0.0, 0.25, 0.5, 1, 2, -1], "<f4").tobytes()
        ds.WindowCenter, ds.WindowWidth, ds.VOILUTFunction = 0.5, 1, function
        ds.FloatPixelPaddingValue = 1.0

    scan = read_scan(made(tmp_path / "a.dcm", edit=floats))
    np.testing.assert_allclose(scan.pixels, [[0, 0.25, 0.5, 0, 1, 0]], atol=1e-6)
    assert scan.details["bits"] == "float"


def test_a_deep_palette_with_entries_of_eight_bits(tmp_path: Path) -> None:
    def palette(ds: Dataset) -> None:
        ds.PhotometricInterpretation = "PALETTE COLOR"
        for color in ("Red", "Green", "Blue"):
            ds.add_new(f"{color}PaletteColorLookupTableDescriptor", "US", [4096, 0, 8])
        entries = np.zeros((3, 4096), np.uint8)
        entries[0, 4000], entries[1, 200], entries[2, 50] = 255, 51, 102
        for color, table in zip(("Red", "Green", "Blue"), entries, strict=True):
            ds.add_new(f"{color}PaletteColorLookupTableData", "OW", table.tobytes())

    pixels = read_scan(made(tmp_path / "a.dcm", edit=palette)).pixels[0]
    np.testing.assert_allclose(pixels[[0, 1, 4, 5]], [[0, 0, 0], [0, 0, 0.4], [0, 0.2, 0], [1, 0, 0]], atol=1e-6)


def test_colors(tmp_path: Path) -> None:
    def colors(ds: Dataset) -> None:
        ds.BitsAllocated, ds.BitsStored, ds.HighBit = 8, 8, 7
        ds.SamplesPerPixel, ds.PlanarConfiguration, ds.PhotometricInterpretation = 3, 0, "RGB"
        ds.Rows, ds.Columns, ds.PixelData = 1, 2, bytes([255, 0, 51, 0, 102, 255])
        ds["PixelData"].VR = "OB"

    scan = read_scan(made(tmp_path / "a.dcm", edit=colors))
    np.testing.assert_allclose(scan.pixels, [[[1, 0, 0.2], [0, 0.4, 1]]], atol=1e-6)


# Geometry


def test_position_is_along_the_slice_normal(tmp_path: Path) -> None:
    path = tmp_path / "a.dcm"
    write_dicom(path, VALUES, spacing=(0.7, 0.5), position=(1, 2, 3), uids=("2.25.1", "2.25.2", "2.25.3"))
    scan = read_scan(path)
    assert scan.spacing == (0.7, 0.5)
    assert scan.position == 3  # axial: the normal is z
    assert (scan.study_uid, scan.series_uid, scan.instance_uid) == ("2.25.1", "2.25.2", "2.25.3")
    assert scan.modality == "MR"
    write_dicom(path, VALUES, position=(1, 2, 3), orientation=(0, 1, 0, 0, 0, -1))
    assert read_scan(path).position == -1  # sagittal: y cross -z is -x


def test_what_the_header_says_of_the_image(tmp_path: Path) -> None:
    edit = setting(BodyPartExamined="CHEST", ViewPosition="PA", BurnedInAnnotation="YES", FrameOfReferenceUID="2.25.7")
    scan = read_scan(made(tmp_path / "a.dcm", position=(1, 2, 3), orientation=(0, 1, 0, 0, 0, -1), edit=edit))
    assert (scan.body_part, scan.view, scan.burned_in, scan.sop_class_uid) == ("CHEST", "PA", True, MRImageStorage)
    assert (scan.frame, scan.frames) == (1, 1)
    assert scan.geometry is not None
    assert scan.geometry.origin == (1, 2, 3)
    assert (scan.geometry.along_row, scan.geometry.along_column) == ((0, 1, 0), (0, 0, -1))
    assert scan.geometry.frame_of_reference_uid == "2.25.7"


# Refusals


def refused(path: Path) -> str:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(ValueError) as caught:
            read_scan(path)
    sentence = str(caught.value)
    assert sentence.startswith(f"{path}: ")
    assert "\n" not in sentence
    return sentence.removeprefix(f"{path}: ")


def test_dicom_without_pixels(tmp_path: Path) -> None:
    def report(ds: Dataset) -> None:
        ds.SOPClassUID = ds.file_meta.MediaStorageSOPClassUID = BasicTextSRStorage
        for keyword in ("PixelData", "Rows", "Columns"):
            delattr(ds, keyword)

    path = made(tmp_path / "a.dcm", edit=report)
    assert refused(path) == "is a DICOM file without pixels (Basic Text SR Storage); choose an image"
    path = made(tmp_path / "b.dcm", edit=lambda ds: ds.__delattr__("PixelData"))
    assert "without pixels (MR Image Storage)" in refused(path)


def test_several_frames(tmp_path: Path) -> None:
    sentence = refused(made(tmp_path / "a.dcm", edit=setting(NumberOfFrames=12)))
    assert sentence.startswith("holds 12 frames; read it as a series (anogan.io.read_series")


def test_a_file_of_very_many_frames(tmp_path: Path) -> None:
    path = made(tmp_path / "a.dcm", edit=setting(NumberOfFrames=2000, Rows=500, Columns=500))
    with pytest.raises(ValueError, match="has 2000 frames of 500 x 500 pixels, more than the 400 million pixels"):
        read_frames(path)


def test_a_slope_of_zero(tmp_path: Path) -> None:
    assert "its RescaleSlope is 0" in refused(made(tmp_path / "a.dcm", edit=setting(RescaleSlope=0)))


def test_unknown_colors(tmp_path: Path) -> None:
    assert "its colors are of a kind" in refused(
        made(tmp_path / "a.dcm", edit=setting(PhotometricInterpretation="HSV"))
    )


def test_a_huge_header(tmp_path: Path) -> None:
    path = made(tmp_path / "a.dcm", edit=setting(Rows=30000, Columns=30000))
    assert refused(path).startswith("has 30000 x 30000 pixels, more than the 64 million")


def test_too_few_pixels(tmp_path: Path) -> None:
    path = made(tmp_path / "a.dcm", np.ones((64, 64), np.uint16))
    path.write_bytes(path.read_bytes()[:-1000])
    expected = "is cut off in its pixels, 8,192 bytes should follow where 7,192 do; copy or export it again"
    assert refused(path) == expected


# Privacy


NAME, NUMBER = "Doe^Unmistakable", "ID-31415926"


def secret(path: Path, **attributes: Any) -> Path:
    edit = setting(PatientName=NAME, OtherPatientIDs=NUMBER, PatientBirthDate="19700101", **attributes)
    return made(path, patient_id=NUMBER, edit=edit)


def test_a_scan_holds_a_pseudonym_and_nothing_of_the_patient(tmp_path: Path) -> None:
    one, two = secret(tmp_path / "a.dcm"), secret(tmp_path / "b.dcm", StudyInstanceUID="2.25.9")
    scan = read_scan(one)
    told = repr(scan)
    assert "Unmistakable" not in told
    assert "31415926" not in told
    assert "19700101" not in told
    assert len(scan.subject) == 12
    assert scan.subject == read_scan(two).subject == read_subject(one)
    assert scan.subject != read_subject(made(tmp_path / "c.dcm", patient_id="ID-2"))


def test_a_key_changes_the_pseudonym(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = secret(tmp_path / "a.dcm")
    plain = read_subject(path)
    monkeypatch.setenv("ANOGAN_PSEUDONYM_KEY", "a secret of this hospital")
    assert read_subject(path) not in ("", plain)


def test_without_a_number_the_study_stands_for_the_person(tmp_path: Path) -> None:
    one = made(tmp_path / "a.dcm", uids=("2.25.1", "2.25.2", "2.25.3"))
    two = made(tmp_path / "b.dcm", uids=("2.25.1", "2.25.2", "2.25.4"))
    other = made(tmp_path / "c.dcm", uids=("2.25.5", "2.25.6", "2.25.7"))
    assert read_subject(one) == read_subject(two) != read_subject(other)


def test_no_damage_gets_further_than_one_sentence_without_the_patient(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    whole = secret(tmp_path / "whole.dcm").read_bytes()
    path, rng, unread = tmp_path / "damaged.dcm", np.random.default_rng(0), 0
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        for trial in range(300):
            data = bytearray(whole[: rng.integers(140, len(whole))] if trial % 2 else whole)
            for place in rng.integers(132, len(data), 3):
                data[place] = rng.integers(256)
            path.write_bytes(data)
            try:
                told = repr(read_scan(path))
            except ValueError as error:
                unread += 1
                told = str(error)
                assert told.startswith(f"{path}: ")
            read_subject(path)
            assert "Unmistakable" not in told
            assert "31415926" not in told
    assert unread > 100
    told = "".join(str(warning.message) for warning in warned) + caplog.text + "".join(capfd.readouterr())
    assert "Unmistakable" not in told
    assert "31415926" not in told
