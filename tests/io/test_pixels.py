"""Windows and limits."""

from __future__ import annotations

import numpy as np
import pytest

from anogan.io.pixels import Window, check_size, full_range, stretch


def test_a_linear_window_and_what_it_clips() -> None:
    # 99.5 - 100 to 99.5 + 100
    window = Window(100, 201)
    values = np.array([-1, -0.5, 99.5, 199.5, 200])
    np.testing.assert_allclose(window.apply(values), [0, 0, 0.5, 1, 1])
    assert window.clips(values).tolist() == [True, False, False, False, True]
    assert window.words == "center 100, width 201, LINEAR"


def test_a_sigmoid_clips_nothing() -> None:
    assert not Window(0, 1, "SIGMOID").clips(np.array([-1e9, 1e9])).any()


def test_where_a_window_comes_from_makes_it_no_other_window() -> None:
    assert full_range(0, 255, "full range", "x") == Window(127.5, 255, "LINEAR_EXACT")


def test_one_stretch_for_several_images() -> None:
    window = stretch([np.array([3, 5]), np.array([], int), np.array([4, 13])], "x", keep=True)
    np.testing.assert_allclose(window.apply(np.array([3, 8, 13])), [0, 0.5, 1])
    assert window.words == "minimum to maximum (3 to 13)"


def test_floats_in_the_unit_range_stay_only_if_all_do() -> None:
    tiny = np.array([1e-30, 0.25, 1], np.float32)
    assert stretch([tiny], "x", keep=True).words == "none"
    np.testing.assert_array_equal(stretch([tiny], "x", keep=True).apply(tiny), tiny)
    assert stretch([tiny, np.array([2.0])], "x", keep=True).words == "minimum to maximum (1e-30 to 2)"


def test_images_of_one_value_are_black() -> None:
    for value in (0, 7, -3.5):
        assert stretch([np.full((2, 2), value)], "x", keep=True).apply(np.full((2, 2), value)).max() == 0


def test_values_that_are_not_finite() -> None:
    with pytest.raises(ValueError, match="^x: holds values that are not finite"):
        stretch([np.array([1.0, np.nan])], "x", keep=True)


def test_limits_of_size() -> None:
    check_size("x", 8000, 8000)
    check_size("x", 512, 512, 1500)
    with pytest.raises(ValueError, match="^x: has 8001 x 8000 pixels, more than the 64 million"):
        check_size("x", 8001, 8000)
    with pytest.raises(ValueError, match="^x: has 7 frames of 8000 x 8000 pixels, more than the 400 million"):
        check_size("x", 8000, 8000, 7)


def test_values_too_far_apart_are_refused() -> None:
    most = np.finfo(np.float64).max
    with pytest.raises(ValueError, match="^x: holds values too far apart to be shown together"):
        stretch([np.array([-most, most])], "x", keep=True)
    assert stretch([np.array([0, most])], "x", keep=True).apply(np.array([0, most])).tolist() == [0, 1]


@pytest.mark.parametrize("function", ["LINEAR", "LINEAR_EXACT", "SIGMOID"])
def test_a_window_leaves_its_values_as_they_are(function: str) -> None:
    values = np.array([-1e300, 0, 100, 1e300])
    shown = Window(50, 20, function).apply(values)
    assert values.tolist() == [-1e300, 0, 100, 1e300]
    assert (shown.dtype, shown[0], shown[-1]) == (np.float64, pytest.approx(0), pytest.approx(1))
