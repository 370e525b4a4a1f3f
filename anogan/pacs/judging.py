"""From the objects of a study to the objects that a detector makes of it."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from anogan.detector import Detector
from anogan.io import iter_series
from anogan.pacs.listener import Judge
from anogan.pacs.store import undeleted
from anogan.results.dicom import write_derived
from anogan.results.writing import ResultsWriter
from anogan.review import Desk, cases_of
from anogan.scan import Series, SeriesResult
from anogan.service import Inspector

log = logging.getLogger("anogan.pacs")


def judge_with(run: Path, detector: Detector, desk: Desk | None = None, pictures: Path | None = None) -> Judge:
    """Return what judges a study by a run's detector: every series as a volume, each with derived objects of its own.

    While the drift monitor of the detector's calibration has an alarm, nothing is decided, also after the run was
    calibrated again: this detector still judges by the one before. What the study cannot be scored for is its
    ValueError: no series was scored, or the result of one cannot be written as objects, and why. The desk has
    all series even then; but none of a study that was erased meanwhile.

    Parameters
    ----------
    run, detector
        The run folder and its detector.
    desk, pictures
        A review desk, which gets each series as a case before the results are sent, scored or not; and the folder for
        the cases' pictures, one within it for each study. A study that is judged again brings no case twice. None:
        there is no desk.

    Raises
    ------
    ValueError
        The drift monitor is damaged.
    """
    summary, inspector = detector.summary(series=True), Inspector(run, detector)

    def judge(study: Path) -> list[Path]:
        problems: list[tuple[Path, str]] = []
        files: list[Path] = []
        reasons: list[str] = []
        unwritten: list[str] = []
        for series in iter_series([study], problems, detector.config.input.window):
            result = inspector.inspect_series(series)
            if desk is not None and pictures is not None:
                with undeleted(study) as still_here:
                    if not still_here:
                        raise ValueError("the study was erased while it was judged")
                    _put_on(desk, pictures / study.parent.name, summary, series, result)
            if result.status != "scored":
                reasons.append(result.reason)
                continue
            try:
                files += write_derived(series, series.files, result, summary, study.parent / "work")
            except ValueError as error:
                unwritten.append(str(error))
        if unwritten:
            raise ValueError("; ".join(unwritten))
        reasons += [reason for _, reason in problems]
        if files and reasons:  # the rest of the study is none the worse for it, but somebody must know
            log.warning("study %s: not scored of it: %s", study.parent.name, "; ".join(dict.fromkeys(reasons)))
        if not files:
            raise ValueError("; ".join(dict.fromkeys(reasons)) or "the study holds no images")
        return files

    return judge


def _put_on(desk: Desk, folder: Path, summary: Mapping[str, Any], series: Series, result: SeriesResult) -> None:
    """Write a series' pictures and its place in the list of its study, and add the case."""
    with ResultsWriter(folder, summary) as writer:
        name = writer.add_series(series, result)
    (case,) = (case for case in cases_of(folder) if case.key.partition("-")[0] == name)
    title = f"{series.modality} series, {len(series.scans)} slices".strip()  # files are named by hashes here
    desk.add(dataclasses.replace(case, title=title))
