"""Skin luminance of a photo, to see whether genuine people of one are turned away more often than those of another.

The individual typology angle (ITA) orders skin by luminance and yellowness (Chardon, Cretois and Hourseau, Int. Journal
of Cosmetic Science 1991), here of the cheeks. What a camera and its lamps made of the skin counts: the angle describes
the photo, not the person, and is not a measure of ethnicity.
"""

from __future__ import annotations

import cv2
import numpy as np

from anogan.faces import detection
from anogan.scan import Scan

BANDS = (("very light", 55.0), ("light", 41.0), ("intermediate", 28.0), ("tan", 10.0), ("brown", -30.0))
"""Each band and the angle in degrees that it lies above; what lies above none is "dark"."""
DARK = "dark"
_SIDE = 128  # pixels of the aligned crop, in which the eyes are 32 apart
_CHEEKS = (slice(70, 84), slice(40, 52)), (slice(70, 84), slice(76, 88))  # rows and columns, beside the nose


def typology_angle(scan: Scan) -> float:
    """Return the ITA of the cheeks in degrees: arctan((L* - 50) / b*), CIELAB under D65, of their median color.

    Raises
    ------
    ValueError
        No face can be acquired, or the photo is gray.
    """
    if scan.pixels.ndim == 2:
        raise ValueError(f"{scan.source}: is gray, so the color of the skin is not known")
    lab = cv2.cvtColor(
        np.ascontiguousarray(detection.align(scan, _SIDE).pixels), cv2.COLOR_RGB2LAB
    )  # float: CIELAB's units
    lightness, _, yellow = np.median(np.concatenate([lab[place].reshape(-1, 3) for place in _CHEEKS]), axis=0)
    return angle_of(float(lightness), float(yellow))


def angle_of(lightness: float, yellow: float) -> float:
    """Return the ITA in degrees of L* and b*; bluish skin (b* < 0), as under a tinted lamp, goes on beyond 90."""
    return float(np.degrees(np.arctan2(lightness - 50, yellow)))


def band(angle: float) -> str:
    """Return the band of an angle."""
    return next((name for name, least in BANDS if angle > least), DARK)
