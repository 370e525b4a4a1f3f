"""From component maps to one map and one number.

Every component speaks its own units; each is standardized on held-out healthy images, so that 0 is the healthy mean
and 1 a healthy standard deviation. The fused map is their weighted sum; the image score is the mean of its top 1 %.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from anogan.blur import gaussian_blur

COMPONENTS = ("discriminator", "residual", "feature_residual", "gaussian", "neighbors", "spectrum")


def top_mean(maps: Tensor, share: float) -> Tensor:
    """Return the mean of the largest `share` of each map's pixels (at least one), (N, S, S) -> (N,)."""
    flat = maps.flatten(1)
    return flat.topk(max(1, round(share * flat.shape[1])), dim=1).values.mean(1)


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
        (N, C, S, S) about in [-1, 1].
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
        The discriminator was taught local fakes, so on local fakes it looks better than it is. The second opinion (the
        residual in features, and the three parts of the healthy reference, all alike) was not taught them, and is
        two-sided. So the weights are not those that do best on the fakes: of the mixtures of the two, from the
        discriminator alone to half and half, the one with the largest share of the second opinion is taken whose mean
        AUROC over the kinds of fake is within `COST`, or within one standard error, of the best (the
        one-standard-error rule: Breiman et al., Classification and Regression Trees, 1984, section 3.4.3). The
        residual in pixels, which mostly measures texture, enters only where it raises that AUROC by more than its
        standard error. No abnormal image is involved.
        """
        count = healthy.shape[1]
        center = gaussian_blur(healthy.mean(0), CENTER_SMOOTHING * healthy.shape[-1])
        scores = torch.stack([top_mean(healthy[:, k] - center[k], top) for k in range(count)])  # (K, N)
        offset, scale = scores.mean(1), scores.std(1).clamp_min(1e-6)
        fusion = cls(center, offset, scale, torch.full((count,), 1 / count), top)
        standardized = fusion.standardize(healthy)
        standardized_fakes = [fusion.standardize(maps) for maps in fakes]

        def wins(weights: Tensor) -> Tensor:
            """Return how often the fake of image j scores above the healthy image i, over the kinds of fake, (N, N)."""
            normal = top_mean(torch.einsum("nkhw,k->nhw", standardized, weights), top)
            odd = [top_mean(torch.einsum("nkhw,k->nhw", maps, weights), top) for maps in standardized_fakes]
            return torch.stack([_wins(normal, scores) for scores in odd]).mean(0)

        alone = dict(zip(COMPONENTS, torch.eye(count), strict=True))
        second = torch.stack([alone[name] for name in SECOND_OPINION]).mean(0)
        mixtures = [torch.lerp(alone["discriminator"], second, share) for share in SHARES]
        won = [wins(weights) for weights in mixtures]
        best = max(won, key=lambda table: float(table.mean()))
        within = [float((best - table).mean()) <= max(COST, _standard_error(best - table)) for table in won]
        chosen = max(index for index, good in enumerate(within) if good)
        weights, table = mixtures[chosen], won[chosen]
        mixed = torch.lerp(weights, alone["residual"], RESIDUAL_SHARE)
        gain = wins(mixed) - table
        if float(gain.mean()) > _standard_error(gain):
            weights = mixed
        return cls(center, offset, scale, weights, top)

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
SECOND_OPINION = ("feature_residual", "gaussian", "neighbors", "spectrum")
SHARES = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5)  # of the second opinion
COST = 0.005  # in AUROC on local fakes: what a second, two-sided opinion may cost
RESIDUAL_SHARE = 0.15
RESAMPLES = 500


def _wins(normal: Tensor, odd: Tensor) -> Tensor:
    """Return 1 where an odd score (column) is above a normal one (row), 1/2 where they are equal, (N, M)."""
    difference = odd[None] - normal[:, None]
    return (difference > 0).float() + 0.5 * (difference == 0).float()


def _standard_error(difference: Tensor) -> float:
    """Return the standard error of the mean of an (N, N) table whose rows and columns are the same N images."""
    n = len(difference)
    counts = np.random.default_rng(0).multinomial(n, np.full(n, 1 / n), size=RESAMPLES)
    drawn = torch.from_numpy(counts).to(difference) / n  # (RESAMPLES, N)
    return float(((drawn @ difference) * drawn).sum(1).std())
