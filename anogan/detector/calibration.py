"""Operating points that come from healthy images alone, what they promise, and what they decide.

A promise about healthy images like the calibration ones comes in two kinds. *On average* over calibration sets: of many
sites that calibrate, the mean false-alarm rate is kept, and a single one may lie above it. *With confidence*: this very
calibration set keeps it, but for one in twenty. The second kind takes more images and a higher threshold. Both count
images as exchangeable; where a subject has several, they are alike, and the number of subjects is the better count.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
from scipy.stats import beta

from anogan.errors import Code

CONFIDENCE = 0.95
NOT_CALIBRATED: dict[str, Any] = {
    "threshold": None, "false_alarm_rate": None, "confidence": None,
    "n_calibration": 0, "promise": "", "calibration_scores": [],
}  # fmt: skip


@lru_cache(maxsize=1024)
def rank(n: int, false_alarm_rate: float, confidence: float | None = None) -> int:
    """Return which of n healthy scores, counted from the highest, is the threshold: a score above it is flagged.

    Parameters
    ----------
    n
        Healthy calibration images.
    false_alarm_rate
        The share of healthy images that may be flagged, in (0, 1).
    confidence
        None: the rate is kept on average over calibration sets. A number in (0, 1), such as 0.95: it is kept, with this
        confidence, by the calibration set at hand.

    Returns
    -------
    int
        1 is the highest score; 0: n are too few.

    Notes
    -----
    With the r-th highest score as threshold the false-alarm rate, given the calibration set, follows Beta(r, n + 1 - r)
    (Vovk 2012, Conditional validity of inductive conformal predictors, proposition 2a), whose mean is r / (n + 1). With
    ties among the scores fewer are flagged.
    """
    if not 0 < false_alarm_rate < 1:
        raise ValueError(f"false_alarm_rate: expected a number between 0 and 1, got {false_alarm_rate}")
    if confidence is None:
        return int(np.floor(false_alarm_rate * (n + 1) + 1e-9))
    if not 0 < confidence < 1:
        raise ValueError(f"confidence: expected a number between 0 and 1, got {confidence}")
    ranks = np.arange(1, n + 1)
    return int((beta.cdf(false_alarm_rate, ranks, n + 1 - ranks) >= confidence).sum())  # falls with the rank


def images_needed(false_alarm_rate: float, confidence: float | None = None) -> int:
    """Return how many healthy images a promise takes: with so many, the highest score is the threshold.

    Parameters and errors are those of `rank`.

    Examples
    --------
    >>> images_needed(0.05), images_needed(0.05, 0.95)
    (19, 59)
    >>> images_needed(0.01), images_needed(0.01, 0.95)
    (99, 299)
    """
    rank(1, false_alarm_rate, confidence)  # refuses what is no rate or no confidence
    if confidence is None:
        return int(np.ceil(1 / false_alarm_rate - 1e-9)) - 1
    return int(np.ceil(np.log1p(-confidence) / np.log1p(-false_alarm_rate) - 1e-9))


def rate_at(scores: Sequence[float], threshold: float) -> float | None:
    """Return the false-alarm rate that calibrates to the lowest threshold which flags the same of these healthy images.

    Parameters
    ----------
    scores
        (n,) of calibration images.
    threshold
        `score >= threshold` flags.

    Returns
    -------
    float or None
        In (0, 1), rounded up to six digits, which `rank` takes for the same; None where all of them are flagged, which
        no rate asks for.

    Examples
    --------
    >>> scores = [float(score) for score in range(1, 100)]
    >>> rate_at(scores, 96.5), rate_at(scores, 1000.0), rate_at(scores, 0.5)
    (0.04, 0.01, None)
    >>> float(Calibration.fit(np.array(scores), 0.04).threshold)
    96.00000000000001
    """
    flagged = sum(score >= threshold for score in scores)
    if flagged >= len(scores):
        return None
    return math.ceil(1e6 * (flagged + 1) / (len(scores) + 1) - 1e-6) / 1e6


class Decision(NamedTuple):
    """What an operating point says of one score; `flagged` is None, with the reason, where it says nothing."""

    p_value: float | None
    flagged: bool | None
    reason: str
    code: Code = Code.OTHER


@dataclass(frozen=True, eq=False)
class Calibration:
    """Scores of healthy images untouched by training, and the threshold they give.

    Attributes
    ----------
    scores
        (n,) image scores of the calibration images, sorted.
    false_alarm_rate
        The share of healthy images that may be flagged, in (0, 1).
    threshold
        `score >= threshold` flags.
    confidence
        None: the rate is kept on average over calibration sets, and a case is flagged exactly where its conformal
        p-value is at most the rate. Else how sure it is that this calibration set keeps it.
    column, groups
        Where each scanner, site or sex is calibrated by itself: what the groups are, and the calibration of each. Then
        only these decide; `scores` and `threshold` are those of all images together. Empty otherwise.
    unit
        What was scored: "images" or "series".

    References
    ----------
    Split conformal p-values: Vovk et al., Algorithmic Learning in a Random World, 2005, in section 4.5 those of groups
    (Mondrian); Bates et al., Testing for outliers with conformal p-values, Annals of Statistics 2023.
    """

    scores: np.ndarray
    false_alarm_rate: float
    threshold: float
    confidence: float | None = None
    column: str = ""
    groups: dict[str, Calibration] = field(default_factory=dict)
    unit: str = "images"

    @classmethod
    def fit(
        cls,
        scores: np.ndarray,
        false_alarm_rate: float,
        confidence: float | None = None,
        groups: Sequence[str] | None = None,
        column: str = "group",
    ) -> Calibration:
        """Find the threshold.

        Parameters
        ----------
        scores
            (n,) of healthy images.
        false_alarm_rate, confidence
            The promise, as in `rank`.
        groups
            (n,) the group of each image, to calibrate each by itself; None: all together.
        column
            What the groups are, such as "scanner".

        Raises
        ------
        ValueError
            The rate or the confidence is not in (0, 1), a score is not finite, an image has no group, or there are too
            few scores for the promise, in one of the groups or in all: the sentence says how many it takes.
        """
        scores = np.asarray(scores, dtype=np.float64)
        if groups is None:
            return cls._fit(scores, false_alarm_rate, confidence, "calibration")
        names = np.asarray(groups, dtype=str)
        if unnamed := int((names == "").sum()):
            raise ValueError(f"calibration: {unnamed} of the images have no {column}; fill the column in for all")
        parts = {
            str(name): cls._fit(scores[names == name], false_alarm_rate, confidence, f"calibration of {column} {name}")
            for name in np.unique(names)
        }
        together = cls._fit(scores, false_alarm_rate, confidence, "calibration")
        return cls(together.scores, false_alarm_rate, together.threshold, confidence, column, parts)

    @classmethod
    def _fit(cls, scores: np.ndarray, false_alarm_rate: float, confidence: float | None, what: str) -> Calibration:
        if not np.isfinite(scores).all():
            raise ValueError(f"{what}: a score is not finite; the model is damaged, train it again")
        scores = np.sort(scores)
        n = len(scores)
        chosen = rank(n, false_alarm_rate, confidence)
        if chosen == 0:
            sure = "" if confidence is None else f" with {100 * confidence:g} % confidence"
            raise ValueError(
                f"{what}: {n} healthy images cannot give a false-alarm rate of {false_alarm_rate:g}{sure}; "
                f"at least {images_needed(false_alarm_rate, confidence)} are needed"
            )
        # Just above the score of that rank, so that `score >= threshold` means "above it".
        return cls(scores, false_alarm_rate, float(np.nextafter(scores[n - chosen], np.inf)), confidence)

    def of(self, group: str) -> Calibration | None:
        """Return the calibration that decides a case of this group; None: the group was not calibrated."""
        return self.groups.get(group) if self.groups else self

    def p_value(self, score: float) -> float:
        """Return (1 + number of calibration scores >= score) / (n + 1); never below 1 / (n + 1)."""
        above = len(self.scores) - int(np.searchsorted(self.scores, score, side="left"))
        return (1 + above) / (len(self.scores) + 1)

    def decide(self, score: float, group: str = "", spread: float | None = None) -> Decision:
        """Decide one case.

        Parameters
        ----------
        score
            Its image score.
        group
            Its scanner, site or sex, where these are calibrated by themselves.
        spread
            How far the score varies over restarts of the inversion, in its units; None: not known.

        Returns
        -------
        Decision
            Flagged where the score reaches the threshold. Neither flagged nor cleared where score - spread and
            score + spread lie on two sides of it, which keeps its p-value, and where the group is not calibrated,
            which has none.
        """
        own = self.of(group)
        if own is None:
            known = f"calibrated were {', '.join(self.groups)}"
            if not group:
                return Decision(None, None, f"not calibrated: the image names no {self.column}; {known}", Code.GROUP)
            advice = "calibrate on healthy images of it"
            reason = f"not calibrated: {self.column} {group} is unknown; {known}; {advice}"
            return Decision(None, None, reason, Code.GROUP)
        p_value = own.p_value(score)
        if spread is not None and score - spread < own.threshold <= score + spread:
            return Decision(
                p_value,
                None,
                f"review by hand: the score {score:.4g} varies by {spread:.2g} between restarts of the inversion, "
                f"across the threshold {own.threshold:.4g}",
                Code.SPREAD,
            )
        return Decision(p_value, bool(score >= own.threshold), "")

    def promise(self) -> str:
        """Say what the operating point promises of new healthy images like the calibration ones; see `rank`."""
        if self.groups:
            each = " ".join(f"{name}: {part.promise()}" for name, part in self.groups.items())
            return f"Each {self.column} has a threshold of its own. {each}"
        n, rate, unit = len(self.scores), self.false_alarm_rate, self.unit
        chosen = rank(n, rate, self.confidence)
        if self.confidence is not None:
            sure = f"{100 * self.confidence:g} % confidence"
            return (
                f"With {n} healthy calibration {unit} and {sure}, this set flags at most {rate:.1%} of healthy {unit} "
                f"like them; on average over calibration sets, {chosen / (n + 1):.1%}."
            )
        return (
            f"With {n} healthy calibration {unit}, at most {rate:.1%} of healthy {unit} like them are flagged on "
            f"average over calibration sets; with 95 % confidence this set flags at most {self.bound():.1%}."
        )

    def bound(self) -> float:
        """Return the false-alarm rate that this calibration set, all groups together, keeps with 95 % confidence."""
        n = len(self.scores)
        chosen = rank(n, self.false_alarm_rate, self.confidence)
        return float(beta.ppf(CONFIDENCE, chosen, n + 1 - chosen))

    def to_json(self) -> dict[str, Any]:
        """Return what `from_json` reads back."""
        scores: dict[str, Any] = {"scores": self.scores.tolist()}
        if self.groups:
            scores = {"column": self.column, "groups": {name: p.scores.tolist() for name, p in self.groups.items()}}
        return {"false_alarm_rate": self.false_alarm_rate, "confidence": self.confidence, **scores}

    @classmethod
    def from_json(cls, point: dict[str, Any]) -> Calibration:
        """Rebuild it; KeyError, TypeError or ValueError where a value is missing or damaged."""
        promise = point["false_alarm_rate"], point.get("confidence")
        if "groups" not in point:
            return cls.fit(np.array(point["scores"]), *promise)
        parts = dict(point["groups"])
        names = [name for name, scores in parts.items() for _ in scores]
        return cls.fit(np.concatenate([*parts.values()]), *promise, names, point["column"])

    def summary(self) -> dict[str, Any]:
        """Return what results say of the operating point; JSON-ready. `NOT_CALIBRATED` is what they say without one."""
        described: dict[str, Any] = {
            "threshold": self.threshold,
            "false_alarm_rate": self.false_alarm_rate,
            "confidence": self.confidence,
            "n_calibration": len(self.scores),
            "promise": self.promise(),
            "calibration_scores": self.scores.tolist(),
        }
        if self.groups:
            described |= {"column": self.column, "groups": {name: p.summary() for name, p in self.groups.items()}}
        return described


def of_group(case: Mapping[str, Any], summary: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return what a `Calibration.summary` says of the operating point that decides a case of results.

    It is that of its group, where groups have their own; {}: the group was not calibrated, so nothing decides.
    """
    groups = summary.get("groups") or {}
    return groups.get(case.get("group"), {}) if groups else summary
