"""What every metric asks of its arrays."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def checked(
    labels: np.ndarray, scores: np.ndarray, subjects: Sequence[str] | None
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return bool labels, float64 scores and the number of each image's subject, all (N,).

    Raises
    ------
    ValueError
        A class is missing, a score is not finite, or the lengths differ.
    """
    labels, scores = np.asarray(labels).astype(bool), np.asarray(scores, dtype=np.float64)
    if labels.shape != scores.shape or labels.ndim != 1 or (subjects is not None and len(subjects) != len(labels)):
        raise ValueError("labels, scores and subjects: expected one of each per image")
    if labels.all() or not labels.any():
        raise ValueError(
            f"healthy and abnormal images are both needed, got {(~labels).sum()} healthy and {labels.sum()} abnormal"
        )
    if not np.isfinite(scores).all():
        raise ValueError("scores: not all are finite")
    if subjects is None:
        return labels, scores, np.arange(len(labels))
    return labels, scores, np.unique(np.asarray(subjects), return_inverse=True)[1]


def share(name: str, value: float) -> float:
    """Return a number in [0, 1], or raise a ValueError that names it."""
    if not 0 <= value <= 1:
        raise ValueError(f"{name}: expected a number between 0 and 1, got {value}")
    return float(value)


def descending(scores: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the order from the highest score down, and where in it each run of equal scores ends."""
    order = np.argsort(-scores, kind="stable")
    sorted_scores = scores[order]
    return order, np.flatnonzero(np.append(sorted_scores[1:] != sorted_scores[:-1], True))
