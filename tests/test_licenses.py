"""No dependency's license conflicts with Apache-2.0, which this package is under."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]

EXTRAS = ("dicom", "faces", "desk", "dashboard", "api", "pacs")  # what `all` is made of

# Licenses that would ask more of this package than Apache-2.0 does.
COPYLEFT = re.compile(r"\b[AL]?GPL|general public|affero|\bSSPL|\bEUPL|\bCC-BY-(NC|SA)|non.?commercial", re.IGNORECASE)
# The GNU Lesser GPL asks nothing of a program that imports a library which its user can replace (section 4).
LESSER = {
    "psycopg": "Python source, imported as it is; any other driver of SQLAlchemy for PostgreSQL can take its place",
    "psycopg-binary": "the compiled part of psycopg, imported by it alone; psycopg runs without it",
}
# Shared libraries under the GPL or LGPL that lie as files beside the code of a wheel whose own license is another.
CARRIED = re.compile(
    r"^lib(?P<name>gomp|gfortran|quadmath|av[cdfu](?!if)[a-z]+|sw(scale|resample)|Qt5[A-Za-z]+|keyutils|crypt(?!o)"
    r"|x26[45]|postproc|heif|de265|fribidi|readline|gmp|mpfr|fftw3?[a-z]*|mp3lame|kvazaar|gpl)[-.]"
)
WHY = {
    "gomp": "GPL 3 with the GCC Runtime Library Exception, which lets programs of any license use it",
    "gfortran": "GPL 3 with the GCC Runtime Library Exception",
    "quadmath": "LGPL 2.1; a file of its own, which can be replaced",
    "FFmpeg": "LGPL 2.1, built without its GPL parts; files of their own, which this package never calls",
    "Qt5": "LGPL 3; files of their own, for windows that this package never opens",
    "keyutils": "LGPL 2.1; a file of its own, which Kerberos in libpq calls",
    "crypt": "LGPL 2.1; a file of its own, which libpq calls",
}


def kind_of(library: str) -> str:
    """Return the entry of WHY for a library's name."""
    if re.match(r"av|sw(scale|resample)", library):
        return "FFmpeg"
    return "Qt5" if library.startswith("Qt5") else library


def required() -> dict[str, metadata.Distribution]:
    """Return the distributions that this package and what users install of it require, and those that these require."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    texts = [*project["dependencies"], *(text for name in EXTRAS for text in project["optional-dependencies"][name])]
    waiting = [one for one in _applying(texts, ()) if one.name != "anogan"]
    found: dict[str, metadata.Distribution] = {}
    seen: set[tuple[str, frozenset[str]]] = set()
    while waiting:
        wanted = waiting.pop()
        key = canonicalize_name(wanted.name), frozenset(wanted.extras)
        if key in seen:
            continue
        seen.add(key)
        found[key[0]] = metadata.distribution(wanted.name)
        waiting += _applying(found[key[0]].requires or [], wanted.extras)
    return found


def _applying(texts: Iterable[str], extras: Iterable[str]) -> list[Requirement]:
    """Return the requirements that apply on this machine with these extras."""
    wanted = [Requirement(text) for text in texts]
    chosen = [{"extra": extra} for extra in ("", *extras)]
    return [one for one in wanted if one.marker is None or any(map(one.marker.evaluate, chosen))]


def licenses(distribution: metadata.Distribution) -> list[str]:
    """Return what a distribution's metadata says of its license."""
    told = distribution.metadata
    own = (told.get("License") or "").strip().splitlines()[:1]  # some put the whole text there
    classifiers = [text for text in told.get_all("Classifier") or [] if text.startswith("License ::")]
    return [text for text in (told.get("License-Expression") or "", *own, *classifiers) if text.strip()]


@pytest.fixture(scope="module")
def distributions() -> dict[str, metadata.Distribution]:
    return required()


def test_no_dependency_is_under_the_gpl(distributions: dict[str, metadata.Distribution]) -> None:
    assert len(distributions) > 80, "the walk over the requirements has lost its way"
    assert {"torch", "pydicom", "psycopg-binary", "authlib"} <= set(distributions)  # extras are followed
    assert "pytest" not in distributions
    said_by = {name: licenses(distribution) for name, distribution in distributions.items()}
    assert all(said_by.values()), said_by
    copyleft = {name: said for name, said in said_by.items() if COPYLEFT.search(" ".join(said))}
    assert set(copyleft) <= set(LESSER), copyleft
    for name, said in copyleft.items():
        assert all(re.search("LGPL|Lesser", text) for text in said if COPYLEFT.search(text)), (name, said)


def test_what_wheels_carry_beside_their_code_is_known(distributions: dict[str, metadata.Distribution]) -> None:
    carried = {
        (name, kind_of(found["name"]))
        for name, distribution in distributions.items()
        for file in distribution.files or []
        if (found := CARRIED.match(file.name))
    }
    assert {kind for _, kind in carried} <= set(WHY), carried
    assert {name for name, kind in carried if kind in ("FFmpeg", "Qt5")} <= {"opencv-python"}, carried


def test_the_ffmpeg_of_opencv_is_built_without_gpl_parts(distributions: dict[str, metadata.Distribution]) -> None:
    files = [file for file in distributions["opencv-python"].files or [] if file.name.startswith("libavcodec")]
    if not files:
        pytest.skip("this wheel of opencv-python carries no libavcodec")
    data = files[0].locate().read_bytes()
    assert b"license: LGPL" in data
    assert b"--enable-gpl" not in data
    assert b"--enable-nonfree" not in data


@pytest.mark.parametrize(
    "said",
    [
        "GPL V3.0",
        "License :: OSI Approved :: GNU General Public License v3 (GPLv3)",
        "AGPL-3.0-or-later",
        "GNU Affero General Public License v3",
        "LGPL-3.0-only",
        "GPL-2.0-only WITH Classpath-exception-2.0",
        "CC-BY-NC-4.0",
    ],
)
def test_the_pattern_finds_what_it_should(said: str) -> None:
    assert COPYLEFT.search(said)


@pytest.mark.parametrize("said", ["MIT", "Apache-2.0 WITH LLVM-exception", "CC0-1.0", "MPL-2.0", "PSF-2.0"])
def test_the_pattern_leaves_others_alone(said: str) -> None:
    assert not COPYLEFT.search(said)


def test_the_pattern_of_libraries_knows_its_cases() -> None:
    named = ["libgomp-e985bcbb.so.1", "libavcodec-57.so.62", "libQt5Core-90.so.5", "libx264.so.1", "libcrypt-bc.so.1"]
    assert [bool(CARRIED.match(name)) for name in named] == [True] * 5
    others = ["libavif-d03e.so.16", "libcrypto-3a0.so.3", "libpng16-35.so.16", "libopenjp2-7e.so.2"]
    assert not any(CARRIED.match(name) for name in others)
