"""From the objects of a study to the objects that a detector makes of it."""

from __future__ import annotations

from pathlib import Path

from anogan import drift
from anogan.detector import Detector
from anogan.io import iter_series
from anogan.io.derived import write_derived
from anogan.pacs.listener import Judge


def judge_with(run: Path, detector: Detector) -> Judge:
    """Return what judges a study by a run's detector: every series as a volume, each with derived objects of its own.

    While the run's drift monitor has an alarm, nothing is decided. What the study cannot be scored for is its
    ValueError: no series was scored, and why.
    """
    summary = detector.summary(series=True)

    def judge(study: Path) -> list[Path]:
        problems: list[tuple[Path, str]] = []
        files: list[Path] = []
        reasons: list[str] = []
        paused = drift.warning(run)
        for series in iter_series([study], problems, detector.config.input.window):
            result = detector.inspect_series(series)
            if result.status != "scored":
                reasons.append(result.reason)
                continue
            result = drift.pause(result) if paused else result
            files += write_derived(series, series.files, result, summary, study.parent / "work")
        reasons += [reason for _, reason in problems]
        if not files:
            raise ValueError("; ".join(dict.fromkeys(reasons)) or "the study holds no images")
        return files

    return judge
