"""A run folder as `train`, `inspect` and `evaluate` leave it behind, made of soft discs in a second."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import pytest
from chromium import CHROMIUM, FLAGS
from desks import TEAM, new

from anogan.cli.console import free_port
from anogan.results.reading import read_results
from anogan.results.writing import ResultsWriter
from anogan.review import Desk, open_desk
from anogan.scan import Result, Scan

if TYPE_CHECKING:
    from playwright.sync_api import Browser

COMPONENTS = ("discriminator", "residual", "feature_residual", "gaussian", "neighbors", "spectrum")


def phantom(generator: np.random.Generator, size: int) -> np.ndarray:
    """Return a soft textured ellipse, float32 (size, size) in [0, 1]."""
    y, x = np.mgrid[0:size, 0:size] / (size - 1) * 2 - 1
    radius = np.hypot(x / generator.uniform(0.68, 0.76), y / generator.uniform(0.84, 0.92))
    texture = cv2.GaussianBlur(generator.normal(size=(size, size)), (0, 0), size / 20) * size / 22
    body = (0.55 + 0.12 * np.cos(6 * radius) + 0.12 * texture) / (1 + np.exp((radius - 1) * 24))
    return np.clip(body + generator.normal(0, 0.012, (size, size)), 0, 1).astype(np.float32)


def to_bytes(values: np.ndarray) -> np.ndarray:
    """Return values in [0, 1] as uint8."""
    return np.asarray(np.clip(np.rint(values * 255), 0, 255), dtype=np.uint8)


def summary(calibrated: bool = True) -> dict[str, Any]:
    """Return what `Detector.summary` writes into results.json."""
    scores = np.sort(np.random.default_rng(5).gamma(9, 0.17, 99)) if calibrated else np.zeros(0)
    return {
        "name": "tiny",
        "profile": "tiny",
        "threshold": float(scores[95]) if calibrated else None,
        "false_alarm_rate": 0.05 if calibrated else None,
        "n_calibration": int(scores.size),
        "promise": "Of new healthy images like these 99, at most 5 % are expected to be flagged." if calibrated else "",
        "map_range": [0.0, 6.0],
        "calibration_scores": scores.tolist(),
        "version": "0.1.0",
        "trained": "2026-01-01T00:00:00+00:00",
        "hash": "0123456789abcdef" * 4,
    }


def write_results(
    folder: Path, detector: dict[str, Any], *, healthy: int, abnormal: int, size: int
) -> list[dict[str, Any]]:
    """Write images, and results of them as a detector would; return the cases of results.json."""
    generator = np.random.default_rng(1)
    reference = np.asarray(detector["calibration_scores"])
    images = folder.parent / "images"
    images.mkdir()
    with ResultsWriter(folder, detector) as writer:
        for index in range(healthy + abnormal):
            label = int(index >= healthy)
            pixels, mask = phantom(generator, size), np.zeros((size, size), np.uint8)
            reconstruction = cv2.GaussianBlur(pixels, (0, 0), 1.5)
            depth = generator.uniform(0.6, 5.5) if label else 0.0
            x, y = (int(value) for value in generator.integers(size // 3, 2 * size // 3, 2))
            cv2.circle(mask, (x, y), int(size * generator.uniform(0.05, 0.12)), label, -1)
            soft = cv2.GaussianBlur(mask.astype(np.float32), (0, 0), size / 40)
            pixels = np.clip(pixels + 0.09 * depth * soft, 0, 1).astype(np.float32)
            noise = cv2.GaussianBlur(generator.normal(size=(size, size)), (0, 0), size / 14) * size / 8
            heat = (np.abs(noise) * 0.8 + depth * soft * 1.2).astype(np.float32)
            score = float(np.sort(heat.ravel())[-size * size // 100 :].mean())
            path = images / f"{('healthy', 'abnormal')[label]}_[{index:02d}].png"
            cv2.imwrite(str(path), to_bytes(pixels))
            result = Result(
                source=str(path),
                status="scored",
                score=score,
                p_value=(1 + int((reference >= score).sum())) / (reference.size + 1) if reference.size else None,
                flagged=bool(score >= detector["threshold"]) if reference.size else None,
                uncertainty=0.05,
                anomaly_map=heat,
                reconstruction=reconstruction,
                components={name: score * (0.8 + 0.1 * part) for part, name in enumerate(COMPONENTS)},
                component_maps={name: heat * np.float32(generator.uniform(0.6, 1.2)) for name in COMPONENTS},
                seconds=0.04,
            )
            writer.add(Scan(pixels, str(path)), result, subject=f"subject-{index:02d}", label=label, mask=mask)
        torn = images / "torn.png"
        torn.write_bytes(b"torn")
        writer.add_failure(torn, f"{torn}: the PNG ends too early, copy the file again")
    return list(read_results(folder)["cases"])


def write_evaluation(folder: Path, detector: dict[str, Any], cases: list[dict[str, Any]]) -> dict[str, Any]:
    """Write evaluation.json of the scored cases; the intervals are given, not worked out."""
    scored = [case for case in cases if case["status"] == "scored"]
    scores = np.array([case["score"] for case in scored])
    truth = np.array([case["label"] == "abnormal" for case in scored])
    thresholds = np.concatenate([[scores.max() + 1], np.unique(scores)[::-1]])
    alarms = [float((scores[~truth] >= value).mean()) for value in thresholds]
    found = [float((scores[truth] >= value).mean()) for value in thresholds]
    flagged = scores >= detector["threshold"]
    area = float((scores[truth][:, None] > scores[~truth][None]).mean())
    evaluation = {
        "format": 1,
        "n_healthy": int((~truth).sum()),
        "n_abnormal": int(truth.sum()),
        "n_subjects": len(scored),
        "auroc": [area, area - 0.06, min(1.0, area + 0.04)],
        "average_precision": [0.93, 0.85, 0.98],
        "sensitivity_at": {"0.90": [0.85, 0.7, 0.95], "0.95": [0.8, 0.62, 0.92], "0.99": [0.7, 0.5, 0.85]},
        "pixel_auroc": 0.96,
        "aupro": 0.81,
        "components": {name: area - 0.02 * (6 - index) for index, name in enumerate(COMPONENTS)},
        "operating_point": {
            "threshold": detector["threshold"],
            "false_alarm_rate": 0.05,
            "realized": rate(flagged[~truth]),
            "sensitivity": rate(flagged[truth]),
            "true_positive": int((flagged & truth).sum()),
            "false_positive": int((flagged & ~truth).sum()),
            "true_negative": int((~flagged & ~truth).sum()),
            "false_negative": int((~flagged & truth).sum()),
        },
        "roc": {"threshold": thresholds.tolist(), "false_alarm_rate": alarms, "sensitivity": found},
        "not_scored": [{"file": "images/torn.png", "reason": "the PNG ends too early"}],
        "scores": [{name: case[name] for name in ("case", "file", "subject", "label", "score")} for case in scored],
    }
    (folder / "evaluation.json").write_text(json.dumps(evaluation), encoding="utf-8")
    return evaluation


def rate(hits: np.ndarray) -> list[float]:
    """Return [share, low, high] with limits one tenth away."""
    share = float(hits.mean())
    return [share, max(0.0, share - 0.1), min(1.0, share + 0.1)]


def write_training(folder: Path) -> None:
    """Write history.jsonl (its last line torn, as while training) and the snapshots."""
    generator = np.random.default_rng(2)
    (folder / "snapshots").mkdir(parents=True)
    lines = []
    for phase, steps in (("adversarial", 1000), ("encoder", 500)):
        for step in range(25, steps + 1, 25):
            fall = float(np.exp(-step / 400))
            losses = {"generator": 0.7 + fall + generator.normal(0, 0.05), "discriminator": 0.5 + fall / 2}
            losses = losses if phase == "adversarial" else {"reconstruction": 0.1 + fall / 3, "latent": 0.05 + fall / 4}
            lines.append(json.dumps({"phase": phase, "step": step, "steps": steps, "seconds": step * 0.1, **losses}))
            if step % 250 == 0:
                grid = np.block([[phantom(generator, 64) for _ in range(8)] for _ in range(4)])
                name = folder / "snapshots" / f"{phase}-{step:06d}"
                cv2.imwrite(str(name.with_suffix(".png")), to_bytes(grid))
                name.with_suffix(".json").write_text(
                    json.dumps({"step": step, "diversity": 0.3, "sharpness": 1 - fall})
                )
    readings = [
        {"step": step, "AUROC on unseen kinds of fakes": 0.7 + step / 5000, "KID": 1 / step}
        for step in range(100, 1001, 100)
    ]
    found = {"word": "improving", "reason": "better: AUROC on unseen kinds of fakes, KID", "best": 900, "steps": 1000}
    (folder / "progress.json").write_text(json.dumps({"adversarial": {"readings": readings, **found}}))
    (folder / "history.jsonl").write_text("\n".join([*lines, '{"phase": "enco']), encoding="utf-8")


def write_run(
    folder: Path, *, healthy: int = 6, abnormal: int = 6, size: int = 64, calibrated: bool = True
) -> list[dict[str, Any]]:
    """Write a whole run folder and return its cases."""
    detector = summary(calibrated)
    results = folder / "results"
    results.mkdir(parents=True)
    cases = write_results(results, detector, healthy=healthy, abnormal=abnormal, size=size)
    if calibrated:
        write_evaluation(results, detector, cases)
    write_training(folder / "training")
    (folder / "detector.json").write_text(json.dumps(detector), encoding="utf-8")
    return cases


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a run folder with results, evaluation and training, which the dashboard is told to show."""
    folder = tmp_path / "runs" / "tiny"
    write_run(folder)
    monkeypatch.setenv("ANOGAN_RUN", str(folder))
    return folder


@pytest.fixture
def cases_of() -> Callable[[Path], list[dict[str, Any]]]:
    """Return a function that gives the cases of a run as results.json holds them."""

    def read(folder: Path) -> list[dict[str, Any]]:
        return list(json.loads((folder / "results" / "results.json").read_text(encoding="utf-8"))["cases"])

    return read


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Desk]:
    """Return an empty desk that the dashboard is told to show."""
    path = str(tmp_path / "desk.db")
    monkeypatch.setenv("ANOGAN_DESK", path)
    opened = open_desk(path)
    yield opened
    opened.close()


@pytest.fixture
def lone_desk(desk: Desk) -> Desk:
    """Return that desk with one case and no members."""
    desk.add(new(1, p_value=0.0123))
    return desk


@pytest.fixture
def team_desk(lone_desk: Desk) -> Desk:
    """Return that desk with the members of `TEAM`, as its admin has it."""
    lone_desk.set_role("ida", "admin")
    admin = lone_desk.sign_in("ida")
    for user, role in TEAM.items():
        admin.set_role(user, role)
    return admin


@pytest.fixture
def port() -> int:
    """Return a port on this machine that nobody listens on."""
    return free_port()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Return the system's chromium."""
    if CHROMIUM is None:
        pytest.skip("chromium is not installed (Debian: apt-get install chromium)")
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser
        browser.close()
