"""What a result means for the one who sent the photo: a decision, and why, in words."""

from __future__ import annotations

from typing import Literal

from anogan.detector.calibration import Calibration
from anogan.errors import Code
from anogan.scan import Outcome, Result

Decision = Literal["pass", "review", "not scored", "not decided"]

SOURCE = "photo"
"""How the reader and the detector call the photo: by no name that came with it."""

_COMPONENTS = {
    "discriminator": "how unlike a healthy image it looks to the discriminator",
    "residual": "its difference from the healthy reconstruction",
    "feature_residual": "its difference from the healthy reconstruction in the discriminator's features",
    "gaussian": "its distance from healthy features",
    "neighbors": "its distance from the nearest healthy patches",
    "spectrum": "its frequencies",
    "noise": "its noise at its own resolution",
}


def decide(result: Result, calibration: Calibration | None, group: str = "") -> tuple[Decision, list[str]]:
    """Return the decision and its reasons.

    Parameters
    ----------
    result
        What the detector says.
    calibration
        Its operating point, or None.
    group
        The photo's site or scanner, where these are calibrated by themselves.

    Returns
    -------
    decision
        "pass": calibrated and not flagged. "review": flagged, or a person must decide. "not scored": it cannot be
        judged. "not decided": there is no operating point that holds.
    reasons
        Sentences.
    """
    if result.status != "scored":
        return "not scored", [words(result.reason)]
    if calibration is None:
        return "not decided", ["the detector is not calibrated, so its scores decide nothing"]
    own = calibration.of(group)
    if result.p_value is None or own is None or result.code is Code.PAUSED:
        return "not decided", [words(result.reason)]
    unusual = max(result.components, key=lambda name: result.components[name])
    share = f"{100 * result.p_value:.3g} % of healthy photos are expected to score as high"
    most = f"most unusual: {_COMPONENTS.get(unusual, unusual)}"
    if result.outcome is Outcome.UNDECIDED:
        return "review", [words(result.reason), share, most]
    if result.outcome is Outcome.FLAGGED:
        return "review", [f"the score {result.score:.3g} reaches {own.threshold:.3g}", share, most]
    return "pass", [f"the score {result.score:.3g} is below {own.threshold:.3g}", share]


def words(reason: str) -> str:
    """Return a sentence that does not begin with the file: there is but one."""
    return reason.removeprefix(f"{SOURCE}: ")
