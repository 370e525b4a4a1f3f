"""Gaussian blur, for fakes, maps and spectra alike."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def gaussian_blur(x: Tensor, sigma: float) -> Tensor:
    """Blur square images with a Gaussian of `sigma` pixels, cut at three, mirrored at the border: (..., S, S).

    As two matrix products: on a CPU they take a tenth of the time of convolutions with a single channel.
    """
    size = x.shape[-1]
    radius = min(max(1, round(3 * sigma)), size - 1)
    offsets = torch.arange(-radius, radius + 1).to(x)
    kernel = torch.exp(-0.5 * (offsets / sigma) ** 2)
    identity = F.pad(torch.eye(size).to(x)[:, None], (radius, radius), mode="reflect")
    matrix = F.conv1d(identity, (kernel / kernel.sum()).view(1, 1, -1)).squeeze(1)  # (S, S): x @ matrix blurs rows
    return matrix.T @ x @ matrix
