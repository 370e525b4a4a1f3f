"""Lesions of known size and contrast: what they look like, and how they take the place of tissue."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from anogan.data.synthetic.fields import rotation, smooth_field, soft_edge


@dataclass(frozen=True)
class Lesion:
    """An ellipsoid with an uneven outline, in patient coordinates."""

    kind: str  # hypointense, hyperintense, ring, diffuse
    diameter: float  # mm, of the circle of equal area in the slice through the center
    contrast: float  # change of signal relative to the tissue that was there
    edema: float  # the same for the halo; 0: none
    push: float  # mass effect: share of the radius by which tissue is pushed out


def draw_lesion(rng: np.random.Generator) -> Lesion:
    """Return a lesion of random kind, size and contrast."""
    diameter = float(np.exp(rng.uniform(np.log(18.0), np.log(40.0))))
    kind = str(rng.choice(["hypointense", "hyperintense", "ring", "diffuse"], p=[0.4, 0.25, 0.15, 0.2]))
    low, high = {
        "hypointense": (-0.75, -0.5),
        "hyperintense": (0.4, 0.65),
        "ring": (0.4, 0.65),
        "diffuse": (-0.75, -0.5),
    }[kind]
    edema = float(rng.uniform(-0.4, -0.28)) if kind != "diffuse" and rng.random() < 0.5 else 0.0
    push = float(rng.uniform(0.1, 0.3)) if rng.random() < 0.5 else 0.0
    return Lesion(kind, diameter, float(rng.uniform(low, high)), edema, push)


def diameter(mask: np.ndarray) -> float:
    """Return the diameter in mm of the circle with the mask's area; a pixel is 1 mm."""
    return float(2 * np.sqrt(mask.sum() / np.pi))


def outline(rng: np.random.Generator, offsets: np.ndarray, home: int, diameter: float) -> np.ndarray:
    """Return the distance from the lesion's center in units of its radius in that direction: 1 on the outline.

    Parameters
    ----------
    rng
        Draws an ellipsoid with an uneven surface.
    offsets
        (slices, rows, columns, 3) mm from the center.
    home, diameter
        In this slice the outline has the area of a circle of this diameter, mm.

    Returns
    -------
    np.ndarray
        (slices, rows, columns)
    """
    stretch = np.exp(rng.normal(0, 0.18, 3))
    offset = offsets @ rotation(rng.uniform(0, np.pi, 3)) / stretch
    distance = np.linalg.norm(offset, axis=-1)
    direction = offset / np.maximum(distance, 1e-6)[..., None]
    bumps = np.zeros_like(distance)
    for frequency, weight in ((2.0, 0.16), (4.0, 0.11), (8.0, 0.06)):
        waves = rng.normal(0, 1, (3, 3)) * frequency
        bumps += weight * np.sin(direction @ waves.T + rng.uniform(0, 2 * np.pi, 3)).sum(axis=-1) / 1.5
    reach = distance / (1 + bumps.clip(-0.5, 0.5))
    # The outline depends on direction alone, so scaling all of it sets the area in the home slice.
    area = np.pi * diameter**2 / 4  # 1 pixel is 1 mm^2
    return reach / np.partition(reach[home].ravel(), int(area) - 1)[int(area) - 1]


def blend(
    rng: np.random.Generator, lesion: Lesion, before: np.ndarray, reach: np.ndarray, mask: np.ndarray
) -> np.ndarray:
    """Return one slice with the lesion's signal in the place of the tissue's."""
    local = float(before[mask].mean())
    mottled = 1 + 0.06 * smooth_field(rng, (1, *reach.shape), 5.0, 1)[0, ..., 0]
    radius = max(diameter(mask) / 2, 1.0)
    core = local * (1 + lesion.contrast) * mottled
    if lesion.kind == "diffuse":  # no edge: the tissue shows through and the change fades out
        weight = 0.9 * soft_edge(reach, 0.85, 0.4)
        return before * (1 - weight) + core * weight
    after = before
    outer = 1.0
    if lesion.edema:
        weight = 0.85 * soft_edge(reach, 1.0, 1.5 / radius)
        after = after * (1 - weight) + local * (1 + lesion.edema) * mottled * weight
        outer = 0.66
    weight = soft_edge(reach, outer, 0.8 / radius)
    after = after * (1 - weight) + core * weight
    if lesion.kind == "ring":  # an enhancing rim about a dark, dead center
        weight = soft_edge(reach, outer * 0.62, 0.8 / radius)
        after = after * (1 - weight) + local * 0.55 * mottled * weight
    return after
