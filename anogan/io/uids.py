"""UIDs that the same input gives again."""

from __future__ import annotations

import hashlib

from pydicom.uid import UID


def derived_uid(uid: str, what: str) -> UID:
    """Return the UID of something made from another: 2.25 and 128 bits of a hash (DICOM PS3.5, annex B.2)."""
    digest = hashlib.sha256(f"{uid} {what}".encode()).digest()[:16]
    return UID(f"2.25.{int.from_bytes(digest, 'big')}")
