"""One scale for all images, and the image visible where nothing is unusual."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from anogan.results.heatmap import layer, overlay

GRAY = np.random.default_rng(0).integers(0, 256, (6, 5)).astype(np.uint8)


def test_up_to_the_low_end_and_without_a_value_the_image_shows_as_it_is() -> None:
    values = np.full(GRAY.shape, -3.0, np.float32)
    values[0, 0], values[1, 1] = 1.0, np.nan
    drawn = overlay(GRAY, values, (1.0, 6.0), 1.0)
    assert drawn.dtype == np.uint8
    np.testing.assert_array_equal(drawn, np.repeat(GRAY[..., None], 3, axis=2))


def test_above_the_high_end_all_is_one_color() -> None:
    values = np.full(GRAY.shape, 6.0)
    values[2:] = np.inf
    assert len(np.unique(overlay(GRAY, values, (0, 6), 1.0).reshape(-1, 3), axis=0)) == 1


def test_a_value_has_the_same_color_whatever_else_is_in_its_image() -> None:
    black = np.zeros((2, 2), np.uint8)
    calm, wild = np.array([[3.0, 0], [0, 0]]), np.array([[3.0, 100], [50, 20]])
    np.testing.assert_array_equal(overlay(black, calm, (0, 6))[0, 0], overlay(black, wild, (0, 6))[0, 0])


def test_higher_is_lighter() -> None:
    ramp = np.linspace(0, 1, 200)[None]
    drawn = overlay(np.zeros(ramp.shape, np.uint8), ramp, (0, 1), 1.0)
    lightness = cv2.cvtColor(drawn.astype(np.float32) / 255, cv2.COLOR_RGB2LAB)[0, :, 0]
    assert (np.diff(lightness) > -0.5).all()  # rounding to 8 bits
    assert lightness[-1] - lightness[0] > 90
    assert drawn[0, 100, 0] > drawn[0, 100, 2]  # RGB: the middle of the scale is red, not blue


def test_opacity_mixes_the_color_with_the_image() -> None:
    high = np.ones(GRAY.shape)
    image, color, mixed = (overlay(GRAY, high, (0, 1), opacity).astype(float) for opacity in (0, 1, 0.5))
    np.testing.assert_array_equal(image, np.repeat(GRAY[..., None], 3, axis=2))
    np.testing.assert_allclose(mixed, (image + color) / 2, atol=0.51)


def test_floats_and_bytes_gray_and_rgb_give_the_same() -> None:
    values = np.random.default_rng(1).random(GRAY.shape)
    expected = overlay(GRAY, values, (0, 1))
    np.testing.assert_array_equal(overlay((GRAY / 255).astype(np.float32), values, (0, 1)), expected)
    np.testing.assert_array_equal(overlay(np.repeat(GRAY[..., None], 3, axis=2), values, (0, 1)), expected)


@pytest.mark.parametrize(
    ("shape", "map_range", "opacity", "complaint"),
    [
        ((5, 6), (0, 1), 0.5, "shape"),
        ((6, 5), (1, 1), 0.5, "low < high"),
        ((6, 5), (0, float("nan")), 0.5, "low < high"),
        ((6, 5), (0, 1), 1.5, r"opacity in \[0, 1\], got 1.5"),
    ],
)
def test_what_cannot_be_drawn_is_refused(
    shape: tuple[int, int], map_range: tuple[float, float], opacity: float, complaint: str
) -> None:
    with pytest.raises(ValueError, match=complaint):
        overlay(GRAY, np.zeros(shape), map_range, opacity)


def test_the_layer_laid_over_an_image_is_the_overlay() -> None:
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (20, 30), dtype=np.uint8)
    scores = rng.normal(2, 2, (20, 30)).astype(np.float32)
    *colors, alpha = np.moveaxis(layer(scores, (0.0, 4.0)).astype(np.float32), 2, 0)
    laid = image[..., None] + (np.stack(colors, 2) - image[..., None]) * 0.55 * alpha[..., None] / 255
    assert np.abs(laid - overlay(image, scores, (0.0, 4.0), 0.55)).max() <= 1
    assert (alpha[scores <= 0] == 0).all()
