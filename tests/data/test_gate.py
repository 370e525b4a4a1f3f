"""The gate: what a profile does not accept is refused in one sentence, and what a header leaves unsaid is not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from anogan.config import load_config, profile_names
from anogan.data import gate
from anogan.data.synthetic import write_phantom
from anogan.io import find_images, read_scan, read_series
from anogan.scan import Geometry, Scan, Series

AXIAL = Geometry((0, 0, 0), (1, 0, 0), (0, 1, 0))
SAGITTAL = Geometry((0, 0, 0), (0, 1, 0), (0, 0, -1))
TILTED = Geometry((0, 0, 0), (1, 0, 0), (0, 0.6, -0.8))  # 37 degrees off the coronal plane


def scan(shape: tuple[int, ...] = (80, 90), **facts: Any) -> Scan:
    return Scan(np.full(shape, 0.3, np.float32), "a.dcm", **facts)


@pytest.mark.parametrize(
    ("profile", "facts", "sentence"),
    [
        ("brain-mri", {"modality": "CT"}, "its modality is CT; profile brain-mri accepts MR"),
        ("brain-mri", {"body_part": "KNEE"}, "its body part is KNEE; profile brain-mri accepts HEAD, BRAIN or SKULL"),
        ("brain-mri", {"geometry": SAGITTAL}, "its plane is sagittal; profile brain-mri accepts axial"),
        ("chest-xray", {"modality": "MG"}, "its modality is MG; profile chest-xray accepts CR, DX or RG"),
        ("chest-xray", {"view": "LL"}, "its view is LL; profile chest-xray accepts PA or AP"),
        (
            "chest-xray",
            {"clipped": 0.625},
            "its window makes 62.5% of the pixels black or white; profile chest-xray accepts 50%; export it with a "
            "wider window",
        ),
        ("breast-ultrasound", {"body_part": "ABDOMEN"}, "its body part is ABDOMEN; profile breast-ultrasound accepts "),
        (
            "brain-mri",
            {"shape": (48, 90)},
            "has 48 x 90 pixels; profile brain-mri accepts sides of 64 or more",
        ),
        (
            "chest-xray",
            {"burned_in": True},
            "has text burnt into its pixels, as its header says; profile chest-xray accepts images without text",
        ),
    ],
)
def test_what_a_profile_does_not_accept_is_refused_with_the_reason(
    profile: str, facts: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(ValueError, match="^a.dcm: ") as caught:
        gate.check(scan(**facts), load_config(profile))
    assert str(caught.value).startswith(f"a.dcm: {sentence}")


@pytest.mark.parametrize("profile", sorted({*profile_names()} - {"id-photo"}))  # which asks for a face
def test_what_a_header_leaves_unsaid_is_no_reason(profile: str) -> None:
    gate.check(scan(), load_config(profile))


@pytest.mark.parametrize("body_part", ["HEAD", "Head", "he-ad"])
def test_terms_are_compared_by_their_letters(body_part: str) -> None:
    gate.check(scan(modality="MR", body_part=body_part, geometry=AXIAL), load_config("brain-mri"))


def test_a_profile_without_a_gate_accepts_anything() -> None:
    odd = scan((1, 1), modality="CT", body_part="KNEE", view="LL", geometry=TILTED, burned_in=True, clipped=1.0)
    gate.check(odd, load_config("tiny"))
    gate.check_series(Series((odd,), "knee"), load_config("tiny"))


def test_a_series_is_checked_as_a_whole() -> None:
    config = load_config("brain-mri", ["gate.largest_clipped=0.5"])
    clear, clipped, written = scan(clipped=0.1), scan(clipped=0.8), scan(burned_in=True)
    gate.check_series(Series((clear, clear, clipped, clear, clear), "head"), config)  # 0.24 of the volume
    with pytest.raises(ValueError, match="^head: holds 3 slices; profile brain-mri takes at least 5$"):
        gate.check_series(Series((clear,) * 3, "head"), config)
    with pytest.raises(ValueError, match=r"^head: its window makes 66.0% of the pixels"):
        gate.check_series(Series((clear, clipped, clipped, clipped, clipped), "head"), config)
    with pytest.raises(ValueError, match="^head: has text burnt into its pixels, as its header says"):
        gate.check_series(Series((clear, clear, clear, clear, written), "head"), config)


@pytest.mark.parametrize(
    ("facts", "sentence"),
    [
        ({"view": "LL"}, "its view is LL; profile chest-xray accepts PA or AP"),
        ({"body_part": "KNEE"}, "its body part is KNEE; profile chest-xray accepts CHEST, THORAX or LUNG"),
        ({"modality": "CT"}, "its modality is CT; profile chest-xray accepts CR, DX or RG"),
        ({"geometry": SAGITTAL}, "its plane is sagittal; profile chest-xray accepts axial"),
    ],
)
@pytest.mark.parametrize("place", [0, 1, 2])
def test_each_slice_of_a_series_must_pass(facts: dict[str, Any], sentence: str, place: int) -> None:
    config = load_config("chest-xray", ['gate.planes=["axial"]'])
    frontal = scan(view="PA", body_part="CHEST", modality="DX")
    slices = [frontal] * 3
    gate.check_series(Series(tuple(slices), "chest"), config)
    slices[place] = scan(**facts)
    with pytest.raises(ValueError, match=f"^chest: {sentence}$"):
        gate.check_series(Series(tuple(slices), "chest"), config)


def written(words: str, size: float = 0.4) -> np.ndarray:
    """Return smooth tissue with words on it."""
    noise = np.random.default_rng(0).normal(0, 1, (120, 160)).astype(np.float32)
    image = 0.3 + cv2.GaussianBlur(noise, (0, 0), 4).clip(-1, 1)
    cv2.putText(image, words, (30, 100), cv2.FONT_HERSHEY_SIMPLEX, size, 1.0)
    return image.clip(0, 1)


@pytest.mark.parametrize(
    ("words", "found"), [("", False), ("LT", False), ("+ + +", False), ("RIGHT", True), ("DOE JOHN", True)]
)
def test_words_are_seen_in_the_pixels(words: str, found: bool) -> None:
    assert gate.shows_text(written(words)) is found
    assert gate.shows_text(np.repeat(written(words)[..., None], 3, axis=2)) is found


def test_pixels_are_asked_only_where_the_profile_wants_it_and_the_header_is_silent() -> None:
    named = {flag: Scan(written("DOE JOHN"), "a.png", burned_in=flag) for flag in (None, False)}
    with pytest.raises(ValueError, match="^a.png: seems to have text burnt into its pixels; profile brain-mri accepts"):
        gate.check(named[None], load_config("brain-mri"))
    gate.check(named[False], load_config("brain-mri"))
    gate.check(named[None], load_config("brain-mri", ["gate.burned_in=header"]))


def test_the_demos_images_pass(tmp_path: Path) -> None:
    write_phantom(tmp_path / "demo", subjects=(2, 0, 0, 1))
    config = load_config("brain-mri")
    for path in find_images([tmp_path / "demo" / "sub-001"]):
        gate.check(read_scan(path), config)
    series, problems = read_series([tmp_path / "demo"])
    assert len(series) == 3
    assert not problems
    for one in series:
        gate.check_series(one, config)


@pytest.mark.realdata
@pytest.mark.parametrize(
    ("folder", "profile", "least", "most"),
    [
        ("busi/healthy", "breast-ultrasound", 2, 2),
        ("busi/abnormal", "breast-ultrasound", 70, 80),
        ("malaria/val/healthy", "blood-smear", 0, 0),
        ("dicom/t1_series", "brain-mri", 0, 0),
    ],
)
def test_on_real_images(folder: str, profile: str, least: int, most: int, data_root: Path) -> None:
    scans = [read_scan(path) for path in find_images([data_root / folder])]
    assert least <= sum(gate.shows_text(scan.pixels) for scan in scans) <= most
    for scan in scans:
        gate.check(scan, load_config(profile))
