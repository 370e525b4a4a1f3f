"""From which distance on two photos are no near-duplicates: where genuine photos of different people begin."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np

from anogan.linkage.prints import KINDS, Prints, distances


@dataclass(frozen=True)
class Thresholds:
    """A distance below its threshold links; 0 never does.

    The values here are those of `benchmarks/linkage.py` for 1 false link in 10 000 pairs; `measure` sets them from
    photos of one's own. Features have none before it, because a distance of features is that of one detector.
    """

    photo: float = 0.164
    face: float = 0.203
    background: float = 0.284
    features: float = 0.0

    def __post_init__(self) -> None:
        for kind, value in asdict(self).items():
            if not 0 <= value <= 0.5:
                raise ValueError(f"threshold of {kind}: expected a number in [0, 0.5], got {value}")

    @classmethod
    def measure(cls, prints: Sequence[Prints], subjects: Sequence[str], rate: float = 1e-4) -> Thresholds:
        """Return thresholds below which at most a share `rate` of the pairs of different people lies.

        Parameters
        ----------
        prints, subjects
            Genuine photos, and whose each is.
        rate
            False links per pair; a search among n photos compares n pairs.

        Raises
        ------
        ValueError
            There are too few pairs for the rate.
        """
        pairs = different_people(subjects)
        if (count := len(pairs[0])) * rate < 1:
            raise ValueError(
                f"{count} pairs of photos of different people are too few for one false link in {1 / rate:.0f} pairs; "
                f"add photos or ask for a larger rate"
            )
        found = {}
        for kind in KINDS:
            values = np.sort(pair_distances(prints, kind)[pairs])
            found[kind] = min(float(values[int(rate * count)]), 0.5) if values[0] < 0.5 else 0.0
        return cls(**found)


def different_people(subjects: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """Return the pairs of photos, first < second, that show two people."""
    names = np.asarray(subjects)
    first, second = np.triu_indices(len(names), 1)
    apart = names[first] != names[second]
    return first[apart], second[apart]


def pair_distances(prints: Sequence[Prints], kind: str) -> np.ndarray:
    """Return the distance of each photo to each, (N, N), 0.5 where one has no code of this kind.

    As in a search, a photo and its mirror image are compared with the other; the nearer one counts.
    """
    having = [index for index, one in enumerate(prints) if kind in one.codes]
    found = np.full((len(prints), len(prints)), 0.5, np.float32)
    if having:
        bits, mask = (np.stack([prints[index].codes[kind][part] for index in having]) for part in (0, 1))
        for index in having:
            queries = [codes[kind] for codes in (prints[index].codes, prints[index].mirrored) if kind in codes]
            found[index, having] = np.min([distances(code, bits, mask, kind) for code in queries], axis=0)
    return found
