"""What a reader has signed: the flags and the reader of the report, its predecessor, the words of the images."""

from __future__ import annotations

import datetime
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from highdicom import sr

from anogan.results.dicom import Verification

SIGNED = datetime.datetime(2026, 3, 4, 5, 6, 7, tzinfo=datetime.UTC)
BY = Verification("ana", "Test Hospital", SIGNED, "abnormal finding")


def test_a_signed_report_names_its_reader_and_what_it_follows(make_case: Callable[..., Any]) -> None:
    """PS3.3, C.17.2 and table C.17-3."""
    case = make_case()
    (before,), (after,) = (case.write(kinds=["sr"], verified=by)["sr"] for by in (None, BY))
    assert (after.VerificationFlag, after.CompletionFlag, after.PreliminaryFlag) == ("VERIFIED", "COMPLETE", "FINAL")
    (observer,) = after.VerifyingObserverSequence
    assert (str(observer.VerifyingObserverName), observer.VerifyingOrganization) == ("ana^", "Test Hospital")
    assert observer.VerificationDateTime == "20260304050607.000000+0000"
    assert "VerifyingObserverIdentificationCodeSequence" in observer  # type 2
    (study,) = after.PredecessorDocumentsSequence
    (series,) = study.ReferencedSeriesSequence
    (document,) = series.ReferencedSOPSequence
    assert study.StudyInstanceUID == before.StudyInstanceUID
    assert series.SeriesInstanceUID == before.SeriesInstanceUID != after.SeriesInstanceUID
    assert document.ReferencedSOPInstanceUID == before.SOPInstanceUID != after.SOPInstanceUID
    assert document.ReferencedSOPClassUID == before.SOPClassUID
    assert "PredecessorDocumentsSequence" not in before
    assert "VerifyingObserverSequence" not in before


def test_the_report_says_what_the_reader_said(make_case: Callable[..., Any]) -> None:
    (ds,) = make_case().write(kinds=["sr"], verified=BY)["sr"]
    (group,) = sr.Comprehensive3DSR.from_dataset(ds).content.get_image_measurement_groups()
    verdicts = {item.name.value: item.value.value for item in group.get_qualitative_evaluations()}
    assert (verdicts["VERDICT"], verdicts["READER_VERDICT"]) == ("FLAGGED", "CONFIRMED")
    said = [item.TextValue for item in group[0].ContentSequence if item.name.meaning == "Comment"]
    assert said[:2] == [
        "VERIFIED machine output; decision support, not a diagnosis.",
        "Read and signed: abnormal finding.",
    ]


def test_no_verified_object_calls_itself_unverified(
    make_case: Callable[..., Any], validate: Callable[..., list[str]]
) -> None:
    case = make_case()
    files = case.write_files(out="verified", verified=BY)
    assert {path.name.split("-")[0] for path in files} == {"seg", "map", "sr", "sc"}
    assert not {path.name for path in files} & {path.name for path in case.write_files()}
    assert case.write_files(out="again", verified=BY)[0].name == files[0].name
    for path in files:
        assert validate(path) == []
    for kind, objects in case.write(verified=BY).items():
        for ds in objects:
            text = str(ds).replace("unverified", "").upper()
            assert ds.SeriesDescription.startswith("VERIFIED machine output")
            assert "UNVERIFIED" not in text, kind
    regions = case.write(verified=BY)["seg"][0]
    assert (regions.ContentLabel, regions.SegmentSequence[0].SegmentLabel[:9]) == ("VERIFIED", "VERIFIED:")
    assert regions.SegmentSequence[0].TrackingUID == case.write(kinds=["seg"])["seg"][0].SegmentSequence[0].TrackingUID


def test_an_unsigned_result_and_another_signature_are_other_objects(make_case: Callable[..., Any]) -> None:
    case = make_case()
    others = [None, BY, replace(BY, reader="ben"), replace(BY, signed=SIGNED + datetime.timedelta(seconds=1))]
    uids = [case.write(kinds=["sr"], verified=by)["sr"][0].SOPInstanceUID for by in others]
    assert len(set(uids)) == 4


def test_what_is_not_scored_cannot_be_verified(make_case: Callable[..., Any]) -> None:
    case = make_case()
    case.result = replace(case.result, status="not scored", reason="too dark")
    with pytest.raises(ValueError, match="is not scored, so there is nothing that a reader could have verified"):
        case.write(verified=BY)


@pytest.mark.parametrize(
    ("reader", "organization"), [("", "X"), ("ana", " "), ("a\\b", "X"), ("ana", "x" * 64), ("a\nb", "X"), ("a^b", "X")]
)
def test_a_name_that_dicom_cannot_hold_is_refused(reader: str, organization: str) -> None:
    with pytest.raises(ValueError, match="expected 1 to 63 printable characters without"):
        Verification(reader, organization, SIGNED, "other")
