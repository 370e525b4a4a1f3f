"""Files that appear whole or not at all, and what one at a time may change."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout


def write_bytes(path: str | os.PathLike[str], data: bytes) -> None:
    """Write a file by way of a temporary one beside it, so that a half-written file never replaces a good one.

    Raises
    ------
    ValueError
        The file cannot be written (full disk, no permission). What stood there before stands there still.
    """
    path = Path(path)
    temporary = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
        handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)  # less what the umask takes away
        with os.fdopen(handle, "wb") as file:
            file.write(data)
        os.replace(temporary, path)
    except OSError as error:
        why = error.strerror or type(error).__name__
        raise ValueError(f"{path}: cannot be written ({why}); free some space or choose another folder") from error
    finally:
        if temporary is not None:
            temporary.unlink(missing_ok=True)


def sync(path: str | os.PathLike[str]) -> None:
    """Wait until a file, or the entries of a folder, are on disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@contextmanager
def alone(lock: Path, busy: str, seconds: float = 0) -> Iterator[None]:
    """Let one process or thread at a time into the block.

    Parameters
    ----------
    lock
        The file that they lock, in a folder that is there.
    busy
        What one is told who has waited so many `seconds` in vain.

    Raises
    ------
    ValueError
        Somebody else is in the block; or the lock cannot be written.
    """
    held = FileLock(lock)
    try:
        held.acquire(timeout=seconds)
    except Timeout:
        raise ValueError(busy) from None
    except OSError as error:
        why = error.strerror or type(error).__name__
        raise ValueError(f"{lock}: cannot be written ({why}); choose another folder") from None
    try:
        yield
    finally:
        held.release()
