"""Dismissed cases enter the healthy reference in a new version: guarded, compared, promoted, rolled back."""

from __future__ import annotations

import dataclasses
import hashlib
import shutil
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

import anogan
from anogan.assurance.feedback import versions
from anogan.assurance.feedback.cases import Dismissed, dismissed
from anogan.assurance.feedback.proposal import Proposal, admit, propose
from anogan.assurance.selftest import measure
from anogan.assurance.selftest.verdict import mark
from anogan.data.dataset import Item, ScanSet, Splits, open_dataset
from anogan.data.synthetic import write_tiny
from anogan.data.transforms import to_network
from anogan.detector import Detector
from anogan.detector.calibration import Calibration
from anogan.detector.fusion import COMPONENTS
from anogan.evaluation import evaluate
from anogan.gan.local_fakes import local_fakes
from anogan.io import read_scan, write_png
from anogan.metrics import Estimate
from anogan.results.reading import case_id
from anogan.results.writing import ResultsWriter
from anogan.review import Desk, NotAllowed, Query, cases_of, open_desk
from anogan.storage import checkpoint
from anogan.storage.pseudonym import person_hash


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a data set that the tiny detector has not seen, with enough images to calibrate and to compare on."""
    return write_tiny(tmp_path_factory.mktemp("data"), n_healthy=110, n_abnormal=6, size=48, seed=7)


@pytest.fixture(scope="module")
def splits(data: Path) -> Splits:
    return open_dataset(data, anogan.load_config("tiny"))


@pytest.fixture(scope="module")
def detector(tiny_detector: Detector, splits: Splits) -> Detector:
    return tiny_detector.calibrate(splits.calibration, 0.1)


def variant(image: np.ndarray, number: int) -> np.ndarray:
    """Return the disc brighter than any in the training: a variant of the norm."""
    return np.where(image > 0.2, image + 0.12, image).clip(0, 1)


def line(image: np.ndarray, number: int) -> np.ndarray:
    """Return the disc with a bright line across it, another variant."""
    changed = image.copy()
    changed[23 + number % 2 : 25 + number % 2, 6:42] += 0.24
    return changed.clip(0, 1)


def dismiss(
    splits: Splits, numbers: Iterable[int], change: Callable[[np.ndarray, int], np.ndarray], folder: Path
) -> list[Dismissed]:
    """Return changed images of the training split, of one person each: case 1 is number 0."""
    found = []
    for number in numbers:
        path = folder / f"{change.__name__}-{number}.png"
        pixels = change(read_scan(splits.train[number].path).pixels, number)
        write_png(path, (pixels * 255).round().astype(np.uint8))
        found.append(Dismissed(number + 1, path, f"person {number}"))
    return found


@pytest.fixture(scope="module")
def variants(splits: Splits, tmp_path_factory: pytest.TempPathFactory) -> list[Dismissed]:
    """Return six people's images with the same variant."""
    return dismiss(splits, range(6), variant, tmp_path_factory.mktemp("variants"))


@pytest.fixture(scope="module")
def proposal(
    detector: Detector, variants: list[Dismissed], splits: Splits, random_state: Callable[[], object]
) -> Proposal:
    before = random_state()
    with pytest.MonkeyPatch.context() as patch:
        shorten(patch)
        proposed = propose(detector, variants, splits)
    assert random_state() == before, "the caller's random numbers, which comparing and testing leave alone, too"
    return proposed


def shorten(patch: pytest.MonkeyPatch) -> None:
    """Let the self-test look at two cells in place of 32."""
    patch.setattr(measure, "SIZES", (0.3,))
    patch.setattr(measure, "CONTRASTS", (0.3,))


def scores(detector: Detector, paths: list[Path]) -> np.ndarray:
    images = [to_network(read_scan(path), detector.config.input) for path in paths]
    return detector.maps(torch.from_numpy(np.stack(images))).scores.numpy()


def test_a_variant_that_several_people_show_enters(
    detector: Detector, proposal: Proposal, variants: list[Dismissed]
) -> None:
    old, new = detector.reference.bank, proposal.detector.reference.bank
    entered = sum(patches for _, patches in proposal.admitted)
    assert 1 <= entered <= 10  # 5 % of 200
    assert torch.equal(new.bank[: len(old.bank)], old.bank)
    assert len(new.bank) == len(old.bank) + entered
    assert {case for case, _ in proposal.admitted} | {case for case, _ in proposal.refused} == set(range(1, 7))
    paths = [one.path for one in variants]
    assert (scores(proposal.detector, paths) <= scores(detector, paths) + 1e-5).all()
    for network, other in zip(vars(detector.networks).values(), vars(proposal.detector.networks).values(), strict=True):
        assert network is other
    assert proposal.detector.reference.gaussian is detector.reference.gaussian


def test_images_of_unknown_persons_do_not_vouch_for_each_other(
    detector: Detector, variants: list[Dismissed], splits: Splits
) -> None:
    with pytest.raises(ValueError, match="none of 6 dismissed images passes the novelty gate"):
        admit(detector, [dataclasses.replace(one, subject="") for one in variants], splits)


def test_the_threshold_comes_from_the_same_calibration_images(
    detector: Detector, proposal: Proposal, splits: Splits
) -> None:
    new = proposal.detector
    assert new.calibration is not None
    expected = np.sort(scores(new, [item.path for item in splits.calibration]))
    np.testing.assert_allclose(new.calibration.scores, expected, atol=1e-5)
    before, after = (each.provenance["calibrations"][-1] for each in (detector, new))
    assert before["files"] == after["files"]
    assert new.calibration.false_alarm_rate == 0.1
    assert {Path(row["file"]) for row in proposal.comparison.cases} == {item.path for item in splits.calibration}
    assert proposal.before["images"] == proposal.after["images"] == len(splits.calibration)
    made = [[cell["made"] for cell in test["cells"]] for test in (proposal.before, proposal.after)]
    assert made[0] == made[1]


def test_lesions_dismissed_by_mistake_hide_none(detector: Detector, splits: Splits, tmp_path: Path) -> None:
    """Each kind of lesion once, in the image of one person each, beside a variant: what was flagged stays flagged."""
    lesions = []
    for number, item in enumerate([item for item in splits.test if item.label][:6], start=100):
        path = tmp_path / f"{number}.png"
        shutil.copy(item.path, path)
        lesions.append(Dismissed(number, path, f"person {number}"))
    rest = dataclasses.replace(splits, test=splits.test.subset(np.flatnonzero(splits.test.labels == 0).tolist()))
    lines = dismiss(splits, range(6), line, tmp_path)
    new, admitted, _ = admit(detector, [*lines, *lesions], rest)
    assert {case for case, _ in admitted} & {one.case for one in lines}
    paths = [one.path for one in lesions]
    before, after = (
        scores(each, paths) >= each.calibration.threshold  # type: ignore[union-attr]
        for each in (detector, new)
    )
    assert before.sum() >= 2
    assert after[before].all()


def planted(splits: Splits, kind: str, folder: Path, count: int) -> list[Dismissed]:
    config = anogan.load_config("tiny")
    images = torch.from_numpy(splits.train.subset(range(count)).load(config)[0])
    torch.manual_seed(1)
    fakes, _ = local_fakes(images, config.local_fakes, (kind,))
    found = []
    for number, fake in enumerate(fakes.numpy()):
        path = folder / f"{kind}-{number}.png"
        write_png(path, ((fake[0] + 1) * 127.5).round().astype(np.uint8))
        found.append(Dismissed(number + 1, path, f"{kind} person {number}"))
    return found


@pytest.mark.parametrize("kind", ["fill", "patch", "gamma"])
def test_one_planted_lesion_alone_never_enters(detector: Detector, splits: Splits, kind: str, tmp_path: Path) -> None:
    for one in planted(splits, kind, tmp_path, 5):
        with pytest.raises(ValueError, match="none of 1 dismissed images passes the novelty gate; case"):
            admit(detector, [one], splits)


def lesion(image: np.ndarray, number: int) -> np.ndarray:
    """Return a disc with a dark spot that a discriminator of profile tiny sees, about where all others have it."""
    row, column = np.mgrid[:48, :48]
    inside = (row - 20 - number % 3) ** 2 + (column - 26 - number % 2) ** 2 <= 36
    return np.where(inside, image - 0.45, image).clip(0, 1)


def test_twenty_mistakes_of_one_kind_do_not_hide_it(tiny_detector: Detector, splits: Splits, tmp_path: Path) -> None:
    """Where the bank alone decides, twenty dismissed lesions hide the twenty-first; the gate does not let them."""
    config = tiny_detector.config
    held = torch.from_numpy(splits.train.subset(range(60, 66)).load(config)[0])
    alone = torch.eye(len(COMPONENTS))[COMPONENTS.index("neighbors")]
    fusion = tiny_detector.fusion.weigh(alone, *[tiny_detector._raw(held)] * 2)
    old = dataclasses.replace(tiny_detector, fusion=fusion).calibrate(splits.calibration, 0.1)
    mistakes = dismiss(splits, range(20), lesion, tmp_path)
    paths = [one.path for one in [*mistakes, *dismiss(splits, range(30, 60), lesion, tmp_path)]]
    images = torch.from_numpy(np.stack([to_network(read_scan(path), config.input) for path in paths[:20]]))
    with torch.no_grad():
        embedded = old.reference.embed(old.networks.discriminator(images).features)
    patches = embedded.permute(0, 2, 3, 1).flatten(0, 2)
    bank = old.reference.bank.extended(patches, torch.zeros(len(patches)))
    reference = dataclasses.replace(old.reference, bank=bank)
    credulous = dataclasses.replace(old, reference=reference).calibrate(splits.calibration, 0.1)
    others = dismiss(splits, range(60, 66), variant, tmp_path)  # of other people, and these do enter
    gated, admitted, refused = admit(old, [*mistakes, *others], splits)
    before, blind, after = (
        int((scores(each, paths[20:]) >= each.calibration.threshold).sum())  # type: ignore[union-attr]
        for each in (old, credulous, gated)
    )
    assert blind <= before / 2
    assert after >= before - 2
    assert sum("the discriminator alone would flag it" in reason for _, reason in refused) >= 3
    assert len({case for case, _ in admitted} & {one.case for one in mistakes}) <= 2


def test_what_must_stay_untouched_is_refused(
    detector: Detector, variants: list[Dismissed], splits: Splits, tiny_folder: Path, tmp_path: Path
) -> None:
    seen = Path(splits.calibration[0].path)
    trained = next(
        item.path for item in open_dataset(tiny_folder, detector.config).train
        if hashlib.sha256(item.path.read_bytes()).hexdigest()[:16] in detector.provenance["files"]
    )  # fmt: skip
    torn = tmp_path / "torn.png"
    torn.write_bytes(b"\x89PNG")
    others = [
        Dismissed(91, seen, ""),
        Dismissed(92, variants[0].path, splits.test[0].subject),
        Dismissed(93, trained, ""),
        Dismissed(94, torn, ""),
        Dismissed(95, variants[1].path, "again"),
    ]
    refused = dict(admit(detector, [*variants, *others], splits)[2])
    assert (
        refused[91]
        == refused[92]
        == "is one of the calibration or test images, or of their people; these stay untouched"
    )
    assert refused[93] == refused[95] == "is in the detector already"
    assert "torn.png" in refused[94]


def test_only_what_calibrated_the_detector_will_do(
    detector: Detector, tiny_detector: Detector, variants: list[Dismissed], splits: Splits
) -> None:
    with pytest.raises(ValueError, match="is not what calibrated the detector; name the data set that did"):
        admit(tiny_detector, variants, splits)
    with pytest.raises(ValueError, match="not calibrated on images; run `anogan calibrate` first"):
        admit(dataclasses.replace(detector, calibration=None), variants, splits)


def test_reviewed_images_are_in_no_figure(proposal: Proposal, variants: list[Dismissed], splits: Splits) -> None:
    """The held-out guard: evaluation, calibration and self-test refuse what was taken in, and who."""
    new = proposal.detector
    case = proposal.admitted[0][0]
    inside = next(one for one in variants if one.case == case)
    words = "of reviewed cases, or of their people, that the detector has taken in as healthy"
    image = Item(inside.path, "somebody", 0)
    person = Item(splits.test[0].path, inside.subject, 0)
    for item in (image, person):
        spoiled = dataclasses.replace(splits.test, items=(*splits.test, item))
        with pytest.raises(ValueError, match=words):
            evaluate(new, spoiled)
        with pytest.raises(ValueError, match=words):
            measure.run(new, dataclasses.replace(splits, test=spoiled))
    calibrating = dataclasses.replace(splits.calibration, items=(*splits.calibration, person))
    with pytest.raises(ValueError, match=words):
        new.calibrate(calibrating)
    with pytest.raises(ValueError, match="1 of its scans were used in training; calibrate on others"):
        new.calibrate(ScanSet("new", (*splits.calibration, image)))
    assert evaluate(new, splits.test)


def test_what_entered_is_evidence_by_example(
    proposal: Proposal, variants: list[Dismissed], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("anogan.detector.examples.MOST", 1000)  # few of its places are new
    case, _ = max(proposal.admitted, key=lambda one: one[1])
    inside = next(one for one in variants if one.case == case)
    assert case_id(inside.path) in proposal.detector.inspect(read_scan(inside.path)).nearest


def test_a_person_can_be_erased_from_it(proposal: Proposal, variants: list[Dismissed]) -> None:
    from anogan.privacy.erasure import forget

    case, patches = proposal.admitted[0]
    inside = next(one for one in variants if one.case == case)
    left, note = forget(proposal.detector, inside.subject)
    assert note is not None
    assert (note["patches"], note["images"]) == (patches, 1)
    assert len(left.reference.bank.bank) == len(proposal.detector.reference.bank.bank) - patches
    known = person_hash(inside.subject)
    assert known in str(proposal.detector.provenance)
    assert known not in str(left.provenance)


def test_killed_while_it_erases_the_run_still_works(
    run: Path, proposal: Proposal, variants: list[Dismissed], desks: dict[str, Desk], monkeypatch: pytest.MonkeyPatch
) -> None:
    from anogan.privacy.erasure import erase

    versions.add(run, versions.keep(run), proposal)
    versions.promote(run, 1, desks["ida"])
    inside = next(one for one in variants if one.case == proposal.admitted[0][0])

    def dies(*_: Any) -> list[str]:
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(versions, "refresh", dies)
        with pytest.raises(Killed):
            erase(run, inside.subject)
    assert Detector.load(run).calibration is not None
    assert erase(run, inside.subject).problems == []
    assert person_hash(inside.subject) not in (run / "detector.json").read_text(encoding="utf-8")


def test_erasing_a_person_reaches_every_version(
    run: Path, proposal: Proposal, variants: list[Dismissed], desks: dict[str, Desk]
) -> None:
    from anogan.privacy.erasure import erase

    base = versions.keep(run)
    versions.add(run, base, proposal)
    versions.promote(run, 1, desks["ida"])
    inside = next(one for one in variants if one.case == proposal.admitted[0][0])
    erasure = erase(run, inside.subject)
    assert erasure.problems == []
    assert versions.current(run) == 1
    bank = proposal.detector.reference.bank
    assert bank.origin is not None
    own = bank.bank[bank.origin == len(proposal.detector.provenance["people"]["train"]) - len(proposal.admitted)]
    assert len(own) == proposal.admitted[0][1]
    assert len(Detector.load(run).reference.bank.bank) == len(bank.bank) - len(own)
    for path in run.rglob("detector.safetensors"):
        left = checkpoint.read_tensors(path)["reference.bank"]
        assert torch.cdist(left, own).min() > 1e-3
    assert versions.rollback(run, desks["ida"]).number == 0


# Versions


@pytest.fixture
def run(detector: Detector, tmp_path: Path) -> Path:
    return detector.save(tmp_path / "run")


@pytest.fixture
def desks(tmp_path: Path) -> Iterator[dict[str, Desk]]:
    desk = open_desk(tmp_path / "desk.db")
    desk.set_role("ida", "admin")
    admin = desk.sign_in("ida")
    admin.set_role("ana", "reader")
    admin.set_role("uwe", "auditor")
    yield {name: desk.sign_in(name) for name in ("ida", "ana", "uwe")}
    desk.close()


def works(run: Path) -> tuple[str, str]:
    """Return hashes of the weights and of all else that is loaded."""
    loaded = Detector.load(run)
    return checkpoint.digest(loaded._tensors()), hashlib.sha256(
        repr((loaded.provenance, loaded.map_range, loaded.calibration and loaded.calibration.to_json())).encode()
    ).hexdigest()


def promoted(desk: Desk) -> list[dict[str, Any]]:
    return [dict(entry.details) for entry in desk.log() if entry.action == "promoted"]


def test_a_version_is_promoted_and_rolled_back_bit_by_bit(
    run: Path, proposal: Proposal, desks: dict[str, Desk]
) -> None:
    before, image = works(run), [Path(row["file"]) for row in proposal.comparison.cases[:3]]
    first = scores(Detector.load(run), image)
    base = versions.keep(run)
    made = versions.add(run, base, proposal)
    assert (base.number, made.number, versions.current(run), works(run)) == (0, 1, 0, before)
    assert versions.keep(run).number == 0

    versions.promote(run, 1, desks["ida"])
    assert versions.current(run) == 1
    assert works(run) == works(made.folder) != before
    assert mark(run) == ("" if proposal.after["passed"] else mark(made.folder).replace(str(made.folder), str(run)))
    with pytest.raises(ValueError, match="version 1 is the one that works already"):
        versions.promote(run, 1, desks["ida"])

    assert versions.rollback(run, desks["ida"]).number == 0
    assert versions.current(run) == 0
    assert works(run) == before
    np.testing.assert_array_equal(scores(Detector.load(run), image), first)
    with pytest.raises(ValueError, match="no version was promoted in place of another"):
        versions.rollback(run, desks["ida"])
    names = [version.note["detector"] for version in versions.listed(run)]
    assert [(row["detector"], row["replaced"]) for row in promoted(desks["uwe"])] == [tuple(names[::-1]), tuple(names)]
    assert desks["uwe"].verify().faults == ()


def test_rollbacks_go_back_one_by_one(run: Path, proposal: Proposal, desks: dict[str, Desk]) -> None:
    versions.add(run, versions.keep(run), proposal)
    versions.promote(run, 1, desks["ida"])
    recalibrated = dataclasses.replace(proposal.detector, calibration=Calibration.fit(np.arange(30.0), 0.2))
    second = dataclasses.replace(proposal, detector=recalibrated)
    versions.add(run, versions.keep(run), second)
    versions.promote(run, 2, desks["ida"])
    assert [versions.rollback(run, desks["ida"]).number for _ in range(2)] == [1, 0]


@pytest.mark.parametrize("user", ["ana", "uwe"])
def test_only_an_admin_promotes(user: str, run: Path, proposal: Proposal, desks: dict[str, Desk]) -> None:
    versions.add(run, versions.keep(run), proposal)
    before = (run / "detector.json").read_bytes()
    with pytest.raises(NotAllowed, match="that takes the role admin"):
        versions.promote(run, 1, desks[user])
    assert (run / "detector.json").read_bytes() == before
    versions.promote(run, 1, desks["ida"])
    with pytest.raises(NotAllowed, match="that takes the role admin"):
        versions.rollback(run, desks[user])
    assert versions.current(run) == 1
    assert len(promoted(desks["uwe"])) == 1


class Killed(BaseException):
    """The process ends here."""


@pytest.mark.parametrize("place", ["write_json", "read_json"])
def test_killed_at_any_step_the_old_or_the_new_version_works(
    place: str, run: Path, proposal: Proposal, desks: dict[str, Desk], monkeypatch: pytest.MonkeyPatch
) -> None:
    before = works(run)
    base = versions.keep(run)
    real: Callable[..., Any] = getattr(checkpoint, place)
    for action in ("add", "promote"):
        for step in range(60):
            left = iter(range(step))

            def dies(*given: Any, left: Iterator[int] = left) -> Any:
                if next(left, None) is None:
                    raise Killed
                return real(*given)

            with monkeypatch.context() as patch:
                patch.setattr(checkpoint, place, dies)
                try:
                    if action == "add":
                        versions.add(run, base, proposal)
                    else:
                        versions.promote(run, 1, desks["ida"])
                    break
                except Killed:
                    pass
            numbers = [version.number for version in versions.listed(run)]
            if action == "add":
                assert numbers == [0]
                assert works(run) == before
            elif versions.current(run) == 1:  # all but the note on the self-test was done
                assert works(run) == works(run / "versions" / "1")
                break
            else:
                assert works(run) == before
        else:
            pytest.fail("it never came to its end")
    assert versions.current(run) == 1
    assert versions.rollback(run, desks["ida"]).number == 0
    assert works(run) == before


def test_a_version_that_lost_sensitivity_is_not_promoted(run: Path, proposal: Proposal, desks: dict[str, Desk]) -> None:
    from anogan.assurance.comparison import Flags

    one = Estimate(0.5, 0.4, 0.6)
    worse = dataclasses.replace(proposal.comparison, planted=Flags(one, one._replace(value=0.2), 20, 30, 0, 50, 1e-9))
    failed = dataclasses.replace(
        proposal,
        comparison=worse,
        before=proposal.before | {"passed": True},
        after=proposal.after | {"passed": False, "reasons": ["it is blind"]},
    )
    versions.add(run, versions.keep(run), failed)
    with pytest.raises(ValueError, match="version 1 cannot be promoted. It finds fewer .* 20% against 50%. It fails"):
        versions.promote(run, 1, desks["ida"])
    assert versions.current(run) == 0
    assert promoted(desks["uwe"]) == []


def test_what_is_damaged_is_not_promoted(run: Path, proposal: Proposal, desks: dict[str, Desk]) -> None:
    made = versions.add(run, versions.keep(run), proposal)
    with (made.folder / "detector.safetensors").open("ab") as file:
        file.write(b"x")
    with pytest.raises(ValueError, match="altered or damaged"):
        versions.promote(run, 1, desks["ida"])
    with pytest.raises(ValueError, match="has no version 7; there are: 0, 1"):
        versions.promote(run, 7, desks["ida"])
    assert (versions.current(run), promoted(desks["uwe"])) == (0, [])


def test_calibrating_after_a_promotion_is_none_of_the_versions(
    run: Path, proposal: Proposal, desks: dict[str, Desk]
) -> None:
    versions.add(run, versions.keep(run), proposal)
    versions.promote(run, 1, desks["ida"])
    again = dataclasses.replace(Detector.load(run), calibration=Calibration.fit(np.arange(40.0), 0.1))
    again.save(run)
    assert versions.current(run) is None
    versions.promote(run, 0, desks["ida"])  # what worked is kept before it goes
    assert [version.number for version in versions.listed(run)] == [0, 1, 2]
    versions.rollback(run, desks["ida"])
    assert works(run)[0] == checkpoint.digest(again._tensors())
    assert Detector.load(run).calibration.false_alarm_rate == 0.1  # type: ignore[union-attr]


# From the desk to a new version


def fill_desk(desk: Desk, detector: Detector, dismissals: list[Dismissed], folder: Path) -> None:
    with ResultsWriter(folder, detector.summary()) as writer:
        for one in dismissals:
            scan = read_scan(one.path)
            writer.add(scan, detector.inspect(scan), subject=one.subject)
    desk.add_many(cases_of(folder))


def test_only_signed_dismissals_as_normal_variants_are_taken(
    detector: Detector, variants: list[Dismissed], tmp_path: Path
) -> None:
    desk = open_desk(tmp_path / "desk.db")
    fill_desk(desk, detector, variants, tmp_path / "results")
    said = [
        ("dismiss", "normal variant"),
        ("dismiss", "artifact"),
        ("confirm", "manipulation"),
        ("dismiss", "normal variant"),
    ]
    for number, (verdict, reason) in enumerate(said, start=1):
        case = desk.lease(number)
        case = desk.decide(number, case.version, verdict, reason)  # type: ignore[arg-type]
        if number < 4:
            desk.sign(number, case.version)
    found, refused = dismissed(desk, "tiny")
    assert [(one.case, one.path.name) for one in found] == [(1, desk.case(1).title)]
    assert refused == [(2, "was dismissed as artifact, which does not say that it is healthy")]
    assert dismissed(desk, "brain-mri") == ([], [])
    assert found[0].path in [one.path for one in variants]
    (tmp_path / "results" / "results.json").unlink()
    assert dismissed(desk, "tiny")[1][0] == (1, "its image file is not here any more, or was changed")
    assert desk.counts(Query(state="signed")) == {"signed": 3}


def test_the_commands_tell_the_whole_story(
    anogan: Callable[..., SimpleNamespace], run: Path, detector: Detector, data: Path, variants: list[Dismissed],
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    shorten(monkeypatch)
    database = tmp_path / "desk.db"
    desk = open_desk(database)
    fill_desk(desk, detector, variants, tmp_path / "results")
    done = anogan("feedback", "propose", run, database, data)
    assert "no signed case was dismissed as a normal variant" in done.err
    for number in range(1, 7):
        case = desk.lease(number)
        desk.sign(number, desk.decide(number, case.version, "dismiss", "normal variant").version)
    done = anogan("feedback", "propose", run, database, data)
    assert done.code == 0, done.err
    assert "enters with" in done.out
    assert "version 1 is in" in done.out
    assert "2 versions" in anogan("feedback", "list", run).out
    assert anogan("feedback", "promote", run, 1, "--desk", database).code == 0
    assert "version 0 works again" in anogan("feedback", "rollback", run, "--desk", database).out
    assert anogan("audit", "verify", database).code == 0
    assert anogan("feedback", "promote", run, 9, "--desk", database).code == 1
