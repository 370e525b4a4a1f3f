"""A series as a volume: smoothing in millimeters, and a score that does not grow with the number of slices."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from anogan.config import load_config
from anogan.detector.fusion import COMPONENTS, Maps
from anogan.detector.volume import BATCH, score_series, through_planes, top_weights
from anogan.scan import Scan, Series, SeriesResult

CONFIG = load_config("tiny")
K = len(COMPONENTS)


def maps(images: torch.Tensor) -> Maps:
    """A detector whose every map is the image's gray level, in [0, 1]."""
    assert len(images) <= BATCH
    gray = (images[:, 0] + 1) / 2
    components = gray[:, None].repeat(1, K, 1, 1)
    return Maps(components, gray, gray.mean((1, 2)), images, None)


def series(levels: list[float], step: float | None = None) -> Series:
    """Slices of one gray level each."""
    scans = (Scan(np.full((40, 30), level, np.float32), f"{place}.dcm") for place, level in enumerate(levels))
    return Series(tuple(scans), "head", step)


def score(volume: Series, *settings: str) -> SeriesResult:
    return score_series(volume, maps, load_config("tiny", settings))


def test_weights_by_hand() -> None:
    near, far = np.exp(-0.5), np.exp(-2.0)  # one and two standard deviations away
    expected = [[1, near, far], [near, 1, near], [far, near, 1]]
    expected = np.array(expected) / np.sum(expected, axis=1, keepdims=True)
    assert through_planes([0, 1, 2], 2.0, 2.0).numpy() == pytest.approx(expected, abs=1e-6)
    # A slice that was left out keeps its place: 0 and 2 are 4 mm apart.
    assert through_planes([0, 2], 2.0, 2.0)[0, 1].item() == pytest.approx(far / (1 + far), abs=1e-6)


@pytest.mark.parametrize(("step", "sigma"), [(None, 2.0), (1.0, 0.0)])
def test_without_a_step_or_a_width_nothing_is_smoothed(step: float | None, sigma: float) -> None:
    assert torch.equal(through_planes([0, 1, 5], step, sigma), torch.eye(3))


def test_smoothing_goes_by_millimeters() -> None:
    """An anomaly of 8 mm keeps its peak, whether it is cut into slices of 1 or of 4 mm; one thin slice does not."""
    fine = [0.5 if 36 <= place < 44 else 0.1 for place in range(80)]
    coarse = [0.5 if 9 <= place < 11 else 0.1 for place in range(20)]
    thin = [0.5 if place == 40 else 0.1 for place in range(80)]
    peaks = [
        max(float(one.anomaly_map[20, 15]) for one in score(series(levels, step)).slices)
        for levels, step in ((fine, 1.0), (coarse, 4.0), (thin, 1.0))
    ]
    assert peaks[0] == pytest.approx(peaks[1], abs=0.06)
    assert peaks[0] > 0.45
    # The Gaussian's largest weight at 1 mm is 1 / (2 sqrt(2 pi)), about 0.2.
    assert peaks[2] == pytest.approx(0.1 + 0.4 / (2 * np.sqrt(2 * np.pi)), abs=1e-3)


def test_the_score_is_the_mean_of_the_top_share() -> None:
    levels = [place / 100 for place in range(40)]
    found = score(series(levels))
    assert found.top == (39, 38)  # a twentieth of 40
    assert found.score == pytest.approx((0.39 + 0.38) / 2, abs=1e-6)
    assert found.components == pytest.approx(dict.fromkeys(COMPONENTS, 0.385), abs=1e-6)
    assert [one.score for one in found.slices] == pytest.approx(levels, abs=1e-6)
    assert score(series(levels), "scoring.top_slices=0.1").top == (39, 38, 37, 36)


def test_a_part_of_a_slice_counts_in_part() -> None:
    assert top_weights(40, 0.05).tolist() == [0.5, 0.5]
    assert top_weights(30, 0.05).tolist() == pytest.approx([2 / 3, 1 / 3])
    assert top_weights(5, 0.05).tolist() == [1]
    assert score(series([0.1] * 28 + [0.4, 0.7])).score == pytest.approx((2 * 0.7 + 0.4) / 3, abs=1e-6)


def test_the_score_does_not_grow_with_the_number_of_slices() -> None:
    levels = list(np.random.default_rng(0).random(20))
    repeated = [score(series(levels * times)).score for times in (1, 2, 5)]
    assert repeated == pytest.approx([max(levels)] * 3, abs=1e-6)


def test_maps_lie_on_the_slices_own_grid_and_only_top_slices_are_reconstructed() -> None:
    found = score(series([0.1] * 50 + [0.4] * 3 + [0.1] * 27))
    assert set(found.top[:3]) == {50, 51, 52}
    for place, one in enumerate(found.slices):
        assert one.source == f"{place}.dcm"
        assert one.anomaly_map is not None
        assert one.anomaly_map.shape == (40, 30)
        assert one.component_maps == {}
        assert (one.p_value, one.flagged) == (None, None)
        assert (one.reconstruction is not None) == (place in found.top)


def test_a_slice_without_content_has_no_part_in_the_score() -> None:
    rng = np.random.default_rng(1)
    levels = [rng.random((40, 30), np.float32) for _ in range(6)]
    levels[2][:] = levels[5][:] = 0
    volume = Series(tuple(Scan(pixels, f"{place}.dcm") for place, pixels in enumerate(levels)), "head", 1.0)
    found = score(volume, "input.intensity=percentile")
    assert found.status == "scored"
    assert found.reason == "2 of 6 slices hold nothing to judge and were left out"
    assert [one.status == "scored" for one in found.slices] == [True, True, False, True, True, False]
    assert found.slices[2].reason == "2.dcm: all pixels are alike, so there is nothing to judge"
    only_blank = dataclasses.replace(volume, scans=(volume.scans[2], volume.scans[5]))
    nothing = score(only_blank, "input.intensity=percentile")
    assert (nothing.status, nothing.slices) == ("not scored", ())
    assert nothing.reason == "head: no slice can be judged; 2.dcm: all pixels are alike, so there is nothing to judge"


def test_the_score_does_not_depend_on_the_distance_of_the_slices() -> None:
    levels = list(np.random.default_rng(0).random(40))
    near, far, unknown = (score(series(levels, step)) for step in (0.5, 9.0, None))
    assert near.score == far.score == unknown.score
    assert near.slices[near.top[0]].anomaly_map.max() < far.slices[far.top[0]].anomaly_map.max() - 0.1


def test_a_score_that_is_not_finite_is_none() -> None:
    def broken(images: torch.Tensor) -> Maps:
        return dataclasses.replace(maps(images), scores=torch.tensor([0.5, torch.nan]))

    found = score_series(series([0.5, 0.5]), broken, CONFIG)
    assert (found.status, found.reason) == ("not scored", "head: its score is not finite")
