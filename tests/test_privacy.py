"""A whole run on images of named people: no file, file name or word of it tells who they are."""

import base64
import hashlib
import hmac
import io
import re
import urllib.parse
import zipfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, PngImagePlugin
from pydicom import dcmread
from pydicom.dataset import Dataset

from anogan.cli import main
from anogan.data.synthetic.tiny import tiny_images
from anogan.io.dicom import write_dicom

# What all people have in common: the beginnings of names and numbers, and what is the same for everybody.
SHARED = (
    "ZQXW-ID-", "Zqxwname", "18370519", "1837-05-19", "ZQXW-ALT-7", "Zqxwdoctor", "Zqxw^Ünique", "Zqxwplace",
    "Zqxwstreet", "Zqxwstudy",
)  # fmt: skip
PRINT = 12  # characters: so many of a hash are enough to recognize it, and do not turn up by chance


def number_of(index: int) -> str:
    return f"ZQXW-ID-{index:04d}"


def name_of(index: int) -> str:
    return f"Zqxwname{index}^Änne"


def write_person(path: Path, pixels: np.ndarray, index: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    write_dicom(path, (pixels * 4000).astype(np.uint16), patient_id=number_of(index))
    ds = dcmread(path)
    ds.PatientName, ds.PatientBirthDate, ds.OtherPatientIDs = name_of(index), "18370519", "ZQXW-ALT-7"
    other = Dataset()
    other.PatientID = "ZQXW-ALT-7"
    ds.OtherPatientIDsSequence = [other]
    ds.ReferringPhysicianName, ds.InstitutionName = "Zqxwdoctor^Max", "Zqxwplace Hospital"
    ds.SpecificCharacterSet, ds.PerformingPhysicianName = "ISO_IR 192", "Zqxw^Ünique"
    ds.PatientAddress, ds.StudyDescription, ds.AccessionNumber = "Zqxwstreet 1", "Zqxwstudy", number_of(index)
    ds.save_as(path)


def forms(token: str) -> Iterator[bytes]:
    """Yield what a token looks like, plain and encoded; lower case but for base64."""
    for encoding in ("utf-8", "latin-1", "utf-16-le"):
        data = token.encode(encoding)
        yield data.lower()
        yield data.hex().encode()
        for shift in range(3):  # base64 of it within a longer text: without the characters that its neighbors share
            text = base64.b64encode(bytes(shift) + data).rstrip(b"=")
            yield text[(0, 2, 3)[shift] : -1]
    yield urllib.parse.quote(token, safe="").lower().encode()
    yield token.lower().encode("unicode_escape")


def hashes(token: str) -> Iterator[bytes]:
    """Yield the beginnings of what a token can be hashed to by anybody who guesses it."""
    for text in {token, token.lower(), token.upper(), f"\n{token}", f"person\n{token}"}:
        data = text.encode()
        for algorithm in ("md5", "sha1", "sha256"):
            for digest in (hashlib.new(algorithm, data).digest(), hmac.digest(b"", data, algorithm)):
                yield digest.hex()[:PRINT].encode()
                yield base64.b64encode(digest)[:PRINT]


class Search:
    """Finds tokens of so many people."""

    def __init__(self, people: int) -> None:
        own = [text for index in range(people) for text in (number_of(index), name_of(index))]
        self.forms = {form: token for token in SHARED for form in forms(token)}
        self.hashes = {found: token for token in (*SHARED, *own) for found in hashes(token)}
        assert min(map(len, self.forms)) >= 8  # shorter ones turn up by chance

    def tells(self, data: bytes) -> set[str]:
        """Return the tokens that some bytes tell of."""
        found = set()
        for text in texts(data):
            for haystack in (text, text.lower()):
                found |= {self.forms[form] for form in self.forms if form in haystack}
                for run in re.findall(rb"[A-Za-z0-9+/]{%d,}" % PRINT, haystack):
                    starts = (run[place : place + PRINT] for place in range(len(run) - PRINT + 1))
                    found |= {self.hashes[start] for start in starts if start in self.hashes}
            if b"18370519" in text and not re.search(rb"(?<![\d.])18370519(?!\d)", text):
                found.discard("18370519")  # within a longer number it is chance
        return found


def texts(data: bytes) -> Iterator[bytes]:
    """Yield bytes and all that is packed in them: archives, text in pictures, pictures in pages."""
    yield data
    if data[:4] == b"PK\x03\x04":
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            for name in archive.namelist():
                yield name.encode()
                yield from texts(archive.read(name))
    if data[:8] == b"\x89PNG\r\n\x1a\n":
        yield repr(Image.open(io.BytesIO(data)).info).encode()
    for packed in re.findall(rb"base64,([A-Za-z0-9+/]+=*)", data):
        with suppress(ValueError):
            yield from texts(base64.b64decode(packed))


def test_the_search_finds_what_it_is_for() -> None:
    search, token = Search(3), number_of(2)
    picture, details = io.BytesIO(), PngImagePlugin.PngInfo()
    details.add_text("Comment", token, zip=True)
    Image.new("L", (4, 4)).save(picture, "png", pnginfo=details)
    packed = io.BytesIO()
    np.savez_compressed(packed, a=np.frombuffer(b"...." + token.encode(), np.uint8))
    page = b'<img src="data:image/png;base64,' + base64.b64encode(picture.getvalue()) + b'">'
    for data in (
        f"x{token.lower()}y".encode(), token.encode("utf-16"), token.encode().hex().upper().encode(),
        *(base64.b64encode(b"abc"[:shift] + token.encode() + b"de") for shift in range(3)),
        picture.getvalue(), packed.getvalue(), page,
    ):  # fmt: skip
        assert search.tells(data) == {"ZQXW-ID-"}, data
    for data in (
        hashlib.sha256(token.encode()).hexdigest(), hashlib.md5(token.lower().encode()).hexdigest().upper(),
        hmac.new(b"", f"\n{token}".encode(), "sha256").hexdigest()[:12],  # what the pseudonym once was
        hashlib.sha256(f"person\n{token}".encode()).hexdigest()[:16],  # and the drift monitor's
        base64.b64encode(hashlib.sha1(token.encode()).digest()).decode(),
    ):  # fmt: skip
        assert search.tells(data.encode()) == {token}, data
    assert search.tells(urllib.parse.quote("Zqxw^Ünique").encode()) == {"Zqxw^Ünique"}
    assert search.tells(b'"born": "18370519"') == {"18370519"}
    assert search.tells(b"0.18370519 and 118370519") == set()


@pytest.mark.slow
def test_a_whole_run_names_nobody(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    healthy, abnormal = 24, 4
    images, _, labels = tiny_images(healthy, abnormal, size=32)
    data, out = tmp_path / "data", tmp_path / "out"
    for index, (image, label) in enumerate(zip(images, labels, strict=True)):
        write_person(data / ("abnormal" if label else "healthy") / f"{index:04d}.dcm", image, index)
    new, run = tmp_path / "new", out / "run"
    write_person(new / "a.dcm", images[0], healthy + abnormal)
    write_person(new / "b.dcm", images[1], healthy + abnormal + 1)
    whole = (new / "b.dcm").read_bytes()
    (new / "damaged.dcm").write_bytes(whole[: len(whole) // 2])
    short = ("--set", "training.steps=20", "--set", "training.encoder_steps=20")
    codes = []
    for command in (
        ("train", data, "--profile", "tiny", "--run", run, *short),
        ("calibrate", run, data, "--false-alarm-rate", 0.2),
        ("info", new),
        ("inspect", run, new, "--monitor"),
        ("drift", run),
        ("evaluate", run, data, "--report", "--out", out / "report"),
        ("evaluate", run, data, "--out", out / "evaluated"),
        ("contamination", run, data),
        ("compare", run, run, new, "--out", out / "compared"),
        ("deidentify", data, "--out", out / "shared", "--shift-dates"),
        ("erase", run, "--file", data / "abnormal" / f"{healthy:04d}.dcm", "--results", out / "evaluated"),
        ("inspect", run, new, "--out", out / "again"),
    ):
        try:
            main([str(word) for word in command])
            codes.append(0)
        except SystemExit as leaving:  # the damaged file
            codes.append(leaving.code or 0)
            print(leaving.code)
    assert [bool(code) for code in codes] == [number in (2, 3, 8, 11) for number in range(12)], codes
    search = Search(healthy + abnormal + 2)
    told = capfd.readouterr()
    assert "subject" in told.out
    assert search.tells(f"{told.out}\n{told.err}\n{caplog.text}".encode()) == set()
    files = [path for path in out.rglob("*") if path.is_file()]
    assert {".json", ".csv", ".npz", ".png", ".html", ".safetensors", ".dcm", ".jsonl", ".toml"} <= {
        path.suffix for path in files
    }
    for path in out.rglob("*"):
        assert search.tells(str(path.relative_to(out)).encode()) == set(), path
    for path in files:
        assert search.tells(path.read_bytes()) == set(), path
    assert search.tells((data / "healthy" / "0000.dcm").read_bytes()) >= {"ZQXW-ID-", "Zqxwplace"}
