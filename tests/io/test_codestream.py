"""What compressed images say of themselves, on streams put together by hand."""

from __future__ import annotations

import io
import struct

import numpy as np
import pytest
from PIL import Image

from anogan.io.codestream import MAX_SCANS, Size, Unknown, jpeg_2000_header, jpeg_header, jpeg_scans, with_longer_scans

START, END = b"\xff\xd8", b"\xff\xd9"


def segment(marker: int, value: bytes = b"") -> bytes:
    return bytes([0xFF, marker]) + struct.pack(">H", len(value) + 2) + value


def frame(names: bytes = b"\1\2\3", factors: bytes = b"\x11\x11\x11", precision: int = 8, marker: int = 0xC0) -> bytes:
    samples = b"".join(bytes([name, factor, 0]) for name, factor in zip(names, factors, strict=True))
    return segment(marker, struct.pack(">BHHB", precision, 5, 7, len(names)) + samples)


SCAN = segment(0xDA, b"\1\1\0\0\x3f\0") + b"data\xff\x00\xff\xd0more\xff\xd7\xff\x00"


# Scans


def test_scans_are_counted_up_to_the_end() -> None:
    stream = START + segment(0xDB, bytes(65)) + frame() + SCAN + segment(0xC4, b"\xff\xda\xff\xd9") + SCAN + END
    assert jpeg_scans(stream) == (2, len(stream))
    assert jpeg_scans(stream + SCAN * 300) == (2, len(stream))
    assert jpeg_scans(stream + stream) == (2, len(stream))
    assert jpeg_scans(stream[:-2]) == (2, 0)
    assert jpeg_scans(b"") == jpeg_scans(START) == (0, 0)


def test_a_thumbnail_is_stepped_over() -> None:
    thumbnail = START + frame() + SCAN * 200 + END
    stream = START + segment(0xE1, b"Exif\0\0" + thumbnail) + frame() + SCAN + END
    assert jpeg_scans(stream) == (1, len(stream))


def test_fill_bytes_may_stand_before_a_marker() -> None:
    stream = START + b"\xff\xff" + frame() + SCAN + b"\xff\xff\xff" + SCAN + b"\xff" + END
    assert jpeg_scans(stream) == (2, len(stream))


def test_the_count_stops_where_it_is_enough() -> None:
    assert jpeg_scans(START + frame() + SCAN * 100 + END)[0] == 100 == MAX_SCANS
    assert jpeg_scans(START + frame() + SCAN * 100_000 + END) == (101, 0)
    with pytest.raises(Unknown):
        jpeg_scans(START + segment(0xFE) * 200_000 + frame() + SCAN + END)


def test_scans_of_jpeg_ls_hold_other_bytes_behind_ff() -> None:
    scan = segment(0xDA, b"\1\1\0\0\0\0") + b"\xff\x5a\xff\x7f\xff\x01"
    stream = START + frame(b"\1", b"\x11", marker=0xF7) + scan * 3 + END
    assert jpeg_scans(stream) == (3, len(stream))


def test_bytes_are_added_to_the_end_of_each_scan_and_nowhere_else() -> None:
    head, tables = START + segment(0xE1, SCAN + END) + frame(), segment(0xC4, b"\xff\xda\xff\xd9")
    longer = with_longer_scans(head + SCAN + tables + SCAN + b"\xff" + END + SCAN)
    more = longer[len(head + SCAN) : len(head + SCAN) + 64]
    assert b"\xff" not in more
    assert longer == head + SCAN + more + tables + SCAN + more + b"\xff" + END + SCAN
    assert with_longer_scans(b"") == b""


# Colors, depth


JFIF = segment(0xE0, b"JFIF\0\1\2\0\0\1\0\1\0\0")


def adobe(transform: int) -> bytes:
    return segment(0xEE, b"Adobe\0\x64\0\0\0\0" + bytes([transform]))


@pytest.mark.parametrize(
    ("before", "names", "factors", "colors"),
    [
        (b"", b"\1\2\3", b"\x11\x11\x11", set()),
        (b"", b"\0\1\2", b"\x11\x11\x11", set()),
        (JFIF, b"\1\2\3", b"\x11\x11\x11", {"YBR"}),
        (adobe(1), b"\1\2\3", b"\x11\x11\x11", {"YBR"}),
        (adobe(0), b"\1\2\3", b"\x11\x11\x11", {"RGB"}),
        (b"", b"RGB", b"\x11\x11\x11", {"RGB"}),
        (b"", b"rgb", b"\x11\x11\x11", {"RGB"}),
        (b"", b"\1\2\3", b"\x21\x11\x11", {"YBR"}),
        (b"", b"\1\2\3", b"\x22\x11\x11", {"YBR"}),
        (b"", b"\1\2\3", b"\x22\x22\x22", set()),  # all alike
        (JFIF + adobe(0), b"\1\2\3", b"\x11\x11\x11", {"YBR", "RGB"}),
        (adobe(0), b"\1\2\3", b"\x21\x11\x11", {"YBR", "RGB"}),
        (segment(0xEE, b"Adobe"), b"\1\2\3", b"\x11\x11\x11", set()),  # too short to tell
        (segment(0xE0, b"JFXX\0"), b"\1\2\3", b"\x11\x11\x11", set()),
        (segment(0xE1, JFIF), b"\1\2\3", b"\x11\x11\x11", set()),  # that of a thumbnail
    ],
)
def test_what_a_jpeg_tells_of_its_colors(before: bytes, names: bytes, factors: bytes, colors: set[str]) -> None:
    stream = jpeg_header(START + before + frame(names, factors) + SCAN + END)
    assert (stream.colors, stream.size, stream.precision, stream.signed) == (colors, Size(5, 7, 3), 8, None)


@pytest.mark.parametrize(("precision", "marker"), [(8, 0xC0), (12, 0xC1), (16, 0xC3), (7, 0xF7)])
def test_the_depth_of_a_jpeg(precision: int, marker: int) -> None:
    stream = jpeg_header(START + frame(b"\1", b"\x11", precision, marker) + SCAN + END)
    assert (stream.precision, stream.size) == (precision, Size(5, 7, 1))


@pytest.mark.parametrize(
    ("described", "transform", "expected"),
    [
        (b"\x07\1\1", 0, (8, False, False)),
        (b"\x8d\1\1", 0, (14, True, False)),
        (b"\x07\1\1" * 3, 1, (8, False, True)),
        (b"\x07\1\1" + b"\x87\1\1" * 2, 0, (0, False, False)),  # they differ
        (b"\x07\1\1" + b"\x07\2\1" * 2, 0, (0, False, False)),
    ],
)
def test_the_depth_of_jpeg_2000(described: bytes, transform: int, expected: tuple[int, bool, bool]) -> None:
    size = struct.pack(">H8LH", 0, 10, 8, 3, 3, 10, 8, 3, 3, len(described) // 3)
    stream = b"\xff\x4f" + segment(0x51, size + described) + segment(0x50, bytes(6)) + segment(0x64, b"note")
    stream += segment(0x52, bytes([0, 0, 0, 1, transform]) + b"\5\4\4\0\1")
    found = jpeg_2000_header(stream)
    assert (found.precision, found.signed, found.transformed) == expected
    assert found.size == Size(5, 7, len(described) // 3)


def test_the_depth_of_real_streams() -> None:
    for array, transformed in ((np.zeros((5, 7), np.uint8), False), (np.zeros((5, 7, 3), np.uint8), True)):
        for options in ({}, {"no_jp2": True}):
            buffer = io.BytesIO()
            Image.fromarray(array).save(buffer, format="JPEG2000", mct=int(transformed), **options)
            found = jpeg_2000_header(buffer.getvalue())
            assert (found.precision, found.signed, found.transformed) == (8, False, transformed)
