import csv
import dataclasses
import io
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

import anogan
from anogan import cli
from anogan.assurance.contamination import Case, Suspects, check, cross_fit
from anogan.data.dataset import Item, ScanSet
from anogan.detector import Detector
from anogan.detector.fusion import COMPONENTS
from anogan.detector.reference import Reference
from anogan.gan.losses import top_mean


def listed(count: int) -> Suspects:
    return Suspects(tuple(Case(rank, f"{rank}.png", "somebody", -rank) for rank in range(1, count + 1)))


@pytest.fixture
def scans(tiny_folder: Path, tiny_detector: Detector) -> ScanSet:
    return anogan.open_dataset(tiny_folder, tiny_detector.config).train


def test_every_image_is_scored_once_by_a_reference_of_other_subjects(
    tiny_detector: Detector, monkeypatch: pytest.MonkeyPatch
) -> None:
    x = torch.arange(13.0).view(13, 1, 1, 1)
    subjects = [f"subject {index // 2}" for index in range(13)]
    seen: list[set[int]] = []

    def learn(discriminator: object, images: torch.Tensor, config: object) -> Reference:
        seen.append({int(value) for value in images.flatten()})
        return tiny_detector.reference

    monkeypatch.setattr(Reference, "learn", learn)
    folds = [set(rows.tolist()) for rows, _ in cross_fit(tiny_detector, x, subjects)]
    assert len(folds) == 5
    assert sorted(row for fold in folds for row in fold) == list(range(13))
    for fold, others in zip(folds, seen, strict=True):
        assert fold | others == set(range(13))
        assert not {subjects[row] for row in fold} & {subjects[row] for row in others}


def test_an_odd_image_cannot_vouch_for_itself(tiny_detector: Detector, scans: ScanSet) -> None:
    """A reference that was fitted to a stray finds it in its own coreset; one that was not finds it far away."""
    x = torch.from_numpy(scans.load(tiny_detector.config)[0])
    x[0] = -x[0].flip(1)
    neighbors = COMPONENTS.index("neighbors")

    def distance(detector: Detector) -> float:
        return float(top_mean(detector.maps(x[:1]).components[:, neighbors], 0.05))

    own = Reference.learn(tiny_detector.networks.discriminator, x, tiny_detector.config)
    without = next(d for rows, d in cross_fit(tiny_detector, x, scans.subjects) if 0 in rows)
    assert distance(without) > 1.5 * distance(dataclasses.replace(tiny_detector, reference=own))


def test_the_list_is_sorted_and_a_stray_leads_it(tiny_detector: Detector, scans: ScanSet, tmp_path: Path) -> None:
    from anogan.io import write_png

    stray, torn = tmp_path / "stray.png", tmp_path / "torn.png"
    write_png(stray, np.random.default_rng(0).integers(0, 255, (48, 48)).astype(np.uint8))
    torn.write_bytes(b"torn")
    more = ScanSet("train", (*scans.items, Item(stray, "stray", 0), Item(torn, "torn", 0)))
    done: list[tuple[int, int]] = []
    found = check(tiny_detector, more, lambda *state: done.append(state))
    assert found.cases[0][:3] == (1, str(stray), "stray")
    assert [case.rank for case in found.cases] == list(range(1, len(scans) + 2))
    assert [case.score for case in found.cases] == sorted((case.score for case in found.cases), reverse=True)
    assert {case.subject for case in found.cases} == {*scans.subjects, "stray"}
    assert [path for path, _ in found.not_scored] == [torn]
    assert done[-1] == (len(scans) + 1, len(scans) + 1)

    rows = list(csv.DictReader(io.StringIO(found.to_csv())))
    assert [row["file"] for row in rows] == [*(case.file for case in found.cases), str(torn)]
    assert [float(row["score"]) for row in rows[:-1]] == [case.score for case in found.cases]
    assert rows[-1]["rank"] == rows[-1]["score"] == ""
    assert rows[-1]["not scored because"]
    assert found.to_json()["cases"][0]["rank"] == 1


def test_images_of_one_subject_cannot_be_compared(tiny_detector: Detector, scans: ScanSet) -> None:
    alone = ScanSet("one", tuple(dataclasses.replace(item, subject="same") for item in scans.items))
    with pytest.raises(ValueError, match="one: its usable images are of 1 subjects; at least 2 are needed"):
        check(tiny_detector, alone)


@pytest.mark.parametrize(("count", "share", "expected"), [(2500, 0.04, 100), (26, 0.04, 2), (25, 0.04, 1), (7, 1, 7)])
def test_how_many_to_review(count: int, share: float, expected: int) -> None:
    assert listed(count).to_review(share) == expected


@pytest.mark.parametrize("share", [0, -0.1, 1.1, float("nan")])
def test_a_share_is_a_share(share: float) -> None:
    with pytest.raises(ValueError, match="share: expected a number above 0 and at most 1"):
        listed(5).to_review(share)


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr("anogan.assurance.contamination.check", lambda *_: listed(50))
    monkeypatch.setattr("anogan.data.dataset.open_dataset", lambda *_: SimpleNamespace(train=None, notes=()))
    yield


def test_the_command_says_how_many_to_review(
    tiny_run: Path, tmp_path: Path, short: None, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["contamination", str(tiny_run), "data", "--out", str(tmp_path), "--review", "0.1"]
    with pytest.raises(SystemExit) as leaving:
        cli.main(arguments)
    assert not leaving.value.code
    out = capsys.readouterr().out
    assert "review the first 5 of 50 images (10.0%)" in out
    assert "5.png" in out
    assert "6.png" not in out
    assert (tmp_path / "contamination.csv").read_text().count("\n") == 51
    assert (tmp_path / "contamination.json").is_file()
