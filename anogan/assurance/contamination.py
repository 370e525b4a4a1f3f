"""Which images of the "healthy" training folder are least like the others: a list to look through.

A detector forgives what it was fitted to, and its healthy reference forgives most: a coreset takes the oddest patches
first, so that a mislabeled image is its own nearest neighbor. The reference is therefore cross-fitted: the subjects are
divided into folds, and each fold is scored with a reference that was fitted without it. The networks stay as they are;
they meet an image a few times among thousands, and training them anew for every fold would cost hours.

Only what the networks see is ranked: where a profile judges noise at the photo's own resolution, too, its score is not
part of this one, so these scores do not compare with a threshold.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from sklearn.model_selection import GroupKFold
from torch import Tensor

from anogan.data.dataset import ScanSet
from anogan.detector import Detector
from anogan.detector.reference import Reference
from anogan.gan.randomness import own_random_state
from anogan.storage import spreadsheet

FOLDS = 5


class Case(NamedTuple):
    """One image of the list; rank 1 is the least like the others."""

    rank: int
    file: str
    subject: str
    score: float


@dataclass(frozen=True)
class Suspects:
    """The training images, the least healthy-looking first, and those that could not be judged, with the reason."""

    cases: tuple[Case, ...]
    not_scored: tuple[tuple[Path, str], ...] = ()

    def to_review(self, share: float) -> int:
        """Return how many images the first `share` of the list is, rounded up.

        Raises
        ------
        ValueError
            `share` is not in (0, 1].
        """
        if not 0 < share <= 1:
            raise ValueError(f"share: expected a number above 0 and at most 1, got {share:g}")
        return math.ceil(share * len(self.cases) - 1e-9)

    def to_json(self) -> dict[str, Any]:
        """Return the list as plain JSON values."""
        return {
            "format": 1,
            "folds": FOLDS,
            "cases": [case._asdict() for case in self.cases],
            "not_scored": [{"file": str(path), "reason": reason} for path, reason in self.not_scored],
        }

    def to_csv(self) -> str:
        """Return the list as CSV; an image that could not be judged has neither rank nor score."""
        rows = [[*case, ""] for case in self.cases]
        rows += [["", str(path), "", "", reason] for path, reason in self.not_scored]
        return spreadsheet.table([*Case._fields, "not scored because"], rows)


def check(detector: Detector, scans: ScanSet, progress: Callable[[int, int], None] | None = None) -> Suspects:
    """Rank the images a detector was trained on by how little they resemble those of other subjects.

    Parameters
    ----------
    detector
        Trained on `scans`; it need not be calibrated.
    scans
        The training images.
    progress
        Called with (images done, images in all).

    Raises
    ------
    ValueError
        The usable images are of fewer than two subjects.
    """
    images, kept, problems = scans.load(detector.config)
    subjects = [scans[index].subject for index in kept]
    if len(set(subjects)) < 2:
        raise ValueError(f"{scans.name}: its usable images are of {len(set(subjects))} subjects; at least 2 are needed")
    x, scores, done = torch.from_numpy(images), np.empty(len(kept)), 0
    for rows, without in cross_fit(detector, x, subjects):
        for part in np.array_split(rows, math.ceil(len(rows) / 64)):
            scores[part] = without.maps(x[part]).scores.numpy()
            done += len(part)
            if progress is not None:
                progress(done, len(kept))
    judged = np.isfinite(scores)
    problems += [(scans[kept[row]].path, "its score is not finite") for row in np.flatnonzero(~judged)]
    order = [row for row in np.argsort(-scores, kind="stable") if judged[row]]
    cases = (
        Case(rank, str(scans[kept[row]].path), subjects[row], float(scores[row])) for rank, row in enumerate(order, 1)
    )
    return Suspects(tuple(cases), tuple(problems))


def cross_fit(detector: Detector, images: Tensor, subjects: Sequence[str]) -> Iterator[tuple[np.ndarray, Detector]]:
    """Yield the rows of each fold of subjects and the detector whose reference was fitted to all other folds.

    Parameters
    ----------
    images
        (N, C, S, S) in [-1, 1].
    subjects
        (N,) whose image each is; at least two.
    """
    folds = GroupKFold(min(FOLDS, len(set(subjects))))
    for others, rows in folds.split(np.zeros(len(subjects)), groups=np.asarray(subjects)):
        with own_random_state():
            reference = Reference.learn(detector.networks.discriminator, images[others], detector.config)
        yield rows, dataclasses.replace(detector, reference=reference)
