"""What the dashboard reads from a run folder. No Streamlit: plain files in, plain Python out."""

from __future__ import annotations

import argparse
import math
import os
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from anogan.storage.documents import json_value

RUNNING_SECONDS = 90
"""A history that grew within this time belongs to a training that is still at work."""


@dataclass(frozen=True)
class Snapshot:
    """One saved look at the networks during training."""

    phase: str
    step: int
    image: Path
    metrics: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class History:
    """The logged steps of a training, oldest first, and how many lines could not be read."""

    steps: tuple[dict[str, Any], ...]
    unreadable: int = 0

    def phases(self) -> list[str]:
        """Return the phases in the order they began."""
        return list(dict.fromkeys(str(step["phase"]) for step in self.steps))

    def losses(self, phase: str) -> dict[str, tuple[list[int], list[float]]]:
        """Return {loss name: (steps, values)} of one phase; a value that is not finite becomes a gap."""
        curves: dict[str, tuple[list[int], list[float]]] = {}
        for step in self.steps:
            if step["phase"] != phase:
                continue
            for name, value in step.items():
                if name not in ("phase", "step", "steps", "seconds") and isinstance(value, int | float):
                    steps, values = curves.setdefault(name, ([], []))
                    steps.append(int(step["step"]))
                    values.append(float(value) if math.isfinite(value) else math.nan)
        return curves

    def seconds_left(self) -> float | None:
        """Return how long the last phase still takes at its pace so far, or None while that cannot be told."""
        of_phase = [step for step in self.steps if step["phase"] == self.steps[-1]["phase"] and "seconds" in step]
        if len(of_phase) < 2 or of_phase[-1]["step"] <= of_phase[0]["step"]:
            return None
        first, last = of_phase[0], of_phase[-1]
        pace = (float(last["seconds"]) - float(first["seconds"])) / (last["step"] - first["step"])
        return max(0.0, pace * (last["steps"] - last["step"]))


@dataclass(frozen=True)
class PhaseProgress:
    """Where a phase of the training is going: see `anogan.gan.convergence`."""

    phase: str
    word: str
    reason: str
    best: int
    steps: int
    readings: list[dict[str, float]]

    def signals(self) -> dict[str, tuple[list[int], list[float]]]:
        """Return {signal: (steps, values)}."""
        steps = [int(reading["step"]) for reading in self.readings]
        names = [name for name in self.readings[-1] if name not in ("step", "held-out images")]
        return {name: (steps, [reading.get(name, math.nan) for reading in self.readings]) for name in names}


def chosen_run(arguments: Sequence[str] | None = None, environment: Mapping[str, str] = os.environ) -> Path | None:
    """Return the run folder named by `--run` or by ANOGAN_RUN, or None when neither is given."""
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument("--run")
    named = parser.parse_known_args(sys.argv[1:] if arguments is None else list(arguments))[0].run
    named = named or environment.get("ANOGAN_RUN")
    return Path(named) if named else None


def is_run(folder: Path) -> bool:
    """Tell whether a folder looks like a run: a trained detector, a training, or results."""
    return any((folder / name).exists() for name in ("detector.json", "training", "results", "profile.toml"))


def worklist_order(cases: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Sort cases as a reader should meet them: smallest p-value first, then highest score; not scored last."""

    def rank(case: Mapping[str, Any]) -> tuple[bool, float, float]:
        scored = case["status"] == "scored"
        p_value, score = case.get("p_value"), case.get("score")
        return not scored, 1.0 if p_value is None else p_value, -score if scored and score is not None else 0.0

    return [dict(case) for case in sorted(cases, key=rank)]


def read_evaluation(results: Path) -> dict[str, Any] | None:
    """Return the content of evaluation.json, or None when the run was never evaluated.

    Raises
    ------
    ValueError
        The file is damaged or is not an evaluation.
    """
    path = results / "evaluation.json"
    if not path.is_file():
        return None
    try:
        evaluation = json_value(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        evaluation = None
    needed = {"auroc", "average_precision", "roc", "scores", "n_healthy", "n_abnormal"}
    if not isinstance(evaluation, dict) or evaluation.get("format") != 1 or not needed <= evaluation.keys():
        raise ValueError(f"{path}: not a readable evaluation; run `anogan evaluate` on this run again")
    return evaluation


def read_history(run: Path) -> History:
    """Read training/history.jsonl; a line that is damaged or still being written is skipped and counted."""
    path = run / "training" / "history.jsonl"
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return History(())
    steps, unreadable = [], 0
    for line in filter(str.strip, lines):
        try:
            entry = json_value(line)
            entry = entry | {"phase": str(entry["phase"]), "step": int(entry["step"]), "steps": int(entry["steps"])}
        except (ValueError, TypeError, KeyError):
            unreadable += 1
        else:
            steps.append(entry)
    return History(tuple(steps), unreadable)


def read_snapshots(run: Path) -> list[Snapshot]:
    """Return the snapshots of a run in the order they were made; damaged metrics are left empty."""
    snapshots = []
    for image in (run / "training" / "snapshots").glob("*.png"):
        phase, _, number = image.stem.rpartition("-")
        if not phase or not number.isdigit():
            continue
        try:
            metrics = json_value(image.with_suffix(".json").read_text(encoding="utf-8"))
            numbers = {name: float(value) for name, value in metrics.items() if isinstance(value, int | float)}
        except (OSError, ValueError, AttributeError):
            numbers = {}
        snapshots.append(Snapshot(phase, int(number), image, numbers))
    order = {"adversarial": 0, "encoder": 1, "reference": 2}
    return sorted(snapshots, key=lambda snapshot: (order.get(snapshot.phase, 9), snapshot.phase, snapshot.step))


def read_progress(run: Path) -> list[PhaseProgress]:
    """Return what the snapshots of each phase say together, in order; nothing while there is none or it is damaged."""
    try:
        phases = json_value((run / "training" / "progress.json").read_text(encoding="utf-8"))
        return [
            PhaseProgress(
                phase,
                str(found["word"]),
                str(found["reason"]),
                int(found["best"]),
                int(found["steps"]),
                [{name: float(value) for name, value in reading.items()} for reading in found["readings"]],
            )
            for phase, found in phases.items()
        ]
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return []


def is_training(run: Path, now: float | None = None) -> bool:
    """Tell whether a training seems to be at work: its history grew lately and no newer detector was saved."""
    try:
        grown = (run / "training" / "history.jsonl").stat().st_mtime
    except OSError:
        return False
    detector = run / "detector.json"
    finished = detector.is_file() and detector.stat().st_mtime >= grown
    return not finished and (time.time() if now is None else now) - grown < RUNNING_SECONDS
