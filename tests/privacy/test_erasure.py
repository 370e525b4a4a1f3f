"""Erasing one person: what goes, what stays, and what is said of what cannot go."""

import csv
import dataclasses
import hashlib
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from anogan import evaluation
from anogan.assurance.drift import Case, Monitor
from anogan.cli import main
from anogan.data.dataset import open_dataset
from anogan.detector import Detector
from anogan.detector.reference import PatchBank
from anogan.io.dicom import write_dicom
from anogan.privacy import erasure
from anogan.privacy.erasure import AGGREGATES, erase, erase_results, forget
from anogan.results.reading import read_results
from anogan.results.writing import ResultsWriter
from anogan.storage.pseudonym import person_hash


@pytest.fixture
def run(tiny_run: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(tiny_run, tmp_path / "run"))


@pytest.fixture(scope="module")
def evaluated(tiny_folder: Path, tiny_detector: Detector, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder of results of the test images; do not write into it."""
    folder = tmp_path_factory.mktemp("evaluated") / "results"
    scans = open_dataset(tiny_folder, tiny_detector.config)
    found = evaluation.evaluate(tiny_detector, scans.test, out=folder)
    evaluation.write_report(folder, found, tiny_detector, scans, name="tiny")
    return folder


def test_what_is_being_written_is_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Pictures that are not listed yet are of others, and the list that comes at the end would bring all back."""
    monkeypatch.setattr(erasure, "PATIENCE", 0.1)
    with ResultsWriter(tmp_path / "results", {"name": "tiny"}) as writer:
        (tmp_path / "results" / "cases" / "0123456789abcdef").mkdir(parents=True)  # drawn, not listed
        writer.add_failure("a.png", "damaged", subject="anna")
        writer._write(None)
        with pytest.raises(ValueError, match="results are being written there; try again when that is done"):
            erase_results(tmp_path / "results", "anna")
    assert (tmp_path / "results" / "cases" / "0123456789abcdef").is_dir()
    assert erase_results(tmp_path / "results", "anna")
    assert read_results(tmp_path / "results")["cases"] == []


def trained_subject(detector: Detector, folder: Path, part: int = 0) -> str:
    """Return whose image a patch of the bank comes from; `part` 1: who was held out."""
    train = open_dataset(folder, detector.config).train
    split = train.split_by_subject(detector.config.training.holdout, detector.config.training.seed)[part]
    assert detector.reference.bank.origin is not None
    return split[0 if part else int(detector.reference.bank.origin[0])].subject


def mentions(folder: Path, words: set[str]) -> list[str]:
    files = [path for path in folder.rglob("*") if path.is_file()]
    return [
        f"{path.relative_to(folder)}: {word}"
        for path in files
        for word in words
        if word.encode() in path.read_bytes() or word in str(path.relative_to(folder))
    ]


def test_the_bank_forgets_one_person_and_nothing_else(tiny_detector: Detector, tiny_folder: Path) -> None:
    subject, before = trained_subject(tiny_detector, tiny_folder), tiny_detector.reference.bank
    after, note = forget(tiny_detector, subject)
    people = tiny_detector.provenance["people"]["train"]
    images = [index for index, person in enumerate(people) if person == person_hash(subject)]
    assert before.origin is not None
    kept = ~torch.isin(before.origin, torch.tensor(images, dtype=torch.int32))
    assert torch.equal(after.reference.bank.bank, before.bank[kept])
    assert note is not None
    assert (note["images"], note["patches"]) == (len(images), int((~kept).sum()))
    assert note["patches"] > 0
    assert note["patches_left"] == int(kept.sum())
    assert person_hash(subject) not in json.dumps(after.provenance)
    assert subject not in json.dumps(after.provenance["erasures"])
    assert [person for person in people if person != person_hash(subject)] == [
        person for person in after.provenance["people"]["train"] if person
    ]
    assert after.calibration is tiny_detector.calibration
    assert forget(after, subject) == (after, None)
    assert forget(tiny_detector, "nobody") == (tiny_detector, None)


def test_scores_can_only_rise(tiny_detector: Detector, tiny_folder: Path) -> None:
    scans = open_dataset(tiny_folder, tiny_detector.config)
    images = torch.from_numpy(scans.calibration.load(tiny_detector.config)[0])
    after = forget(tiny_detector, trained_subject(tiny_detector, tiny_folder))[0]
    before, now = tiny_detector.maps(images).scores.numpy(), after.maps(images).scores.numpy()
    assert (now >= before - 1e-5).all()


def test_the_file_on_disk_forgets_and_stays_whole(run: Path, tiny_folder: Path) -> None:
    detector = Detector.load(run)
    subject = trained_subject(detector, tiny_folder)
    erasure = erase(run, subject)
    assert erasure.problems == []
    patches, images = detector.reference.bank, detector.provenance["people"]["train"].count(person_hash(subject))
    assert f"of {len(patches.bank)} patches of the healthy bank; scores can only rise" in erasure.done[0]
    assert erasure.done[-1] == f"that {images} of the training's images were of this person"
    after = Detector.load(run)
    described = json.loads((run / "detector.json").read_text())
    assert described["sha256"] == hashlib.sha256((run / "detector.safetensors").read_bytes()).hexdigest()
    assert len(after.reference.bank.bank) < len(patches.bank)
    assert described["provenance"]["erasures"][0]["patches_left"] == len(after.reference.bank.bank)
    assert mentions(run, {person_hash(subject)}) == []
    for name, tensor in detector.networks.generator.state_dict().items():
        assert torch.equal(tensor, after.networks.generator.state_dict()[name])
    assert erase(run, subject).done == []


def test_pictures_of_held_out_images_go_with_a_held_out_person(run: Path, tiny_folder: Path) -> None:
    snapshots = run / "training" / "snapshots"
    before = {path.name for path in snapshots.glob("*.png")}
    assert any(name.startswith("encoder-") for name in before)
    erasure = erase(run, trained_subject(Detector.load(run), tiny_folder, part=1))
    assert "the pictures of held-out images in training/snapshots" in erasure.done
    left = {path.name for path in snapshots.glob("*.png")}
    assert left == {name for name in before if name.startswith("adversarial-")} != set()


def test_a_detector_of_before_patches_had_an_origin_loads_and_says_so(run: Path) -> None:
    detector = Detector.load(run)
    provenance = {key: value for key, value in detector.provenance.items() if key != "people"}
    reference = dataclasses.replace(detector.reference, bank=PatchBank(detector.reference.bank.bank))
    dataclasses.replace(detector, reference=reference, provenance=provenance).save(run)
    old = Detector.load(run)
    assert old.reference.bank.origin is None
    with pytest.raises(ValueError, match=r"^its detector was trained before .*; train again without that person's"):
        forget(old, "somebody")
    assert [place for place, _ in erase(run, "somebody").problems] == [run]


def test_another_key_is_told_from_another_person(tiny_detector: Detector, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANOGAN_PSEUDONYM_KEY", "another key of 29 characters.")
    with pytest.raises(ValueError, match=r"another key than this machine's; set \$ANOGAN_PSEUDONYM_KEY"):
        forget(tiny_detector, "somebody")


def test_a_bank_of_one_person_is_not_emptied(tiny_detector: Detector) -> None:
    people = tiny_detector.provenance["people"]
    alone = people | {"train": [person_hash("only")] * len(people["train"])}
    with pytest.raises(ValueError, match="^nothing of its healthy bank would be left; train again without"):
        forget(dataclasses.replace(tiny_detector, provenance=tiny_detector.provenance | {"people": alone}), "only")


def test_results_lose_the_person_and_keep_the_others(evaluated: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(evaluated, tmp_path / "results"))
    before = read_results(folder)["cases"]
    gone = [case for case in before if case["subject"] == before[0]["subject"]]
    stray = folder / "cases" / "0123456789abcdef"
    stray.mkdir()
    (stray / "thumbnail.png").write_bytes(b"of whom?")
    said = erase_results(folder, before[0]["subject"])
    assert said[0] == f"pictures of 1 cases in {folder} that no list names any more"
    assert said[1].startswith(f"{len(gone)} case")
    assert said[2].startswith(f"{folder / 'report.html'}, which shows pictures")
    after = read_results(folder)["cases"]
    assert after == [case for case in before if case not in gone]
    assert len(after) == len(before) - len(gone) > 0
    with (folder / "results.csv").open(newline="") as file:
        assert [row["case"] for row in csv.DictReader(file)] == [case["case"] for case in after]
    assert {path.name for path in (folder / "cases").iterdir()} == {
        case["case"] for case in after if case["status"] == "scored"
    }
    found, earlier = (json.loads((place / "evaluation.json").read_text()) for place in (folder, evaluated))
    assert len(found["scores"]) == len(earlier["scores"]) - len(gone)
    assert found["auroc"] == earlier["auroc"]  # a figure of all of them
    assert mentions(folder, {case[key] for case in gone for key in ("case", "file")}) == []
    assert erase_results(folder, before[0]["subject"]) == []


def test_it_goes_on_past_a_damaged_list(run: Path, evaluated: Path, tmp_path: Path, tiny_folder: Path) -> None:
    subject = trained_subject(Detector.load(run), tiny_folder)
    shutil.copytree(evaluated, run / "results")
    (run / "results" / "results.json").write_text("{")
    (run / "contamination.json").write_text(
        json.dumps({"cases": [{"rank": 1, "file": "=a.png", "subject": subject}, {"file": "b.png", "subject": "x"}]})
    )
    (run / "contamination.csv").write_text("rank,file,subject\n1,'=a.png,?\n2,b.png,x\n")  # found by its file alone
    erasure = erase(run, subject)
    assert [place for place, _ in erasure.problems] == [run / "results"]
    assert (run / "contamination.csv").read_text() == "rank,file,subject\n2,b.png,x\n"
    assert json.loads((run / "contamination.json").read_text())["cases"] == [{"file": "b.png", "subject": "x"}]
    assert any("patches of the healthy bank" in sentence for sentence in erasure.done)


def test_the_command(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from anogan.io import read_subject

    image = tmp_path / "a.dcm"
    write_dicom(image, np.zeros((8, 8), np.uint16), patient_id="ZQXW4711")
    subject = read_subject(image)
    monitor = Monitor.open(run)
    monitor.add([Case("c" * 16, subject, 1.0, {})])
    monitor.save(run)
    assert mentions(run, {person_hash(subject)}) != []
    with pytest.raises(SystemExit) as leaving:
        main(["erase", str(run), "--file", str(image)])
    assert not leaving.value.code
    told = capsys.readouterr().out
    assert "erased: whom the drift monitor has counted; the score stays, as nobody's\n" in told
    assert f"not erased: {AGGREGATES}\n" in told
    assert mentions(run, {person_hash(subject)}) == []
    assert Monitor.open(run).scores == [1.0]
    with pytest.raises(SystemExit, match="keeps nothing that is known to be of this person; give the SUBJECT"):
        main(["erase", str(run), subject])
    with pytest.raises(SystemExit, match=r"names no person; give the SUBJECT"):
        main(["erase", str(run), "--file", str(next((run / "training" / "snapshots").glob("*.png")))])
    for wrong in ([], ["x", "--reference", "y", "--database", "z"], ["--reference", "y"]):
        with pytest.raises(SystemExit) as leaving:
            main(["erase", str(run), *wrong])
        assert leaving.value.code == 2
