"""Headers that say half of what they should, or what cannot be: by the standard, or refused, or told."""

from __future__ import annotations

import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydicom import dcmread, dcmwrite
from pydicom.dataset import Dataset
from pydicom.tag import Tag
from pydicom.uid import ExplicitVRBigEndian, ImplicitVRLittleEndian

from anogan.io import read_scan, read_series
from anogan.io.dicom import write_dicom

VALUES = np.array([[0, 50, 100, 150, 200, 4000]], np.uint16)
Edit = Callable[[Dataset], None]


def written(path: Path, values: dict[str, Any], pixels: np.ndarray = VALUES, **options: Any) -> Path:
    """Write a file, and set elements; "VR:Keyword" sets one of that VR, and None takes it away."""
    write_dicom(path, pixels.astype(np.uint16), **options)
    ds = dcmread(path)
    if pixels.dtype == np.int16:
        ds.PixelRepresentation = 1
    put(ds, values)
    ds.save_as(path)
    return path


def put(ds: Dataset, values: dict[str, Any]) -> None:
    for name, value in values.items():
        vr, _, keyword = name.rpartition(":")
        if value is None:
            ds.pop(keyword, None)
        elif vr:
            ds.add_new(keyword, vr, value)
        else:
            setattr(ds, keyword, value)


def item(**values: Any) -> Dataset:
    ds = Dataset()
    put(ds, {name.replace("__", ":"): value for name, value in values.items()})
    return ds


def refused(path: Path) -> str:
    with pytest.raises(ValueError) as caught:
        read_scan(path)
    sentence = str(caught.value)
    assert sentence.startswith(f"{path}: ")
    assert "\n" not in sentence
    return sentence.removeprefix(f"{path}: ").partition(";")[0]


PAIRS = "its header has 2 window centers and 1 window width, which are no pairs"
UNIT = "so its values have no known unit"
NARROW = "which unsigned values of 16 bits cannot be"


@pytest.mark.parametrize(
    ("values", "why"),
    [
        ({"WindowCenter": [40, 300], "WindowWidth": 400}, PAIRS),
        ({"WindowCenter": 40}, "its header has 1 window center and 0 window widths, which are no pairs"),
        ({"WindowCenter": ["40", "", "300"], "WindowWidth": [400, 1500, 80]}, "one of the values of its WindowCenter"),
        ({"WindowCenter": 100, "WindowWidth": 0}, "its WindowWidth is not above 0, so it shows nothing"),
        ({"WindowCenter": [100, 1], "WindowWidth": [5, -3]}, "its WindowWidth is not above 0, so it shows nothing"),
        ({"WindowCenter": 1, "WindowWidth": 2, "VOILUTFunction": "LOG"}, "its VOILUTFunction is of a kind that is not"),
        ({"PixelSpacing": [0.5]}, "its PixelSpacing has 1 value where 2 belong"),
        ({"PixelSpacing": [0.5, -0.5]}, "its PixelSpacing is below 0"),
        ({"PixelSpacing": None, "ImagerPixelSpacing": [1, 1, 1]}, "its ImagerPixelSpacing has 3 values where 2 belong"),
        ({"ImagePositionPatient": [0, 0]}, "its ImagePositionPatient has 2 values where 3 belong"),
        ({"ImageOrientationPatient": [1, 0, 0]}, "its ImageOrientationPatient has 3 values where 6 belong"),
        ({"ImageOrientationPatient": [2, 0, 0, 0, 2, 0]}, "its ImageOrientationPatient is no pair of perpendicular"),
        ({"ImageOrientationPatient": [1, 0, 0, 1, 0, 0]}, "its ImageOrientationPatient is no pair of perpendicular"),
        (
            {"ImageOrientationPatient": ["1", "", "0", "0", "1", "0"]},
            "one of the values of its ImageOrientationPatient",
        ),
        ({"LO:SliceThickness": "1,5"}, "its SliceThickness is no number but has a decimal comma"),
        ({"SliceThickness": -1}, "its SliceThickness is below 0"),
        ({"SliceThickness": [1, 2]}, "its SliceThickness has 2 values where one belongs"),
        ({"RescaleSlope": "", "RescaleIntercept": ""}, f"its RescaleSlope is empty, {UNIT}"),
        ({"RescaleIntercept": -1024}, f"its header has a RescaleIntercept but no RescaleSlope, {UNIT}"),
        ({"RescaleSlope": 2}, f"its header has a RescaleSlope but no RescaleIntercept, {UNIT}"),
        ({"RescaleSlope": 0, "RescaleIntercept": 0}, "its RescaleSlope is 0, which makes all values one"),
        ({"US:PixelPaddingValue": [0, 1]}, "its PixelPaddingValue has 2 values where one belongs"),
        ({"LO:PixelPaddingValue": "none"}, "its PixelPaddingValue is no number"),
        ({"OB:PixelPaddingValue": b"12"}, "its PixelPaddingValue is no number"),
        ({"LO:PixelPaddingValue": "0.5"}, f"its PixelPaddingValue is 0.5, {NARROW}"),
        ({"UL:PixelPaddingValue": 70000}, f"its PixelPaddingValue is 70000, {NARROW}"),
        (
            {"US:PixelPaddingValue": 63536, "BitsStored": 12, "HighBit": 11},
            "its PixelPaddingValue is 63536, which unsigned values of 12 bits cannot be",
        ),
        ({"US:PixelPaddingRangeLimit": 1}, "its header has the end of a range of padding but not its beginning"),
        ({"PresentationLUTShape": "INVERSE"}, "its header says MONOCHROME2, but a PresentationLUTShape of INVERSE"),
        (
            {"PresentationLUTShape": "IDENTITY", "PhotometricInterpretation": "MONOCHROME1"},
            "its header says MONOCHROME1, but a PresentationLUTShape of IDENTITY",
        ),
        ({"US:Rows": [1, 1]}, "its header does not say Rows as one whole number"),
        ({"LO:NumberOfFrames": "two"}, "its header does not say NumberOfFrames as one whole number"),
        ({"LO:NumberOfFrames": "1.5"}, "its header does not say NumberOfFrames as one whole number"),
        ({"FD:NumberOfFrames": 1.5}, "its header does not say NumberOfFrames as one whole number"),
        ({"OF:FloatPixelData": bytes(24)}, "holds both PixelData and FloatPixelData, of which one belongs"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, dict) else "",
)
def test_what_cannot_be_is_refused(tmp_path: Path, values: dict[str, Any], why: str) -> None:
    assert refused(written(tmp_path / "a.dcm", values)).startswith(why)


@pytest.mark.parametrize(
    ("values", "shown"),
    [
        # Width .5 and 0 < x: (x - (c - w / 2)) / w
        ({"WindowCenter": 0.1, "WindowWidth": 0.5, "VOILUTFunction": "SIGMOID"}, None),
        ({"WindowCenter": 100, "WindowWidth": 200, "VOILUTFunction": "LINEAR_EXACT"}, [0, 0.25, 0.5, 0.75, 1, 1]),
        ({"RescaleSlope": 1, "WindowCenter": 100.5, "WindowWidth": 201}, [0, 0.25, 0.5, 0.75, 1, 1]),
        ({"RescaleIntercept": 0, "WindowCenter": 100.5, "WindowWidth": 201}, [0, 0.25, 0.5, 0.75, 1, 1]),
        ({"LO:PixelPaddingValue": "4000"}, [0, 0.25, 0.5, 0.75, 1, 0]),
        ({"SS:PixelPaddingValue": -1}, [0, 0.0125, 0.025, 0.0375, 0.05, 1]),  # the bits of 65535
        ({"US:PixelPaddingValue": 150, "US:PixelPaddingRangeLimit": 4000}, [0, 0.5, 1, 0, 0, 0]),
        ({"PresentationLUTShape": "IDENTITY"}, [0, 0.0125, 0.025, 0.0375, 0.05, 1]),
        (
            {"PresentationLUTShape": "INVERSE", "PhotometricInterpretation": "MONOCHROME1"},
            [1, 0.9875, 0.975, 0.9625, 0.95, 0],
        ),
        (
            {
                "PhotometricInterpretation": "MONOCHROME1",
                "US:PixelPaddingValue": 4000,
                "US:PixelPaddingRangeLimit": 200,
            },
            [1, 2 / 3, 1 / 3, 0, 0, 0],
        ),
        ({"SliceThickness": "", "PixelSpacing": ""}, [0, 0.0125, 0.025, 0.0375, 0.05, 1]),
    ],
)
def test_what_is_unusual_but_right(tmp_path: Path, values: dict[str, Any], shown: list[float] | None) -> None:
    pixels = read_scan(written(tmp_path / "a.dcm", values)).pixels[0]
    if shown is None:
        shown = list(1 / (1 + np.exp((-4 * (VALUES[0] - 0.1) / 0.5).clip(-700, 700))))
    np.testing.assert_allclose(pixels, shown, atol=1e-6)


def test_a_pixel_of_no_size_is_told(tmp_path: Path) -> None:
    path = written(tmp_path / "a.dcm", {"PixelSpacing": [0, 0]})
    scan = read_scan(path)
    said = "its header says that pixels are 0 mm apart, so their size is unknown"
    assert (scan.spacing, scan.details["pixel size"]) == (None, said)
    assert said in read_series([path])[0][0].notes
    sized = read_scan(written(tmp_path / "b.dcm", {"PixelSpacing": [0, 0], "ImagerPixelSpacing": [0.2, 0.3]}))
    assert sized.spacing == (0.2, 0.3)
    assert "pixel size" not in sized.details


def test_the_window_of_a_color_image_is_no_matter(tmp_path: Path) -> None:
    colors = {"SamplesPerPixel": 3, "PlanarConfiguration": 0, "PhotometricInterpretation": "RGB", "Columns": 2}
    path = written(tmp_path / "a.dcm", colors | {"WindowCenter": 1, "WindowWidth": 0})
    assert read_scan(path).pixels.shape == (1, 2, 3)


@pytest.mark.parametrize(
    ("bit", "stored", "readable"), [(12, 12, True), (15, 12, True), (11, 12, False), (12, 16, False)]
)
def test_an_overlay_in_the_bits_of_the_values(tmp_path: Path, bit: int, stored: int, readable: bool) -> None:
    write_dicom(tmp_path / "a.dcm", VALUES | 1 << bit)
    ds = dcmread(tmp_path / "a.dcm")
    put(ds, {"BitsStored": stored, "HighBit": stored - 1, "WindowCenter": 100.5, "WindowWidth": 201})
    ds.add_new(0x60000100, "US", 16)
    ds.add_new(0x60000102, "US", bit)
    ds.save_as(tmp_path / "a.dcm")
    if readable:
        np.testing.assert_allclose(read_scan(tmp_path / "a.dcm").pixels[0], [0, 0.25, 0.5, 0.75, 1, 1], atol=1e-6)
    else:
        why = f"its header puts an overlay into the {stored} bits of its values"
        assert refused(tmp_path / "a.dcm") == why
        ds.add_new(0x60003000, "OB", bytes(2))  # one with data of its own stands there
        ds.save_as(tmp_path / "a.dcm")
        assert read_scan(tmp_path / "a.dcm").pixels.max() == 1


# Elements


def test_bytes_that_are_no_value_of_their_kind(tmp_path: Path) -> None:
    path = written(tmp_path / "a.dcm", {"US:PixelPaddingValue": 7})
    data = path.read_bytes()
    path.write_bytes(
        data.replace(element("PixelPaddingValue", "US", b"\7\0"), element("PixelPaddingValue", "US", b"\7\0\0"))
    )
    assert refused(path) == "its PixelPaddingValue cannot be read"


def element(keyword: str | int, vr: str, value: bytes) -> bytes:
    tag = Tag(keyword)
    return struct.pack("<HH2sH", tag.group, tag.element, vr.encode(), len(value)) + value


@pytest.mark.parametrize(
    ("keyword", "vr", "first", "second"),
    [
        ("RescaleIntercept", "DS", b"0 ", b"-1024 "),
        ("PatientID", "LO", b"A1", b"B2"),
        ("WindowCenter", "DS", b"40", b"300 "),
        ("PixelRepresentation", "US", bytes(2), b"\1\0"),
        ("PixelSpacing", "DS", b"1\\1 ", b"2\\2 "),
    ],
)
def test_an_element_that_stands_twice(tmp_path: Path, keyword: str, vr: str, first: bytes, second: bytes) -> None:
    """Some readers take the first, some the last."""
    path = written(tmp_path / "a.dcm", {"RescaleSlope": 1, "RescaleIntercept": 0, keyword: None})
    data = path.read_bytes()
    place = data.index(element("PixelData", "OW", b"")[:6])
    one, other = element(keyword, vr, first), element(keyword, vr, second)
    path.write_bytes(data[:place] + one + other + data[place:])
    assert refused(path) == "holds an element twice, with different values"
    private = element(0x00091010, "LO", b"A1") + element(0x00091010, "LO", b"B2")  # are not read
    path.write_bytes(data[:place] + one + one + private + data[place:])
    if keyword != "WindowCenter":  # which has no width
        assert read_scan(path).pixels.shape == (1, 6)
    path.write_bytes(data + one)
    assert refused(path) == "holds elements of its header behind its pixels"


# Lookup tables


def table(count: int = 3, first: int = 50, bits: int = 8, data: Any = (0, 51, 255), vr: str = "US") -> Dataset:
    return item(US__LUTDescriptor=[count, first, bits], **{f"{vr}__LUTData": list(data) if vr == "US" else data})


@pytest.mark.parametrize("keyword", ["VOILUTSequence", "ModalityLUTSequence"])
@pytest.mark.parametrize(
    ("made", "why"),
    [
        (item(US__LUTDescriptor=[3, 50], US__LUTData=[0, 51, 255]), "its LUTDescriptor has 2 values where 3 belong"),
        (item(US__LUTDescriptor=3, US__LUTData=[0, 51, 255]), "its LUTDescriptor has 1 value where 3 belong"),
        (item(US__LUTData=[0, 51, 255]), "its {} has no LUTDescriptor"),
        (item(US__LUTDescriptor=[3, 50, 8]), "its {} has no LUTData"),
        (table(bits=0), "its {} says entries of 0 bits, where 8 to 16 can be"),
        (table(bits=32), "its {} says entries of 32 bits, where 8 to 16 can be"),
        (table(data=(0, 300, 255)), "its {} says entries of 8 bits, but one of them is 300"),
        (table(count=4), "its {} says 4 entries, but has 3"),
        (table(count=2), "its {} says 2 entries, but has 3"),
        (table(vr="OW", bits=16, data=bytes(4)), "its {} says 3 entries of 16 bits, but has 4 bytes"),
        (table(count=0, vr="OW", bits=16, data=bytes(400)), "its {} says 65536 entries of 16 bits, but has 400 bytes"),
    ],
)
def test_a_table_that_cannot_be_names_its_file(tmp_path: Path, keyword: str, made: Dataset, why: str) -> None:
    name = {"VOILUTSequence": "VOI LUT", "ModalityLUTSequence": "modality LUT"}[keyword]
    assert refused(written(tmp_path / "a.dcm", {keyword: [made]})) == why.format(name)


def test_a_bad_table_costs_its_file_and_not_the_series(tmp_path: Path) -> None:
    uids = [("2.25.1", "2.25.2", f"2.25.3{k}") for k in range(4)]
    for k in range(4):
        bad = table(count=9) if k == 2 else table()
        written(tmp_path / f"{k}.dcm", {"VOILUTSequence": [bad]}, VALUES + k, uids=uids[k], position=(0, 0, k))
    (one,), problems = read_series([tmp_path])
    assert len(one.scans) == 3
    assert [(path.name, reason.partition(": ")[2]) for path, reason in problems] == [
        ("2.dcm", "its VOI LUT says 9 entries, but has 3; export it again")
    ]


def test_bytes_in_words_of_either_order(tmp_path: Path) -> None:
    stored = np.array([[50, 51, 52, 53]], np.uint16)
    path = written(tmp_path / "a.dcm", {"VOILUTSequence": [table(4, vr="OW", data=bytes([0, 51, 102, 255]))]}, stored)
    np.testing.assert_allclose(read_scan(path).pixels, [[0, 0.2, 0.4, 1]], atol=1e-6)
    ds = dcmread(path)
    ds.VOILUTSequence[0].LUTData = bytes([51, 0, 255, 102])
    ds.file_meta.TransferSyntaxUID = ExplicitVRBigEndian
    ds.PixelData = stored.astype(">u2").tobytes()
    dcmwrite(path, ds, implicit_vr=False, little_endian=False, force_encoding=True)
    np.testing.assert_allclose(read_scan(path).pixels, [[0, 0.2, 0.4, 1]], atol=1e-6)


def test_a_long_table_whose_length_reads_as_negative(tmp_path: Path) -> None:
    made = item(SS__LUTDescriptor=[40000, 0, 16], OW__LUTData=np.arange(40000, dtype="<u2").tobytes())
    path = written(tmp_path / "a.dcm", {"ModalityLUTSequence": [made], "WindowCenter": 100.5, "WindowWidth": 201})
    np.testing.assert_allclose(read_scan(path).pixels[0], [0, 0.25, 0.5, 0.75, 1, 1], atol=1e-6)


def test_floats_may_be_negative_whatever_the_slope(tmp_path: Path) -> None:
    """By hand: a table of four entries from -2 (65534 as US) on; -1 takes the second, and -0.5 that below it."""
    path = written(tmp_path / "a.dcm", {"VOILUTSequence": [table(4, 65534, 8, (0, 51, 102, 255))]})
    ds = dcmread(path)
    for keyword in ("PixelData", "BitsStored", "HighBit", "PixelRepresentation"):
        delattr(ds, keyword)
    ds.BitsAllocated, ds.FloatPixelData = 32, np.array([-3, -2, -1, -0.5, 0, 1e30], "<f4").tobytes()
    ds.save_as(path)
    np.testing.assert_allclose(read_scan(path).pixels[0], [0, 0, 0.2, 0.2, 0.4, 1], atol=1e-6)


def test_a_modality_table_and_a_rescale_contradict_each_other(tmp_path: Path) -> None:
    path = written(tmp_path / "a.dcm", {"ModalityLUTSequence": [table()], "RescaleSlope": 2, "RescaleIntercept": 0})
    assert refused(path).startswith("its header has a modality LUT and a rescale slope and intercept too")
    path = written(tmp_path / "b.dcm", {"ModalityLUTSequence": [table()], "RescaleSlope": 1, "RescaleIntercept": 0})
    assert read_scan(path).pixels.max() == 1


def test_both_tables_one_after_the_other(tmp_path: Path) -> None:
    """By hand: 50, 100, 150 become 7, 8, 9 and these 0, .2, 1."""
    modality = item(US__LUTDescriptor=[101, 50, 16], US__LUTData=[7 + k // 50 for k in range(101)])
    values = {"ModalityLUTSequence": [modality], "VOILUTSequence": [table(3, 7)]}
    pixels = read_scan(written(tmp_path / "a.dcm", values)).pixels[0]
    np.testing.assert_allclose(pixels, [0, 0, 0.2, 1, 1, 1], atol=1e-6)


def test_a_voi_table_behind_a_modality_table_is_unsigned_whatever_the_pixels_are(tmp_path: Path) -> None:
    """By hand: stored -1 and 0 become 40000 and 40001, of which a table from 40000 on makes .2 and 1."""
    modality = item(SS__LUTDescriptor=[2, -1, 16], US__LUTData=[40000, 40001])
    values = {"ModalityLUTSequence": [modality], "VOILUTSequence": [table(2, 40000, 8, (51, 255))]}
    path = written(tmp_path / "a.dcm", values, np.array([[-5, -1, 0, 9]], np.int16))
    for _ in ("explicit", "implicit, which does not say the sign"):
        np.testing.assert_allclose(read_scan(path).pixels, [[0.2, 0.2, 1, 1]], atol=1e-6)
        ds = dcmread(path)
        ds.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian
        dcmwrite(path, ds, implicit_vr=True, little_endian=True, force_encoding=True)


def palette(bits: int = 16, count: int = 3, **more: Any) -> dict[str, Any]:
    made: dict[str, Any] = {"PhotometricInterpretation": "PALETTE COLOR"}
    for color, entries in {"Red": [0, 257, 65535], "Green": [65535, 0, 0], "Blue": [0, 0, 13107]}.items():
        made[f"US:{color}PaletteColorLookupTableDescriptor"] = [count, 50, bits]
        made[f"OW:{color}PaletteColorLookupTableData"] = np.array(entries, "<u2").tobytes()
    return made | more


@pytest.mark.parametrize(
    ("values", "why"),
    [
        (palette(bits=0), "its palette says colors of 0 bits, where 8 or 16 can be"),
        (palette(bits=12), "its palette says colors of 12 bits, where 8 or 16 can be"),
        (palette(count=4), "its palette says 4 entries of 16 bits, but has 6 bytes"),
        (palette() | {"OW:BluePaletteColorLookupTableData": b""}, "its palette has no BluePaletteColorLookupTableData"),
        (
            palette() | {"US:RedPaletteColorLookupTableDescriptor": [3, 50]},
            "its RedPaletteColorLookupTableDescriptor has 2 values where 3 belong",
        ),
        (
            palette() | {"US:BluePaletteColorLookupTableDescriptor": None},
            "its palette has no BluePaletteColorLookupTableDescriptor",
        ),
        (palette() | {"US:RedPaletteColorLookupTableDescriptor": None}, "is a palette image without its palette"),
    ],
)
def test_a_palette_that_cannot_be(tmp_path: Path, values: dict[str, Any], why: str) -> None:
    assert refused(written(tmp_path / "a.dcm", {"US:RedPaletteColorLookupTableDescriptor": None} | values)) == why


def test_a_palette_of_signed_values(tmp_path: Path) -> None:
    made = palette()
    for color in ("Red", "Green", "Blue"):
        made.pop(f"US:{color}PaletteColorLookupTableDescriptor")
        made[f"SS:{color}PaletteColorLookupTableDescriptor"] = [3, -1, 16]
    stored = np.array([[-5, -1, 0, 1, 9]], np.int16)
    pixels = read_scan(written(tmp_path / "a.dcm", made, stored)).pixels[0]
    first, middle, last = [0, 1, 0], [1 / 255, 0, 0], [1, 0, 0.2]
    np.testing.assert_allclose(pixels, [first, first, middle, last, last], atol=1e-6)


# Stacks


def stack_of(folder: Path, *headers: dict[str, Any]) -> Any:
    for k, values in enumerate(headers):
        uids = ("2.25.1", "2.25.2", f"2.25.3{k}")
        written(folder / f"{k}.dcm", values, VALUES.T * np.ones(4, np.uint16) + k, uids=uids, position=(0, 0, k))
    (one,), problems = read_series([folder])
    assert problems == []
    return one


def test_slices_without_a_window_take_that_of_others_and_it_is_told(tmp_path: Path) -> None:
    """By hand: all are shown by center 100, width 200; slice k holds 50 + k in its second row."""
    window = {"WindowCenter": 100, "WindowWidth": 200, "VOILUTFunction": "LINEAR_EXACT"}
    one = stack_of(tmp_path, {}, window, {}, window)
    np.testing.assert_allclose([scan.pixels[1, 0] for scan in one.scans], [0.25, 0.255, 0.26, 0.265], atol=1e-6)
    assert any(note.startswith("2 of its 4 images have no window; that of the middle one") for note in one.notes)


def test_tables_that_differ_within_a_stack_do_not(tmp_path: Path) -> None:
    tables = [{"VOILUTSequence": [table(data=(0, 51 + k, 255))]} for k in range(3)]
    one = stack_of(tmp_path, *tables)
    shown = {(k, value): 1.0 if k + value > 51 else 0.0 for k in range(3) for value in (50,)}
    shown[1, 50] = 52 / 255  # the middle one of three
    np.testing.assert_allclose([scan.pixels[1, 0] for scan in one.scans], [shown[k, 50] for k in range(3)], atol=1e-6)
    assert "the windows of its images differ; that of the middle one shows all (a lookup table)" in one.notes
    (tmp_path / "same").mkdir()
    assert not any("windows" in note for note in stack_of(tmp_path / "same", *[tables[0]] * 3).notes)


@pytest.mark.parametrize(
    ("usual", "odd"),
    [
        ({"RescaleSlope": 1, "RescaleIntercept": -1024}, {}),
        ({"RescaleSlope": 1, "RescaleIntercept": 0, "RescaleType": "HU"}, {"RescaleType": "US"}),
        ({"ModalityLUTSequence": [table()]}, {}),
        ({"Modality": "CT"}, {"Modality": "MR"}),
    ],
)
def test_a_slice_of_another_unit_is_a_stack_of_its_own(
    tmp_path: Path, usual: dict[str, Any], odd: dict[str, Any]
) -> None:
    for k in range(4):
        values = {"WindowCenter": 100, "WindowWidth": 200} | (odd if k == 1 else usual)
        written(tmp_path / f"{k}.dcm", values, uids=("2.25.1", "2.25.2", f"2.25.3{k}"), position=(0, 0, k))
    stacks, problems = read_series([tmp_path])
    assert problems == []
    assert [[Path(scan.source).stem for scan in one.scans] for one in stacks] == [["0", "2", "3"], ["1"]]
    assert all("its series holds other images too" in one.notes[0] for one in stacks)


@pytest.mark.parametrize("odd", [{}, {"RescaleSlope": 1}, {"RescaleSlope": 2, "RescaleIntercept": 0}])
def test_slices_of_the_same_unit_stay_together(tmp_path: Path, odd: dict[str, Any]) -> None:
    usual = {"RescaleSlope": 1, "RescaleIntercept": 0}
    assert len(stack_of(tmp_path, usual, odd, usual).scans) == 3


def test_an_order_by_slice_locations_is_told(tmp_path: Path) -> None:
    headers = [{"ImagePositionPatient": "", "SliceLocation": -k} for k in range(3)]
    one = stack_of(tmp_path, *headers)
    assert [Path(scan.source).stem for scan in one.scans] == ["2", "1", "0"]
    said = "its images have no position in the patient: they stand in the order of their slice locations"
    assert said in one.notes


def test_the_same_pixels_of_another_kind_are_no_copy(tmp_path: Path) -> None:
    """One UID for all, and blank: three slices of two echoes each, and a copy of the first file."""
    for k in range(6):
        values = {"EchoTime": 10 + 70 * (k % 2)}
        uids = ("2.25.1", "2.25.2", "2.25.3")
        written(tmp_path / f"{k}.dcm", values, VALUES * 0, uids=uids, position=(0, 0, k // 2))
    (tmp_path / "copy.dcm").write_bytes((tmp_path / "0.dcm").read_bytes())
    stacks, problems = read_series([tmp_path])
    assert problems == []
    assert [len(one.scans) for one in stacks] == [3, 3]
    assert all("1 of its images are copies of others and are left out" in one.notes for one in stacks)


# Functional groups


def enhanced(path: Path, shared: dict[str, Any], own: list[dict[str, Any]], **top: Any) -> Path:
    write_dicom(path, VALUES)
    ds = dcmread(path)
    put(ds, top)
    ds.NumberOfFrames = len(own)
    ds["PixelData"].value = VALUES.tobytes() * len(own)
    ds.SharedFunctionalGroupsSequence = [item(**shared)]
    ds.PerFrameFunctionalGroupsSequence = [item(**one) for one in own]
    ds.save_as(path)
    return path


def first_pixels(path: Path) -> list[np.ndarray]:
    from anogan.io import read_frames

    return [scan.pixels[0] for scan in read_frames(path)]


def test_a_group_says_all_of_its_matter(tmp_path: Path) -> None:
    """The function, the table and the intercept of the object itself are not those of a frame with its own."""
    window = item(WindowCenter=100.5, WindowWidth=201)
    own = {"FrameVOILUTSequence": [window]}
    path = enhanced(tmp_path / "a.dcm", {}, [own, own], VOILUTFunction="SIGMOID", WindowCenter=7, WindowWidth=9)
    for pixels in first_pixels(path):
        np.testing.assert_allclose(pixels, [0, 0.25, 0.5, 0.75, 1, 1], atol=1e-6)
    own |= {"PixelValueTransformationSequence": [item(RescaleSlope=0.5, RescaleIntercept=50)]}
    path = enhanced(tmp_path / "b.dcm", {}, [own, own], ModalityLUTSequence=[table()])
    for pixels in first_pixels(path):
        np.testing.assert_allclose(pixels, [0.25, 0.375, 0.5, 0.625, 0.75, 1], atol=1e-6)


def test_a_group_of_two_items_means_neither(tmp_path: Path) -> None:
    windows = [item(WindowCenter=100 + k, WindowWidth=201) for k in range(2)]
    path = enhanced(tmp_path / "a.dcm", {"FrameVOILUTSequence": windows}, [{}, {}])
    with pytest.raises(ValueError, match="a.dcm: its FrameVOILUTSequence has 2 items where one belongs"):
        first_pixels(path)
    path = written(tmp_path / "b.dcm", {"ModalityLUTSequence": [table(), table()]})
    assert refused(path) == "its ModalityLUTSequence has 2 items where one belongs"


def test_half_a_group_is_not_completed_from_elsewhere(tmp_path: Path) -> None:
    half = {"PixelValueTransformationSequence": [item(RescaleSlope=2)]}
    path = enhanced(tmp_path / "a.dcm", {}, [half, half], RescaleIntercept=-1024)
    with pytest.raises(ValueError, match="a RescaleSlope but no RescaleIntercept"):
        first_pixels(path)
    half = {"FrameVOILUTSequence": [item(WindowCenter=2)]}
    path = enhanced(tmp_path / "b.dcm", {"FrameVOILUTSequence": [item(WindowWidth=2)]}, [half, half])
    with pytest.raises(ValueError, match="has 1 window center and 0 window widths"):
        first_pixels(path)


def test_a_shared_window_and_a_frame_with_its_own(tmp_path: Path) -> None:
    shared = {"FrameVOILUTSequence": [item(WindowCenter=100.5, WindowWidth=201)]}
    own = [{}, {"FrameVOILUTSequence": [item(WindowCenter=100.5, WindowWidth=401)]}, {}]
    (one,), problems = read_series([enhanced(tmp_path / "a.dcm", shared, own)])
    assert problems == []
    assert any(note.startswith("the windows of its images differ") for note in one.notes)
    # (x - 100) / 400 + 0.5, of the middle one
    for scan in one.scans:
        np.testing.assert_allclose(scan.pixels[0, :5], [0.25, 0.375, 0.5, 0.625, 0.75], atol=1e-6)
