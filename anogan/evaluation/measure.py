"""Score a labeled split and measure the scores against the labels."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from anogan.data.dataset import Item, ScanSet
from anogan.data.seen import SEEN, Seen
from anogan.detector.calibration import Calibration
from anogan.detector.provenance import refuse_reviewed
from anogan.errors import Code
from anogan.evaluation.attacks import by_species
from anogan.evaluation.curves import bands
from anogan.evaluation.groups import by_group
from anogan.evaluation.report import OperatingPoint, Report
from anogan.io.masks import Blank
from anogan.metrics import (
    Estimate,
    PixelTally,
    auroc,
    average_precision,
    binomial,
    by_subject,
    confusion,
    pr_curve,
    roc_curve,
    sensitivity_at_specificity,
)
from anogan.results.reading import case_id
from anogan.results.writing import ResultsWriter
from anogan.scan import Result, Scan
from anogan.storage import checkpoint
from anogan.storage.fingerprint import file_hash

_SPECIFICITIES = (0.90, 0.95, 0.99)


class Judge(Protocol):
    """What `evaluate` needs of a detector."""

    @property
    def calibration(self) -> Calibration | None: ...

    def inspect_many(self, scans: Iterable[Scan]) -> Iterator[Result]: ...

    def summary(self) -> dict[str, Any]: ...


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
        Images that played no part in training or calibration. Those that training has seen, or copies of them, are set
        aside and listed as not scored. Those that set the threshold count for what needs none, and no flag of theirs.
    out
        A folder that receives each case (image, maps, heat map), `results.json`, `results.csv` and
        `evaluation.json`; None writes nothing.
    progress
        Called with (images done, images in all).

    Raises
    ------
    ValueError
        Not one healthy or not one abnormal image could be scored, or an image is of a reviewed case that the detector
        has taken in as healthy.
    """
    refuse_reviewed(getattr(detector, "provenance", {}), test)
    scores, labels, components = [], [], []
    rows: list[dict[str, Any]] = []
    not_scored: list[dict[str, Any]] = []
    unusable_masks: list[dict[str, Any]] = []
    tally, unmasked = PixelTally(), 0
    calibrations = getattr(detector, "provenance", {}).get("calibrations", [])
    set_by, calibrated = frozenset(calibrations[-1]["files"] if calibrations else ()), 0
    reader, summary = _Reader(test, progress, detector), detector.summary()
    with ResultsWriter(Path(out), summary) if out is not None else nullcontext() as writer:
        for result in detector.inspect_many(reader):
            index, scan = reader.taken.popleft()
            item = test[index]
            mask = None
            if result.status == "scored":
                try:
                    mask = _mask(test, index, scan)
                except (ValueError, OSError) as error:
                    unusable_masks.append(_row(item) | {"reason": str(error)})
            if writer is not None:
                writer.add(scan, result, subject=item.subject, label=item.label, mask=mask if item.mask else None)
            if result.status != "scored":
                not_scored.append(_row(item) | {"reason": result.reason, "code": result.code})
                continue
            own = bool(set_by) and file_hash(item.path) in set_by
            calibrated += own
            rows.append(
                _row(item)
                | {"subject": item.subject, "score": float(result.score), "groups": dict(item.groups)}
                | ({"group": item.group} if item.group else {})
                | ({} if detector.calibration is None else {"flagged": None if own else result.flagged})
            )
            scores.append(result.score)
            labels.append(item.label)
            components.append(result.components)
            if item.label and item.mask is None:
                unmasked += 1
            elif mask is not None and result.anomaly_map is not None:
                tally.add(result.anomaly_map, mask)
        for item, reason in reader.unread:
            not_scored.append(_row(item) | {"reason": reason, "code": Code.OTHER})
            if writer is not None:
                writer.add_failure(item.path, reason, subject=item.subject, label=item.label)
    report = _report(
        np.array(labels),
        np.array(scores),
        components,
        rows,
        not_scored,
        unusable_masks,
        tally,
        unmasked,
        calibrated,
        detector,
        summary,
    )
    if out is not None:
        checkpoint.write_json(Path(out) / "evaluation.json", report.to_json())
    return report


def _row(item: Item) -> dict[str, Any]:
    return {
        "case": case_id(item.path),
        "file": os.fspath(item.path),
        "label": "abnormal" if item.label else "healthy",
    }


class _Reader:
    """Reads a split one scan at a time; goes on past what cannot be read."""

    def __init__(self, scans: ScanSet, progress: Callable[[int, int], None] | None, detector: Judge) -> None:
        self.scans, self.progress = scans, progress
        self.seen, self.config = Seen.of(getattr(detector, "provenance", {})), getattr(detector, "config", None)
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
            copy = self.config is not None and self.seen.by_scan(scan, self.config.input)
            if copy or self.seen.by_file(item.path):
                self.unread.append((item, SEEN))
                continue
            self.taken.append((index, scan))
            yield scan
        if self.progress is not None:
            self.progress(len(self.scans), len(self.scans))


def _mask(test: ScanSet, index: int, scan: Scan) -> np.ndarray | None:
    """Return where an image is abnormal, (H, W) bool: nowhere if it is healthy; None if nobody has drawn it."""
    shape = scan.pixels.shape[:2]
    if not test[index].label:
        if test[index].mask is not None:
            _check_blank(test, index)
        return np.zeros(shape, bool)
    mask = test.read_mask(index)
    if mask is not None and mask.shape != shape:
        raise ValueError(
            f"{test[index].mask}: the mask has {mask.shape} pixels and its image {shape}; draw it on the image"
        )
    return mask


def _check_blank(test: ScanSet, index: int) -> None:
    """Refuse the mask of a healthy image that marks something."""
    try:
        test.read_mask(index)
    except Blank:
        return
    raise ValueError(f"{test[index].mask}: marks a region of an image that is labeled healthy; correct one of them")


def _report(
    labels: np.ndarray,
    scores: np.ndarray,
    components: list[dict[str, float]],
    rows: list[dict[str, Any]],
    not_scored: list[dict[str, Any]],
    unusable_masks: list[dict[str, Any]],
    tally: PixelTally,
    unmasked: int,
    calibrated: int,
    detector: Judge,
    summary: dict[str, Any],
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
    if unusable_masks:
        notes.append(f"Pixel figures leave out {len(unusable_masks)} images whose masks cannot be used.")
    if tally.n_regions and tally.sampled:
        notes.append(
            f"Pixel figures use every abnormal pixel and, per image, {tally.per_image} healthy ones drawn at random."
        )
    names = sorted(set.intersection(*(set(parts) for parts in components)))
    point = None
    if detector.calibration is not None:
        flagged = [row["flagged"] for row in rows]
        point = _operating_point(detector.calibration, labels, flagged)
        if calibrated:
            notes.append(f"The operating point leaves out {calibrated} images on which the threshold was set.")
        if undecided := flagged.count(None) - calibrated:
            notes.append(f"The operating point leaves out {undecided} images that were not decided.")
    threshold = None if point is None else point.threshold
    groups = [row["groups"] for row in rows]
    attacked = summary["name"] == "id-photo" or any("species" in image for image in groups)
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
        dice=tally.dice(float(summary["map_range"][0])) if tally.n_regions else None,
        best_dice=tally.best_dice().dice if tally.n_regions else None,
        components={name: auroc(labels, np.array([parts[name] for parts in components])).value for name in names},
        operating_point=point,
        roc=roc_curve(labels, scores),
        pr=pr_curve(labels, scores),
        bands=bands(labels, scores, subjects),
        groups=by_group(groups, labels, scores, subjects, [row.get("flagged") for row in rows]),
        attacks=by_species(groups, labels, scores, threshold) if attacked else None,
        scores=rows,
        failure_to_acquire=_failure_to_acquire(rows, not_scored, asked=summary["name"] == "id-photo"),
        not_scored=not_scored,
        unusable_masks=unusable_masks,
        notes=notes,
    )


def _operating_point(calibration: Calibration, labels: np.ndarray, flagged: list[bool | None]) -> OperatingPoint | None:
    """Return what the thresholds did to the images that have one; None where these are of one class."""
    known = np.array([decided is not None for decided in flagged])
    truth, decided = labels[known], np.array([bool(flag) for flag in flagged])[known]
    if truth.all() or not truth.any():
        return None
    counts = confusion(truth, decided, 1)
    return OperatingPoint(
        threshold=None if calibration.groups else float(calibration.threshold),
        promised=float(calibration.false_alarm_rate),
        false_alarm_rate=binomial(counts.false_positive, int((truth == 0).sum())),
        sensitivity=binomial(counts.true_positive, int(truth.sum())),
        counts=counts,
    )


def _failure_to_acquire(
    rows: list[dict[str, Any]], not_scored: list[dict[str, Any]], asked: bool
) -> dict[str, Estimate]:
    failed = [row["label"] for row in not_scored if row["code"] is Code.NO_FACE]
    if not asked and not failed:
        return {}
    labels = [row["label"] for row in (*rows, *not_scored)]
    return {label: binomial(failed.count(label), labels.count(label)) for label in sorted(set(labels), reverse=True)}


def _by_subject(labels: np.ndarray, scores: np.ndarray, subjects: list[str]) -> Estimate | None:
    whole = by_subject(labels, scores, subjects)
    if len(whole.subjects) == len(subjects) or whole.labels.all() or not whole.labels.any():
        return None
    return auroc(whole.labels, whole.scores)
