"""The second scale: the noise of each scan at the resolution it came in, beside what the networks see of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from torch import Tensor

from anogan.data.dataset import ScanSet
from anogan.detector.noise import LEAST_HELD, LEAST_IMAGES, NoiseReference
from anogan.scan import Scan

PREFIX = "noise."


@dataclass(frozen=True, eq=False)
class NativeScale:
    """A noise reference of all training scans, named "", and one of each group that has enough of them.

    A group is a site, a studio, a kind of camera: noise is typical of one of these, not of all together. A scan is
    judged by its group's reference; one whose group has none, by that of all.
    """

    references: Mapping[str, NoiseReference]

    @classmethod
    def fit(cls, train: ScanSet, holdout: ScanSet) -> NativeScale:
        """Learn from healthy scans in color, standardize on `holdout`, which shares no subject with them.

        Raises
        ------
        ValueError
            There are too few scans.
        """
        counts = [Counter(item.group for item in scans) for scans in (train, holdout)]
        groups = [g for g in counts[0] if g and counts[0][g] >= LEAST_IMAGES and counts[1][g] >= LEAST_HELD]
        references = {"": NoiseReference.fit(_pixels(train), _pixels(holdout))}
        for group in sorted(groups):
            own = [_pixels(scans, group) for scans in (train, holdout)]
            references[group] = NoiseReference.fit(*own)
        return cls(references)

    def of(self, scan: Scan) -> NoiseReference:
        """Return the reference that judges a scan."""
        return self.references.get(scan.group, self.references[""])

    def scores(self, scans: ScanSet) -> np.ndarray:
        """Return the score of each scan, (N,), read one by one; ValueError for one that is gray or too small."""
        read = (scans.read(index) for index in range(len(scans)))
        return np.array([self.of(scan).score(scan.pixels) for scan in read])

    def tensors(self) -> dict[str, Tensor]:
        """Return what `from_tensors` needs."""
        return {
            f"{PREFIX}{group}.{name}": tensor
            for group, reference in self.references.items()
            for name, tensor in reference.tensors().items()
        }

    @classmethod
    def from_tensors(cls, tensors: Mapping[str, Tensor]) -> NativeScale | None:
        """Rebuild it; None when there is none, KeyError when a tensor is missing."""
        own: dict[str, dict[str, Tensor]] = {}
        for key, tensor in tensors.items():
            if key.startswith(PREFIX):
                group, _, name = key.removeprefix(PREFIX).rpartition(".")
                own.setdefault(group, {})[name] = tensor
        return cls({group: NoiseReference.from_tensors(parts) for group, parts in own.items()}) if own else None


def _pixels(scans: ScanSet, group: str = "") -> Iterator[np.ndarray]:
    return (scans.read(index).pixels for index, item in enumerate(scans) if item.group == group or not group)
