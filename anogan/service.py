"""A detector at work: it judges, and decides nothing while its drift monitor has an alarm.

Every door judges through an `Inspector`: the commands `inspect` and `export`, the upload page, the listener, the API.
So no door can forget the alarm, and nothing else withholds a decision for it (`tests/test_service.py` tries each door).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TypeVar

from anogan.assurance import drift
from anogan.assurance.alarm import Alarm
from anogan.detector import Detector
from anogan.errors import Code
from anogan.results.writing import ResultsWriter
from anogan.scan import Result, Scan, Series, SeriesResult

_Judged = TypeVar("_Judged", Result, SeriesResult)


class Inspector:
    """Judge scans and series with a run's detector.

    Parameters
    ----------
    run
        The run folder, whose drift monitor is heeded.
    detector
        Its detector. None: it is loaded.

    Raises
    ------
    ValueError
        The run has no sound detector, or its drift monitor is damaged.
    """

    def __init__(self, run: Path, detector: Detector | None = None) -> None:
        self.run = run
        self.detector = Detector.load(run) if detector is None else detector
        self.alarm = Alarm(run, self.detector.calibration)

    def inspect(self, scan: Scan) -> Result:
        """Judge one scan, with the healthy images that are `nearest`. What cannot be judged is "not scored"."""
        return self._heed(self.detector.inspect(scan))

    def inspect_many(self, scans: Iterable[Scan], batch: int = 32, examples: bool = False) -> Iterator[Result]:
        """Judge scans in their order; see `Detector.inspect_many`."""
        return map(self._heed, self.detector.inspect_many(scans, batch, examples))

    def inspect_series(self, series: Series) -> SeriesResult:
        """Judge a series as one volume; see `Detector.inspect_series`."""
        return self._heed(self.detector.inspect_series(series))

    def count(self, cases: Iterable[drift.Case]) -> bool:
        """Count cases in the drift monitor; False where the run was calibrated anew meanwhile, so nothing was counted.

        Raises
        ------
        ValueError
            The run is not calibrated, or its monitor is damaged or cannot be written.
        """
        calibration = self.detector.calibration
        with drift.Monitor.change(self.run) as monitor:  # on top of what others have counted meanwhile
            if calibration is None or monitor.identity != drift.Monitor(calibration.scores).identity:
                return False
            monitor.add(cases)
            monitor.save(self.run)
            return True

    def settle(self, writer: ResultsWriter, results: Sequence[_Judged]) -> list[_Judged]:
        """Return what stands of results that were written: after an alarm, also one of their own, no decision does."""
        if self.alarm.sounds():
            writer.withhold(drift.PAUSED)
        return [self._heed(result) for result in results]

    def _heed(self, result: _Judged) -> _Judged:
        """Take the decision from a result that was compared with the calibration, while there is an alarm."""
        if result.p_value is None or not self.alarm.sounds():
            return result
        return dataclasses.replace(result, flagged=None, reason=drift.PAUSED, code=Code.PAUSED)


def put_on_desk(results: Path, database: str) -> int:
    """Put a work list on a review desk; return how many of its cases are there now.

    Raises
    ------
    ValueError
        The desk cannot be opened or written, or the work list is damaged.
    """
    from anogan.review import cases_of, open_desk  # its database is an extra

    desk = open_desk(database)
    try:
        return len(set(desk.add_many(cases_of(results))))
    finally:
        desk.close()
