"""Pseudonyms of persons: hashes under a secret key, so that nobody without it can guess a number and hash it.

The key is `$ANOGAN_PSEUDONYM_KEY`, or else 32 random bytes that are made once for each user and kept, readable by that
user alone, in `pseudonym.key` of anogan's configuration folder. Machines of one site that are to give one person the
same pseudonym need the same key: copy the file, or set the variable to its contents. Pseudonyms, new UIDs and
shifted dates under one key do not link to those under another; a lost key cannot be made again.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import secrets
import tempfile
from functools import cache
from pathlib import Path
from typing import Any, Protocol

import platformdirs

from anogan.errors import Refused
from anogan.storage.documents import json_text

_VARIABLE = "ANOGAN_PSEUDONYM_KEY"
_LEAST = 16  # characters: a shorter secret can be guessed, too


class Header(Protocol):
    """What a DICOM data set and a dictionary of its keywords have in common."""

    def get(self, keyword: str, /) -> Any: ...


def key_file() -> Path:
    """Return where the key of this user lies, or will lie."""
    return platformdirs.user_config_path("anogan") / "pseudonym.key"


def keyed_hash(purpose: str, *parts: str) -> str:
    """Return HMAC-SHA256 (RFC 2104) of `parts` under the user's key, 64 hex digits; each purpose has hashes of its own.

    Raises
    ------
    ValueError
        There is no usable key and none could be made.
    """
    text = json_text([purpose, *parts])  # unlike joined strings, two lists are never the same text
    return hmac.new(_key(), text.encode(), hashlib.sha256).hexdigest()


def key_name() -> str:
    """Return 8 hex digits by which two keys are told apart, and that say nothing of the key."""
    return keyed_hash("name of the key")[:8]


def person_hash(subject: str) -> str:
    """Return 16 hex digits that stand for a subject where only "is it this one?" is ever asked."""
    return keyed_hash("person", subject)[:16]


def pseudonym(ds: Header) -> str:
    """Return 12 hex digits that stand for the person of a DICOM data set, or "".

    A patient's number counts together with its issuer; without a number the study stands for the person.

    Raises
    ------
    ValueError
        As `keyed_hash`.
    """
    issuer, number = (str(ds.get(keyword) or "").strip() for keyword in ("IssuerOfPatientID", "PatientID"))
    study = str(ds.get("StudyInstanceUID") or "").strip()
    if number:
        return keyed_hash("subject", issuer, number)[:12]
    return keyed_hash("subject of study", study)[:12] if study else ""


def _key() -> bytes:
    if given := os.environ.get(_VARIABLE, "").strip():
        if len(given) < _LEAST:
            raise Refused(f"${_VARIABLE}: has {len(given)} characters, at least {_LEAST} are needed; give a longer one")
        return given.encode()
    return _kept(key_file())


@cache
def _kept(path: Path) -> bytes:
    """Return the key in a file, which is made if need be: of two processes that make it at once, both get one key."""
    try:
        if not path.exists():
            _make(path)
        if os.name == "posix" and (mode := path.stat().st_mode) & 0o077:
            raise Refused(f"{path}: can be read by others ({mode & 0o777:o}); take that right away: chmod 600 {path}")
        key = path.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError) as error:
        why = getattr(error, "strerror", "") or "not text"
        raise Refused(f"{path}: cannot be used as the key of pseudonyms ({why}); set ${_VARIABLE} instead") from None
    if len(key) < _LEAST:
        raise Refused(f"{path}: the key of pseudonyms is damaged; restore it, or remove it, and no pseudonym will link")
    return key.encode()


def _make(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")  # mode 0600
    temporary = Path(name)
    try:
        with os.fdopen(handle, "w", encoding="ascii") as file:
            file.write(secrets.token_hex(32) + "\n")
            file.flush()
            os.fsync(file.fileno())
        os.link(temporary, path)  # whole or not at all, and never over another's
    except FileExistsError:
        pass
    finally:
        temporary.unlink(missing_ok=True)
