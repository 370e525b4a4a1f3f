"""From the objects of a study to the objects that a detector makes of it."""

from __future__ import annotations

from pathlib import Path

from anogan.detector import Detector
from anogan.io import read_series  # type: ignore[attr-defined]
from anogan.io.derived import write_derived  # type: ignore[import-untyped]
from anogan.pacs.listener import Judge


def judge_with(detector: Detector) -> Judge:
    """Return what judges a study by a detector: every series as a volume, each with derived objects of its own.

    What the study cannot be scored for is its ValueError: no series was scored, and why.
    """
    summary = detector.summary(series=True)  # type: ignore[call-arg]

    def judge(study: Path) -> list[Path]:
        found, problems = read_series([study])
        files: list[Path] = []
        reasons = [reason for _, reason in problems]
        for series in found:
            result = detector.inspect_series(series)  # type: ignore[attr-defined]
            if result.status != "scored":
                reasons.append(result.reason)
                continue
            sources = sorted({Path(scan.source) for scan in series.scans})
            files += write_derived(series, sources, result, summary, study.parent / "work", None)
        if not files:
            raise ValueError("; ".join(dict.fromkeys(reasons)) or "the study holds no images")
        return files

    return judge
