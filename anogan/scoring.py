"""From component maps to one map and one number.

Every component speaks its own units; each is standardized on held-out healthy images, so that 0 is the healthy mean
and 1 a healthy standard deviation. The fused map is their weighted sum; the image score is the mean of its top 1 %.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

COMPONENTS = ("discriminator", "residual", "feature_residual", "gaussian", "neighbors")


def top_mean(maps: Tensor, share: float) -> Tensor:
    """Return the mean of the largest `share` of each map's pixels (at least one), (N, S, S) -> (N,)."""
    flat = maps.flatten(1)
    return flat.topk(max(1, round(share * flat.shape[1])), dim=1).values.mean(1)


def smooth(maps: Tensor, sigma: float) -> Tensor:
    """Blur maps with a Gaussian of `sigma` pixels, (N, S, S)."""
    radius = max(1, round(3 * sigma))
    offsets = torch.arange(-radius, radius + 1).to(maps)
    kernel = torch.exp(-0.5 * (offsets / sigma) ** 2)
    kernel = kernel / kernel.sum()
    x = F.pad(maps[:, None], (radius, radius, radius, radius), mode="replicate")
    x = F.conv2d(x, kernel.view(1, 1, 1, -1))
    return F.conv2d(x, kernel.view(1, 1, -1, 1)).squeeze(1)


@dataclass(frozen=True, eq=False)
class Maps:
    """What the detector computes of a batch, on the network's grid.

    Attributes
    ----------
    components
        (N, K, S, S), standardized.
    fused
        (N, S, S)
    scores
        (N,)
    reconstruction
        (N, C, S, S) in [-1, 1].
    spread
        (N,) in units of the score, or None without restarts.
    """

    components: Tensor
    fused: Tensor
    scores: Tensor
    reconstruction: Tensor
    spread: Tensor | None


@dataclass(frozen=True, eq=False)
class Fusion:
    """How component maps become one map.

    Attributes
    ----------
    center
        (K, S, S), the healthy mean of each component at each place, smoothed.
    offset, scale
        (K,), healthy mean and standard deviation of each component's own image score.
    weights
        (K,), not negative, sum 1.
    top
        Share of the map whose mean is the image score.
    """

    center: Tensor
    offset: Tensor
    scale: Tensor
    weights: Tensor
    top: float

    @classmethod
    def even(cls, size: int) -> Fusion:
        """Return the fusion before any fit: nothing is standardized, all components weigh the same."""
        count = len(COMPONENTS)
        return cls(
            torch.zeros(count, size, size), torch.zeros(count), torch.ones(count), torch.full((count,), 1 / count), 1.0
        )

    @classmethod
    def fit(cls, healthy: Tensor, fakes: list[Tensor], top: float) -> Fusion:
        """Standardize on held-out healthy images and choose the weights on local fakes made from them.

        Parameters
        ----------
        healthy
            Raw component maps of held-out healthy images, (N, K, S, S).
        fakes
            The same of local fakes, one tensor per kind of fake.
        top
            Share of the map whose mean is the image score.

        Notes
        -----
        Greedy ensemble selection with replacement (Caruana et al., ICML 2004): it starts at the best component alone,
        which has the first few votes, and adds, again and again, whichever component raises the mean AUROC over the
        kinds of fake. Of the mixtures on this path the shortest within one standard error of the best is taken (Breiman
        et al., Classification and Regression Trees, 1984, section 3.4.3), so that a component has to earn its part, and
        on the fakes the fusion is never worse than its best part. No abnormal image is involved.
        """
        count = healthy.shape[1]
        center = torch.stack([smooth(m[None], CENTER_SMOOTHING * m.shape[-1])[0] for m in healthy.mean(0)])
        scores = torch.stack([top_mean(healthy[:, k] - center[k], top) for k in range(count)])  # (K, N)
        offset, scale = scores.mean(1), scores.std(1).clamp_min(1e-6)
        fusion = cls(center, offset, scale, torch.full((count,), 1 / count), top)
        standardized = fusion.standardize(healthy)
        standardized_fakes = [fusion.standardize(maps) for maps in fakes]

        def wins(votes: Tensor) -> Tensor:
            """Return how often the fake of image j scores above the healthy image i, over the kinds of fake, (N, N)."""
            weights = votes / votes.sum()
            normal = top_mean(torch.einsum("nkhw,k->nhw", standardized, weights), top)
            odd = [top_mean(torch.einsum("nkhw,k->nhw", maps, weights), top) for maps in standardized_fakes]
            return torch.stack([_wins(normal, scores) for scores in odd]).mean(0)

        def best(candidates: list[Tensor]) -> tuple[Tensor, Tensor]:
            tried = [(votes, wins(votes)) for votes in candidates]
            return max(tried, key=lambda candidate: float(candidate[1].mean()))

        alone = [F.one_hot(torch.tensor(k), count).float() for k in range(count)]
        votes, won = best(alone)
        path = [(FIRST_VOTES * votes, won)]
        for _ in range(VOTES):
            path.append(best([path[-1][0] + one for one in alone]))
        chosen = _shortest_good([won for _, won in path])
        return cls(center, offset, scale, path[chosen][0] / path[chosen][0].sum(), top)

    def standardize(self, maps: Tensor) -> Tensor:
        """Return maps in healthy standard deviations of their image score, (N, K, S, S)."""
        return (maps - self.center - self.offset[:, None, None]) / self.scale[:, None, None]

    def fuse(self, standardized: Tensor) -> Tensor:
        """Return the weighted sum of standardized maps, (N, S, S)."""
        return torch.einsum("nkhw,k->nhw", standardized, self.weights)

    def score(self, maps: Tensor) -> Tensor:
        """Return the image scores of raw component maps, (N, K, S, S) -> (N,)."""
        return top_mean(self.fuse(self.standardize(maps)), self.top)

    def tensors(self) -> dict[str, Tensor]:
        """Return what `from_tensors` needs beside `top`."""
        return {f"fusion.{name}": getattr(self, name) for name in ("center", "offset", "scale", "weights")}

    @classmethod
    def from_tensors(cls, tensors: Mapping[str, Tensor], top: float) -> Fusion:
        """Rebuild it; KeyError when a tensor is missing."""
        center, offset, scale, weights = (
            tensors[f"fusion.{name}"] for name in ("center", "offset", "scale", "weights")
        )
        return cls(center, offset, scale, weights, top)


CENTER_SMOOTHING = 1 / 16  # of the side: the healthy mean at a place is also that of its neighborhood
FIRST_VOTES = 4  # of the best component, so that a mixture begins with a fifth of another one
VOTES = 12
RESAMPLES = 500


def _wins(normal: Tensor, odd: Tensor) -> Tensor:
    """Return 1 where an odd score (column) is above a normal one (row), 1/2 where they are equal, (N, M)."""
    difference = odd[None] - normal[:, None]
    return (difference > 0).float() + 0.5 * (difference == 0).float()


def _shortest_good(path: list[Tensor]) -> int:
    """Return the first step of a path whose mean is at least the first one's and within a standard error of the best.

    `path` holds (N, N) tables of wins; the standard error is that of the paired difference, by resampling the N images.
    """
    means = [float(won.mean()) for won in path]
    best = int(np.argmax(means))
    n = len(path[0])
    counts = np.random.default_rng(0).multinomial(n, np.full(n, 1 / n), size=RESAMPLES)
    drawn = torch.from_numpy(counts).to(path[0]) / n  # (RESAMPLES, N)
    for index, won in enumerate(path):
        resampled = ((drawn @ (path[best] - won)) * drawn).sum(1)
        if means[index] >= means[0] and means[best] - means[index] <= float(resampled.std()):
            return index
    return best
