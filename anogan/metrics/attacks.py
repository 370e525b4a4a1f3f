"""Presentation attacks, in the terms of ISO/IEC 30107-3: an attack is abnormal, a bona fide presentation healthy.

Uploaded files are outside the scope of that standard, which is about sensors: call results on them PAD-style. The
average of APCER and BPCER (ACER) is left out on purpose; the standard no longer has it, since it hides the worst
species.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from anogan.metrics.curves import flagged
from anogan.metrics.inputs import share
from anogan.metrics.intervals import Estimate, binomial


def apcer(attack_scores_by_species: Mapping[str, np.ndarray], threshold: float) -> dict[str, Estimate]:
    """Return the share of attacks taken for bona fide, score < `threshold`, per species and worst first.

    The first is the headline (ISO/IEC 30107-3, attack presentation classification error rate). Intervals are exact and
    take the attacks as independent.

    Raises
    ------
    ValueError
        There is no species, or one has no attack or a score that is not finite.
    """
    if not attack_scores_by_species:
        raise ValueError("apcer: expected at least one attack species")
    found = {}
    for species, scores in attack_scores_by_species.items():
        scores = _finite(f"apcer of {species}", scores)
        found[species] = binomial(int((scores < threshold).sum()), len(scores))
    return dict(sorted(found.items(), key=lambda item: -item[1].value))


def bpcer(bona_fide_scores: np.ndarray, threshold: float) -> Estimate:
    """Return the share of bona fide presentations that are flagged (bona fide presentation classification error rate).

    Raises
    ------
    ValueError
        There is no score, or one is not finite.
    """
    scores = _finite("bpcer", bona_fide_scores)
    return binomial(int((scores >= threshold).sum()), len(scores))


def d_eer(bona_fide: np.ndarray, attack: np.ndarray) -> float:
    """Return the detection equal-error rate, at which APCER and BPCER meet.

    Where no threshold makes them equal, it is the mean of the two at that one of the thresholds on either side of
    the crossing which has the smaller sum (Maio et al., FVC2000, IEEE PAMI 2002).

    Raises
    ------
    ValueError
        There is no bona fide score or no attack score, or one is not finite.
    """
    apcer, bpcer = _errors(bona_fide, attack)
    crossed = int(np.argmax(bpcer >= apcer))
    if bpcer[crossed] == apcer[crossed]:
        return float(bpcer[crossed])
    return float((apcer + bpcer)[[crossed - 1, crossed]].min() / 2)


def bpcer_at_apcer(bona_fide: np.ndarray, attack: np.ndarray, apcer: float) -> float:
    """Return the smallest BPCER at which the APCER is at most `apcer`.

    0.10, 0.05 and 0.01 give BPCER10, BPCER20 and BPCER100 of ISO/IEC 30107-3; take the attacks of one species at a
    time, and report the worst. The threshold is chosen on the attacks, so this describes the scores, not a setting.

    Raises
    ------
    ValueError
        As in `d_eer`, or `apcer` is not in [0, 1].
    """
    allowed = share("apcer", apcer) + 1e-12
    missed, alarmed = _errors(bona_fide, attack)
    return float(alarmed[np.argmax(missed <= allowed)])


def _errors(bona_fide: np.ndarray, attack: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return APCER and BPCER at every threshold, from the strictest (1 and 0) to the loosest (0 and 1)."""
    bona_fide, attack = _finite("bona fide scores", bona_fide), _finite("attack scores", attack)
    labels = np.repeat([0, 1], [len(bona_fide), len(attack)])
    _, found, alarms = flagged(labels, np.concatenate([bona_fide, attack]))
    return (len(attack) - found) / len(attack), alarms / len(bona_fide)


def _finite(name: str, scores: np.ndarray) -> np.ndarray:
    scores = np.asarray(scores, dtype=np.float64)
    if scores.ndim != 1 or not len(scores) or not np.isfinite(scores).all():
        raise ValueError(f"{name}: expected at least one score, and finite ones")
    return scores
