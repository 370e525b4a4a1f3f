"""A version that is proposed in place of the one that works, with made-up figures."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np

from anogan.assurance.feedback import versions
from anogan.detector import Detector
from anogan.detector.calibration import Calibration

_TEST = {"made": 40, "found": 30, "passed": True, "reasons": []}
_FIGURES = {
    "base": 0,
    "admitted": [{"case": 7, "patches": 3}],
    "refused": [{"case": 8, "reason": "the discriminator alone would flag it"}],
    "verdict": "No difference shown: it flags about as many of these cases.",
    "against": [],
    "calibration_images": 24,
    "flagged": [0.08, 0.04],
    "planted": [[0.5, 0.4, 0.6], [0.55, 0.45, 0.65]],
    "selftest": [_TEST, _TEST | {"found": 31}],
}


def propose(run: Path, detector: Detector, **figures: object) -> None:
    """Keep a version 1 that has another threshold, with made-up figures."""
    versions.keep(run)
    other = dataclasses.replace(detector, calibration=Calibration.fit(np.arange(30.0), 0.1))
    versions._make(run, lambda folder: other.save(folder) and None, _FIGURES | figures)
