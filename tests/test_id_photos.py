"""The attacks on ID photos that the benchmark makes, and how it counts them."""

import csv
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
import pytest

FOLDER = Path(__file__).parents[1] / "benchmarks"
PEOPLE = [f"{number:03d}" for number in range(1, 14)]


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Yield the modules, with few people."""
    monkeypatch.syspath_prepend(str(FOLDER))
    import attacks
    import id_photos
    import quality
    import warps

    for name, value in {"TEST_PEOPLE": 3, "CALIBRATION_PEOPLE": 2, "TEST_WEB": 4, "CALIBRATION_WEB": 21}.items():
        monkeypatch.setattr(attacks, name, value)
    yield SimpleNamespace(attacks=attacks, id_photos=id_photos, quality=quality, warps=warps)
    for name in ("accuracy", "attacks", "datasets", "id_photos", "peers", "quality", "warps"):
        sys.modules.pop(name, None)


def landmarks() -> np.ndarray:
    """Return points in the order of the set, on an oval face of 128 pixels: only those with a meaning matter."""
    points = 64 + 22 * np.random.default_rng(5).uniform(-1, 1, (189, 2))
    points[0], points[1] = (50, 55), (78, 55)
    turn = np.linspace(np.pi, 0, 9)
    points[125:134] = 64 + 30 * np.stack([np.cos(turn), np.sin(turn)], 1)
    turn = np.linspace(np.pi, 2 * np.pi, 11)
    points[134:145] = 64 + 30 * np.stack([np.cos(turn), np.sin(turn)], 1)
    return points


@pytest.fixture
def faces(bench: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Write blurred noise in the layout of the real sets."""
    generator = np.random.default_rng(0)

    def write(path: Path, side: int) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        noise = cv2.GaussianBlur(generator.random((side, side, 3)), (0, 0), 2)
        cv2.imwrite(str(path), (255 * (noise - noise.min()) / np.ptp(noise)).astype(np.uint8))

    studio, web = tmp_path / "faces_frll", tmp_path / "faces_stylegan"
    (studio / "landmarks").mkdir(parents=True)
    for person in PEOPLE:
        for kind, number in (("neutral", "03"), ("smiling", "08")):
            write(studio / "genuine" / f"{kind}_front_{person}_{number}.jpg", 128)
        points = landmarks() + generator.normal(0, 0.7, (189, 2))
        lines = ["\t".join(f"{v:.1f}" for v in point) for point in points / bench.attacks.LANDMARK_SCALE]
        (studio / "landmarks" / f"{person}_03.tem").write_text("\n".join(["189", *lines, "43", "0"]), encoding="utf-8")
    write(studio / "genuine" / "canada_003f.jpg", 128)
    for k in range(45):
        write(web / "genuine" / f"{k:05d}.jpg", 64)
    for k in range(3):
        write(web / "stylegan" / f"AB{k}.jpg", 64)
    monkeypatch.setattr(bench.attacks, "DATA", tmp_path)
    monkeypatch.setattr(bench.attacks, "LONG_SIDE", 112)
    return bench


def test_what_is_not_warped_stays(bench: Any) -> None:
    image = np.random.default_rng(0).random((128, 128, 3), dtype=np.float32)
    points = landmarks()
    warps = bench.warps
    np.testing.assert_allclose(warps.fetch(image, warps.warp(image.shape, points, points)), image, atol=1e-3)
    np.testing.assert_allclose(warps.fetch(image, warps.similarity(image.shape, points, points)), image, atol=1e-3)


def test_landmarks_go_where_they_are_sent(bench: Any) -> None:
    """A bright spot on a landmark lies on the target landmark after the warp; likewise after a bend."""
    warps, source = bench.warps, landmarks()
    target = source + [4.0, -3.0]
    bend = warps.random_bend((128, 128), np.random.default_rng(1))
    for places, expected in (
        (warps.warp((128, 128), source, target), target),
        (warps.similarity((128, 128), source, target), target),
        (bend, warps.bent_points(source, bend)),
    ):
        for index in (0, 1, 130):
            spot = np.zeros((128, 128), np.float32)
            cv2.circle(spot, tuple(source[index].round().astype(int).tolist()), 2, 1.0, -1)
            rows, columns = np.nonzero(warps.fetch(spot, places) > 0.5)
            assert np.abs([columns.mean(), rows.mean()] - expected[index]).max() < 1.2


def test_colors_are_matched_inside_the_mask(bench: Any) -> None:
    generator = np.random.default_rng(2)
    image, to = (generator.normal(mean, 0.05, (64, 64, 3)) for mean in (0.4, 0.6))
    mask = np.zeros((64, 64, 1))
    mask[16:48, 16:48] = 1
    matched = bench.warps.match_color(image, to, mask)[16:48, 16:48]
    np.testing.assert_allclose(matched.mean((0, 1)), to[16:48, 16:48].mean((0, 1)), atol=1e-3)
    np.testing.assert_allclose(matched.std((0, 1)), to[16:48, 16:48].std((0, 1)), atol=1e-3)


def test_attacks_are_of_test_people_and_the_same_again(faces: Any, tmp_path: Path) -> None:
    """Nobody is in two splits, attacks are made of test people, one of each species twice; the seed fixes all bytes."""
    attacks = faces.attacks
    for name in ("first", "second"):
        attacks.write(tmp_path / name, 0)
    with (tmp_path / "first" / "manifest.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    for row in rows:
        assert (tmp_path / "first" / row["file"]).read_bytes() == (tmp_path / "second" / row["file"]).read_bytes()
    split_of: dict[str, set[str]] = {}
    for row in rows:
        split_of.setdefault(row["subject"], set()).add(row["split"])
    assert {len(splits) for splits in split_of.values()} == {1}
    testers = {subject for subject, splits in split_of.items() if splits == {"test"} and subject in PEOPLE}
    assert len(testers) == 3
    made = [row for row in rows if row["species"] and row["species"] != attacks.STYLEGAN]
    assert len(made) == len(attacks.SPECIES) * 3 * attacks.PER_PERSON
    for row in made:
        host, donor = Path(row["file"]).stem.split("-")[-2:]
        assert host == row["subject"] != donor
        assert {host, donor} <= testers
    assert {row["split"] for row in rows if row["label"] == "abnormal"} == {"test"}
    assert attacks.split_people(0) != attacks.split_people(1)


def test_local_attacks_leave_the_rest_alone(faces: Any) -> None:
    """A swap, splice, combined morph or retouch changes the face and nothing outside it, and never nothing."""
    attacks, warps = faces.attacks, faces.warps
    host, donor = (attacks.read_portrait(person) for person in PEOPLE[:2])
    for species in ("swap", "splice", "combined morph", "inpaint", "smoothing"):
        changed = attacks.SPECIES[species](host, donor, np.random.default_rng(3))
        bend = warps.random_bend(host.pixels.shape, np.random.default_rng(3))  # the first draw of each
        difference = np.abs(changed - warps.fetch(host.pixels, bend)).max(2)
        assert difference[:12].max() < 1e-3
        assert difference[40:90, 40:90].max() > 0.02, species


def test_finished_pictures_are_of_one_size(bench: Any) -> None:
    image = np.full((640, 480, 3), 0.5, np.float32)
    assert bench.attacks.decode(bench.attacks.finish(image, np.random.default_rng(0))).shape == (560, 420, 3)


def test_statistics_by_hand(bench: Any) -> None:
    """Flat 8 x 8 blocks have steps at their borders only; a fine checkerboard is all high frequencies."""
    statistics = bench.id_photos.STATISTICS
    blocks = np.kron(np.random.default_rng(0).random((8, 8)), np.ones((8, 8))).astype(np.float32)
    noise = np.random.default_rng(0).random((64, 64)).astype(np.float32)
    assert statistics["blockiness"](blocks) > 1e3
    assert statistics["blockiness"](noise) == pytest.approx(1, abs=0.1)
    rows, columns = np.mgrid[:64, :64]
    assert statistics["high frequencies"](((rows + columns) % 2).astype(np.float32)) == pytest.approx(1)
    assert statistics["high frequencies"](np.sin(columns / 10).astype(np.float32)) < 0.01
    two_sided = bench.id_photos.readings(np.array([1.0, 3.0, 0.0]), np.array([True, True, False]))["two-sided"]
    assert two_sided.tolist() == [1, 1, 2]


def test_what_is_not_scored_does_not_pass(bench: Any) -> None:
    """Of four attacks one is below the threshold of its site; the one without a score is flagged. Sites are apart."""
    rows = [["calibration", f"c{k}", "studio", ""] for k in range(20)] + [["test", "a", "studio", ""]]
    scores = [*(k / 20 for k in range(20)), 0.5]
    rows += [["test", "a", "studio", "swap"]] * 4 + [["test", "w", "web", ""]]
    scores += [0.3, 0.99, 2.0, np.nan, 50.0]
    run = bench.id_photos.Run({"images": rows}, np.array(scores))
    assert run.against("swap").sum() == 5
    assert run.errors("swap") == (0.25, 0.0)
    found = bench.id_photos.figures({0: run}, "swap")
    assert found["auroc"][0] == 0.75


@pytest.mark.slow
def test_from_photos_to_table(faces: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The whole study with the tiny profile: trained, scored, kept, and read again without measuring."""
    study = faces.id_photos
    for name, value in {
        "PROFILE": "tiny",
        "RESULTS": tmp_path / "results" / "id_photos",
        "RUNS": tmp_path / "r",
    }.items():
        monkeypatch.setattr(study, name, value)
    (tmp_path / "results").mkdir()
    monkeypatch.setattr(sys.modules["accuracy"], "REPLICATES", 20)
    monkeypatch.setattr(study, "BPCER", 0.25)  # four calibration photos promise no less
    monkeypatch.setattr(sys, "argv", ["id_photos.py", "--train", "--seeds", "0"])
    study.main()
    text = (tmp_path / "results" / "id_photos.md").read_text(encoding="utf-8")
    for species in (*faces.attacks.SPECIES, faces.attacks.STYLEGAN):
        assert f"| {species} | " in text
    kept = json.loads((tmp_path / "results" / "id_photos" / "anogan-0.json").read_text(encoding="utf-8"))
    assert {len(values) for values in kept["scores"].values()} == {len(kept["images"])}
    monkeypatch.setattr(study, "METHODS", {})  # nothing is measured twice
    study.main()
    assert (tmp_path / "results" / "id_photos.md").read_text(encoding="utf-8") == text


@pytest.mark.parametrize("method", ["noise", "anogan"])
def test_the_gates_verdicts_join_the_scores_by_image(
    bench: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    quality = bench.quality
    monkeypatch.setattr(bench.id_photos, "RESULTS", tmp_path)
    monkeypatch.setattr(bench.id_photos, "RUNS", tmp_path / "runs")
    monkeypatch.setattr(quality, "GATE", tmp_path)
    images = [["calibration", f"c{k}", "studio", ""] for k in range(19)]  # scores 0 to 18: flagged above 18
    images += [["test", f"t{k}", "studio", ""] for k in range(4)] + [
        ["test", f"t{k}", "studio", "print"] for k in range(4)
    ]
    scores: list[float | None] = [*range(19), 1, 2, 3, 99, 1, 2, 3, 99]
    found = [quality.ACCEPTED] * 27
    found[20], found[23], found[24] = "failure to acquire", quality.REFUSED, quality.REFUSED
    if method == "anogan":
        scores[20] = scores[23] = scores[24] = None  # its own gate
    (tmp_path / f"{method}-0.json").write_text(json.dumps({"images": images, "scores": {method: scores}}))
    verdicts = quality.Verdicts(0, images, found)
    if method == "anogan":
        assert quality.runs_of(method, verdicts) is None  # nobody has scored what is refused
        (tmp_path / "open-0.json").write_text(json.dumps({23: 1.0, 24: 2.0}))
    without, gated = quality.runs_of(method, verdicts)
    # Of four genuine photos one is flagged; the one without a face is not scored by the product in either case.
    assert without.errors("print") == (0.75, 0.25 if method == "noise" else 0.5)
    assert gated.errors("print") == (0.25, 0.5)  # two attacks are refused
    assert quality.share([verdicts], "print", quality.REFUSED) == 0.5
    assert quality.share([verdicts], "", "failure to acquire") == 0.25
    assert quality.runs_of("nothing", verdicts) is None
    with pytest.raises(ValueError, match=f"{method}-0.json: lists other images than the gate has judged"):
        quality.runs_of(method, verdicts._replace(images=images[::-1]))
