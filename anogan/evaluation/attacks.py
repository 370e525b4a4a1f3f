"""Attacks on identity documents, in the terms of ISO/IEC 30107-3: the headline is the worst species.

Uploaded files are outside that standard, which speaks of sensors, so these figures are PAD-style, no more.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from anogan.metrics import Estimate, apcer, bpcer, bpcer_at_apcer, d_eer

UNNAMED = "not stated"


class Species(NamedTuple):
    """One kind of attack: how many images, how many of them pass as bona fide, and at what price fewer would.

    `apcer` is None without a calibration. `bpcer10`, `bpcer20` and `bpcer100` are the BPCER where the APCER is at most
    10, 5 and 1 %; with `d_eer` they choose their threshold on the test images.
    """

    name: str
    n: int
    apcer: Estimate | None
    bpcer10: float
    bpcer20: float
    bpcer100: float
    d_eer: float


class Attacks(NamedTuple):
    """All species, worst first (the highest APCER, or D-EER), and the bona fide images turned away."""

    bpcer: Estimate | None
    species: list[Species]

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return {
            "bpcer": self.bpcer and list(self.bpcer),
            "species": [one._asdict() | {"apcer": one.apcer and list(one.apcer)} for one in self.species],
        }


def by_species(
    groups: Sequence[Mapping[str, str]], labels: np.ndarray, scores: np.ndarray, threshold: float | None
) -> Attacks:
    """Return the figures of each species of attack; attacks without one are of the species "not stated".

    Parameters
    ----------
    groups
        (N,) those of `dataset.Item`.
    labels, scores
        (N,) 1 = attack; higher = more anomalous.
    threshold
        The operating point; None without a calibration.
    """
    names = np.array([image.get("species", UNNAMED) for image in groups])
    bona_fide, attacks = scores[labels == 0], (labels == 1)
    of_species = {str(name): scores[attacks & (names == name)] for name in np.unique(names[attacks])}
    passed = {} if threshold is None else apcer(of_species, threshold)
    found = [
        Species(
            name,
            len(own),
            passed.get(name),
            bpcer10=bpcer_at_apcer(bona_fide, own, 0.10),
            bpcer20=bpcer_at_apcer(bona_fide, own, 0.05),
            bpcer100=bpcer_at_apcer(bona_fide, own, 0.01),
            d_eer=d_eer(bona_fide, own),
        )
        for name, own in of_species.items()
    ]
    found.sort(key=lambda one: (one.apcer.value if one.apcer else 0.0, one.d_eer), reverse=True)
    return Attacks(None if threshold is None else bpcer(bona_fide, threshold), found)
