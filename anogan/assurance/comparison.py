"""Two detectors on the same unlabeled images: would the new one be the better one in service?

Without labels nobody can say which is right where they differ. What can be said: how far they rank alike, whether one
flags more, where they disagree most (so that a person looks there), and which of them finds more of the same anomalies
planted into these very images, of kinds that neither was taught.

Scores and flags are those of inspection: where groups are calibrated by themselves, each image has the threshold of its
group. Anomalies are planted on the networks' grid. Where a profile judges noise,
too, that of the photo does not change by them, and flags none of the photos that they are planted into: what is found,
the networks find.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from scipy.stats import binomtest, kendalltau, rankdata

from anogan.config import InputConfig
from anogan.data.seen import SEEN, Seen
from anogan.data.transforms import to_network
from anogan.detector import Detector
from anogan.gan.local_fakes import UNSEEN, local_fakes
from anogan.io import read_scan
from anogan.io.pixels import WindowChoice
from anogan.metrics import Estimate, binomial
from anogan.results.reading import case_id
from anogan.scan import Result, Scan
from anogan.storage import checkpoint, spreadsheet

LEAST_CASES = 20
MOST_PLANTED = 400  # images that are faked; more cost time and tell little more
SIGNIFICANT = 0.05
REPLICATES = 1000
BATCH = 32


class Flags(NamedTuple):
    """What two detectors flag of the same images, each at its operating point.

    Attributes
    ----------
    first, second
        Share that each flags, with an exact binomial interval, which takes the images as independent.
    both, only_first, only_second, neither
        Counts.
    p_value
        Of the exact McNemar test (Biometrika 1947) that they flag equally often.
    """

    first: Estimate
    second: Estimate
    both: int
    only_first: int
    only_second: int
    neither: int
    p_value: float

    @classmethod
    def of(cls, first: np.ndarray, second: np.ndarray) -> Flags:
        """Count flags, (N,) bool of the same images."""
        n = len(first)
        both, only_first, only_second = (int(x.sum()) for x in (first & second, first & ~second, second & ~first))
        disputed = only_first + only_second
        p_value = float(binomtest(only_first, disputed).pvalue) if disputed else 1.0
        rates = binomial(int(first.sum()), n), binomial(int(second.sum()), n)
        return cls(*rates, both, only_first, only_second, n - both - disputed, p_value)

    @property
    def change(self) -> int:
        """1 where the second flags more than chance explains, -1 where less, else 0."""
        return 0 if self.p_value >= SIGNIFICANT else 1 if self.only_second > self.only_first else -1

    def __str__(self) -> str:
        return (
            f"{_percent(self.first)} by A, {_percent(self.second)} by B; both {self.both}, A alone {self.only_first}, "
            f"B alone {self.only_second} (McNemar p = {self.p_value:.2g})"
        )


@dataclass(frozen=True, eq=False)
class Comparison:
    """What `compare` found; `print` shows it.

    Attributes
    ----------
    false_alarm_rates
        That each detector was calibrated for.
    spearman, kendall
        Rank agreement of the scores, with 95 % intervals that know which images are of one subject; None where one
        of the two scores all images alike, which ranks nothing.
    flags
        Flags on the images as they are.
    planted
        Flags on the images with an anomaly planted into each, out of those that neither flags as they are.
    planted_kinds
        The same by kind of anomaly.
    cases
        One row per image, most disputed first: case, file, subject, scores, p-values and flags of A and B, and
        `disagreement`, the distance of its places in the two rankings as a share of the images.
    not_scored
        One row per image that one of them could not judge, or whose group it is not calibrated for: file, reason. They
        are in no figure.
    notes
        What the figures leave out.
    """

    false_alarm_rates: tuple[float, float]
    spearman: Estimate | None
    kendall: Estimate | None
    flags: Flags
    planted: Flags | None
    planted_kinds: dict[str, Flags]
    cases: list[dict[str, Any]]
    not_scored: list[dict[str, str]]
    notes: list[str]

    @property
    def verdict(self) -> str:
        """One sentence: what speaks for the second detector, or against it."""
        if self.planted is None:
            return "No verdict: nothing could be planted; look at the disputed cases."
        rates = f"{self.planted.second.value:.0%} against {self.planted.first.value:.0%}"
        often = {
            1: "flags more of these cases",
            0: "flags about as many of these cases",
            -1: "flags fewer of these cases",
        }
        flagged = often[self.flags.change]
        if self.planted.change < 0:
            return f"Keep A: B finds fewer of the planted anomalies ({rates}), and {flagged}."
        if self.planted.change > 0 and self.flags.change > 0:
            return (
                f"Look before replacing A: B finds more of the planted anomalies ({rates}), but {flagged}, "
                "which may be false alarms."
            )
        if self.planted.change > 0:
            return f"B is the better one as far as can be told without labels: it finds more ({rates}), and {flagged}."
        if self.flags.change > 0:
            return f"Keep A: B {flagged} and does not find more of the planted anomalies ({rates})."
        return f"No difference shown: of the planted anomalies B finds as many ({rates}), and it {flagged}."

    def to_json(self) -> dict[str, Any]:
        """Return the figures as plain JSON values, as `comparison.json` holds them."""
        return {
            "format": 1,
            "verdict": self.verdict,
            "false_alarm_rates": list(self.false_alarm_rates),
            "spearman": self.spearman and list(self.spearman),
            "kendall": self.kendall and list(self.kendall),
            "flags": self.flags._asdict(),
            "planted": self.planted and self.planted._asdict(),
            "planted_kinds": {name: flags._asdict() for name, flags in self.planted_kinds.items()},
            "cases": self.cases,
            "not_scored": self.not_scored,
            "notes": self.notes,
        }

    def save(self, folder: Path) -> None:
        """Write `comparison.json` and, with a line per case, `comparison.csv`."""
        checkpoint.write_json(folder / "comparison.json", self.to_json())
        table = spreadsheet.table(self.cases[0], (case.values() for case in self.cases))
        checkpoint.write_text(folder / "comparison.csv", table)

    def __str__(self) -> str:
        union = self.flags.both + self.flags.only_first + self.flags.only_second
        rows = [
            ("images", f"{len(self.cases)} scored by both, {len(self.not_scored)} not"),
            ("operating points", "set for {:.1%} (A) and {:.1%} (B) false alarms".format(*self.false_alarm_rates)),
            ("rank agreement", f"Spearman {self.spearman or 'none'}, Kendall {self.kendall or 'none'}"),
            ("flagged", str(self.flags)),
            ("overlap of flags", f"{self.flags.both} of {union}" if union else "neither flags any"),
        ]
        if self.planted is not None:
            rows.append(("planted, found", str(self.planted)))
        rows += [
            (f"  {name}", f"{_percent(f.first)} by A, {_percent(f.second)} by B")
            for name, f in self.planted_kinds.items()
        ]
        width = max(len(name) for name, _ in rows)
        lines = [f"{name:<{width}}  {value}" for name, value in rows]
        lines.append("most disputed:")
        lines += [
            f"  {Path(row['file']).name}: p = {row['p_value_a']:.3g} by A, {row['p_value_b']:.3g} by B"
            for row in self.cases[:5]
        ]
        return "\n".join([*lines, "In brackets: 95 % intervals.", *self.notes, self.verdict])


def compare(
    first: Detector,
    second: Detector,
    files: Sequence[str | os.PathLike[str]],
    *,
    groups: Sequence[str] | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Comparison:
    """Compare two calibrated detectors on images that nobody has labeled.

    Parameters
    ----------
    first, second
        The one in service (A), and the one that may replace it (B).
    files
        Images as they come in.
    groups
        The scanner, site or sex of each, where these are calibrated by themselves.
    progress
        Called with (images done, images in all).

    Raises
    ------
    ValueError
        A detector is not calibrated, they differ in `input.window`, or fewer than 20 images could be scored by both.
    """
    points = []
    for name, detector in (("A", first), ("B", second)):
        if detector.calibration is None:
            raise ValueError(f"compare: run {name} is not calibrated; run `anogan calibrate` on it first")
        points.append(detector.calibration)
    window = first.config.input.window
    if window != second.config.input.window:
        raise ValueError("compare: the two runs differ in input.window; compare runs that see the same pixels")
    rows: list[dict[str, Any]] = []
    not_scored: list[dict[str, str]] = []
    images: list[np.ndarray] = []
    limits: list[list[float]] = []
    uncalibrated = 0
    # Images on one grid can be faked once, the same for both.
    plantable = first.config.input == second.config.input
    seen = [(Seen.of(detector.provenance), detector.config.input) for detector in (first, second)]
    for scans in _batches(files, groups or [""] * len(files), window, not_scored, seen):
        found = zip(scans, first.inspect_many(scans, BATCH), second.inspect_many(scans, BATCH), strict=True)
        for scan, a, b in found:
            if reason := next((result.reason for result in (a, b) if result.status != "scored"), ""):
                not_scored.append({"file": scan.source, "reason": reason})
                continue
            own = [point.of(scan.group) for point in points]
            if unknown := [result.reason for result, point in zip((a, b), own, strict=True) if point is None]:
                not_scored.append({"file": scan.source, "reason": unknown[0]})
                uncalibrated += 1
                continue
            rows.append(_row(scan, a, b))
            limits.append([point.threshold for point in own if point is not None])
            if plantable and len(images) < MOST_PLANTED:
                images.append(to_network(scan, first.config.input))
        if progress is not None:
            progress(len(rows) + len(not_scored), len(files))
    if len(rows) < LEAST_CASES:
        first_reason = f"; the first that was not: {not_scored[0]['reason']}" if not_scored else ""
        raise ValueError(
            f"compare: {len(rows)} images were scored by both, at least {LEAST_CASES} are needed{first_reason}"
        )
    scores = np.array([[row["score_a"], row["score_b"]] for row in rows])
    thresholds = np.array(limits)
    above = scores >= thresholds
    notes = ["Rank agreement and flags say where the two differ, not who is right."]
    if uncalibrated:
        notes.append(f"Left out, because a group was not calibrated: {uncalibrated} of the images.")
    if points[0].false_alarm_rate != points[1].false_alarm_rate:
        notes.append("The two are set for different false-alarm rates: calibrate both for one, then compare again.")
    if plantable and first.config.input.noise:
        notes.append("Anomalies are planted on the networks' grid, so the noise of the photos says nothing of them.")
    if (scores == scores[0]).all(0).any():
        notes.append("Rank agreement is not defined: one of the two scores all images alike.")
    planted: Flags | None = None
    kinds: dict[str, Flags] = {}
    if plantable:
        n = len(images)
        planted, kinds = _plant(first, second, thresholds[:n], torch.from_numpy(np.stack(images)), above[:n])
    else:
        notes.append("Nothing was planted: the two see the images on different grids.")
    places = np.stack([rankdata(column) for column in scores.T], 1) / len(rows)
    for row, distance in zip(rows, np.abs(places[:, 0] - places[:, 1]), strict=True):
        row["disagreement"] = round(float(distance), 4)
    subjects = [row["subject"] or row["file"] for row in rows]
    return Comparison(
        (points[0].false_alarm_rate, points[1].false_alarm_rate),
        *_agreement(scores, subjects),
        Flags.of(above[:, 0], above[:, 1]),
        planted,
        kinds,
        sorted(rows, key=lambda row: -row["disagreement"]),
        not_scored,
        notes,
    )


def _batches(
    files: Sequence[str | os.PathLike[str]],
    groups: Sequence[str],
    window: WindowChoice,
    not_scored: list[dict[str, str]],
    seen: Sequence[tuple[Seen, InputConfig]],
) -> Iterator[list[Scan]]:
    scans: list[Scan] = []
    for path, group in zip(files, groups, strict=True):
        try:
            scan = replace(read_scan(path, window), group=group)
            if any(one.by_file(Path(path)) or one.by_look(to_network(scan, view)) for one, view in seen):
                raise ValueError(SEEN)
            scans.append(scan)
        except (ValueError, OSError) as error:
            not_scored.append({"file": os.fspath(path), "reason": str(error)})
        if len(scans) == BATCH:
            yield scans
            scans = []
    if scans:
        yield scans


def _row(scan: Scan, a: Result, b: Result) -> dict[str, Any]:
    return {
        "case": case_id(scan.source),
        "file": scan.source,
        "subject": scan.subject,
        "score_a": a.score,
        "score_b": b.score,
        "p_value_a": a.p_value,
        "p_value_b": b.p_value,
        "flagged_a": a.flagged,
        "flagged_b": b.flagged,
    }


def _agreement(scores: np.ndarray, subjects: Sequence[str]) -> tuple[Estimate | None, Estimate | None]:
    """Return Spearman's and Kendall's rank correlation, (N, 2), with percentile intervals over drawn subjects.

    None of both where a column is constant. Draws in which one is constant are left out of the intervals.
    """
    if (scores == scores[0]).all(0).any():
        return None, None

    def both(rows: np.ndarray) -> tuple[float, float]:
        one, other = scores[rows].T
        if (one == one[0]).all() or (other == other[0]).all():
            return math.nan, math.nan
        return float(np.corrcoef(rankdata(one), rankdata(other))[0, 1]), float(kendalltau(one, other).statistic)

    index = np.unique(np.asarray(subjects), return_inverse=True)[1]
    members = np.split(np.argsort(index, kind="stable"), np.cumsum(np.bincount(index))[:-1])
    generator = np.random.default_rng(0)
    draws = [
        both(np.concatenate([members[k] for k in generator.integers(len(members), size=len(members))]))
        for _ in range(REPLICATES)
    ]
    low, high = np.nanpercentile(draws, [2.5, 97.5], axis=0)
    value = both(np.arange(len(scores)))
    return Estimate(value[0], float(low[0]), float(high[0])), Estimate(value[1], float(low[1]), float(high[1]))


def _plant(
    first: Detector, second: Detector, thresholds: np.ndarray, images: torch.Tensor, flagged: np.ndarray
) -> tuple[Flags | None, dict[str, Flags]]:
    """Plant an anomaly into every image that neither flags as it is, the kinds in turn, and count who flags it.

    Thresholds and flags are (N, 2), one row per image.
    """
    quiet, limits = images[torch.from_numpy(~flagged.any(1))], thresholds[~flagged.any(1)]
    fakes, names, own = [], [], []
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        for turn, name in enumerate(UNSEEN):
            part = quiet[turn :: len(UNSEEN)]
            if len(part):
                fakes.append(local_fakes(part, first.config.local_fakes, (name,))[0])
                names += [name] * len(part)
                own.append(limits[turn :: len(UNSEEN)])
    if not fakes:
        return None, {}
    planted = torch.cat(fakes)
    scores = [
        np.concatenate([detector.maps(batch).scores.numpy() for batch in planted.split(64)])
        for detector in (first, second)
    ]
    hits = np.stack(scores, 1) >= np.concatenate(own)
    kind = np.array(names)
    by_kind = {name: Flags.of(*hits[kind == name].T) for name in dict.fromkeys(names)}
    return Flags.of(*hits.T), by_kind


def _percent(share: Estimate) -> str:
    return f"{share.value:.1%} [{share.low:.1%}, {share.high:.1%}]"
