"""A series scored as one volume.

Its score is the mean of the highest image scores of its slices, a fixed share of all: a maximum grows with the number
of slices, and a mean over the whole volume is thinned by slices that are healthy. The maps, not the score, are smoothed
from slice to slice, where an anomaly of some millimeters stays and noise goes; how much goes depends on the distance of
the slices, so a smoothed score would not compare between series (`benchmarks/series.py`).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from anogan.config import Config, InputConfig
from anogan.data import transforms
from anogan.detector.fusion import COMPONENTS, Maps, component_scores
from anogan.scan import Result, Scan, Series, SeriesResult

BATCH = 32  # slices whose component maps are held at once


class _Slices(NamedTuple):
    """What is kept of the maps of some slices, on the network's grid."""

    fused: Tensor  # (N, S, S)
    scores: Tensor  # (N,)
    components: Tensor  # (N, K), image scores
    reconstruction: Tensor  # (N, C, S, S)
    spread: Tensor  # (N,), NaN without restarts

    @classmethod
    def of(cls, maps: Maps) -> _Slices:
        spread = torch.full_like(maps.scores, torch.nan) if maps.spread is None else maps.spread
        return cls(maps.fused, maps.scores, component_scores(maps.components), maps.reconstruction, spread)


def score_series(series: Series, maps: Callable[[Tensor], Maps], config: Config) -> SeriesResult:
    """Score a series; nothing is decided.

    Parameters
    ----------
    series
        The slices.
    maps
        Computes the maps of a batch on the network's grid, (N, C, S, S) in [-1, 1].
    config
        The profile.

    Returns
    -------
    SeriesResult
        A slice that has nothing to judge, such as a blank one, is "not scored" and has no part in the score; `reason`
        counts them. Only the top slices, whose mean is the score, have a reconstruction; none has component maps.
    """
    started = time.monotonic()
    scans, scoring = series.scans, config.scoring
    problems: dict[int, str] = {}
    batches = [_Slices.of(maps(images)) for images in _batches(scans, config.input, problems)]
    if not batches:
        reason = f"{series.source}: no slice can be judged; {next(iter(problems.values()))}"
        return SeriesResult(series.source, "not scored", reason)
    slices = _Slices(*map(torch.cat, zip(*batches, strict=True)))
    if not bool(slices.scores.isfinite().all()):
        return SeriesResult(series.source, "not scored", f"{series.source}: its score is not finite")
    kept = [index for index in range(len(scans)) if index not in problems]
    weights = top_weights(len(kept), scoring.top_slices)
    top = slices.scores.topk(len(weights)).indices.tolist()
    fused = torch.tensordot(through_planes(kept, series.step, scoring.through_planes), slices.fused, dims=1)

    results = {index: Result(scans[index].source, "not scored", reason) for index, reason in problems.items()}
    for place, index in enumerate(kept):
        scan, spread, healthy = scans[index], float(slices.spread[place]), None
        if place in top:
            healthy = transforms.image_to_scan_grid(slices.reconstruction[place].numpy(), scan, config.input)
        results[index] = Result(
            scan.source,
            "scored",
            score=float(slices.scores[place]),
            uncertainty=None if np.isnan(spread) else spread,
            anomaly_map=transforms.to_scan_grid(fused[place].numpy(), scan, config.input),
            reconstruction=healthy,
            components=_named(slices.components[place]),
        )
    blank = f"{len(problems)} of {len(scans)} slices hold nothing to judge and were left out" if problems else ""
    highest = slices.components.topk(len(weights), dim=0).values  # (len(weights), K)
    return SeriesResult(
        series.source,
        "scored",
        blank,
        score=float(weights @ slices.scores[top]),
        slices=tuple(results[index] for index in range(len(scans))),
        top=tuple(kept[place] for place in top),
        components=_named(weights @ highest),
        seconds=time.monotonic() - started,
    )


def top_weights(count: int, share: float) -> Tensor:
    """Return the weights, at least one, of the highest of `count` scores in their mean; their sum is 1.

    Of 30 slices a twentieth is one and a half: the second counts half. A whole number would make a step between series
    of one length and the next. With less than one slice the highest stands alone.
    """
    weights = (share * count - torch.arange(count)).clamp(0, 1)
    weights[0] = 1
    weights = weights[weights > 0]
    return weights / weights.sum()


def through_planes(places: Sequence[int], step: float | None, sigma: float) -> Tensor:
    """Return the weights, (N, N), of slices in the smoothed slices: each row is a Gaussian whose sum is 1.

    Parameters
    ----------
    places
        (N,) places of the slices in their series; gaps are left out of the mean.
    step
        mm from a slice to the next; None: nothing is smoothed.
    sigma
        Standard deviation in mm; 0: nothing is smoothed.
    """
    if step is None or sigma == 0:
        return torch.eye(len(places))
    mm = step * torch.tensor(places, dtype=torch.float32)
    weights = torch.exp(-0.5 * ((mm[:, None] - mm) / sigma) ** 2)
    return weights / weights.sum(1, keepdim=True)


def _batches(scans: Sequence[Scan], config: InputConfig, problems: dict[int, str]) -> Iterator[Tensor]:
    """Yield slices on the network's grid, (N, C, S, S); those that cannot be brought there go to `problems`."""
    for start in range(0, len(scans), BATCH):
        images = []
        for index, scan in enumerate(scans[start : start + BATCH], start):
            try:
                images.append(transforms.to_network(scan, config))
            except ValueError as error:
                problems[index] = str(error)
        if images:
            yield torch.from_numpy(np.stack(images))


def _named(scores: Tensor) -> dict[str, float]:
    return dict(zip(COMPONENTS, scores.tolist(), strict=True))
