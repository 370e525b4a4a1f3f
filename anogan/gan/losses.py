"""Losses: one value per sample; they know nothing of data, devices or optimizers.

Relativistic pairing with zero-centered gradient penalties on real and generated images (R3GAN: Huang et al., NeurIPS
2024, equations 2 to 4). The penalties take the finite-difference form, which needs no double backward pass: for
standard normal e the mean of ((D(x + s e) - D(x)) / s)^2 tends to the squared gradient norm as s falls.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

PENALTY_STEP = 0.05  # s above, in units of [-1, 1]: small against the image, large against bfloat16 rounding


def discriminator_loss(real: Tensor, generated: Tensor) -> Tensor:
    """Return softplus(D(G(z)) - D(x)), (N,): a real image should look more real than the generated one beside it."""
    return F.softplus(generated - real)


def generator_loss(real: Tensor, generated: Tensor) -> Tensor:
    """Return softplus(D(x) - D(G(z))), (N,)."""
    return F.softplus(real - generated)


def gradient_penalty(judge: Callable[[Tensor], Tensor], x: Tensor, logits: Tensor) -> Tensor:
    """Return the finite-difference estimate of |dD/dx|^2 at every image, (N,).

    Parameters
    ----------
    judge
        Image logits, (N, C, S, S) -> (N,).
    x
        Images, (N, C, S, S).
    logits
        `judge(x)`, already at hand.
    """
    nearby = judge(x + PENALTY_STEP * torch.randn_like(x))
    return ((nearby - logits) / PENALTY_STEP).square()


def pixel_loss(logits: Tensor, target: Tensor) -> Tensor:
    """Return the cross-entropy of the pixel logits against how fake each pixel is, (N,); both are (N, S, S).

    Fake pixels weigh more the rarer they are in their image, by the square root of the ratio: a speck of twenty pixels
    would otherwise be lost among thousands, and full balance would make false alarms too cheap.
    """
    share = target.mean((1, 2), keepdim=True)
    weight = 1 + target * (((1 - share) / (share + 1e-3)).sqrt() - 1).clamp_min(0)
    loss = F.binary_cross_entropy_with_logits(logits, target, reduction="none")
    return (loss * weight).mean((1, 2))


def feature_residual(features: list[Tensor], others: list[Tensor], size: int) -> Tensor:
    """Return the distance of two images in discriminator features at every place, (N, S, S).

    Each level is divided by its own mean square in that image, so that no level outweighs another; the levels are
    averaged on the image's grid.
    """
    total = torch.zeros(len(features[0]), size, size, device=features[0].device)
    for level, other in zip(features, others, strict=True):
        scale = level.detach().float().square().mean((1, 2, 3), keepdim=True) + 1e-6
        distance = (level.float() - other.float()).square().mean(1, keepdim=True) / scale
        total = total + F.interpolate(distance, size=(size, size), mode="bilinear", align_corners=False).squeeze(1)
    return total / len(features)


def pixel_residual(x: Tensor, reconstruction: Tensor) -> Tensor:
    """Return the mean absolute difference over the channels, (N, S, S)."""
    return (x.float() - reconstruction.float()).abs().mean(1)


def top_mean(maps: Tensor, share: float) -> Tensor:
    """Return the mean of the largest `share` of each map's pixels (at least one), (N, S, S) -> (N,)."""
    flat = maps.flatten(1)
    return flat.topk(max(1, round(share * flat.shape[1])), dim=1).values.mean(1)
