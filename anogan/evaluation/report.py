"""What one evaluation found, as numbers, as JSON and as a table in plain text."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from anogan.evaluation.attacks import Attacks
from anogan.evaluation.curves import Bands
from anogan.evaluation.groups import Group
from anogan.metrics import Confusion, Estimate, Pr, Roc


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
    pixel_auroc, aupro, dice, best_dice
        On each scan's own grid; None without masks. Dice is that of the pixels to which heat maps give a color, which
        healthy images alone decide; the best Dice chooses its threshold with the masks in hand.
    components
        AUROC of the image score of each part of the method.
    operating_point
        None where the detector is not calibrated.
    roc, pr, bands
        The curves, and their 95 % bands.
    groups
        The figures by scanner, site, sex: what the manifest says.
    attacks
        The figures by species of attack; None where the images are no attacks.
    scores
        One row per scored image: case, file, subject, label, score, and its groups.
    failure_to_acquire
        By label, "healthy" or "abnormal": the share of the images in which no face could be acquired (ISO/IEC 19795-1),
        with an exact binomial interval. Empty where no face was asked for.
    not_scored
        One row per image that could not be judged: case, file, label, reason. These count neither as healthy nor as
        abnormal.
    unusable_masks
        One row per image whose mask could not be read or does not fit it: case, file, label, reason. It is in all but
        the pixel figures.
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
    dice: float | None
    best_dice: float | None
    components: dict[str, float]
    operating_point: OperatingPoint | None
    roc: Roc
    pr: Pr = field(repr=False)
    bands: Bands = field(repr=False)
    groups: list[Group]
    attacks: Attacks | None
    scores: list[dict[str, Any]] = field(repr=False)
    failure_to_acquire: dict[str, Estimate]
    not_scored: list[dict[str, Any]]
    unusable_masks: list[dict[str, Any]]
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
            "dice": self.dice,
            "best_dice": self.best_dice,
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
            "pr": {name: values.tolist() for name, values in self.pr._asdict().items()},
            "bands": {name: values.tolist() for name, values in self.bands._asdict().items()},
            "groups": [group.to_json() for group in self.groups],
            "attacks": self.attacks and self.attacks.to_json(),
            "scores": self.scores,
            "failure_to_acquire": {label: list(rate) for label, rate in self.failure_to_acquire.items()},
            "not_scored": self.not_scored,
            "unusable_masks": self.unusable_masks,
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
        if self.dice is not None and self.best_dice is not None:
            rows.append(("Dice where heat maps show color", f"{self.dice:.3f}, at best {self.best_dice:.3f}"))
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
        if self.attacks and self.attacks.species[0].apcer:
            worst = self.attacks.species[0]
            rows.append(("APCER of the worst species", f"{worst.apcer}, {worst.name}, {worst.n} images"))
        rows += [(f"failure to acquire, {label}", str(rate)) for label, rate in self.failure_to_acquire.items()]
        width = max(len(name) for name, _ in rows)
        lines = [f"{name:<{width}}  {value}" for name, value in rows]
        lines.append("In brackets: 95 % intervals.")
        lines += self.notes
        if self.not_scored:
            lines.append(f"Not scored, and in none of the figures: {len(self.not_scored)}")
            lines += [f"  {row['file']}: {row['reason']}" for row in self.not_scored]
        if self.unusable_masks:
            lines.append(f"Without a usable mask, and in no pixel figure: {len(self.unusable_masks)}")
            lines += [f"  {row['file']}: {row['reason']}" for row in self.unusable_masks]
        return "\n".join(lines)
