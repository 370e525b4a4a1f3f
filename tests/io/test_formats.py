"""Formats beside PNG, JPEG and TIFF, by value; and the corners of PNG and JPEG."""

from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path

import imagecodecs
import numpy as np
import pytest
from PIL import Image, features

from anogan.io import find_images, read_scan
from anogan.io.files import kind_of
from anogan.io.formats import RASTERS, UNREAD_SUFFIXES, raster_format
from anogan.io.raster import raster_size, read_raster

HIGH, WIDE = 12, 16
RNG = np.random.default_rng(0)
GRAY = RNG.integers(0, 256, (HIGH, WIDE), np.uint8)
COLORS = RNG.integers(0, 256, (HIGH, WIDE, 3), np.uint8)
SMOOTH = (np.add.outer(np.arange(32), np.arange(48)) * 3).astype(np.uint8)


def coded(array: np.ndarray | Image.Image, kind: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    (array if isinstance(array, Image.Image) else Image.fromarray(array)).save(buffer, kind, **options)
    return buffer.getvalue()


def read(data: bytes, name: str = "a.img") -> np.ndarray:
    return read_raster(name, data).pixels


def refused(data: bytes, name: str = "a.img") -> str:
    """Return the sentence with which a file is refused, without its name."""
    with pytest.raises(ValueError, match=r"^a\.\w+: [^\n]*$") as caught:
        read_raster(name, data)
    return str(caught.value).split(": ", 1)[1]


# Each format


@pytest.mark.parametrize(
    ("kind", "pillow", "options"),
    [
        ("BMP", "BMP", {}),
        ("WebP", "WEBP", {"lossless": True, "exact": True}),
        ("JPEG 2000", "JPEG2000", {"irreversible": False}),
        ("JPEG 2000", "JPEG2000", {"irreversible": False, "no_jp2": True}),
        ("PNM", "PPM", {}),
        ("TGA", "TGA", {}),
        ("TGA", "TGA", {"compression": "tga_rle"}),
        ("TGA", "TGA", {"orientation": 1}),
    ],
)
def test_lossless_formats_by_value(kind: str, pillow: str, options: dict[str, object], tmp_path: Path) -> None:
    name = "a.tga" if kind == "TGA" else "a.img"
    for array in (GRAY, COLORS):
        data = coded(array, pillow, **options)
        scan = read_raster(name, data)
        right = array / 255 if scan.pixels.ndim == array.ndim else np.repeat(array[..., None] / 255, 3, axis=2)
        np.testing.assert_allclose(scan.pixels, right, atol=1e-6)
        assert scan.format == kind
        assert raster_size(data) == ((0, 0) if kind == "TGA" else (HIGH, WIDE))
        (tmp_path / name).write_bytes(data)
        assert kind_of(tmp_path / name) == "raster"
        assert [path.name for path in find_images([tmp_path])] == [name]
        np.testing.assert_array_equal(read_scan(tmp_path / name).pixels, scan.pixels)


@pytest.mark.parametrize(("kind", "pillow"), [("AVIF", "AVIF"), ("WebP", "WEBP")])
def test_lossy_formats_by_value(kind: str, pillow: str) -> None:
    if kind == "AVIF" and not features.check("avif"):
        pytest.skip("this Pillow has no AVIF")
    for array in (SMOOTH, np.stack([SMOOTH, 255 - SMOOTH, SMOOTH // 2], axis=-1)):
        data = coded(array, pillow, quality=100)
        scan = read_raster("a.img", data)
        seen = scan.pixels if scan.pixels.ndim == array.ndim else scan.pixels[..., 0]
        assert np.abs(seen - array / 255).mean() < 0.02
        assert (scan.format, raster_size(data)) == (kind, SMOOTH.shape)


def test_gif_of_one_frame() -> None:
    index = RNG.integers(0, 5, (HIGH, WIDE), np.uint8)
    palette = RNG.integers(0, 256, (5, 3), np.uint8)
    image = Image.fromarray(index, "P")
    image.putpalette(palette.ravel().tolist())
    np.testing.assert_allclose(read(coded(image, "GIF")), palette[index] / 255, atol=1e-6)
    shown = palette[index] * (index != 2)[..., None] / 255
    np.testing.assert_allclose(read(coded(image, "GIF", transparency=2)), shown, atol=1e-6)


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "AVIF", "PNG"])
def test_what_moves_is_refused(kind: str) -> None:
    if kind == "AVIF" and not features.check("avif"):
        pytest.skip("this Pillow has no AVIF")
    frames = [Image.fromarray(np.roll(SMOOTH, shift, axis=0)) for shift in (0, 5, 10)]
    data = coded(frames[0], kind, save_all=True, append_images=frames[1:])
    assert refused(data) == "holds several pages or frames; save each as a file of its own"


@pytest.mark.parametrize("most", [1, 15, 100, 255, 256, 1023, 4095, 65535])
def test_pnm_of_any_maximum(most: int) -> None:
    gray = RNG.integers(0, most + 1, (HIGH, WIDE)).astype(">u2" if most > 255 else np.uint8)
    np.testing.assert_allclose(read(b"P5 16\n# a comment\n12 %d\n" % most + gray.tobytes()), gray / most, atol=1e-6)
    text = b"P2\n16 12\n%d\n" % most + b" ".join(b"%d" % value for value in gray.ravel())
    np.testing.assert_allclose(read(text + b" # the end"), gray / most, atol=1e-6)
    colors = RNG.integers(0, most + 1, (HIGH, WIDE, 3)).astype(gray.dtype)
    np.testing.assert_allclose(read(b"P6\n16 12\n%d\n" % most + colors.tobytes()), colors / most, atol=1e-6)
    text = b"P3\n16 12 %d\r\n" % most + b"\n".join(b"%d" % value for value in colors.ravel())
    np.testing.assert_allclose(read(text), colors / most, atol=1e-6)


def test_pbm_whose_one_is_black() -> None:
    black = RNG.random((HIGH, WIDE)) < 0.5
    np.testing.assert_array_equal(read(b"P4\n16 12\n" + np.packbits(black, axis=1).tobytes()), 1 - black)
    text = b"P1\n16 12\n" + b"\n".join(b"".join(b"%d" % bit for bit in row) for row in black)
    np.testing.assert_array_equal(read(text), 1 - black)


def test_several_pictures_in_one_pnm() -> None:
    one = coded(GRAY, "PPM")
    assert refused(one + one) == "holds several pages or frames; save each as a file of its own"
    assert read(one + b"\n").shape == (HIGH, WIDE)
    for wrong in (
        one[:-1],
        b"P2 2 1 9 1",
        b"P2 2 1 9 1 2 3",
        b"P2 1 1 9 10",
        b"P5 1 1 9 \x0a",
        b"P2 1 1 9 x",
        b"P1 1 1 2",
        b"P2 1 1 0 0",
        b"P2 1 1 65536 1",
        b"P2 1 1 9 -1",
        b"P5 0 1 9 ",
        b"P6 1 1",
        b"P5 1 99999999999 9 1",
    ):
        assert refused(wrong) == "is damaged or cut off; copy or export it again", wrong


@pytest.mark.parametrize("bits", [1, 4, 8, 10, 12, 16])
@pytest.mark.parametrize("samples", [1, 2, 3, 4])
def test_jpeg_2000_of_any_depth(bits: int, samples: int) -> None:
    """White stays white: Pillow rounds 65535 up to 256, which is black in a byte."""
    values = RNG.integers(0, 2**bits, (HIGH, WIDE, samples)).astype(np.uint8 if bits <= 8 else np.uint16)
    values[0, 0] = 2**bits - 1
    right = values / (2**bits - 1)
    opacity = right[..., -1:] if samples in (2, 4) else 1
    right = right[..., : 3 if samples > 2 else 1] * opacity
    for codec in ("jp2", "j2k"):
        data = imagecodecs.jpeg2k_encode(
            np.squeeze(values), codecformat=codec, reversible=True, level=0, bitspersample=bits
        )
        scan = read_raster("a.img", data)
        seen = scan.pixels if scan.pixels.ndim == 3 else scan.pixels[..., None]
        np.testing.assert_allclose(seen, np.broadcast_to(right, seen.shape), atol=0.003 if bits == 8 else 1e-6)
        assert scan.details["bits"] == str(bits)


@pytest.mark.parametrize("kind", [np.int8, np.int16])
def test_signed_jpeg_2000(kind: type) -> None:
    ends = np.iinfo(kind)
    values = RNG.integers(ends.min, ends.max, (HIGH, WIDE), kind, endpoint=True)
    data = imagecodecs.jpeg2k_encode(values, reversible=True, level=0)
    right = (values.astype(float) - ends.min) / (ends.max - ends.min)
    np.testing.assert_allclose(read(data), right, atol=1e-6)


def test_jpeg_2000_whose_file_and_stream_differ_in_size() -> None:
    data = coded(GRAY, "JPEG2000")
    place = data.index(b"ihdr") + 4
    wrong = data[:place] + struct.pack(">II", HIGH, WIDE + 1) + data[place + 8 :]
    assert "is damaged, cut off, or a kind of JPEG 2000" in refused(wrong)


@pytest.mark.parametrize("flags", [0x00, 0x08, 0x20, 0x28, 0x10, 0x30])
def test_tga_by_hand(flags: int) -> None:
    """The low bits say how much of the fourth byte is opacity; 0x20 begins at the top, 0x10 at the right."""
    stored = RNG.integers(0, 256, (HIGH, WIDE, 4), np.uint8)
    stored[..., 3] = 0
    stored[: HIGH // 2, :, 3] = 255
    head = struct.pack("<BBBHHBHHHHBB", 0, 0, 2, 0, 0, 0, 0, 0, WIDE, HIGH, 32, flags)
    right = stored[..., 2::-1] * (stored[..., 3:] / 255 if flags & 15 else 1)
    right = right if flags & 0x20 else right[::-1]
    right = right[:, ::-1] if flags & 0x10 else right
    np.testing.assert_allclose(read(head + stored.tobytes(), "a.tga"), right / 255, atol=1e-6)


def test_tga_is_known_by_its_name_and_all_of_its_header() -> None:
    data = coded(GRAY, "TGA")
    assert raster_format(data, "A.TGA") == "TGA"
    assert raster_format(data, "a.img") == ""
    for place, value in ((1, 7), (2, 5), (12, 0), (16, 15), (17, 0xC0)):
        wrong = bytearray(data)
        wrong[place : place + 1 + (place == 12)] = bytes([value]) * (1 + (place == 12))
        assert raster_format(bytes(wrong), "a.tga") == ""


def bmp(bits: int, pixels: bytes, compression: int = 0, tail: bytes = b"", height: int = HIGH) -> bytes:
    """Return a bitmap with a header of 40 bytes."""
    start = 54 + len(tail)
    head = struct.pack(
        "<2sIHHIIiiHHIIiiII",
        b"BM",
        start + len(pixels),
        0,
        0,
        start,
        40,
        WIDE,
        height,
        1,
        bits,
        compression,
        0,
        0,
        0,
        0,
        0,
    )
    return head + tail + pixels


def test_bitmaps_by_hand() -> None:
    colors = COLORS[::-1, :, ::-1]  # from the bottom, blue first
    np.testing.assert_allclose(read(bmp(24, colors.tobytes())), COLORS / 255, atol=1e-6)
    np.testing.assert_allclose(read(bmp(24, colors[::-1].tobytes(), height=-HIGH)), COLORS / 255, atol=1e-6)
    four = np.concatenate([colors, np.zeros((HIGH, WIDE, 1), np.uint8)], axis=2)
    np.testing.assert_allclose(read(bmp(32, four.tobytes())), COLORS / 255, atol=1e-6)
    fields = struct.pack("<III", 0xFF0000, 0xFF00, 0xFF)
    np.testing.assert_allclose(read(bmp(32, four.tobytes(), 3, fields)), COLORS / 255, atol=1e-6)
    deep = (COLORS // 8).astype(np.uint16)[::-1]
    words = (deep[..., 0] << 10 | deep[..., 1] << 5 | deep[..., 2]).astype("<u2")
    np.testing.assert_allclose(read(bmp(16, words.tobytes())), deep[::-1] / 31, atol=4e-3)


def test_a_bitmap_that_is_not_read_is_not_called_damaged_alone() -> None:
    assert refused(bmp(24, COLORS.tobytes(), compression=5)) == (
        "is damaged, cut off, or a kind of BMP that is not read; copy it again or save it as PNG"
    )


def test_a_bitmap_whose_opacity_is_zero_everywhere_has_none() -> None:
    header = struct.pack("<IiiHHIIiiII", 108, WIDE, HIGH, 1, 32, 3, 0, 0, 0, 0, 0)
    header += struct.pack("<IIII", 0xFF0000, 0xFF00, 0xFF, 0xFF000000) + bytes(52)
    for opacity, shown in ((0, 1), (255, 1), (51, 0.2)):
        four = np.concatenate([COLORS[::-1, :, ::-1], np.full((HIGH, WIDE, 1), opacity, np.uint8)], axis=2)
        data = struct.pack("<2sIHHI", b"BM", 122 + four.nbytes, 0, 0, 122) + header + four.tobytes()
        np.testing.assert_allclose(read(data), COLORS / 255 * shown, atol=0.003)


# PNG and JPEG


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(values: np.ndarray, kind: int, bits: int, *chunks: bytes) -> bytes:
    """Return a PNG: kind 0 gray, 2 RGB, 3 palette, 4 gray and opacity, 6 RGBA (ISO 15948, 11.2.2)."""
    high, wide = values.shape[:2]
    if bits < 8:
        each = np.unpackbits(values.astype(np.uint8)[..., None], axis=2)[..., -bits:]
        rows = [np.packbits(row.ravel()).tobytes() for row in each]
    else:
        rows = [row.astype(">u2" if bits == 16 else np.uint8).tobytes() for row in values]
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", wide, high, bits, kind, 0, 0, 0))
    pixels = chunk(b"IDAT", zlib.compress(b"".join(b"\0" + row for row in rows)))
    return b"\x89PNG\r\n\x1a\n" + header + b"".join(chunks) + pixels + chunk(b"IEND", b"")


@pytest.mark.parametrize("bits", [1, 2, 4, 8, 16])
def test_gray_png_of_any_depth(bits: int) -> None:
    values = RNG.integers(0, 2**bits, (HIGH, WIDE))
    remarks = chunk(b"gAMA", struct.pack(">I", 45455)), chunk(b"sBIT", bytes([min(bits, 5)]))  # change no value
    np.testing.assert_allclose(read(png(values, 0, bits, *remarks)), values / (2**bits - 1), atol=1e-6)
    key = int(values[3, 3])
    shown = np.where(values == key, 0, values) / (2**bits - 1)
    seen = read(png(values, 0, bits, chunk(b"tRNS", struct.pack(">H", key))))
    np.testing.assert_allclose(seen, np.repeat(shown[..., None], 3, axis=2), atol=1e-6)


@pytest.mark.parametrize("bits", [8, 16])
def test_color_and_opacity_in_png(bits: int) -> None:
    most = 2**bits - 1
    values = RNG.integers(0, 2**bits, (HIGH, WIDE, 4))
    opacity = values[..., 3:] / most
    near = 1e-6 if bits == 16 else 0.003  # 8 bits are rounded
    np.testing.assert_allclose(read(png(values[..., :3], 2, bits)), values[..., :3] / most, atol=1e-6)
    np.testing.assert_allclose(read(png(values, 6, bits)), values[..., :3] / most * opacity, atol=near)
    both = read(png(values[..., 2:], 4, bits))
    np.testing.assert_allclose(both, np.repeat(values[..., 2:3], 3, axis=2) / most * opacity, atol=near)
    key = values[2, 2, :3]
    shown = np.where((values[..., :3] == key).all(axis=2, keepdims=True), 0, values[..., :3]) / most
    transparent = chunk(b"tRNS", struct.pack(">HHH", *map(int, key)))
    np.testing.assert_allclose(read(png(values[..., :3], 2, bits, transparent)), shown, atol=1e-6)


@pytest.mark.parametrize("bits", [1, 2, 4, 8])
def test_palettes_in_png(bits: int) -> None:
    index = RNG.integers(0, 2**bits, (HIGH, WIDE))
    palette = RNG.integers(0, 256, (2**bits, 3)).astype(np.uint8)
    colors = chunk(b"PLTE", palette.tobytes())
    np.testing.assert_allclose(read(png(index, 3, bits, colors)), palette[index] / 255, atol=1e-6)
    opacity = chunk(b"tRNS", b"\0\x80"[: 2**bits])
    shown = palette[index] / 255 * np.select([index == 0, index == 1], [0, 128 / 255], 1)[..., None]
    np.testing.assert_allclose(read(png(index, 3, bits, colors, opacity)), shown, atol=0.003)


def test_colors_that_a_palette_does_not_have(tmp_path: Path) -> None:
    colors = chunk(b"PLTE", bytes(range(9)))
    assert read(png(GRAY % 3, 3, 8, colors)).shape == (HIGH, WIDE, 3)
    assert refused(png(GRAY % 4, 3, 8, colors)) == "uses colors that its palette does not have; export it again"


@pytest.mark.parametrize("values", [GRAY, COLORS, GRAY.astype(np.uint16) * 257])
def test_interlaced_png(values: np.ndarray) -> None:
    import cv2

    plain = read(coded(values, "PNG"))
    order = [(0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2), (1, 0, 2, 1)]
    rows = b""
    for top, left, down, right in order:  # the seven passes (ISO 15948, 8.2)
        for row in values[top::down, left::right]:
            rows += b"\0" + row.astype(">u2" if values.dtype == np.uint16 else np.uint8).tobytes()
    depth, kind = 8 * values.dtype.itemsize, 2 if values.ndim == 3 else 0
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", WIDE, HIGH, depth, kind, 0, 0, 1))
    data = b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    np.testing.assert_array_equal(read(data), plain)
    oracle = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    np.testing.assert_array_equal(oracle[..., ::-1] if values.ndim == 3 else oracle, values)


def test_orientation_behind_the_pixels() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    block = chunk(b"eXIf", exif.tobytes().removeprefix(b"Exif\0\0"))
    for values, kind, bits in ((GRAY.astype(int), 0, 8), (COLORS.astype(int) * 257, 2, 16)):
        whole = png(values, kind, bits)
        most = 2**bits - 1
        np.testing.assert_allclose(read(whole[:-12] + block + whole[-12:]), np.rot90(values, -1) / most, atol=1e-6)


@pytest.mark.parametrize("orientation", [3, 6, 8])
def test_orientation_of_deep_colors(orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    block = chunk(b"eXIf", exif.tobytes().removeprefix(b"Exif\0\0"))
    deep, flat = (read(png(COLORS.astype(int) * scale, 2, bits, block)) for scale, bits in ((257, 16), (1, 8)))
    np.testing.assert_allclose(deep, flat, atol=1e-6)


def test_jpeg_of_inks_is_turned_round_where_adobes_marker_says_so() -> None:
    inks = np.stack([SMOOTH, SMOOTH // 2, 255 - SMOOTH, SMOOTH // 4], axis=-1)
    right = (1 - inks[..., :3] / 255) * (1 - inks[..., 3:] / 255)
    adobe = coded(Image.fromarray(inks, "CMYK"), "JPEG", quality=100)  # which Pillow writes
    assert b"Adobe" in adobe[:64]
    np.testing.assert_allclose(read(adobe), right, atol=0.03)
    plain = imagecodecs.jpeg8_encode(inks, level=100, colorspace="CMYK", outcolorspace="CMYK")
    place = plain.find(b"\xff\xee")
    if place >= 0:  # drop the marker that says who wrote it
        plain = plain[:place] + plain[place + 2 + struct.unpack_from(">H", plain, place + 2)[0] :]
    assert refused(plain) == "is a JPEG in CMYK that does not say which way round; save it as RGB"


@pytest.mark.parametrize("bits", [12, 16])
def test_a_jpeg_of_more_bits_is_right_or_refused_truly(bits: int) -> None:
    values = SMOOTH.astype(np.uint16) * 2 ** (bits - 8)
    data = imagecodecs.ljpeg_encode(values, bitspersample=bits)
    assert refused(data) == ("is damaged, cut off, or a kind of JPEG that is not read; copy it again or save it as PNG")


# Guards


def test_huge_pictures_are_refused_by_their_headers() -> None:
    side = 30_000
    tga = struct.pack("<BBBHHBHHHHBB", 0, 0, 2, 0, 0, 0, 0, 0, side, side, 24, 0x20)
    webp = bytearray(coded(COLORS, "WEBP", lossless=True, exif=b"Exif\0\0II*\0\x08\0\0\0\0\0"))
    assert webp[12:16] == b"VP8X"
    webp[24:30] = (16_000).to_bytes(3, "little") * 2
    siz = bytearray(coded(COLORS, "JPEG2000", no_jp2=True))
    siz[8:16] = struct.pack(">II", side, side)
    for name, data in {
        "a.bmp": bmp(24, b"", height=HIGH)[:18] + struct.pack("<ii", side, side) + bmp(24, b"")[26:],
        "a.gif": b"GIF89a" + struct.pack("<HHBBB", side, side, 0, 0, 0) + coded(GRAY, "GIF")[13:],
        "a.ppm": b"P6 %d %d 255\n" % (side, side),
        "a.pgm": b"P2 %d %d 255\n1 2 3" % (side, side),
        "a.tga": tga + bytes(100),
        "a.webp": bytes(webp),
        "a.j2k": bytes(siz),
    }.items():
        assert "more than the 64 million that are read" in refused(data, name), name


def test_other_images_in_a_folder_are_found_and_refused(tmp_path: Path) -> None:
    for suffix in UNREAD_SUFFIXES:
        (tmp_path / f"a{suffix}").write_bytes(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(600))
    found = find_images([tmp_path])
    assert len(found) == len(UNREAD_SUFFIXES)
    for path in found:
        with pytest.raises(ValueError, match=f"is not a {RASTERS}, DICOM or NIfTI image"):
            read_scan(path)


@pytest.mark.parametrize(
    "text", [b"BMW is a make of cars, and P5 a bus", b"P5 is a bus", b"P4 and more", b"RIFF....WAVE", b"II*"]
)
def test_texts_are_no_pictures(text: bytes) -> None:
    assert raster_format(text, "a.txt") == ""
    assert refused(text) == f"is not a {RASTERS} image; export it as one"


def test_an_installation_without_avif_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(features, "check", lambda name: False)
    assert refused(b"\0\0\0\x1cftypavif" + bytes(40)) == (
        "is AVIF, which this installation cannot read; install a newer Pillow or save it as PNG"
    )
