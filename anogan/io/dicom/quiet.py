"""The logs of DICOM libraries quote values that they find odd, and with them perhaps a patient's name.

What they log while they work for this package is dropped. What they log for anybody else in the process is not.
"""

from __future__ import annotations

import contextlib
import logging
import sys
import threading
from collections.abc import Iterator


class _NotOurs(logging.Filter):
    """Let a record pass unless a module of this package has called for it."""

    def filter(self, record: logging.LogRecord) -> bool:
        frame = sys._getframe()
        while (frame := frame.f_back) is not None:  # type: ignore[assignment]
            if str(frame.f_globals.get("__name__")).partition(".")[0] == "anogan":
                return False
        return True


_FILTER = _NotOurs()


def keep_quiet(library: str) -> None:
    """Keep the loggers that a library has made so far from what is logged for this package. Twice is as once."""
    for name in list(logging.root.manager.loggerDict):
        if name == library or name.startswith(f"{library}."):
            logging.getLogger(name).addFilter(_FILTER)


_held: dict[str, tuple[int, int]] = {}  # how many blocks of `silent` a library is in, and its level before
_lock = threading.Lock()


@contextlib.contextmanager
def silent(library: str) -> Iterator[None]:
    """Silence a library that logs from threads of its own, in which nobody can tell for whom, while the block lasts."""
    logger = logging.getLogger(library)
    with _lock:
        count, level = _held.get(library, (0, logger.level))
        _held[library] = count + 1, level
        logger.setLevel(logging.CRITICAL + 1)
    try:
        yield
    finally:
        with _lock:
            count, level = _held[library]
            _held[library] = count - 1, level
            if count == 1:
                del _held[library]
                logger.setLevel(level)
