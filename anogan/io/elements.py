"""The elements of a DICOM file in their order, with limits: a walk without recursion that keeps next to no values.

It takes a file as pydicom does (DICOM PS3.5, chapter 7), with its tolerance for implicit VR inside explicit VR, for
sequences without VR and for items that do not end where they say, so that what passes here costs pydicom no more.
"""

from __future__ import annotations

import mmap
import zlib
from collections.abc import Container
from dataclasses import dataclass, field
from struct import Struct

from pydicom.datadict import dictionary_VR
from pydicom.uid import DeflatedExplicitVRLittleEndian, ExplicitVRBigEndian, ImplicitVRLittleEndian
from pydicom.valuerep import EXPLICIT_VR_LENGTH_16, EXPLICIT_VR_LENGTH_32

from anogan.errors import Refused

MAX_DEPTH = 32
"""Sequences within sequences."""
MAX_ELEMENTS = 250_000
"""Elements, items and fragments of one file: about 5000 frames with their functional groups, read in seconds."""
MAX_ITEMS = 50_000
"""Items of sequences, each of which pydicom makes a data set of."""
MAX_VALUE = 1 << 20
"""Bytes of one value of numbers or text, each of which may become a Python object."""
MAX_INFLATED = 512 << 20
"""Bytes that a deflated data set may grow to: 64 million colors of 16 bits fit."""

AGAIN = "copy or export it again"

_UNDEFINED = 0xFFFFFFFF
_ITEM, _ITEM_END, _SEQUENCE_END = 0xFFFEE000, 0xFFFEE00D, 0xFFFEE0DD
_SYNTAX, _CHARACTER_SET = 0x00020010, 0x00080005
_LITTLE, _BIG = Struct("<HHL"), Struct(">HHL")
_PIXELS = (0x7FE00008, 0x7FE00009, 0x7FE00010)  # floats, doubles, integers


@dataclass(slots=True)
class _Level:
    """Where the walk is: a data set (the file's or an item's) or a sequence."""

    is_sequence: bool
    end: int | None  # where it ends; None: at its delimiter
    implicit: bool
    within: int | None  # end of the sequence of defined length around it, which pydicom parses later and by itself
    seen: dict[int, tuple[int, int]] = field(default_factory=dict)  # where the elements of a data set begin and end


@dataclass
class Elements:
    """What a walk over a file has seen.

    Attributes
    ----------
    data
        The file's bytes; after the walk over a deflated one, those of its inflated data set.
    name
        How the user named the file.
    kept
        Tags whose values are kept, if they stand at the top level.
    values
        Those values.
    little
        Whether the data set is little endian.
    pixels
        Where the value of PixelData (or FloatPixelData) begins and ends, or None.
    """

    data: bytes | mmap.mmap
    name: str
    kept: Container[int]
    values: dict[int, bytes] = field(default_factory=dict)
    little: bool = True
    pixels: tuple[int, int] | None = None
    _at: int = 0
    _elements: int = 0
    _items: int = 0
    _stop: bool = False

    def walk(self, stop_before_pixels: bool = False) -> None:
        """Walk over a file in the DICOM File Format (PS3.10, 7.1), or over a data set without its header.

        Raises
        ------
        Refused
            The file passes a limit, a length points behind its end, or an element stands twice or behind the pixels, of
            which readers take one or the other.
        """
        self._at = 132 if self.data[128:132] == b"DICM" else 0
        self._data_set(implicit=False, group=0x0002)
        self._data_set(implicit=True, group=0x0000)
        syntax = self.text(_SYNTAX)
        implicit = syntax == ImplicitVRLittleEndian
        if not syntax:
            start = self._peek(6)
            implicit = start[4:6].decode("latin-1") not in EXPLICIT_VR_LENGTH_16 | EXPLICIT_VR_LENGTH_32
            self.little = implicit or int.from_bytes(start[:2], "little") < 1024
        elif syntax == ExplicitVRBigEndian:
            self.little = False
        elif syntax == DeflatedExplicitVRLittleEndian:
            self._inflate()
        self._stop = stop_before_pixels
        self._data_set(implicit)

    def text(self, tag: int) -> str:
        """Return a kept value as text, "" if it is not there."""
        return self.values.get(tag, b"").decode("latin-1").strip("\0 ")

    def numbers(self, tag: int) -> list[int]:
        """Return a kept value as unsigned shorts."""
        value = self.values.get(tag, b"")
        return list(Struct(f"{'<' if self.little else '>'}{len(value) // 2}H").unpack_from(value))

    def fragments(self, start: int, end: int) -> tuple[list[tuple[int, int]], bool]:
        """Return place and length of the fragments of encapsulated pixels (PS3.5, A.4), and whether they end well."""
        found: list[tuple[int, int]] = []
        self._at = start
        while self._at + 8 <= end:
            tag, length = self._header()
            if tag != _ITEM or length > end - self._at:
                return found, tag == _SEQUENCE_END
            self.count()
            found.append((self._at, length))
            self._at += length
        return found, self._at == end

    def count(self, item: bool = False) -> None:
        """Count one more step, or refuse it."""
        self._elements += 1
        self._items += item
        if self._elements > MAX_ELEMENTS or self._items > MAX_ITEMS:
            most = f"{MAX_ITEMS:,} items" if self._items > MAX_ITEMS else f"{MAX_ELEMENTS:,} elements"
            raise Refused(f"{self.name}: holds more than {most}, too many to be read; split it")

    def _data_set(self, implicit: bool, group: int | None = None) -> None:
        """Walk over the elements of one group, or over all that are left."""
        levels = [_Level(False, None, self._is_implicit(implicit, top=True), None)]
        while levels:
            level = levels[-1]
            if level.end is not None and self._at >= level.end:
                self._leave(levels)
            elif self._left(level) < 8:
                self._abandon(levels)
            elif level.is_sequence:
                self._item(levels)
            else:
                self._element(levels, group)

    def _left(self, level: _Level) -> int:
        return (len(self.data) if level.within is None else level.within) - self._at

    def _leave(self, levels: list[_Level]) -> None:
        """Leave a level; a sequence of defined length ends where it says, whatever its items say."""
        level = levels.pop()
        if level.is_sequence and level.end is not None:
            self._at = level.end

    def _abandon(self, levels: list[_Level]) -> None:
        """Leave what cannot be followed, up to where the next element is known to begin."""
        while levels:
            known = levels[-1].is_sequence and levels[-1].end is not None
            self._leave(levels)
            if known:
                break

    def _item(self, levels: list[_Level]) -> None:
        """Enter the next item of a sequence, or leave the sequence."""
        level = levels[-1]
        tag, length = self._header()
        if tag == _SEQUENCE_END:
            self._leave(levels)
            return
        self.count(item=True)
        end = None if length == _UNDEFINED else self._at + length
        levels.append(_Level(False, end, self._is_implicit(level.implicit, top=False), level.within))

    def _element(self, levels: list[_Level], group: int | None) -> None:
        """Step over one element, or enter it if it is a sequence."""
        level, top, start = levels[-1], len(levels) == 1, self._at
        tag, length = self._header()
        vr = ""
        if not level.implicit and b"AA" <= (vr_bytes := self.data[start + 4 : start + 6]) <= b"ZZ":
            vr = vr_bytes.decode("latin-1")
            length = self._int(self.data[start + 6 : start + 8])
            if vr in EXPLICIT_VR_LENGTH_32:
                length = self._int(self.data[start + 8 : start + 12])
                self._at += 4
        if tag == _ITEM_END:
            self._leave(levels)
            return
        if group is not None and top and tag >> 16 != group:
            self._at = start
            self._leave(levels)
            return
        if self._stop and top and tag in _PIXELS:  # those of an icon within a sequence do not stop pydicom either
            levels.clear()
            return
        self.count()
        here, left = self._at, self._left(level)
        self._check_place(level, top, tag, length)
        if length == _UNDEFINED:
            if self._is_sequence(tag, vr):
                self._enter(levels, None, level.within)
            elif not self._skip_undefined(here, here + left):
                self._abandon_or_refuse(levels, tag)
            elif top and tag in _PIXELS:
                self.pixels = here, self._at
            return
        if length > left:
            self._abandon_or_refuse(levels, tag, f", {length:,} bytes should follow where {max(left, 0):,} do")
            return
        self._check_value(tag, vr, length)
        if top and tag in _PIXELS:
            self.pixels = here, here + length
        if top and tag in self.kept:
            self.values[tag] = self.data[here : here + length]
        if vr == "SQ" or (vr in ("", "UN") and length >= 8 and self._is_item_next()):
            self._enter(levels, here + length, here + length)
        else:
            self._at = here + length

    def _abandon_or_refuse(self, levels: list[_Level], tag: int, claim: str = "") -> None:
        if levels[-1].within is None:  # else pydicom meets it only if someone asks for the sequence
            where = "is cut off in its pixels" if tag in _PIXELS else "is damaged or cut off in its header"
            raise Refused(f"{self.name}: {where}{claim}; {AGAIN}")
        self._abandon(levels)

    def _check_place(self, level: _Level, top: bool, tag: int, length: int) -> None:
        """Refuse an element that is there already with another value, or that stands behind the pixels (PS3.5, 7.1)."""
        group, number = tag >> 16, tag & 0xFFFF
        if number == 0 or group == 0xFFFE or group % 2:  # lengths of groups, what fills a file, and private elements
            return
        end = None if length == _UNDEFINED else self._at + length
        before = level.seen.setdefault(tag, (self._at, -1 if end is None else end))
        if before[0] != self._at and (end is None or self.data[slice(*before)] != self.data[self._at : end]):
            raise Refused(f"{self.name}: holds an element twice, with different values; {AGAIN}")
        if top and self.pixels is not None and 0x0008 <= group < 0x7FE0:
            raise Refused(f"{self.name}: holds elements of its header behind its pixels; {AGAIN}")

    def _check_value(self, tag: int, vr: str, length: int) -> None:
        """Refuse numbers and text of a length that no image needs; blobs may be long."""
        if tag == _CHARACTER_SET and length > 1024:
            raise Refused(f"{self.name}: names its character sets in {length:,} bytes; {AGAIN}")
        if length > MAX_VALUE and (vr if vr not in ("", "UN") else _vr_of(tag)) in EXPLICIT_VR_LENGTH_16:
            raise Refused(f"{self.name}: holds an element with {length:,} bytes of numbers or text; {AGAIN}")

    def _enter(self, levels: list[_Level], end: int | None, within: int | None) -> None:
        if sum(level.is_sequence for level in levels) >= MAX_DEPTH:
            raise Refused(f"{self.name}: holds sequences more than {MAX_DEPTH} deep, as no image does; {AGAIN}")
        levels.append(_Level(True, end, levels[-1].implicit, within))

    def _skip_undefined(self, start: int, end: int) -> bool:
        """Step over a value that ends with a delimiter, fragments or not; False: there is none."""
        fragments, _ = self.fragments(start, end)
        self._at = sum(fragments[-1]) if fragments else start
        if end - self._at >= 8 and self._header()[0] == _SEQUENCE_END:
            return True
        wanted = b"\xfe\xff\xdd\xe0" if self.little else b"\xff\xfe\xe0\xdd"
        place = self.data.find(wanted, start, end)  # as pydicom does then
        self._at = place + 8
        return place >= 0

    def _is_sequence(self, tag: int, vr: str) -> bool:
        """Whether a value of undefined length is a sequence (PS3.5, 6.2.2)."""
        if vr:
            return vr in ("SQ", "UN")
        known = _vr_of(tag)
        return known == "SQ" if known else self._is_item_next()

    def _is_item_next(self) -> bool:
        return self._peek(4) == (b"\xfe\xff\x00\xe0" if self.little else b"\xff\xfe\xe0\x00")

    def _is_implicit(self, assumed: bool, top: bool) -> bool:
        """Whether elements without a VR follow; pydicom too believes the first of them and not the transfer syntax."""
        start = self._peek(6)
        if len(start) < 6 or (assumed and not top):
            return assumed
        return not (0x40 < start[4] < 0x5B and 0x40 < start[5] < 0x5B)

    def _inflate(self) -> None:
        """Go on in the inflated data set (PS3.5, A.5)."""
        machine = zlib.decompressobj(-zlib.MAX_WBITS)
        try:
            data = machine.decompress(self.data[self._at :], MAX_INFLATED + 1)
        except zlib.error:
            raise Refused(f"{self.name}: its deflated data are damaged; {AGAIN}") from None
        if len(data) > MAX_INFLATED:
            most = f"{MAX_INFLATED >> 20} MB"
            raise Refused(
                f"{self.name}: unpacks to more than the {most} that are read; save it uncompressed and smaller"
            )
        self.data, self._at = data, 0

    def _header(self) -> tuple[int, int]:
        """Read a tag and a length of 32 bits."""
        group, number, length = (_LITTLE if self.little else _BIG).unpack_from(self.data, self._at)
        self._at += 8
        return group << 16 | number, length

    def _peek(self, count: int) -> bytes:
        return self.data[self._at : self._at + count]

    def _int(self, value: bytes) -> int:
        return int.from_bytes(value, "little" if self.little else "big")


def _vr_of(tag: int) -> str:
    """Return the VR of the data dictionary (PS3.6), or ""."""
    try:
        return dictionary_VR(tag)
    except KeyError:
        return ""
