"""De-identify DICOM images for sharing, by the profile of `anogan.privacy.confidentiality`.

What stands for something (subject, UID, shifted date) is a hash under the user's key, see `anogan.storage.pseudonym`:
the same in every file and at every time, so that series stay together and a second delivery joins the first. Pixels are
not cleaned: what may show text is refused.
"""

from __future__ import annotations

import hashlib
import io
import os
import warnings
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from pydicom import dcmread
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.sr.codedict import codes
from pydicom.uid import UID

from anogan._version import __version__
from anogan.errors import Refused
from anogan.io.dicom.decoding import uncover
from anogan.io.dicom.reading import complete_meta
from anogan.io.files import kind_of
from anogan.io.guard import check_structure
from anogan.privacy.confidentiality import EDITION, clean
from anogan.storage.atomic import write_bytes
from anogan.storage.documents import json_text
from anogan.storage.pseudonym import keyed_hash, pseudonym

REPORT = "deidentification.json"
_UNREADABLE = "cannot be read as it is; the terminal said why"


class _Stated(Refused):
    """A reason in our own words alone, which may be shared: no path and no value of a header is in it."""


# Secondary Capture and its multi-frame kinds; ultrasound, old, multi-frame and enhanced (PS3.4, B.5 and B.6).
_CAPTURES = ("1.2.840.10008.5.1.4.1.1.7",)
_ULTRASOUND = tuple(f"1.2.840.10008.5.1.4.1.1.{kind}" for kind in ("3", "3.1", "6", "6.1", "6.2", "6.3"))


def deidentify(
    files: Sequence[str | os.PathLike[str]],
    out: str | os.PathLike[str],
    *,
    shift_dates: bool = False,
    accept_burned_in: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> tuple[dict[str, Any], list[tuple[Path, str]]]:
    """De-identify files into `out/<subject>/<SOP instance UID>.dcm`, going on past those that are refused.

    Parameters
    ----------
    files
        DICOM images of any kinds, studies and persons.
    out
        The folder. The same file is written to the same place again.
    shift_dates
        Shift all dates but those of the person by as many days for all files of a person, one day to ten years back
        (Retain Longitudinal Temporal Information with Modified Dates Option), instead of removing them.
    accept_burned_in
        Take what may show text in its pixels, too: somebody has looked.
    progress
        Called with (files done, files in all).

    Returns
    -------
    report
        What was done, by attribute, without an identity or a file's old name; also written as `deidentification.json`.
    problems
        Each refused file and why.

    Raises
    ------
    ValueError
        A file cannot be written, or there is no key.
    """
    keyed_hash("subject")  # without a key every file would fail with the same words
    written: dict[Path, str] = {}
    problems: list[tuple[Path, str]] = []
    tally: dict[str, Counter[str]] = {}
    reasons: Counter[str] = Counter()
    for done, path in enumerate(map(Path, files), 1):
        own: dict[str, Counter[str]] = {}
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # they quote values
                ds = _read(path)
                if why := "" if accept_burned_in else _may_show_text(ds):
                    raise _Stated(f"{why}, and pixels are not cleaned; if it shows no name, add --accept-burned-in")
                place, data = deidentified(ds, shift_dates, own)
        except MemoryError:
            raise
        except Exception as error:  # damaged files fail in many ways, and pydicom's words may quote the header
            damaged = "is a damaged DICOM file; copy or export it again"
            problems.append((path, str(error) if isinstance(error, Refused) else damaged))
            reasons[str(error) if isinstance(error, _Stated) else _UNREADABLE] += 1
        else:
            target, digest = Path(out) / place, hashlib.sha256(data).hexdigest()
            if written.setdefault(target, digest) == digest:
                write_bytes(target, data)
                for keyword, actions in own.items():
                    tally.setdefault(keyword, Counter()).update(actions)
            else:
                again = "has the instance UID of an earlier file and other contents; only one can go"
                problems.append((path, again))
                reasons[again] += 1
        if progress is not None:
            progress(done, len(files))
    report = {
        "format": 1,
        "anogan": __version__,
        "profile": f"DICOM PS3.15 {EDITION}, table E.1-1, Basic Application Level Confidentiality Profile",
        "dates": "shifted by as many days for all files of a person" if shift_dates else "removed",
        "pixels": "not cleaned; a head that was scanned in thin slices still shows its face",
        "accept_burned_in": accept_burned_in,
        "files": len(written),
        "subjects": len({target.parent for target in written}),
        "refused": dict(reasons),
        "attributes": {keyword: dict(actions) for keyword, actions in sorted(tally.items())},
    }
    write_bytes(Path(out) / REPORT, f"{json_text(report, indent=1)}\n".encode())
    return report, problems


def deidentified(
    ds: Dataset, shift_dates: bool = False, tally: dict[str, Counter[str]] | None = None
) -> tuple[Path, bytes]:
    """De-identify one data set, which is changed, and return its place below a folder and the file's bytes.

    `tally` counts what was done to which attribute. Compressed pixels are decompressed, because their streams may carry
    comments; what follows the pixels of others is cut off, and unused bits, which may hold an overlay, are cleared. The
    pixels are the same.

    Raises
    ------
    ValueError
        The pixels cannot be decoded, or the data set cannot be written.
    """
    subject = pseudonym(ds)
    try:
        _bare_pixels(ds)
    except (Refused, MemoryError, KeyboardInterrupt, SystemExit):
        raise
    except BaseException:  # the RLE decoder is written in Rust, and its panic is no Exception
        raise _Stated("its pixels cannot be decoded; copy or export it again") from None
    clean(ds, subject, shift_dates, {} if tally is None else tally)
    if not ds.get("SOPInstanceUID") or not ds.get("SOPClassUID"):
        raise _Stated("does not say what kind of object it is; export it again")
    ds.PatientID = ds.PatientName = subject
    ds.PatientIdentityRemoved = "YES"
    ds.DeidentificationMethod = [f"anogan {__version__}", f"DICOM PS3.15 {EDITION} table E.1-1"]
    used = [codes.DCM.BasicApplicationConfidentialityProfile]
    if shift_dates:
        used.append(codes.DCM.RetainLongitudinalTemporalInformationModifiedDatesOption)
    ds.DeidentificationMethodCodeSequence = [_code(code.value, code.scheme_designator, code.meaning) for code in used]
    ds.LongitudinalTemporalInformationModified = "MODIFIED" if shift_dates else "REMOVED"
    syntax = ds.file_meta.TransferSyntaxUID
    ds.file_meta = FileMetaDataset()  # nothing of the old one, such as the sender's name, goes on
    ds.file_meta.TransferSyntaxUID = syntax
    ds.file_meta.MediaStorageSOPClassUID = ds.SOPClassUID
    ds.file_meta.MediaStorageSOPInstanceUID = ds.SOPInstanceUID
    ds.preamble = bytes(128)
    buffer = io.BytesIO()
    try:
        ds.save_as(buffer, enforce_file_format=True)
    except Exception:
        raise _Stated("holds attributes that are no DICOM and cannot be written again; export it again") from None
    return Path(subject) / f"{ds.SOPInstanceUID}.dcm", buffer.getvalue()


def _read(path: Path) -> Dataset:
    other = _Stated("is not a DICOM file, or does not say what kind of object it is; name DICOM images only")
    try:
        if path.stat().st_size and kind_of(path) != "dicom":
            raise other  # before its bytes are taken for lengths
        check_structure(path)
        ds = dcmread(path, force=True)
    except OSError as error:
        raise Refused(f"cannot be opened ({error.strerror})") from None
    kind = UID(str(ds.get("SOPClassUID") or ""))
    if not kind or not ds.get("SOPInstanceUID"):
        raise other
    if not any(keyword in ds for keyword in ("PixelData", "FloatPixelData", "DoubleFloatPixelData")):
        named = f" ({kind.name})" if kind.name != kind else ""
        raise _Stated(f"is a DICOM file without pixels{named}; only images are de-identified")
    return ds


def _bare_pixels(ds: Dataset) -> None:
    """Leave nothing but pixels in the pixel data."""
    complete_meta(ds)
    if ds.file_meta.TransferSyntaxUID.is_encapsulated and ds.get("BitsAllocated") == 1:  # a byte for each bit
        raise _Stated("holds compressed pixels of one bit, which cannot be written anew; export it uncompressed")
    uncover(ds, max(1, int(ds.get("NumberOfFrames") or 1)))


def _may_show_text(ds: Dataset) -> str:
    """Return why the pixels may show a name, or "": burnt-in text, or a screen, or a recognizable face."""
    kind, modality = str(ds.get("SOPClassUID")), str(ds.get("Modality") or "").upper()
    if str(ds.get("BurnedInAnnotation") or "").upper() == "YES":
        return "says that text is burnt into its pixels"
    if str(ds.get("RecognizableVisualFeatures") or "").upper() == "YES":
        return "says that a person can be recognized in its pixels"
    if kind in _ULTRASOUND or modality in ("US", "IVUS"):
        return "is an ultrasound image, which often shows the patient's name"
    if any(kind == root or kind.startswith(f"{root}.") for root in _CAPTURES) or ds.get("ConversionType"):
        return "is a secondary capture, which often shows the patient's name"
    if "SCREEN" in str(ds.get("ImageType") or "").upper():
        return "is a picture of a screen, which often shows the patient's name"
    return ""


def _code(value: str, scheme: str, meaning: str) -> Dataset:
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = value, scheme, meaning
    return item
