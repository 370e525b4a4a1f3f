"""The noise reference: what it measures by hand, and that it finds a region whose noise is not that of the rest."""

import cv2
import numpy as np
import pytest
import torch
from safetensors.torch import load, save

from anogan.data.transforms import LEAST_NATIVE_SIDE
from anogan.detector.noise import NoiseReference, residues, rounded_otherwise


def photo(seed: int, noise: float = 0.02) -> np.ndarray:
    """Smooth structure of random colors, with white noise."""
    generator = np.random.default_rng(seed)
    structure = cv2.resize(generator.uniform(0.3, 0.7, (6, 6, 3)), (120, 120), interpolation=cv2.INTER_CUBIC)
    return (structure + noise * generator.normal(size=structure.shape)).clip(0, 1).astype(np.float32)


@pytest.fixture(scope="module")
def reference() -> NoiseReference:
    return NoiseReference.fit((photo(k) for k in range(30)), (photo(k) for k in range(30, 40)))


def test_residues_of_white_noise_by_hand() -> None:
    """The energy of a filter on white noise of variance v is v times its squared taps; here v is 4 gray levels."""
    noise = np.random.default_rng(0).normal(size=(400, 400, 1))
    image = (0.5 + 2 / 255 * np.repeat(noise, 3, axis=2)).astype(np.float32)  # gray: the three channels agree
    fine, coarse = residues(image)
    assert fine.shape == (49, 49, 11)
    assert coarse.shape == (49, 49, 5)
    found = fine.mean((0, 1))
    assert found[0] == pytest.approx(np.log(4 * 36 / 16), abs=0.08)  # logarithms of means of 256 pixels: a little low
    assert found[1] == pytest.approx(np.log(4 * 6 / 4), abs=0.08)
    assert found[2] == pytest.approx(found[1], abs=0.02)
    np.testing.assert_allclose(found[5:7], np.log(0.1), atol=1e-3)  # no color
    assert found[7:10].min() > 0.9  # channels that agree
    assert found[10] == pytest.approx(np.sqrt(2 / np.pi), abs=0.01)  # of a normal distribution
    assert coarse[..., 0].mean() == pytest.approx(127.5, abs=0.2)


def test_patches_are_where_they_say() -> None:
    """A change of a pixel reaches the patches that hold it or its neighbors, and no others."""
    image = photo(0)
    changed = image.copy()
    changed[60, 20] = 1.0
    moved = np.argwhere(np.abs(residues(changed)[0][..., 0] - residues(image)[0][..., 0]) > 1e-3)
    # Patch k holds the pixels 8 k to 8 k + 15.
    assert set(map(tuple, moved)) == {(row, column) for row in (6, 7) for column in (1, 2)}


@pytest.mark.parametrize("noise", [0.002, 0.06])
def test_noise_is_odd_both_ways(reference: NoiseReference, noise: float) -> None:
    genuine = [reference.score(photo(seed)) for seed in range(50, 60)]
    assert min(reference.parts(photo(60, noise))) > max(genuine) + 3  # the regions and the whole


@pytest.mark.parametrize("noise", [0.002, 0.06])
def test_a_region_unlike_the_rest_is_found_and_marked(reference: NoiseReference, noise: float) -> None:
    image = photo(61)
    image[40:80, 56:96] = photo(61, noise)[40:80, 56:96]
    assert reference.score(image) > max(reference.score(photo(seed)) for seed in range(50, 60)) + 2
    found = reference.judge(image)[1]
    assert found.shape == (120, 120)
    row, column = np.unravel_index(found.argmax(), found.shape)
    assert 40 <= row < 80
    assert 56 <= column < 96
    assert found[46:74, 62:90].mean() > 2 * found[:24].mean()


def test_genuine_images_of_others_lie_around_zero(reference: NoiseReference) -> None:
    parts = np.array([reference.parts(photo(seed)) for seed in range(100, 140)])
    assert np.abs(np.median(parts, axis=0)).max() < 0.7
    assert parts.max() < 5


def test_it_is_the_same_after_saving(reference: NoiseReference) -> None:
    again = NoiseReference.from_tensors(load(save(reference.tensors())))
    assert all(isinstance(tensor, torch.Tensor) for tensor in reference.tensors().values())
    assert again.parts(photo(7)) == reference.parts(photo(7))
    np.testing.assert_array_equal(again.judge(photo(7))[1], reference.judge(photo(7))[1])


def test_what_cannot_be_judged_is_refused(reference: NoiseReference) -> None:
    assert np.isfinite(reference.score(photo(1)[:LEAST_NATIVE_SIDE, :LEAST_NATIVE_SIDE]))
    for image in (photo(1)[: LEAST_NATIVE_SIDE - 1], photo(1)[..., 0]):
        with pytest.raises(ValueError, match=r"expected an image in color of at least 56 pixels, got shape \("):
            reference.score(image)
    with pytest.raises(ValueError, match="9 genuine images, at least 10 are needed"):
        NoiseReference.fit((photo(k) for k in range(9)), [])
    with pytest.raises(ValueError, match="1 held-out genuine images, at least 2 are needed"):
        NoiseReference.fit((photo(k) for k in range(10)), [photo(10)])


def test_photos_that_are_all_the_same_bound_every_score() -> None:
    """Repeated frames: nothing varies but by rounding, so a photo that 8 bits could not tell apart is not unusual."""
    same = photo(0)
    model = NoiseReference.fit([same] * 10, [same] * 2)
    assert np.isfinite(model.score(same))
    assert abs(model.score(rounded_otherwise(same))) < 10
    assert np.isfinite(model.score(photo(5)))
