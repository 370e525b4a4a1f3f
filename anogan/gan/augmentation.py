"""What is done to an image before a network sees it in training."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from anogan.config import AugmentationConfig


def augment(x: Tensor, config: AugmentationConfig) -> Tensor:
    """Flip and turn images as the anatomy allows, (N, C, S, S); half of the batch each."""
    if config.flip_horizontal:
        x = torch.where(_coin(x), x.flip(3), x)
    if config.flip_vertical:
        x = torch.where(_coin(x), x.flip(2), x)
    if config.rotate:
        x = torch.where(_coin(x), x.transpose(2, 3), x)
    if config.color:
        n, channels = x.shape[:2]
        gain = 1 + config.color * (2 * torch.rand(n, channels, 1, 1) - 1).to(x)
        x = ((x + 1) * gain - 1).clamp(-1, 1)  # black stays black
    return x


def perturb(x: Tensor, config: AugmentationConfig) -> Tensor:
    """Change brightness, contrast and place and cut a square out (DiffAugment: Zhao et al., NeurIPS 2020).

    Real and generated images both pass through it on their way to the image logit, so that a few hundred images do not
    let the discriminator learn them by heart.
    """
    n, _, size, _ = x.shape
    x = x + config.brightness * _signed(n, x)
    mean = x.mean((1, 2, 3), keepdim=True)
    x = (x - mean) * (1 + config.contrast * _signed(n, x)) + mean
    reach = round(config.shift * size)
    if reach:
        rows, columns = torch.randint(0, 2 * reach + 1, (2,)).tolist()
        x = F.pad(x, (reach, reach, reach, reach), mode="reflect")[:, :, rows : rows + size, columns : columns + size]
    hole = round(config.cutout * size)
    if hole:
        axis = torch.arange(size).to(x.device)
        top, left = (torch.randint(-hole // 2, size - hole // 2, (n, 1)).to(x.device) for _ in range(2))
        inside_rows = (axis >= top) & (axis < top + hole)  # (N, S)
        inside_columns = (axis >= left) & (axis < left + hole)
        inside = inside_rows[:, None, :, None] & inside_columns[:, None, None, :] & _coin(x)
        x = torch.where(inside, torch.zeros_like(x), x)
    return x


def _coin(x: Tensor) -> Tensor:
    return (torch.rand(len(x), 1, 1, 1) < 0.5).to(x.device)


def _signed(n: int, like: Tensor) -> Tensor:
    return (2 * torch.rand(n, 1, 1, 1) - 1).to(like)
