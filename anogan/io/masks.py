"""Masks: where an image is abnormal, whichever way it was drawn."""

from __future__ import annotations

import os

import numpy as np
from scipy import ndimage

from anogan.io import read_scan
from anogan.io.decoded import Picture
from anogan.io.files import kind_of
from anogan.io.raster import read_picture

_DARKEST = 64 / 255
"""A lossy mask that is darker than this everywhere is all noise."""
_TRACE = 1 / 16
"""Of the brightest value: up to this, a flat area may be what resampling or compression left."""
_NOISE = 1 / 4
"""Of the brightest value: up to this, so may be a single bright pixel."""


class Blank(ValueError):
    """A mask that can be read and marks nothing."""


def read_mask(path: str | os.PathLike[str]) -> np.ndarray:
    """Read where an image is abnormal.

    Black is outside: 0 in gray, black in color, and what is transparent. Where paint is black on a transparent ground,
    or all colors of a palette are one, opacity and the palette's numbers (0 is outside) tell the region.

    All that is not 0 is inside, whatever its number, where every value is somewhere the brightest of its surroundings:
    0 and 1, 0 and 255, classes. Other values come from soft edges, resampling and lossy compression, and there the
    region is what is brighter than half of the brightest value.

    Returns
    -------
    (H, W) bool, upright; some of it is True and some is False.

    Raises
    ------
    Blank
        Nothing is marked.
    ValueError
        The file cannot be read as one image, or the region cannot be known: everything is marked, or the
        whole border and most of the image, as in a mask drawn black on white; values below 0; areas of a lower value
        beside soft edges, or faint speckles; a palette whose first color is not black while another is; colors that
        tell another region than their opacity, or black among them; a dark picture in a lossy format.
    """
    name = os.fspath(path)
    if kind_of(path) == "raster":
        picture = read_picture(path)
        levels, lossy = _levels(name, picture), picture.lossy
        if lossy and 0 < levels.max() < _DARKEST:
            raise _unclear(
                f"{name}: the mask is {picture.format} and no brighter than {levels.max() * 255:.0f} of 255, where "
                "region and noise cannot be told apart"
            )
    else:
        levels, lossy = _brightness(read_scan(path).pixels), False
        if levels.min() == levels.max():
            raise _unclear(f"{name}: the mask has one value everywhere and marks no region")
    inside = _inside(name, levels, lossy)
    if not inside.any():
        raise Blank(str(_unclear(f"{name}: the mask marks nothing of the image")))
    if inside.all():
        raise _unclear(f"{name}: the mask marks all of the image")
    border = np.concatenate([inside[0], inside[-1], inside[:, 0], inside[:, -1]])
    if border.all() and inside.mean() > 0.5:
        raise _unclear(
            f"{name}: the mask marks its whole border and most of the image, as one drawn black on white does"
        )
    return inside


def _unclear(sentence: str) -> ValueError:
    return ValueError(f"{sentence}; draw the region in white on black and save it as PNG")


def _brightness(pixels: np.ndarray) -> np.ndarray:
    """Return (H, W) of gray or of the brightest channel of RGB, float64."""
    return (pixels if pixels.ndim == 2 else pixels.max(axis=2)).astype(np.float64)


def _levels(name: str, picture: Picture) -> np.ndarray:
    """Return the values that tell the region, (H, W) float64, 0 where it is not: brightness, opacity or numbers."""
    bright = _brightness(picture.pixels if picture.stored is None else picture.stored)
    if picture.alpha is not None and picture.alpha.min() <= picture.alpha.max() / 2:
        paint = bright[picture.alpha > picture.alpha.max() / 2]
        if paint.any() and not paint.all():
            raise _unclear(
                f"{name}: the mask holds black and other colors on a transparent ground, which may be either"
            )
        alpha = picture.alpha.astype(np.float64)
        if paint.any():
            differ = _inside(name, alpha, picture.lossy) != _inside(name, bright, picture.lossy)
            if (differ & (np.abs(alpha / alpha.max() - 0.5) > 0.02)).any():  # at a half, colors are rounded
                raise _unclear(f"{name}: the mask's colors and its opacity tell different regions")
        return alpha
    if picture.index is not None:
        if bright.all() or not bright.any():  # the colors tell nothing
            return (picture.index != 0).astype(np.float64)
        if bright[picture.index == 0].any():
            raise _unclear(f"{name}: the mask has a palette whose first color is not black while another is")
    return bright


def _inside(name: str, levels: np.ndarray, lossy: bool) -> np.ndarray:
    """Return the region, (H, W) bool."""
    if levels.min() < 0:
        raise _unclear(f"{name}: the mask holds values below 0")
    top = levels.max()
    summits = (levels == ndimage.maximum_filter(levels, 3)) & (levels > 0)
    if not lossy and np.isin(levels[levels > 0], np.unique(levels[summits])).all():
        if _speckled(levels, (levels > 0) & (levels <= top * _TRACE)):
            raise _unclear(f"{name}: the mask holds speckles that are faint beside its brightest value")
        return levels > 0
    side, step = (5, top * _TRACE) if lossy else (3, 0)
    highest, lowest = ndimage.maximum_filter(levels, side), ndimage.minimum_filter(levels, side)
    flat = (highest - lowest <= step) & (levels > top * _TRACE) & (highest <= top / 2)
    if flat.any() or (summits & (levels > top * _NOISE) & (levels <= top / 2)).any():
        raise _unclear(
            f"{name}: the mask holds areas of half of its brightest value or less beside soft edges or noise, "
            "which may be region or not"
        )
    return levels > top / 2


def _speckled(levels: np.ndarray, where: np.ndarray) -> bool:
    """Whether fewer than 2 in 5 of the neighbors of some pixels have their value: areas have most, noise has few."""
    if not where.any():
        return False
    framed = np.pad(levels, 1, constant_values=-1)
    neighbors = (framed[:-2, 1:-1], framed[2:, 1:-1], framed[1:-1, :-2], framed[1:-1, 2:])
    return bool(np.mean([(other == levels)[where].mean() for other in neighbors]) < 0.4)
