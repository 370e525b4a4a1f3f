"""Which images a detector has seen in training: by the bytes of their files, and by how they look.

A figure on an image that has trained flatters the detector, also where the image comes back in another format or size.
How an image looks is a perceptual hash of 256 bits (Zauner 2010, chapter 3: signs of the low frequencies of a cosine
transform) of what the network sees of it. A copy in another JPEG quality or size differs in up to 6 of them; malaria
cells, phantom heads and portraits of different people differ in 36 and more (`benchmarks/near_duplicates.py`).
All quarter turns and mirror images are tried: then 120 malaria cells, and as many portraits, differ in 44 and more.

A cut border moves all of that, so there are 256 bits more of what lies in the middle, under a window that is nothing at
the border, and an image is also looked at from a little farther away. Ultrasound images and portraits of which up to
3 % are cut off on all sides differ in up to 8 of these bits; different cells, portraits, radiographs and phantom heads
in 20 and more (`benchmarks/near_duplicates.py`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import imagehash
import numpy as np
import scipy.fft
from PIL import Image

from anogan.config import InputConfig
from anogan.data.dataset import ScanSet
from anogan.data.transforms import to_network
from anogan.scan import Scan
from anogan.storage.fingerprint import file_hash

NEAR = 12
"""Bits of 256 in which two looks of one image may differ."""
SEEN = "set aside: the detector has seen this image, or a copy of it, in training"
UNKNOWN = (
    "the detector was trained before the looks of its images were noted, so copies of them in another format are not "
    "recognized"
)
_SIDE = 16  # bits along a side
_BITS = _SIDE * _SIDE
_SCALES = (1.0, 0.99, 0.98, 0.97, 0.96, 0.95, 0.94)
"""How much smaller an image is looked at, to find one of which up to 3 % are cut off on all sides."""


def look(image: np.ndarray) -> np.ndarray:
    """Return how an image on the network's grid looks, (C, S, S) in [-1, 1] -> (256,) bool."""
    gray = (127.5 * (image.mean(0) + 1)).clip(0, 255).astype(np.uint8)
    return np.asarray(imagehash.phash(Image.fromarray(gray), hash_size=_SIDE).hash).ravel()


def middle(image: np.ndarray, scale: float = 1.0) -> np.ndarray:
    """Return how the middle of an image looks, whichever way it is turned.

    Parameters
    ----------
    image
        On the network's grid, (C, S, S) in [-1, 1].
    scale
        The image is made smaller by this factor first, about its center.

    Returns
    -------
    np.ndarray
        (8, 256) bool: signs of a cosine transform under a Hann window. The first row is that of the image as it is.
    """
    size = image.shape[1]
    shift = (1 - scale) * (size - 1) / 2
    smaller = np.array([[scale, 0, shift], [0, scale, shift]])
    gray = cv2.warpAffine(image.mean(0, dtype=np.float64), smaller, (size, size), borderMode=cv2.BORDER_REPLICATE)
    window = np.outer(*[np.hanning(size + 2)[1:-1]] * 2)
    mean = (gray * window).sum() / window.sum()
    waves = scipy.fft.dctn((gray - mean) * window)[: _SIDE + 1, : _SIDE + 1]
    odd = (-1.0) ** np.arange(len(waves))  # a mirror image has the odd waves with the other sign
    turns = [way * down * across for way in (waves, waves.T) for down in (1, odd[:, None]) for across in (1, odd)]
    return np.array([turn.ravel()[1 : _BITS + 1] > 0 for turn in turns])


def looks(train: np.ndarray, holdout: np.ndarray) -> dict[str, Any]:
    """Return the looks of what trained and of what was held back, (N, C, S, S) each, as a detector notes them."""
    named = {"train": train, "holdout": holdout}
    return {"looks": {name: [_noted(one) for one in some] for name, some in named.items()}}


def _noted(image: np.ndarray) -> str:
    return np.packbits([*look(image), *middle(image)[0]]).tobytes().hex()


@dataclass(frozen=True, eq=False)
class Seen:
    """What training has seen.

    Attributes
    ----------
    files
        `file_hash` of each file.
    looks
        (N, 256) bool; none in a detector of before they were noted.
    middles
        (N, 256) bool, likewise.
    """

    files: frozenset[str]
    looks: np.ndarray
    middles: np.ndarray

    @classmethod
    def of(cls, provenance: Mapping[str, Any]) -> Seen:
        """Read what a detector notes of its training, images held back included."""
        noted = [text for part in provenance.get("looks", {}).values() for text in part if text]
        files = frozenset([*provenance.get("files", []), *provenance.get("held_files", [])])
        digits = _BITS // 4
        return cls(files, _bits(text[:digits] for text in noted), _bits(text[digits:] for text in noted))

    @property
    def known(self) -> bool:
        """Whether the looks are noted."""
        return not self.files or len(self.looks) > 0

    def by_file(self, path: Path) -> bool:
        """Whether the very file was seen; one that cannot be read was not."""
        try:
            return bool(self.files) and file_hash(path) in self.files
        except OSError:
            return False

    def by_look(self, image: np.ndarray) -> bool:
        """Whether an image on the network's grid, (C, S, S), looks like one that was seen, whichever way turned."""
        if not len(self.looks):
            return False
        turns = (np.rot90(side, turn, (1, 2)) for side in (image, image[:, :, ::-1]) for turn in range(4))
        if any(_near(self.looks, look(turned)) for turned in turns):
            return True
        return any(_near(self.middles, row) for scale in _SCALES for row in middle(image, scale))

    def by_scan(self, scan: Scan, grid: InputConfig) -> bool:
        """Whether a scan looks like one that was seen, as `by_look`; one that has no place on the grid does not."""
        try:
            return len(self.looks) > 0 and self.by_look(to_network(scan, grid))
        except ValueError:
            return False

    def unseen(
        self, scans: ScanSet, images: np.ndarray, kept: Sequence[int], left_out: list[tuple[Path, str]] | None
    ) -> tuple[np.ndarray, list[int]]:
        """Return the images of a set, (N, C, S, S), and their indices, without those that training has seen.

        Raises
        ------
        ValueError
            The very file of one was seen; or a copy was, and there is no `left_out` to say so; or nothing is left.
        """
        if seen := sum(self.by_file(scans[index].path) for index in kept):
            raise ValueError(f"{scans.name}: {seen} of its scans were used in training; calibrate on others")
        is_copy = [self.by_look(image) for image in images]
        copies = [index for index, copy in zip(kept, is_copy, strict=True) if copy]
        if copies and (left_out is None or len(copies) == len(kept)):
            first = scans[copies[0]].path
            raise ValueError(f"{scans.name}: {len(copies)} of its scans are copies of training images, as {first}")
        if left_out is not None:
            left_out += [(scans[index].path, SEEN) for index in copies]
        return images[~np.array(is_copy, bool)], [index for index, copy in zip(kept, is_copy, strict=True) if not copy]


def _bits(texts: Iterable[str]) -> np.ndarray:
    """Return what hexadecimal digits say, (N, 256) bool; an empty text is left out."""
    rows = np.frombuffer(bytes.fromhex("".join(texts)), np.uint8).reshape(-1, _BITS // 8)
    return np.unpackbits(rows, axis=1).astype(bool)


def _near(rows: np.ndarray, own: np.ndarray) -> bool:
    return len(rows) > 0 and int((rows != own).sum(1).min()) <= NEAR
