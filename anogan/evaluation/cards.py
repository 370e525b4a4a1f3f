"""The data card and the model card: on what was it measured, and what was it that was measured."""

from __future__ import annotations

import platform
from collections import Counter
from collections.abc import Iterator, Mapping
from importlib.metadata import version
from typing import Any

from anogan._version import __version__
from anogan.config import Config
from anogan.data.dataset import ScanSet, Splits
from anogan.data.seen import SEEN
from anogan.detector import Detector
from anogan.detector.provenance import data_hash, git_revision
from anogan.evaluation.report import Report

_ALWAYS_SHOWN = (
    "input.channels", "input.size", "network.latent", "network.width", "training.steps", "training.seed",
    "inversion.steps", "inversion.restarts", "scoring.top", "calibration.false_alarm_rate",
)  # fmt: skip
_LIBRARIES = ("torch", "numpy", "scipy", "scikit-learn", "opencv-python", "pydicom")


def data_card(name: str, scans: Splits, report: Report, detector: Detector) -> dict[str, Any]:
    """Return what was measured on: JSON-ready, without a path, a file name or a subject.

    Parameters
    ----------
    name
        What the data set is called.
    scans
        All of it.
    report
        The evaluation of its test images.
    detector
        Whose provenance knows the hashes of its training images.
    """
    cases = [row["case"] for row in report.scores]
    every = cases + [row["case"] for row in report.not_scored]
    missing = [(row["label"], _without_name(row["reason"], row["file"])) for row in report.not_scored]
    return {
        "name": name,
        "splits": [
            _split("training", scans.train), _split("calibration", scans.calibration), _split("test", scans.test),
        ],
        "masks": sum(item.mask is not None for item in scans.test),
        "groups": {
            column: dict(Counter(item.groups.get(column, "not stated") for item in scans.test).most_common())
            for column in dict.fromkeys(column for item in scans.test for column in item.groups)
        },
        "not_scored": [
            {"label": label, "reason": reason, "n": n} for (label, reason), n in Counter(missing).most_common()
        ],
        "sha256": data_hash(every),
        "seen_in_training": sum(row["reason"] == SEEN for row in report.not_scored),
        "duplicates": len(every) - len(set(every)),
    }  # fmt: skip


def _split(name: str, scans: ScanSet) -> dict[str, Any]:
    n_abnormal = int(scans.labels.sum())
    return {
        "name": name,
        "n_healthy": len(scans) - n_abnormal,
        "n_abnormal": n_abnormal,
        "n_subjects": len(set(scans.subjects)),
    }


def _without_name(reason: str, file: str) -> str:
    """Take the file out of a reason: names of files may be names of people."""
    return reason.replace(f"{file}: ", "").replace(file, "the file")


def model_card(detector: Detector) -> dict[str, Any]:
    """Return what was measured: JSON-ready, without the list of its training files."""
    summary, origin = detector.summary(), detector.provenance
    return {
        "name": summary["name"],
        "description": summary["profile"],
        "hash": summary["hash"],
        "trained": origin.get("trained", ""),
        "images": origin.get("images"),
        "holdout_images": origin.get("holdout_images"),
        "subjects": origin.get("subjects"),
        "data_sha256": origin.get("data", ""),
        "versions": origin.get("versions", {}),
        "git": origin.get("git"),
        "fusion": origin.get("fusion", {}),
        "map_range": summary["map_range"],
        "n_calibration": summary["n_calibration"],
        "promise": summary["promise"],
        "settings": [
            {"name": name, "value": value, "default": value == default}
            for name, value, default in _settings(detector.config)
            if name in _ALWAYS_SHOWN or value != default
        ],
    }


def _settings(config: Config) -> Iterator[tuple[str, Any, Any]]:
    """Give each setting with its value and its default."""
    defaults: Mapping[str, Any] = Config().model_dump()
    for section, values in config.model_dump().items():
        if isinstance(values, dict):
            for key, value in values.items():
                yield f"{section}.{key}", value, defaults[section][key]


def versions() -> dict[str, str]:
    """Return the versions that evaluate now."""
    return {
        "anogan": __version__,
        "python": platform.python_version(),
        **{name: version(name) for name in _LIBRARIES},
        "git revision": git_revision() or "not a checkout",
    }
