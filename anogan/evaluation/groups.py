"""The same figures for each scanner, site, sex: a good mean can hide a group on which the detector fails."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from anogan.metrics import Estimate, auroc, binomial

SMALL = 30
"""With fewer healthy, or fewer abnormal, images than this a group is called small."""


class Group(NamedTuple):
    """The figures of the images that say the same in one column of the manifest.

    `auroc` is None without both classes; the two rates, at the operating point, are None without their class or
    without a calibration.
    """

    column: str
    value: str
    n_healthy: int
    n_abnormal: int
    auroc: Estimate | None
    false_alarm_rate: Estimate | None
    sensitivity: Estimate | None

    @property
    def small(self) -> bool:
        """Whether too few images of a class are there to conclude much from them."""
        return min(self.n_healthy, self.n_abnormal) < SMALL

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values."""
        plain = {name: list(value) if isinstance(value, Estimate) else value for name, value in self._asdict().items()}
        return plain | {"small": self.small}


def by_group(
    groups: Sequence[Mapping[str, str]],
    labels: np.ndarray,
    scores: np.ndarray,
    subjects: Sequence[str],
    flagged: Sequence[bool | None],
) -> list[Group]:
    """Return the figures of every group of every column; images that say nothing there are one group, "not stated".

    `groups` are those of `dataset.Item`, one per image. `species` is left to `attacks`: healthy images have none.
    `flagged` says what was decided of each image, None where nothing was.
    """
    names, decided = np.asarray(subjects), np.array(flagged, dtype=object)
    found = []
    for column in dict.fromkeys(column for image in groups for column in image if column != "species"):
        values = np.array([image.get(column, "") for image in groups])
        for value in sorted(set(values), key=lambda value: (value == "", value)):
            inside = values == value
            healthy, abnormal = inside & (labels == 0), inside & (labels == 1)
            found.append(
                Group(
                    column,
                    str(value) or "not stated",
                    int(healthy.sum()),
                    int(abnormal.sum()),
                    auroc(labels[inside], scores[inside], names[inside].tolist())
                    if healthy.any() and abnormal.any()
                    else None,
                    _share(decided[healthy]),
                    _share(decided[abnormal]),
                )
            )
    return found


def _share(decided: np.ndarray) -> Estimate | None:
    known = [bool(flag) for flag in decided if flag is not None]
    return binomial(sum(known), len(known)) if known else None
