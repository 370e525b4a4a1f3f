"""A series scored as one volume.

The fused maps of its slices are smoothed from slice to slice: noise changes with every slice, an anomaly of some
millimeters does not. A slice's score is that of its smoothed map. The series' score is the mean of the highest slice
scores, a fixed share of all: a maximum would grow with the number of slices, a share of all pixels would be thinned by
slices that are healthy.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from anogan import transforms
from anogan.config import Config, InputConfig
from anogan.scan import Result, Scan
from anogan.scoring import COMPONENTS, Fusion, Maps, diffuse, top_mean
from anogan.series import Series, SeriesResult

BATCH = 32  # slices whose component maps are held at once


class _Slices(NamedTuple):
    """What is kept of the maps of some slices, on the network's grid."""

    fused: Tensor  # (N, S, S)
    diffuse: Tensor  # (N,)
    components: Tensor  # (N, K), image scores
    reconstruction: Tensor  # (N, C, S, S)
    spread: Tensor | None  # (N,)

    @classmethod
    def of(cls, maps: Maps, share: float) -> _Slices:
        components = torch.stack([top_mean(parts, share) for parts in maps.components])
        return cls(maps.fused, diffuse(maps.components), components, maps.reconstruction, maps.spread)


def score_series(series: Series, maps: Callable[[Tensor], Maps], fusion: Fusion, config: Config) -> SeriesResult:
    """Score a series; nothing is decided.

    Parameters
    ----------
    series
        The slices.
    maps
        Computes the maps of a batch on the network's grid, (N, C, S, S) in [-1, 1].
    fusion
        How they become a score.
    config
        The profile.

    Returns
    -------
    SeriesResult
        A slice that has nothing to judge, such as a blank one, is "not scored" and has no part in the score; `reason`
        counts them. Only the top slices, whose mean is the score, have a reconstruction; none has component maps.
    """
    started = time.monotonic()
    scans = series.scans
    problems: dict[int, str] = {}
    batches = [_Slices.of(maps(images), fusion.top) for images in _batches(scans, config.input, problems)]
    if not batches:
        first = next(iter(problems.values()))
        return SeriesResult(series.source, "not scored", reason=f"{series.source}: no slice can be judged; {first}")
    fused, level, components, reconstruction = (torch.cat(part) for part in list(zip(*batches, strict=True))[:4])
    spread = None if batches[0].spread is None else torch.cat([b.spread for b in batches if b.spread is not None])

    kept = [index for index in range(len(scans)) if index not in problems]
    weights = through_planes(kept, series.step, config.scoring.through_planes)
    fused, level = torch.tensordot(weights, fused, dims=1), weights @ level
    scores = fusion.odder(torch.stack([top_mean(fused, fusion.top), level], dim=1))
    if not bool(scores.isfinite().all()):
        return SeriesResult(series.source, "not scored", reason=f"{series.source}: its score is not finite")
    share = config.scoring.top_slices
    top = scores.topk(max(1, round(share * len(scores)))).indices.tolist()

    seconds = (time.monotonic() - started) / len(scans)
    results = {
        index: Result(scans[index].source, "not scored", reason, seconds=seconds) for index, reason in problems.items()
    }
    for place, index in enumerate(kept):
        scan = scans[index]
        results[index] = Result(
            scan.source,
            "scored",
            score=float(scores[place]),
            uncertainty=None if spread is None else float(spread[place]),
            anomaly_map=transforms.to_scan_grid(fused[place].numpy(), scan.pixels.shape[:2]),
            reconstruction=transforms.image_to_scan_grid(reconstruction[place].numpy(), scan, config.input)
            if place in top
            else None,
            components=_named(components[place]),
            seconds=seconds,
        )
    blank = f"{len(problems)} of {len(scans)} slices hold nothing to judge and were left out" if problems else ""
    return SeriesResult(
        series.source,
        "scored",
        reason=blank,
        score=float(scores[top].mean()),
        slices=tuple(results[index] for index in range(len(scans))),
        top=tuple(kept[place] for place in top),
        components=_named(torch.stack([top_mean(column[None], share)[0] for column in components.T])),
        seconds=time.monotonic() - started,
    )


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
