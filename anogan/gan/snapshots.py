"""Image grids of a training run, kept on disk."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from torch import Tensor

from anogan.io import write_png

_GAP = 2  # white pixels around each image


def write_grid(path: Path, images: Tensor, columns: int) -> None:
    """Write images, (N, C, S, S) in [-1, 1], as one RGB PNG with `columns` images a row, or all if there are fewer."""
    pixels = ((images.detach().float().cpu().clamp(-1, 1) + 1) * 127.5).round().numpy().astype(np.uint8)
    count, _, size, _ = pixels.shape
    columns = min(columns, count)
    rows, step = -(-count // columns), size + _GAP
    grid = np.full((rows * step + _GAP, columns * step + _GAP, 3), 255, np.uint8)
    for place, image in enumerate(pixels.transpose(0, 2, 3, 1)):
        top, left = _GAP + step * (place // columns), _GAP + step * (place % columns)
        grid[top : top + size, left : left + size] = image
    write_png(path, grid)
