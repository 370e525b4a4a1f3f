"""What tells one file from another, whatever it is called."""

from __future__ import annotations

import hashlib
import os


def file_hash(path: str | os.PathLike[str]) -> str:
    """Return the first 16 hex digits of the SHA-256 of the file's bytes; OSError where it cannot be read."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:16]
