"""Floors and classical peers, on the same images. A detector that does not clear them has earned nothing."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import cv2
import numpy as np
from sklearn.decomposition import PCA
from sklearn.ensemble import IsolationForest
from sklearn.neighbors import NearestNeighbors

from anogan.config import Config
from anogan.data.dataset import ScanSet
from anogan.metrics import Estimate, auroc, compare_auroc

_SIDE = 16  # of the images whose pixels are compared
_MOST = 2000  # training images
_BATCH = 256


class Floor(NamedTuple):
    """A simpler method: its AUROC, and the detector's minus it on the same images."""

    name: str
    auroc: Estimate
    difference: Estimate


def floors(train: ScanSet, test: ScanSet, config: Config, scores: Sequence[Mapping[str, Any]]) -> list[Floor]:
    """Measure the floors on the images that the detector scored.

    Parameters
    ----------
    train
        Healthy images; 2000 of them, drawn with a fixed seed, are remembered where there are more.
    test
        The test images.
    config
        The profile.
    scores
        Rows of `Report.scores`.

    Returns
    -------
    list of Floor
        On raw pixels (16 x 16): the distance to the nearest training image, what the principal components of 95 % of
        the variance cannot reconstruct, and an isolation forest (Liu et al., ICDM 2008); and the best of three
        statistics of an image, each tried both ways up: the best on the test labels, which nobody could have chosen.
        Empty where fewer than two training images can be used, or a class is of fewer than two subjects.
    """
    drawn = np.random.default_rng(0).permutation(len(train))[:_MOST]
    memory, _, _ = _features(train.subset(sorted(drawn.tolist())), config)
    score_of = {row["file"]: row["score"] for row in scores}
    scored = test.subset(k for k, item in enumerate(test) if os.fspath(item.path) in score_of)
    pixels, statistics, kept = _features(scored, config)
    labels, subjects = scored.labels[kept], [scored[k].subject for k in kept]
    if len(memory) < 2 or min(len({s for s, y in zip(subjects, labels, strict=True) if y == k}) for k in (0, 1)) < 2:
        return []
    own = np.array([score_of[os.fspath(scored[k].path)] for k in kept])
    tried = {f"{way} {name}": sign * v for name, v in statistics.items() for way, sign in (("high", 1), ("low", -1))}
    best = max(tried, key=lambda name: auroc(labels, tried[name]).value)
    distance = NearestNeighbors(n_neighbors=1).fit(memory).kneighbors(pixels)[0].ravel()
    found = {
        "nearest training image, raw pixels": distance,
        "principal components, raw pixels": _unexplained(memory, pixels),
        "isolation forest, raw pixels": -IsolationForest(random_state=0).fit(memory).score_samples(pixels),
        f"best single statistic: {best}": tried[best],
    }
    return [
        Floor(name, auroc(labels, values, subjects), compare_auroc(labels, own, values, subjects).difference)
        for name, values in found.items()
    ]


def _unexplained(memory: np.ndarray, pixels: np.ndarray) -> np.ndarray:
    """Return the squared distance of each image to the subspace of the training images, (N,)."""
    components = PCA(0.95, svd_solver="full").fit(memory)
    return ((components.inverse_transform(components.transform(pixels)) - pixels) ** 2).sum(1)


def _features(scans: ScanSet, config: Config) -> tuple[np.ndarray, dict[str, np.ndarray], list[int]]:
    """Return small images as rows (N, C * 16 * 16), statistics (N,) each, and the index of each usable image."""
    small = config.model_copy(update={"input": config.input.model_copy(update={"size": 64})})
    rows: list[np.ndarray] = []
    numbers: list[tuple[float, float, float]] = []
    kept: list[int] = []
    for start in range(0, len(scans), _BATCH):
        images, usable, _ = scans[start : start + _BATCH].load(small)
        kept += [start + k for k in usable]
        for image in images.transpose(0, 2, 3, 1):
            rows.append(cv2.resize(image, (_SIDE, _SIDE), interpolation=cv2.INTER_AREA).ravel())
            gray = image.mean(axis=2)
            numbers.append((gray.mean(), gray.std(), cv2.Laplacian(gray, cv2.CV_32F).var()))
    names = ("mean", "standard deviation", "variance of the Laplacian")
    columns = np.array(numbers, dtype=float).reshape(-1, 3).T
    return np.array(rows), dict(zip(names, columns, strict=True)), kept
