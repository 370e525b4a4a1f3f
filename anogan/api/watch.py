"""The drift monitor of a run, as a server feeds it."""

from __future__ import annotations

import logging
import threading
import time
from pathlib import Path

from anogan.assurance import drift
from anogan.detector.calibration import Calibration
from anogan.privacy.erasure import erase_counted

log = logging.getLogger("anogan.api")
EVERY, MOST = 10.0, 100  # seconds, and cases, after which what was scored is counted: its file is written whole


class Watch:
    """Count what is scored in the drift monitor of the calibration that the server has in memory.

    Parameters
    ----------
    run
        The run folder.
    calibration
        That of the detector that judges here, or None.
    feed
        Whether what is scored here is counted. A killed server loses the last seconds' cases to the monitor: it holds
        as before, and finds a drift so much later.

    Raises
    ------
    ValueError
        The monitor is damaged; or the run is not calibrated and `feed` is asked for.
    """

    def __init__(self, run: Path, calibration: Calibration | None, feed: bool = False) -> None:
        if feed:
            drift.Monitor.open(run)
        self._run, self._feed = run, feed
        self._identity = "" if calibration is None else drift.Monitor(calibration.scores).identity
        self._waiting: list[tuple[drift.Case, Path]] = []
        self._since = time.monotonic()
        self._lock = threading.Lock()

    def count(self, case: drift.Case, folder: Path) -> None:
        """Have a scored case counted, at once or with those of the next seconds.

        `folder` is that of its screening: gone by then if it was erased, also by the command line.
        """
        if not self._feed:
            return
        with self._lock:
            self._waiting.append((case, folder))
            due = len(self._waiting) >= MOST or time.monotonic() - self._since >= EVERY
        if due:
            self.flush()

    def flush(self, leaving: str | None = None) -> None:
        """Count what waits, on top of what others have counted or reset meanwhile.

        What was erased since is not counted, unless it is of the person who is `leaving` and is forgotten next.
        """
        with self._lock:
            waiting, self._waiting = self._waiting, []
            self._since = time.monotonic()
            if not waiting:
                return
            try:
                with drift.Monitor.change(self._run) as monitor:
                    if monitor.identity != self._identity:  # what is judged here has another calibration
                        raise ValueError(
                            f"{self._run}: its calibration is another than at the start; restart the server"
                        )
                    # Who erases takes the folder away first and then asks the monitor to forget, which waits for this.
                    if monitor.add(case for case, folder in waiting if folder.is_dir() or case.person == leaving):
                        monitor.save(self._run)
            except (ValueError, OSError) as error:
                log.error("%d cases are not in the drift monitor (%s)", len(waiting), _why(error))

    def forget(self, person: str) -> None:
        """Have the monitor forget a person, also one of the last seconds."""
        self.flush(person)
        with self._lock:
            erase_counted(self._run, person)


def _why(error: Exception) -> str:
    return str(error) if isinstance(error, ValueError) else type(error).__name__
