"""Image grids of a training run, kept on disk."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from anogan.io import write_png


@functools.cache
def import_torchvision() -> Any:
    """Return the module torchvision.

    torchvision's wheels on PyPI are linked against CUDA; beside a CPU build of torch their compiled operators do not
    load, and the import then stops at the shape functions of two operators it cannot find. Declaring the two lets the
    import finish; nothing here calls them.
    """
    try:
        import torchvision.utils
    except RuntimeError:
        library = torch.library.Library("torchvision", "FRAGMENT")
        for operator in ("nms", "qnms"):
            library.define(f"{operator}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
        import_torchvision.library = library  # type: ignore[attr-defined]  # the declaration lives as long as this
        import torchvision.utils
    return torchvision


def write_grid(path: Path, images: Tensor, columns: int) -> None:
    """Write images, (N, C, S, S) in [-1, 1], as one PNG with `columns` images a row."""
    grid = import_torchvision().utils.make_grid(
        images.detach().float().cpu().clamp(-1, 1), nrow=columns, padding=2, pad_value=1.0
    )
    pixels = ((grid + 1) * 127.5).round().to(torch.uint8).permute(1, 2, 0).numpy()
    write_png(path, pixels)
