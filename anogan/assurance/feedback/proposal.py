"""A detector that knows dismissed images as healthy, beside the one that does not: calibrated and compared alike."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from anogan.assurance.comparison import Comparison, compare
from anogan.assurance.feedback.cases import Dismissed
from anogan.assurance.feedback.novelty import UNKNOWN, Gate, choose
from anogan.assurance.selftest import measure
from anogan.data.dataset import ScanSet, Splits
from anogan.data.prepare import prepare
from anogan.data.seen import Seen
from anogan.detector import Detector, provenance
from anogan.detector.fusion import COMPONENTS
from anogan.io import read_scan
from anogan.results.reading import case_id
from anogan.storage.pseudonym import key_name, person_hash

NOTHING = (
    "what is new in it is shown by no other person's dismissed image, or by one that was refused, or is taken from one"
)
Progress = Callable[[str, int, int], None]


@dataclass(frozen=True, eq=False)
class Proposal:
    """What `propose` made.

    Attributes
    ----------
    detector
        The new one.
    admitted
        The number of each case that entered, and with how many patches.
    refused
        The number of each other case, and why it did not.
    comparison
        The detector that works (A) and the new one (B) on the calibration images.
    before, after
        Self-tests of the two, as `SelfTest.to_json` gives them: the same synthetic anomalies for both.
    """

    detector: Detector
    admitted: tuple[tuple[int, int], ...]
    refused: tuple[tuple[int, str], ...]
    comparison: Comparison
    before: dict[str, Any]
    after: dict[str, Any]

    def against(self) -> list[str]:
        """Return what forbids the promotion, one sentence each: sensitivity that is lost."""
        said = []
        planted = self.comparison.planted
        if planted is not None and planted.change < 0:
            said.append(
                f"It finds fewer of the anomalies planted into the calibration images: {planted.second.value:.0%} "
                f"against {planted.first.value:.0%}."
            )
        if self.before["passed"] and not self.after["passed"]:
            said.append(f"It fails the self-test: {'; '.join(self.after['reasons'])}.")
        return said

    def to_json(self) -> dict[str, Any]:
        """Return what a version keeps of it beside the comparison and the self-test."""
        planted = self.comparison.planted
        return {
            "admitted": [{"case": case, "patches": patches} for case, patches in self.admitted],
            "refused": [{"case": case, "reason": reason} for case, reason in self.refused],
            "verdict": self.comparison.verdict,
            "against": self.against(),
            "calibration_images": len(self.comparison.cases),
            "flagged": [self.comparison.flags.first.value, self.comparison.flags.second.value],
            "planted": planted and [list(planted.first), list(planted.second)],
            "selftest": [_found(self.before), _found(self.after)],
        }


def propose(
    detector: Detector, dismissed: Sequence[Dismissed], splits: Splits, progress: Progress | None = None
) -> Proposal:
    """Make a detector that knows dismissed images as healthy, see `admit`, and compare the two.

    Both are compared on the calibration images, as they are and with anomalies planted into them, and self-tested.

    Parameters
    ----------
    progress
        Called with (what is being done, steps done, steps in all).

    Raises
    ------
    ValueError
        As `admit`, or `compare` or the self-test cannot be made.
    """
    tell = progress or (lambda what, done, total: None)
    new, admitted, refused = admit(detector, dismissed, splits, tell)
    paths, groups = [item.path for item in splits.calibration], [item.group for item in splits.calibration]
    comparison = compare(
        detector, new, paths, groups=groups, progress=lambda done, total: tell("comparing", done, total)
    )
    tests = [
        measure.run(each, splits, lambda done, total: tell("testing", done, total)).to_json()
        for each in (detector, new)
    ]
    return Proposal(new, tuple(admitted), tuple(refused), comparison, *tests)


def admit(
    detector: Detector, dismissed: Sequence[Dismissed], splits: Splits, progress: Progress | None = None
) -> tuple[Detector, list[tuple[int, int]], list[tuple[int, str]]]:
    """Let dismissed images through the novelty gate into the healthy bank, and calibrate again on the same images.

    The Gaussians of healthy features and of the spectrum stay as they are: a few images do not change what hundreds
    have shaped, but one odd image can bend a covariance in every direction. No network is trained.

    Parameters
    ----------
    detector
        The one that works, calibrated on `splits.calibration`.
    dismissed
        Images that readers called healthy.
    splits
        Of its data. The calibration images set the gate and the threshold; dismissed images that are among them or the
        test images, or of their people, are refused.
    progress
        As in `propose`.

    Returns
    -------
    detector, admitted, refused
        The last two as in `Proposal`.

    Raises
    ------
    ValueError
        The detector is not calibrated, or on other images; it does not know whose patches its bank holds; or no image
        passes the gate.
    """
    point, origin = detector.calibration, detector.provenance
    if point is None or not origin.get("calibrations"):
        raise ValueError("feedback: the detector is not calibrated on images; run `anogan calibrate` first")
    people = origin.get("people")
    if people is None or detector.reference.bank.origin is None:
        raise ValueError("feedback: the detector does not know whose patches its bank holds; train it again")
    if people["key"] != key_name():
        raise ValueError(
            "feedback: the detector knows people by another key than this machine's; set $ANOGAN_PSEUDONYM_KEY to the "
            "key of where it was trained"
        )
    tell = progress or (lambda what, done, total: None)
    held, kept = splits.calibration.load_enough(detector.config, 1)
    files = [case_id(splits.calibration[index].path) for index in kept]
    if provenance.data_hash(files) != origin["calibrations"][-1]["data"]:
        raise ValueError(f"{splits.calibration.name}: is not what calibrated the detector; name the data set that did")
    maps, embedded = _look(detector, torch.from_numpy(held))
    bank = detector.reference.bank
    gate = Gate.fit(maps, bank.distance(embedded).numpy(), point.false_alarm_rate)
    taken = _read(detector, dismissed, splits, gate, tell)
    seen = [one for one in taken if isinstance(one, _Seen)]
    passed = [one for one in seen if not one.refusal]
    refused = [(case.case, one) for case, one in zip(dismissed, taken, strict=True) if isinstance(one, str)]
    refused += [(one.image.case, one.refusal) for one in seen if one.refusal]
    whose = {"": UNKNOWN}
    owners = [whose.setdefault(one.image.subject, len(whose)) for one in passed for _ in one.patches]
    none = torch.zeros(0, bank.bank.shape[1])
    patches = torch.cat([none, *(one.patches for one in passed)])
    suspicious = torch.cat([none, *(one.patches for one in seen if one.refusal)])
    chosen = choose(patches, owners, bank.bank, gate.usual, suspicious)
    image_of = [number for number, one in enumerate(passed) for _ in one.patches]
    counts = np.bincount([image_of[index] for index in chosen], minlength=len(passed))
    entering = [number for number, count in enumerate(counts) if count]
    refused += [(passed[number].image.case, NOTHING) for number, count in enumerate(counts) if not count]
    if not chosen:
        why = "; ".join(f"case {case}: {reason}" for case, reason in sorted(refused)[:3])
        raise ValueError(
            f"feedback: none of {len(dismissed)} dismissed images passes the novelty gate; {why or 'none'}"
        )
    place = {number: len(people["train"]) + rank for rank, number in enumerate(entering)}
    extended = bank.extended(patches[chosen], torch.tensor([place[image_of[index]] for index in chosen]))
    images = [passed[number] for number in entering]
    subjects = [one.image.subject for one in images]
    order = origin.get("order", [])  # a detector of before it was noted has no examples
    noted = {
        "order": [*order, *(one.file for one in images)] if order else [],
        "files": sorted({*origin["files"], *(one.file for one in images)}),
        "people": people | {"train": [*people["train"], *(person_hash(name) if name else "" for name in subjects)]},
        "feedback": [
            *origin.get("feedback", []),
            provenance.describe_feedback((one.file for one in images), subjects, len(chosen)),
        ],
    }
    new = dataclasses.replace(
        detector,
        reference=dataclasses.replace(detector.reference, bank=extended),
        provenance=origin | noted,
    )
    tell("calibrating", 0, 1)
    admitted = [(passed[number].image.case, int(counts[number])) for number in entering]
    return _calibrate(new, detector, splits.calibration), admitted, sorted(refused)


@dataclass(frozen=True, eq=False)
class _Seen:
    """An image that the gate looked at: its file's hash, its patches, (H * W, D), and why it is refused, or ""."""

    image: Dismissed
    file: str
    patches: Tensor
    refusal: str


@torch.no_grad()
def _look(detector: Detector, images: Tensor) -> tuple[Tensor, Tensor]:
    """Return the discriminator's maps, (N, S, S), and the embedded features, (N, D, H, W)."""
    place = COMPONENTS.index("discriminator")
    maps, embedded = [], []
    for batch in images.split(64):
        maps.append(detector.maps(batch).components[:, place])
        x = batch.contiguous(memory_format=torch.channels_last)
        embedded.append(detector.reference.embed(detector.networks.discriminator(x).features))
    return torch.cat(maps), torch.cat(embedded)


def _read(
    detector: Detector, dismissed: Sequence[Dismissed], splits: Splits, gate: Gate, tell: Progress
) -> list[_Seen | str]:
    """Return what the gate saw of each image, or why it is none that it may look at."""
    held = [*splits.calibration, *splits.test]
    held_files, held_people = {case_id(item.path) for item in held}, {item.subject for item in held}
    seen = Seen.of(detector.provenance)
    known = set(seen.files)
    found: list[_Seen | str] = []
    for done, one in enumerate(dismissed):
        tell("reading", done, len(dismissed))
        file = case_id(one.path)
        if file in held_files or one.subject in held_people:
            found.append("is one of the calibration or test images, or of their people; these stay untouched")
            continue
        if file in known:
            found.append("is in the detector already")
            continue
        known.add(file)
        try:
            image, _ = prepare(read_scan(one.path, detector.config.input.window), detector.config)
        except (ValueError, OSError) as error:
            found.append(str(error))
            continue
        if seen.by_look(image):
            found.append("is in the detector already, as a copy")
            continue
        maps, embedded = _look(detector, torch.from_numpy(image)[None])
        distances = detector.reference.bank.distance(embedded)[0].numpy()
        refusal = gate.refusal(maps[0], distances)
        found.append(_Seen(one, file, embedded[0].flatten(1).T.contiguous(), refusal))
    return found


def _calibrate(new: Detector, old: Detector, scans: ScanSet) -> Detector:
    """Calibrate for the same promises as the old detector; series, too, where it was calibrated on them."""
    point, series = old.calibration, old.series_calibration
    assert point is not None
    new = new.calibrate(scans, point.false_alarm_rate, confidence=point.confidence, group=point.column)
    if series is not None:
        unread: list[tuple[Path, str]] = []
        new = new.calibrate_series(scans.read_series(unread), series.false_alarm_rate, confidence=series.confidence)
    return new


def _found(test: dict[str, Any]) -> dict[str, Any]:
    """Return how many of the self-test's anomalies were found."""
    cells = test["cells"]
    total = {name: sum(cell[name] for cell in cells) for name in ("made", "found")}
    return total | {"passed": test["passed"], "reasons": test["reasons"]}
