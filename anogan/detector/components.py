"""What the networks and the reference say of images, before anything is standardized."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor

from anogan.config import InversionConfig
from anogan.detector.fusion import COMPONENT_TOP, COMPONENTS, Fusion
from anogan.detector.reference import Reference
from anogan.gan.blur import gaussian_blur
from anogan.gan.inversion import invert, residual_maps
from anogan.gan.losses import top_mean
from anogan.gan.networks import Discriminator, Networks

TOGETHER = 4
"""Images that the networks see at once, always: other numbers of images take other arithmetic, and a score must not
depend on its company. One alone costs as much as four; more at once gain little (`benchmarks/company.py`)."""

RESIDUALS = [COMPONENTS.index("residual"), COMPONENTS.index("feature_residual")]


def in_fours(images: Tensor) -> Iterator[tuple[Tensor, int]]:
    """Yield images, (N, C, S, S), `TOGETHER` at a time, and how many count: the last one is repeated to fill up."""
    for some in images.split(TOGETHER):
        yield some[torch.arange(TOGETHER).clamp_max(len(some) - 1)], len(some)


def raw_maps(
    x: Tensor, networks: Networks, reference: Reference, fusion: Fusion, settings: InversionConfig
) -> tuple[Tensor, Tensor, Tensor | None]:
    """Return the raw component maps (N, K, S, S), the reconstruction and how much the image score varies, (N,).

    That is its standard deviation over the restarts of the inversion; None where there is one start.

    Parameters
    ----------
    x
        (N, C, S, S) in [-1, 1].
    fusion
        Says in which units the refinement of the inversion descends, and makes the image score.
    """
    x = x.contiguous(memory_format=torch.channels_last)
    discriminator = networks.discriminator
    with torch.no_grad():
        judged = discriminator(x)
    repeated = [level.repeat(settings.restarts, 1, 1, 1) for level in judged.features]
    objective = partial(_residual_score, discriminator=discriminator, fusion=fusion, features=repeated)
    inversion = invert(x, networks.generator, networks.encoder, objective, settings)
    with torch.no_grad():
        maps = [
            F.softplus(judged.pixels),  # a bounded floor: how sure it is of the background is no evidence
            *residual_maps(x, inversion.reconstruction, discriminator, judged.features),
            *reference.distances(judged.features, x),
        ]
        raw = _smooth(maps)
        if inversion.restarts is None:
            return raw, inversion.reconstruction, None
        scores = []
        for latent in inversion.restarts:
            counterpart = networks.generator(latent).float()
            other = raw.clone()
            other[:, RESIDUALS] = _smooth(residual_maps(x, counterpart, discriminator, judged.features))
            standardized = fusion.standardize(other)
            scores.append(fusion.score(standardized, fusion.fuse(standardized)))
    # About the first of them, which changes nothing but that equal scores have a deviation of exactly 0.
    return raw, inversion.reconstruction, (torch.stack(scores) - scores[0]).std(0)


def _smooth(maps: Iterable[Tensor]) -> Tensor:
    return torch.stack([gaussian_blur(m.float(), 1.0) for m in maps], dim=1)


def _residual_score(
    x: Tensor, reconstruction: Tensor, *, discriminator: Discriminator, fusion: Fusion, features: list[Tensor]
) -> Tensor:
    """Return the residuals' part of the fused map, the mean of its top 4 %, (N,): what the refinement descends."""
    maps = _smooth(residual_maps(x, reconstruction, discriminator, features))
    weights = fusion.weights[RESIDUALS]
    if weights.sum() == 0:  # the residuals do not enter the score: refine for the picture's sake
        weights = torch.full((2,), 0.5)
    standardized = maps / fusion.scale[RESIDUALS][:, None, None]
    # That of a few pixels, as in the image score, would leave the rest of the picture as it is.
    return top_mean(torch.einsum("nkhw,k->nhw", standardized, weights), COMPONENT_TOP)
