"""The report, read back by highdicom: numbers, promise, references."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from highdicom import sr
from pydicom.dataset import Dataset

from anogan.scan import SeriesResult


def parsed(ds: Dataset) -> sr.Comprehensive3DSR:
    return sr.Comprehensive3DSR.from_dataset(ds)


def overall(ds: Dataset) -> Any:
    """Return the measurement group of the whole series."""
    (group,) = parsed(ds).content.get_image_measurement_groups()
    return group


def numbers(group: Any) -> dict[str, float]:
    return {measurement.name.value: measurement.value for measurement in group.get_measurements()}


def comments(ds: Dataset) -> list[str]:
    group = overall(ds)[0]
    return [item.TextValue for item in group.ContentSequence if item.name.meaning == "Comment"]


def verdict(ds: Dataset) -> str:
    (value,) = [item.value for item in overall(ds).get_qualitative_evaluations() if item.name.value == "VERDICT"]
    return value.value


def test_the_numbers_and_the_operating_point(make_case: Callable[..., Any]) -> None:
    (ds,) = make_case().write(kinds=["sr"])["sr"]
    found = numbers(overall(ds))
    assert found == {
        "SCORE": 7.25, "P_VALUE": pytest.approx(1 / 60), "122411": 5.5, "FALSE_ALARM_RATE": 0.05,
        "N_CALIBRATION": 59, "LEVEL": 4,
    }  # fmt: skip
    assert verdict(ds) == "FLAGGED"
    assert comments(ds) == ["UNVERIFIED machine output; decision support, not a diagnosis.", "At most 5 % are flagged."]


def test_the_flags_of_an_unsigned_report(make_case: Callable[..., Any]) -> None:
    (ds,) = make_case().write(kinds=["sr"])["sr"]
    assert (ds.VerificationFlag, ds.CompletionFlag, ds.PreliminaryFlag) == ("UNVERIFIED", "COMPLETE", "PRELIMINARY")
    assert ds.ContentTemplateSequence[0].TemplateIdentifier == "1500"


def test_the_region_refers_to_its_segment(make_case: Callable[..., Any]) -> None:
    written = make_case().write(kinds=["seg", "sr"])
    (segmentation,), (ds,) = written["seg"], written["sr"]
    (group,) = parsed(ds).content.get_volumetric_roi_measurement_groups()
    segment = segmentation.SegmentSequence[0]
    assert (group.tracking_uid, group.tracking_identifier) == (segment.TrackingUID, segment.TrackingID)
    assert group.referenced_segment.referenced_sop_instance_uid == segmentation.SOPInstanceUID
    # 4 pixels of 0.8 x 0.7 mm in a slice every 2.5 mm: 5.6 mm3; the lesion is planted with 9 SD
    assert numbers(group) == {"113071": 9, "118565006": pytest.approx(5.6)}


def test_a_region_of_an_image_without_a_place_has_no_volume(make_case: Callable[..., Any]) -> None:
    (ds,) = make_case(geometry=False).write(kinds=["seg", "sr"])["sr"]
    (group,) = parsed(ds).content.get_volumetric_roi_measurement_groups()
    assert numbers(group) == {"113071": 9}
    assert not any("parametric map" in sentence for sentence in comments(ds))  # it was not asked for


def test_no_region_where_nothing_reaches_the_level(make_case: Callable[..., Any]) -> None:
    written = make_case().write(kinds=["seg", "sr"], threshold=20.0)
    assert parsed(written["sr"][0]).content.get_volumetric_roi_measurement_groups() == []


def test_all_instances_are_evidence(enhanced_case: Any, make_case: Callable[..., Any]) -> None:
    case = make_case()
    written = case.write(kinds=["seg", "sr"])
    named = {item[2] for item in parsed(written["sr"][0]).get_evidence()}
    assert named == {scan.instance_uid for scan in case.series.scans} | {written["seg"][0].SOPInstanceUID}
    (ds,) = enhanced_case.write(kinds=["sr"])["sr"]
    assert [item[2] for item in parsed(ds).get_evidence()] == ["1.2.3.4.100"]


def test_the_best_slices_illustrate_it(enhanced_case: Any) -> None:
    (ds,) = enhanced_case.write(kinds=["sr"])["sr"]
    items = [item for item in overall(ds)[0].ContentSequence if item.name.meaning == "Best illustration of finding"]
    assert len(items) == 5
    first = items[0].ReferencedSOPSequence[0]
    assert (first.ReferencedSOPInstanceUID, first.ReferencedFrameNumber) == ("1.2.3.4.100", 4)


def test_the_algorithm_is_identified(make_case: Callable[..., Any]) -> None:
    (ds,) = make_case().write(kinds=["sr"])["sr"]
    texts = {item.name.meaning: item.value for item in overall(ds)[0].ContentSequence if item.ValueType == "TEXT"}
    assert texts["Algorithm Name"] == "anogan brain-mri"
    assert texts["Algorithm Version"] == "0.1.0, detector 0123456789abcdef"
    assert texts["Algorithm Parameters"] == "level=4 SD"


def test_not_scored_says_so_without_numbers_or_paths(make_case: Callable[..., Any]) -> None:
    case = make_case()
    case.result = SeriesResult(case.series.source, "not scored", f"{case.series.source}: 5 slices, 20 are needed")
    (ds,) = case.write()["sr"]
    assert numbers(overall(ds)) == {}
    assert verdict(ds) == "NOT_SCORED"
    assert "Not scored, which is not normal: 5 slices, 20 are needed." in comments(ds)
    assert (ds.CompletionFlag, ds.VerificationFlag) == ("PARTIAL", "UNVERIFIED")
    assert str(case.folder) not in "".join(comments(ds))


@pytest.mark.parametrize(
    ("reason", "said"),
    [("", "Not decided: the detector is not calibrated on whole series."), ("it drifted", "Not decided: it drifted.")],
)
def test_not_decided_says_why(make_case: Callable[..., Any], reason: str, said: str) -> None:
    case = make_case()
    case.result = replace(case.result, flagged=None, p_value=None, reason=reason)
    (ds,) = case.write(kinds=["sr"])["sr"]
    assert verdict(ds) == "NOT_DECIDED"
    assert said in comments(ds)
    assert "P_VALUE" not in numbers(overall(ds))


def test_the_threshold_of_single_images_is_not_that_of_series(make_case: Callable[..., Any]) -> None:
    case = make_case()
    detector = {"name": "x", "map_range": [4, 12], "hash": "ab", "threshold": 9.0, "false_alarm_rate": 0.05}
    (ds,) = case.write(kinds=["sr"], detector=detector)["sr"]
    assert set(numbers(overall(ds))) == {"SCORE", "P_VALUE", "LEVEL"}


def test_a_remark_on_a_decided_series_is_passed_on(make_case: Callable[..., Any]) -> None:
    case = make_case()
    case.result = replace(case.result, reason=f"1 slice is not scored ({case.series.scans[0].source}: it is blank)")
    (ds,) = case.write(kinds=["sr"])["sr"]
    assert verdict(ds) == "FLAGGED"
    assert "1 slice is not scored (it is blank)." in comments(ds)


def test_notes_of_the_series_reach_the_reader(make_case: Callable[..., Any]) -> None:
    case = make_case()
    case.series = replace(case.series, notes=("Its steps are uneven.",))
    (ds,) = case.write(kinds=["sr"])["sr"]
    assert "Its steps are uneven." in comments(ds)


def test_a_foreign_reader_understands_it(make_case: Callable[..., Any]) -> None:
    if shutil.which("dsrdump") is None:
        pytest.skip("no dsrdump on the path: install Debian's dcmtk")
    (path,) = make_case().write_files(kinds=["sr"])
    said = subprocess.run(["dsrdump", str(path)], capture_output=True, text=True, check=True).stdout
    assert "Comprehensive 3D SR Document" in said
    assert "Verification Flag   : UNVERIFIED" in said
    assert '"Anomaly score")="7.25"' in said
