"""Sensitivity by size and contrast of synthetic local anomalies, at the detector's own operating point.

The anomalies are those of `anogan.gan.local_fakes`, put into the healthy images of the calibration split: of the kinds
that the discriminator was taught, and of kinds that it never met. False alarms are counted on the healthy images of the
test split, because on those that calibrated the rate is what it is by construction. Where groups are calibrated by
themselves, each image has the threshold of its group, and one whose group is not calibrated is left out.

Where the profile judges noise, too, false alarms are those of both scales. Anomalies are put into the networks' image,
which the noise at the photo's own resolution does not see: only what the networks find of them counts.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from anogan.config import LocalFakesConfig
from anogan.data.dataset import ScanSet, Splits
from anogan.data.prepare import prepare
from anogan.data.seen import SEEN, Seen
from anogan.detector import Detector
from anogan.detector.calibration import Calibration
from anogan.detector.provenance import refuse_reviewed
from anogan.gan.local_fakes import LOCAL, UNSEEN_LOCAL, local_fakes
from anogan.gan.randomness import own_random_state
from anogan.metrics import Estimate, binomial

FAMILIES = {"taught": tuple(LOCAL), "never taught": tuple(UNSEEN_LOCAL)}
SIZES = (0.06, 0.12, 0.2, 0.3)  # diameters, as fractions of the image's side
CONTRASTS = (0.05, 0.1, 0.2, 0.3)  # mean change inside the anomaly, as fractions of the image range
LEAST_SENSITIVITY = 0.8  # to the largest anomalies of the highest contrast, with 95 % confidence
MOST_IMAGES = 100
TRIES = 12
STRONGEST = 2.0  # a change that would have to be made larger than this is another kind of change
LEAST_AREA = 0.4  # of a disc of the diameter: the rest may lie outside the image or the object
IMAGE_RANGE = 2.0  # of [-1, 1]


class Cell(NamedTuple):
    """Anomalies of one family, size and contrast: how many were made and found; no estimate where none was made."""

    family: str
    size: float
    contrast: float
    made: int
    found: int
    sensitivity: Estimate | None


@dataclass(frozen=True)
class SelfTest:
    """The outcome.

    Attributes
    ----------
    cells
        By family, size and contrast. Each healthy image bears at most one anomaly of a cell.
    millimeters
        What each of `SIZES` is on the scans (the diameter of the disc of the same area, median); None where no spacing
        is known.
    false_alarms
        Healthy images of the test split, flagged and in all.
    allowed
        The false-alarm rate that the calibration set keeps with 95 % confidence; of groups, that of the laxest.
    n_images
        Healthy images of the calibration split that bore anomalies.
    noise
        Whether the detector judges noise, too, which the anomalies do not change.
    uncalibrated
        Images that were left out because their group is not calibrated.
    """

    cells: tuple[Cell, ...]
    millimeters: tuple[float, ...] | None
    false_alarms: tuple[int, int]
    allowed: float
    n_images: int
    noise: bool = False
    uncalibrated: int = 0

    def reasons(self) -> list[str]:
        """Return why the detector fails, one clause each; nothing when it passes."""
        found = []
        for cell in self.cells:
            if (cell.size, cell.contrast) != (SIZES[-1], CONTRASTS[-1]):
                continue
            what = (
                f"of {cell.made} anomalies of {cell.family} kinds, large and of high contrast, {cell.found} were found"
            )
            if cell.sensitivity is None or cell.sensitivity.low < LEAST_SENSITIVITY:
                low = 0.0 if cell.sensitivity is None else cell.sensitivity.low
                found.append(
                    f"{what}, which shows a sensitivity of {low:.2f} where {LEAST_SENSITIVITY:.2f} is asked for"
                )
        flagged, total = self.false_alarms
        if not total:
            found.append("false alarms were not measured, because the test split has no healthy image")
        elif (rate := binomial(flagged, total)).low > self.allowed:
            found.append(
                f"{flagged} of {total} healthy images were flagged, {rate}, "
                f"where at most {self.allowed:.3f} is promised"
            )
        return found

    def to_json(self) -> dict[str, Any]:
        """Return the outcome as plain JSON values, as `selftest.json` holds it."""
        flagged, total = self.false_alarms
        return {
            "format": 1,
            "passed": not self.reasons(),
            "reasons": self.reasons(),
            "least_sensitivity": LEAST_SENSITIVITY,
            "images": self.n_images,
            "sizes": list(SIZES),
            "millimeters": None if self.millimeters is None else list(self.millimeters),
            "contrasts": list(CONTRASTS),
            "cells": [
                cell._asdict() | {"sensitivity": None if cell.sensitivity is None else list(cell.sensitivity)}
                for cell in self.cells
            ],
            "false_alarms": {
                "flagged": flagged,
                "images": total,
                "rate": list(binomial(flagged, total)) if total else None,
                "allowed": self.allowed,
            },
            "notes": [
                "Anomalies are synthetic, and were put into healthy images of the calibration split.",
                "False alarms are counted on healthy images of the test split.",
                "Exact 95 % intervals, which take the images as independent.",
                *(["Anomalies are in the networks' image, so their noise is not judged."] if self.noise else []),
                *(
                    [f"Left out, because their group is not calibrated: {self.uncalibrated} images."]
                    if self.uncalibrated
                    else []
                ),
            ],
        }


@own_random_state()
def run(detector: Detector, splits: Splits, progress: Callable[[int, int], None] | None = None) -> SelfTest:
    """Test a calibrated detector.

    Parameters
    ----------
    detector
        Trained and calibrated.
    splits
        Of its data: the calibration split bears the anomalies; the healthy images of the test split are to stay
        unflagged.
    progress
        Called with (groups of anomalies done, groups in all).

    Raises
    ------
    ValueError
        The detector is not calibrated, no image of the calibration split can be used or is of a calibrated group, or an
        image is of a reviewed case that the detector has taken in.
    """
    point = detector.calibration
    if point is None:
        raise ValueError("self-test: the detector is not calibrated; run `anogan calibrate` first")
    for part in (splits.calibration, splits.test):
        refuse_reviewed(detector.provenance, part)
    bearing = _Images.read(splits.calibration, detector, point, MOST_IMAGES)
    images = bearing.pixels
    if not len(images):
        if bearing.uncalibrated:
            raise ValueError(
                f"{splits.calibration.name}: none of its images is of a {point.column} that is calibrated; calibrate "
                "on it first"
            )
        raise ValueError(f"{splits.calibration.name}: none of its images can be used; the self-test needs some")
    torch.manual_seed(detector.config.training.seed)
    cells = []
    grid = [(family, size, contrast) for family in FAMILIES for size in SIZES for contrast in CONTRASTS]
    for done, (family, size, contrast) in enumerate(grid):
        if progress is not None:
            progress(done, len(grid))
        fakes, made = anomalies(images, detector.config.local_fakes, FAMILIES[family], size, contrast)
        total = int(made.sum())
        found = int((_scores(detector, fakes[made]) >= bearing.thresholds[made.numpy()]).sum())
        cells.append(Cell(family, size, contrast, total, found, binomial(found, total) if total else None))
    test = splits.test.subset(np.flatnonzero(splits.test.labels == 0).tolist())
    healthy = _Images.read(test, detector, point)
    flagged = int((np.maximum(_scores(detector, healthy.pixels), healthy.noise) >= healthy.thresholds).sum())
    if progress is not None:
        progress(len(grid), len(grid))
    millimeters = tuple(float(size * np.median(bearing.sides)) for size in SIZES) if bearing.sides else None
    return SelfTest(
        tuple(cells),
        millimeters,
        (flagged, len(healthy.pixels)),
        max(part.bound() for part in (point.groups or {"": point}).values()),
        len(images),
        detector.native is not None,
        bearing.uncalibrated + healthy.uncalibrated,
    )


def anomalies(
    x: Tensor, config: LocalFakesConfig, kinds: tuple[str, ...], size: float, contrast: float
) -> tuple[Tensor, Tensor]:
    """Put one anomaly of a given size and contrast into every image that can bear it.

    Shape, place and kind are drawn again, up to `TRIES` times, until what lies inside the image (and on a cut-out
    object) is large enough; its change is then made stronger or weaker to the contrast.

    Parameters
    ----------
    x
        Healthy images, (N, C, S, S) in [-1, 1].
    config
        The profile's `local_fakes` section: whether objects were cut out.
    kinds
        Names that `local_fakes` knows.
    size, contrast
        Diameter as a fraction of the side; mean absolute change inside as a fraction of the image range.

    Returns
    -------
    images, made
        (N, C, S, S) in [-1, 1], and (N,) bool: where it is false, the image is as it was.
    """
    drawn = LocalFakesConfig(smallest=size, largest=size, layers=1, visible=0, cut_out=config.cut_out)
    least = LEAST_AREA * math.pi / 4 * (size * x.shape[-1]) ** 2
    result, made = x.clone(), torch.zeros(len(x), dtype=torch.bool)
    for _ in range(TRIES):
        fakes, mask = local_fakes(x, drawn, kinds)
        inside = ((mask > 0.5) & (x.amax(1) > -0.9))[:, None].to(x)  # nobody asks for anomalies of the background
        area = inside.sum((1, 2, 3)).clamp_min(1)

        def change(of: Tensor, inside: Tensor = inside, area: Tensor = area) -> Tensor:
            return ((of - x).abs().mean(1, keepdim=True) * inside).sum((1, 2, 3)) / area / IMAGE_RANGE

        strength = contrast / change(fakes).clamp_min(1e-6)
        fakes = (x + strength[:, None, None, None] * (fakes - x)).clamp(-1, 1)
        good = (inside.sum((1, 2, 3)) >= least) & (strength <= STRONGEST) & (change(fakes) >= 0.8 * contrast) & ~made
        result[good], made = fakes[good], made | good
    return result, made


def _scores(detector: Detector, images: Tensor) -> np.ndarray:
    """Return the networks' scores of images, (N,); ValueError where one is not finite: it would count as quiet."""
    parts = [detector.maps(batch).scores.numpy() for batch in images.split(64) if len(batch)]
    scores = np.concatenate(parts) if parts else np.empty(0)
    if not np.isfinite(scores).all():
        raise ValueError("self-test: a score is not finite; the model is damaged, train it again")
    return scores


@dataclass(frozen=True, eq=False)
class _Images:
    """Usable images of calibrated groups.

    Attributes
    ----------
    pixels
        (N, C, S, S)
    noise
        (N,) the scores of their noise, -inf where the profile does not judge it.
    thresholds
        (N,)
    sides
        In mm, where the spacing is known. Images are stretched to a square, so the side is that of the square of the
        same area.
    uncalibrated
        How many were left out for their group.
    """

    pixels: Tensor
    noise: np.ndarray
    thresholds: np.ndarray
    sides: list[float]
    uncalibrated: int

    @classmethod
    def read(cls, scans: ScanSet, detector: Detector, point: Calibration, most: int | None = None) -> _Images:
        """Read them in an order drawn by the profile's seed, at most so many."""
        order = np.random.default_rng(detector.config.training.seed).permutation(len(scans))
        config = detector.config.input
        seen = Seen.of(detector.provenance)
        images: list[np.ndarray] = []
        noise: list[float] = []
        thresholds: list[float] = []
        sides: list[float] = []
        uncalibrated = 0
        for index in order:
            if most is not None and len(images) == most:
                break
            own = point.of(scans[int(index)].group)
            if own is None:
                uncalibrated += 1
                continue
            try:
                scan = scans.read(int(index))
                image, _ = prepare(scan, detector.config)
                if seen.by_file(scans[int(index)].path) or seen.by_look(image):
                    raise ValueError(SEEN)
                noise.append(-math.inf if detector.native is None else detector.native.of(scan).score(scan.pixels))
            except (ValueError, OSError):
                continue  # `anogan evaluate` and `anogan calibrate` name such files
            images.append(image)
            thresholds.append(own.threshold)
            if scan.spacing is not None:
                height, width = scan.pixels.shape[:2]
                sides.append(math.sqrt(height * scan.spacing[0] * width * scan.spacing[1]))
        empty = np.empty((0, config.channels, config.size, config.size), np.float32)
        pixels = torch.from_numpy(np.stack(images) if images else empty)
        return cls(pixels, np.array(noise), np.array(thresholds), sides, uncalibrated)
