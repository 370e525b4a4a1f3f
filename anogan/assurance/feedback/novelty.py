"""The novelty gate: which patches of a dismissed image may enter the healthy bank.

Readers err, and a lesion that was dismissed by mistake must not teach the detector that lesions are healthy. So one
word is not enough; a patch enters only if

1. the discriminator alone would not flag its image: it was taught to see local anomalies, and is not changed here;
2. no patch of its image is extreme: more than `EXTREME` times as far from the bank as any patch of a calibration image;
3. it is novel: farther from the bank than 95 % of the calibration images' patches. What is nearer, the bank knows;
4. the dismissed images of two persons show it: novel patches of both lie as near as the bank lies to 95 % of healthy
   patches. A variant of the norm is seen twice; a mistake seldom makes two alike. Whose image is not known may be of
   either, and does not count;
5. no refused image shows the like: what made one of them suspicious is not healthy in another;
6. there is room: feedback adds at most `SHARE` of the bank in one version.

Many readers who all call the same faint lesion a variant, in many people, in none of whom the discriminator sees it,
look like a variant of the norm. That is what the comparison of the versions and the admin are for.

All limits come from the untouched calibration images, which are healthy.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from anogan.detector.fusion import component_scores

EXTREME = 1.5
USUAL = 0.95
SHARE = 0.05
UNKNOWN = -1


@dataclass(frozen=True, eq=False)
class Gate:
    """The limits.

    Attributes
    ----------
    healthy
        (S, S) mean of the discriminator's maps of the calibration images.
    beyond
        (n,) how much more each of them shows somewhere.
    rate
        The operating point's false-alarm rate: a p-value of the discriminator that is not above it is refused.
    usual, extreme
        Distances from the bank.
    """

    healthy: Tensor
    beyond: np.ndarray
    rate: float
    usual: float
    extreme: float

    @classmethod
    def fit(cls, maps: Tensor, distances: np.ndarray, rate: float) -> Gate:
        """Find the limits.

        Parameters
        ----------
        maps
            (n, S, S) of the discriminator, of the calibration images.
        distances
            (n, H, W) of the calibration images' patches from the bank.
        rate
            The false-alarm rate, in (0, 1).
        """
        healthy = maps.mean(0)
        usual, extreme = float(np.quantile(distances, USUAL)), EXTREME * float(distances.max())
        return cls(healthy, _beyond(maps, healthy), rate, usual, extreme)

    def refusal(self, judged: Tensor, distances: np.ndarray) -> str:
        """Say why an image may not enter; "" if it may.

        Parameters
        ----------
        judged
            (S, S) the discriminator's map of it.
        distances
            (H, W) of its patches from the bank.
        """
        beyond = float(_beyond(judged[None], self.healthy)[0])
        p_value = (1 + int((self.beyond >= beyond).sum())) / (len(self.beyond) + 1)
        if not np.isfinite(beyond) or p_value <= self.rate:
            return f"the discriminator alone would flag it (p = {p_value:.3g}); look at it again"
        if not float(distances.max()) <= self.extreme:
            return (
                f"a place in it is {distances.max():.3g} from anything healthy, where {self.extreme:.3g} is extreme; "
                "look at it again"
            )
        if not float(distances.max()) > self.usual:
            return "there is nothing new in it: the bank knows all of it"
        return ""


def choose(
    patches: Tensor, owners: Sequence[int], bank: Tensor, usual: float, suspicious: Tensor | None = None
) -> list[int]:
    """Return which patches enter the bank, the farthest first, until all that may enter are covered or room is out.

    Parameters
    ----------
    patches
        (M, D) of the images that the gate did not refuse.
    owners
        (M,) whose each is: the same number for the same person, `UNKNOWN` for nobody knows whose.
    bank
        (K, D)
    usual
        The gate's.
    suspicious
        (R, D) patches of the images that the gate refused, or None.

    Returns
    -------
    list[int]
        Indices of patches, at most `SHARE` of K.
    """
    if not len(patches):
        return []
    nearest = _nearest(patches, bank)
    novel = torch.nonzero(nearest > usual).flatten()
    if suspicious is not None and len(suspicious):
        doubted = suspicious[_nearest(suspicious, bank) > usual]
        if len(doubted) and len(novel):
            novel = novel[_nearest(patches[novel], doubted) > usual]
    own, found = torch.tensor(owners)[novel], patches[novel]
    named = own.unique()
    whose = (own[:, None] == named[named != UNKNOWN]).float()  # (novel, persons)
    persons = torch.cat([((torch.cdist(part, found) <= usual).float() @ whose > 0).sum(1) for part in found.split(256)])
    left = novel[persons >= 2]
    distance = nearest[left]
    chosen: list[int] = []
    while len(chosen) < int(SHARE * len(bank)) and len(left) and float(distance.max()) > usual:
        index = int(distance.argmax())
        chosen.append(int(left[index]))
        distance = torch.minimum(distance, torch.cdist(patches[left], patches[left[index]][None]).squeeze(1))
    return chosen


def _beyond(maps: Tensor, healthy: Tensor) -> np.ndarray:
    """Return the image scores of what maps, (N, S, S), hold beyond what is usual at each place, (N,).

    That is stricter than the detector's own score, where a place that always looks odd can hide another.
    """
    return component_scores((maps - healthy)[:, None])[:, 0].numpy().astype(np.float64)


def _nearest(patches: Tensor, bank: Tensor) -> Tensor:
    return torch.cat([torch.cdist(part, bank).amin(1) for part in patches.split(1024)])
