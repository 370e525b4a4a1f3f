"""To the network's grid and back, by numbers worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest

from anogan.config import InputConfig
from anogan.data import transforms
from anogan.faces import detection
from anogan.scan import Scan

GRAY = InputConfig(channels=1, size=32)
COLOR = InputConfig(channels=3, size=32)
STRETCHED = InputConfig(channels=1, size=32, intensity="percentile")


def scan(pixels: np.ndarray) -> Scan:
    return Scan(pixels.astype(np.float32), "a.png")


def noise(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).random(shape).astype(np.float32)


def test_black_is_minus_one_and_white_is_one() -> None:
    pixels = np.zeros((32, 32))
    pixels[:, 16:] = 1
    image = transforms.to_network(scan(pixels), GRAY)
    assert image.shape == (1, 32, 32)
    assert image.dtype == np.float32
    np.testing.assert_array_equal(image[0], pixels * 2 - 1)


def test_shrinking_takes_the_mean_of_what_each_cell_covers() -> None:
    pixels = noise(64, 96)
    expected = pixels.reshape(32, 2, 32, 3).mean(axis=(1, 3)) * 2 - 1
    np.testing.assert_allclose(transforms.to_network(scan(pixels), GRAY)[0], expected, atol=1e-6)


def test_one_axis_may_shrink_while_the_other_grows() -> None:
    pixels = np.repeat(np.arange(64)[None] % 2, 8, axis=0)  # 8 x 64, columns 0 1 0 1 ...
    np.testing.assert_allclose(transforms.to_network(scan(pixels), GRAY), 0, atol=1e-6)


def test_growing_stays_in_range() -> None:
    image = transforms.to_network(scan((noise(7, 5) > 0.5).astype(np.float32)), GRAY)
    assert image.min() == -1
    assert image.max() == 1


@pytest.mark.parametrize("shape", [(1, 1), (1, 40000), (3, 2000)])
def test_any_shape_is_stretched_to_the_square(shape: tuple[int, int]) -> None:
    np.testing.assert_allclose(transforms.to_network(scan(np.full(shape, 0.75)), GRAY), 0.5, atol=1e-6)


def test_colors_become_gray_by_luminance() -> None:
    for channel, weight in enumerate((0.299, 0.587, 0.114)):
        pixels = np.zeros((32, 32, 3))
        pixels[..., channel] = 1
        np.testing.assert_allclose(transforms.to_network(scan(pixels), GRAY), 2 * weight - 1, atol=1e-6)


def test_gray_becomes_three_equal_channels_and_colors_keep_their_order() -> None:
    pixels = noise(32, 32)
    image = transforms.to_network(scan(pixels), COLOR)
    assert image.shape == (3, 32, 32)
    np.testing.assert_array_equal(image[0], image[2])
    colors = noise(32, 32, 3)
    np.testing.assert_allclose(transforms.to_network(scan(colors), COLOR), colors.transpose(2, 0, 1) * 2 - 1, atol=1e-6)


def test_percentiles_become_black_and_three_quarters_of_white() -> None:
    ramp = (np.arange(1024) / 1023).reshape(32, 32) * 0.2 + 0.1  # 0.1 to 0.3
    image = transforms.to_network(scan(ramp), STRETCHED)
    assert (image == -1).sum() == 6  # 0.5 % of 1023 steps is 5.1: the values 0 to 5 lie below
    np.testing.assert_allclose(image[0, 16, 0], 2 * 0.75 * (512 / 1023 - 0.005) / 0.945 - 1, atol=1e-5)
    np.testing.assert_allclose(image.max(), 2 * 0.75 * (1 - 0.005) / 0.945 - 1, atol=1e-5)


@pytest.mark.parametrize("side", [1, 5, 6])  # up to a twentieth of the image: 36 of 1024 pixels
def test_a_bright_lesion_is_brighter_than_tissue_and_changes_nothing_else(side: int) -> None:
    tissue = np.repeat([0.0, 0.5], 512).reshape(32, 32)
    lesion = tissue.copy()
    lesion[20 : 20 + side, 3 : 3 + side] = 0.6
    before, after = (transforms.to_network(scan(pixels), STRETCHED)[0] for pixels in (tissue, lesion))
    assert after[20, 3] > after[31, 31] + 0.2
    np.testing.assert_array_equal(before[lesion == tissue], after[lesion == tissue])


def test_percentiles_do_not_care_for_gain_and_offset() -> None:
    pixels = noise(40, 40)
    np.testing.assert_allclose(
        transforms.to_network(scan(pixels), STRETCHED),
        transforms.to_network(scan(pixels * 0.3 + 0.2), STRETCHED),
        atol=1e-5,
    )


def test_an_image_of_nearly_one_value_is_stretched_by_its_extremes() -> None:
    pixels = np.zeros((100, 100))
    pixels[50, 50] = 0.5  # far fewer than 0.5 % of the pixels
    assert transforms.to_network(scan(pixels), InputConfig(size=32, intensity="percentile")).max() > -1


def test_an_image_of_one_value_cannot_be_stretched() -> None:
    with pytest.raises(ValueError, match=r"^a\.png: all pixels are alike"):
        transforms.to_network(scan(np.full((40, 40), 0.4)), STRETCHED)


@pytest.mark.parametrize("config", [GRAY, COLOR])
@pytest.mark.parametrize("shape", [(32, 32), (32, 32, 3)])
def test_there_and_back_is_the_image_or_its_luminance(config: InputConfig, shape: tuple[int, ...]) -> None:
    original = scan(noise(*shape))
    back = transforms.image_to_scan_grid(transforms.to_network(original, config), original, config)
    assert back.dtype == np.float32
    colored = len(shape) == 3 and config.channels == 3
    expected = original.pixels if colored or len(shape) == 2 else original.pixels @ [0.299, 0.587, 0.114]
    np.testing.assert_allclose(back, expected, atol=1e-6)


def test_a_stretch_is_undone() -> None:
    original = scan(noise(32, 32) * 0.5)
    back = transforms.image_to_scan_grid(transforms.to_network(original, STRETCHED), original, STRETCHED)
    np.testing.assert_allclose(back, original.pixels.clip(np.percentile(original.pixels, 0.5)), atol=1e-6)


def test_an_image_comes_back_at_the_scans_size() -> None:
    back = transforms.image_to_scan_grid(np.full((3, 32, 32), 0.5), scan(noise(50, 20, 3)), COLOR)
    assert back.shape == (50, 20, 3)
    np.testing.assert_allclose(back, 0.75)


def test_a_map_is_linear_between_the_centers_of_its_cells() -> None:
    values = transforms.to_scan_grid(np.array([[0.0, 1.0]]), scan(noise(2, 4)), GRAY)
    assert values.dtype == np.float32
    np.testing.assert_allclose(values, [[0, 0.25, 0.75, 1]] * 2)


def test_a_mask_is_true_where_half_a_cell_is_covered() -> None:
    mask = np.zeros((64, 64), bool)
    mask[0:4, 0:4] = True  # four whole cells
    mask[10, 10:12] = True  # half of one
    mask[20, 20] = True  # a quarter of one
    expected = np.zeros((32, 32), bool)
    expected[0:2, 0:2] = expected[5, 5] = True
    np.testing.assert_array_equal(transforms.mask_to_network(mask, GRAY), expected)


def test_a_mask_smaller_than_a_cell_is_not_lost_and_an_empty_one_stays_empty() -> None:
    mask = np.zeros((640, 640), bool)
    assert not transforms.mask_to_network(mask, GRAY).any()
    mask[333, 45] = True
    assert np.argwhere(transforms.mask_to_network(mask, GRAY)).tolist() == [[333 // 20, 45 // 20]]


ALIGNED = InputConfig(channels=3, size=64, align="face")


def portrait(pixels: np.ndarray, eyes: list[tuple[float, float]]) -> Scan:
    """Return a scan whose face is known."""
    found, places = scan(pixels), np.array(eyes, float)
    detection._found[found] = detection.Face(np.zeros(4), places, places[0], places)
    return found


def test_an_aligned_map_returns_to_its_place_in_the_photo() -> None:
    """A hot cell of the network lies where the matrix has it, upright or not, to within a cell."""
    for eyes in ([(90, 70), (130, 70)], [(90, 80), (120, 60)], [(60, 100), (95, 130)]):
        photo = portrait(noise(200, 220, 3), eyes)
        values = np.zeros((64, 64), np.float32)
        values[28, 24] = 1  # the cell of the left eye
        back = transforms.to_scan_grid(values, photo, ALIGNED)
        assert back.shape == (200, 220)
        row, column = np.unravel_index(back.argmax(), back.shape)
        assert np.hypot(column - eyes[0][0], row - eyes[0][1]) < np.hypot(40, 0) / 16 + 1


def test_beside_the_face_a_map_is_zero_and_the_reconstruction_the_photo() -> None:
    photo = portrait(noise(200, 220, 3), [(90.2, 70.3), (110.2, 70.3)])  # cells of 1.25 pixels: 80 wide
    back = transforms.to_scan_grid(np.full((64, 64), -3.0), photo, ALIGNED)
    assert set(np.unique(back)) == {-3.0, 0.0}
    assert (back == -3).sum() == 80 * 80  # between columns 60.7 and 140.7, rows 34.8 and 114.8
    assert np.all(back[35:115, 61:141] == -3)
    healthy = transforms.image_to_scan_grid(np.zeros((3, 64, 64)), photo, ALIGNED)
    np.testing.assert_array_equal(healthy[back == 0], photo.pixels[back == 0])
    np.testing.assert_allclose(healthy[back != 0], 0.5)


def test_a_smooth_face_survives_the_way_there_and_back() -> None:
    rows, columns = np.mgrid[:200, :220]
    pixels = np.stack([columns / 300, rows / 300, (rows + columns) / 600], axis=2)
    for config in (ALIGNED, ALIGNED.model_copy(update={"channels": 1})):
        photo = portrait(pixels, [(90, 80), (120, 60)])
        back = transforms.image_to_scan_grid(transforms.to_network(photo, config), photo, config)
        expected = photo.pixels if config.channels == 3 else photo.pixels @ [0.299, 0.587, 0.114]
        assert back.shape == expected.shape
        np.testing.assert_allclose(back, expected, atol=2 / 300)  # the two outermost half cells are constant


def test_a_gray_photo_is_aligned_for_a_network_in_color() -> None:
    photo = portrait(noise(100, 100), [(40, 45), (60, 45)])
    assert transforms.to_network(photo, ALIGNED).shape == (3, 64, 64)
    assert transforms.image_to_scan_grid(np.zeros((3, 64, 64)), photo, ALIGNED).shape == (100, 100)
