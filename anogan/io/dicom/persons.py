"""Whose images they are: files that stand under one series UID and yet belong to several persons are taken apart."""

from __future__ import annotations

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
    name, born, sex
        Of PatientName, PatientBirthDate and PatientSex.
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
    parts = {"name": _name(ds), "born": _text(ds, "PatientBirthDate"), "sex": _text(ds, "PatientSex")}
    hashed = {key: keyed_hash(f"patient's {key}", text)[:12] if text else "" for key, text in parts.items()}
    return Person(pseudonym(ds), bool(number), **hashed)


def contradiction(persons: Iterable[Person]) -> str:
    """Return what they contradict each other in, in words, or ""; what one leaves unsaid contradicts nothing."""
    found = set(persons)
    for words, values in (
        ("patients' numbers", {one.subject for one in found if one.numbered}),
        ("patients' names", {one.name for one in found if one.name}),
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


def _name(ds: Any) -> str:
    """Return a name without what spelling leaves open: case, spaces and empty components (PS3.5, 6.2.1)."""
    groups = str(ds.get("PatientName") or "").split("=")
    group = next((group for group in groups if group.strip(" ^")), "")
    return "^".join(" ".join(part.split()) for part in group.casefold().split("^")).rstrip("^")


def _text(ds: Any, keyword: str) -> str:
    return str(ds.get(keyword) or "").strip().upper()
