"""What a DICOM data set says of its person, in all spellings, and which other text repeats it."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass

from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pydicom.multival import MultiValue
from pydicom.uid import UID

_IDENTIFIERS = {
    "PatientAddress", "MedicalRecordLocator", "InstitutionName", "InstitutionAddress", "InstitutionalDepartmentName",
    "StationName", "IssuerOfPatientID", "PatientInstitutionResidence", "CurrentPatientLocation",
    "InsurancePlanIdentification", "ResponsibleOrganization", "RequestingService", "PersonAddress",
    "ReferringPhysicianAddress", "CountryOfResidence", "RegionOfResidence",
}  # fmt: skip
_NUMBERED = re.compile(r".+(IDs?|Numbers?|NumberIssuerOf.+|NumberImagingServiceRequest)")
"""Keywords of numbers by which a person, a visit, an order or a study is found, where their values are text."""
_TEXTS = {"AE", "CS", "LO", "LT", "SH", "ST", "UC", "UT", "UR", "PN"}
_DAY = re.compile(r"(\d{4})[.]?(\d\d)[.]?(\d\d)")
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_IDEOGRAM = re.compile("[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af\uf900-\ufaff\U00020000-\U0003ffff]")
_PLAIN = str.maketrans({
    "ı": "i", "ł": "l", "đ": "d", "ð": "d", "ø": "o", "ħ": "h", "ŧ": "t", "ŋ": "n", "æ": "ae", "œ": "oe", "þ": "th",
})  # fmt: skip
"""Latin letters that Unicode does not take apart into a letter and an accent."""
_LONG = 5
"""Letters from which on a word counts also within another, and between whatever signs."""


@dataclass(frozen=True)
class Person:
    """What is said of persons, places, orders and dates.

    Attributes
    ----------
    words
        Words and values that count where they stand by themselves; ideograms count anywhere.
    strings
        Letters and digits alone, which count wherever they follow each other, whatever stands between them.
    """

    words: frozenset[str]
    strings: frozenset[str]

    @classmethod
    def of(cls, ds: Dataset) -> Person:
        """Collect what a data set says at every depth.

        Words are of at least four characters; of a person's name of at least two, or one ideogram.
        """
        words: set[str] = set()
        strings: set[str] = set()
        for element in _elements(ds):
            named = element.VR == "PN"
            for value in texts(element):
                if element.VR in ("DA", "DT"):
                    birth = element.keyword == "PatientBirthDate"
                    strings |= _days(value, birth)
                    words |= {value[:4]} if birth and len(value) >= 4 else set()
                elif element.VR == "UI":
                    strings |= {_run(value)} if UID(value).name == value and len(_run(value)) >= 2 * _LONG else set()
                elif named or _identifies(element):
                    for text in _spellings(value):
                        words |= {
                            word
                            for word in (text, *re.split(r"[\W_]+", text))
                            if len(word) >= (2 if named else 4) or _IDEOGRAM.search(word)
                        }
                        strings |= {run for run in _runs(text) if len(run) >= _LONG + run.isdigit()}
                elif element.tag.group == 0x0010 and element.VR in _TEXTS - {"CS"}:  # as a whole, such as an occupation
                    strings |= {run for run in map(_run, _spellings(value)) if len(run) >= _LONG}
        words |= {word.lstrip("0") for word in words if word.isdigit() and len(word.lstrip("0")) >= 4}
        strings |= {run for run in words if len(run) >= _LONG and run.isalnum()}
        return cls(frozenset(words), frozenset(strings))

    def is_in(self, element: DataElement) -> bool:
        """Tell whether a text, a UID or a number repeats what is said.

        A short word counts where it stands by itself, but not in a code such as AX, which is everybody's; a number
        counts that is the same as a whole.
        """
        if element.VR in ("IS", "DS"):
            return any(len(text) > _LONG and text in self.words | self.strings for text in texts(element))
        if element.VR not in _TEXTS | {"UI"}:
            return False
        spelled = _spellings("\n".join(texts(element)))
        parts = {part for text in spelled for part in re.split(r"[\W_]+", text)}
        whole = "\n".join((*spelled, *map(_run, spelled)))
        return (
            any(word in parts and (len(word) >= 4 or element.VR != "CS") for word in self.words)
            or any(word in whole for word in self.words if _IDEOGRAM.search(word))
            or any(run in whole for run in self.strings)
        )


def texts(element: DataElement) -> list[str]:
    """Return the values of an element as texts without the blanks around them."""
    values = element.value if isinstance(element.value, MultiValue) else [element.value]
    return ["" if value is None else str(value).strip() for value in values]


def _identifies(element: DataElement) -> bool:
    text = element.VR in _TEXTS and not element.tag.is_private
    return text and (element.keyword in _IDENTIFIERS or bool(_NUMBERED.fullmatch(element.keyword)))


def _spellings(text: str) -> set[str]:
    """Return a text as it is compared, with umlauts as one letter and as two."""
    return {_folded(text), _folded(_transcribed(text))}


def _runs(text: str) -> set[str]:
    """Return a value's letters and digits: of all, of each component of a name, and with the family's name last."""
    groups = [re.split(r"\^", group) for group in text.split("=")]
    turned = ("".join(re.split(r"[\W_]+", group)[::-1]) for group in text.split("="))
    return {_run(text), *turned, *(_run("".join(group)) for group in groups), *(_run(p) for g in groups for p in g)}


def _run(text: str) -> str:
    return re.sub(r"[\W_]+", "", text)


def _folded(text: str) -> str:
    """Return a text without case, accents, widths and invisible signs (Unicode normalization form KD)."""
    apart = unicodedata.normalize("NFKD", text.casefold())
    seen = "".join(sign for sign in apart if not unicodedata.combining(sign) and unicodedata.category(sign) != "Cf")
    return unicodedata.normalize("NFC", seen).translate(_PLAIN)


def _transcribed(text: str) -> str:
    """Return a name as it is spelled where there are no umlauts."""
    text = unicodedata.normalize("NFC", text.casefold())
    for sign, letters in (("ä", "ae"), ("ö", "oe"), ("ü", "ue"), ("ø", "oe"), ("å", "aa"), ("æ", "ae")):
        text = text.replace(sign, letters)
    return text


def _days(value: str, birth: bool) -> set[str]:
    """Return the ways in which people write a day, without the signs between; of a birth also with half a year."""
    if (parts := _DAY.match(value)) is None or not 1 <= int(parts[2]) <= 12:
        return set()
    y, m, d = parts.groups()
    month = _MONTHS[int(m) - 1]
    days = {d, str(int(d))}
    found = {y + m + d, d + m + y, m + d + y}
    found |= {text for day in days for text in (day + month + y, month + day + y, y + month + day)}
    short = {str(int(d)) + str(int(m)) + y, str(int(m)) + str(int(d)) + y}
    found |= {text for text in short if len(text) > _LONG}
    return found | ({y[2:] + m + d, d + m + y[2:], m + d + y[2:]} if birth else set())


def _elements(ds: Dataset) -> Iterator[DataElement]:
    """Yield all elements at every depth that can be read."""
    for tag in list(ds.keys()):
        try:
            element = ds[tag]
        except Exception:  # it will be removed
            continue
        yield element
        if element.VR == "SQ":
            for item in element.value:
                yield from _elements(item)
