"""Whether a calibration in memory still holds, for a process that goes on while its run changes on disk."""

from __future__ import annotations

import logging
from pathlib import Path

from anogan.assurance import drift
from anogan.detector.calibration import Calibration

log = logging.getLogger("anogan")


class Alarm:
    """The alarm of a calibration's drift monitor; the monitor's file is read again when it has changed.

    A process goes on by the calibration that it has in memory, and so does its alarm: also while the run has another.

    Parameters
    ----------
    run
        The run folder.
    calibration
        That of the detector that judges here, or None.

    Raises
    ------
    ValueError
        The monitor is damaged.
    """

    def __init__(self, run: Path, calibration: Calibration | None) -> None:
        self._run, self._calibration = run, calibration
        self._seen = self._stamp()  # first: what changes while it is read is read again
        self._sounds, self._damaged = drift.alarm_of(run, calibration), False

    def sounds(self) -> bool:
        """Tell whether the monitor has an alarm, or cannot be read any more."""
        if (stamp := self._stamp()) != self._seen:
            self._seen = stamp
            try:
                self._sounds, self._damaged = drift.alarm_of(self._run, self._calibration, self._sounds), False
            except ValueError as error:  # nobody knows whether the calibration still holds
                log.error("%s", error)
                self._damaged = True
        return self._sounds or self._damaged

    def warning(self) -> str:
        """Say what an alarm means and what to do; "" while there is none."""
        if not self.sounds():
            return ""
        try:
            return drift.warning(self._run) or drift.PAUSED
        except ValueError as error:
            return str(error)

    def _stamp(self) -> tuple[int, int] | None:
        try:
            found = (self._run / drift.FILE).stat()
        except OSError:
            return None
        return found.st_mtime_ns, found.st_size
