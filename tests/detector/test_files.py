"""Saving over a run: whatever is killed, a whole detector can be loaded, and in the end only its own files are left."""

import dataclasses
import itertools
import os
import shutil
from pathlib import Path

import pytest

from anogan.detector import Detector, files
from anogan.detector.reference import PatchBank
from anogan.privacy.erasure import erase
from anogan.storage.pseudonym import person_hash


class Killed(BaseException):
    """The process ends here."""


@pytest.fixture
def run(tiny_run: Path, tmp_path: Path) -> Path:
    folder = tmp_path / "run"
    folder.mkdir()
    for name in ("profile.toml", files.WEIGHTS, "detector.json"):
        shutil.copy(tiny_run / name, folder)
    return folder


def patches(run: Path) -> int:
    return len(Detector.load(run).reference.bank.bank)


def die_at(step: int, patch: pytest.MonkeyPatch) -> None:
    """Kill at the step-th file that is replaced or removed."""
    steps, unlink = itertools.count(), Path.unlink
    for owner, name in ((os, "replace"), (Path, "unlink")):

        def dies(*given: object, real: object = getattr(owner, name), **named: object) -> object:
            temporary = real is unlink and Path(str(given[0])).name.startswith(".")
            if not temporary and next(steps) == step:
                raise Killed
            return real(*given, **named)  # type: ignore[operator]

        patch.setattr(owner, name, dies)


@pytest.mark.parametrize("step", range(6))
def test_killed_at_any_step_a_whole_detector_is_there(step: int, run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    detector = Detector.load(run)
    bank = detector.reference.bank
    profile = run / "profile.toml"
    profile.write_text(f"# as an older version wrote it\n{profile.read_text()}")
    detector.save(run)
    assert bank.origin is not None
    smaller: PatchBank = bank.without([int(bank.origin[0])])
    other = dataclasses.replace(detector, reference=dataclasses.replace(detector.reference, bank=smaller))
    with monkeypatch.context() as patch:
        die_at(step, patch)
        try:
            other.save(run)
            finished = True
        except Killed:
            finished = False
    assert finished == (step == 5)  # weights, pointer, weights, no pointer, the first weights go
    assert patches(run) == len((bank if step < 2 else smaller).bank)
    other.save(run)
    assert patches(run) == len(smaller.bank)
    assert {path.name for path in run.iterdir()} == {"profile.toml", files.WEIGHTS, "detector.json"}


@pytest.mark.parametrize("step", range(1, 6))
def test_a_killed_erasure_is_finished_by_the_next(step: int, run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    detector = Detector.load(run)
    weights = (run / files.WEIGHTS).read_bytes()
    subject = "a person"
    people = detector.provenance["people"]
    assert detector.reference.bank.origin is not None
    first = int(detector.reference.bank.origin[0])
    named = [person_hash(subject) if index == first else person for index, person in enumerate(people["train"])]
    provenance = detector.provenance | {"people": people | {"train": named}}
    dataclasses.replace(detector, provenance=provenance).save(run)
    with monkeypatch.context() as patch:
        die_at(step, patch)
        if step < 5:
            with pytest.raises(Killed):
                erase(run, subject)
    assert erase(run, subject).problems == []
    assert weights not in [path.read_bytes() for path in run.iterdir()]
    assert {path.name for path in run.iterdir()} == {"profile.toml", files.WEIGHTS, "detector.json"}
