"""From component maps to one map and one number.

Every component speaks its own units; each is standardized on held-out healthy images, so that 0 is the mean and 1 the
standard deviation of its healthy image score, the mean of its map's top 4 %. The fused map is their weighted sum. An
image is as odd as the odder of two things, again in healthy standard deviations: the mean of the fused map's top 0.1 %
(something focal) and the mean of the discriminator's whole map (something diffuse, such as haze, that is nowhere
striking).

What healthy images show at a place is not subtracted: where they vary most, lesions lie as well, and it costs .05 of
pixel AUROC on ultrasound (benchmarks/LAB.md). The Gaussians judge each place by itself already.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from anogan.gan.losses import top_mean

COMPONENTS = ("discriminator", "residual", "feature_residual", "gaussian", "neighbors", "spectrum")
NOISE = "noise"  # the component of the second scale: it has a score of its own and no place in the fused map


def component_scores(maps: Tensor) -> Tensor:
    """Return the image score of each component alone, (N, K, S, S) -> (N, K)."""
    return torch.stack([top_mean(parts, COMPONENT_TOP) for parts in maps])


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
        (N,) in healthy standard deviations of the score.
    reconstruction
        (N, C, S, S) about in [-1, 1].
    spread
        (N,) standard deviation of the score over the restarts of the inversion, or None without restarts.
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
    offset, scale
        (K,), healthy mean and standard deviation of each component's own image score; the deviation of its healthy mean
        over the places, where that is larger.
    weights
        (K,), not negative, sum 1.
    level, spread
        (2,), healthy mean and standard deviation of the focal and the diffuse score.
    top
        Share of the fused map whose mean is the focal score.
    """

    offset: Tensor
    scale: Tensor
    weights: Tensor
    level: Tensor
    spread: Tensor
    top: float

    @classmethod
    def even(cls) -> Fusion:
        """Return the fusion before any fit: nothing is standardized, all components weigh the same."""
        count = len(COMPONENTS)
        zeros, ones = torch.zeros(count), torch.ones(count)
        return cls(zeros, ones, ones / count, zeros[:2], ones[:2], 1.0)

    @classmethod
    def fit(cls, healthy: Tensor, rounded: Tensor, fakes: list[Tensor], top: float) -> Fusion:
        """Standardize on held-out healthy images and choose the weights on local fakes made from them.

        Parameters
        ----------
        healthy
            Raw component maps of held-out healthy images, (N, K, S, S).
        rounded
            Those of the first M of these images where they are rounded otherwise, (M, K, S, S): no component counts as
            steadier than that.
        fakes
            The same of local fakes, one tensor per kind of fake.
        top
            Share of the fused map whose mean is the focal score.

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
        scores = component_scores(healthy)
        # A component that tells places apart rather than images, an unfinished discriminator say, gets no say by it.
        places = healthy.mean(0).flatten(1).std(1)
        scale = torch.maximum(torch.maximum(scores.std(0), places), _apart(component_scores(rounded), scores))
        fusion = replace(cls.even(), offset=scores.mean(0), scale=scale, top=top)
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
        return fusion.weigh(weights, healthy, rounded)

    def weigh(self, weights: Tensor, healthy: Tensor, rounded: Tensor) -> Fusion:
        """Return this fusion with other weights, its scores standardized on healthy images; parameters as of `fit`."""
        weighed = replace(self, weights=weights)
        parts, others = (
            weighed._parts(standardized, weighed.fuse(standardized))
            for standardized in (self.standardize(healthy), self.standardize(rounded))
        )
        return replace(weighed, level=parts.mean(0), spread=torch.maximum(parts.std(0), _apart(others, parts)))

    def standardize(self, maps: Tensor) -> Tensor:
        """Return maps in healthy standard deviations of their image score, (N, K, S, S)."""
        return (maps - self.offset[:, None, None]) / self.scale[:, None, None]

    def fuse(self, standardized: Tensor) -> Tensor:
        """Return the weighted sum of standardized maps, (N, S, S)."""
        return torch.einsum("nkhw,k->nhw", standardized, self.weights)

    def score(self, standardized: Tensor, fused: Tensor) -> Tensor:
        """Return the image scores, (N,), of standardized maps, (N, K, S, S), and their sum, (N, S, S)."""
        parts = (self._parts(standardized, fused) - self.level) / self.spread
        # The diffuse part is the discriminator's: where it has no weight, it has no say.
        return parts.amax(1) if self.weights[0] > 0 else parts[:, 0]

    def _parts(self, standardized: Tensor, fused: Tensor) -> Tensor:
        """Return the focal and the diffuse score, not standardized, (N, 2)."""
        return torch.stack([top_mean(fused, self.top), standardized[:, 0].mean((1, 2))], dim=1)

    def tensors(self) -> dict[str, Tensor]:
        """Return what `from_tensors` needs beside `top`."""
        return {f"fusion.{name}": getattr(self, name) for name in TENSORS}

    @classmethod
    def from_tensors(cls, tensors: Mapping[str, Tensor], top: float) -> Fusion:
        """Rebuild it; KeyError when a tensor is missing."""
        return cls(**{name: tensors[f"fusion.{name}"] for name in TENSORS}, top=top)


TENSORS = ("offset", "scale", "weights", "level", "spread")
COMPONENT_TOP = 0.04  # of a component's map: the healthy spread of a few pixels would be mostly chance
SECOND_OPINION = ("feature_residual", "gaussian", "neighbors", "spectrum")
SHARES = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5)  # of the second opinion
COST = 0.005  # in AUROC on local fakes: what a second, two-sided opinion may cost
RESIDUAL_SHARE = 0.15
RESAMPLES = 500


def _apart(rounded: Tensor, scores: Tensor) -> Tensor:
    """Return the root mean square of what other rounding changes in the scores of the first M images, (N, K) -> (K,).

    Where that is nothing at all, the score is the same whatever the image, and 1 divides it as well as any number.
    """
    apart = (rounded - scores[: len(rounded)]).square().mean(0).sqrt()
    return torch.where(apart > 0, apart, torch.where(scores.std(0) > 0, apart, 1.0))


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
