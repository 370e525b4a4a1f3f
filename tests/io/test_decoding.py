"""How pixels are stored: a grid of forms whose values are known, and what contradicts itself is refused with both."""

from __future__ import annotations

import io
import itertools
import shutil
import struct
import subprocess
from pathlib import Path
from typing import Any

import imagecodecs
import jpeg_ls as charls
import numpy as np
import pytest
from openjpeg.utils import encode_array
from PIL import Image
from pydicom import dcmread
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate, encapsulate_extended
from pydicom.filewriter import dcmwrite
from pydicom.pixels import pixel_array
from pydicom.uid import (
    JPEG2000,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
    JPEGLossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    RLELossless,
    SecondaryCaptureImageStorage,
)

from anogan.io import read_frames, read_scan
from anogan.io.dicom.reading import _read_frames

NATIVE = (ImplicitVRLittleEndian, ExplicitVRLittleEndian, ExplicitVRBigEndian, DeflatedExplicitVRLittleEndian)
RNG = np.random.default_rng(0)


def data_set(shape: tuple[int, ...], syntax: str, **header: Any) -> Dataset:
    """Return an image of 16 bits of this shape, (F, H, W) or (F, H, W, 3), without its pixels."""
    ds = Dataset()
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = syntax
    ds.file_meta.MediaStorageSOPClassUID = ds.SOPClassUID = SecondaryCaptureImageStorage
    ds.file_meta.MediaStorageSOPInstanceUID = ds.SOPInstanceUID = "1.2.3"
    colors = len(shape) == 4
    defaults = {
        "SamplesPerPixel": shape[3] if colors else 1,
        "PhotometricInterpretation": "RGB" if colors else "MONOCHROME2",
        "NumberOfFrames": shape[0],
        "Rows": shape[1],
        "Columns": shape[2],
        "BitsAllocated": 16,
        "BitsStored": 16,
        "PixelRepresentation": 0,
    } | ({"PlanarConfiguration": 0} if colors else {})
    for keyword, value in (defaults | header).items():
        if value is not None:
            setattr(ds, keyword, value)
    if "HighBit" not in header:
        ds.HighBit = ds.BitsStored - 1
    return ds


def save(path: Path, ds: Dataset, data: bytes, vr: str = "OW") -> Path:
    ds.PixelData = data
    ds["PixelData"].VR = vr
    syntax = ds.file_meta.TransferSyntaxUID
    ds["PixelData"].is_undefined_length = syntax.is_encapsulated
    ds.preamble = bytes(128)
    ds.save_as(path)
    return path


def runs(words: np.ndarray) -> bytes:
    """Return (H, W) or (H, W, 3) words in RLE (PS3.5, annex G), in runs of up to 100 bytes as they are."""
    planes = words.astype(words.dtype.newbyteorder(">")).reshape(words.shape[0], words.shape[1], -1)
    segments = []
    for plane in np.moveaxis(planes, 2, 0):
        for data in np.ascontiguousarray(plane).view(np.uint8).reshape(-1, words.itemsize).T:
            pieces = (data[place : place + 100].tobytes() for place in range(0, data.size, 100))
            segment = b"".join(bytes([len(piece) - 1]) + piece for piece in pieces)
            segments.append(segment + bytes(len(segment) % 2))
    places = np.cumsum([64, *map(len, segments)])[:-1]
    header = struct.pack("<16L", len(segments), *places, *[0] * (15 - len(segments)))
    return header + b"".join(segments)


def saved_as(path: Path, ds: Dataset, words: np.ndarray) -> Path:
    """Save (F, H, W) or (F, H, W, 3) words in the data set's transfer syntax and arrangement."""
    syntax, vr = ds.file_meta.TransferSyntaxUID, "OB" if words.itemsize == 1 else "OW"
    if syntax == RLELossless:
        return save(path, ds, encapsulate([runs(frame) for frame in words]), "OB")
    laid = words.transpose(0, 3, 1, 2) if ds.get("PlanarConfiguration") else words
    data = laid.astype(laid.dtype.newbyteorder(">" if syntax == ExplicitVRBigEndian else "<")).tobytes()
    return save(path, ds, data + bytes(len(data) % 2), vr)


def stored(path: Path) -> np.ndarray:
    """Return the stored values of all frames."""
    return np.stack([frame.stored for frame in _read_frames(path)])


def refused(path: Path) -> str:
    with pytest.raises(ValueError) as caught:
        read_frames(path)
    sentence = str(caught.value)
    assert sentence.startswith(f"{path}: ")
    assert "\n" not in sentence
    return sentence.removeprefix(f"{path}: ")


def random_values(bits: int, signed: bool, shape: tuple[int, ...]) -> np.ndarray:
    low = -(2 ** (bits - 1)) if signed else 0
    values = RNG.integers(low, low + 2**bits, shape, dtype=np.int64)
    values.flat[:2] = low, low + 2**bits - 1
    return values


def words_of(values: np.ndarray, bits: int, high: int, allocated: int) -> np.ndarray:
    """Put values into words whose other bits hold noise."""
    mask = 2**bits - 1
    noise = RNG.integers(0, 2**allocated, values.shape, dtype=np.uint64) & np.uint64(
        2**allocated - 1 - (mask << (high - bits + 1))
    )
    return (((values & mask).astype(np.uint64) << np.uint64(high - bits + 1)) | noise).astype(f"u{allocated // 8}")


# Uncompressed, and RLE, which is no more than its bytes


FORMS = [
    (allocated, bits, high)
    for allocated in (8, 16, 32)
    for bits in (1, 5, 7, 8, 10, 12, 16, 24, 32)
    for high in sorted({bits - 1, (bits + allocated) // 2 - 1, allocated - 1})
    if bits <= allocated
]


@pytest.mark.parametrize("syntax", [*NATIVE, RLELossless])
@pytest.mark.parametrize("signed", [False, True])
def test_every_place_of_the_bits(tmp_path: Path, syntax: str, signed: bool) -> None:
    for allocated, bits, high in FORMS:
        for shape in ((1, 3, 5), (3, 3, 5)):  # an odd number of bytes, too
            values = random_values(bits, signed, shape)
            words = words_of(values, bits, high, allocated)
            form = {"BitsAllocated": allocated, "BitsStored": bits, "HighBit": high, "PixelRepresentation": int(signed)}
            path = saved_as(tmp_path / "a.dcm", data_set(shape, syntax, **form), words)
            found = stored(path)
            np.testing.assert_array_equal(found, values, err_msg=str(form))
            assert found.dtype == np.dtype(f"{'ui'[signed]}{allocated // 8}")
            if high == bits - 1:
                np.testing.assert_array_equal(found, pixel_array(dcmread(path)).reshape(shape), err_msg=str(form))


@pytest.mark.parametrize("syntax", [*NATIVE, RLELossless])
@pytest.mark.parametrize("signed", [False, True])
def test_values_that_stand_low_where_the_header_says_high(tmp_path: Path, syntax: str, signed: bool) -> None:
    values = random_values(12, signed, (1, 3, 5))
    form = {"BitsStored": 12, "HighBit": 15, "PixelRepresentation": int(signed)}
    path = saved_as(tmp_path / "a.dcm", data_set(values.shape, syntax, **form), (values & 0xFFFF).astype(np.uint16))
    assert refused(path) == (
        "its header says that values of 12 bits end at bit 15, but its pixels stand in the lowest 12 bits; export it"
        " again"
    )
    for dark in (values // 16 * 16 & 0xFFFF, values * 0):  # with nothing below, they may be what the header says
        path = saved_as(tmp_path / "a.dcm", data_set(values.shape, syntax, **form), dark.astype(np.uint16))
        np.testing.assert_array_equal(stored(path), dark.astype(np.uint16).astype(np.int16) >> 4)


@pytest.mark.parametrize("number", ["-1", "-200"])
def test_fewer_frames_than_one(tmp_path: Path, number: str) -> None:
    path = save(tmp_path / "a.dcm", data_set((1, 3, 5), ExplicitVRLittleEndian, NumberOfFrames=number), bytes(30))
    assert refused(path) == f"its header says {number} frames; export it again"


@pytest.mark.parametrize("syntax", [*NATIVE, RLELossless])
@pytest.mark.parametrize("photometric", ["RGB", "YBR_FULL"])
def test_colors_by_pixel_and_by_plane(tmp_path: Path, syntax: str, photometric: str) -> None:
    for allocated, bits, frames, planar in itertools.product((8, 16), (8, 12, 16), (1, 2), (0, 1)):
        if bits > allocated:
            continue
        values = random_values(bits, False, (frames, 3, 5, 3))
        words = words_of(values, bits, bits - 1, allocated)
        form = {"BitsAllocated": allocated, "BitsStored": bits, "PlanarConfiguration": planar}
        ds = data_set(values.shape, syntax, PhotometricInterpretation=photometric, **form)
        path = saved_as(tmp_path / "a.dcm", ds, words)
        found = stored(path)
        if photometric == "RGB":
            np.testing.assert_array_equal(found, values)
        else:  # PS3.3, C.7.6.3.1.2, for any depth
            y, blue, red = np.moveaxis(values.astype(float), -1, 0)
            blue, red = blue - 2 ** (bits - 1), red - 2 ** (bits - 1)
            expected = np.stack([y + 1.402 * red, y - 0.344136 * blue - 0.714136 * red, y + 1.772 * blue], axis=-1)
            np.testing.assert_allclose(found, expected.clip(0, 2**bits - 1), atol=0.6)
        if allocated == 8:
            np.testing.assert_array_equal(found, pixel_array(dcmread(path)).reshape(found.shape))


@pytest.mark.parametrize("syntax", NATIVE)
def test_chroma_of_pairs(tmp_path: Path, syntax: str) -> None:
    # Two pixels: Y 81 and 145, CB 90, CR 240: with it the first is nearly red
    ds = data_set((1, 1, 2, 3), syntax, PhotometricInterpretation="YBR_FULL_422", BitsAllocated=8, BitsStored=8)
    path = save(tmp_path / "a.dcm", ds, bytes([81, 145, 90, 240]), "OB")
    np.testing.assert_array_equal(stored(path), [[[[238, 14, 14], [255, 78, 78]]]])
    np.testing.assert_array_equal(stored(path)[0], pixel_array(dcmread(path)))
    ds = data_set((1, 1, 2, 3), syntax, PhotometricInterpretation="YBR_FULL_422", BitsAllocated=8, BitsStored=8)
    path = save(tmp_path / "a.dcm", ds, bytes(range(6)), "OB")  # one chroma for each pixel
    assert refused(path).startswith("holds 6 bytes of pixels, but its header describes 4 (1 frame of 1 x 2 x 3 values")


@pytest.mark.parametrize("syntax", NATIVE)
def test_single_bits(tmp_path: Path, syntax: str) -> None:
    values = RNG.integers(0, 2, (3, 5, 7))  # frames begin within bytes
    data = np.packbits(values.astype(np.uint8), bitorder="little").tobytes()
    ds = data_set(values.shape, syntax, BitsAllocated=1, BitsStored=1)
    np.testing.assert_array_equal(stored(save(tmp_path / "a.dcm", ds, data, "OB")), values)
    if syntax == ExplicitVRBigEndian:
        ds = data_set(values.shape, syntax, BitsAllocated=1, BitsStored=1)
        words = np.frombuffer(data + bytes(len(data) % 2), "<u2").astype(">u2").tobytes()
        np.testing.assert_array_equal(stored(save(tmp_path / "a.dcm", ds, words, "OW")), values)


def test_bytes_in_words_of_big_endian(tmp_path: Path) -> None:
    for frames in (1, 2):
        values = RNG.integers(0, 256, (frames, 3, 5)).astype(np.uint8)
        data = values.tobytes() + bytes(values.size % 2)
        ds = data_set(values.shape, ExplicitVRBigEndian, BitsAllocated=8, BitsStored=8)
        path = save(tmp_path / "a.dcm", ds, np.frombuffer(data, "<u2").astype(">u2").tobytes(), "OW")
        np.testing.assert_array_equal(stored(path), values)


# Headers and lengths that cannot be


@pytest.mark.parametrize(
    ("header", "sentence"),
    [
        ({"HighBit": 10, "BitsStored": 12}, "says that values of 12 bits end at bit 10 of 16 bits"),
        ({"HighBit": 16, "BitsStored": 12}, "says that values of 12 bits end at bit 16 of 16 bits"),
        ({"BitsStored": 17}, "says that values of 17 bits end at bit 16 of 16 bits"),
        ({"BitsStored": 0, "HighBit": 0}, "says that values of 0 bits"),
        ({"BitsAllocated": 12, "BitsStored": 12}, "says 12 bits for each value, which are not read"),
        ({"BitsAllocated": 24, "BitsStored": 24}, "says 24 bits for each value, which are not read"),
        ({"PixelRepresentation": 2}, "says PixelRepresentation 2"),
        ({"SamplesPerPixel": 3, "PlanarConfiguration": 0}, "says 3 samples per pixel, where MONOCHROME2 has 1"),
        ({"PhotometricInterpretation": "RGB"}, "says 1 samples per pixel, where RGB has 3"),
        ({"BitsStored": None, "HighBit": 11}, "does not say BitsStored"),
        ({"SamplesPerPixel": None}, "does not say SamplesPerPixel"),
        ({"BitsAllocated": [16, 16]}, "does not say BitsAllocated, or not as one number"),
    ],
)
def test_a_header_that_contradicts_itself(tmp_path: Path, header: dict[str, Any], sentence: str) -> None:
    assert sentence in refused(
        save(tmp_path / "a.dcm", data_set((1, 4, 6), ExplicitVRLittleEndian, **header), bytes(48))
    )


@pytest.mark.parametrize(
    ("header", "sentence"),
    [
        ({"PixelRepresentation": 1}, "says PixelRepresentation 1, which RGB cannot have"),
        ({"PlanarConfiguration": None}, "does not say whether its colors stand by pixel or by plane"),
        ({"PlanarConfiguration": 2}, "does not say whether its colors stand by pixel or by plane"),
        ({"PhotometricInterpretation": "YBR_RCT"}, "says YBR_RCT, which only JPEG 2000 has"),
        ({"PhotometricInterpretation": "YBR_ICT"}, "says YBR_ICT, which only JPEG 2000 has"),
        ({"PhotometricInterpretation": "YBR_PARTIAL_422"}, "its colors are of a kind that is not read"),
        ({"PhotometricInterpretation": "YBR_PARTIAL_420"}, "its colors are of a kind that is not read"),
        ({"PhotometricInterpretation": "HSV"}, "its colors are of a kind that is not read"),
        ({"PhotometricInterpretation": "ARGB", "SamplesPerPixel": 4}, "its colors are of a kind that is not read"),
        ({"PhotometricInterpretation": "CMYK", "SamplesPerPixel": 4}, "its colors are of a kind that is not read"),
        ({"PhotometricInterpretation": "PALETTE COLOR"}, "says 3 samples per pixel, where PALETTE COLOR has 1"),
        (
            {"PhotometricInterpretation": "YBR_FULL_422", "PlanarConfiguration": 1},
            "of colors by plane or of an odd width",
        ),
    ],
)
def test_colors_that_contradict_the_header(tmp_path: Path, header: dict[str, Any], sentence: str) -> None:
    ds = data_set((1, 4, 6, 3), ExplicitVRLittleEndian, BitsAllocated=8, BitsStored=8, **header)
    size = 4 * 6 * 4 if header.get("SamplesPerPixel") == 4 else 4 * 6 * (2 if "422" in str(header) else 3)
    assert sentence in refused(save(tmp_path / "a.dcm", ds, bytes(size), "OB"))


@pytest.mark.parametrize("syntax", NATIVE)
@pytest.mark.parametrize(
    ("frames", "length", "fits"),
    [
        (1, 70, True),
        (1, 68, False),
        (1, 35, False),
        (1, 140, False),  # two
        (1, 80, False),  # bytes that are not zero
        (2, 140, True),
        (2, 70, False),
        (3, 140, False),
        (2, 210, False),
    ],
)
def test_lengths(tmp_path: Path, syntax: str, frames: int, length: int, fits: bool) -> None:
    data = bytes(range(1, 256))[:length]
    path = save(tmp_path / "a.dcm", data_set((frames, 5, 7), syntax), data + bytes(length % 2))
    if fits:
        assert len(read_frames(path)) == frames
    else:
        count = "1 frame" if frames == 1 else f"{frames} frames"
        assert refused(path) == (
            f"holds {length + length % 2} bytes of pixels, but its header describes {70 * frames} ({count} of"
            " 5 x 7 x 1 values of 16 bits); export it again"
        )


def test_what_fills_a_block_is_no_contradiction(tmp_path: Path) -> None:
    values = RNG.integers(1, 255, (1, 75, 75)).astype(np.uint8)

    def saved(behind: bytes) -> Path:
        ds = data_set(values.shape, ExplicitVRLittleEndian, BitsAllocated=8, BitsStored=8)
        return save(tmp_path / "a.dcm", ds, values.tobytes() + behind, "OB")

    for behind in (b"\0", b" ", bytes(1), bytes(511), bytes(4095)):
        np.testing.assert_array_equal(stored(saved(behind)), values)
    for behind in (b"\0\1", bytes(600) + b"\1", bytes(4097), bytes(5625)):
        assert "but its header describes 5,625" in refused(saved(behind))
    assert "of pixels, but its header describes 5,625" in refused(saved(values.tobytes()))


def test_frames_that_are_filled_one_by_one(tmp_path: Path) -> None:
    frame = bytes(range(1, 12)) + bytes(4)  # 15 bytes, black at the end
    ds = data_set((3, 3, 5), ExplicitVRLittleEndian, BitsAllocated=8, BitsStored=8)
    path = save(tmp_path / "a.dcm", ds, (frame + b"\0") * 3, "OB")
    assert "holds 48 bytes of pixels, but its header describes 45 (3 frames of 3 x 5 x 1 values of 8 bits)" in refused(
        path
    )
    path = save(tmp_path / "a.dcm", ds, frame * 3 + bytes(5), "OB")
    np.testing.assert_array_equal(stored(path).reshape(3, 15), [list(frame)] * 3)


def test_floats_of_another_size(tmp_path: Path) -> None:
    for keyword, bits in (("FloatPixelData", 64), ("DoubleFloatPixelData", 32), ("FloatPixelData", 16)):
        ds = data_set((1, 4, 4), ExplicitVRLittleEndian, BitsAllocated=bits)
        setattr(ds, keyword, np.zeros(16, f"f{max(bits, 32) // 8}").tobytes())
        dcmwrite(tmp_path / "a.dcm", ds, enforce_file_format=True)
        assert f"says {bits} bits for each value" in refused(tmp_path / "a.dcm")
    ds = data_set((1, 4, 4), ExplicitVRLittleEndian, BitsAllocated=32)
    ds.FloatPixelData = np.zeros(32, "f4").tobytes()
    dcmwrite(tmp_path / "a.dcm", ds, enforce_file_format=True)
    assert "holds 128 bytes of pixels, but its header describes 64" in refused(tmp_path / "a.dcm")


# Compressed: the depth and sign of the stream


SIDES = (64, 70)


def smooth_values(bits: int, signed: bool, shape: tuple[int, ...]) -> np.ndarray:
    """Return a ramp through all values with some noise, which encoders make smaller."""
    low = -(2 ** (bits - 1)) if signed else 0
    ramp = np.linspace(low, low + 2**bits - 1, int(np.prod(shape))).reshape(shape)
    return (ramp + RNG.normal(0, 2, shape)).round().astype(np.int64).clip(low, low + 2**bits - 1)


def packed(path: Path, frames: list[bytes], shape: tuple[int, ...], syntax: str, **header: Any) -> Path:
    return save(path, data_set((len(frames), *shape), syntax, **header), encapsulate(frames), "OB")


def jpeg_lossless(values: np.ndarray, bits: int) -> bytes:
    return bytes(imagecodecs.jpeg8_encode(values, lossless=True, bitspersample=bits))


def jpeg_ls(values: np.ndarray, bits: int) -> bytes:
    rows, columns = values.shape
    return bytes(charls.encode_buffer(values.tobytes(), rows, columns, 1, bits))


def jpeg_2000(values: np.ndarray, bits: int) -> bytes:
    return bytes(encode_array(values, bits, photometric_interpretation=2, use_mct=False))


def colored(transform: bool) -> bytes:
    return bytes(encode_array(PICTURE, 8, photometric_interpretation=1, use_mct=transform))


CODED = [
    (JPEGLossless, jpeg_lossless),
    (JPEGLosslessSV1, jpeg_lossless),
    (JPEGLSLossless, jpeg_ls),
    (JPEG2000Lossless, jpeg_2000),
]


@pytest.mark.parametrize(("syntax", "encode"), CODED)
@pytest.mark.parametrize("signed", [False, True])
def test_streams_of_the_depth_of_the_header(tmp_path: Path, syntax: str, encode: Any, signed: bool) -> None:
    for bits in (8, 10, 12, 15, 16):
        allocated = 8 if bits == 8 else 16
        values = smooth_values(bits, signed, (2, *SIDES))
        kind = "i" if signed and syntax == JPEG2000Lossless else "u"
        words = (values if kind == "i" else values & (2**bits - 1)).astype(f"{kind}{allocated // 8}")
        form = {"BitsAllocated": allocated, "BitsStored": bits, "PixelRepresentation": int(signed)}
        path = packed(tmp_path / "a.dcm", [encode(word, bits) for word in words], SIDES, syntax, **form)
        found = stored(path)
        np.testing.assert_array_equal(found, values, err_msg=f"{bits}")
        assert found.dtype == np.dtype(f"{'ui'[signed]}{allocated // 8}")


@pytest.mark.parametrize(("syntax", "encode"), CODED)
def test_streams_of_more_bits_than_the_header_says(tmp_path: Path, syntax: str, encode: Any) -> None:
    shape = SIDES
    for signed in (False, True):
        values = smooth_values(12, signed, shape)
        form = {"BitsAllocated": 16, "BitsStored": 12, "PixelRepresentation": int(signed)}
        for words in (values & 0xFFF, values & 0xFFFF):  # empty bits above, or the sign
            path = packed(tmp_path / "a.dcm", [encode(words.astype(np.uint16), 16)], shape, syntax, **form)
            np.testing.assert_array_equal(stored(path)[0], values)
        beyond = values & 0xFFF
        beyond[0, 0] = 0x4FFF
        path = packed(tmp_path / "a.dcm", [encode(beyond.astype(np.uint16), 16)], shape, syntax, **form)
        assert refused(path).startswith(
            f"its header says {'signed' if signed else 'unsigned'} values of 12 bits, but its"
        )
        assert "of 16 bits; export it again" in refused(path)
        # An overlay in the bits above, as the header says
        ds = dcmread(path)
        ds.add_new(0x60000102, "US", 14)
        ds.save_as(path)
        np.testing.assert_array_equal(stored(path)[0, 0, 1:], values[0, 1:])


@pytest.mark.parametrize(("syntax", "encode"), CODED)
def test_streams_of_fewer_bits_than_the_header_says(tmp_path: Path, syntax: str, encode: Any) -> None:
    values = smooth_values(12, False, SIDES).astype(np.uint16)
    data = encode(values, 12)
    np.testing.assert_array_equal(stored(packed(tmp_path / "a.dcm", [data], SIDES, syntax))[0], values)
    signed = packed(tmp_path / "a.dcm", [data], SIDES, syntax, PixelRepresentation=1)
    assert refused(signed).startswith("its header says signed values of 16 bits, but its compressed pixels have")
    half = packed(tmp_path / "a.dcm", [encode(values // 2, 12)], SIDES, syntax, PixelRepresentation=1)
    np.testing.assert_array_equal(stored(half)[0], values // 2)  # either way the same
    narrow = packed(tmp_path / "a.dcm", [data], SIDES, syntax, BitsAllocated=8, BitsStored=8)
    assert "values of 8 bits, but its compressed pixels have" in refused(narrow)


def test_a_lossy_jpeg_of_fewer_bits_may_have_been_scaled(tmp_path: Path) -> None:
    data = bytes(imagecodecs.jpeg8_encode(smooth_values(8, False, SIDES).astype(np.uint8), 95))
    path = packed(tmp_path / "a.dcm", [data], SIDES, JPEGBaseline8Bit, BitsStored=12)
    assert "says unsigned values of 12 bits, but its compressed pixels have values of 8 bits" in refused(path)


def test_jpeg_2000_of_another_sign(tmp_path: Path) -> None:
    values = smooth_values(16, True, SIDES)
    shape, syntax = SIDES, JPEG2000Lossless
    signed, unsigned = jpeg_2000(values.astype(np.int16), 16), jpeg_2000(values.astype(np.uint16), 16)
    for data in (signed, unsigned):
        np.testing.assert_array_equal(
            stored(packed(tmp_path / "a.dcm", [data], shape, syntax, PixelRepresentation=1))[0], values
        )
    expected = (
        "its header says unsigned values of 16 bits, but its compressed pixels have signed values of 16 bits; export it"
        " again"
    )
    assert refused(packed(tmp_path / "a.dcm", [signed], shape, syntax)) == expected
    positive = jpeg_2000(abs(values // 2).astype(np.int16), 16)
    np.testing.assert_array_equal(stored(packed(tmp_path / "a.dcm", [positive], shape, syntax))[0], abs(values // 2))


@pytest.mark.parametrize(("syntax", "encode"), CODED)
def test_streams_of_whole_words_whose_values_stand_high(tmp_path: Path, syntax: str, encode: Any) -> None:
    values = smooth_values(12, False, SIDES)
    form = {"BitsStored": 12, "HighBit": 15}
    words = (values << 4 | 5).astype(np.uint16)
    path = packed(tmp_path / "a.dcm", [encode(words, 16)], SIDES, syntax, **form)
    np.testing.assert_array_equal(stored(path)[0], values)
    path = packed(tmp_path / "a.dcm", [encode(values.astype(np.uint16), 12)], SIDES, syntax, **form)
    assert "says unsigned values of 12 bits, but" in refused(path)


def test_lossy_streams_may_go_a_little_beyond_their_bits(tmp_path: Path) -> None:
    values = np.full(SIDES, 4000, np.uint16)
    values[4, 4] = 4200
    path = packed(tmp_path / "a.dcm", [jpeg_2000(values, 16)], SIDES, JPEG2000, BitsStored=12)
    np.testing.assert_array_equal(stored(path)[0], values)
    values[4, 4] = 40000
    path = packed(tmp_path / "a.dcm", [jpeg_2000(values, 16)], SIDES, JPEG2000, BitsStored=12)
    assert "says unsigned values of 12 bits, but" in refused(path)


def test_bytes_in_allocated_words(tmp_path: Path) -> None:
    values = smooth_values(8, False, SIDES).astype(np.uint8)
    for syntax, encode in CODED:
        found = stored(packed(tmp_path / "a.dcm", [encode(values, 8)], SIDES, syntax, BitsStored=8))
        np.testing.assert_array_equal(found[0], values)
        assert found.dtype == np.uint16


# Compressed: colors


QUARTERS = np.array([[200, 30, 30], [30, 200, 30], [30, 30, 200], [180, 180, 40]], np.uint8)
PICTURE = QUARTERS[np.repeat(np.repeat([[0, 1], [2, 3]], 16, 0), 16, 1)]
EIGHT = {"BitsAllocated": 8, "BitsStored": 8}
JFIF, ADOBE = b"\xff\xe0\x00\x10JFIF\0\1\2\0\0\1\0\1\0\0", b"\xff\xee\x00\x0eAdobe\0\x64\0\0\0\0"


def jpeg(space: str, before: bytes = b"", names: bytes = b"\1\2\3", sampling: str = "444") -> bytes:
    """Return PICTURE as JPEG in RGB or YCbCr, with these segments alone and these names of its samples."""
    data = bytes(imagecodecs.jpeg8_encode(PICTURE, 98, outcolorspace=space, subsampling=sampling))
    place = 2
    while data[place + 1] in (0xE0, 0xEE):
        place += 2 + struct.unpack_from(">H", data, place + 2)[0]
    data = bytearray(data[:2] + before + data[place:])
    frame, scan = data.index(b"\xff\xc0") + 10, data.index(b"\xff\xda") + 5
    for sample in range(3):
        data[frame + 3 * sample] = data[scan + 2 * sample] = names[sample]
    return bytes(data)


@pytest.mark.parametrize(
    ("data", "headers"),
    [
        (jpeg("rgb", ADOBE + b"\0"), ("RGB", "YBR_FULL", "YBR_FULL_422")),
        (jpeg("rgb", names=b"RGB"), ("RGB", "YBR_FULL", "YBR_FULL_422")),
        (jpeg("rgb"), ("RGB",)),
        (jpeg("rgb", names=b"\0\1\2"), ("RGB",)),
        (jpeg("ycbcr", ADOBE + b"\1"), ("RGB", "YBR_FULL", "YBR_FULL_422")),
        (jpeg("ycbcr", JFIF), ("RGB", "YBR_FULL", "YBR_FULL_422")),
        (jpeg("ycbcr", JFIF + ADOBE + b"\1"), ("RGB", "YBR_FULL")),
        (jpeg("ycbcr", sampling="422"), ("RGB", "YBR_FULL", "YBR_FULL_422")),
        (jpeg("ycbcr", sampling="420"), ("RGB", "YBR_FULL", "YBR_FULL_422")),
        (jpeg("ycbcr"), ("YBR_FULL", "YBR_FULL_422")),
    ],
)
def test_a_lossy_jpeg_says_what_its_colors_are(tmp_path: Path, data: bytes, headers: tuple[str, ...]) -> None:
    for photometric in headers:
        for syntax in (JPEGBaseline8Bit, JPEGExtended12Bit):
            form = EIGHT | {"PhotometricInterpretation": photometric}
            scan = read_scan(packed(tmp_path / "a.dcm", [data], PICTURE.shape, syntax, **form))
            np.testing.assert_allclose(scan.pixels[8::16, 8::16] * 255, PICTURE[8::16, 8::16], atol=3)


@pytest.mark.parametrize("data", [jpeg("rgb", JFIF + ADOBE + b"\0"), jpeg("ycbcr", JFIF, b"RGB")])
def test_a_jpeg_that_contradicts_itself(tmp_path: Path, data: bytes) -> None:
    path = packed(tmp_path / "a.dcm", [data], PICTURE.shape, JPEGBaseline8Bit, **EIGHT)
    expected = (
        "its header says RGB, but its compressed pixels are both RGB and YCbCr by their markers; export it as RGB"
    )
    assert refused(path) == expected


def test_a_lossless_jpeg_is_what_its_header_says(tmp_path: Path) -> None:
    plain = bytearray(imagecodecs.jpeg8_encode(PICTURE, lossless=True))
    start = (
        plain.index(b"\xff\xc4") if plain.index(b"\xff\xc4") < plain.index(b"\xff\xc3") else plain.index(b"\xff\xc3")
    )
    bare = bytearray(plain[:2] + plain[start:])
    frame, scan = bare.index(b"\xff\xc3") + 10, bare.index(b"\xff\xda") + 5
    for sample in range(3):
        bare[frame + 3 * sample] = bare[scan + 2 * sample] = sample
    for before, photometric, readable in (
        (b"", "RGB", True),
        (ADOBE + b"\0", "RGB", True),
        (JFIF, "RGB", False),
        (ADOBE + b"\0", "YBR_FULL", False),
        (b"", "YBR_RCT", False),
    ):
        data = bytes(bare[:2] + before + bare[2:])
        form = EIGHT | {"PhotometricInterpretation": photometric}
        path = packed(tmp_path / "a.dcm", [data], PICTURE.shape, JPEGLosslessSV1, **form)
        if readable:
            np.testing.assert_array_equal(stored(path)[0], PICTURE)
        else:
            assert refused(path).startswith(f"its header says {photometric}, but its compressed pixels are")
    form = EIGHT | {"PhotometricInterpretation": "YBR_FULL"}
    path = packed(tmp_path / "a.dcm", [bytes(bare)], PICTURE.shape, JPEGLosslessSV1, **form)
    ybr = data_set((1, *PICTURE.shape), ExplicitVRLittleEndian, **form)
    np.testing.assert_array_equal(stored(path), stored(save(tmp_path / "b.dcm", ybr, PICTURE.tobytes(), "OB")))


@pytest.mark.parametrize(
    ("transform", "photometric", "readable"),
    [
        (True, "YBR_RCT", True),
        (True, "YBR_ICT", True),
        (True, "RGB", True),
        (False, "RGB", True),
        (True, "YBR_FULL", False),
        (True, "YBR_FULL_422", False),
        (False, "YBR_RCT", False),
        (False, "YBR_ICT", False),
    ],
)
def test_the_transform_of_jpeg_2000(tmp_path: Path, transform: bool, photometric: str, readable: bool) -> None:
    data = colored(transform)
    form = EIGHT | {"PhotometricInterpretation": photometric}
    path = packed(tmp_path / "a.dcm", [data], PICTURE.shape, JPEG2000Lossless, **form)
    if readable:
        np.testing.assert_array_equal(stored(path)[0], PICTURE)
    else:
        how = "with a color transform" if transform else "without a color transform"
        expected = f"its header says {photometric}, but its compressed pixels are {how}; export it as RGB"
        assert refused(path) == expected


def test_a_jp2_file_of_other_colors_than_the_header_says(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    Image.fromarray(PICTURE).save(buffer, format="JPEG2000")
    data, number = buffer.getvalue(), b"colr\1\0\0\0\0\0"
    for photometric, kind, readable in (("RGB", 16, True), ("RGB", 18, False), ("YBR_FULL", 18, False)):
        form = EIGHT | {"PhotometricInterpretation": photometric}
        frame = data.replace(number + b"\x10", number + bytes([kind]))
        path = packed(tmp_path / "a.dcm", [frame], PICTURE.shape, JPEG2000Lossless, **form)
        if readable:
            np.testing.assert_array_equal(stored(path)[0], PICTURE)
        else:
            assert f"says {photometric}, but its compressed pixels are in a JP2 file of other colors" in refused(path)


def test_ybr_in_jpeg_2000_and_jpeg_ls(tmp_path: Path) -> None:
    form = EIGHT | {"PhotometricInterpretation": "YBR_FULL"}
    plain = save(
        tmp_path / "a.dcm", data_set((1, *PICTURE.shape), ExplicitVRLittleEndian, **form), PICTURE.tobytes(), "OB"
    )
    data = colored(False)
    path = packed(tmp_path / "b.dcm", [data], PICTURE.shape, JPEG2000Lossless, **form)
    np.testing.assert_array_equal(stored(path), stored(plain))
    for interleave in (0, 1, 2):
        laid = np.ascontiguousarray(PICTURE.transpose(2, 0, 1)) if interleave == 0 else PICTURE
        stream = bytes(charls.encode_buffer(laid.tobytes(), 32, 32, 3, 8, interleave_mode=interleave))
        path = packed(tmp_path / "b.dcm", [stream], PICTURE.shape, JPEGLSLossless, **form)
        np.testing.assert_array_equal(stored(path), stored(plain), err_msg=f"{interleave}")


def test_colors_of_another_depth_than_the_header_says(tmp_path: Path) -> None:
    data = colored(True)
    path = packed(tmp_path / "a.dcm", [data], PICTURE.shape, JPEG2000Lossless)  # would be black
    assert "says unsigned values of 16 bits, but its compressed pixels have unsigned values of 8 bits" in refused(path)


def test_the_arrangement_of_colors_does_not_matter_in_streams(tmp_path: Path) -> None:
    for planar in (0, 1, None):
        form = EIGHT | {"PlanarConfiguration": planar, "PhotometricInterpretation": "YBR_FULL_422"}
        path = packed(tmp_path / "a.dcm", [jpeg("ycbcr", JFIF)], PICTURE.shape, JPEGBaseline8Bit, **form)
        np.testing.assert_allclose(stored(path)[0, 8::16, 8::16], PICTURE[8::16, 8::16], atol=3)


# Compressed: frames


@pytest.mark.parametrize(("syntax", "encode"), [*CODED, (RLELossless, None)])
@pytest.mark.parametrize(("held", "told"), [(1, 2), (2, 1), (3, 2), (2, 3)])
@pytest.mark.parametrize("table", ["", "basic", "extended"])
def test_more_or_fewer_frames(tmp_path: Path, syntax: str, encode: Any, held: int, told: int, table: str) -> None:
    values = smooth_values(8, False, (held, *SIDES)).astype(np.uint8)
    frames = [runs(frame) if encode is None else encode(frame, 8) for frame in values]
    ds = data_set((told, *SIDES), syntax, **EIGHT)
    if table == "extended":
        data, ds.ExtendedOffsetTable, ds.ExtendedOffsetTableLengths = encapsulate_extended(frames)
    else:
        data = encapsulate(frames, has_bot=table == "basic")
    count = "1 compressed frame" if held == 1 else f"{held} compressed frames"
    expected = f"holds {count}, but its header says {told}; copy or export it again"
    assert refused(save(tmp_path / "a.dcm", ds, data, "OB")) == expected
    ds.NumberOfFrames = held
    np.testing.assert_array_equal(stored(save(tmp_path / "a.dcm", ds, data, "OB")), values)


def test_a_second_picture_within_a_frame(tmp_path: Path) -> None:
    two = jpeg("ycbcr", JFIF) + jpeg("ycbcr", JFIF)
    path = packed(tmp_path / "a.dcm", [two], PICTURE.shape, JPEGBaseline8Bit, **EIGHT)
    assert refused(path) == "holds 2 compressed frames, but its header says 1; copy or export it again"


@pytest.mark.parametrize(("syntax", "encode"), CODED)
@pytest.mark.parametrize("cut", [2, 20, 100])
def test_a_frame_that_is_cut_off(tmp_path: Path, syntax: str, encode: Any, cut: int) -> None:
    values = smooth_values(8, False, SIDES).astype(np.uint8)
    path = packed(tmp_path / "a.dcm", [encode(values, 8)[:-cut]], SIDES, syntax, **EIGHT)
    assert "cut off" in refused(path)


@pytest.mark.parametrize("kept", [0.2, 0.5, 0.9])
@pytest.mark.parametrize("kind", ["lossless", "baseline", "progressive", "restarts"])
def test_a_frame_that_is_cut_off_before_its_end(tmp_path: Path, kind: str, kept: float) -> None:
    # Decoders fill the rest with gray.
    picture = RNG.integers(0, 256, (64, 70, 3)).astype(np.uint8)
    buffer = io.BytesIO()
    if kind == "lossless":
        buffer.write(imagecodecs.jpeg8_encode(picture, lossless=True))
    else:
        options = {"progressive": kind == "progressive", "restart_marker_rows": int(kind == "restarts")}
        Image.fromarray(picture).save(buffer, "JPEG", quality=95, subsampling=0, **options)
    whole = buffer.getvalue()
    syntax = JPEGLosslessSV1 if kind == "lossless" else JPEGBaseline8Bit
    assert stored(packed(tmp_path / "a.dcm", [whole], picture.shape, syntax, **EIGHT)).shape == (1, *picture.shape)
    scan = whole.index(b"\xff\xda")
    cut = whole[: int(scan + kept * (len(whole) - scan))] + b"\xff\xd9"
    assert "cannot be decoded" in refused(packed(tmp_path / "a.dcm", [cut], picture.shape, syntax, **EIGHT))


def test_an_extended_table_whose_lengths_lie(tmp_path: Path) -> None:
    frames = [jpeg_lossless(RNG.integers(0, 256, SIDES).astype(np.uint8), 8) for _ in range(2)]
    for change in (-40, 40):
        ds = data_set((2, *SIDES), JPEGLossless, **EIGHT)
        data, ds.ExtendedOffsetTable, lengths = encapsulate_extended(frames)
        first, second = struct.unpack("<2Q", lengths)
        ds.ExtendedOffsetTableLengths = struct.pack("<2Q", first + change, second)
        expected = "its table of how long frames are is damaged; copy or export it again"
        assert refused(save(tmp_path / "a.dcm", ds, data, "OB")) == expected


@pytest.mark.parametrize("change", ["shorter", "longer", "fewer"])
def test_runs_that_are_not_as_many_as_the_pixels(tmp_path: Path, change: str) -> None:
    # Two segments of 9 x 11 = 99 bytes each, as one literal run
    size = {"shorter": 98, "longer": 103}.get(change, 99)
    segment = bytes([size - 1]) + bytes(RNG.integers(0, 256, size).astype(np.uint8))
    segment += bytes(len(segment) % 2)
    count = 1 if change == "fewer" else 2
    header = struct.pack("<16L", count, 64, 64 + len(segment), *[0] * 13)
    path = packed(tmp_path / "a.dcm", [header + segment * count], (9, 11), RLELossless)
    if change == "fewer":
        expected = "a frame has 1 byte planes where the header says 2; copy or export it again"
        assert refused(path) == expected
    else:
        assert "cannot be decoded (RLE Lossless)" in refused(path)


def test_the_decoder_is_the_named_one_whatever_else_is_installed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pydicom.pixels.decoders import pylibjpeg

    asked: list[str] = []

    def another(data: bytes, **options: Any) -> bytes:
        asked.append(options["transfer_syntax_uid"])
        raise NotImplementedError

    values = smooth_values(8, False, SIDES).astype(np.uint8)
    for syntax, encode in CODED[:3]:
        monkeypatch.setitem(pylibjpeg._DECODERS, syntax, {"another": another})
        path = packed(tmp_path / "a.dcm", [encode(values, 8)], SIDES, syntax, **EIGHT)
        np.testing.assert_array_equal(stored(path)[0], values)
    assert asked == []


# Against another program


def by_dcmtk(path: Path) -> np.ndarray:
    """Return (H, W) or (H, W, 3) values from 0, those of fewer than 16 bits in the upper ones."""
    if shutil.which("dcm2pnm") is None:
        pytest.skip("needs dcm2pnm of dcmtk")
    told = subprocess.run(["dcm2pnm", "+opw", path], check=True, capture_output=True, text=True).stdout.split()
    kind, columns, rows = told[0], int(told[1]), int(told[2])
    assert told[3] == "65535"
    return np.array(told[4:], int).reshape((rows, columns, 3)[: 3 if kind == "P3" else 2])


@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, ExplicitVRBigEndian, RLELossless])
def test_dcmtk_finds_values_in_the_same_bits(tmp_path: Path, syntax: str) -> None:
    for signed, (allocated, bits, high) in itertools.product(
        (False, True), ((8, 8, 7), (8, 5, 6), (16, 12, 11), (16, 12, 15), (16, 10, 13), (16, 16, 15), (16, 8, 15))
    ):
        form = {"BitsAllocated": allocated, "BitsStored": bits, "HighBit": high, "PixelRepresentation": int(signed)}
        values = random_values(bits, signed, (1, 6, 9))
        path = saved_as(
            tmp_path / "a.dcm", data_set(values.shape, syntax, **form), words_of(values, bits, high, allocated)
        )
        lowest = -(2 ** (bits - 1)) if signed else 0
        np.testing.assert_array_equal(
            by_dcmtk(path) >> (16 - bits), stored(path)[0].astype(int) - lowest, err_msg=str(form)
        )


@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, ExplicitVRBigEndian, RLELossless])
@pytest.mark.parametrize(("photometric", "most"), [("RGB", 0), ("YBR_FULL", 2)])  # its tables cut off fractions
def test_dcmtk_finds_the_same_colors(tmp_path: Path, syntax: str, photometric: str, most: int) -> None:
    for planar in (0, 1):
        form = EIGHT | {"PhotometricInterpretation": photometric, "PlanarConfiguration": planar}
        values = random_values(8, False, (1, 6, 9, 3)).astype(np.uint8)
        path = saved_as(tmp_path / "a.dcm", data_set(values.shape, syntax, **form), values)
        np.testing.assert_allclose(by_dcmtk(path) >> 8, stored(path)[0], rtol=0, atol=most)


@pytest.mark.parametrize(
    ("program", "syntax", "encode"),
    [("dcmdjpeg", JPEGLosslessSV1, jpeg_lossless), ("dcmdjpls", JPEGLSLossless, jpeg_ls)],
)
def test_dcmtk_reads_the_same(tmp_path: Path, program: str, syntax: str, encode: Any) -> None:
    if shutil.which(program) is None:
        pytest.skip(f"needs {program} of dcmtk")
    for signed, (bits, deep) in itertools.product((False, True), ((12, 12), (12, 16), (16, 16), (8, 8))):
        values = smooth_values(bits, signed, (2, *SIDES))
        words = (values & (2**deep - 1)).astype(np.uint8 if deep == 8 else np.uint16)
        form = {"BitsAllocated": 8 * words.itemsize, "BitsStored": bits, "PixelRepresentation": int(signed)}
        path = packed(tmp_path / "a.dcm", [encode(word, deep) for word in words], SIDES, syntax, **form)
        subprocess.run([program, path, tmp_path / "b.dcm"], check=True, capture_output=True)
        np.testing.assert_array_equal(stored(path), stored(tmp_path / "b.dcm"), err_msg=str(form))


def test_lossy_jpeg_is_decoded_as_dcmtk_does(tmp_path: Path) -> None:
    if shutil.which("dcmdjpeg") is None:
        pytest.skip("needs dcmdjpeg of dcmtk")
    smooth = np.add.outer(np.arange(40) * 60, np.sin(np.arange(48) / 5) * 500 + 500).astype(np.uint16)
    for syntax, bits, dtype in ((JPEGBaseline8Bit, 8, np.uint8), (JPEGExtended12Bit, 12, np.uint16)):
        data = bytes(imagecodecs.jpeg8_encode((smooth >> (12 - bits)).astype(dtype), 90, bitspersample=bits))
        form = {"BitsAllocated": 8 * np.dtype(dtype).itemsize, "BitsStored": bits}
        path = packed(tmp_path / "a.dcm", [data], smooth.shape, syntax, **form)
        subprocess.run(["dcmdjpeg", path, tmp_path / "b.dcm"], check=True, capture_output=True)
        np.testing.assert_array_equal(stored(path), stored(tmp_path / "b.dcm"))
