"""A detector over a labelled split: how good is it, with what certainty, and on what was it not tried."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from anogan import checkpoint
from anogan.calibration import Calibration
from anogan.dataset import Item, ScanSet
from anogan.io.results import ResultsWriter, case_id
from anogan.metrics import (
    Confusion,
    Estimate,
    PixelTally,
    Roc,
    auroc,
    average_precision,
    binomial,
    confusion,
    roc_curve,
    sensitivity_at_specificity,
)
from anogan.scan import Result, Scan

_SPECIFICITIES = (0.90, 0.95, 0.99)


class Judge(Protocol):
    """What `evaluate` needs of a detector."""

    @property
    def calibration(self) -> Calibration | None: ...

    def inspect_many(self, scans: Iterable[Scan]) -> Iterator[Result]: ...

    def summary(self) -> dict[str, Any]: ...


@dataclass(frozen=True)
class OperatingPoint:
    """What the calibrated threshold did on the test images.

    Attributes
    ----------
    threshold, promised
        `score >= threshold` flags, None where each group has a threshold of its own; the false-alarm rate that
        calibration asked for.
    false_alarm_rate, sensitivity
        The shares of healthy and of abnormal images flagged here, with exact binomial intervals, which take the
        images as independent.
    counts
        Right and wrong decisions.
    """

    threshold: float | None
    promised: float
    false_alarm_rate: Estimate
    sensitivity: Estimate
    counts: Confusion


@dataclass(frozen=True, eq=False)
class Report:
    """The figures of one evaluation; `print(report)` shows them as a table.

    Attributes
    ----------
    n_healthy, n_abnormal, n_subjects
        What was scored.
    auroc, average_precision, sensitivity_at
        Image level, with 95 % intervals that know which images are of one subject; sensitivity by specificity.
    subject_auroc
        The same by subject: the highest score of its images, abnormal if one of them is. None where it is the same
        because each subject has one image, or where all subjects are of one class.
    pixel_auroc, aupro
        On each scan's own grid; None without masks.
    components
        AUROC of the image score of each part of the method.
    operating_point
        None where the detector is not calibrated.
    roc
        The curve, thinned.
    scores
        One row per scored image: case, file, subject, label, score.
    not_scored
        One row per image that could not be judged: file, reason. These count neither as healthy nor as abnormal.
    notes
        Sentences about what the figures leave out.
    """

    n_healthy: int
    n_abnormal: int
    n_subjects: int
    auroc: Estimate
    average_precision: Estimate
    sensitivity_at: dict[str, Estimate]
    subject_auroc: Estimate | None
    pixel_auroc: float | None
    aupro: float | None
    components: dict[str, float]
    operating_point: OperatingPoint | None
    roc: Roc
    scores: list[dict[str, Any]] = field(repr=False)
    not_scored: list[dict[str, str]]
    notes: list[str]

    def to_json(self) -> dict[str, Any]:
        """Return the report as plain JSON values, as `evaluation.json` holds it."""
        point = self.operating_point
        return {
            "format": 1,
            "n_healthy": self.n_healthy,
            "n_abnormal": self.n_abnormal,
            "n_subjects": self.n_subjects,
            "auroc": list(self.auroc),
            "average_precision": list(self.average_precision),
            "sensitivity_at": {key: list(value) for key, value in self.sensitivity_at.items()},
            "subject_auroc": None if self.subject_auroc is None else list(self.subject_auroc),
            "pixel_auroc": self.pixel_auroc,
            "aupro": self.aupro,
            "components": self.components,
            "operating_point": point
            and {
                "threshold": point.threshold,
                "false_alarm_rate": point.promised,
                "realized": list(point.false_alarm_rate),
                "sensitivity": list(point.sensitivity),
                **point.counts._asdict(),
            },
            "roc": {name: values.tolist() for name, values in self.roc._asdict().items()},
            "scores": self.scores,
            "not_scored": self.not_scored,
            "notes": self.notes,
        }

    def __str__(self) -> str:
        rows: list[tuple[str, str]] = [
            ("images", f"{self.n_healthy} healthy, {self.n_abnormal} abnormal, of {self.n_subjects} subjects"),
            ("AUROC", str(self.auroc)),
            ("average precision", str(self.average_precision)),
        ]
        if self.subject_auroc is not None:
            rows.insert(2, ("AUROC by subject", str(self.subject_auroc)))
        rows += [(f"sensitivity at {float(key):.0%} specificity", str(v)) for key, v in self.sensitivity_at.items()]
        if self.pixel_auroc is not None and self.aupro is not None:
            rows += [("pixel AUROC", f"{self.pixel_auroc:.3f}"), ("AUPRO up to 30 %", f"{self.aupro:.3f}")]
        rows += [
            (f"AUROC of {name.replace('_', ' ')} alone", f"{value:.3f}") for name, value in self.components.items()
        ]
        if point := self.operating_point:
            counts = point.counts
            threshold = "each group's own" if point.threshold is None else f"score >= {point.threshold:.4g}"
            healthy = counts.false_positive + counts.true_negative
            abnormal = counts.true_positive + counts.false_negative
            rows += [
                ("operating point", f"{threshold}, set for {point.promised:.1%} false alarms"),
                ("false alarms there", f"{point.false_alarm_rate}, {counts.false_positive} of {healthy}"),
                ("sensitivity there", f"{point.sensitivity}, {counts.true_positive} of {abnormal}"),
            ]
        width = max(len(name) for name, _ in rows)
        lines = [f"{name:<{width}}  {value}" for name, value in rows]
        lines.append("In brackets: 95 % intervals.")
        lines += self.notes
        if self.not_scored:
            lines.append(f"Not scored, and in none of the figures: {len(self.not_scored)}")
            lines += [f"  {row['file']}: {row['reason']}" for row in self.not_scored]
        return "\n".join(lines)


def evaluate(
    detector: Judge,
    test: ScanSet,
    *,
    out: str | os.PathLike[str] | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Report:
    """Score a labelled split and measure the scores against the labels.

    Parameters
    ----------
    detector
        A `Detector`; where it is calibrated the report says what its operating point did.
    test
        Images that played no part in training or calibration.
    out
        A folder that receives each case (image, maps, heat map), `results.json`, `results.csv` and
        `evaluation.json`; None writes nothing.
    progress
        Called with (images done, images in all).

    Raises
    ------
    ValueError
        Not one healthy or not one abnormal image could be scored, or a mask does not fit its image.
    """
    scores, labels, components = [], [], []
    rows: list[dict[str, Any]] = []
    not_scored: list[dict[str, str]] = []
    tally, unmasked = PixelTally(), 0
    reader = _Reader(test, progress)
    with ResultsWriter(Path(out), detector.summary()) if out is not None else nullcontext() as writer:
        for result in detector.inspect_many(reader):
            index, scan = reader.taken.popleft()
            item = test[index]
            mask = _mask(test, index, scan)
            if writer is not None:
                writer.add(scan, result, subject=item.subject, label=item.label, mask=mask if item.mask else None)
            if result.status != "scored":
                not_scored.append({"file": scan.source, "reason": result.reason})
                continue
            rows.append(
                {
                    "case": case_id(item.path),
                    "file": scan.source,
                    "subject": item.subject,
                    "label": "abnormal" if item.label else "healthy",
                    "score": float(result.score),
                    **({"group": item.group} if item.group else {}),
                }
            )
            scores.append(result.score)
            labels.append(item.label)
            components.append(result.components)
            if mask is None:
                unmasked += 1
            elif result.anomaly_map is not None:
                tally.add(result.anomaly_map, mask)
        for item, reason in reader.unread:
            not_scored.append({"file": os.fspath(item.path), "reason": reason})
            if writer is not None:
                writer.add_failure(item.path, reason, subject=item.subject, label=item.label)
    report = _report(np.array(labels), np.array(scores), components, rows, not_scored, tally, unmasked, detector)
    if out is not None:
        checkpoint.write_json(Path(out) / "evaluation.json", report.to_json())
    return report


class _Reader:
    """Reads a split one scan at a time; goes on past what cannot be read."""

    def __init__(self, scans: ScanSet, progress: Callable[[int, int], None] | None) -> None:
        self.scans, self.progress = scans, progress
        self.taken: deque[tuple[int, Scan]] = deque()  # handed to the detector, not yet judged
        self.unread: list[tuple[Item, str]] = []

    def __iter__(self) -> Iterator[Scan]:
        for index, item in enumerate(self.scans):
            if self.progress is not None:
                self.progress(index, len(self.scans))
            try:
                scan = self.scans.read(index)
            except (ValueError, OSError) as error:
                self.unread.append((item, str(error)))
                continue
            self.taken.append((index, scan))
            yield scan
        if self.progress is not None:
            self.progress(len(self.scans), len(self.scans))


def _mask(test: ScanSet, index: int, scan: Scan) -> np.ndarray | None:
    """Return where an image is abnormal, (H, W) bool: nowhere if it is healthy; None if nobody has drawn it."""
    shape = scan.pixels.shape[:2]
    if not test[index].label:
        return np.zeros(shape, bool)
    mask = test.read_mask(index)
    if mask is not None and mask.shape != shape:
        raise ValueError(
            f"{test[index].mask}: the mask has {mask.shape} pixels and its image {shape}; draw it on the image"
        )
    return mask


def _report(
    labels: np.ndarray,
    scores: np.ndarray,
    components: list[dict[str, float]],
    rows: list[dict[str, Any]],
    not_scored: list[dict[str, str]],
    tally: PixelTally,
    unmasked: int,
    detector: Judge,
) -> Report:
    n_abnormal = int(labels.sum())
    n_healthy = len(labels) - n_abnormal
    if not n_healthy or not n_abnormal:
        first = f"; the first that was not scored: {not_scored[0]['reason']}" if not_scored else ""
        raise ValueError(
            f"evaluate: expected healthy and abnormal images, "
            f"scored {n_healthy} healthy and {n_abnormal} abnormal{first}"
        )
    subjects = [row["subject"] for row in rows]
    notes = []
    if tally.n_regions and unmasked:
        notes.append(f"Pixel figures leave out {unmasked} abnormal images that have no mask.")
    if tally.n_regions and tally.sampled:
        notes.append(
            f"Pixel figures use every abnormal pixel and, per image, {tally.per_image} healthy ones drawn at random."
        )
    names = sorted(set.intersection(*(set(parts) for parts in components)))
    point = None
    if detector.calibration is not None:
        point, undecided = _operating_point(
            detector.calibration, labels, scores, [row.get("group", "") for row in rows]
        )
        if undecided:
            notes.append(f"The operating point leaves out {undecided} images of groups that were not calibrated.")
    return Report(
        n_healthy=n_healthy,
        n_abnormal=n_abnormal,
        n_subjects=len(set(subjects)),
        auroc=auroc(labels, scores, subjects),
        average_precision=average_precision(labels, scores, subjects),
        sensitivity_at={f"{s:.2f}": sensitivity_at_specificity(labels, scores, s, subjects) for s in _SPECIFICITIES},
        subject_auroc=_by_subject(labels, scores, subjects),
        pixel_auroc=tally.auroc() if tally.n_regions else None,
        aupro=tally.aupro() if tally.n_regions else None,
        components={name: auroc(labels, np.array([parts[name] for parts in components])).value for name in names},
        operating_point=point,
        roc=roc_curve(labels, scores),
        scores=rows,
        not_scored=not_scored,
        notes=notes,
    )


def _operating_point(
    calibration: Calibration, labels: np.ndarray, scores: np.ndarray, groups: list[str]
) -> tuple[OperatingPoint | None, int]:
    """Return what the thresholds did, and how many images have none."""
    parts = [calibration.of(group) for group in groups]
    known = np.array([part is not None for part in parts])
    thresholds = np.array([part.threshold for part in parts if part is not None])
    n_abnormal, n = int(labels[known].sum()), int(known.sum())
    if n_abnormal in (0, n):
        return None, len(parts) - n
    counts = confusion(labels[known], scores[known] - thresholds, 0.0)
    point = OperatingPoint(
        threshold=None if calibration.groups else float(calibration.threshold),
        promised=float(calibration.false_alarm_rate),
        false_alarm_rate=binomial(counts.false_positive, n - n_abnormal),
        sensitivity=binomial(counts.true_positive, n_abnormal),
        counts=counts,
    )
    return point, len(parts) - n


def _by_subject(labels: np.ndarray, scores: np.ndarray, subjects: list[str]) -> Estimate | None:
    names, index = np.unique(np.asarray(subjects), return_inverse=True)
    if len(names) == len(subjects):
        return None
    highest, ill = np.full(len(names), -np.inf), np.zeros(len(names), int)
    np.maximum.at(highest, index, scores)
    np.maximum.at(ill, index, labels)
    return auroc(ill, highest) if 0 < ill.sum() < len(ill) else None
