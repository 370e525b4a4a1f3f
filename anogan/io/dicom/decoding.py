"""From pixel data to stored values: decoders, and what compressed streams and the header both say of their pixels."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

import imagecodecs
import numpy as np
from pydicom.dataset import Dataset
from pydicom.encaps import generate_frames
from pydicom.pixels import get_decoder, iter_pixels
from pydicom.uid import (
    UID,
    ExplicitVRLittleEndian,
    HTJ2KLossless,
    HTJ2KLosslessRPCL,
    JPEG2000Lossless,
    JPEG2000TransferSyntaxes,
    JPEGLossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    JPEGLSTransferSyntaxes,
    JPEGTransferSyntaxes,
    RLELossless,
)

from anogan.errors import Refused
from anogan.io.codestream import Stream, jpeg_2000_header, jpeg_header, with_longer_scans
from anogan.io.dicom.colors import LOSSY_JPEG, is_ybr, rgb
from anogan.io.dicom.pixel_format import PixelFormat

_EXACT = (JPEGLossless, JPEGLosslessSV1, JPEGLSLossless, JPEG2000Lossless, HTJ2KLossless, HTJ2KLosslessRPCL)
# Named, so that the same decoder reads a file wherever others are installed too.
_PLUGINS = {
    **dict.fromkeys(JPEGLSTransferSyntaxes, "pyjpegls"),
    **dict.fromkeys((*JPEG2000TransferSyntaxes, RLELossless), "pylibjpeg"),
}


def can_decode(syntax: UID) -> bool:
    """Tell whether pixels of a transfer syntax can be decoded here."""
    try:
        return syntax in JPEGTransferSyntaxes or bool(get_decoder(syntax).is_available)
    except NotImplementedError:
        return False


def decode(ds: Dataset, frames: int) -> Iterator[np.ndarray]:
    """Yield the stored values of an image, (H, W), or RGB, (H, W, 3) of BitsStored bits, frame by frame.

    Raises
    ------
    Refused
        The header contradicts itself or the data, or the data cannot be decoded.
    """
    form, syntax = PixelFormat.of(ds, frames), ds.file_meta.TransferSyntaxUID
    done = 0
    try:
        if not syntax.is_encapsulated:
            form.check_length(ds[form.keyword].value)
        elif form.samples == 3 and "PlanarConfiguration" not in ds:
            ds.PlanarConfiguration = 0  # no matter there, but pydicom asks for it
        for words, stream in islice(_frames(ds, form, frames), frames):
            if words.shape != form.shape:
                raise ValueError("another size")
            values = form.values(words) if stream is None else _values(words, stream, form, syntax, ds)
            if form.samples == 3 and is_ybr(form.photometric, syntax, stream):
                values = rgb(values, form.stored)
            yield values
            done += 1
        if done < frames:
            raise ValueError("too few frames")
    except (Refused, MemoryError, KeyboardInterrupt, SystemExit, GeneratorExit):
        raise
    except BaseException:  # the RLE decoder is written in Rust, and its panic is no Exception
        which = f"frame {done + 1} of {frames}" if frames > 1 else "its pixels"
        raise Refused(
            f"{which} cannot be decoded ({syntax.name}); the file is cut off or of a kind unknown here"
        ) from None


def uncover(ds: Dataset, frames: int) -> None:
    """Leave nothing but the values of its pixels in an image's pixel data: no streams, no padding, no unused bits.

    Raises
    ------
    Refused
        As `decode`.
    """
    syntax = ds.file_meta.TransferSyntaxUID
    if syntax.is_encapsulated:
        values = np.stack(list(decode(ds, frames)))
        ds.file_meta.TransferSyntaxUID, order = ExplicitVRLittleEndian, "<"
        if values.ndim == 4:
            ds.PhotometricInterpretation, ds.PlanarConfiguration = "RGB", 0
    else:
        form = PixelFormat.of(ds, frames)
        order = "<" if syntax.is_little_endian else ">"
        data = ds[form.keyword].value
        data = data[: form.check_length(data)]
        if form.stored == form.allocated:
            ds[form.keyword].value = data + bytes(len(data) % 2)
            return
        words = np.frombuffer(data, f"{order}u{form.allocated // 8}")
        values = form.values(words.astype(words.dtype.newbyteorder("=")))
    data = values.astype(f"{order}{values.dtype.str[1:]}").tobytes()
    ds.HighBit = ds.BitsStored - 1
    ds.PixelData = data + bytes(len(data) % 2)
    ds["PixelData"].VR = "OW" if values.dtype.itemsize > 1 else ds["PixelData"].VR
    ds["PixelData"].is_undefined_length = False


def _frames(ds: Dataset, form: PixelFormat, frames: int) -> Iterator[tuple[np.ndarray, Stream | None]]:
    """Yield words as they are stored, and what a compressed frame says of itself."""
    syntax = ds.file_meta.TransferSyntaxUID
    if syntax in JPEGTransferSyntaxes:
        for data in _compressed(ds, frames):
            same = "ycbcr" if form.samples == 3 else None  # from and to: the samples as they are
            decoded, again = (
                imagecodecs.jpeg8_decode(stream, colorspace=same, outcolorspace=same)
                for stream in (data, with_longer_scans(data))
            )
            if not np.array_equal(decoded, again):
                raise ValueError("cut off")
            yield decoded, jpeg_header(data)
        return
    if form.allocated == 1 and not syntax.is_encapsulated:
        for bits in _single_bits(ds, form):
            yield bits, None
        return
    words = iter_pixels(
        ds,
        decoding_plugin=_PLUGINS.get(syntax, ""),
        raw=True,  # and nothing shifted or made up
        allow_excess_frames=False,
        correct_unused_bits=False,
        apply_j2k_sign_correction=False,
        apply_jls_sign_correction=False,
    )
    if syntax in (*JPEGLSTransferSyntaxes, *JPEG2000TransferSyntaxes):
        header = jpeg_header if syntax in JPEGLSTransferSyntaxes else jpeg_2000_header
        for data, decoded in zip(_compressed(ds, frames), words, strict=False):
            yield decoded, header(data)
    else:
        for decoded in words:
            yield decoded.astype(decoded.dtype.newbyteorder("="), copy=False), None


def _single_bits(ds: Dataset, form: PixelFormat) -> np.ndarray:
    """Return (F, H, W) of 0 and 1: frames may begin within a byte (PS3.5, 8.1.1), which pydicom cuts off too early."""
    data = np.frombuffer(ds.PixelData, np.uint8)
    if not ds.file_meta.TransferSyntaxUID.is_little_endian and ds["PixelData"].VR == "OW":
        data = data.view(">u2").astype("<u2").view(np.uint8)
    count = form.frames * form.rows * form.columns
    return np.unpackbits(data, count=count, bitorder="little").reshape(form.frames, form.rows, form.columns)


def _compressed(ds: Dataset, frames: int) -> Iterator[bytes]:
    table = (ds.get("ExtendedOffsetTable"), ds.get("ExtendedOffsetTableLengths"))
    return generate_frames(ds.PixelData, number_of_frames=frames, extended_offsets=table if all(table) else None)


def _values(words: np.ndarray, stream: Stream, form: PixelFormat, syntax: str, ds: Dataset) -> np.ndarray:
    """Return the values in decoded words, if stream and header agree on them (PS3.5, 8.2).

    A stream of fewer bits than the header says, of more, or of another sign is read where that makes no difference.
    """
    bits, stored = stream.precision, form.stored
    words = words.view(f"{'ui'[bool(stream.signed)]}{words.dtype.itemsize}")
    contradiction = Refused(
        f"its header says {_described(stored, form.signed)}, but its compressed pixels have"
        f" {_described(bits, stream.signed)}; export it again"
    )
    scaled = bits < stored and syntax in LOSSY_JPEG  # perhaps; to 8 bits it may have been forced
    if not 1 <= bits <= form.allocated or (form.samples == 3 and bits != stored) or scaled:
        raise contradiction
    if form.high != stored - 1:  # retired; the stream must hold whole words
        if bits != form.allocated:
            raise contradiction
        return form.values(words)
    if stream.signed and not form.signed and words.min() < 0:
        raise contradiction
    if bits == stored:
        return form.values(words).astype(form.dtype)
    if bits > stored and syntax in _EXACT:
        values = form.values(words)
        if not (_agree(words, values, stored, bits) or _has_overlay(ds, stored)):
            raise contradiction
        return values.astype(form.dtype)
    sign_unknown = form.signed and not stream.signed
    most = 2 ** (min(bits, stored) - sign_unknown) * (
        9 / 8 if bits > stored else 1
    )  # which lossy streams pass a little
    if words.max() >= most or words.min() < -most:
        raise contradiction
    return words.astype(form.dtype)


def _agree(words: np.ndarray, values: np.ndarray, stored: int, bits: int) -> bool:
    """Whether the bits that values leave unused in words are empty, or repeat their sign."""
    more = words.astype(np.int64) - values
    return bool(((more == 0) | ((values < 0) & ((more == 2**stored) | (more == 2**bits)))).all())


def _has_overlay(ds: Dataset, stored: int) -> bool:
    """Whether an overlay stands in the bits above the values (retired; PS3.5, 8.1.2)."""
    positions = (ds.get((group, 0x0102)) for group in range(0x6000, 0x6020, 2))
    return any(isinstance(item.value, int) and item.value >= stored for item in positions if item is not None)


def _described(bits: int, signed: bool | None) -> str:
    sign = {True: "signed values", False: "unsigned values", None: "values"}[signed]
    return f"{sign} of {bits} bits" if bits else "samples that differ in size or depth"
