"""The scores of healthy series that set a threshold, and where they come from."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from anogan.config import InputConfig
from anogan.data.seen import SEEN, Seen
from anogan.detector import provenance
from anogan.detector.calibration import Calibration, images_needed, rank
from anogan.scan import Series, SeriesResult


@dataclass
class HealthySeries:
    """Scores, (N,), the pseudonyms of the subjects, the files, and the sources of others with why they were not."""

    scores: list[float] = field(default_factory=list)
    subjects: list[str] = field(default_factory=list)
    files: list[Path] = field(default_factory=list)
    not_scored: list[tuple[Path, str]] = field(default_factory=list)

    @classmethod
    def score(
        cls, healthy: Iterable[Series], inspect: Callable[[Series], SeriesResult], seen: Seen, grid: InputConfig
    ) -> HealthySeries:
        """Score series one by one; those of which training has seen half of the slices or more are not scored.

        Raises
        ------
        ValueError
            One is a second one of its subject, or the very file of a slice was seen in training.
        """
        found = cls()
        for series in healthy:
            if series.subject and series.subject in found.subjects:
                raise ValueError(f"{series.source}: is a second series of its subject; calibrate on one of each")
            files = [path for path in series.files if path.is_file()]
            if trained := sum(map(seen.by_file, files)):
                raise ValueError(f"{series.source}: {trained} of its files were used in training; calibrate on others")
            # Half of them, because slices with nothing but air in them look alike in anybody.
            if 2 * sum(seen.by_scan(scan, grid) for scan in series.scans) >= len(series.scans):
                found.not_scored.append((Path(series.source), SEEN))
                continue
            result = inspect(series)
            if result.status != "scored":
                found.not_scored.append((Path(series.source), result.reason))
                continue
            found.scores.append(result.score)
            found.subjects.append(series.subject)
            found.files += files
        return found

    def calibrate(self, false_alarm_rate: float, confidence: float | None) -> Calibration:
        """Find the threshold; ValueError where the series are too few for the promise, as in `Calibration.fit`."""
        count = len(self.scores)
        if rank(count, false_alarm_rate, confidence) == 0:
            others = self.not_scored
            why = f"; {len(others)} were not scored, the first: {others[0][1]}" if others else ""
            raise ValueError(
                f"calibration: {count} healthy series cannot give a false-alarm rate of {false_alarm_rate:g}; at least "
                f"{images_needed(false_alarm_rate, confidence)} are needed{why}"
            )
        return replace(Calibration.fit(np.array(self.scores), false_alarm_rate, confidence), unit="series")

    def describe(self) -> dict[str, Any]:
        """Return what is worth knowing of them, as `provenance.describe_calibration`."""
        return provenance.describe_calibration(self.files, self.subjects) | {"series": len(self.scores)}
