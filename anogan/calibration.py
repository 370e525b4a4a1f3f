"""Operating points that come from healthy images alone, and what they promise."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.stats import beta


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
        `score >= threshold` flags; equivalently the conformal p-value is at most `false_alarm_rate`.

    References
    ----------
    Split conformal p-values: Vovk et al., Algorithmic Learning in a Random World, 2005; Bates et al., Testing for
    outliers with conformal p-values, Annals of Statistics 2023.
    """

    scores: np.ndarray
    false_alarm_rate: float
    threshold: float

    @classmethod
    def fit(cls, scores: np.ndarray, false_alarm_rate: float) -> Calibration:
        """Find the threshold.

        Raises
        ------
        ValueError
            `false_alarm_rate` is not in (0, 1), a score is not finite, or there are too few scores for the rate: the
            smallest p-value that n scores can give is 1 / (n + 1).
        """
        if not 0 < false_alarm_rate < 1:
            raise ValueError(f"false_alarm_rate: expected a number between 0 and 1, got {false_alarm_rate}")
        scores = np.sort(np.asarray(scores, dtype=np.float64))
        if not np.isfinite(scores).all():
            raise ValueError("calibration: a score is not finite; the model is damaged, train it again")
        n = len(scores)
        allowed = int(np.floor(false_alarm_rate * (n + 1) + 1e-9)) - 1  # healthy scores that may lie at or above
        if allowed < 0:
            needed = int(np.ceil(1 / false_alarm_rate - 1e-9)) - 1
            raise ValueError(
                f"calibration: {n} healthy images cannot give a false-alarm rate of {false_alarm_rate:g}; "
                f"at least {needed} are needed"
            )
        # The threshold lies just above the largest calibration score that must not be flagged.
        threshold = np.nextafter(scores[n - 1 - allowed], np.inf)
        return cls(scores, false_alarm_rate, float(threshold))

    def p_value(self, score: float) -> float:
        """Return (1 + number of calibration scores >= score) / (n + 1); never below 1 / (n + 1)."""
        above = len(self.scores) - int(np.searchsorted(self.scores, score, side="left"))
        return (1 + above) / (len(self.scores) + 1)

    def promise(self) -> str:
        """Say in one sentence what the operating point promises of new healthy images like the calibration ones.

        Given the calibration set, the false-alarm rate follows a Beta distribution (Vovk 2012, Conditional validity of
        inductive conformal predictors, proposition 2a); its 95 % quantile is the second half of the sentence.
        """
        n = len(self.scores)
        flagged = int(np.floor(self.false_alarm_rate * (n + 1) + 1e-9))
        worst = float(beta.ppf(0.95, flagged, n + 1 - flagged))
        return (
            f"With {n} healthy calibration images, at most {self.false_alarm_rate:.1%} of healthy images like them are "
            f"flagged on average over calibration sets; with 95 % confidence this set flags at most {worst:.1%}."
        )
