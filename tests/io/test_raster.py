"""PNG, JPEG and TIFF: what is read, what is refused, and that no damaged file gets further than one sentence."""

from __future__ import annotations

import os
import struct
import tracemalloc
import warnings
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from anogan.io import find_images, read_scan, write_png
from anogan.io.formats import RASTERS
from anogan.io.tiff_tags import LITTLE

RAMP = np.arange(0, 240, dtype=np.uint8).reshape(12, 20)


def save(path: Path, array: np.ndarray, mode: str | None = None, **options: object) -> Path:
    image = Image.fromarray(array)
    (image.convert(mode) if mode else image).save(path, **options)
    return path


def huge_png(path: Path, width: int, height: int) -> Path:
    """Write a PNG that is only a header, with a correct checksum."""
    parts = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0), b"IDAT"
    chunks = (struct.pack(">I", len(part) - 4) + part + struct.pack(">I", zlib.crc32(part)) for part in parts)
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(chunks))
    return path


# What is read


def test_eight_bits_are_divided_by_255(tmp_path: Path) -> None:
    scan = read_scan(save(tmp_path / "a.png", RAMP))
    np.testing.assert_allclose(scan.pixels, RAMP / 255, atol=1e-7)
    assert (scan.format, scan.source, scan.subject, scan.spacing) == ("PNG", str(tmp_path / "a.png"), "", None)


@pytest.mark.parametrize("name", ["a.png", "a.tif"])
def test_sixteen_bits_keep_their_depth(tmp_path: Path, name: str) -> None:
    deep = RAMP.astype(np.uint16) * 257 + 3
    scan = read_scan(save(tmp_path / name, deep))
    np.testing.assert_allclose(scan.pixels, deep / 65535, atol=1e-7)
    assert scan.details["bits"] == "16"
    assert len(np.unique(scan.pixels)) == RAMP.size


def test_content_decides_and_not_the_name(tmp_path: Path) -> None:
    assert read_scan(save(tmp_path / "a.dcm", RAMP, format="JPEG")).format == "JPEG"


def test_colors_keep_their_order(tmp_path: Path) -> None:
    colors = np.zeros((4, 5, 3), np.uint8)
    colors[..., 0], colors[..., 2] = 255, 51
    np.testing.assert_allclose(read_scan(save(tmp_path / "a.png", colors)).pixels[0, 0], [1, 0, 0.2], atol=1e-7)


def test_transparent_places_are_laid_on_black(tmp_path: Path) -> None:
    rgba = np.full((2, 2, 4), 200, np.uint8)
    rgba[..., 3] = [[255, 0], [51, 255]]
    scan = read_scan(save(tmp_path / "a.png", rgba))
    assert scan.pixels.shape == (2, 2, 3)
    np.testing.assert_allclose(scan.pixels[..., 0] * 255, [[200, 0], [40, 200]], atol=0.6)
    assert scan.details["transparency"] == "laid on black"


def test_gray_with_transparency_is_laid_on_black(tmp_path: Path) -> None:
    both = np.stack([np.full((2, 2), 100, np.uint8), np.array([[255, 0], [0, 255]], np.uint8)], axis=2)
    scan = read_scan(save(tmp_path / "a.png", both))
    np.testing.assert_allclose(scan.pixels.max(axis=-1) * 255, [[100, 0], [0, 100]], atol=1e-4)


def test_a_palette_becomes_its_colors(tmp_path: Path) -> None:
    image = Image.fromarray(np.array([[0, 1]], np.uint8)).convert("L")
    image = Image.frombytes("P", (2, 1), image.tobytes())
    image.putpalette([255, 0, 0, 0, 51, 255])
    image.save(tmp_path / "a.png")
    np.testing.assert_allclose(read_scan(tmp_path / "a.png").pixels, [[[1, 0, 0], [0, 0.2, 1]]], atol=1e-7)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_applied(tmp_path: Path, orientation: int) -> None:
    upright = np.zeros((16, 32), np.uint8)
    upright[:8, :8] = 250  # the corner that must be at the top left again
    # How a camera stores an upright image under each orientation: the inverse of what a viewer does (EXIF 2.3, 4.6.4).
    store = {
        1: lambda a: a,
        2: np.fliplr,
        3: lambda a: np.rot90(a, 2),
        4: np.flipud,
        5: np.transpose,
        6: np.rot90,
        7: lambda a: np.rot90(a, 2).T,
        8: lambda a: np.rot90(a, -1),
    }[orientation]
    image = Image.fromarray(np.ascontiguousarray(store(upright)))
    exif = image.getexif()
    exif[0x0112] = orientation
    image.save(tmp_path / "a.jpg", exif=exif, quality=100)
    pixels = read_scan(tmp_path / "a.jpg").pixels
    assert pixels.shape == (16, 32)
    np.testing.assert_allclose(pixels, upright / 255, atol=0.05)


def test_black_and_white_is_zero_and_one(tmp_path: Path) -> None:
    scan = read_scan(save(tmp_path / "a.png", RAMP, mode="1"))
    assert set(np.unique(scan.pixels)) == {0, 1}


def test_cmyk_becomes_rgb(tmp_path: Path) -> None:
    red = np.zeros((16, 16, 3), np.uint8)
    red[..., 0] = 255
    pixels = read_scan(save(tmp_path / "a.jpg", red, mode="CMYK", quality=100)).pixels
    np.testing.assert_allclose(pixels.mean(axis=(0, 1)), [1, 0, 0], atol=0.05)


def test_floats_in_range_are_kept_and_others_are_stretched(tmp_path: Path) -> None:
    values = np.linspace(0.2, 0.6, 12, dtype=np.float32).reshape(3, 4)
    np.testing.assert_array_equal(read_scan(save(tmp_path / "a.tif", values)).pixels, values)
    scan = read_scan(save(tmp_path / "b.tif", values * 1000 - 500))
    np.testing.assert_allclose(scan.pixels, np.linspace(0, 1, 12).reshape(3, 4), atol=1e-6)
    assert scan.details["window"] == "minimum to maximum (-300 to 100)"


def test_a_tiff_whose_zero_is_white_is_turned_round(tmp_path: Path) -> None:
    deep = RAMP.astype(np.uint16) * 257
    path = save(tmp_path / "a.tif", deep, tiffinfo={262: 0})
    np.testing.assert_allclose(read_scan(path).pixels, 1 - deep / 65535, atol=1e-6)


def test_png_is_written_as_it_is_read(tmp_path: Path) -> None:
    for array in (RAMP, RAMP.astype(np.uint16) * 257, np.repeat(RAMP[..., None], 3, axis=2)):
        write_png(tmp_path / "a.png", array)
        most = np.iinfo(array.dtype).max
        np.testing.assert_allclose(read_scan(tmp_path / "a.png").pixels * most, array, atol=0.01)
    assert [path.name for path in tmp_path.iterdir()] == ["a.png"]


@pytest.mark.parametrize("array", [np.zeros((3, 3)), np.zeros((3, 3, 4), np.uint8), np.zeros(3, np.uint8)])
def test_what_is_no_picture_is_not_written(tmp_path: Path, array: np.ndarray) -> None:
    with pytest.raises(ValueError, match="cannot be a PNG"):
        write_png(tmp_path / "a.png", array)
    assert not list(tmp_path.iterdir())


def test_the_first_picture_of_a_phones_jpeg_counts(tmp_path: Path) -> None:
    first, second = (Image.fromarray(np.full((16, 16), value, np.uint8)) for value in (255, 0))
    first.save(tmp_path / "a.jpg", format="MPO", save_all=True, append_images=[second])
    scan = read_scan(tmp_path / "a.jpg")
    assert scan.format == "JPEG"
    assert scan.pixels.min() > 0.9


# What is refused


def refused(path: Path) -> str:
    """Return the sentence with which a file is refused, without its path."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(ValueError) as caught:
            read_scan(path)
    sentence = str(caught.value)
    assert sentence.startswith(f"{path}: ")
    assert "\n" not in sentence
    return sentence.removeprefix(f"{path}: ")


def test_a_truncated_png(tmp_path: Path) -> None:
    path = save(tmp_path / "a.png", np.random.default_rng(0).integers(0, 255, (64, 64)).astype(np.uint8))
    path.write_bytes(path.read_bytes()[:2000])
    assert refused(path) == "is damaged or cut off; copy or export it again"


def test_a_text_file_named_dcm(tmp_path: Path) -> None:
    path = tmp_path / "a.dcm"
    path.write_text("This is a report, not an image.\n" * 20)
    assert refused(path) == f"is not a {RASTERS}, DICOM or NIfTI image, whatever its name; export it as one"


@pytest.mark.parametrize("side", [30_000, 10_000, 8_001, 2**31 - 1])
def test_a_huge_image_is_refused_by_its_header(tmp_path: Path, side: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Image.Image, "load", lambda image: pytest.fail("decoded"))
    assert "more than the 64 million that are read" in refused(huge_png(tmp_path / "a.png", side, side))


def test_a_large_image_within_the_limit_gets_past_its_header(tmp_path: Path) -> None:
    assert "cut off" in refused(huge_png(tmp_path / "a.png", 8_000, 8_000))


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


@pytest.mark.parametrize("kind", [b"zTXt", b"iTXt", b"iCCP"])
def test_compressed_text_that_grows(tmp_path: Path, kind: bytes) -> None:
    head = b"name\0\1\0\0\0" if kind == b"iTXt" else b"name\0\0"
    bomb = chunk(kind, head + zlib.compress(bytes(80 << 20), 9))
    whole = save(tmp_path / "a.png", RAMP).read_bytes()
    (tmp_path / "a.png").write_bytes(whole[:33] + bomb + whole[33:])  # behind the header
    tracemalloc.start()
    assert refused(tmp_path / "a.png") == "is damaged or cut off; copy or export it again"
    assert tracemalloc.get_traced_memory()[1] < 10 << 20
    tracemalloc.stop()


def test_more_pixels_than_the_header_says_are_not_unpacked(tmp_path: Path) -> None:
    header = struct.pack(">IIBBBBB", 8, 8, 8, 0, 0, 0, 0)
    data = zlib.compress(bytes(80 << 20), 9)
    (tmp_path / "a.png").write_bytes(
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", data) + chunk(b"IEND", b"")
    )
    assert read_scan(tmp_path / "a.png").pixels.shape == (8, 8)


def test_a_progressive_jpeg_of_very_many_scans(tmp_path: Path) -> None:
    whole = save(tmp_path / "a.jpg", RAMP, progressive=True, quality=100).read_bytes()
    start = whole.rindex(b"\xff\xda")
    (tmp_path / "a.jpg").write_bytes(whole[:-2] + whole[start:-2] * 200 + whole[-2:])
    assert refused(tmp_path / "a.jpg") == "is a JPEG of more than 100 scans, too slow to decode; save it anew"


MANY = b"\xff\xda\x00\x02" * 150


@pytest.mark.parametrize(
    "behind", [MANY, b"\xff\xd8\xff" + MANY, b"\0\0\0\x18ftypmp42" + MANY, b"PK\3\4" + MANY, b"\0"]
)
@pytest.mark.parametrize("progressive", [False, True])
def test_what_lies_behind_a_jpeg_is_not_counted_and_not_hidden(
    tmp_path: Path, behind: bytes, progressive: bool
) -> None:
    whole = save(tmp_path / "a.jpg", RAMP, progressive=progressive).read_bytes()
    expected = read_scan(tmp_path / "a.jpg")
    assert "not read" not in expected.details
    (tmp_path / "a.jpg").write_bytes(whole + behind)
    scan = read_scan(tmp_path / "a.jpg")
    np.testing.assert_array_equal(scan.pixels, expected.pixels)
    assert scan.details["not read"] == f"{len(behind)} bytes behind the picture"


def test_scans_of_a_thumbnail_do_not_count(tmp_path: Path) -> None:
    whole = save(tmp_path / "a.jpg", RAMP).read_bytes()
    expected = read_scan(tmp_path / "a.jpg").pixels
    for marker in (0xE1, 0xE2, 0xFE):  # Exif, MPO, comment
        segment = bytes([0xFF, marker]) + struct.pack(">H", len(MANY) + 2) + MANY
        (tmp_path / "a.jpg").write_bytes(whole[:2] + segment + whole[2:])
        np.testing.assert_array_equal(read_scan(tmp_path / "a.jpg").pixels, expected)


def test_very_many_pages_are_not_counted(tmp_path: Path) -> None:
    whole = bytearray(save(tmp_path / "a.tif", RAMP).read_bytes())
    (first,) = struct.unpack_from("<I", whole, 4)
    (tags,) = struct.unpack_from("<H", whole, first)
    struct.pack_into("<I", whole, first + 2 + 12 * tags, len(whole))
    for number in range(1, 40_001):  # each of three tags; counting them takes ten seconds
        size = struct.pack("<HHHIIHHII", 3, 256, 3, 1, 20, 257, 3, 1, 12)
        whole += size + struct.pack("<HHIII", 273, 4, 1, 8, len(whole) + 42 if number < 40_000 else 0)
    (tmp_path / "a.tif").write_bytes(whole)
    assert "holds several pages" in refused(tmp_path / "a.tif")


def test_a_tiff_of_huge_tiles(tmp_path: Path) -> None:
    tags = [(256, 3, 8), (257, 3, 8), (258, 3, 8), (259, 3, 8), (262, 3, 1), (277, 3, 1)]
    tags += [(322, 4, 60_000), (323, 4, 60_000), (324, 4, 8), (325, 4, 64)]
    entries = b"".join(struct.pack("<HHII", tag, kind, 1, value) for tag, kind, value in tags)
    path = tmp_path / "a.tif"
    path.write_bytes(LITTLE[0] + struct.pack("<IH", 8, len(tags)) + entries + bytes(100))
    assert "has tiles of 60000 x 60000 for an image of 8 x 8; save it with small ones" in refused(path)


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.png")
    assert refused(tmp_path / "a.png") == "is a pipe and no file; name an image"
    with pytest.raises(ValueError, match="holds no PNG"):
        find_images([tmp_path])


def test_several_pages(tmp_path: Path) -> None:
    pages = [Image.fromarray(RAMP) for _ in range(3)]
    pages[0].save(tmp_path / "a.tif", save_all=True, append_images=pages[1:])
    assert "holds several pages" in refused(tmp_path / "a.tif")


def test_values_that_are_not_finite(tmp_path: Path) -> None:
    values = np.ones((4, 4), np.float32)
    values[1, 1] = np.nan
    assert "not finite" in refused(save(tmp_path / "a.tif", values))


def test_missing_empty_and_folder(tmp_path: Path) -> None:
    assert refused(tmp_path / "none.png") == "there is no such file"
    (tmp_path / "empty.png").touch()
    assert "is empty" in refused(tmp_path / "empty.png")
    assert "is a folder" in refused(tmp_path)


@pytest.mark.parametrize("name", ["a.png", "a.jpg", "a.tif"])
def test_no_damage_gets_further_than_one_sentence(tmp_path: Path, name: str) -> None:
    rng = np.random.default_rng(0)
    whole = save(tmp_path / name, rng.integers(0, 255, (24, 24, 3)).astype(np.uint8)).read_bytes()
    path = tmp_path / f"damaged-{name}"
    unread = 0
    for trial in range(150):
        data = bytearray(whole[: rng.integers(1, len(whole))] if trial % 2 else whole)
        for place in rng.integers(0, min(len(data), 200 if trial % 4 else len(data)), 4):
            data[place] = rng.integers(256)
        path.write_bytes(data)
        try:
            assert read_scan(path).pixels.dtype == np.float32
        except ValueError as error:
            unread += 1
            assert str(error).startswith(f"{path}: ")
    assert unread > 50


# What is found


def test_folders_are_searched_and_files_taken_as_named(tmp_path: Path) -> None:
    for name in ("b/2.png", "b/1.PNG", "a/no-suffix", ".hidden/x.png", "masks/x.png", "b/masks/x.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True, parents=True)
        save(tmp_path / name, RAMP, format="PNG")
    (tmp_path / "b" / "torn.dcm").write_text("not DICOM")  # found, so that someone says that it is torn
    (tmp_path / "b" / "notes.txt").write_text("nothing to see")
    (tmp_path / "b" / ".DS_Store").write_bytes(b"\x89PNG\r\n\x1a\n")
    (tmp_path / "DICOMDIR").write_bytes(bytes(128) + b"DICM")
    found = [str(path.relative_to(tmp_path)) for path in find_images([tmp_path])]
    assert found == ["a/no-suffix", "b/1.PNG", "b/2.png", "b/torn.dcm"]
    assert find_images([tmp_path / "b" / "notes.txt"]) == [tmp_path / "b" / "notes.txt"]
    assert len(find_images([tmp_path / "masks", tmp_path / "b", tmp_path / "b" / "2.png"])) == 4


def test_nothing_to_find(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=f"holds no {RASTERS}, DICOM or NIfTI image"):
        find_images([tmp_path])
    with pytest.raises(ValueError, match="there is no such file or folder"):
        find_images([tmp_path / "none"])


@pytest.mark.realdata
def test_real_faces_and_ultrasound(data_root: Path) -> None:
    for folder, format, channels in (("faces_frll/genuine", "JPEG", 3), ("busi/healthy", "PNG", 1)):
        if not (data_root / folder).is_dir():
            pytest.skip(f"{data_root / folder} is missing")
        paths = find_images([data_root / folder])
        assert len(paths) > 100
        for path in paths[::20]:
            scan = read_scan(path)
            assert scan.format == format
            assert (scan.pixels.ndim == 3) == (channels == 3)
            assert scan.pixels.std() > 0.05
