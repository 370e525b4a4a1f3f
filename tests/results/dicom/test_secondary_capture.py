"""The overlay: the source's pixels enlarged, the lesion in its place, the caveat below."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from pydicom.dataset import Dataset

from anogan.results import heatmap


def ranked(objects: list[Dataset]) -> list[Dataset]:
    return sorted(objects, key=lambda ds: ds.InstanceNumber)


def test_the_first_is_the_most_anomalous_slice(make_case: Callable[..., Any]) -> None:
    case = make_case()
    objects = ranked(case.write(kinds=["sc"])["sc"])
    assert len(objects) == 5
    (source,) = objects[0].SourceImageSequence
    assert source.ReferencedSOPInstanceUID == case.series.scans[3].instance_uid
    assert "slice 4 of 5 of series 1, number 1 by anomaly" in objects[0].ImageComments
    assert objects[0].ImageComments.startswith("UNVERIFIED machine output; decision support, not a diagnosis.")


def test_its_pixels_are_the_heat_map(make_case: Callable[..., Any]) -> None:
    case = make_case()
    ds = ranked(case.write(kinds=["sc"])["sc"])[0]
    # 30 columns become 390, the first multiple that holds the legend of 384
    expected = heatmap.overlay(case.series.scans[3].pixels, case.result.slices[3].anomaly_map, (4, 12))
    assert ds.pixel_array.shape == (24 * 13 + 46, 390, 3)
    np.testing.assert_array_equal(ds.pixel_array[: 24 * 13 : 13, ::13], expected)
    np.testing.assert_array_equal(ds.pixel_array[12 : 24 * 13 : 13, 12::13], expected)
    assert ds.pixel_array[24 * 13 :].max() == 255
    np.testing.assert_allclose([float(mm) for mm in ds.PixelSpacing], [0.8 / 13, 0.7 / 13], rtol=1e-6)


@pytest.mark.parametrize(
    ("plane", "expected"), [("axial", ["L", "P"]), ("sagittal", ["P", "F"]), ("oblique", ["LP", "PFR"])]
)
def test_it_says_where_left_and_right_are(make_case: Callable[..., Any], plane: str, expected: list[str]) -> None:
    ds = make_case(plane).write(kinds=["sc"])["sc"][0]
    assert list(ds.PatientOrientation) == expected


def test_of_an_image_without_a_place_the_header_says_it(make_case: Callable[..., Any]) -> None:
    def orient(ds: Dataset) -> None:
        ds.PatientOrientation = ["L", "F"]

    case = make_case(geometry=False, edit=orient, color=True)
    ds = case.write(kinds=["sc"])["sc"][0]
    assert list(ds.PatientOrientation) == ["L", "F"]
    assert "PixelSpacing" not in ds  # that of the detector, perhaps
