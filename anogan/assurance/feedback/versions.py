"""Versions of a run's detector: which there are, which one works, and how another takes its place.

    RUN/detector.json               the one that works; of a promoted version it names the weights in its folder
    RUN/versions/N/                 a run folder of its own: what works can be laid aside, and what may work be tried
    RUN/versions/N/version.json     what it is; written last, so that a folder without it was never finished

One file, `RUN/detector.json`, says which detector works, and is replaced as a whole: whatever is killed, either the old
or the new one works. It also remembers what it took the place of. What is running keeps the detector that it loaded;
`anogan listen`, `anogan serve` and the dashboard take up the new one at their next start.
"""

from __future__ import annotations

import contextlib
import datetime
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from anogan.assurance.feedback.proposal import Proposal
from anogan.assurance.selftest import verdict
from anogan.detector import Detector, files
from anogan.review import Desk
from anogan.review.arrivals import judge_of
from anogan.storage import checkpoint
from anogan.storage.atomic import alone, write_bytes

_FOLDER, _NOTE = "versions", "version.json"
_POINTERS = ("weights", "replaced")  # in RUN/detector.json alone


@dataclass(frozen=True)
class Version:
    """A version of a run's detector.

    Attributes
    ----------
    number
        From 0, in the order they were made.
    folder
        Its run folder.
    note
        made, base (the version that it was proposed in place of, or None), detector (name and hash), threshold (the
        version of the operating point), and of a proposal what `Proposal.to_json` says.
    """

    number: int
    folder: Path
    note: dict[str, Any]

    @property
    def against(self) -> list[str]:
        """What forbids its promotion."""
        return [str(sentence) for sentence in self.note.get("against", [])]


def listed(run: Path) -> list[Version]:
    """Return the versions of a run, the oldest first; none before the first proposal."""
    folders = sorted(
        (folder for folder in (run / _FOLDER).glob("*") if folder.name.isdecimal() and (folder / _NOTE).is_file()),
        key=lambda folder: int(folder.name),
    )
    return [Version(int(folder.name), folder, checkpoint.read_json(folder / _NOTE)) for folder in folders]


def find(run: Path, number: int) -> Version:
    """Return one version; ValueError if there is no such."""
    for version in listed(run):
        if version.number == number:
            return version
    known = ", ".join(str(version.number) for version in listed(run)) or "none"
    raise ValueError(f"{run}: has no version {number}; there are: {known}")


def current(run: Path) -> int | None:
    """Return which version works; None: one that is not kept as a version, such as after `anogan calibrate`."""
    works = _own(checkpoint.read_json(run / "detector.json"))
    same = [one.number for one in listed(run) if _own(checkpoint.read_json(one.folder / "detector.json")) == works]
    return same[-1] if same else None


def keep(run: Path) -> Version:
    """Return the version that works, kept as one if it was not yet."""
    with _alone(run):
        return _keep(run)


def add(run: Path, base: Version, proposal: Proposal) -> Version:
    """Keep a proposal as a new version. What works, works on."""
    with _alone(run):

        def write(folder: Path) -> None:
            proposal.detector.save(folder)
            proposal.comparison.save(folder)
            _write_selftest(folder, proposal.after)

        return _make(run, write, {"base": base.number, **proposal.to_json()})


def promote(run: Path, number: int, desk: Desk) -> Version:
    """Let a version work from now on, as an admin of the desk, whose log names it before it is done.

    Raises
    ------
    NotAllowed
        The user of the desk is no admin.
    ValueError
        There is no such version, it works already, it was shown to have lost sensitivity, or its files are damaged;
        what worked before works on.
    """
    with _alone(run):
        version, before = find(run, number), _keep(run)
        if version.number == before.number:
            raise ValueError(f"{run}: version {number} is the one that works already")
        if version.against:
            raise ValueError(f"{run}: version {number} cannot be promoted. {' '.join(version.against)}")
        _switch(run, version, before, [*_replaced(run), before.number], desk)
        return version


def rollback(run: Path, desk: Desk) -> Version:
    """Let the version work again that the last promotion replaced, as an admin of the desk; return it.

    Raises
    ------
    NotAllowed, ValueError
        As `promote`, or nothing was promoted since the detector was trained or calibrated.
    """
    with _alone(run):
        replaced = _replaced(run)
        if not replaced:
            raise ValueError(f"{run}: no version was promoted in place of another, so there is none to go back to")
        version = find(run, replaced[-1])
        _switch(run, version, _keep(run), replaced[:-1], desk)
        return version


def refresh(run: Path, number: int) -> list[str]:
    """Bring what works up to its version, whose files have changed, and say nothing."""
    version, weights = find(run, number), files.WEIGHTS
    _install(run, version, _replaced(run))
    write_bytes(run / weights, (version.folder / weights).read_bytes())  # nobody reads it, but somebody might look
    return []


def _switch(run: Path, version: Version, before: Version, replaced: list[int], desk: Desk) -> None:
    profile = "profile.toml"
    if (version.folder / profile).read_bytes() != (run / profile).read_bytes():
        raise ValueError(f"{version.folder / profile}: is not the profile of {run}; restore it")
    Detector.load(version.folder)  # refuses what is damaged
    desk.promote(version.note["detector"], version.note["threshold"], before.note["detector"])
    _install(run, version, replaced)


def _install(run: Path, version: Version, replaced: list[int]) -> None:
    files.settle(version.folder)
    described = checkpoint.read_json(version.folder / "detector.json")
    weights = str(Path(_FOLDER, version.folder.name, files.WEIGHTS))
    checkpoint.write_json(run / "detector.json", described | {"weights": weights, "replaced": replaced})
    if (version.folder / verdict.FILE).is_file():  # the same detector, by another file
        _write_selftest(run, checkpoint.read_json(version.folder / verdict.FILE))


def _replaced(run: Path) -> list[int]:
    return [int(number) for number in checkpoint.read_json(run / "detector.json").get("replaced", [])]


def _keep(run: Path) -> Version:
    if (number := current(run)) is not None:
        return find(run, number)
    described = checkpoint.read_json(run / "detector.json")
    weights = run / described.get("weights", files.WEIGHTS)

    def write(folder: Path) -> None:
        write_bytes(folder / "profile.toml", (run / "profile.toml").read_bytes())
        write_bytes(folder / files.WEIGHTS, weights.read_bytes())
        checkpoint.write_json(folder / "detector.json", _own(described))
        if (run / verdict.FILE).is_file():
            test = checkpoint.read_json(run / verdict.FILE)
            if test.get("detector") == verdict.fingerprint(run):
                _write_selftest(folder, test)

    return _make(run, write, {"base": None})


def _make(run: Path, write: Callable[[Path], None], note: dict[str, Any]) -> Version:
    number = max((version.number for version in listed(run)), default=-1) + 1
    folder = run / _FOLDER / str(number)
    if folder.exists():  # of a process that was killed
        shutil.rmtree(folder)
    write(folder)
    detector, threshold = judge_of(Detector.load(folder).summary())
    made = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    note = {"format": 1, "made": made, "detector": detector, "threshold": threshold, **note}
    checkpoint.write_json(folder / _NOTE, note)
    return Version(number, folder, note)


def _write_selftest(folder: Path, test: dict[str, Any]) -> None:
    checkpoint.write_json(folder / verdict.FILE, test | {"detector": verdict.fingerprint(folder)})


def _own(described: dict[str, Any]) -> dict[str, Any]:
    """Return `detector.json` without what only says where the weights lie and what was replaced."""
    return {name: value for name, value in described.items() if name not in _POINTERS}


@contextlib.contextmanager
def _alone(run: Path) -> Iterator[None]:
    """Let nobody else change the versions of a run meanwhile."""
    checkpoint.read_json(run / "detector.json")  # before a folder is made where there is no run
    (run / _FOLDER).mkdir(exist_ok=True)
    with alone(run / _FOLDER / ".lock", f"{run}: somebody else is changing its versions; try again in a moment"):
        yield
