"""The rules of a confidentiality profile: what becomes of each attribute of a DICOM data set.

Basic Application Level Confidentiality Profile (DICOM PS3.15, annex E), and its Retain Longitudinal Temporal
Information with Modified Dates Option. The table of attributes is that of dicom-anonymizer, edition 2026c; it is
applied at every depth. Beyond the table go private and unknown attributes, overlays, curves, values in another form
than their attribute has, persons and dates that the table does not name, free text and binary data that no reader of
the image needs, and text that repeats what the file says of the person (`anogan.privacy.person`).
"""

from __future__ import annotations

import datetime
import re
from collections import Counter
from typing import Any

from dicomanonymizer.dicom_anonymization_databases import dicomfields_2026c
from pydicom.datadict import dictionary_has_tag, dictionary_VR, keyword_for_tag
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pydicom.tag import BaseTag
from pydicom.uid import UID

from anogan.io.dicom.quiet import keep_quiet
from anogan.privacy.person import Person, texts
from anogan.storage.pseudonym import keyed_hash

keep_quiet("pydicom")

EDITION = "2026c"

REMOVED, EMPTIED, REPLACED, MAPPED, SHIFTED, KEPT = "removed", "emptied", "replaced", "mapped", "shifted", "kept"
# A line of the table may leave a choice that depends on the kind of object (X/Z, Z/D, X/Z/D ...): what is taken here is
# allowed in every kind. Sequences of references (X/Z/U*) stay, with the UIDs in them mapped.
_ACTIONS = {
    "X_TAGS": REMOVED, "Z_TAGS": EMPTIED, "X_Z_TAGS": EMPTIED, "U_TAGS": MAPPED, "X_Z_U_STAR_TAGS": KEPT,
    "D_TAGS": REPLACED, "Z_D_TAGS": REPLACED, "X_D_TAGS": REPLACED, "X_Z_D_TAGS": REPLACED,
}  # fmt: skip
RULES: dict[int, str] = {
    tag[0] << 16 | tag[1]: action
    for name, action in _ACTIONS.items()
    for tag in getattr(dicomfields_2026c, name)
    if len(tag) == 2  # the others are curves and overlays
}
"""What the table does to an attribute, by its tag."""

_DATES = {"DA", "DT", "TM"}
_NUMBERS = {"FD", "FL", "SL", "SS", "SV", "UL", "US", "UV"}
_TEXTS = {"AE", "CS", "LO", "LT", "PN", "SH", "ST", "UC", "UT", "UR"}
_DUMMIES: dict[str, Any] = {
    **dict.fromkeys(_TEXTS, "ANONYMIZED"), **dict.fromkeys(_NUMBERS, 0), "UR": "http://anonymized.invalid",
    "AS": "000Y", "DS": "0", "IS": "0", "AT": 0, "DA": "19000101", "DT": "19000101000000", "TM": "000000",
}  # fmt: skip

# What a value of a VR looks like (PS3.5, 6.2): pydicom lets others pass. An empty value has every form.
_FORMS = {
    "AS": re.compile(r"|\d{3}[DWMY]"),
    "DS": re.compile(r"[-+\d.eE]*"),
    "IS": re.compile(r"[-+]?\d*"),
    "DA": re.compile(r"|(?P<y>\d{4})\.?(?P<m>\d\d)\.?(?P<d>\d\d)(?P<time>)"),
    "DT": re.compile(r"|(?P<y>\d{4})(?P<m>\d\d)(?P<d>\d\d)(?P<time>\d{0,6}(\.\d{1,6})?([+-]\d{4})?)"),
    "TM": re.compile(r"|[\d:]{2,8}(\.\d{1,6})?"),
}

_FREE = {"LO", "LT", "SH", "ST", "UC", "UT", "UR", "AE"}
_TEXT_KEPT = {
    # equipment, by which images differ; units and names of what is displayed; coded concepts
    "Manufacturer", "ManufacturerModelName", "SoftwareVersions", "ConvolutionKernel", "RescaleType", "ModalityLUTType",
    "WindowCenterWidthExplanation", "LUTExplanation", "CodeValue", "LongCodeValue", "URNCodeValue", "CodeMeaning",
    "CodingSchemeDesignator", "CodingSchemeVersion",
}  # fmt: skip
"""Free text beyond the table that is kept, unless it repeats what the file says of the person."""
_BINARY = {"OB", "OD", "OF", "OL", "OV", "OW"}
_BINARY_KEPT = {
    "PixelData", "FloatPixelData", "DoubleFloatPixelData", "LUTData",
    *(f"{part}{color}PaletteColorLookupTableData" for part in ("", "Segmented") for color in ("Red", "Green", "Blue")),
}  # fmt: skip


def new_uid(uid: str) -> str:
    """Return the UID that stands for another one (DICOM PS3.5, annex B.2: 2.25 and 128 bits)."""
    return f"2.25.{int(keyed_hash('uid', uid)[:32], 16)}"


def clean(ds: Dataset, subject: str, shift_dates: bool, tally: dict[str, Counter[str]]) -> None:
    """Treat all attributes of a data set, at every depth, by the profile.

    Parameters
    ----------
    ds
        It is changed.
    subject
        The person's pseudonym, by which dates are shifted.
    shift_dates
        Shift dates by one day to ten years back instead of removing them.
    tally
        Counts what was done to which attribute.
    """
    _Cleaner(subject, shift_dates, Person.of(ds), tally).clean(ds)


class _Cleaner:
    """Goes through one file's data set and all in it."""

    def __init__(self, subject: str, shift_dates: bool, person: Person, tally: dict[str, Counter[str]]) -> None:
        self.shift_dates, self.person, self.tally = shift_dates, person, tally
        self.days = datetime.timedelta(1 + int(keyed_hash("days", subject), 16) % 3652)

    def clean(self, ds: Dataset) -> None:
        for tag in list(ds.keys()):
            action = self._treat(ds, tag)
            if action != KEPT:
                name = keyword_for_tag(tag) or ("private" if tag.is_private else f"({tag.group:04X},{tag.element:04X})")
                self.tally.setdefault(name, Counter())[action] += 1

    def _treat(self, ds: Dataset, tag: BaseTag) -> str:
        # Overlays, curves and other repeating groups are not in the dictionary; groups below 8 do not belong into a
        # data set; element 0 is a group's length.
        known = dictionary_has_tag(tag) or tag in RULES
        if tag.is_private or tag.group < 0x0008 or tag.element == 0 or not known:
            del ds[tag]
            return REMOVED
        try:
            element = ds[tag]
            action = self._action(element)
        except Exception:  # what cannot be read cannot be judged
            action = REMOVED
        if action == REMOVED:
            del ds[tag]
        elif action == EMPTIED:
            ds[tag] = DataElement(tag, element.VR, [] if element.VR == "SQ" else None)
        elif action == REPLACED:
            self._replace(ds, tag)
        elif action == MAPPED:
            element.value = _mapped(element)
        elif action == SHIFTED:
            element.value = self._shifted(element)
        elif element.VR == "SQ":
            for item in element.value:
                self.clean(item)
        return action

    def _action(self, element: DataElement) -> str:
        tag, rule = element.tag, RULES.get(element.tag, "")
        if self.shift_dates and element.VR in _DATES and tag.group != 0x0010:  # those of group 0010 are the person's
            return SHIFTED if self._shifted(element) is not None else rule or REMOVED
        if rule not in ("", KEPT):
            return REMOVED if rule == MAPPED and element.VR != "UI" else rule
        form = _FORMS.get(element.VR)
        odd = element.VR not in dictionary_VR(tag) or (form and not all(map(form.fullmatch, texts(element))))
        needless = (element.VR in _FREE and element.keyword not in _TEXT_KEPT) or (
            element.VR in _BINARY and element.keyword not in _BINARY_KEPT
        )
        if needless and element.VR in _FREE and not odd:  # it may have to be there, and may be empty
            return EMPTIED
        repeats = self.person.is_in(element)
        if repeats and element.VR == "IS" and not odd:  # a series' number may have to be there, and may be empty
            return EMPTIED
        if element.VR == "UI" and not odd:
            kind = element.keyword.endswith("ClassUID") and UID(str(element.value)).is_valid
            return KEPT if kind and not repeats else MAPPED
        return REMOVED if odd or needless or repeats or element.VR in {*_DATES, "PN", "UN"} else KEPT

    def _shifted(self, element: DataElement) -> list[str] | None:
        """Return the values moved by the person's number of days; None when one is no date or time."""
        moved = []
        for value in texts(element):
            parts = _FORMS[element.VR].fullmatch(value)
            if parts is None:
                return None
            try:
                day = datetime.date(*map(int, parts.group("y", "m", "d"))) if value and element.VR != "TM" else None
                moved.append(value if day is None else f"{day - self.days:%Y%m%d}{parts['time']}")
            except (ValueError, OverflowError):
                return None
        return moved

    def _replace(self, ds: Dataset, tag: BaseTag) -> None:
        element = ds[tag]
        if element.VR == "SQ":
            for item in element.value:
                item.remove_private_tags()
                for inner in list(item.keys()):
                    self._replace(item, inner)
        elif element.VR == "UI":
            element.value = _mapped(element)
        else:
            ds[tag] = DataElement(tag, element.VR, _DUMMIES.get(element.VR, bytes(2)))


def _mapped(element: DataElement) -> list[str]:
    # UIDs that the standard itself defines, such as a transfer syntax or the frame of an atlas, name no one.
    return [new_uid(value) if value and UID(value).name == value else value for value in texts(element)]
