"""Whose images they are: files that stand under one series UID and yet belong to several persons are taken apart."""

from __future__ import annotations

import itertools
import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Protocol, TypeVar

from anogan.errors import Refused
from anogan.storage.pseudonym import keyed_hash, pseudonym

CORRECT = "correct the patient in the source, and export the series again"


class Person(NamedTuple):
    """Who a file says it is of, in keyed hashes; "" where it says nothing.

    Attributes
    ----------
    subject
        The pseudonym, see `anogan.storage.pseudonym.pseudonym`.
    numbered
        Whether it has a patient's number, so that `subject` stands for more than the study.
    name
        Of the groups of PatientName (letters, ideograms, sounds), joined by commas.
    born, sex
        Of PatientBirthDate and PatientSex.
    """

    subject: str = ""
    numbered: bool = False
    name: str = ""
    born: str = ""
    sex: str = ""


class Owned(Protocol):
    """A header that says whose its file is."""

    @property
    def person(self) -> Person:
        """Whose it is."""


Header = TypeVar("Header", bound=Owned)


def person(ds: Any) -> Person:
    """Return who a DICOM data set says it is of.

    Raises
    ------
    ValueError
        There is no key of pseudonyms.
    """
    number = str(ds.get("PatientID") or "").strip()
    name = ",".join(_hash("name", group) for group in _names(ds)).rstrip(",")
    born = re.sub(r"^(\d{4})[.](\d\d)[.](\d\d)$", r"\1\2\3", _text(ds, "PatientBirthDate"))  # as before DICOM 3.0
    return Person(pseudonym(ds), bool(number), name, _hash("born", born), _hash("sex", _text(ds, "PatientSex")))


def contradiction(persons: Iterable[Person]) -> str:
    """Return what they contradict each other in, in words, or ""; what one leaves unsaid contradicts nothing."""
    found = set(persons)
    for words, values in (
        ("patients' numbers", {one.subject for one in found if one.numbered}),
        ("patients' names", _other_names({one.name for one in found if one.name})),
        ("dates of birth", {one.born for one in found if one.born}),
        ("sexes", {one.sex for one in found if one.sex}),
    ):
        if len(values) > 1:
            return f"{len(values)} {words}"
    return ""


def by_person(files: Sequence[tuple[Path, Header]], source: str) -> list[list[tuple[Path, Header]]]:
    """Take the files of one series apart by the person, in the order in which the persons come first.

    It is safe where each file has a patient's number: each number is a person. Within one person's files, and where
    there are no numbers, names, dates of birth and sexes must not contradict each other.

    Raises
    ------
    Refused
        It cannot be known which image is whose.
    """
    if not contradiction(header.person for _, header in files) and len({h.person.numbered for _, h in files}) == 1:
        return [list(files)]
    groups: defaultdict[str, list[tuple[Path, Header]]] = defaultdict(list)
    for path, header in files:
        groups[header.person.subject].append((path, header))
    if len(groups) > 1 and not all(header.person.numbered for _, header in files):
        raise Refused(
            f"{source}: not all images of its series say whose they are, so they may be of several patients; {CORRECT}"
        )
    for group in groups.values():
        if what := contradiction(header.person for _, header in group):
            raise Refused(f"{source}: the images of its series have {what}, so they may be of several; {CORRECT}")
    return list(groups.values())


def _hash(kind: str, text: str) -> str:
    return keyed_hash(f"patient's {kind}", text)[:12] if text else ""


def _names(ds: Any) -> list[str]:
    """Return the groups of a name without what spelling leaves open (PS3.5, 6.2.1).

    That is case, width, how an accent is encoded, a title, and which signs stand between the parts.
    """
    groups = []
    for group in _compatible(str(ds.get("PatientName") or "").casefold()).split("="):
        family, given, middle, _, *suffix = [*group.split("^"), "", "", ""]
        groups.append(" ".join(re.findall(r"[^\W_]+", " ".join((family, given, middle, *suffix)))))
    return groups


def _other_names(names: set[str]) -> set[str]:
    """Return the names if two of them differ: in a group that both have, or because they have none in common."""
    for one, other in itertools.combinations(names, 2):
        shared = [pair for pair in zip(one.split(","), other.split(","), strict=False) if all(pair)]
        if not shared or any(mine != its for mine, its in shared):
            return names
    return set()


def _text(ds: Any, keyword: str) -> str:
    return _compatible(str(ds.get(keyword) or "")).strip().upper()


def _compatible(text: str) -> str:
    return unicodedata.normalize("NFKC", text)
