import json

import numpy as np
import pytest
from scipy.stats import binom, norm

from anogan.detector.calibration import Calibration, images_needed, rank, rate_at
from anogan.errors import Code
from anogan.metrics.discovery import discoveries


def test_threshold_by_hand() -> None:
    """n = 19 at 10 %: floor(0.1 * 20) = 2, so what exceeds the second largest score, and only that, is flagged."""
    calibration = Calibration.fit(np.arange(1.0, 20.0), 0.1)
    assert 18 < calibration.threshold < 18 + 1e-9
    assert calibration.p_value(18.5) == 2 / 20
    assert calibration.p_value(18.0) == 3 / 20
    assert calibration.p_value(100.0) == 1 / 20
    assert calibration.p_value(0.0) == 1.0


@pytest.mark.parametrize("rate", [0.01, 0.05, 0.2])
@pytest.mark.parametrize("n", [100, 101, 299])
def test_flagging_is_the_same_as_a_small_p_value(rate: float, n: int) -> None:
    rng = np.random.default_rng(n)
    calibration = Calibration.fit(np.round(rng.normal(size=n), 1), rate)  # rounded: many ties
    for score in np.round(rng.normal(size=300) * 2, 1):
        assert (score >= calibration.threshold) == (calibration.p_value(score) <= rate)


def test_the_promise_holds_in_a_simulation() -> None:
    rng = np.random.default_rng(0)
    rates = []
    for _ in range(2000):
        calibration = Calibration.fit(rng.random(99), 0.05)
        rates.append(1 - calibration.threshold)  # of uniform scores
    assert abs(np.mean(rates) - 0.05) < 0.002
    # floor(0.05 * 100) = 5: the rate of a set is Beta(5, 95), whose 95 % quantile is 0.0901
    assert "at most 9.0%" in Calibration.fit(rng.random(99), 0.05).promise()
    assert abs(np.mean(np.array(rates) <= 0.0901) - 0.95) < 0.015


def test_too_few_scores() -> None:
    with pytest.raises(ValueError, match="18 healthy images cannot give a false-alarm rate of 0.05; at least 19"):
        Calibration.fit(np.arange(18.0), 0.05)
    assert Calibration.fit(np.arange(19.0), 0.05).threshold > 18


def test_bad_input() -> None:
    with pytest.raises(ValueError, match="not finite"):
        Calibration.fit(np.array([1.0, np.nan]), 0.5)
    with pytest.raises(ValueError, match="between 0 and 1"):
        Calibration.fit(np.arange(9.0), 1.5)


@pytest.mark.parametrize(
    ("n", "rate", "expected"),
    [
        (58, 0.05, 0),
        (59, 0.05, 1),  # 0.95 ** 59 = 0.0485: the maximum as threshold keeps 5 % with 95 % confidence
        (92, 0.05, 1),
        (93, 0.05, 2),  # the sizes of Wilks' tolerance limits: 59, 93, 124, 153, 181
        (124, 0.05, 3),
        (181, 0.05, 5),
        (298, 0.01, 0),
        (299, 0.01, 1),
        (473, 0.01, 2),
    ],
)
def test_rank_with_confidence(n: int, rate: float, expected: int) -> None:
    assert rank(n, rate, 0.95) == expected


@pytest.mark.parametrize("n", [59, 100, 299, 1000])
def test_rank_is_the_largest_that_keeps_the_confidence(n: int) -> None:
    """More than `rate` are flagged exactly where fewer than r of n scores lie in the upper `rate` of the healthy."""
    kept = [r for r in range(1, n + 1) if binom.cdf(r - 1, n, 0.05) <= 0.05]
    assert rank(n, 0.05, 0.95) == max(kept)


def test_images_needed() -> None:
    assert [images_needed(rate) for rate in (0.05, 0.01, 0.001)] == [19, 99, 999]
    assert [images_needed(rate, 0.95) for rate in (0.05, 0.01, 0.001)] == [59, 299, 2995]
    for rate in (0.003, 0.01, 0.02, 0.05, 0.1, 0.3):
        for confidence in (None, 0.8, 0.95, 0.99):
            n = images_needed(rate, confidence)
            assert (rank(n - 1, rate, confidence), rank(n, rate, confidence)) == (0, 1)


@pytest.mark.parametrize(("n", "rate"), [(59, 0.05), (299, 0.01), (100, 0.05), (1000, 0.01)])
def test_the_promise_with_confidence_holds_in_a_simulation(n: int, rate: float) -> None:
    rng = np.random.default_rng(0)
    rates = np.array([1 - Calibration.fit(rng.random(n), rate, 0.95).threshold for _ in range(2000)])
    assert np.mean(rates <= rate) >= 0.95 - 3 * np.sqrt(0.95 * 0.05 / 2000)
    assert abs(rates.mean() - rank(n, rate, 0.95) / (n + 1)) < 0.003


def test_with_confidence_the_maximum_of_59_is_the_threshold() -> None:
    calibration = Calibration.fit(np.arange(59.0), 0.05, 0.95)
    assert calibration.decide(58.0)[:3] == (2 / 60, False, "")  # a p-value of 0.033, and yet not sure enough
    assert calibration.decide(58.1)[:3] == (1 / 60, True, "")
    assert calibration.promise() == (
        "With 59 healthy calibration images and 95 % confidence, this set flags at most 5.0% of healthy images like "
        "them; on average over calibration sets, 1.7%."
    )
    with pytest.raises(
        ValueError, match="58 healthy images cannot give a false-alarm rate of 0.05 with 95 % confidence; at least 59"
    ):
        Calibration.fit(np.arange(58.0), 0.05, 0.95)


@pytest.fixture
def two_scanners() -> Calibration:
    """19 scores of scanner A from 1 to 19, 39 of scanner B from 101 to 139."""
    scores = np.concatenate([np.arange(101.0, 140.0), np.arange(1.0, 20.0)])
    return Calibration.fit(scores, 0.05, groups=["B"] * 39 + ["A"] * 19, column="scanner")


def test_each_group_has_its_own_calibration(two_scanners: Calibration) -> None:
    assert two_scanners.decide(19.5, "A")[:3] == (1 / 20, True, "")
    assert two_scanners.decide(19.5, "B")[:3] == (1.0, False, "")
    assert two_scanners.decide(138.5, "B")[:3] == (2 / 40, True, "")
    assert len(two_scanners.scores) == 58
    assert two_scanners.promise().startswith("Each scanner has a threshold of its own. A: With 19 healthy")


def test_an_unknown_group_is_not_decided(two_scanners: Calibration) -> None:
    assert two_scanners.decide(1e9, "C") == (
        None,
        None,
        "not calibrated: scanner C is unknown; calibrated were A, B; calibrate on healthy images of it",
        Code.GROUP,
    )
    assert two_scanners.decide(1e9) == (
        None,
        None,
        "not calibrated: the image names no scanner; calibrated were A, B",
        Code.GROUP,
    )


def test_a_group_that_is_too_small_is_refused() -> None:
    with pytest.raises(
        ValueError,
        match="^calibration of scanner B: 18 healthy images cannot give a false-alarm rate of 0.05; at least 19 are",
    ):
        Calibration.fit(np.arange(118.0), 0.05, groups=["A"] * 100 + ["B"] * 18, column="scanner")
    with pytest.raises(ValueError, match="^calibration: 1 of the images have no scanner; fill the column in for all"):
        Calibration.fit(np.arange(119.0), 0.05, groups=["A"] * 118 + [""], column="scanner")


def test_groups_keep_their_promise_where_all_together_does_not() -> None:
    """Scanner B scores one unit higher: together it gets nearly all false alarms."""
    rng = np.random.default_rng(0)
    names = ["A"] * 100 + ["B"] * 100
    rates = {"together": np.zeros(2), "apart": np.zeros(2)}
    for _ in range(500):
        scores = rng.normal(size=200) + np.repeat([0, 1], 100)
        for kind, groups in (("together", None), ("apart", names)):
            calibration = Calibration.fit(scores, 0.05, groups=groups)
            thresholds = np.array([calibration.of(name).threshold for name in "AB"])
            rates[kind] += norm.sf(thresholds - [0, 1]) / 500
    assert rates["together"] == pytest.approx([0.012, 0.088], abs=0.005)
    assert rates["apart"] == pytest.approx([5 / 101, 5 / 101], abs=0.003)


def test_a_score_that_varies_across_the_threshold_is_for_a_person() -> None:
    calibration = Calibration.fit(np.arange(1.0, 20.0), 0.05)  # the threshold lies just above 19
    assert calibration.decide(20.0, spread=0.9).flagged is True
    assert calibration.decide(18.0, spread=0.9).flagged is False
    assert calibration.decide(20.0, spread=1.5) == (
        1 / 20,
        None,
        "review by hand: the score 20 varies by 1.5 between restarts of the inversion, across the threshold 19",
        Code.SPREAD,
    )
    assert calibration.decide(18.0, spread=1.5).flagged is None
    assert calibration.decide(18.0, spread=0.0).flagged is False


@pytest.mark.parametrize("confidence", [None, 0.9])
def test_what_is_kept_decides_as_before(confidence: float | None) -> None:
    rng = np.random.default_rng(1)
    groups = rng.choice(["A", "B"], size=200).tolist()
    for calibration in (
        Calibration.fit(rng.normal(size=200), 0.1, confidence),
        Calibration.fit(rng.normal(size=200), 0.1, confidence, groups, "site"),
    ):
        again = Calibration.from_json(json.loads(json.dumps(calibration.to_json())))
        assert again.summary() == calibration.summary()
        for score in rng.normal(size=50):
            assert again.decide(score, "B") == calibration.decide(score, "B")


def test_what_was_kept_before_there_were_kinds_of_promise_is_read() -> None:
    old = Calibration.from_json({"false_alarm_rate": 0.05, "scores": list(range(19))})
    assert (old.confidence, old.groups) == (None, {})
    with pytest.raises(KeyError):
        Calibration.from_json({"false_alarm_rate": 0.05})


def test_discoveries_by_hand() -> None:
    """Sorted 0.005, 0.03, 0.04, 0.5 against 0.05 * k / 4: only the first is below; at 0.06 the third, so all three."""
    p_values = [0.04, 0.005, None, 0.5, 0.03]
    assert discoveries(p_values, 0.05) == [False, True, None, False, False]
    assert discoveries(p_values, 0.06) == [True, True, None, False, True]
    assert discoveries([None, None], 0.1) == [None, None]
    assert discoveries([], 0.1) == []
    with pytest.raises(ValueError, match="false discovery rate: expected a number between 0 and 1, got 10"):
        discoveries([0.1], 10)


def test_too_few_images_can_discover_nothing_in_a_long_list() -> None:
    """19 images give no p-value below 0.05, and one of 10 cases needs 0.1 / 10."""
    assert not any(discoveries([1 / 20] + [1.0] * 9, 0.1))
    assert discoveries([1 / 100] + [1.0] * 9, 0.1)[0]


def test_the_false_discovery_rate_holds_in_a_simulation() -> None:
    rng = np.random.default_rng(0)
    shares = []
    for _ in range(500):
        calibration = Calibration.fit(rng.normal(size=500), 0.05)
        scores = rng.normal(size=50) + np.repeat([3.5, 0.0], [10, 40])
        found = np.array(discoveries([calibration.p_value(score) for score in scores], 0.2))
        shares.append(found[10:].sum() / max(found.sum(), 1))
    assert 0.08 < np.mean(shares) < 0.18  # 0.2 times the 80 % that are healthy, at most


def test_the_bound_is_the_rate_that_59_and_299_images_are_known_for() -> None:
    assert Calibration.fit(np.arange(59), 1 / 60).bound() == pytest.approx(1 - 0.05 ** (1 / 59))
    assert Calibration.fit(np.arange(299), 1 / 300).bound() < 0.01


@pytest.mark.parametrize("n", [19, 30, 99, 996])
def test_the_rate_at_a_threshold_calibrates_to_one_that_flags_the_same(n: int) -> None:
    scores = np.sort(np.random.default_rng(n).normal(size=n))
    for threshold in np.quantile(scores, [0.2, 1 / 3, 0.5, 0.9, 1.0]) + 1e-9:
        rate = rate_at(scores.tolist(), threshold)
        assert rate is not None
        found = Calibration.fit(scores, rate)
        assert found.threshold <= threshold
        assert np.array_equal(scores >= found.threshold, scores >= threshold)
    assert rate_at(scores.tolist(), scores[0]) is None
