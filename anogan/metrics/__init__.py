"""Arrays in, numbers with 95 % intervals out. Label 1 is abnormal, a higher score is more anomalous.

Images of one subject resemble each other, so intervals that treat them as independent are too narrow: give `subjects`.
How often the intervals hold the truth is measured by `benchmarks/interval_coverage.py`.
"""

from anogan.metrics.agreement import cohen_kappa
from anogan.metrics.attacks import apcer, bpcer, bpcer_at_apcer, d_eer
from anogan.metrics.curves import Det, Pr, Roc, det_curve, pr_curve, roc_curve
from anogan.metrics.decision import (
    DecisionCurve,
    PredictiveIntervals,
    PredictiveValues,
    decision_curve,
    flag_rate,
    predictive_intervals,
    predictive_values,
)
from anogan.metrics.delong import Comparison, auroc, compare_auroc
from anogan.metrics.image import (
    BySubject,
    Confusion,
    average_precision,
    by_subject,
    confusion,
    sensitivity_at_specificity,
)
from anogan.metrics.intervals import Band, Estimate, binomial, bootstrap_band, wilson
from anogan.metrics.pixels import BestDice, PixelTally

__all__ = [
    "Band",
    "BestDice",
    "BySubject",
    "Comparison",
    "Confusion",
    "DecisionCurve",
    "Det",
    "Estimate",
    "PixelTally",
    "Pr",
    "PredictiveIntervals",
    "PredictiveValues",
    "Roc",
    "apcer",
    "auroc",
    "average_precision",
    "binomial",
    "bootstrap_band",
    "bpcer",
    "bpcer_at_apcer",
    "by_subject",
    "cohen_kappa",
    "compare_auroc",
    "confusion",
    "d_eer",
    "decision_curve",
    "det_curve",
    "flag_rate",
    "pr_curve",
    "predictive_intervals",
    "predictive_values",
    "roc_curve",
    "sensitivity_at_specificity",
    "wilson",
]
