"""Synthetic local anomalies: normal images in which a smooth random blob was changed.

They teach the discriminator to judge places, and on held-out healthy images they stand in for the anomalies nobody
has when the fusion is chosen. The idea is that of CutPaste (Li et al., CVPR 2021) and DRAEM (Zavrtanik et al., ICCV
2021), with smooth blobs instead of rectangles and with diffuse kinds (haze, shading, lost texture) beside the local.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from anogan.config import LocalFakesConfig
from anogan.gan.blur import gaussian_blur


def _uniform(n: int, low: float, high: float, like: Tensor) -> Tensor:
    """(N, 1, 1, 1) uniform numbers on the device of `like`; drawn on the CPU so that a seed means the same anywhere."""
    return (low + (high - low) * torch.rand(n, 1, 1, 1)).to(like)


def smooth_noise(n: int, channels: int, size: int, cells: int, like: Tensor) -> Tensor:
    """Return (N, channels, S, S) smooth noise of about unit variance with `cells` bumps along a side."""
    coarse = torch.randn(n, channels, cells + 2, cells + 2).to(like)
    return F.interpolate(coarse, size=(size, size), mode="bicubic", align_corners=False) * 1.3


def blobs(n: int, size: int, smallest: float, largest: float, like: Tensor) -> Tensor:
    """Return (N, 1, S, S) smooth random blobs in [0, 1], soft at the rim.

    Diameters are log-uniform between `smallest` and `largest` (fractions of the side), so that small blobs are as
    common as large ones.
    """
    axis = torch.linspace(0, 1, size).to(like)
    rows, columns = axis.view(1, 1, size, 1), axis.view(1, 1, 1, size)
    ratio = torch.rand(n, 1, 1, 1).to(like)
    radius = 0.5 * smallest * (largest / smallest) ** ratio
    aspect = _uniform(n, 0.6, 1.6, like)
    angle = _uniform(n, 0.0, torch.pi, like)
    y, x = rows - _uniform(n, 0.08, 0.92, like), columns - _uniform(n, 0.08, 0.92, like)
    along = (x * angle.cos() + y * angle.sin()) / aspect
    across = (y * angle.cos() - x * angle.sin()) * aspect
    distance = (along**2 + across**2).sqrt() / radius
    outline = 1 + 0.35 * smooth_noise(n, 1, size, 6, like)
    softness = _uniform(n, 0.05, 0.5, like)
    return torch.sigmoid((outline - distance) / softness * 4).clamp(0, 1)


def _patch(x: Tensor) -> Tensor:
    """Another normal image, turned and shifted, so that what lies in the blob is healthy tissue in the wrong place."""
    other = x[torch.randperm(len(x))]
    if torch.rand(()) < 0.5:
        other = other.flip(3)
    other = torch.rot90(other, int(torch.randint(4, ())), (2, 3))
    rows, columns = (int(shift) for shift in torch.randint(-x.shape[2] // 2, x.shape[2] // 2, (2,)))
    return other.roll((rows, columns), (2, 3))


def _intensity(x: Tensor) -> Tensor:
    """Another brightness, contrast and (in color) hue."""
    n, channels = x.shape[:2]
    gain = _uniform(n, 0.5, 1.5, x)
    shift = _uniform(n, 0.1, 0.7, x) * torch.randn(n, 1, 1, 1).sign().to(x)
    tint = 0.25 * torch.randn(n, channels, 1, 1).to(x) if channels > 1 else 0.0
    return (x * gain + shift + tint).clamp(-1, 1)


def _warp(x: Tensor) -> Tensor:
    """A local bend: every pixel is fetched from a smoothly varying place nearby."""
    n, size = len(x), x.shape[2]
    axis = torch.linspace(-1, 1, size).to(x)
    grid = torch.stack(torch.meshgrid(axis, axis, indexing="xy"), dim=-1)  # (S, S, 2)
    field = smooth_noise(n, 2, size, int(torch.randint(3, 9, ())), x).permute(0, 2, 3, 1)
    bend = _uniform(n, 0.06, 0.2, x)
    return F.grid_sample(x, grid + bend * field, mode="bilinear", padding_mode="reflection", align_corners=True)


def _blur(x: Tensor) -> Tensor:
    return gaussian_blur(x, float(1 + 2 * torch.rand(())))


def _noise(x: Tensor) -> Tensor:
    """Grain of a random size: from single pixels to coarse mottle."""
    n, channels, size = x.shape[:3]
    cells = size // int(torch.randint(1, 6, ()))
    return (x + _uniform(n, 0.1, 0.5, x) * smooth_noise(n, channels, size, cells, x)).clamp(-1, 1)


def _haze(x: Tensor) -> Tensor:
    """Veil: contrast is lost towards a smoothly varying gray (diffuse)."""
    n, size = len(x), x.shape[2]
    veil = _uniform(n, -0.6, 0.9, x) + 0.2 * smooth_noise(n, 1, size, 3, x)
    strength = _uniform(n, 0.15, 0.6, x)
    return (x + strength * (veil - x)).clamp(-1, 1)


def _shading(x: Tensor) -> Tensor:
    """Low-frequency light and dark (diffuse)."""
    n, size = len(x), x.shape[2]
    return (x + _uniform(n, 0.15, 0.45, x) * smooth_noise(n, 1, size, 2, x)).clamp(-1, 1)


def _lost_texture(x: Tensor) -> Tensor:
    """Only the coarse structure is left (diffuse)."""
    return gaussian_blur(x, float(x.shape[2] * (0.03 + 0.06 * torch.rand(()))))


def _fill(x: Tensor) -> Tensor:
    """One flat color, some way off that of the image."""
    n, channels = x.shape[:2]
    return (x.mean((2, 3), keepdim=True) + 0.4 * torch.randn(n, channels, 1, 1).to(x)).clamp(-1, 1).expand_as(x)


def _mosaic(x: Tensor) -> Tensor:
    """Squares of a few pixels, each its own mean."""
    size = x.shape[2]
    return F.interpolate(F.adaptive_avg_pool2d(x, size // int(torch.randint(4, 9, ()))), size=(size, size))


def _streaks(x: Tensor) -> Tensor:
    """Parallel bright and dark lines."""
    n, size = len(x), x.shape[2]
    axis = torch.linspace(0, 1, size).to(x)
    angle, pitch = _uniform(n, 0.0, torch.pi, x), _uniform(n, 0.05, 0.15, x)
    along = axis.view(1, 1, size, 1) * angle.cos() + axis.view(1, 1, 1, size) * angle.sin()
    return (x + _uniform(n, 0.15, 0.5, x) * (2 * torch.pi * along / pitch).sin()).clamp(-1, 1)


def _gamma(x: Tensor) -> Tensor:
    """Another tone curve (diffuse)."""
    n = len(x)
    power = torch.where(torch.rand(n, 1, 1, 1) < 0.5, 0.5, 2.0).to(x)
    return 2 * ((x + 1) / 2).clamp(0, 1) ** power - 1


LOCAL: dict[str, Callable[[Tensor], Tensor]] = {
    "patch": _patch,
    "intensity": _intensity,
    "warp": _warp,
    "blur": _blur,
    "noise": _noise,
}
DIFFUSE: dict[str, Callable[[Tensor], Tensor]] = {"haze": _haze, "shading": _shading, "lost texture": _lost_texture}
# Never taught. How well the discriminator finds these on held-out images tells whether it learned to judge places or
# only learned the kinds above by heart.
UNSEEN_LOCAL: dict[str, Callable[[Tensor], Tensor]] = {"fill": _fill, "mosaic": _mosaic, "streaks": _streaks}
UNSEEN_DIFFUSE: dict[str, Callable[[Tensor], Tensor]] = {"gamma": _gamma}
UNSEEN = (*UNSEEN_LOCAL, *UNSEEN_DIFFUSE)


def local_fakes(x: Tensor, config: LocalFakesConfig, kinds: tuple[str, ...] = ()) -> tuple[Tensor, Tensor]:
    """Change smooth random blobs in every image: one always, up to `config.layers` by chance.

    Parameters
    ----------
    x
        Normal images, (N, C, S, S) in [-1, 1].
    config
        Range of blob sizes, how many blobs at most, the share of diffuse kinds, and how large a change is one.
    kinds
        Names out of `LOCAL`, `DIFFUSE` and `UNSEEN`; all of the first two when empty.

    Returns
    -------
    fakes, mask
        (N, C, S, S) in [-1, 1] and (N, S, S) in [0, 1]: how much of each pixel was replaced, and zero where the
        replacement left the pixel as good as it was (nobody can see a fake there).

    Raises
    ------
    ValueError
        A kind is unknown.
    """
    families = (LOCAL | UNSEEN_LOCAL, DIFFUSE | UNSEEN_DIFFUSE)
    if unknown := set(kinds) - families[0].keys() - families[1].keys():
        known = ", ".join([*families[0], *families[1]])
        raise ValueError(f"local fakes: unknown kind {min(unknown)!r}; known are {known}")
    kinds = kinds or (*LOCAL, *DIFFUSE)
    allowed = [[name for name in family if name in kinds] for family in families]
    shares = [len(names) > 0 for names in allowed]
    diffuse_share = config.diffuse if all(shares) else float(shares[1])
    fakes, mask = x, torch.zeros_like(x[:, :1])
    for layer in range(config.layers):
        diffuse = torch.rand(len(x)) < diffuse_share
        alpha = _outlines(x, diffuse, config)
        if layer:
            alpha = alpha * (torch.rand(len(x), 1, 1, 1) < 0.5).to(x)
        changed = torch.empty_like(x)
        for family, names, chosen in zip(families, allowed, (~diffuse, diffuse), strict=True):
            kind = torch.randint(max(len(names), 1), (len(x),))
            for index, name in enumerate(names):
                rows = (chosen & (kind == index)).nonzero().squeeze(1)
                if len(rows):
                    # A patch needs the whole batch: it takes its content from another image.
                    changed[rows] = _patch(x)[rows] if name == "patch" else family[name](fakes[rows])
        if config.cut_out:
            alpha = alpha * _inside(fakes) * _inside(changed)
        fakes, before = torch.lerp(fakes, changed, alpha), fakes
        change = gaussian_blur((fakes - before).abs().mean(1, keepdim=True), 0.7)
        mask = torch.maximum(mask, alpha * (change > config.visible))
    return fakes, mask.squeeze(1)


def _inside(x: Tensor) -> Tensor:
    """Return 1 where a cut-out object is and 0 on the black around it, (N, 1, S, S)."""
    return (x.amax(1, keepdim=True) > -0.9).to(x)


def _outlines(x: Tensor, diffuse: Tensor, config: LocalFakesConfig) -> Tensor:
    """Return where each image changes, (N, 1, S, S): a blob, or for the diffuse kinds a large soft region."""
    n, size = len(x), x.shape[2]
    small = blobs(n, size, config.smallest, config.largest, x)
    large = blobs(n, size, 0.5, 2.0, x)
    return torch.where(diffuse.view(n, 1, 1, 1).to(x.device), large, small)
