"""What is kept of a photo to find its near-duplicates: bits, no pixels.

Photo and face have perceptual hashes (imagehash's pHash, 256 bits of the low frequencies of a cosine transform), the
background has signs of differences between its blocks, of which only those count that lie outside the person and are
no noise in both photos. So bits come with a mask, and codes are compared as iris codes are (Daugman, "How Iris
Recognition Works", IEEE Transactions on Circuits and Systems for Video Technology 2004).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import cv2
import imagehash
import numpy as np
from PIL import Image

from anogan.faces import detection
from anogan.scan import Scan

if TYPE_CHECKING:
    from anogan.detector import Detector

METHOD = 1
"""Goes up when prints change, because those of two methods do not compare."""
KINDS = ("photo", "face", "background", "features")

_HASH = 16  # rows and columns of a perceptual hash
_SIDE = 320  # pixels of the longer side of the copy that is hashed
_FACE = 160  # pixels of the aligned crop, whose inner part, most of the head, is hashed
_INNER = slice(16, 144)
_BLOCKS = 16  # of the background, in a row and in a column
_LAGS = (1, 3, 6)  # blocks between the two that are compared
_NOISE = (2.0, 1.0, 1.0)  # smaller differences of L, a and b (8 bit) say nothing
_WORD = 64
_FLAT = 2 / 255  # a smaller range of gray shows nothing
_FULL = 800  # valid bits of a background that count in full; with fewer, chance alone may agree
_CELLS = 4  # rows and columns of pooled features


class Code(NamedTuple):
    """Packed bits and which of them count, each (W,) uint64; a code without valid bits is like nothing."""

    bits: np.ndarray
    mask: np.ndarray


@dataclass(frozen=True, eq=False)
class Prints:
    """The codes of one photo by kind (`KINDS`), and of its mirror image, with which it is looked for."""

    codes: dict[str, Code]
    mirrored: dict[str, Code]


def make_prints(scan: Scan, features: np.ndarray | None = None) -> Prints:
    """Return what is kept of a photo.

    Where no single face can be acquired, only the photo itself has a code: so are documents linked.

    Parameters
    ----------
    scan
        The photo.
    features
        (D,) or (2, D), from `features_of`: of the scan, and of its mirror image.
    """
    height, width = scan.pixels.shape[:2]
    scale = min(1.0, _SIDE / max(height, width))
    image = scan.pixels if scan.pixels.ndim == 3 else np.repeat(scan.pixels[..., None], 3, axis=2)
    image = cv2.resize(image, (round(width * scale) or 1, round(height * scale) or 1), interpolation=cv2.INTER_AREA)
    codes: list[dict[str, Code]] = [{"photo": _perceptual(picture)} for picture in (image, image[:, ::-1])]
    try:
        aligned = detection.align(scan, _FACE)
    except ValueError:
        pass
    else:
        crop = aligned.pixels[_INNER, _INNER]
        eyes = (aligned.face.eyes + 0.5) * scale
        across = np.array([image.shape[1], 0.0])
        for code, picture, face, places in (
            (codes[0], image, crop, eyes),
            (codes[1], image[:, ::-1], crop[:, ::-1], across + eyes[::-1] * (-1, 1)),
        ):
            code |= {"face": _perceptual(face), "background": _background(picture, places)}
    if features is not None:
        for code, vector in zip(codes, np.atleast_2d(features), strict=False):
            code["features"] = _packed(vector > 0, np.ones(len(vector), bool))
    return Prints(*codes)


def features_of(detector: Detector, scan: Scan) -> np.ndarray:
    """Return pooled discriminator features of a scan and of its mirror image as differences from the healthy mean.

    They are the projected features of `anogan.detector.reference`, whose projection is random, so that the share of
    differing signs is the angle between two of them (Charikar, STOC 2002).

    Returns
    -------
    np.ndarray
        (2, D) float32.

    Raises
    ------
    ValueError
        The scan cannot be brought to the network's grid.
    """
    import torch
    import torch.nn.functional as F

    from anogan.data import transforms
    from anogan.detector.reference import embed

    image = torch.from_numpy(transforms.to_network(scan, detector.config.input))
    reference, discriminator = detector.reference, detector.networks.discriminator
    with torch.no_grad():
        levels = discriminator.features(torch.stack([image, image.flip(-1)]))
        embedded = embed(levels, reference.gaussian.mean.shape[0], reference.projection)
        pooled = F.adaptive_avg_pool2d(embedded - reference.gaussian.mean.permute(2, 0, 1), _CELLS)
    found: np.ndarray = pooled.flatten(1).numpy()
    return found


def distances(one: Code, bits: np.ndarray, mask: np.ndarray, kind: str) -> np.ndarray:
    """Return the distance of one code to N others, (N,) float32: 0 = alike, 0.5 = unrelated.

    The share of differing bits among those valid in both, drawn to 0.5 where these are few: 0.5 - (0.5 - share)
    sqrt(n / n_full) (Daugman 2004, section VI).

    Parameters
    ----------
    one
        The code.
    bits, mask
        (N, W) uint64.
    kind
        One of `KINDS`.
    """
    found = np.full(len(bits), 0.5, np.float32)
    if not one.mask.any():
        return found
    full = _FULL if kind == "background" else int(np.bitwise_count(one.mask).sum())
    words = np.flatnonzero(one.mask)
    own, valid = one.bits[words], one.mask[words]
    for start in range(0, len(bits), 1024):  # what fits into a processor's cache
        part = slice(start, start + 1024)
        shared = mask[part, words] & valid
        n = np.bitwise_count(shared).sum(1, dtype=np.int32)
        differing = np.bitwise_count((bits[part, words] ^ own) & shared).sum(1, dtype=np.int32)
        share = differing / np.maximum(n, 1)
        found[part] = 0.5 - (0.5 - share) * np.sqrt(np.minimum(n / full, 1))
    return found


def _perceptual(picture: np.ndarray) -> Code:
    gray = cv2.cvtColor(np.ascontiguousarray(picture), cv2.COLOR_RGB2GRAY)
    image = Image.fromarray((gray * 255).round().astype(np.uint8))
    bits = imagehash.phash(image, hash_size=_HASH).hash.ravel()
    return _packed(bits, np.full_like(bits, np.ptp(gray) > _FLAT))  # a blank sheet is like nothing


def _background(image: np.ndarray, eyes: np.ndarray) -> Code:
    """Return signs of differences between blocks outside of the person, for L, a and b, along and across."""
    lab = cv2.cvtColor((image * 255).round().astype(np.uint8), cv2.COLOR_RGB2LAB).astype(np.float32)
    outside = (~person(image.shape[:2], eyes)).astype(np.float32)
    grid = (_BLOCKS, _BLOCKS)
    share = cv2.resize(outside, grid, interpolation=cv2.INTER_AREA)
    mean = cv2.resize(lab * outside[..., None], grid, interpolation=cv2.INTER_AREA) / np.maximum(share, 1e-3)[..., None]
    bits, valid = [], []
    for values, noise in zip(mean.transpose(2, 0, 1), _NOISE, strict=True):
        for lag in _LAGS:
            for field, seen in ((values, share > 0.5), (values.T, share.T > 0.5)):
                difference = field[lag:] - field[:-lag]
                bits.append((difference > 0).ravel())
                valid.append((seen[lag:] & seen[:-lag] & (np.abs(difference) > noise)).ravel())
    return _packed(np.concatenate(bits), np.concatenate(valid))


def person(shape: tuple[int, int], eyes: np.ndarray) -> np.ndarray:
    """Return where head, hair and shoulders are, roughly, (H, W) bool, from the eyes, (2, 2) as (x, y) in pixels."""
    (x, y), distance = eyes.mean(0), float(np.linalg.norm(eyes[1] - eyes[0]))
    row, column = np.mgrid[: shape[0], : shape[1]]
    aside, below = (column + 0.5 - x) / distance, (row + 0.5 - y) / distance
    head = (aside / 1.45) ** 2 + ((below - 0.1) / 1.9) ** 2 <= 1
    shoulders = (below > 1.5) & (np.abs(aside) < 1.45 + 1.5 * (below - 1.5))
    inside: np.ndarray = head | shoulders
    return inside


def _packed(bits: np.ndarray, valid: np.ndarray) -> Code:
    room = -len(bits) % _WORD
    words = [np.packbits(np.pad(part, (0, room))).view(np.uint64) for part in (bits & valid, valid)]
    return Code(*words)
