"""TIFF by value: every combination is right or refused with a true sentence, and none costs more than its picture."""

from __future__ import annotations

import io
import itertools
import lzma
import struct
import tracemalloc
import zlib
from collections.abc import Callable
from pathlib import Path

import imagecodecs
import numpy as np
import pytest
import tifffile
from PIL import Image

from anogan.io import read_scan
from anogan.io.raster import raster_size, read_raster

HIGH, WIDE = 12, 20
RNG = np.random.default_rng(0)
GRAY = bytes(HIGH * WIDE)


def read(data: bytes) -> np.ndarray:
    return read_raster("a.tif", data).pixels


def refused(data: bytes) -> str:
    """Return the sentence with which a file is refused, without its name."""
    with pytest.raises(ValueError, match=r"^a\.tif: [^\n]*$") as caught:
        read_raster("a.tif", data)
    return str(caught.value).removeprefix("a.tif: ")


def written(array: np.ndarray, **options: object) -> bytes:
    buffer = io.BytesIO()
    tifffile.imwrite(buffer, array, **({"metadata": None} | options))
    return buffer.getvalue()


def built(
    tags: dict[int, tuple[str, list[int]]], *strips: bytes, order: str = "<", big: bool = False, following: int = 0
) -> bytes:
    """Return a TIFF file of one directory; its strips follow the header, at 16.

    Each tag is a struct code and its values. Without one of their own, offsets, lengths, size and photometric
    interpretation are those of gray, 12 x 20.
    """
    places = list(itertools.accumulate(map(len, strips), initial=16))
    usual: dict[int, tuple[str, list[int]]] = {256: ("H", [WIDE]), 257: ("H", [HIGH]), 258: ("H", [8]), 262: ("H", [1])}
    usual |= {273: ("I", places[:-1]), 279: ("I", [len(strip) for strip in strips])}
    tags = {tag: value for tag, value in sorted((usual | tags).items()) if value[1]}
    offset, kinds, room = ("Q" if big else "I"), {"B": 1, "H": 3, "I": 4, "Q": 16, "s": 2}, (8 if big else 4)
    entry = struct.calcsize("=HH" + 2 * offset)
    start = places[-1] + places[-1] % 2
    extra = start + (8 if big else 2) + len(tags) * entry + room
    entries = tail = b""
    for tag, (code, values) in tags.items():
        raw = bytes(values) if code == "s" else struct.pack(f"{order}{len(values)}{code}", *values)
        if len(raw) > room:
            value, tail = struct.pack(order + offset, extra + len(tail)), tail + raw
        else:
            value = raw.ljust(room, b"\0")
        entries += struct.pack(order + "HH" + offset, tag, kinds[code], len(values)) + value
    head = (b"II" if order == "<" else b"MM") + struct.pack(
        order + ("HHHQ" if big else "HI"), *((43, 8, 0, start) if big else (42, start))
    )
    data = head.ljust(16, b"\0") + b"".join(strips)
    count = struct.pack(order + ("Q" if big else "H"), len(tags))
    return data.ljust(start, b"\0") + count + entries + struct.pack(order + offset, following) + tail


def packed(values: np.ndarray, bits: int) -> bytes:
    """Return rows of numbers, the first bit highest, each row from a byte of its own (TIFF 6.0, section 8)."""
    words = [int(value) for value in values.ravel()]
    row = values[0].size
    text = ["".join(f"{word:0{bits}b}" for word in words[k : k + row]) for k in range(0, len(words), row)]
    return b"".join(
        int(line.ljust(-(-len(line) // 8) * 8, "0"), 2).to_bytes(-(-len(line) // 8), "big") for line in text
    )


def expected(values: np.ndarray, bits: int) -> np.ndarray:
    """Return what the rule of `read_raster` makes of some numbers."""
    exact = values.astype(np.float64)
    if values.dtype.kind in "ub" and bits <= 16:
        return exact / (2**bits - 1)
    if values.dtype.kind == "f" and 0 <= exact.min() <= exact.max() <= 1:
        return exact
    return (exact - exact.min()) / (exact.max() - exact.min())


# By value


@pytest.mark.parametrize("kind", ["u1", "u2", "u4", "u8", "i1", "i2", "i4", "i8", "f2", "f4", "f8"])
@pytest.mark.parametrize("colors", ["minisblack", "miniswhite", "contig", "separate"])
def test_every_kind_of_number_in_every_layout(kind: str, colors: str) -> None:
    dtype = np.dtype(kind)
    shape = {"contig": (HIGH, WIDE, 3), "separate": (3, HIGH, WIDE)}.get(colors, (HIGH, WIDE))
    if dtype.kind == "f":
        values = RNG.uniform(-900, 900, shape).astype(dtype)
    else:
        ends = np.iinfo(dtype)
        values = RNG.integers(ends.min, ends.max, shape, dtype, endpoint=True)
    right = expected(np.moveaxis(values, 0, -1) if colors == "separate" else values, 8 * dtype.itemsize)
    right = 1 - right if colors == "miniswhite" else right
    options = {"photometric": "rgb", "planarconfig": colors} if colors in ("contig", "separate") else {}
    options = options or {"photometric": colors}
    for order, compression, tile in itertools.product(
        "<>", (None, "lzw", "zlib", "packbits", "zstd", "lzma"), (None, (16, 16))
    ):
        for predictor in (None,) if compression in (None, "packbits") else (None, 2 if dtype.kind != "f" else 3):
            data = written(
                values,
                byteorder=order,
                compression=compression,
                predictor=predictor,
                tile=tile,
                bigtiff=order == ">" and tile is None,
                rowsperstrip=None if compression is None or tile else 5,
                **options,
            )
            assert raster_size(data) == (HIGH, WIDE)
            np.testing.assert_allclose(
                read(data), right, atol=2e-6, err_msg=f"{order} {compression} {predictor} {tile}"
            )


@pytest.mark.parametrize("bits", [1, 2, 3, 4, 6, 10, 12, 14, 15])
@pytest.mark.parametrize("order", ["<", ">"])
def test_packed_bits(bits: int, order: str) -> None:
    for width, samples in ((20, 1), (19, 1), (19, 3)):
        values = RNG.integers(0, 2**bits, (HIGH, width, samples), np.uint16)
        tags = {256: ("H", [width]), 258: ("H", [bits] * samples), 277: ("H", [samples])}
        tags |= {262: ("H", [1 if samples == 1 else 2])}
        data = built(tags, packed(values, bits), order=order)
        np.testing.assert_allclose(read(data), np.squeeze(expected(values, bits)), atol=1e-6)


@pytest.mark.parametrize("order", ["<", ">"])
def test_twenty_four_bits_go_by_the_byte_order(order: str) -> None:
    values = RNG.integers(0, 2**24, (HIGH, WIDE), np.uint32)
    raw = b"".join(int(value).to_bytes(3, "little" if order == "<" else "big") for value in values.ravel())
    np.testing.assert_allclose(read(built({258: ("H", [24])}, raw, order=order)), expected(values, 24), atol=1e-6)
    halves = values.astype(np.float32) % 1000
    raw = imagecodecs.float24_encode(halves, byteorder=order)
    seen = read(built({258: ("H", [24]), 339: ("H", [3])}, raw, order=order))
    np.testing.assert_allclose(seen, expected(halves, 32), atol=1e-4)


@pytest.mark.parametrize("compression", [1, 5, 8])
def test_bits_in_reversed_order(compression: int) -> None:
    values = RNG.integers(0, 4096, (HIGH, WIDE), np.uint16)
    raw = packed(values, 12)
    raw = {1: raw, 5: imagecodecs.lzw_encode(raw), 8: zlib.compress(raw)}[compression]
    reversed_bytes = bytes(int(f"{byte:08b}"[::-1], 2) for byte in raw)
    data = built({258: ("H", [12]), 259: ("H", [compression]), 266: ("H", [2])}, reversed_bytes)
    np.testing.assert_allclose(read(data), values / 4095, atol=1e-6)


def test_differences_of_floats_are_those_of_their_bits() -> None:
    values = RNG.uniform(0, 1, (HIGH, WIDE)).astype(np.float32)
    whole = values.view(np.uint32)
    steps = np.diff(whole, axis=1, prepend=np.zeros((HIGH, 1), np.uint32))
    tags = {258: ("H", [32]), 259: ("H", [8]), 317: ("H", [2]), 339: ("H", [3])}
    np.testing.assert_array_equal(read(built(tags, zlib.compress(steps.astype("<u4").tobytes()))), values)


@pytest.mark.parametrize(("scheme", "code"), [("tiff_ccitt", 2), ("group3", 3), ("group4", 4)])
@pytest.mark.parametrize("white_is_zero", [True, False])
def test_fax(scheme: str, code: int, white_is_zero: bool) -> None:
    white = RNG.random((HIGH, WIDE)) < 0.5
    buffer = io.BytesIO()
    Image.fromarray(white).save(buffer, "TIFF", compression=scheme, tiffinfo={262: 0 if white_is_zero else 1})
    buffer.seek(0)
    assert tifffile.TiffFile(buffer).pages[0].compression == code
    seen = read(buffer.getvalue())
    with Image.open(buffer) as image:
        np.testing.assert_array_equal(seen, np.asarray(image.convert("L")) / 255)  # libtiff


@pytest.mark.parametrize("bits", [1, 2, 4, 8])
def test_palettes(bits: int) -> None:
    index = RNG.integers(0, 2**bits, (HIGH, WIDE), np.uint8)
    colors = RNG.integers(0, 256, (3, 2**bits))
    colors[0, 0] = 255
    for scale in (257, 256, 1):  # some write bytes
        tags = {258: ("H", [bits]), 262: ("H", [3]), 320: ("H", (colors * scale).ravel().tolist())}
        np.testing.assert_allclose(read(built(tags, packed(index, bits))), colors.T[index] / 255, atol=1e-6)


def test_cmyk() -> None:
    inks = RNG.integers(0, 256, (HIGH, WIDE, 4), np.uint8)
    right = (1 - inks[..., :3] / 255) * (1 - inks[..., 3:] / 255)
    np.testing.assert_allclose(read(written(inks, photometric="separated")), right, atol=1e-6)
    deep = inks.astype(np.uint16) * 257
    np.testing.assert_allclose(read(written(deep, photometric="separated")), right, atol=1e-6)


@pytest.mark.parametrize(("kind", "associated"), [("assocalpha", True), ("unassalpha", False)])
@pytest.mark.parametrize("most", [255, 65535])
def test_opacity_is_laid_on_black(kind: str, associated: bool, most: int) -> None:
    for colors in (1, 3):
        values = RNG.integers(0, most + 1, (HIGH, WIDE, colors + 1)).astype(np.uint8 if most == 255 else np.uint16)
        photometric = "minisblack" if colors == 1 else "rgb"
        right = values[..., :colors] / most * (1 if associated else values[..., colors:] / most)
        scan = read_raster("a.tif", written(values, photometric=photometric, extrasamples=[kind]))
        np.testing.assert_allclose(scan.pixels, np.broadcast_to(right, (HIGH, WIDE, 3)), atol=1e-6)
        assert scan.details["transparency"] == "laid on black"


def test_opacity_where_zero_is_white() -> None:
    values = RNG.integers(0, 256, (HIGH, WIDE, 2), np.uint8)
    gray, opacity = values[..., :1] / 255, values[..., 1:] / 255
    tags = {258: ("H", [8, 8]), 262: ("H", [0]), 277: ("H", [2])}
    for kind, stored in ((2, gray), (1, gray * opacity)):  # 1: multiplied by it
        raw = np.concatenate([(stored * 255).round(), values[..., 1:]], axis=2).astype(np.uint8).tobytes()
        seen = read(built(tags | {338: ("H", [kind])}, raw))
        np.testing.assert_allclose(seen, np.broadcast_to((1 - gray) * opacity, seen.shape), atol=0.003)
    inks = {258: ("H", [8] * 5), 262: ("H", [5]), 277: ("H", [5]), 338: ("H", [1])}
    assert "whose opacity is multiplied into a palette or into inks" in refused(built(inks, 5 * GRAY))


def test_a_fourth_sample_without_meaning_is_left_out_and_said() -> None:
    values = RNG.integers(0, 256, (HIGH, WIDE, 4), np.uint8)
    scan = read_raster("a.tif", written(values, photometric="rgb", extrasamples=["unspecified"]))
    np.testing.assert_allclose(scan.pixels, values[..., :3] / 255, atol=1e-6)
    assert scan.details["channels left out"] == "1"


@pytest.mark.parametrize("kind", ["gray", "rgb", "ycbcr", "cmyk"])
@pytest.mark.parametrize("tile", [None, (16, 16)])
def test_jpeg_inside(kind: str, tile: tuple[int, int] | None) -> None:
    """Smooth colors, by the values before compression, within what quality 100 leaves."""
    ramp = np.add.outer(np.arange(32), np.arange(48))
    values = np.stack([ramp * 3, 200 - ramp * 2, ramp + 40, ramp], axis=-1).clip(0, 255).astype(np.uint8)
    values = values[..., 0] if kind == "gray" else values if kind == "cmyk" else values[..., :3]
    photometric = {"gray": "minisblack", "cmyk": "separated"}.get(kind, kind)
    options: dict[str, object] = {"subsampling": (1, 1)} if kind == "ycbcr" else {}
    stored = np.asarray(Image.fromarray(values).convert("YCbCr")) if kind == "ycbcr" else values
    data = written(
        stored, photometric=photometric, compression="jpeg", compressionargs={"level": 100}, tile=tile, **options
    )
    right = values / 255
    if kind == "cmyk":
        right = (1 - right[..., :3]) * (1 - right[..., 3:])
    np.testing.assert_allclose(read(data), right, atol=0.02)


def test_jpeg_of_libtiff_with_tables_of_its_own() -> None:
    ramp = np.add.outer(np.arange(32), np.arange(48)).astype(np.uint8) * 3
    for array in (ramp, np.stack([ramp, 255 - ramp, ramp // 2], axis=-1)):
        buffer = io.BytesIO()
        Image.fromarray(array).save(buffer, "TIFF", compression="jpeg", quality=100)
        np.testing.assert_allclose(read(buffer.getvalue()), array / 255, atol=0.02)


def test_ycbcr_without_compression() -> None:
    colors = RNG.integers(0, 256, (HIGH, WIDE, 3), np.uint8)
    stored = np.asarray(Image.fromarray(colors).convert("YCbCr"))
    tags = {258: ("H", [8, 8, 8]), 262: ("H", [6]), 277: ("H", [3]), 530: ("H", [1, 1])}
    data = built(tags, stored.tobytes())
    np.testing.assert_allclose(read(data) * 255, np.asarray(Image.fromarray(stored, "YCbCr").convert("RGB")), atol=1.01)
    del tags[530]
    assert "in YCbCr with reduced or unusual colors" in refused(built(tags, stored.tobytes()))


@pytest.mark.parametrize("orientation", range(10))
def test_orientation(orientation: int) -> None:
    values = np.arange(HIGH * WIDE, dtype=np.uint8).reshape(HIGH, WIDE)
    turned = {  # what row 0 and column 0 are (TIFF 6.0, section 8)
        2: values[:, ::-1],
        3: values[::-1, ::-1],
        4: values[::-1],
        5: values.T,
        6: np.rot90(values, -1),
        7: np.rot90(values, -1)[::-1],
        8: np.rot90(values),
    }.get(orientation, values)
    np.testing.assert_allclose(read(built({274: ("H", [orientation])}, values.tobytes())), turned / 255, atol=1e-6)


def test_a_strip_may_be_said_once_and_its_length_not_at_all() -> None:
    values = RNG.integers(0, 256, (HIGH, WIDE), np.uint8)
    np.testing.assert_allclose(read(built({278: ("H", []), 279: ("I", [])}, values.tobytes())), values / 255, atol=1e-6)
    stacked = [values[k : k + 5].tobytes() for k in (0, 5, 10)]
    np.testing.assert_allclose(read(built({278: ("H", [5])}, *stacked)), values / 255, atol=1e-6)
    padded = [*map(zlib.compress, (stacked[0], stacked[1], stacked[2] + bytes(3 * WIDE)))]  # a full last strip
    data = built({278: ("H", [5]), 259: ("H", [8])}, *padded)
    np.testing.assert_allclose(read(data), values / 255, atol=1e-6)


def test_the_length_of_uncompressed_numbers_may_be_too_large_and_samples_uncounted() -> None:
    values = RNG.integers(0, 256, (HIGH, WIDE, 3), np.uint8)
    data = built({258: ("H", [8] * 3), 262: ("H", [2]), 279: ("I", [1 << 31])}, values.tobytes())
    np.testing.assert_allclose(read(data), values / 255, atol=1e-6)


def test_a_fax_in_reversed_bits() -> None:
    white = RNG.random((HIGH, WIDE)) < 0.5
    buffer = io.BytesIO()
    Image.fromarray(white).save(buffer, "TIFF", compression="group4", tiffinfo={262: 1})
    buffer.seek(0)
    with tifffile.TiffFile(buffer) as file:
        (place,), (length,) = file.pages[0].dataoffsets, file.pages[0].databytecounts
    raw = buffer.getvalue()[place : place + length]
    tags = {258: ("H", [1]), 259: ("H", [4]), 262: ("H", [1])}
    np.testing.assert_array_equal(read(built(tags, raw)), white)
    turned = bytes(int(f"{byte:08b}"[::-1], 2) for byte in raw)
    np.testing.assert_array_equal(read(built(tags | {266: ("H", [2])}, turned)), white)


def test_constant_numbers_of_no_known_range_are_black() -> None:
    assert read(built({258: ("H", [32])}, b"\1\0\0\0" * HIGH * WIDE)).max() == 0


# Refused with a true sentence


@pytest.mark.parametrize(
    ("tags", "strip", "sentence"),
    [
        ({259: ("H", [6])}, GRAY, "is a TIFF compressed with JPEG of the old kind, which is not read"),
        ({259: ("H", [34887])}, GRAY, "is a TIFF compressed with LERC"),
        ({259: ("H", [50001])}, GRAY, "is a TIFF compressed with WebP"),
        ({259: ("H", [4242])}, GRAY, "is a TIFF compressed with a method of the number 4242"),
        ({259: ("H", [7]), 258: ("H", [12])}, GRAY, "compressed with JPEG of 12 bits"),
        ({262: ("H", [8]), 277: ("H", [3]), 258: ("H", [8] * 3)}, 3 * GRAY, "in the colors of CIELab"),
        ({262: ("H", [32803])}, GRAY, "a camera's raw mosaic"),
        ({262: ("H", [4711])}, GRAY, "a photometric interpretation of the number 4711"),
        ({262: ("H", [])}, GRAY, "does not say whether its zero is black or white"),
        ({258: ("H", [5, 6, 5]), 262: ("H", [2]), 277: ("H", [3])}, 2 * GRAY, "whose samples differ"),
        ({258: ("H", [64]), 339: ("H", [6])}, 8 * GRAY, "of complex numbers"),
        ({258: ("H", [12]), 339: ("H", [2])}, 2 * GRAY, "of signed numbers of 12 bits"),
        ({258: ("H", [20])}, 3 * GRAY, "of unsigned numbers of 20 bits"),
        ({258: ("H", [128]), 339: ("H", [3])}, 16 * GRAY, "of floating point numbers of 128 bits"),
        ({262: ("H", [5]), 277: ("H", [4]), 258: ("H", [8] * 4), 332: ("H", [2])}, 4 * GRAY, "of inks other than CMYK"),
        ({258: ("H", [8] * 5), 277: ("H", [5])}, 5 * GRAY, "holds 5 channels"),
        ({258: ("H", [8, 8]), 277: ("H", [2])}, 2 * GRAY, "holds 2 channels"),
        ({317: ("H", [34892])}, GRAY, "with a predictor of the number 34892"),
        ({317: ("H", [2]), 258: ("H", [4]), 259: ("H", [5])}, GRAY, "with differences of 4 bits"),
        ({317: ("H", [2])}, GRAY, "with differences, but without a compression that has them"),
        ({32997: ("H", [5])}, GRAY, "holds several pages or frames"),
        ({33629: ("I", [1, 2, 3])}, GRAY, "holds several pages or frames"),
        ({270: ("s", [*b"ImageJ=1.53t\nimages=5\nslices=5\n\0"])}, GRAY, "holds several pages or frames"),
        ({270: ("s", [*b'{"shape": [5, 12, 20]}\0'])}, GRAY, "holds several pages or frames"),
        ({}, GRAY[:-1], "is damaged or cut off"),
        ({259: ("H", [5])}, imagecodecs.lzw_encode(GRAY[:-1]), "is damaged or cut off"),
        ({259: ("H", [8])}, zlib.compress(GRAY)[:-6], "is damaged or cut off"),
        ({278: ("H", [5])}, GRAY, "is damaged or cut off"),
        ({273: ("I", [0])}, GRAY, "leaves some of its strips or tiles out"),
        ({279: ("I", [0])}, GRAY, "leaves some of its strips or tiles out"),
        ({254: ("I", [1]), 330: ("I", [8])}, GRAY, "begins with a thumbnail and keeps its picture elsewhere"),
        ({279: ("I", [1 << 31]), 259: ("H", [5])}, GRAY, "is damaged or cut off"),
        ({278: ("H", [4]), 273: ("I", [16] * 3), 279: ("I", [240] * 3)}, GRAY, "takes the same bytes for several"),
        ({258: ("H", [1]), 262: ("H", [3]), 320: ("H", [0] * 5)}, GRAY, "is damaged or cut off"),
        ({256: ("H", [0])}, GRAY, "is damaged or cut off"),
        ({256: ("I", [100_000]), 257: ("I", [1000])}, GRAY, "has 1000 x 100000 pixels, more than the 64 million"),
        ({322: ("I", [60_000]), 323: ("I", [60_000])}, GRAY, "has tiles of 60000 x 60000 for an image of 12 x 20"),
        (
            {257: ("I", [60_000]), 256: ("H", [1000]), 258: ("H", [64] * 3), 277: ("H", [3]), 262: ("H", [2])},
            GRAY,
            "256 MB",
        ),
    ],
    ids=lambda value: value[:40] if isinstance(value, str) else "",
)
def test_what_is_not_read(tags: dict[int, tuple[str, list[int]]], strip: bytes, sentence: str) -> None:
    for order, big in itertools.product("<>", (False, True)):
        assert sentence in refused(built(tags, strip, order=order, big=big))


def test_a_second_page_and_a_directory_that_leads_to_itself() -> None:
    assert "holds several pages" in refused(built({}, GRAY, following=256))
    assert "is damaged" in refused(built({}, GRAY)[:-2])


def test_tags_again_and_again_and_tags_of_very_many_values() -> None:
    whole = built({}, GRAY)
    (place,) = struct.unpack_from("<I", whole, 4)
    entry = struct.pack("<HHII", 273, 4, 1 << 22, 0)  # each would take a second
    doubled = whole[:place] + struct.pack("<H", 4001) + whole[place + 2 : place + 14] + 4000 * entry + bytes(1 << 24)
    with pytest.raises(ValueError, match="is damaged or cut off"):
        read_raster("a.tif", doubled)
    many = whole[:place] + struct.pack("<HHHII", 1, 273, 4, (1 << 22) + 1, 0) + bytes(1 << 24)
    assert refused(many) == "has a tag of 4194305 values, too many to read; export it again"
    assert read(built({274: ("H", [1]), 33629: ("H", [1])}, GRAY)).shape == (HIGH, WIDE)


def test_a_header_alone() -> None:
    for data in (
        b"II*\0",
        b"MM\0*\0\0\0\x08",
        b"II+\0\x08\0\0\0",
        b"II*\0\xff\xff\xff\xff",
        b"II*\0\x08\0\0\0\xff\xff",
    ):
        assert refused(data) == "is damaged or cut off; copy or export it again"
        assert raster_size(data) == (0, 0)


def test_a_jpeg_that_is_larger_than_its_strip_is_not_decoded() -> None:
    big = imagecodecs.jpeg8_encode(np.zeros((4000, 4000), np.uint8))
    tracemalloc.start()
    assert "is damaged" in refused(built({259: ("H", [7])}, big))
    assert tracemalloc.get_traced_memory()[1] < 4e6
    tracemalloc.stop()


def test_rgb_whose_jpeg_says_ycbcr_is_not_guessed() -> None:
    coded = io.BytesIO()
    Image.fromarray(RNG.integers(0, 256, (HIGH, WIDE, 3), np.uint8)).save(coded, "JPEG", quality=100)
    tags = {258: ("H", [8] * 3), 259: ("H", [7]), 262: ("H", [2]), 277: ("H", [3])}
    assert "its tags and its JPEG differ in whether its colors are RGB" in refused(built(tags, coded.getvalue()))


@pytest.mark.parametrize(("code", "compress"), [(8, zlib.compress), (34925, lzma.compress)])
def test_strips_that_unpack_to_more_are_cut_there(code: int, compress: Callable[[bytes], bytes]) -> None:
    bomb = built({259: ("H", [code])}, compress(bytes(80 << 20)))
    tracemalloc.start()
    seen = read(bomb)
    assert seen.shape == (HIGH, WIDE)
    assert tracemalloc.get_traced_memory()[1] < 10 << 20
    tracemalloc.stop()


def test_values_that_are_not_finite() -> None:
    values = np.ones((HIGH, WIDE), np.float64)
    values[3, 3] = np.inf
    assert "not finite" in refused(written(values))


@pytest.mark.parametrize(
    ("dtype", "text"), [("<f4", "-9999"), ("<f4", "-3.4028234663852886e+38"), ("<i2", "-32768"), ("<u2", "65535 ")]
)
def test_values_that_say_that_nothing_was_measured(dtype: str, text: str) -> None:
    values = np.arange(HIGH * WIDE).reshape(HIGH, WIDE).astype(dtype)
    tag = {"extratags": [(42113, "s", 0, text, True)], "photometric": "minisblack"}
    read(written(values, **tag))  # the mark alone takes nothing away
    values[0, :3] = float(text)
    assert "marks 3 values as holding no data" in refused(written(values, **tag))


def test_no_data_that_is_black_or_no_number() -> None:
    values = np.arange(HIGH * WIDE, dtype=np.uint16).reshape(HIGH, WIDE)
    for text in ("0", "none", "nan", "\0"):
        tag = {"extratags": [(42113, "s", 0, text, True)], "photometric": "minisblack"}
        np.testing.assert_allclose(read(written(values, **tag)), values / 65535, atol=1e-7)


def test_pages_of_imagej_and_ome(tmp_path: Path) -> None:
    stack = np.zeros((3, HIGH, WIDE), np.uint16)
    for options in ({"imagej": True}, {"ome": True}, {"photometric": "minisblack"}):
        tifffile.imwrite(tmp_path / "a.tif", stack, **options)
        with pytest.raises(ValueError, match="holds several pages"):
            read_scan(tmp_path / "a.tif")
    tifffile.imwrite(tmp_path / "a.tif", stack[0] + 7, imagej=True)
    np.testing.assert_allclose(read_scan(tmp_path / "a.tif").pixels, 7 / 65535, atol=1e-7)


@pytest.mark.parametrize("shape", ["[" * 2000 + "]" * 2000, "[" + "9" * 400 + "]", '"8"', "null"])
def test_a_description_that_only_looks_like_a_shape_is_a_text(tmp_path: Path, shape: str) -> None:
    values = np.arange(64, dtype=np.uint8).reshape(8, 8)
    Image.fromarray(values).save(tmp_path / "a.tif", description='{"shape":' + shape + "}")
    assert read_scan(tmp_path / "a.tif").pixels.shape == (8, 8)
