"""Drawn portraits, whose face a detector of faces finds, genuine ones and attacks: for a first look and for tests.

They are drawings, no photos: what is measured on them says nothing of people.
"""

from __future__ import annotations

import csv
import os
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np

from anogan.io import write_png

_COLUMNS = ("file", "label", "split", "subject", "site", "species")
_DRAWN = 384  # pixels in which a portrait is drawn before it is made smaller
Shape = Callable[..., None]


def draw_portrait(who: int, photo: int = 0, place: int | None = None, size: int = 256) -> np.ndarray:
    """Draw a portrait.

    Parameters
    ----------
    who
        The person: face, hair and skin.
    photo
        Which photo of the person: lamp, clothes, where the head is, noise.
    place
        What is behind the person; None: a place of this person's own.
    size
        Pixels of a side.

    Returns
    -------
    np.ndarray
        (size, size, 3) float32 in [0, 1].
    """
    face, shot = np.random.default_rng([who, 0]), np.random.default_rng([who, photo, 1])
    picture = _field(np.random.default_rng([who, 2] if place is None else [place, 3]), 0.5, 0.75, 0.12)
    width = 0.23 * _DRAWN * face.uniform(0.92, 1.08)
    x, y = _DRAWN / 2 + shot.uniform(-8, 8, 2)

    def ellipse(
        dx: float, dy: float, a: float, b: float, color: np.ndarray, line: float = 0, start: int = 0, end: int = 360
    ) -> None:
        """Draw an ellipse or an arc; places and sizes in widths of half the face."""
        center, axes = (round(x + dx * width), round(y + dy * width)), (round(a * width) or 1, round(b * width) or 1)
        thickness = max(2, round(line * width)) if line else -1
        cv2.ellipse(picture, center, axes, 0, start, end, _color(color), thickness, cv2.LINE_AA)

    _draw_person(ellipse, face, shot)
    picture *= _field(face, 0.9, 1.0, 0.3).mean(axis=2, keepdims=True)  # the relief of this face
    picture = cv2.GaussianBlur(picture, (0, 0), _DRAWN / 400)
    row, column = np.mgrid[:_DRAWN, :_DRAWN].astype(np.float32) / _DRAWN
    picture *= (shot.uniform(1.0, 1.1) - 0.3 * np.abs(column - shot.uniform(0.4, 0.6)) - 0.12 * row)[..., None]
    picture = cv2.resize(picture, (size, size), interpolation=cv2.INTER_AREA) + shot.normal(0, 0.01, (size, size, 3))
    return np.ascontiguousarray(picture.clip(0, 1), np.float32)


def _draw_person(ellipse: Shape, face: np.random.Generator, shot: np.random.Generator) -> None:
    skin = np.array([0.87, 0.67, 0.55]) * face.uniform(0.6, 1.12)
    hair = np.array([0.25, 0.17, 0.12]) * face.uniform(0.4, 2.2)
    lips = np.array([0.72, 0.36, 0.36]) * face.uniform(0.7, 1.1)
    nose, mouth, brow = face.uniform(0.28, 0.4), face.uniform(0.62, 0.76), face.uniform(0.1, 0.18)
    long = face.uniform(1.22, 1.42)
    ellipse(0, 2.75, 2.1, 1.25, shot.uniform(0.1, 0.6, 3))  # shoulders
    ellipse(0, 1.2, 0.5, 0.8, skin * 0.85)  # neck
    ellipse(0, -0.24, 1.13, 1.35 * face.uniform(0.95, 1.15), hair)
    ellipse(0, 0, 1, long, skin)
    ellipse(0, -0.8, 0.78, 0.4, skin)
    for side in (-1, 1):
        eye = side * 0.42
        ellipse(side * 0.98, 0, 0.1, 0.2, skin * 0.9)  # ear
        ellipse(eye, -0.15, 0.27, 0.17, skin * face.uniform(0.7, 0.82))
        ellipse(eye, -0.16, 0.2, 0.1, np.array([0.95, 0.94, 0.93]))
        ellipse(eye, -0.16, 0.1, 0.1, hair * 0.9)
        ellipse(eye, -0.16, 0.05, 0.05, np.zeros(3))
        ellipse(eye - side * 0.02, -0.19, 0.018, 0.018, np.ones(3))
        ellipse(eye, -0.17, 0.21, 0.11, hair * 0.5, 0.035, 190, 350)  # lid
        ellipse(eye, -0.16 - brow, 0.28, 0.16, hair * 0.8, 0.07, 205, 335)
        ellipse(side * 0.09, nose, 0.045, 0.03, skin * 0.45)  # nostril
    ellipse(0, nose - 0.05, face.uniform(0.16, 0.24), 0.12, skin * 0.82, 0.05, 20, 160)
    ellipse(-0.08, 0.05, 0.03, 0.23, skin * 0.88)  # bridge
    ellipse(0, mouth, face.uniform(0.28, 0.4), 0.1, lips)
    ellipse(0, mouth - 0.01, 0.33, 0.02, np.array([0.35, 0.15, 0.15]))
    ellipse(0, mouth + 0.18, 0.2, 0.03, skin * 0.8)  # chin


def splice(host: np.ndarray, donor: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Put nose and mouth of another portrait, a little brighter, into one."""
    side = host.shape[0]
    place = np.s_[int(0.5 * side) : int(0.7 * side), int(0.4 * side) : int(0.6 * side)]
    picture = host.copy()
    picture[place] = (donor[place] * rng.uniform(1.1, 1.25)).clip(0, 1)
    return picture


def occlude(host: np.ndarray, donor: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Cover mouth and chin with a plain cloth."""
    side = host.shape[0]
    picture = host.copy()
    picture[int(0.61 * side) : int(0.76 * side), int(0.3 * side) : int(0.7 * side)] = rng.uniform(0.2, 0.9, 3)
    return picture


def smooth(host: np.ndarray, donor: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Take the grain off the skin."""
    return np.asarray(cv2.bilateralFilter(host, 9, 0.1, 5)).clip(0, 1)


ATTACKS: dict[str, Callable[[np.ndarray, np.ndarray, np.random.Generator], np.ndarray]] = {
    "splice": splice,
    "occlusion": occlude,
    "smoothing": smooth,
}


def write_portraits(
    folder: str | os.PathLike[str], people: tuple[int, int, int] = (40, 20, 10), size: int = 256, seed: int = 0
) -> Path:
    """Write portraits of one booth as PNG, and the manifest.csv that lists them; return the manifest.

    Parameters
    ----------
    folder
        Where; it is made if need be.
    people
        How many train, calibrate and are tested; each test person is also attacked once by each of `ATTACKS`.
    size
        Pixels of a side.
    seed
        The same seed draws the same people, and two seeds draw no person twice.
    """
    folder = Path(folder)
    splits = [
        split for split, count in zip(("train", "calibration", "test"), people, strict=True) for _ in range(count)
    ]
    rows: list[tuple[str, ...]] = []

    def add(name: str, split: str, person: int, picture: np.ndarray, species: str = "") -> None:
        label = "abnormal" if species else "healthy"
        (folder / label).mkdir(parents=True, exist_ok=True)
        write_png(folder / label / f"{name}.png", (picture * 255).round().astype(np.uint8))
        rows.append((f"{label}/{name}.png", label, split, f"person {person:03d}", "booth", species))

    first = seed * 10_000
    for person, split in enumerate(splits):
        host = draw_portrait(first + person, place=seed, size=size)
        add(f"{person:03d}", split, person, host)
        donor = draw_portrait(first + (person + 1) % len(splits), place=seed, size=size)
        for species, attack in ATTACKS.items() if split == "test" else ():
            picture = attack(host, donor, np.random.default_rng([seed, person]))
            add(f"{person:03d}-{species}", split, person, picture, species)
    with (folder / "manifest.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file, lineterminator="\n").writerows([_COLUMNS, *rows])
    return folder / "manifest.csv"


def _field(rng: np.random.Generator, low: float, high: float, depth: float) -> np.ndarray:
    """Return a smooth random pattern about a random color, (H, W, 3) float32."""
    coarse = rng.uniform(-depth, depth, (9, 9, 3)).astype(np.float32)
    pattern = cv2.resize(coarse, (_DRAWN, _DRAWN), interpolation=cv2.INTER_CUBIC)
    return np.ascontiguousarray(pattern + rng.uniform(low, high, 3), np.float32)


def _color(color: np.ndarray) -> tuple[float, ...]:
    return tuple(float(value) for value in np.clip(color, 0, 1))
