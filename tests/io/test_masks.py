"""Masks: one region in many spellings is that region, or a sentence says why it cannot be known."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import cv2
import nibabel
import numpy as np
import pytest
import tifffile
from PIL import Image
from scipy import ndimage

from anogan.io.dicom import write_dicom
from anogan.io.masks import read_mask

SIDE = 64
Y, X = np.mgrid[:SIDE, :SIDE]
REGION = (X - 40) ** 2 / 90 + (Y - 28) ** 2 / 40 < 1
SECOND = (X - 12) ** 2 + (Y - 50) ** 2 < 30
GRAY = REGION.astype(np.uint8) * 255
CLASSES = REGION * 2 + SECOND * 1


def saved(path: Path, array: np.ndarray | Image.Image, **options: object) -> Path:
    (array if isinstance(array, Image.Image) else Image.fromarray(array)).save(path, **options)
    return path


def refused(path: Path) -> str:
    with pytest.raises(ValueError, match=r"^[^\n]*$") as caught:
        read_mask(path)
    sentence = str(caught.value)
    assert sentence.startswith(f"{path}: the mask")
    return sentence.removeprefix(f"{path}: the mask").removeprefix(" ")


def palette(index: np.ndarray, colors: list[int]) -> Image.Image:
    image = Image.fromarray(index.astype(np.uint8), "P")
    image.putpalette(colors)
    return image


def painted(color: tuple[int, ...], opacity: np.ndarray, ground: int = 0) -> np.ndarray:
    """Return (H, W, 4): one color on a ground that is transparent where `opacity` is 0."""
    array = np.full((SIDE, SIDE, 4), ground, np.uint8)
    array[opacity > 0, :3] = color
    array[..., 3] = opacity
    return array


def supersampled() -> np.ndarray:
    """Return the region's soft edge: each pixel the mean of 4 x 4."""
    y, x = np.mgrid[: 4 * SIDE, : 4 * SIDE] / 4 - 0.375
    fine = (x - 40) ** 2 / 90 + (y - 28) ** 2 / 40 < 1
    return (fine.reshape(SIDE, 4, SIDE, 4).mean(axis=(1, 3)) * 255).round().astype(np.uint8)


def compressed(array: np.ndarray, quality: int = 75) -> np.ndarray:
    buffer = io.BytesIO()
    Image.fromarray(array).save(buffer, "JPEG", quality=quality)
    return np.asarray(Image.open(buffer))


SPELLINGS: dict[str, Callable[[Path], Path]] = {
    "255": lambda p: saved(p / "m.png", GRAY),
    "1": lambda p: saved(p / "m.png", GRAY // 255),
    "100": lambda p: saved(p / "m.png", GRAY // 255 * 100),
    "16 bits": lambda p: saved(p / "m.png", REGION.astype(np.uint16) * 7),
    "one bit": lambda p: saved(p / "m.png", Image.fromarray(REGION)),
    "fax": lambda p: saved(p / "m.tif", Image.fromarray(REGION), compression="group4"),
    "int32": lambda p: saved(p / "m.tif", REGION.astype(np.int32)),
    "int8": lambda p: (tifffile.imwrite(p / "m.tif", REGION.astype(np.int8)), p / "m.tif")[1],
    "float": lambda p: saved(p / "m.tif", REGION.astype(np.float32)),
    "float of 1000": lambda p: saved(p / "m.tif", REGION.astype(np.float32) * 1000),
    "bool": lambda p: (tifffile.imwrite(p / "m.tif", REGION, photometric="minisblack"), p / "m.tif")[1],
    "red": lambda p: saved(p / "m.png", painted((200, 0, 0), GRAY)[..., :3]),
    "bitmap": lambda p: saved(p / "m.bmp", Image.fromarray(REGION)),
    "gif": lambda p: saved(p / "m.gif", GRAY),
    "lossless webp": lambda p: saved(p / "m.webp", GRAY, lossless=True),
    "webp": lambda p: saved(p / "m.webp", GRAY, quality=80),
    "jpeg": lambda p: saved(p / "m.jpg", GRAY, quality=75),
    "dark jpeg": lambda p: saved(p / "m.jpg", GRAY // 255 * 100, quality=90),
    "jpeg saved as png": lambda p: saved(p / "m.png", compressed(GRAY)),
    "soft edge": lambda p: saved(p / "m.png", supersampled()),
    "soft edge of float": lambda p: saved(p / "m.tif", supersampled().astype(np.float32) / 255),
    "feather": lambda p: saved(p / "m.png", ndimage.gaussian_filter(GRAY, 3)),
    "shrunk": lambda p: saved(
        p / "m.png", cv2.resize(np.kron(GRAY, np.ones((4, 4), np.uint8)), (SIDE, SIDE), interpolation=cv2.INTER_AREA)
    ),
    "palette": lambda p: saved(p / "m.png", palette(REGION, [0, 0, 0, 128, 0, 0])),
    "palette of white on black, white first": lambda p: saved(
        p / "m.png", palette(REGION + 1, [9, 9, 9, 0, 0, 0, 255, 255, 255])
    ),
    "palette without black": lambda p: saved(p / "m.png", palette(REGION, [68, 1, 84, 253, 231, 37])),
    "palette all black": lambda p: saved(p / "m.png", palette(REGION, [0] * 6)),
    "palette all white": lambda p: saved(p / "m.png", palette(REGION, [255] * 6)),
    "palette with a transparent ground": lambda p: saved(
        p / "m.png", palette(REGION, [255, 255, 255, 0, 0, 0]), transparency=0
    ),
    "gif with a transparent ground": lambda p: saved(p / "m.gif", palette(REGION, [0, 0, 0, 5, 5, 5]), transparency=0),
    "black paint": lambda p: saved(p / "m.png", painted((0, 0, 0), GRAY)),
    "white paint": lambda p: saved(p / "m.png", painted((255, 255, 255), GRAY)),
    "white paint on transparent white": lambda p: saved(p / "m.png", painted((255, 255, 255), GRAY, ground=255)),
    "half transparent paint": lambda p: saved(p / "m.png", painted((0, 200, 0), GRAY // 2)),
    "soft black paint": lambda p: saved(p / "m.png", painted((0, 0, 0), supersampled())),
    "soft red paint": lambda p: saved(p / "m.png", painted((220, 20, 60), supersampled())),
    "opaque": lambda p: saved(p / "m.png", np.dstack([GRAY, GRAY, GRAY, np.full_like(GRAY, 255)])),
    "nearly opaque": lambda p: saved(p / "m.png", np.dstack([GRAY, GRAY, GRAY, 250 + (X + Y).astype(np.uint8) % 6])),
    "video black and white of a palette": lambda p: saved(p / "m.gif", palette(REGION, [0, 0, 0, 235, 235, 235])),
    "gray and opacity": lambda p: saved(p / "m.png", np.dstack([np.zeros_like(GRAY), GRAY])),
    "dicom": lambda p: (write_dicom(p / "m.dcm", REGION.astype(np.uint16)), p / "m.dcm")[1],
}


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_the_region_in_many_spellings(spelling: str, tmp_path: Path) -> None:
    seen = read_mask(SPELLINGS[spelling](tmp_path))
    assert seen.dtype == bool
    wrong = (seen != REGION).sum()
    most = {"jpeg": 4, "webp": 4, "soft": 8, "feather": 20}  # where the edge is no longer sharp
    assert wrong <= sum(count for word, count in most.items() if word in spelling), f"{wrong} of {REGION.sum()}"


@pytest.mark.parametrize(
    "values",
    [
        CLASSES,
        CLASSES * 50,
        np.where(REGION, 255, 0) + SECOND,
        np.where(REGION, 1000, 0) + np.where(SECOND, 3, 0),
        np.where(REGION & (X > 44), 85, np.where(REGION, 255, 0)) + 170 * SECOND,
    ],
    ids=["1 and 2", "50 and 100", "255 and 1", "1000 and 3", "nested"],
)
def test_all_classes_are_inside(values: np.ndarray, tmp_path: Path) -> None:
    saved(tmp_path / "m.png", values.astype(np.uint16 if values.max() > 255 else np.uint8))
    np.testing.assert_array_equal(read_mask(tmp_path / "m.png"), values > 0)


def test_many_small_instances_are_all_inside(tmp_path: Path) -> None:
    values = np.zeros((SIDE, SIDE), np.uint16)
    for number, (y, x) in enumerate(np.ndindex(15, 15), 1):
        values[4 * y + 2 : 4 * y + 4, 4 * x + 2 : 4 * x + 4] = number
    np.testing.assert_array_equal(read_mask(saved(tmp_path / "m.png", values)), values > 0)


def test_a_volume_of_one_slice(tmp_path: Path) -> None:
    nibabel.Nifti1Image(REGION.astype(np.uint8)[..., None], np.diag([1, 1, 1, 1])).to_filename(tmp_path / "m.nii")
    assert read_mask(tmp_path / "m.nii").sum() == REGION.sum()


@pytest.mark.parametrize("value", [0, 1, 128, 255])
def test_one_value_everywhere(value: int, tmp_path: Path) -> None:
    what = "marks all of the image;" if value else "marks nothing of the image;"
    for array in (np.full((8, 6), value, np.uint8), np.full((8, 6, 3), value, np.uint8)):
        assert refused(saved(tmp_path / "m.png", array)).startswith(what)
    assert refused(saved(tmp_path / "m.tif", np.full((8, 6), value, np.int32))).startswith(what)
    clear = np.full((8, 6, 4), (value, 5, 5, 0), np.uint8)
    assert refused(saved(tmp_path / "m.png", clear)).startswith("marks nothing of the image;")
    write_dicom(tmp_path / "m.dcm", np.full((8, 6), value, np.uint16))
    assert refused(tmp_path / "m.dcm").startswith("has one value everywhere and marks no region;")


def test_everything_is_marked(tmp_path: Path) -> None:
    assert refused(saved(tmp_path / "m.png", GRAY // 2 + 1)).startswith("marks all of the image;")
    assert refused(saved(tmp_path / "m.png", palette(REGION + 1, [0, 0, 0, 9, 0, 0, 7, 7, 7]))).startswith(
        "marks all of"
    )


def test_black_on_white(tmp_path: Path) -> None:
    for image in (255 - GRAY, np.repeat(255 - GRAY[..., None], 3, axis=2), 255 - supersampled()):
        assert refused(saved(tmp_path / "m.png", image)).startswith("marks its whole border and most of the image,")
    hole = painted((255, 255, 255), 255 - GRAY)
    assert refused(saved(tmp_path / "m.png", hole)).startswith("marks its whole border and most of the image,")


def test_a_palette_whose_ground_cannot_be_known(tmp_path: Path) -> None:
    for index in (REGION, ~REGION):
        path = saved(tmp_path / "m.png", palette(index, [255, 255, 255, 0, 0, 0]))
        assert refused(path).startswith("has a palette whose first color is not black while another is;")


def test_black_and_white_paint_on_a_transparent_ground(tmp_path: Path) -> None:
    both = painted((0, 0, 0), GRAY)
    both[SECOND] = 255
    assert refused(saved(tmp_path / "m.png", both)).startswith("holds black and other colors on a transparent ground,")


def test_colors_that_tell_another_region_than_their_opacity(tmp_path: Path) -> None:
    """A part cut out of a photo, and soft gray of which only the zero is transparent."""
    photo = np.random.default_rng(0).integers(1, 256, (SIDE, SIDE, 3), np.uint8)
    path = saved(tmp_path / "m.png", np.dstack([photo, GRAY]))
    assert "tell different regions" in refused(path) or "beside soft edges" in refused(path)
    assert "tell different regions" in refused(saved(tmp_path / "m.png", supersampled(), transparency=0))


def test_speckles_are_no_classes(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 4, (SIDE, SIDE), np.uint8)
    assert refused(saved(tmp_path / "m.png", np.maximum(noise, GRAY))).startswith(
        "holds speckles that are faint beside"
    )


@pytest.mark.parametrize("value", [1, 20, 45])
def test_a_dark_jpeg(value: int, tmp_path: Path) -> None:
    assert refused(saved(tmp_path / "m.jpg", GRAY // 255 * value)).startswith("is JPEG and no brighter than ")


def test_classes_with_noise_or_soft_edges(tmp_path: Path) -> None:
    classes = (REGION * 255 + SECOND * 100).astype(np.uint8)
    noisy = refused(saved(tmp_path / "m.jpg", classes))
    soft = refused(saved(tmp_path / "m.png", ndimage.gaussian_filter(classes, 1)))
    assert noisy.startswith("holds areas of half of its brightest value or less beside soft edges or noise,")
    assert soft == noisy
    faint = (REGION * 255 + SECOND * 40).astype(np.uint8)
    assert refused(saved(tmp_path / "m.jpg", faint, quality=95)) == noisy


def test_values_below_zero(tmp_path: Path) -> None:
    assert refused(saved(tmp_path / "m.tif", REGION.astype(np.int32) - 1)).startswith("holds values below 0;")


def test_a_photo_is_no_mask(tmp_path: Path) -> None:
    photo = ndimage.gaussian_filter(np.random.default_rng(0).normal(0, 1, (SIDE, SIDE)), 2)
    photo = ((photo - photo.min()) / (photo.max() - photo.min()) * 255).astype(np.uint8)
    for name in ("m.jpg", "m.png"):
        assert "beside soft edges or noise" in refused(saved(tmp_path / name, photo))


def test_a_mask_that_cannot_be_read_says_so(tmp_path: Path) -> None:
    (tmp_path / "m.png").write_bytes(b"\x89PNG\r\n\x1a\nnonsense")
    with pytest.raises(ValueError, match=r"m\.png: is damaged or cut off"):
        read_mask(tmp_path / "m.png")
    (tmp_path / "m.txt").write_text("no mask")
    with pytest.raises(ValueError, match=r"m\.txt: is not a PNG"):
        read_mask(tmp_path / "m.txt")
