"""Generator, discriminator and encoder: plain modules that know nothing of data, losses or devices.

All three are residual and free of normalization, with a zero-initialized last convolution in every block, so that a
block starts as the identity (R3GAN: Huang et al., NeurIPS 2024, section 4). The discriminator is a U-Net (Schönfeld et
al., CVPR 2020): it judges the image and every place in it. The full-resolution work is one strided convolution, which
is what makes training on a CPU affordable; above 64 pixels its patches grow with the side (a "patchify" stem, as in
Liu et al., CVPR 2022), so that a finer grid costs little more.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from typing import Any, NamedTuple, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from anogan.config import Config

STAGES = 4  # of residual blocks; between them the grid halves (or doubles)
GRID = 32  # the finest grid that residual blocks see has this side at 64, 128, 256 and 512 pixels
FEATURE_STAGES = 2  # of the expanding half; the last one speaks of pixels, no longer of what lies there
DRAWN = 16  # channels the generator draws from at full resolution
SLOPE = 0.2


def _init(layer: nn.Conv2d | nn.Linear, gain: float = 2**0.5) -> nn.Module:
    """He initialization; a gain of zero makes the residual branch start silent."""
    if gain == 0:
        nn.init.zeros_(layer.weight)
    else:
        fan_in = layer.weight[0].numel()
        nn.init.normal_(layer.weight, std=gain / fan_in**0.5)
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
    return layer


class _Bounded(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.save_for_backward(x)
        return x.clamp(-1, 1)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        (x,) = ctx.saved_tensors
        outward = (x.abs() > 1) & (x * gradient < 0)  # a step against the gradient would lead further out
        return gradient.masked_fill(outward, 0)


def bounded(x: Tensor) -> Tensor:
    """Return x clamped to [-1, 1]; outside, only the gradient that leads back in passes (projected descent).

    tanh would be flat there: a generator that loses the game for a while would be stuck. Without a bound it runs off.
    """
    return cast(Tensor, _Bounded.apply(x))


class ResidualBlock(nn.Module):
    """`x + f(x)` with two 3 x 3 convolutions; a 1 x 1 convolution changes the width where it must."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.project = _init(nn.Conv2d(inputs, outputs, 1, bias=False), 1.0) if inputs != outputs else nn.Identity()
        self.first = _init(nn.Conv2d(inputs, outputs, 3, padding=1))
        self.second = _init(nn.Conv2d(outputs, outputs, 3, padding=1, bias=False), 0)

    def forward(self, x: Tensor) -> Tensor:
        hidden = F.leaky_relu(self.first(F.leaky_relu(x, SLOPE)), SLOPE)
        return self.project(x) + self.second(hidden)


def stem_stride(size: int) -> int:
    """Return how many pixels of a side one place of the finest grid covers: 2 below 128 pixels, 4 below 256, then 8."""
    return max(2, 2 ** int(math.log2(size // GRID)))


def _coarsest(size: int) -> int:
    return size // (stem_stride(size) * 2 ** (STAGES - 1))


def _widths(width: int) -> list[int]:
    """Channels of the four grids, finest first."""
    return [width, 2 * width, 4 * width, 4 * width]


class Trunk(nn.Module):
    """The contracting half that discriminator and encoder share in shape (not in weights)."""

    def __init__(self, channels: int, size: int, width: int) -> None:
        super().__init__()
        widths, stride = _widths(width), stem_stride(size)
        self.stem = _init(nn.Conv2d(channels, width, 2 * stride, stride=stride, padding=stride // 2))
        self.stages = nn.ModuleList(
            ResidualBlock(inputs, outputs) for inputs, outputs in zip(widths[:1] + widths[:-1], widths, strict=True)
        )

    def forward(self, x: Tensor) -> list[Tensor]:
        levels = []
        hidden = self.stem(x)  # (N, w, G, G), G = S / stride
        for index, stage in enumerate(self.stages):
            hidden = stage(hidden)
            levels.append(hidden)  # (N, ., G, G) ... (N, ., G/8, G/8)
            if index < STAGES - 1:
                hidden = F.avg_pool2d(hidden, 2)
        return levels


class Judgment(NamedTuple):
    """What the discriminator says of a batch."""

    image: Tensor  # (N,) logit, higher = more real
    pixels: Tensor  # (N, S, S) logits, higher = more anomalous
    features: list[Tensor]  # (N, C_l, S_l, S_l), finest first


class Discriminator(nn.Module):
    """U-Net discriminator: one logit for the image, one for every pixel, and the features between.

    Parameters
    ----------
    channels, size, width
        Channels and side of the images (a multiple of eight times its `stem_stride`), channels of the finest grid.
    """

    def __init__(self, channels: int, size: int, width: int) -> None:
        super().__init__()
        widths = _widths(width)
        self.stride = stem_stride(size)
        self.trunk = Trunk(channels, size, width)
        self.image_head = nn.Linear(widths[-1] * _coarsest(size) ** 2, 1)
        _init(self.image_head, 1.0)
        deep_to_fine = widths[::-1]
        self.lateral = nn.ModuleList(
            _init(nn.Conv2d(deep, skip, 1, bias=False), 1.0)
            for deep, skip in zip(deep_to_fine[:-1], deep_to_fine[1:], strict=True)
        )
        self.norms = nn.ModuleList(nn.GroupNorm(8, skip) for skip in deep_to_fine[1:])
        self.expand = nn.ModuleList(ResidualBlock(skip, skip) for skip in deep_to_fine[1:])
        self.pixel_head = _init(nn.Conv2d(widths[0], self.stride**2, 3, padding=1), 1.0)

    def judge_image(self, x: Tensor) -> Tensor:
        """Return only the image logits, (N,): the expanding half is not run."""
        return self._image_logit(self.trunk(x))

    def _image_logit(self, levels: list[Tensor]) -> Tensor:
        return self.image_head(F.leaky_relu(levels[-1], SLOPE).flatten(1)).squeeze(1)  # (N,)

    def features(self, x: Tensor) -> list[Tensor]:
        """Return only the features of a judgment: neither the last, finest stage nor the heads are run."""
        levels = self.trunk(x)
        return levels[:-1] + self._expand(levels, FEATURE_STAGES)

    def _expand(self, levels: list[Tensor], stages: int) -> list[Tensor]:
        """Return the outputs of the first `stages` stages of the expanding half, coarsest first."""
        hidden = levels[-1]
        expanded = []
        parts = zip(self.lateral, self.norms, self.expand, levels[-2::-1], strict=True)
        for lateral, norm, block, skip in itertools.islice(parts, stages):
            hidden = block(norm(F.interpolate(lateral(hidden), scale_factor=2.0, mode="nearest") + skip))
            expanded.append(hidden)  # (N, ., G/4, G/4) ... (N, w, G, G)
        return expanded

    def forward(self, x: Tensor) -> Judgment:
        levels = self.trunk(x)  # x: (N, C, S, S)
        expanded = self._expand(levels, STAGES - 1)
        logits = self.pixel_head(F.leaky_relu(expanded[-1], SLOPE))  # (N, stride^2, G, G)
        pixels = F.pixel_shuffle(logits, self.stride).squeeze(1)  # (N, S, S)
        return Judgment(self._image_logit(levels), pixels, levels[:-1] + expanded[:FEATURE_STAGES])


class Generator(nn.Module):
    """Latent (N, Z) to image (N, C, S, S) in [-1, 1]; mirrors the contracting half."""

    def __init__(self, channels: int, size: int, width: int, latent: int) -> None:
        super().__init__()
        widths = _widths(width)[::-1]
        self.latent = latent
        self.side, self.size = _coarsest(size), size
        self.project = _init(nn.Linear(latent, widths[0] * self.side**2), 1.0)
        self.stages = nn.ModuleList(
            ResidualBlock(inputs, outputs) for inputs, outputs in zip(widths[:1] + widths[:-1], widths, strict=True)
        )
        self.narrow = _init(nn.Conv2d(widths[-1], DRAWN, 3, padding=1))
        self.output = _init(nn.Conv2d(DRAWN, channels, 3, padding=1), 1.0)

    def forward(self, z: Tensor) -> Tensor:
        hidden = self.project(z).unflatten(1, (-1, self.side, self.side))  # (N, 4w, G/8, G/8)
        for index, stage in enumerate(self.stages):
            hidden = stage(hidden)
            if index < STAGES - 1:
                hidden = F.interpolate(hidden, scale_factor=2.0, mode="bilinear", align_corners=False)
        hidden = self.narrow(F.leaky_relu(hidden, SLOPE))  # (N, 16, G, G): full resolution is dear
        hidden = F.interpolate(hidden, size=(self.size, self.size), mode="bilinear", align_corners=False)
        # The image is drawn at full resolution: sub-pixels side by side leave a checkerboard.
        return bounded(self.output(F.leaky_relu(hidden, SLOPE)))  # (N, C, S, S)


class Encoder(nn.Module):
    """Image (N, C, S, S) to latent (N, Z): the first guess of the inversion."""

    def __init__(self, channels: int, size: int, width: int, latent: int) -> None:
        super().__init__()
        self.trunk = Trunk(channels, size, width)
        self.head = _init(nn.Linear(4 * width * _coarsest(size) ** 2, latent), 1.0)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(F.leaky_relu(self.trunk(x)[-1], SLOPE).flatten(1))  # (N, Z)


@dataclass(frozen=True)
class Networks:
    """The three that belong together."""

    generator: Generator
    discriminator: Discriminator
    encoder: Encoder

    @classmethod
    def build(cls, config: Config) -> Networks:
        """Return untrained networks of the profile's sizes."""
        channels, size = config.input.channels, config.input.size
        width, latent = config.network.width, config.network.latent
        return cls(
            Generator(channels, size, width, latent),
            Discriminator(channels, size, width),
            Encoder(channels, size, width, latent),
        )
