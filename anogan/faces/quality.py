"""How good an image of a face is, in the words of ISO/IEC 29794-5: nothing is said of whether it is genuine.

Each measure has the name of a quality component of that standard, and more is better. The measures themselves are
simple stand-ins for the standard's: they are made to be cheap and to tell a photo that cannot be judged from one that
can, not to be interchanged. Those on the aligned face are taken at one size, so that they compare between photos.

`anogan.faces.ofiq` asks the reference implementation of the standard.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import cv2
import numpy as np

from anogan.config import QualityConfig
from anogan.errors import Code, Refused
from anogan.faces import detection
from anogan.faces.detection import Aligned, Face
from anogan.scan import Scan

SIZE = 256  # pixels of the aligned face, 64 from eye to eye
POOR = "quality"
"""How the reason begins where an image is not scored for its quality."""

ANY = QualityConfig()

_FACE = np.s_[int(0.36 * SIZE) : int(0.78 * SIZE), int(0.3 * SIZE) : int(0.7 * SIZE)]  # brows to lips
_BESIDE = np.s_[: int(0.3 * SIZE), : int(0.1 * SIZE)], np.s_[: int(0.3 * SIZE), -int(0.1 * SIZE) :]  # left, right
_BLACK, _WHITE = 25 / 255, 247 / 255  # OFIQ's limits of under- and over-exposure
_NOSE_DEPTH = 0.5  # distance of its tip from the plane of the eyes, in eye distances
_NOSE_BELOW = 0.54  # that from their line in a face seen from the front, about the median of faces_frll
_WORDS = {
    "inter_eye_distance": "the eyes are too close to each other: {:.0f} pixels, at least {:.0f} are needed",
    "sharpness": "it is blurred",
    "exposure": "the face is too dark or too bright",
    "illumination_uniformity": "the two halves of the face are lit unlike",
    "background_uniformity": "the background is not uniform",
    "compression": "the edges of JPEG blocks are seen",
    "pose_yaw": "the head is turned to a side",
    "pose_pitch": "the head nods",
    "pose_roll": "the head is tilted to a shoulder",
}


@dataclass(frozen=True)
class Quality:
    """The measures of one image, and in words what is wrong with it.

    Attributes
    ----------
    measures
        Each by the name that it has in `QualityConfig`.
    refused
        Why the image cannot be judged; empty where it can.
    noted
        What else is below the profile's least values.
    """

    measures: Mapping[str, float]
    refused: tuple[str, ...] = ()
    noted: tuple[str, ...] = ()


def check(scan: Scan, config: QualityConfig) -> tuple[str, ...]:
    """Return what is noted of the quality of a scan.

    Raises
    ------
    ValueError
        No face is acquired, or its quality is too low to judge it.
    """
    found = assess(scan, detection.align(scan, SIZE), config)
    if found.refused:
        raise Refused(f"{POOR}: {'; '.join(found.refused)}", Code.POOR_PHOTO)
    return found.noted


def assess(scan: Scan, aligned: Aligned, config: QualityConfig = ANY) -> Quality:
    """Measure the quality of an image of a face.

    Parameters
    ----------
    scan
        The image.
    aligned
        Its face, at any size.
    config
        The profile's `quality` section: the least values. By default nothing is refused or noted.
    """
    if aligned.pixels.shape[0] != SIZE:
        aligned = detection.align(scan, SIZE)
    measures = measure(scan, aligned)
    refused: list[str] = []
    noted: list[str] = []
    for name, value in measures.items():
        if value < (least := getattr(config, name)):
            words = f"{_WORDS[name].format(value, least)} ({name.replace('_', ' ')} {value:.3g}, least {least:.3g})"
            (refused if name in config.refuse else noted).append(words)
    return Quality(measures, tuple(refused), tuple(noted))


def measure(scan: Scan, aligned: Aligned) -> dict[str, float]:
    """Return the measures of a face that is aligned at `SIZE`, each by its name; more is better.

    inter_eye_distance
        Pixels of the scan.
    sharpness
        Standard deviation of the Laplacian over that of the luminance, brows to lips.
    exposure
        Share of the face whose luminance is neither near black nor near white.
    illumination_uniformity
        Intersection of the luminance histograms of its two halves.
    background_uniformity
        exp(-10 s), s the standard deviation of the colors beside the head, left and right by themselves: 1 where each
        is of one color.
    compression
        Mean step inside the 8 x 8 blocks of a JPEG over that between them, at most 1, on the scan's own pixels.
    pose_yaw, pose_pitch, pose_roll
        Cosines; yaw and pitch from where the tip of the nose lies between the eyes and below them.
    """
    face, luminance = aligned.face, cv2.cvtColor(aligned.pixels, cv2.COLOR_RGB2GRAY)
    inner = luminance[_FACE]
    left, right = (np.histogram(half, 16, (0, 1))[0] / half.size for half in np.array_split(inner, 2, axis=1))
    beside = max(float(aligned.pixels[place].std(axis=(0, 1)).mean()) for place in _BESIDE)
    yaw, pitch = _turn(face)
    return {
        "inter_eye_distance": face.eye_distance,
        "sharpness": float(cv2.Laplacian(luminance, cv2.CV_32F)[_FACE].std() / max(float(inner.std()), 1e-3)),
        "exposure": float(((inner > _BLACK) & (inner < _WHITE)).mean()),
        "illumination_uniformity": float(np.minimum(left, right).sum()),
        "background_uniformity": math.exp(-10 * beside),
        "compression": _unblocked(scan.pixels),
        "pose_yaw": math.cos(yaw),
        "pose_pitch": math.cos(pitch),
        "pose_roll": math.cos(math.radians(face.roll)),
    }


def _turn(face: Face) -> tuple[float, float]:
    """Return estimates of yaw and pitch in radians; the nose moves by its depth, times the sine."""
    along = (face.eyes[1] - face.eyes[0]) / face.eye_distance
    offset = (face.nose - face.eyes.mean(axis=0)) / face.eye_distance
    aside, below = float(offset @ along), float(offset @ (-along[1], along[0]))
    # The eyes come closer to each other in a turn to a side: the tangent.
    return math.atan(aside / _NOSE_DEPTH), math.asin(max(-1.0, min(1.0, (below - _NOSE_BELOW) / _NOSE_DEPTH)))


def _unblocked(pixels: np.ndarray) -> float:
    gray = pixels if pixels.ndim == 2 else cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY)
    if min(gray.shape) < 16:
        return 1.0
    within, between = 0.0, 0.0
    for image in (gray, gray.T):
        steps = np.abs(np.diff(image, axis=1)).mean(axis=0)
        edge = np.arange(1, image.shape[1]) % 8 == 0
        # A JPEG's blocks begin at its first pixel. The neighbors of an edge are what it is compared with.
        within += float(steps[~edge].mean())
        between += float(steps[edge].mean())
    return min(1.0, within / between) if between > 0 else 1.0
