"""The gate: what a profile does not take neither trains nor is scored; the reason names the profile and what it takes.

A detector has no opinion on what it has never seen: it would call a knee an abnormal head. What a header leaves unsaid
is never a reason to refuse.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from anogan.config import Config
from anogan.faces import quality
from anogan.scan import Scan, Series

LETTERS = 3  # in a row look like a word


def check(scan: Scan, config: Config) -> tuple[str, ...]:
    """Check one image, and where the profile aligns faces also its face and the quality of that.

    Parameters
    ----------
    scan
        The image.
    config
        The profile; its `gate` and `quality` say what it accepts.

    Returns
    -------
    tuple of str
        What is noted of an image that is accepted, one sentence each.

    Raises
    ------
    ValueError
        The profile does not accept it: `anogan.faces.detection.FAILURE` begins the reason where no face could be
        acquired, and `anogan.faces.quality.POOR` where the quality of its image is too low.
    """
    _check_origin(scan, config)
    _check_clipped(scan.source, scan.clipped, config)
    _check_text(scan.source, scan.burned_in, scan, config)
    return quality.check(scan, config.quality) if config.input.align == "face" else ()


def check_series(series: Series, config: Config) -> None:
    """Check the slices of a volume together.

    Each must be of a modality, body part, view and plane that are accepted: a frontal and a lateral image can be in one
    series. The clipped share is that of the whole volume. Text is looked for in the pixels of the middle slice: it lies
    in all.

    Raises
    ------
    ValueError
        The profile does not accept them.
    """
    scans, least = series.scans, config.gate.least_slices
    for scan in scans:
        _check_origin(scan, config, series.source)
    if len(scans) < least:
        raise ValueError(f"{series.source}: holds {len(scans)} slices; profile {config.name} takes at least {least}")
    clipped = [scan.clipped for scan in scans if scan.clipped is not None]
    _check_clipped(series.source, float(np.mean(clipped)) if clipped else None, config)
    said = {scan.burned_in for scan in scans}
    _check_text(
        series.source, True if True in said else None if None in said else False, scans[len(scans) // 2], config
    )


def _check_origin(scan: Scan, config: Config, source: str = "") -> None:
    gate, source = config.gate, source or scan.source
    plane = "" if scan.geometry is None else scan.geometry.plane
    for what, found, accepted in (
        ("modality", scan.modality, gate.modalities),
        ("body part", scan.body_part, gate.body_parts),
        ("view", scan.view, gate.views),
        ("plane", plane, gate.planes),
    ):
        if found and accepted and _letters(found) not in map(_letters, accepted):
            raise ValueError(f"{source}: its {what} is {found}; profile {config.name} accepts {_either(accepted)}")
    height, width = scan.pixels.shape[:2]
    if min(height, width) < gate.smallest_side:
        raise ValueError(
            f"{source}: has {height} x {width} pixels; profile {config.name} accepts sides of {gate.smallest_side} or "
            f"more"
        )


def _check_clipped(source: str, clipped: float | None, config: Config) -> None:
    if clipped is not None and clipped > (most := config.gate.largest_clipped):
        raise ValueError(
            f"{source}: its window makes {clipped:.1%} of the pixels black or white; profile {config.name} accepts "
            f"{most:.0%}; export it with a wider window"
        )


def _check_text(source: str, said: bool | None, scan: Scan, config: Config) -> None:
    accepted = config.gate.burned_in
    if said and accepted != "accept":
        raise ValueError(
            f"{source}: has text burnt into its pixels, as its header says; profile {config.name} accepts images "
            f"without text"
        )
    if said is None and accepted == "pixels" and shows_text(scan.pixels):
        raise ValueError(
            f"{source}: seems to have text burnt into its pixels; profile {config.name} accepts images without text"
        )


def shows_text(pixels: np.ndarray) -> bool:
    """Tell whether an image seems to hold a line of bright text, such as a name or a side.

    Letters are bright strokes of 4 to 24 pixels' height, far brighter than all that touches them; three of one height,
    on one line and close to each other, are taken for a word. Shorter words, dark ones, and calipers are not found.

    Parameters
    ----------
    pixels
        (H, W) or (H, W, 3) float32 in [0, 1].
    """
    gray = pixels if pixels.ndim == 2 else cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY)
    image = (gray * 255).round().astype(np.uint8)
    raised = cv2.morphologyEx(image, cv2.MORPH_TOPHAT, np.ones((9, 9), np.uint8))
    strokes = ((raised > 90) & (image >= 170)).astype(np.uint8)
    count, labels, boxes, _ = cv2.connectedComponentsWithStats(strokes, connectivity=8)
    letters = np.array([boxes[index, :4] for index in range(1, count) if _is_letter(image, labels, boxes, index)])
    return any(_word(letters, letter) >= LETTERS for letter in letters)


def _is_letter(image: np.ndarray, labels: np.ndarray, boxes: np.ndarray, index: int) -> bool:
    left, top, width, height, area = boxes[index]
    if not (4 <= height <= 24 and width <= 1.6 * height + 2 and area >= 5):
        return False
    place = np.s_[max(0, top - 2) : top + height + 2, max(0, left - 2) : left + width + 2]
    stroke = labels[place] == index
    around = image[place][cv2.dilate(stroke.astype(np.uint8), np.ones((3, 3), np.uint8)) == 0]
    return bool(around.size) and float(np.percentile(around, 75)) < float(image[place][stroke].mean()) - 80


def _word(letters: np.ndarray, first: np.ndarray) -> int:
    """Return how many letters, rows of (left, top, width, height), follow each other from the first one on."""
    left, top, _, height = first
    same_line = np.abs(letters[:, 1] + letters[:, 3] - top - height) <= 1
    line = letters[same_line & (np.abs(letters[:, 3] - height) <= 1) & (letters[:, 0] >= left)]
    line = line[line[:, 0].argsort(kind="stable")]
    gaps = line[1:, 0] - (line[:-1, 0] + line[:-1, 2])
    apart = np.flatnonzero((gaps < 0) | (gaps > 0.8 * height + 1))
    return int(apart[0]) + 1 if apart.size else len(line)


def _letters(term: str) -> str:
    """Return a term as DICOM spells it: vendors add spaces, hyphens and small letters."""
    return "".join(letter for letter in term.upper() if letter.isalnum())


def _either(accepted: Sequence[str]) -> str:
    return accepted[0] if len(accepted) == 1 else f"{', '.join(accepted[:-1])} or {accepted[-1]}"
