"""Numbers worked out by hand, slow direct definitions, and scikit-learn as an oracle.

AUPRO was compared with anomalib 2.7 too, which computes in single precision: they differ by less than 1e-6.
"""

import numpy as np
import pytest
from scipy.ndimage import label
from sklearn.metrics import f1_score, roc_auc_score

from anogan import metrics


def pixels() -> tuple[np.ndarray, np.ndarray]:
    """Two regions, of one pixel (0.9) and of three (0.8, 0.5, 0.1), and four healthy pixels."""
    anomaly_map = np.array([[0.9, 0.7, 0.8, 0.5], [0.4, 0.2, 0.0, 0.1]])
    mask = np.array([[1, 0, 1, 1], [0, 0, 0, 1]], bool)
    return anomaly_map, mask


@pytest.fixture
def images() -> list[tuple[np.ndarray, np.ndarray]]:
    """Maps with ties and masks of one to three regions of any size."""
    rng = np.random.default_rng(8)
    found = []
    for count in (1, 3, 0, 2):
        mask = np.zeros((24, 30), bool)
        for _ in range(count):
            y, x, height, width = *rng.integers(0, 20, 2), *rng.integers(1, 7, 2)
            mask[y : y + height, x : x + width] = True
        found.append((np.round(rng.normal(1.2 * mask), 1).astype(np.float32), mask))
    return found


def tally_of(images: list[tuple[np.ndarray, np.ndarray]]) -> metrics.PixelTally:
    tally = metrics.PixelTally()
    for anomaly_map, mask in images:
        tally.add(anomaly_map, mask)
    return tally


def test_pixel_auroc_by_hand() -> None:
    tally = metrics.PixelTally()
    tally.add(*pixels())
    # 0.9 and 0.8 lie above four healthy pixels, 0.5 above three, 0.1 above one: 12 of 16
    assert tally.auroc() == pytest.approx(12 / 16)


def test_aupro_by_hand() -> None:
    tally = metrics.PixelTally()
    tally.add(*pixels())
    # overlap (1 + 1/3) / 2 up to the first false positive (1/4), then (1 + 2/3) / 2 up to 0.3
    assert tally.aupro(0.3) == pytest.approx((0.25 * 2 / 3 + 0.05 * 5 / 6) / 0.3)


@pytest.mark.parametrize("limit", [0.05, 0.3, 1.0])
def test_aupro_agrees_with_the_definition(images: list[tuple[np.ndarray, np.ndarray]], limit: float) -> None:
    """At every threshold: the mean over regions of the share found, and the share of healthy pixels flagged."""
    values = np.concatenate([anomaly_map[~mask] for anomaly_map, mask in images])
    regions = []
    for anomaly_map, mask in images:
        numbers, count = label(mask, np.ones((3, 3)))
        regions += [anomaly_map[numbers == number + 1] for number in range(count)]
    points = [(0.0, 0.0)]
    for threshold in np.unique(np.concatenate([anomaly_map.ravel() for anomaly_map, _ in images]))[::-1]:
        points.append((np.mean(values >= threshold), np.mean([np.mean(region >= threshold) for region in regions])))
    area = 0.0
    for (x, y), (right, top) in zip(points, points[1:], strict=False):
        if x < limit < right:
            right, top = limit, y + (top - y) * (limit - x) / (right - x)
        if right <= limit:
            area += (right - x) * (y + top) / 2
    assert tally_of(images).aupro(limit) == pytest.approx(area / limit, abs=1e-9)


def test_pixel_auroc_agrees_with_scikit_learn(images: list[tuple[np.ndarray, np.ndarray]]) -> None:
    maps, masks = (np.concatenate([part.ravel() for part in parts]) for parts in zip(*images, strict=True))
    assert tally_of(images).auroc() == pytest.approx(roc_auc_score(masks, maps), abs=1e-9)


def test_dice_by_hand() -> None:
    tally = tally_of([pixels()])
    # at 0.5: three of four abnormal pixels found, one false alarm (0.7)
    assert tally.dice(0.5) == pytest.approx(2 * 3 / (4 + 3 + 1))
    assert tally.dice(1.0) == 0
    assert tally.dice(-1.0) == pytest.approx(2 * 4 / (4 + 4 + 4))
    assert tally.best_dice() == pytest.approx((6 / 8, 0.5))


def test_dice_agrees_with_scikit_learn(images: list[tuple[np.ndarray, np.ndarray]]) -> None:
    maps, masks = (np.concatenate([part.ravel() for part in parts]) for parts in zip(*images, strict=True))
    tally = tally_of(images)
    oracle = {float(at): f1_score(masks, maps >= at) for at in np.unique(maps)}  # F1 is another name of it
    for at, dice in list(oracle.items())[::6]:
        assert tally.dice(at) == pytest.approx(dice, abs=1e-9)
    best = tally.best_dice()
    assert best.dice == pytest.approx(max(oracle.values()), abs=1e-9)
    assert tally.dice(best.threshold) == pytest.approx(best.dice, abs=1e-9)


def test_aupro_does_not_care_where_healthy_pixels_come_from() -> None:
    anomaly_map, mask = pixels()
    together, apart = metrics.PixelTally(), metrics.PixelTally()
    together.add(np.vstack([anomaly_map, np.full((1, 4), 0.6)]), np.vstack([mask, np.zeros((1, 4), bool)]))
    apart.add(anomaly_map, mask)
    apart.add(np.full((1, 4), 0.6), np.zeros((1, 4), bool))
    assert apart.aupro() == pytest.approx(together.aupro())
    assert together.n_regions == apart.n_regions == 2


def test_drawing_healthy_pixels_changes_little() -> None:
    rng = np.random.default_rng(0)
    exact, drawn = metrics.PixelTally(10**6), metrics.PixelTally(500)
    for index in range(20):
        mask = np.zeros((60, 50 + 10 * index), bool)
        mask[20:30, 10:25] = index % 2
        anomaly_map = rng.normal(1.5 * mask + 0.1 * index, 1.0)
        exact.add(anomaly_map, mask)
        drawn.add(anomaly_map, mask)
    assert drawn.sampled
    assert not exact.sampled
    assert drawn.auroc() == pytest.approx(exact.auroc(), abs=0.01)
    assert drawn.aupro() == pytest.approx(exact.aupro(), abs=0.02)
    assert drawn.dice(1.0) == pytest.approx(exact.dice(1.0), abs=0.01)
    assert drawn.best_dice().dice == pytest.approx(exact.best_dice().dice, abs=0.01)


def test_pixel_metrics_need_a_mask() -> None:
    tally = metrics.PixelTally()
    tally.add(np.zeros((4, 4)), np.zeros((4, 4), bool))
    for metric in (tally.auroc, tally.aupro, tally.best_dice, lambda: tally.dice(0.5)):
        with pytest.raises(ValueError, match="no image with a mask"):
            metric()
    with pytest.raises(ValueError, match=r"\(3, 3\) pixels"):
        tally.add(np.zeros((4, 4)), np.zeros((3, 3), bool))


def test_pixel_auroc_needs_healthy_pixels() -> None:
    tally = tally_of([(np.zeros((2, 2)), np.ones((2, 2), bool))])
    with pytest.raises(ValueError, match="every pixel is abnormal"):
        tally.auroc()
    assert tally.dice(0) == 1
