"""Latent inversion: which latent makes the generator draw this image?

The encoder guesses (Schlegl et al., f-AnoGAN, Medical Image Analysis 2019); gradient descent on the latent may refine
the guess, for a whole batch at once. The refinement descends the residual that is later reported.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor, nn

from anogan.config import InversionConfig
from anogan.gan.losses import feature_residual, pixel_residual
from anogan.gan.networks import Discriminator

Objective = Callable[[Tensor, Tensor], Tensor]  # images and reconstructions, (N, C, S, S) twice -> scores (N,)


class Inversion(NamedTuple):
    """The healthy counterpart of a batch."""

    latent: Tensor  # (N, Z)
    reconstruction: Tensor  # (N, C, S, S), about in [-1, 1]
    restarts: Tensor | None  # (R, N, Z) where each start ended; None where there was one


def residual_maps(
    x: Tensor, reconstruction: Tensor, discriminator: Discriminator, features: list[Tensor] | None = None
) -> tuple[Tensor, Tensor]:
    """Return the residual in pixels and in discriminator features, each (N, S, S); `features` of x if at hand."""
    of_x = discriminator.features(x) if features is None else features
    in_features = feature_residual(of_x, discriminator.features(reconstruction), x.shape[-1])
    return pixel_residual(x, reconstruction), in_features


def invert(
    x: Tensor,
    generator: nn.Module,
    encoder: nn.Module,
    objective: Objective,
    config: InversionConfig,
    callback: Callable[[int, Tensor], None] | None = None,
) -> Inversion:
    """Find latents whose images are close to `x`.

    Parameters
    ----------
    x
        Images, (N, C, S, S) in [-1, 1].
    objective
        What the refinement descends: the residual score that is reported of an image and its reconstruction.
    config
        Steps of refinement (0: the encoder's guess stands), restarts around the guess, patience of the early exit.
    callback
        Called with the step and the best score so far, (restarts * N,).

    Returns
    -------
    Inversion
        Never worse than the encoder's guess by the objective: the best latent seen is kept, per image.
    """
    with torch.no_grad():
        guess = encoder(x).float()
    if config.steps == 0 and config.restarts == 1:
        with torch.no_grad():
            return Inversion(guess, generator(guess).float(), None)

    n, restarts = len(x), config.restarts
    target = x.repeat(restarts, 1, 1, 1)
    start = guess.repeat(restarts, 1)
    # The first start is the guess itself; the others lie around it at half the latent's own spread.
    # The same offsets for every image, so that its result does not depend on the batch it came in.
    offsets = torch.randn(restarts - 1, 1, guess.shape[1], generator=torch.Generator().manual_seed(0)).to(guess)
    start[n:] += 0.5 * offsets.expand(-1, n, -1).reshape(-1, guess.shape[1])
    latent = start.clone().requires_grad_()
    optimizer = torch.optim.Adam([latent], lr=config.learning_rate)
    best = torch.full((len(start),), torch.inf, device=x.device)
    best_latent = start.clone()
    waited = torch.zeros(len(start), dtype=torch.long, device=x.device)
    for step in range(config.steps + 1):
        score = objective(target, generator(latent))
        # An image that has waited long enough is done, also where others of its batch go on: alone it would have ended.
        better = (score.detach() < best) & (waited < config.patience)
        waited = torch.where(better, 0, waited + 1)
        best_latent[better] = latent.detach()[better]
        best = torch.where(better, score.detach(), best)
        if callback is not None:
            callback(step, best)
        if step == config.steps or bool((waited >= config.patience).all()):
            break
        (latent.grad,) = torch.autograd.grad(score.sum(), [latent])
        optimizer.step()

    chosen = best.view(restarts, n).argmin(0)
    ended = best_latent.view(restarts, n, -1)
    latent = ended[chosen, torch.arange(n)]
    with torch.no_grad():
        return Inversion(latent, generator(latent).float(), ended if restarts > 1 else None)
