"""What a training tells whoever watches it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from anogan.gan.convergence import Verdict


@dataclass(frozen=True)
class TrainingEvent:
    """What a callback is told after every step.

    Attributes
    ----------
    phase
        "adversarial", "encoder" or "reference".
    step, steps
        The step just done, counted from 1, and how many the phase has.
    losses
        Means since the event before.
    seconds_left
        Estimate for the whole training; None until there is one.
    snapshot
        The image grid that this step wrote, if it wrote one.
    verdict
        Where the phase is going, after every snapshot.
    """

    phase: str
    step: int
    steps: int
    losses: dict[str, float]
    seconds_left: float | None = None
    snapshot: Path | None = None
    verdict: Verdict | None = None


Callback = Callable[[TrainingEvent], None]
