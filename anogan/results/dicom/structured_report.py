"""The structured report: what was found, by what, with which promise, in which images."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from highdicom import sr
from highdicom.coding_schemes import CodingSchemeIdentificationItem
from pydicom.dataset import Dataset
from pydicom.sr.codedict import codes
from pydicom.sr.coding import Code

from anogan._version import __version__
from anogan.results.dicom.identity import HEALTHY_SD, Marks
from anogan.results.dicom.segmentation import maps
from anogan.results.dicom.source import MAKER
from anogan.scan import Outcome

# No standard has a code for these.
SCHEME = "99ANOGAN"
SCORE = Code("SCORE", SCHEME, "Anomaly score")
P_VALUE = Code("P_VALUE", SCHEME, "Conformal p-value")
RATE = Code("FALSE_ALARM_RATE", SCHEME, "False-alarm rate of the operating point")
N_CALIBRATION = Code("N_CALIBRATION", SCHEME, "Healthy cases of the calibration")
LEVEL = Code("LEVEL", SCHEME, "Map value from which a pixel is in a region")
VERDICT = Code("VERDICT", SCHEME, "Verdict of the detector")
_UNDECIDED = Code("NOT_DECIDED", SCHEME, "Not decided")
VERDICTS = {
    Outcome.FLAGGED: Code("FLAGGED", SCHEME, "Flagged: the score reaches the threshold"),
    Outcome.NOT_FLAGGED: Code("NOT_FLAGGED", SCHEME, "Not flagged: the score is below the threshold"),
    Outcome.UNDECIDED: _UNDECIDED,
    Outcome.NOT_CALIBRATED: _UNDECIDED,
    Outcome.NOT_SCORED: Code("NOT_SCORED", SCHEME, "Not scored: nobody has looked at it"),
}
READER = Code("READER_VERDICT", SCHEME, "Verdict of the reader")
CONFIRMED = Code("CONFIRMED", SCHEME, "Confirmed: the reader found it abnormal")


def report(
    marks: Marks, top: Sequence[int], regions: Sequence[tuple[Dataset, list[int]]], left_out: Sequence[str]
) -> sr.Comprehensive3DSR:
    """Return a Measurement Report (PS3.16, TID 1500) of the whole series: complete, preliminary and unverified.

    With a reader's signature it is final and verified (PS3.3, C.17.2): an instance of its own that names the unverified
    one as its predecessor.

    Parameters
    ----------
    marks
        The result; one that is not scored gives a partial report that says so.
    top
        The slices that illustrate it best, the best first.
    regions
        The segmentations and the slices that each covers; those with no region are passed over.
    left_out
        Sentences on the objects that could not be made.
    """
    origin, result = marks.origin, marks.result
    scored = result.status == "scored"
    groups: list[Any] = [_overall(marks, top, left_out)]
    found = [(segmentation, indices, maps(marks, indices)) for segmentation, indices in regions]
    groups += [_region(marks, *each) for each in found if (each[2] >= marks.level).any()]
    device = sr.DeviceObserverIdentifyingAttributes(
        uid=marks.uid("device"),
        name=MAKER,
        manufacturer_name=MAKER,
        model_name=marks.name,
        serial_number=marks.hash or "none",
    )
    observer = sr.ObserverContext(observer_type=codes.DCM.Device, observer_identifying_attributes=device)
    content = sr.MeasurementReport(
        observation_context=sr.ObservationContext(observer_device_context=observer),
        procedure_reported=codes.SCT.ImagingProcedure,
        title=codes.DCM.ImagingMeasurementReport,
        imaging_measurements=groups,
    )
    ds = sr.Comprehensive3DSR(
        evidence=[*origin.evidence(), *(segmentation for segmentation, _ in regions)],
        content=content,
        is_complete=scored,
        is_final=marks.verified is not None,
        is_verified=marks.verified is not None,
        # A desk knows one name; a value of one component is a retired form (PS3.5, 6.2.1).
        verifying_observer_name=f"{marks.verified.reader}^" if marks.verified else None,
        verifying_organization=marks.verified.organization if marks.verified else None,
        record_evidence=True,
        coding_schemes=[
            CodingSchemeIdentificationItem(
                SCHEME, name="anogan", version=__version__, responsible_organization="anogan"
            )
        ],
        **marks.keywords("sr"),
    )
    origin.name_evidence(ds)
    ds.CompletionFlagDescription = marks.caveat if scored else "Not scored; see the comment"
    if marks.verified is not None:
        ds.VerifyingObserverSequence[0].VerificationDateTime = marks.verified.signed.strftime("%Y%m%d%H%M%S.%f%z")
        ds.PredecessorDocumentsSequence = [_predecessor(marks, ds)]
    return ds


def _predecessor(marks: Marks, ds: Dataset) -> Dataset:
    """Refer to the report before it was verified (PS3.3, table C.17-3)."""
    study, series, instance = Dataset(), Dataset(), Dataset()
    instance.ReferencedSOPClassUID, instance.ReferencedSOPInstanceUID = ds.SOPClassUID, marks.uid("sr 1")
    series.SeriesInstanceUID, series.ReferencedSOPSequence = marks.uid("sr"), [instance]
    study.StudyInstanceUID, study.ReferencedSeriesSequence = ds.StudyInstanceUID, [series]
    return study


def _overall(marks: Marks, top: Sequence[int], left_out: Sequence[str]) -> sr.MeasurementsAndQualitativeEvaluations:
    """Return the group of the series as a whole (TID 1501)."""
    origin, result = marks.origin, marks.result
    scored = result.status == "scored"
    point = operating_point(marks.detector) if scored else {}
    values: list[tuple[Code, Any, Code]] = [
        (SCORE, result.score if scored else None, codes.UCUM.NoUnits),
        (P_VALUE, result.p_value if scored else None, codes.UCUM.NoUnits),
        (codes.DCM.ThresholdValue, point.get("threshold"), codes.UCUM.NoUnits),
        (RATE, point.get("false_alarm_rate"), codes.UCUM.NoUnits),
        (N_CALIBRATION, point.get("n_calibration"), codes.UCUM.NoUnits),
        (LEVEL, marks.level if scored else None, HEALTHY_SD),
    ]
    known = [(name, value, unit) for name, value, unit in values if value is not None and math.isfinite(value)]
    group = sr.MeasurementsAndQualitativeEvaluations(
        tracking_identifier=sr.TrackingIdentifier(uid=marks.uid("tracking series"), identifier=f"{MAKER} series"),
        algorithm_id=_algorithm(marks),
        measurements=[sr.Measurement(name=name, value=float(value), unit=unit) for name, value, unit in known],
        qualitative_evaluations=[
            sr.QualitativeEvaluation(VERDICT, VERDICTS[result.outcome]),
            *([] if marks.verified is None else [sr.QualitativeEvaluation(READER, CONFIRMED)]),
        ],
        source_images=[
            sr.SourceImageForMeasurementGroup(origin.sop_class_of(scan), scan.instance_uid) for scan in origin.files()
        ],
    )
    for sentence in _comments(marks, point, left_out):
        group[0].ContentSequence.append(
            sr.TextContentItem(codes.DCM.Comment, sentence, sr.RelationshipTypeValues.CONTAINS)
        )
    for index in top:
        scan = origin.series.scans[index]
        group[0].ContentSequence.append(
            sr.ImageContentItem(
                codes.DCM.BestIllustrationOfFinding,
                origin.sop_class_of(scan),
                scan.instance_uid,
                referenced_frame_numbers=[scan.frame] if scan.frames > 1 else None,
                relationship_type=sr.RelationshipTypeValues.CONTAINS,
            )
        )
    return group


def _region(
    marks: Marks, segmentation: Dataset, indices: list[int], values: np.ndarray
) -> sr.VolumetricROIMeasurementsAndQualitativeEvaluations:
    """Return the group of one segment (TID 1411)."""
    origin = marks.origin
    segment, scan = segmentation.SegmentSequence[0], origin.series.scans[indices[0]]
    measurements = [
        sr.Measurement(codes.DCM.ZScore, float(values.max()), HEALTHY_SD, derivation=codes.SCT.Maximum),
    ]
    source: dict[str, Any] = {"source_series": sr.SourceSeriesForSegmentation(origin.series.series_uid)}
    if not origin.placed:
        image = sr.SourceImageForSegmentation(origin.sop_class_of(scan), scan.instance_uid)
        source = {"source_images": [image]}
    elif scan.spacing is not None and origin.series.step:
        volume = float((values >= marks.level).sum()) * scan.spacing[0] * scan.spacing[1] * abs(origin.series.step)
        measurements.append(sr.Measurement(codes.SCT.Volume, volume, codes.UCUM.CubicMillimeter))
    return sr.VolumetricROIMeasurementsAndQualitativeEvaluations(
        tracking_identifier=sr.TrackingIdentifier(uid=segment.TrackingUID, identifier=segment.TrackingID),
        referenced_segment=sr.ReferencedSegment(
            segmentation.SOPClassUID, segmentation.SOPInstanceUID, segment_number=1, **source
        ),
        finding_category=codes.SCT.MorphologicallyAbnormalStructure,
        finding_type=codes.SCT.Lesion,
        algorithm_id=_algorithm(marks),
        measurements=measurements,
    )


def operating_point(detector: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return a summary that tells of the calibration on whole series; {} for that of single images."""
    return detector if detector.get("unit") == "series" else {}


def _comments(marks: Marks, point: Mapping[str, Any], left_out: Sequence[str]) -> list[str]:
    """Return what a reader must know, one sentence each."""
    result, series = marks.result, marks.origin.series
    said = [f"{marks.caveat}."]
    if marks.verified is not None:
        said.append(f"Read and signed: {marks.verified.reason}.")
    if result.outcome is Outcome.NOT_SCORED:
        said.append(f"Not scored, which is not normal: {result.reason or 'no reason was given'}.")
    elif result.outcome in (Outcome.UNDECIDED, Outcome.NOT_CALIBRATED):
        said.append(f"Not decided: {result.reason or 'the detector is not calibrated on whole series'}.")
    elif result.reason:
        said.append(f"{result.reason}.")
    if point.get("promise"):
        said.append(str(point["promise"]))
    said += [*series.notes, *left_out]
    paths = {result.source, series.source, *(scan.source for scan in series.scans)}
    for path in sorted(paths, key=len, reverse=True):  # where a file lay is nobody's business in an archive
        said = [sentence.replace(f"{path}: ", "").replace(path, "the source") for sentence in said]
    return said


def _algorithm(marks: Marks) -> sr.AlgorithmIdentification:
    return sr.AlgorithmIdentification(
        name=f"{MAKER} {marks.name}",
        version=marks.version,
        parameters=[f"level={marks.level:g} SD"],
        manufacturer=MAKER,
        family=codes.DCM.ArtificialIntelligence,
    )
