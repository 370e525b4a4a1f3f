"""Fuzz the reader: damaged and hostile files by mutation, each read in a process that is watched.

    python benchmarks/fuzz.py --minutes 10 --seeds ../shared/data/dicom/pydicom_data

A case passes if the readers return, or raise one ValueError of one line that begins with the file's path and tells
nothing of the patient, within 5 seconds and 2 GB. What does not pass is made smaller and kept in --out; what is worth
keeping for good goes to tests/corpus, whose files are replayed by tests/io/test_fuzz.py.
"""

from __future__ import annotations

import argparse
import io
import multiprocessing
import os
import random
import resource
import struct
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path

import imagecodecs
import numpy as np
import tifffile
from PIL import Image, features
from pydicom import dcmread, dcmwrite
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    RLELossless,
)

SECONDS = 5.0
MEGABYTES = 2000
SECRETS = ("Unmistakable", "31415926", "19700101")
MAX_SEED = 300_000  # bytes: larger files make few cases
WORDS = [b"\xff\xff\xff\xff", b"\xff\xff\xff\x7f", b"\xfe\xff\xff\xff", b"\0\0\0\0", b"\xff\xff", b"\0\0", b"\x01\0"]
TOKENS = [
    b"\xfe\xff\x00\xe0",  # item,
    b"\xfe\xff\x0d\xe0\0\0\0\0",  # its end
    b"\xfe\xff\xdd\xe0\0\0\0\0",  # and the end of a sequence
    b"\x08\x00\x40\x11SQ\0\0\xff\xff\xff\xff",
    b"\x08\x00\x40\x11\xff\xff\xff\xff",
    b"\xff\xd8\xff",
    b"\xff\x4f\xff\x51",
    b"\\",
    b"1e999",
    b"-1",
    b"99999999999",
    b"NaN",
]


# Seeds


def dicom_seeds() -> Iterator[bytes]:
    """Yield small synthetic files of the encodings that differ."""
    from anogan.io.dicom import write_dicom

    pixels = (np.add.outer(np.arange(16), np.arange(16)) * 8).astype(np.uint8)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "a.dcm")
        for syntax in (None, ImplicitVRLittleEndian, ExplicitVRBigEndian, DeflatedExplicitVRLittleEndian):
            write_dicom(path, pixels.astype(np.uint16), window=(60, 100), patient_id=SECRETS[1])
            ds = dcmread(path)
            decorate(ds)
            yield saved(ds, syntax)
        ds.BitsAllocated, ds.BitsStored, ds.HighBit = 8, 8, 7
        del ds.VOILUTSequence, ds.WindowCenter, ds.WindowWidth
        for frames in (1, 2):
            if frames > 1:
                ds.NumberOfFrames = frames
            ds.PixelData = pixels.tobytes() * frames
            ds["PixelData"].VR = "OB"
            yield saved(ds, ImplicitVRLittleEndian)
            ds.file_meta.TransferSyntaxUID = "1.2.840.10008.1.2.1"
            compressed = dcmread(io.BytesIO(saved(ds, None)))
            compressed.compress(RLELossless)
            yield saved(compressed, None)
            for kind, syntax in (("JPEG", JPEGBaseline8Bit), ("JPEG2000", JPEG2000Lossless)):
                ds.PixelData = encapsulate([coded(kind, pixels)] * frames)
                ds["PixelData"].is_undefined_length = True
                yield saved(ds, syntax)
        del ds.NumberOfFrames
        ds.PhotometricInterpretation, ds.PixelData = "PALETTE COLOR", pixels.tobytes()
        for color in ("Red", "Green", "Blue"):
            setattr(ds, f"{color}PaletteColorLookupTableDescriptor", [256, 0, 16])
            segments = struct.pack("<10H", 0, 1, 7, 1, 100, 9, 1, 155, 60000, 0)[:18]
            setattr(ds, f"Segmented{color}PaletteColorLookupTableData", segments)
            ds[f"{color}PaletteColorLookupTableDescriptor"].VR = "US"
        yield saved(ds, "1.2.840.10008.1.2.1")


def decorate(ds: Dataset) -> None:
    """Add what hostile files play with: secrets, sequences, a lookup table, private elements."""
    ds.PatientName, ds.PatientBirthDate = f"Doe^{SECRETS[0]}", SECRETS[2]
    inner, table = Dataset(), Dataset()
    inner.ReferencedSOPInstanceUID = "1.2.3"
    inner.PurposeOfReferenceCodeSequence = [Dataset()]
    ds.ReferencedImageSequence = [inner, inner]
    ds["ReferencedImageSequence"].is_undefined_length = True
    table.LUTDescriptor, table.LUTData = [4, 0, 8], [0, 50, 100, 255]
    table["LUTDescriptor"].VR, table["LUTData"].VR = "US", "US"
    ds.VOILUTSequence = [table]
    ds.private_block(0x0009, "HOSTILE", create=True).add_new(1, "OB", bytes(range(64)))
    ds.PixelPaddingValue = 0
    ds["PixelPaddingValue"].VR = "US"
    ds.RescaleSlope, ds.RescaleIntercept = "2", "-10"


def saved(ds: Dataset, syntax: str | None) -> bytes:
    buffer = io.BytesIO()
    if syntax is not None:
        ds.file_meta.TransferSyntaxUID = syntax
    syntax, ds.preamble = ds.file_meta.TransferSyntaxUID, bytes(128)
    dcmwrite(
        buffer,
        ds,
        implicit_vr=syntax == ImplicitVRLittleEndian,
        little_endian=syntax != ExplicitVRBigEndian,
        force_encoding=True,
    )
    return buffer.getvalue()


def coded(kind: str, pixels: np.ndarray, **options: object) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, format=kind, **({"no_jp2": True} if kind == "JPEG2000" else options))
    return buffer.getvalue()


def raster_seeds() -> Iterator[bytes]:
    pixels = (np.add.outer(np.arange(16), np.arange(16)) * 8).astype(np.uint8)
    for array in (pixels, np.repeat(pixels[..., None], 3, axis=2), np.repeat(pixels[..., None], 4, axis=2)):
        yield coded("PNG", array)
        yield coded("TIFF", array, compression="tiff_lzw")
    yield coded("PNG", pixels.astype(np.uint16) * 257)
    yield coded("TIFF", pixels.astype(np.float32))
    yield coded("TIFF", pixels, compression="jpeg")
    yield coded("JPEG", pixels)
    yield coded("JPEG", np.repeat(pixels[..., None], 3, axis=2), progressive=True)
    yield from tiff_seeds(pixels)
    yield from other_seeds(pixels)


def tiff_seeds(pixels: np.ndarray) -> Iterator[bytes]:
    """Yield TIFF files of the layouts, numbers and compressions that differ."""
    colors = np.stack([pixels, pixels.T, pixels[::-1]], axis=-1)
    for compression in (None, "lzw", "zlib", "packbits", "zstd", "lzma"):
        yield tiff(pixels, compression=compression, rowsperstrip=5)
        yield tiff(colors, compression=compression, tile=(16, 16), planarconfig="contig")
    yield tiff(np.moveaxis(colors, -1, 0).astype(np.uint16), photometric="rgb", planarconfig="separate", byteorder=">")
    yield tiff(pixels.astype(np.float32), compression="zlib", predictor=3)
    yield tiff(pixels.astype(np.int32), compression="lzw", predictor=2, bigtiff=True)
    yield tiff(pixels.astype(np.float64) - 7)
    yield tiff(np.dstack([colors, pixels]), photometric="rgb", extrasamples=["unassalpha"])
    yield tiff(np.dstack([colors, pixels]), photometric="separated")
    yield tiff(pixels, photometric="palette", colormap=np.arange(768, dtype=np.uint16).reshape(3, 256) * 85)
    yield tiff(colors, photometric="rgb", compression="jpeg", tile=(16, 16))
    yield tiff(pixels > 100, photometric="minisblack")
    for scheme in ("tiff_ccitt", "group3", "group4"):
        yield coded("TIFF", pixels > 100, compression=scheme)


def tiff(pixels: np.ndarray, **options: object) -> bytes:
    buffer = io.BytesIO()
    tifffile.imwrite(buffer, pixels, **({"metadata": None} | options))
    return buffer.getvalue()


def other_seeds(pixels: np.ndarray) -> Iterator[bytes]:
    """Yield pictures of the formats that are known by their first bytes."""
    colors = np.stack([pixels, pixels.T, pixels[::-1]], axis=-1)
    for array in (pixels, colors, pixels > 100):
        yield coded("BMP", array)
        yield coded("GIF", array)
        yield coded("PPM", array)
    yield b"P5 16 16 1000\n" + pixels.astype(">u2").tobytes()
    yield b"P3 16 16 200\n" + b" ".join(b"%d" % value for value in colors.ravel() % 200)
    runs = b"".join(b"".join(bytes([1, value]) for value in row) + b"\0\0" for row in pixels) + b"\0\1"
    header = struct.pack("<2sIHHIIiiHHIIiiII", b"BM", 0, 0, 0, 1078, 40, 16, 16, 1, 8, 1, 0, 0, 0, 0, 0)
    yield header + bytes(1024) + runs
    for lossless in (False, True):
        yield coded("WEBP", np.dstack([colors, pixels]), lossless=lossless)
    if features.check("avif"):
        yield coded("AVIF", colors)
    for array in (pixels, pixels.astype(np.uint16) * 100, colors):
        yield coded("JPEG2000", array)
        buffer = io.BytesIO()
        Image.fromarray(array).save(buffer, "JPEG2000")
        yield buffer.getvalue()
    for codec in ("jp2", "j2k"):
        yield imagecodecs.jpeg2k_encode(colors.astype(np.uint16) * 16, codecformat=codec, bitspersample=12)


def tga_seeds() -> Iterator[bytes]:
    """Yield pictures that are known by their name as well, which `judge` gives them."""
    pixels = (np.add.outer(np.arange(16), np.arange(16)) * 8).astype(np.uint8)
    palette = Image.fromarray(pixels).convert("P")
    for array in (pixels, np.dstack([pixels] * 3), np.dstack([pixels] * 4)):
        yield coded("TGA", array)
        yield coded("TGA", array, compression="tga_rle")
    buffer = io.BytesIO()
    palette.save(buffer, "TGA")
    yield buffer.getvalue()


# Cases


def mutated(seed: bytes, others: list[bytes], chance: random.Random) -> bytes:
    """Return a seed with a few changes."""
    data = bytearray(seed)
    for _ in range(chance.choice((1, 1, 2, 3, 8))):
        if len(data) < 16:
            break
        place = chance.randrange(len(data))
        if chance.random() < 0.5:  # near the beginning, or before the pixels: where the structure is
            place = chance.randrange(min(len(data), 2048))
        kind = chance.randrange(8)
        if kind == 0:
            data[place] = chance.randrange(256)
        elif kind == 1:
            data[place] ^= 1 << chance.randrange(8)
        elif kind == 2:
            word = chance.choice(WORDS)
            data[place : place + len(word)] = word
        elif kind == 3:
            data[place:place] = chance.choice(TOKENS)
        elif kind == 4 and chance.random() < 0.3:
            del data[place:]
        elif kind == 5:
            del data[place : place + chance.randrange(1, 64)]
        elif kind == 6:  # a piece again, perhaps very often
            piece = data[place : place + chance.randrange(1, 64)]
            data[place:place] = piece * chance.choice((1, 2, 100, 3000))
        elif kind == 7:
            other = chance.choice(others)
            start = chance.randrange(len(other))
            data[place:place] = other[start : start + chance.randrange(1, 512)]
        if chance.random() < 0.3:
            data = set_number(data, chance)
    return bytes(data)


def set_number(data: bytearray, chance: random.Random) -> bytearray:
    """Change the value of an element that describes the pixels."""
    number = chance.choice((0x0002, 0x0008, 0x0010, 0x0011, 0x0100, 0x0101, 0x0102, 0x0103, 0x1101, 0x3002))
    place = data.find(struct.pack("<HH", 0x0028, number))
    if place >= 0:
        data[place + 8 : place + 10] = struct.pack(
            "<H", chance.choice((0, 1, 2, 3, 7, 8, 16, 17, 32, 255, 8000, 65535))
        )
    return data


# Reading


def judge(path: Path) -> str:
    """Read a file as users do, and return what is wrong with how that went, or ""."""
    from anogan import io as readers
    from anogan.io.masks import read_mask

    for read in (readers.read_scan, readers.read_frames, readers.read_subject, read_mask, read_tga):
        try:
            told = repr(read(path))
        except ValueError as error:
            told = str(error)
            if not told.startswith(f"{path}: ") or "\n" in told:
                return f"{read.__name__}: no sentence: {told[:200]!r}"
        except MemoryError:
            return f"{read.__name__}: memory"
        except Exception as error:
            return f"{read.__name__}: {type(error).__name__}: {str(error)[:100]}"
        if any(secret in told for secret in SECRETS):
            return f"{read.__name__}: tells of the patient"
    return ""


def read_tga(path: Path) -> object:
    """Read a file as if it were called a TGA, if its header is one's."""
    from anogan.io.formats import raster_format
    from anogan.io.raster import read_raster

    data = path.read_bytes()
    return read_raster(f"{path}: .tga", data) if raster_format(data[:64], "a.tga") == "TGA" else None


def work(pipe: Connection) -> None:
    """Judge one path after another, and tell the peak of the memory with each."""
    import anogan.io.dicom  # noqa: F401

    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)  # libtiff comments on each of them
    base = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    limit = (MEGABYTES << 20) * 2
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    while True:
        wrong = judge(pipe.recv())
        pipe.send((wrong, (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - base) // 1024))


@dataclass
class Watched:
    """A process that reads files, and is replaced when it hangs, dies or has grown."""

    folder: Path
    process: multiprocessing.Process | None = None
    pipe: Connection | None = None
    slowest: float = 0.0
    largest: int = 0
    seen: Counter[str] = field(default_factory=Counter)

    def judge(self, data: bytes) -> str:
        """Return what is wrong with how these bytes are read, or ""."""
        path = self.folder / "case"
        path.write_bytes(data)
        if self.process is None:
            self.pipe, theirs = multiprocessing.Pipe()
            self.process = multiprocessing.get_context("fork").Process(target=work, args=(theirs,), daemon=True)
            self.process.start()
            theirs.close()
        start = time.monotonic()
        self.pipe.send(path)
        try:
            if not self.pipe.poll(SECONDS + 25):
                self.stop()
                return "hangs"
            wrong, megabytes = self.pipe.recv()
        except EOFError:
            self.process.join()
            code = self.process.exitcode
            self.stop()
            return f"dies ({code})"
        took = time.monotonic() - start
        self.slowest, self.largest = max(self.slowest, took), max(self.largest, megabytes)
        if megabytes > MEGABYTES // 4:  # its peak would hide those of later cases
            self.stop()
        if not wrong and took > SECONDS:
            return "slow"
        return wrong or ("memory" if megabytes > MEGABYTES else "")

    def stop(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.join()
        self.process = None


def smaller(data: bytes, wrong: str, watched: Watched, seconds: float = 30) -> bytes:
    """Return a shorter case that goes wrong in the same way."""
    end, size = time.monotonic() + seconds, len(data) // 2
    while size and time.monotonic() < end:
        place = 0
        while place < len(data) and time.monotonic() < end:
            shorter = data[:place] + data[place + size :]
            if watched.judge(shorter) == wrong:
                data = shorter
            else:
                place += size
        size //= 2
    return data


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--seeds", type=Path, nargs="*", default=[], help="folders with more files to start from")
    parser.add_argument("--random", type=int, default=0, help="the same number makes the same cases")
    parser.add_argument("--out", type=Path, default=Path("runs/fuzz"))
    options = parser.parse_args()
    chance = random.Random(options.random)
    seeds = [*dicom_seeds(), *raster_seeds(), *tga_seeds()]
    for folder in options.seeds:
        files = [path for path in sorted(folder.rglob("*")) if path.is_file() and path.stat().st_size < MAX_SEED]
        seeds += [path.read_bytes() for path in files]
    print(f"{len(seeds)} seeds")
    with tempfile.TemporaryDirectory() as folder:
        watched = Watched(Path(folder))
        for place, seed in enumerate(seeds):
            if wrong := watched.judge(seed):
                print(f"seed {place}: {wrong}")
        count, start = 0, time.monotonic()
        while time.monotonic() - start < options.minutes * 60:
            data = mutated(chance.choice(seeds), seeds, chance)
            count += 1
            if not (wrong := watched.judge(data)):
                continue
            watched.seen[wrong] += 1
            if watched.seen[wrong] == 1:
                data = smaller(data, wrong, watched)
                options.out.mkdir(parents=True, exist_ok=True)
                path = options.out / f"{len(watched.seen):03}"
                path.write_bytes(data)
                print(f"{path}: {len(data)} bytes: {wrong}", flush=True)
        minutes = (time.monotonic() - start) / 60
        watched.stop()
    print(f"{count} cases, {count / minutes:.0f} a minute; slowest {watched.slowest:.1f} s, most {watched.largest} MB")
    for wrong, times in watched.seen.most_common():
        print(f"{times:6} {wrong}")


if __name__ == "__main__":
    main()
