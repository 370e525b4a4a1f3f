"""Slices in space: what their positions say of the volume, and its orientation in words."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from anogan.scan import Geometry


def orientation(geometry: Geometry) -> str:
    """Return the plane of an image in words: "axial", or "oblique, 7.7 degrees from axial"."""
    angle = float(np.degrees(np.arccos(min(np.abs(geometry.normal).max(), 1.0))))
    return geometry.plane if angle < 1 else f"oblique, {angle:.1f} degrees from {geometry.plane}"


def measure(
    positions: Sequence[float | None], geometries: Sequence[Geometry | None], tilt: float = 0.0
) -> tuple[float | None, list[str]]:
    """Check the places of the slices of a volume.

    Parameters
    ----------
    positions
        Place of each slice along the normal in mm, ascending, or None.
    geometries
        Where each lies in the patient, or None.
    tilt
        GantryDetectorTilt of the header in degrees.

    Returns
    -------
    step
        mm from a slice to the next; None for a single slice, without positions, and where the steps differ by more
        than 2 %.
    notes
        One sentence for each thing that is out of the ordinary: missing slices, uneven steps, slices that do not lie
        straight above each other. Of slices without positions nothing is said.
    """
    if len(positions) < 2:
        return None, []
    known = [position for position in positions if position is not None]
    if len(known) < len(positions):
        return None, []
    step, notes = _steps(np.diff(known))
    origins = [geometry.origin for geometry in geometries if geometry is not None]
    if len(origins) < len(positions):
        return step, notes
    assert geometries[0] is not None
    whole, normal = np.subtract(origins[-1], origins[0]), np.array(geometries[0].normal)
    along = float(whole @ normal)
    sideways = float(np.linalg.norm(whole - along * normal))
    angle = float(np.degrees(np.arctan2(sideways, abs(along))))
    if angle > 0.5:
        notes.append(
            f"its slices shift sideways by {sideways / (len(origins) - 1):.3g} mm from one to the next, as under a"
            f" gantry tilted by {angle:.1f} degrees"
        )
    elif abs(tilt) > 0.5:
        notes.append(f"the header tells of a gantry tilted by {tilt:g} degrees, but the slices lie straight")
    return step, notes


def _steps(gaps: np.ndarray) -> tuple[float | None, list[str]]:
    usual = float(np.sort(gaps)[(len(gaps) - 1) // 2])
    odd = np.flatnonzero(np.abs(gaps - usual) > max(1e-3, 0.02 * usual))
    if not odd.size:
        return float(gaps.mean()), []
    times = gaps[odd] / usual
    if (times > 1.5).all() and (np.abs(times - times.round()) < 0.05).all():
        count = int(times.round().sum()) - len(times)
        slices = "slice is" if count == 1 else "slices are"
        places = ", ".join(str(place + 1) for place in odd[:5]) + (" and others" if len(odd) > 5 else "")
        return None, [f"{count} {slices} missing, with a step of {usual:g} mm: after slice {places}"]
    return None, [f"its steps are uneven: {gaps.min():.3g} to {gaps.max():.3g} mm"]
