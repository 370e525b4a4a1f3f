"""Hostile DICOM files: each is refused in one sentence before anything large is allocated, decoded or followed."""

from __future__ import annotations

import io
import struct
import tracemalloc
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pydicom import dcmread
from pydicom.encaps import encapsulate
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    RLELossless,
)

from anogan.errors import Refused
from anogan.io import elements, read_frames, read_scan, read_subject
from anogan.io.codestream import Size, Unknown, jpeg_2000_header, jpeg_header
from anogan.io.dicom import write_dicom
from anogan.io.guard import check_structure

LONG = ("OB", "OD", "OF", "OL", "OV", "OW", "SQ", "UC", "UN", "UR", "UT")
UNDEFINED = 0xFFFFFFFF
SEQUENCE = 0x00081140  # ReferencedImageSequence
RAMP = np.arange(64, dtype=np.uint8).reshape(8, 8)


def element(tag: int, vr: str, value: bytes, length: int | None = None, order: str = "<") -> bytes:
    """Encode an element, perhaps with a length that is not true; without a VR it is implicit."""
    value += b"\0" * (len(value) % 2)
    length = len(value) if length is None else length
    head = struct.pack(f"{order}HH", tag >> 16, tag & 0xFFFF)
    if not vr:
        return head + struct.pack(f"{order}L", length) + value
    size = struct.pack(f"{order}xxL" if vr in LONG else f"{order}H", length)
    return head + vr.encode() + size + value


def image_elements(order: str = "<", vr: bool = True, **changes: object) -> bytes:
    """Encode the group of an 8 x 8 image of bytes."""
    values = {"samples": 1, "photometric": "MONOCHROME2", "frames": 1, "rows": 8, "columns": 8, "bits": 8} | changes
    found = b""
    for tag, kind, name in (
        (0x00080018, "UI", "uid"),
        (0x00280002, "US", "samples"),
        (0x00280004, "CS", "photometric"),
        (0x00280008, "IS", "frames"),
        (0x00280010, "US", "rows"),
        (0x00280011, "US", "columns"),
        (0x00280100, "US", "bits"),
        (0x00280101, "US", "bits"),
        (0x00280103, "US", "signed"),
    ):
        value = values.get(name, "1.2.3" if name == "uid" else 0)
        encoded = struct.pack(f"{order}H", value) if kind == "US" else str(value).encode()
        found += element(tag, kind if vr else "", encoded, order=order)
    return found


PIXELS = element(0x7FE00010, "OB", RAMP.tobytes())


def dicom(path: Path, data_set: bytes, syntax: str = ExplicitVRLittleEndian) -> Path:
    meta = element(0x00020010, "UI", syntax.encode())
    path.write_bytes(bytes(128) + b"DICM" + element(0x00020000, "UL", struct.pack("<L", len(meta))) + meta + data_set)
    return path


def refused(path: Path) -> str:
    with pytest.raises(ValueError) as caught:
        read_frames(path)
    assert read_subject(path) == ""
    sentence = str(caught.value)
    assert sentence.startswith(f"{path}: ")
    assert "\n" not in sentence
    return sentence.removeprefix(f"{path}: ")


# What passes


def test_a_plain_image_passes_in_every_encoding(tmp_path: Path) -> None:
    nested = element(SEQUENCE, "SQ", item(element(0x00080050, "SH", b"x")), UNDEFINED) + END
    for syntax, data_set in {
        ExplicitVRLittleEndian: nested + image_elements() + PIXELS,
        ImplicitVRLittleEndian: image_elements(vr=False) + element(0x7FE00010, "", RAMP.tobytes()),
        ExplicitVRBigEndian: image_elements(">") + element(0x7FE00010, "OB", RAMP.tobytes(), order=">"),
        DeflatedExplicitVRLittleEndian: zlib.compress(image_elements() + PIXELS, wbits=-15),
    }.items():
        path = dicom(tmp_path / "a.dcm", data_set, syntax)
        np.testing.assert_allclose(read_scan(path).pixels, RAMP / 255, atol=1e-6)
    (tmp_path / "old.dcm").write_bytes(image_elements() + PIXELS)  # without its header
    assert read_scan(tmp_path / "old.dcm").pixels.shape == (8, 8)


def test_private_tags_may_hold_junk(tmp_path: Path) -> None:
    junk = np.random.default_rng(0).integers(0, 256, 4000).astype(np.uint8).tobytes()
    private = b"".join(element(0x00090010 + place, vr, junk) for place, vr in enumerate(("LO", "UN", "SQ", "DS", "PN")))
    path = dicom(tmp_path / "a.dcm", private + image_elements() + PIXELS)
    assert read_scan(path).pixels.shape == (8, 8)


def test_a_hash_may_stand_for_a_uid(tmp_path: Path) -> None:
    path = dicom(tmp_path / "a.dcm", image_elements(uid="0123456789abcdef" * 4) + PIXELS)
    assert read_scan(path).instance_uid == "0123456789abcdef" * 4


# Lengths


END = element(0xFFFEE0DD, "", b"")


def item(value: bytes, length: int | None = None) -> bytes:
    return element(0xFFFEE000, "", value, length)


@pytest.mark.parametrize("length", [0xFFFFFFFE, 1 << 30, 66])
@pytest.mark.parametrize("tag", [0x7FE00010, 0x00091010, 0x00281201])
def test_a_length_behind_the_end_of_the_file(tmp_path: Path, tag: int, length: int) -> None:
    path = dicom(tmp_path / "a.dcm", image_elements() + element(tag, "OW", bytes(64), length))
    tracemalloc.start()
    sentence = refused(path)
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    where = "is cut off in its pixels" if tag == 0x7FE00010 else "is damaged or cut off in its header"
    assert sentence == f"{where}, {length:,} bytes should follow where 64 do; copy or export it again"
    assert most < 10e6


def test_a_length_behind_the_end_of_a_sequence_is_no_danger(tmp_path: Path) -> None:
    inner = item(element(0x00080050, "SH", b"x") + element(0x00091010, "UN", b"xx", 0xFFFFFFF0))
    path = dicom(tmp_path / "a.dcm", element(SEQUENCE, "SQ", inner) + image_elements() + PIXELS)
    assert read_scan(path).pixels.shape == (8, 8)


def test_numbers_without_end(tmp_path: Path) -> None:
    spacing = element(0x00280030, "", b"1\\" * 600_000)  # pydicom would make a million decimals
    data_set = image_elements(vr=False) + spacing + element(0x7FE00010, "", RAMP.tobytes())
    path = dicom(tmp_path / "a.dcm", data_set, ImplicitVRLittleEndian)
    assert "holds an element with 1,200,000 bytes of numbers or text" in refused(path)


def test_character_sets_without_end(tmp_path: Path) -> None:
    path = dicom(tmp_path / "a.dcm", element(0x00080005, "CS", b"X\\" * 30_000) + image_elements() + PIXELS)
    assert "names its character sets in 60,000 bytes" in refused(path)


@pytest.mark.parametrize("names", [b"NO SUCH SET", b"\\\\\\", b"ISO 2022 IR 87\\ISO_IR 192\\\xff\xfe"])
def test_a_character_set_that_nobody_knows(tmp_path: Path, names: bytes) -> None:
    person = element(0x00100010, "PN", b"\x1b$B\xff\xff^\x1b(J")
    path = dicom(tmp_path / "a.dcm", element(0x00080005, "CS", names) + person + image_elements() + PIXELS)
    assert read_scan(path).pixels.shape == (8, 8)


# Sequences


@pytest.mark.parametrize("defined", [False, True])
@pytest.mark.parametrize("vr", ["SQ", "UN"])
def test_sequences_within_sequences(tmp_path: Path, vr: str, defined: bool) -> None:
    nested, item_end = b"", element(0xFFFEE00D, "", b"")
    for _ in range(2000):
        if defined:
            nested = element(SEQUENCE, vr, item(nested))
        else:
            nested = element(SEQUENCE, vr, item(b"", UNDEFINED), UNDEFINED) + nested + item_end + END
    path = dicom(tmp_path / "a.dcm", nested + image_elements() + PIXELS)
    assert refused(path) == "holds sequences more than 32 deep, as no image does; copy or export it again"


@pytest.mark.parametrize("length", [None, UNDEFINED])
def test_an_icon_hides_nothing_behind_it(tmp_path: Path, length: int | None) -> None:
    deep = b""
    for _ in range(40):
        deep = element(SEQUENCE, "SQ", item(deep))
    icon = element(0x00880200, "SQ", item(image_elements() + PIXELS), length) + (END if length else b"")
    path = dicom(tmp_path / "a.dcm", icon + deep + image_elements() + PIXELS)
    with pytest.raises(Refused, match="more than 32 deep"):
        check_structure(path, stop_before_pixels=True)


def test_very_many_items_and_elements(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(elements, "MAX_ITEMS", 2000)
    monkeypatch.setattr(elements, "MAX_ELEMENTS", 10_000)
    for count, sentence in ((1999, ""), (2001, "holds more than 2,000 items, too many to be read; split it")):
        data_set = element(SEQUENCE, "SQ", item(b"") * count) + image_elements() + PIXELS
        path = dicom(tmp_path / "a.dcm", data_set)
        assert refused(path) == sentence if sentence else read_scan(path)
    path = dicom(tmp_path / "a.dcm", element(0x00091010, "LO", b"") * 10_001 + image_elements() + PIXELS)
    assert refused(path) == "holds more than 10,000 elements, too many to be read; split it"
    path = compressed(tmp_path / "a.dcm", item(b"") * 10_001, JPEGBaseline8Bit)
    assert refused(path) == "holds more than 10,000 elements, too many to be read; split it"


def test_values_whose_end_is_searched_again_and_again(tmp_path: Path) -> None:
    # From each value fragments lead to the file's end, but its delimiter hides in the first, and behind it the next.
    head, *others = (element(0x00091010 + k, "OB", b"", UNDEFINED) for k in range(1001))
    found = b"".join(item(END + other) for other in others)
    path = dicom(tmp_path / "a.dcm", head + found + image_elements() + PIXELS)
    assert refused(path) == "holds more than 250,000 elements, too many to be read; split it"


# Claims about pixels


def test_a_huge_image(tmp_path: Path) -> None:
    path = dicom(tmp_path / "a.dcm", image_elements(rows=65535, columns=65535) + PIXELS)
    assert refused(path).startswith("has 65535 x 65535 pixels, more than the 64 million")


def test_a_size_that_is_given_again_behind_the_pixels(tmp_path: Path) -> None:
    path = dicom(tmp_path / "a.dcm", image_elements() + PIXELS + element(0x00280010, "US", b"\xff\xff"))
    assert refused(path) == "holds an element twice, with different values; copy or export it again"
    path = dicom(tmp_path / "a.dcm", image_elements() + PIXELS + element(0x00280009, "US", b"\xff\xff"))
    assert refused(path) == "holds elements of its header behind its pixels; copy or export it again"


def test_a_thousand_million_frames(tmp_path: Path) -> None:
    path = dicom(tmp_path / "a.dcm", image_elements(frames=10**9) + PIXELS)
    assert refused(path).startswith("has 1000000000 frames of 8 x 8 pixels, more than the 400 million")
    encapsulated = element(0x7FE00010, "OB", encapsulate([coded("JPEG")]), UNDEFINED) + END
    path = dicom(tmp_path / "a.dcm", image_elements(frames=10**9) + encapsulated, JPEGBaseline8Bit)
    assert "1000000000 frames" in refused(path)
    path = dicom(tmp_path / "a.dcm", image_elements(frames=5) + encapsulated, JPEGBaseline8Bit)
    assert refused(path) == "holds 1 compressed frame, but its header says 5; copy or export it again"


@pytest.mark.parametrize("uid", ["1." * 500, "../../../etc/passwd", "..", "1/2", "1.2\x00.3", "1.2 3"])
def test_a_uid_that_is_none(tmp_path: Path, uid: str) -> None:
    path = dicom(tmp_path / "a.dcm", image_elements(uid=uid) + PIXELS)
    assert refused(path) == "its SOPInstanceUID is no UID of up to 64 digits and dots; copy or export it again"


def test_a_deflated_bomb(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    machine, block = zlib.compressobj(9, wbits=-15), bytes(1 << 20)
    data = machine.compress(image_elements() + element(0x00091010, "OB", b"", 0x7FFFFFF0))
    data += b"".join(machine.compress(block) for _ in range(60)) + machine.flush()
    path = dicom(tmp_path / "a.dcm", data, DeflatedExplicitVRLittleEndian)
    assert len(data) < 1e5
    monkeypatch.setattr(elements, "MAX_INFLATED", 8 << 20)
    tracemalloc.start()
    assert refused(path) == "unpacks to more than the 8 MB that are read; save it uncompressed and smaller"
    assert tracemalloc.get_traced_memory()[1] < 40 << 20
    tracemalloc.stop()


def test_deflated_data_that_are_damaged(tmp_path: Path) -> None:
    path = dicom(tmp_path / "a.dcm", b"\xff" * 100, DeflatedExplicitVRLittleEndian)
    assert refused(path) == "its deflated data are damaged; copy or export it again"


def palette(red: bytes, bits: int = 16) -> bytes:
    descriptor = struct.pack("<3H", 256, 0, bits)
    found = b"".join(element(0x00281101 + place, "US", descriptor) for place in range(3))
    return found + b"".join(element(0x00281221 + place, "OW", red) for place in range(3))


def test_a_segmented_palette_that_grows(tmp_path: Path) -> None:
    image = image_elements(photometric="PALETTE COLOR")
    start = struct.pack("<3H", 0, 1, 7)
    lines = start + struct.pack("<3H", 1, 65535, 9) * 3
    twice = start + b"".join(struct.pack("<4H", 2, 0, 0, 0) for _ in range(30))  # each repeats all of it
    for table in (lines, twice):
        path = dicom(tmp_path / "a.dcm", image + palette(table) + PIXELS)
        assert refused(path) == "its palette unpacks to more than 65536 colors; copy or export it again"
    honest = start + struct.pack("<3H", 1, 255, 65535)
    scan = read_scan(dicom(tmp_path / "a.dcm", image + palette(honest) + PIXELS))
    assert scan.pixels.shape == (8, 8, 3)


# Compressed frames


def coded(kind: str, pixels: np.ndarray = RAMP) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, format=kind, **({"no_jp2": True} if kind == "JPEG2000" else {}))
    return buffer.getvalue()


def compressed(path: Path, fragments: bytes, syntax: str, **image: object) -> Path:
    return dicom(path, image_elements(**image) + element(0x7FE00010, "OB", fragments, UNDEFINED) + END, syntax)


def lying(kind: str, side: int) -> bytes:
    """Return an 8 x 8 frame whose own header says that it is larger."""
    data = bytearray(coded(kind))
    if kind == "JPEG":
        place = data.index(b"\xff\xc0") + 5
        data[place : place + 4] = struct.pack(">2H", side, side)
    else:
        data[8:16] = struct.pack(">2L", side, side)
        data[24:32] = struct.pack(">2L", side, side)  # one tile
    return bytes(data)


KINDS = [("JPEG", JPEGBaseline8Bit), ("JPEG2000", JPEG2000Lossless)]


@pytest.mark.parametrize(("kind", "syntax"), KINDS)
def test_a_frame_that_says_that_it_is_larger(tmp_path: Path, kind: str, syntax: str) -> None:
    assert read_scan(compressed(tmp_path / "a.dcm", encapsulate([coded(kind)]), syntax)).pixels.shape == (8, 8)
    path = compressed(tmp_path / "a.dcm", encapsulate([lying(kind, 60000)]), syntax)
    expected = "a compressed frame has 60000 x 60000 x 1 where the header says 8 x 8 x 1; copy or export it again"
    assert refused(path) == expected
    second = encapsulate([coded(kind), lying(kind, 60000)])
    assert refused(compressed(tmp_path / "a.dcm", second, syntax, frames=2)) == expected
    # The same frame in pieces of two bytes.
    pieces = b"".join(item(lying(kind, 60000)[place : place + 2]) for place in range(0, 400, 2))
    assert refused(compressed(tmp_path / "a.dcm", item(b"") + pieces, syntax)) == expected
    # And in a value of defined length, which pydicom takes apart just as well.
    path = dicom(tmp_path / "a.dcm", image_elements() + element(0x7FE00010, "OB", item(b"") + pieces + END), syntax)
    assert refused(path) == expected


def test_a_frame_of_very_many_scans(tmp_path: Path) -> None:
    scan = coded("JPEG")[coded("JPEG").index(b"\xff\xda") : -2]
    frame = coded("JPEG")[:-2] + scan * 200 + b"\xff\xd9"
    path = compressed(tmp_path / "a.dcm", encapsulate([frame]), JPEGBaseline8Bit)
    assert refused(path) == "has more than 100 scans in a frame, too slow to decode; copy or export it again"


def test_scans_are_counted_in_a_frame_and_not_in_its_fragments(tmp_path: Path) -> None:
    scan = coded("JPEG")[coded("JPEG").index(b"\xff\xda") : -2]
    frame = coded("JPEG")[:-2] + scan * 120 + b"\xff\xd9"
    pieces = b"".join(item(frame[place : place + 1000]) for place in range(0, len(frame) // 1000 * 1000 + 1, 1000))
    path = compressed(tmp_path / "a.dcm", item(b"") + pieces, JPEGBaseline8Bit)
    assert refused(path) == "has more than 100 scans in a frame, too slow to decode; copy or export it again"


def test_scans_in_thumbnails_and_behind_a_frame_do_not_count(tmp_path: Path) -> None:
    whole = coded("JPEG")
    thumbnail = b"\xff\xe1" + struct.pack(">H", 402) + b"\xff\xda\x00\x02" * 100
    frame = whole[:2] + thumbnail + whole[2:] + b"\xff\xda\x00\x02" * 200
    scan = read_scan(compressed(tmp_path / "a.dcm", encapsulate([frame]), JPEGBaseline8Bit))
    np.testing.assert_array_equal(
        scan.pixels, read_scan(compressed(tmp_path / "b.dcm", encapsulate([whole]), JPEGBaseline8Bit)).pixels
    )


@pytest.mark.parametrize(("kind", "syntax"), KINDS)
def test_a_truncated_frame(tmp_path: Path, kind: str, syntax: str) -> None:
    path = compressed(tmp_path / "a.dcm", encapsulate([coded(kind)[:40]]), syntax)
    assert refused(path) == "the header of a compressed frame is damaged; copy or export it again"
    whole = compressed(tmp_path / "a.dcm", encapsulate([coded(kind)]), syntax).read_bytes()
    path.write_bytes(whole[:-100])
    assert refused(path) == "is cut off in its pixels; copy or export it again"


def test_a_wrong_transfer_syntax(tmp_path: Path) -> None:
    expected = "its pixels are not compressed as its transfer syntax says; copy or export it again"
    assert refused(compressed(tmp_path / "a.dcm", encapsulate([coded("JPEG")]), JPEG2000Lossless)) == expected
    assert refused(compressed(tmp_path / "a.dcm", encapsulate([coded("JPEG2000")]), JPEGBaseline8Bit)) == expected
    path = dicom(tmp_path / "a.dcm", image_elements() + PIXELS, JPEGBaseline8Bit)
    assert refused(path) == "its compressed pixels are damaged or cut off; copy or export it again"
    assert "damaged" in refused(dicom(tmp_path / "a.dcm", image_elements() + PIXELS, ExplicitVRBigEndian))
    assert "decoded" in refused(dicom(tmp_path / "a.dcm", image_elements() + PIXELS, "1.2.3"))


def test_a_table_of_frames_that_points_into_a_frame(tmp_path: Path) -> None:
    hidden = item(coded("JPEG") + item(lying("JPEG", 60000)))
    for offsets in ((4,), (0, len(coded("JPEG")) + 8)):
        table = item(struct.pack(f"<{len(offsets)}L", *offsets))
        path = compressed(tmp_path / "a.dcm", table + hidden, JPEGBaseline8Bit)
        assert refused(path) == "its table of where frames begin is damaged; copy or export it again"


def test_runs_without_end(tmp_path: Path) -> None:
    header = struct.pack("<16L", 1, 64, *[0] * 14)
    runs = b"\x81\x00" * 50_000  # 128 zeros each
    path = compressed(tmp_path / "a.dcm", encapsulate([header + runs]), RLELossless)
    assert refused(path) == "has more bytes in a compressed frame than the image has; copy or export it again"


def test_sizes_of_codestreams() -> None:
    colors = np.zeros((5, 7, 3), np.uint8)
    assert jpeg_header(coded("JPEG", colors)).size == Size(5, 7, 3)
    assert jpeg_2000_header(coded("JPEG2000", colors)).size == Size(5, 7, 3)
    buffer = io.BytesIO()
    Image.fromarray(colors).save(buffer, format="JPEG2000")  # a JP2 file around it
    assert jpeg_2000_header(buffer.getvalue()).size == Size(5, 7, 3)
    for data in (b"", b"\xff\xd8", b"\xff\xd8\xff\xda\x00\x04", b"\xff\xd8\xff\xe0\x00\x00\xff", bytes(100)):
        with pytest.raises(Unknown):
            jpeg_header(data)
        with pytest.raises(Unknown):
            jpeg_2000_header(data)


# Real files


@pytest.mark.realdata
def test_no_real_file_is_refused_that_pydicom_can_read(data_root: Path) -> None:
    refusals = {}
    paths = sorted((data_root / "dicom").rglob("*"))
    for path in filter(Path.is_file, paths):
        try:
            check_structure(path)
        except Refused as refusal:
            refusals[path.name] = str(refusal)
    assert len(paths) > 100
    # Its pixels have no end; pydicom finds none at all.
    assert list(refusals) == ["emri_small_jpeg_2k_lossless_too_short.dcm"], refusals
    with pytest.warns(UserWarning, match="End of file"):
        ds = dcmread(next((data_root / "dicom").rglob(next(iter(refusals)))), force=True)
    assert "PixelData" not in ds


def test_what_the_writer_writes_passes(tmp_path: Path) -> None:
    write_dicom(tmp_path / "a.dcm", RAMP.astype(np.uint16), window=(1, 2), patient_id="P")
    check_structure(tmp_path / "a.dcm")
