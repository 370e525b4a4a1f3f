"""How often genuine people are turned away, by sex, ethnicity and skin luminance, with intervals."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from anogan.data.dataset import ScanSet
from anogan.errors import Code, code_of
from anogan.evaluation import skin
from anogan.evaluation.groups import SMALL
from anogan.evaluation.measure import Judge
from anogan.metrics import Estimate, binomial

RECORDED = ("sex", "ethnicity")
LUMINANCE = "skin luminance"
UNKNOWN = "not stated"
REPLICATES = 2000


class Row(NamedTuple):
    """One group of genuine photos.

    Attributes
    ----------
    attribute, value
        What the group shares.
    images, people
        Its size.
    not_acquired
        The share without an acquired face (failure to acquire).
    bpcer
        The share of decided photos that were flagged; None where nothing was decided.
    """

    attribute: str
    value: str
    images: int
    people: int
    not_acquired: Estimate
    bpcer: Estimate | None

    @property
    def small(self) -> bool:
        """Whether too few people are there to conclude much from them."""
        return self.people < SMALL


@dataclass(frozen=True)
class Photo:
    """A genuine photo: whose, what is recorded, its skin's angle (None: not measured), and what became of it."""

    subject: str
    recorded: dict[str, str]
    angle: float | None
    acquired: bool
    flagged: bool | None


def judge_genuine(
    detector: Judge,
    genuine: ScanSet,
    unread: list[tuple[Path, str]] | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> list[Photo]:
    """Judge genuine photos one by one.

    A photo that cannot be read raises ValueError as `ScanSet.read` does, or is put on the list `unread`, with the
    reason. `progress` is called with (photos done, photos in all).

    Raises
    ------
    ValueError
        The set holds photos labeled as attacks.
    """
    if genuine.labels.any():
        raise ValueError(f"{genuine.name}: holds photos labeled as attacks; a BPCER is that of genuine ones alone")
    photos = []
    for index, item in enumerate(genuine):
        if progress is not None:
            progress(index + 1, len(genuine))
        try:
            scan = genuine.read(index)
        except (ValueError, OSError) as error:
            if unread is None:
                raise
            unread.append((item.path, str(error)))
            continue
        try:
            angle, found = skin.typology_angle(scan), True
        except ValueError as error:
            angle, found = None, code_of(error) is not Code.NO_FACE
        result = next(iter(detector.inspect_many([scan])))
        acquired = found and result.code is not Code.NO_FACE
        recorded = {name: item.groups[name] for name in RECORDED if item.groups.get(name)}
        photos.append(Photo(item.subject, recorded, angle, acquired, result.flagged))
    return photos


def fairness(photos: Sequence[Photo]) -> list[Row]:
    """Return the rows of everybody, of each recorded sex and ethnicity, and of the bands of skin luminance.

    An attribute that no photo states has one row, "not stated": nobody can tell.
    """
    rows = [_row("everybody", "", photos)]
    for attribute in RECORDED:
        values = sorted(
            {photo.recorded.get(attribute, UNKNOWN) for photo in photos}, key=lambda value: (value == UNKNOWN, value)
        )
        rows += [
            _row(attribute, value, [p for p in photos if p.recorded.get(attribute, UNKNOWN) == value])
            for value in values
        ]
    named = [UNKNOWN if photo.angle is None else skin.band(photo.angle) for photo in photos]
    for value in (*(name for name, _ in skin.BANDS), skin.DARK, UNKNOWN):
        inside = [photo for photo, name in zip(photos, named, strict=True) if name == value]
        rows += [_row(LUMINANCE, value, inside)] if inside else []
    return rows


def _row(attribute: str, value: str, photos: Sequence[Photo]) -> Row:
    decided = [photo for photo in photos if photo.flagged is not None]
    return Row(
        attribute,
        value,
        len(photos),
        len({photo.subject for photo in photos}),
        share_of_people([not photo.acquired for photo in photos], [photo.subject for photo in photos]),
        share_of_people([bool(photo.flagged) for photo in decided], [photo.subject for photo in decided])
        if decided
        else None,
    )


def share_of_people(hits: Iterable[bool], subjects: Sequence[str]) -> Estimate:
    """Return a share with a 95 % interval that knows which images are of one person.

    With one image of each the interval is exact. Else it is the wider one of the exact interval of as many trials as
    there are people and of a bootstrap over people: where nobody or everybody is hit, a bootstrap knows no doubt.
    """
    values = np.array(list(hits), float)
    names, owner = np.unique(np.asarray(subjects), return_inverse=True)
    if len(names) == len(values):
        return binomial(int(values.sum()), len(values))
    hit, images = np.bincount(owner, values), np.bincount(owner)
    draws = np.random.default_rng(0).multinomial(len(names), np.full(len(names), 1 / len(names)), REPLICATES)
    low, high = np.quantile((draws @ hit) / (draws @ images), [0.025, 0.975])
    exact = binomial(round(float(values.mean()) * len(names)), len(names))
    return Estimate(float(values.mean()), min(float(low), exact.low), max(float(high), exact.high))


def to_json(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """Return plain JSON values."""
    return [
        row._asdict()
        | {"not_acquired": list(row.not_acquired), "bpcer": row.bpcer and list(row.bpcer), "small": row.small}
        for row in rows
    ]


def table(rows: Sequence[Row]) -> str:
    """Return the rows as a table in Markdown, and what no photo states."""
    text = "| | group | photos | people | BPCER | failure to acquire |\n|---|---|---|---|---|---|\n"
    for row in rows:
        bpcer = "not decided" if row.bpcer is None else str(row.bpcer)
        few = " (few)" if row.small else ""
        text += f"| {row.attribute} | {row.value}{few} | {row.images} | {row.people} | {bpcer} | {row.not_acquired} |\n"
    missing = [name for name in RECORDED if {row.value for row in rows if row.attribute == name} <= {UNKNOWN}]
    if missing:
        text += f"\nNot recorded in this set, so nothing is known of it: {', '.join(missing)}.\n"
    return text
