"""The few attributes of an object that the queue needs, and none of the patient's."""

from __future__ import annotations

import hashlib
import re
import warnings
from dataclasses import dataclass
from pathlib import Path

from pydicom import dcmread
from pydicom.filereader import read_file_meta_info
from pynetdicom.dsutils import split_dataset

from anogan.io.dicom.persons import Person, person
from anogan.io.dicom.quiet import keep_quiet
from anogan.io.guard import check_structure

# Their logs and warnings quote values, and with them perhaps a patient's name. The warnings once for all threads, since
# warnings.catch_warnings in one changes the others.
for _name in ("pydicom", "pynetdicom", "dicomweb_client"):
    keep_quiet(_name)
    warnings.filterwarnings("ignore", module=_name)

MAKER = "anogan"  # Manufacturer or ManufacturerModelName of the objects that this program writes
_UID = re.compile(r"[0-9.]{1,64}")  # DICOM PS3.5, 9.1; leading zeros are wrong and frequent
_PERSON = ("IssuerOfPatientID", "PatientID", "PatientName", "PatientBirthDate", "PatientSex")
_TAGS = [
    *("SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID", "Manufacturer"),
    *("ManufacturerModelName", "SpecificCharacterSet", *_PERSON),
]


@dataclass(frozen=True)
class Header:
    """What the queue keeps of an object.

    Attributes
    ----------
    uid, sop_class, study, series
        DICOM UIDs.
    person
        Whose it says it is, in keyed hashes.
    digest
        SHA-256 of the data set without the file's meta header, which each sender writes its own way.
    size
        Bytes of the file.
    ours
        Whether this program made it.
    """

    uid: str
    sop_class: str
    study: str
    series: str
    person: Person
    digest: str
    size: int
    ours: bool

    @property
    def subject(self) -> str:
        """The pseudonym of the person, or ""."""
        return self.person.subject


def read_header(path: Path) -> Header:
    """Read the header of a DICOM file; pixels are hashed, not decoded.

    Raises
    ------
    ValueError
        It is no DICOM file, or lacks a UID.
    """
    try:
        check_structure(path, stop_before_pixels=True)
        ds = dcmread(path, stop_before_pixels=True, specific_tags=[*_TAGS])
        _, start = split_dataset(path)
        uids = [str(ds.get(keyword) or "") for keyword in _TAGS[:4]]
        makers = [str(ds.get(keyword) or "").casefold() for keyword in ("Manufacturer", "ManufacturerModelName")]
        for keyword in _PERSON:
            ds.get(keyword)  # decoded here, where a damaged value is quoted by nobody
    except Exception:  # damaged headers fail in many ways, and pydicom's words may quote them
        raise ValueError(f"{path}: is not a DICOM file, or a damaged one; copy or export it again") from None
    for keyword, uid in zip(_TAGS, uids, strict=False):
        if not _UID.fullmatch(uid):
            raise ValueError(f"{path}: has no valid {keyword}; copy or export it again")
    with path.open("rb") as file:
        file.seek(start)
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    sop_class, uid, study, series = uids
    return Header(uid, sop_class, study, series, person(ds), digest, path.stat().st_size, MAKER in makers)


def transfer_syntax(path: Path) -> str:
    """Return the transfer syntax of a DICOM file from its meta header."""
    return str(read_file_meta_info(path).TransferSyntaxUID)


def file_name(uid: str) -> str:
    """Return the name of a file or folder for a UID: no part of it is the patient's or the sender's to choose."""
    return hashlib.sha256(uid.encode()).hexdigest()[:32]
