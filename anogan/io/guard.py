"""What a file claims of itself, checked before pydicom and the decoders believe it.

A length of 4 GB is allocated, a sequence within a sequence within a sequence is followed, a deflated data set is
inflated and the header of a JPEG 2000 frame is obeyed by whoever reads them.
"""

from __future__ import annotations

import mmap
import os
import re
from collections.abc import Callable
from struct import calcsize, iter_unpack

from pydicom.uid import (
    JPEG2000TransferSyntaxes,
    JPEGLSTransferSyntaxes,
    JPEGTransferSyntaxes,
    RLELossless,
)

from anogan.errors import Refused
from anogan.io.codestream import JP2, MAX_SCANS, Size, Stream, Unknown, jpeg_2000_header, jpeg_header, jpeg_scans
from anogan.io.elements import AGAIN, Elements
from anogan.io.pixels import check_size

_SYNTAX, _SAMPLES, _FRAMES = 0x00020010, 0x00280002, 0x00280008
_ROWS, _COLUMNS, _BITS = 0x00280010, 0x00280011, 0x00280100
_FRAME_OFFSETS, _FRAME_LENGTHS = 0x7FE00001, 0x7FE00002  # PS3.3, C.7.6.3.1.8
_UIDS = {
    0x00020002: "MediaStorageSOPClassUID",
    0x00020003: "MediaStorageSOPInstanceUID",
    _SYNTAX: "TransferSyntaxUID",
    0x00080016: "SOPClassUID",
    0x00080018: "SOPInstanceUID",
    0x0020000D: "StudyInstanceUID",
    0x0020000E: "SeriesInstanceUID",
    0x00200052: "FrameOfReferenceUID",
}
_PALETTES = (0x00281221, 0x00281222, 0x00281223, 0x00281224)  # segmented
_PALETTE_DESCRIPTOR = 0x00281101
_IMAGE = (_SAMPLES, _FRAMES, _ROWS, _COLUMNS, _BITS, _FRAME_OFFSETS, _FRAME_LENGTHS, _PALETTE_DESCRIPTOR)
_HEADER_BYTES = (4096, 1 << 16, 1 << 22)  # how far to look for the size: an ICC profile may come before it


def check_structure(path: str | os.PathLike[str], stop_before_pixels: bool = False) -> None:
    """Refuse a DICOM file that would cost its reader time or memory out of proportion, or that contradicts itself.

    Looked at are: lengths behind the end of the file; the depth of sequences and the number of elements, items and
    fragments; how far a deflated data set or a segmented palette grows; the form of UIDs; the size and number of the
    frames; and the size that each compressed frame gives itself. What is merely odd passes, for pydicom and the reader
    have their own words for it.

    Parameters
    ----------
    path
        The file.
    stop_before_pixels
        Whether the reader does so too, and pixels that are cut off are no matter.

    Raises
    ------
    Refused
        One sentence that begins with the path. It quotes sizes and counts and no other value of the header.
    OSError
        The file cannot be read.
    """
    if os.path.getsize(path) == 0:
        return  # cannot be mapped; the reader has its own words for it
    with open(path, "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        elements = Elements(data, os.fspath(path), {*_UIDS, *_PALETTES, *_IMAGE})
        elements.walk(stop_before_pixels)
        _check_uids(elements)
        _check_palettes(elements)
        if elements.pixels is not None:
            _check_pixels(elements, *elements.pixels)


def _check_uids(elements: Elements) -> None:
    """Refuse what cannot pass for a UID (PS3.5, chapter 9): UIDs are sent to others, name files and key databases.

    Letters pass: some put hashes in the place of UIDs.
    """
    for tag, keyword in _UIDS.items():
        uid = elements.text(tag)
        if len(uid) > 64 or not re.fullmatch(r"([\w-]+(\.[\w-]+)*)?", uid, re.ASCII):
            raise Refused(f"{elements.name}: its {keyword} is no UID of up to 64 digits and dots; {AGAIN}")


def _check_palettes(elements: Elements) -> None:
    """Refuse segmented palettes (PS3.3, C.7.9.2) that unpack to more than a palette can hold."""
    descriptor = elements.numbers(_PALETTE_DESCRIPTOR)
    bytewise = len(descriptor) == 3 and descriptor[2] // 8 == 1
    for tag in _PALETTES:
        words = list(elements.values.get(tag, b"")) if bytewise else elements.numbers(tag)
        if _palette_length(words, bytewise, elements.little) > 1 << 16:
            raise Refused(f"{elements.name}: its palette unpacks to more than 65536 colors; {AGAIN}")


def _palette_length(words: list[int], bytewise: bool, little: bool) -> int:
    """Return how many entries a segmented palette unpacks to; more than 65536 may be any such number."""
    total = steps = 0
    waiting = [(0, 0, -1)]  # where offsets count from, the next segment, and how many more (-1: all)
    while waiting and total <= 1 << 16:
        base, place, left = waiting.pop()
        if left == 0 or place + 1 >= len(words):
            continue
        code, length = words[place : place + 2]
        place += 2
        steps += 1
        if steps > 1 << 16 or len(waiting) > 32:
            return (1 << 16) + 1
        if code in (0, 1):  # discrete, linear
            total += length
            waiting.append((base, place + (length if code == 0 else 1), left - 1))
        elif code == 2:  # indirect: segments once more
            offset, size = _palette_offset(words[place : place + 4], bytewise, little)
            waiting += [(base, place + size, left - 1), (base + offset, base + offset, length or -1)]
    return total


def _palette_offset(words: list[int], bytewise: bool, little: bool) -> tuple[int, int]:
    """Return the offset in an indirect segment, and how many words it takes."""
    if len(words) < 4:
        words = [*words, 0, 0, 0, 0]
    if not bytewise:
        return words[1] << 16 | words[0], 2
    one, two, three, four = words[:4] if little else (words[1], words[0], words[3], words[2])
    return four << 24 | three << 16 | two << 8 | one, 4


def _check_pixels(elements: Elements, start: int, end: int) -> None:
    """Refuse pixels that are not those of the image that the header describes."""
    rows, columns, samples, bits = (
        (elements.numbers(tag) or [otherwise])[0]
        for tag, otherwise in ((_ROWS, 0), (_COLUMNS, 0), (_SAMPLES, 1), (_BITS, 8))
    )
    if not rows or not columns:
        return  # no image; the reader says so
    told = elements.text(_FRAMES)
    frames = max(1, int(told)) if re.fullmatch(r"\+?[0-9]{1,12}", told) else 1
    check_size(elements.name, rows, columns, frames)
    if elements.text(_SYNTAX) in (
        *JPEGTransferSyntaxes,
        *JPEGLSTransferSyntaxes,
        *JPEG2000TransferSyntaxes,
        RLELossless,
    ):
        found = _check_frames(elements, _fragments(elements, start, end), Size(rows, columns, samples), bits)
        if found != frames:
            count = "1 compressed frame" if found == 1 else f"{found} compressed frames"
            raise Refused(f"{elements.name}: holds {count}, but its header says {frames}; {AGAIN}")


def _fragments(elements: Elements, start: int, end: int) -> list[tuple[int, int]]:
    """Return place and length of the fragments: the table of frames, and those that hold them (PS3.5, A.4)."""
    fragments, whole = elements.fragments(start, end)
    if not whole or len(fragments) < 2:
        raise Refused(f"{elements.name}: its compressed pixels are damaged or cut off; {AGAIN}")
    return fragments


def _check_frames(elements: Elements, fragments: list[tuple[int, int]], size: Size, bits: int) -> int:
    """Count compressed frames, or refuse those that are larger than the image, cut off, or not where a table says."""
    (place, length), *fragments = fragments
    table, syntax = elements.data[place : place + length], elements.text(_SYNTAX)
    if syntax == RLELossless:  # its runs take at most two bytes for each byte (PS3.5, G.3)
        most = 2 * size.rows * size.columns * size.samples * max(bits // 8, 1) + 1024
        if any(length > most for _, length in fragments):
            raise Refused(f"{elements.name}: has more bytes in a compressed frame than the image has; {AGAIN}")
        planes = size.samples * max(bits // 8, 1)
        for place, _ in fragments:
            if (held := int.from_bytes(elements.data[place : place + 4], "little")) != planes:
                raise Refused(
                    f"{elements.name}: a frame has {held} byte planes where the header says {planes}; {AGAIN}"
                )
        begins = list(range(len(fragments)))
    else:
        begins = _begins(elements, fragments, size, syntax in JPEG2000TransferSyntaxes)
    ends = [*begins[1:], len(fragments)]
    _check_tables(elements, table, fragments, begins, ends)
    if syntax == RLELossless or syntax in JPEG2000TransferSyntaxes:
        return len(begins)
    return sum(_jpegs(elements, fragments[begin:end]) for begin, end in zip(begins, ends, strict=True))


def _check_tables(
    elements: Elements, table: bytes, fragments: list[tuple[int, int]], begins: list[int], ends: list[int]
) -> None:
    """Refuse a table of frames that tells another place or length than the fragments (PS3.3, C.7.6.3.1.8)."""
    places = [fragments[begin][0] - fragments[0][0] for begin in begins]
    for offsets in (_integers(table, "I"), _integers(elements.values.get(_FRAME_OFFSETS, b""), "Q")):
        if offsets and offsets != places:
            raise Refused(f"{elements.name}: its table of where frames begin is damaged; {AGAIN}")
    lengths = [sum(length for _, length in fragments[begin:end]) for begin, end in zip(begins, ends, strict=True)]
    told = _integers(elements.values.get(_FRAME_LENGTHS, b""), "Q")
    if told and (len(told) != len(lengths) or any(not 0 <= b - a <= 1 for a, b in zip(told, lengths, strict=True))):
        raise Refused(f"{elements.name}: its table of how long frames are is damaged; {AGAIN}")


def _integers(value: bytes, kind: str) -> list[int]:
    whole = len(value) // calcsize(kind) * calcsize(kind)
    return [integer for (integer,) in iter_unpack(f"<{kind}", value[:whole])]


def _begins(elements: Elements, fragments: list[tuple[int, int]], size: Size, is_jpeg_2000: bool) -> list[int]:
    """Return the fragments at which frames begin, or refuse a frame that says that it has another size."""
    begins = []
    for index in range(len(fragments)):
        start = _joined(elements, fragments, index, 12)
        if not start.startswith((b"\xff\x4f\xff\x51", JP2) if is_jpeg_2000 else b"\xff\xd8\xff"):
            if index == 0:
                raise Refused(f"{elements.name}: its pixels are not compressed as its transfer syntax says; {AGAIN}")
            continue  # within a frame
        begins.append(index)
        found = _header_of(elements, fragments, index, jpeg_2000_header if is_jpeg_2000 else jpeg_header).size
        if found != size:
            raise Refused(f"{elements.name}: a compressed frame has {found} where the header says {size}; {AGAIN}")
    return begins


def _jpegs(elements: Elements, fragments: list[tuple[int, int]]) -> int:
    """Count the JPEG images in the fragments of one, or refuse one that is cut off or goes over its pixels too often.

    Decoders would fill what is missing with gray, and take no notice of another image behind the first.
    """
    data = b"".join(elements.data[place : place + length] for place, length in fragments)
    try:
        scans, end = jpeg_scans(data)
    except Unknown:
        raise _damaged(elements) from None
    if scans > MAX_SCANS:
        raise Refused(f"{elements.name}: has more than {MAX_SCANS} scans in a frame, too slow to decode; {AGAIN}")
    if not end:
        raise Refused(f"{elements.name}: a compressed frame is cut off; {AGAIN}")
    return 1 + data.count(b"\xff\xd8\xff", end)


def _header_of(
    elements: Elements, fragments: list[tuple[int, int]], index: int, header_in: Callable[[bytes], Stream]
) -> Stream:
    for most in _HEADER_BYTES:
        try:
            return header_in(_joined(elements, fragments, index, most))
        except Unknown:
            continue
    raise _damaged(elements)


def _damaged(elements: Elements) -> Refused:
    return Refused(f"{elements.name}: the header of a compressed frame is damaged; {AGAIN}")


def _joined(elements: Elements, fragments: list[tuple[int, int]], index: int, most: int) -> bytes:
    """Return the first bytes of a frame that begins at a fragment, wherever further fragments begin."""
    data = b""
    while len(data) < most and index < len(fragments):
        elements.count()
        place, length = fragments[index]
        data += elements.data[place : place + min(length, most - len(data))]
        index += 1
    return data
