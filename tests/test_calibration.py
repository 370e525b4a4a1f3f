import numpy as np
import pytest

from anogan.calibration import Calibration


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
