"""DICOM in and out. Names and numbers of patients stay in the file: none is kept, shown, or put into an error."""

from __future__ import annotations

import hashlib
import io
import logging
import os
import warnings
from collections.abc import Sequence

import numpy as np
from pydicom import dcmread
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.pixels import apply_color_lut, apply_modality_lut, apply_voi, pixel_array
from pydicom.uid import UID, ExplicitVRLittleEndian, ImplicitVRLittleEndian, MRImageStorage, generate_uid

from anogan.io.atomic import write_bytes
from anogan.io.pixels import Refused, check_size, not_finite, unit_range
from anogan.io.pseudonym import pseudonym
from anogan.scan import Scan

# Its log and its warnings quote values, and with them perhaps a patient's name.
logging.getLogger("pydicom").setLevel(logging.CRITICAL + 1)

_PIXEL_KEYWORDS = ("PixelData", "FloatPixelData", "DoubleFloatPixelData")


def read_dicom(path: str | os.PathLike[str]) -> Scan:
    """Read a single-frame DICOM image as a viewer would show it at first.

    Rescale or modality LUT, then the first VOI window or VOI LUT (DICOM PS3.3, C.11.1 and C.11.2), then MONOCHROME1
    turned round; palette and YBR become RGB. Without a window, up to 8 stored bits keep their full range, more are
    stretched from minimum to maximum. Pixel padding is black and does not count.

    Raises
    ------
    ValueError
        The file is damaged, has no pixels, several frames, or more than 64 million pixels, or they cannot be decoded.
    """
    name = os.fspath(path)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            header = _read_header(path)
            _check(header, name)
            ds = dcmread(path, force=True)
            if not any(keyword in ds for keyword in _PIXEL_KEYWORDS):
                raise Refused(f"{name}: is a DICOM file without pixels{_kind_of(ds)}; choose an image")
            _complete_meta(ds)
            return _scan_of(ds, _decode(ds, name), name)
    except Refused as refused:
        raise ValueError(str(refused)) from None
    except MemoryError:
        raise
    except Exception:  # damaged files fail in many ways, and pydicom's words may quote the header
        raise ValueError(f"{name}: is a damaged DICOM file; copy or export it again") from None


def read_dicom_subject(path: str | os.PathLike[str]) -> str:
    """Return the pseudonym that `read_dicom` gives, from the header alone; "" when the header is damaged."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return pseudonym(_read_header(path))
    except Refused:  # there is no key
        raise
    except Exception:  # whoever reads the pixels will say what is wrong
        return ""


def write_dicom(
    path: str | os.PathLike[str],
    pixels: np.ndarray,
    *,
    spacing: tuple[float, float] = (1.0, 1.0),
    position: Sequence[float] = (0.0, 0.0, 0.0),
    orientation: Sequence[float] = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0),
    uids: tuple[str, str, str] | None = None,
    patient_id: str = "",
    series_description: str = "",
    instance_number: int = 1,
    window: tuple[float, float] | None = None,
    slice_thickness: float | None = None,
) -> None:
    """Write an MR Image Storage file (DICOM PS3.3, A.4) in Explicit VR Little Endian; whole or not at all.

    Parameters
    ----------
    path
        The file.
    pixels
        (H, W) uint16.
    spacing
        mm (row, column).
    position
        Center of the first pixel in mm, LPS (x, y, z).
    orientation
        Direction cosines of a row and of a column, LPS.
    uids
        Study, series and instance UID; None makes new ones.
    patient_id, series_description, instance_number
        As the standard names them. There is no patient name.
    window
        (center, width), or None.
    slice_thickness
        mm, or None.

    Raises
    ------
    ValueError
        The pixels are not (H, W) uint16, or the file cannot be written.
    """
    if pixels.ndim != 2 or pixels.dtype != np.uint16:
        raise ValueError(
            f"{os.fspath(path)}: expected (H, W) uint16 pixels, got {pixels.dtype} of shape {pixels.shape}"
        )
    study, series, instance = (UID(uid) for uid in uids) if uids else (generate_uid() for _ in range(3))
    ds = Dataset()
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    ds.file_meta.MediaStorageSOPClassUID = ds.SOPClassUID = MRImageStorage
    ds.file_meta.MediaStorageSOPInstanceUID = ds.SOPInstanceUID = instance
    ds.SpecificCharacterSet = "ISO_IR 192"
    # Patient, General Study, General Series, Frame of Reference, General Equipment: type 2 may be empty, not absent.
    for keyword in (
        "PatientName",
        "PatientBirthDate",
        "PatientSex",
        "StudyDate",
        "StudyTime",
        "ReferringPhysicianName",
    ):
        setattr(ds, keyword, "")
    for keyword in ("AccessionNumber", "Manufacturer", "PositionReferenceIndicator"):
        setattr(ds, keyword, "")
    ds.PatientID, ds.StudyID = patient_id, "1"
    ds.StudyInstanceUID, ds.SeriesInstanceUID = study, series
    ds.FrameOfReferenceUID = _derived_uid(study, "frame of reference")
    ds.Modality, ds.SeriesNumber, ds.SeriesDescription = "MR", 1, series_description
    ds.BodyPartExamined, ds.PatientPosition = "HEAD", "HFS"
    ds.InstanceNumber = instance_number
    ds.BurnedInAnnotation = "NO"
    # Image Plane
    ds.PixelSpacing = [_decimal(mm) for mm in spacing]
    ds.ImagePositionPatient = [_decimal(mm) for mm in position]
    ds.ImageOrientationPatient = [_decimal(cosine) for cosine in orientation]
    ds.SliceThickness = None if slice_thickness is None else _decimal(slice_thickness)
    # MR Image: RM is "research mode"; times of a sequence that nobody ran stay empty
    ds.ImageType = ["DERIVED", "SECONDARY", "OTHER"]
    ds.ScanningSequence, ds.SequenceVariant, ds.ScanOptions, ds.MRAcquisitionType = "RM", "NONE", "", "2D"
    ds.RepetitionTime, ds.EchoTime, ds.EchoTrainLength = None, None, None
    # Image Pixel and VOI LUT
    ds.SamplesPerPixel, ds.PhotometricInterpretation = 1, "MONOCHROME2"
    ds.Rows, ds.Columns = pixels.shape
    ds.BitsAllocated, ds.BitsStored, ds.HighBit, ds.PixelRepresentation = 16, 16, 15, 0
    if window is not None:
        ds.WindowCenter, ds.WindowWidth = (_decimal(value) for value in window)
    data = pixels.astype("<u2").tobytes()
    ds.add_new("PixelData", "OW", data)
    buffer = io.BytesIO()
    ds.save_as(buffer, enforce_file_format=True)
    write_bytes(path, buffer.getvalue())


def _read_header(path: str | os.PathLike[str]) -> Dataset:
    return dcmread(path, stop_before_pixels=True, force=True)


def _check(header: Dataset, name: str) -> None:
    rows, columns = header.get("Rows"), header.get("Columns")
    if not rows or not columns:
        raise Refused(f"{name}: is a DICOM file without pixels{_kind_of(header)}; choose an image")
    check_size(name, int(rows), int(columns))
    frames = int(header.get("NumberOfFrames") or 1)
    if frames > 1:
        raise Refused(f"{name}: holds {frames} frames; only single-frame DICOM is read, so save each frame as a file")


def _kind_of(ds: Dataset) -> str:
    uid = UID(str(ds.get("SOPClassUID", "")))
    return f" ({uid.name})" if uid and uid.name != uid else ""


def _complete_meta(ds: Dataset) -> None:
    """Give a file without a meta header the transfer syntax that it was read in, which old files leave unsaid."""
    if not hasattr(ds, "file_meta"):
        ds.file_meta = FileMetaDataset()
    if "TransferSyntaxUID" not in ds.file_meta:
        implicit = ds.original_encoding[0] is not False
        ds.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian if implicit else ExplicitVRLittleEndian


def _decode(ds: Dataset, name: str) -> np.ndarray:
    """Return stored values, (H, W), or RGB, (H, W, 3)."""
    try:
        return pixel_array(ds, index=0)
    except MemoryError:
        raise
    except Exception:
        syntax = ds.file_meta.TransferSyntaxUID.name
        raise Refused(
            f"{name}: its pixels cannot be decoded ({syntax}); the file is cut off or of a kind unknown here"
        ) from None


def _scan_of(ds: Dataset, stored: np.ndarray, name: str) -> Scan:
    photometric = str(ds.PhotometricInterpretation)
    bits = int(ds.get("BitsStored") or stored.dtype.itemsize * 8)
    details = {
        "original size": f"{stored.shape[0]} x {stored.shape[1]}",
        "bits": f"{bits} {'signed' if ds.get('PixelRepresentation') else 'unsigned'}",
        "photometric": photometric,
        "transfer syntax": ds.file_meta.TransferSyntaxUID.name,
        "kind": _kind_of(ds).strip(" ()"),
    }
    if photometric == "PALETTE COLOR":
        pixels = _palette(ds, stored)
    elif stored.ndim == 3:
        pixels = stored.astype(np.float32) / float(2**bits - 1)
    else:
        pixels, details["window"] = _monochrome(ds, stored, bits, name)
        if photometric == "MONOCHROME1":
            pixels = 1 - pixels
        pixels[_padding(ds, stored)] = 0
    return Scan(
        pixels.clip(0, 1).astype(np.float32),
        name,
        subject=pseudonym(ds),
        spacing=_spacing(ds),
        format="DICOM",
        modality=str(ds.get("Modality") or ""),
        study_uid=str(ds.get("StudyInstanceUID") or ""),
        series_uid=str(ds.get("SeriesInstanceUID") or ""),
        instance_uid=str(ds.get("SOPInstanceUID") or ""),
        position=_position(ds),
        details={key: value for key, value in details.items() if value},
    )


def _palette(ds: Dataset, stored: np.ndarray) -> np.ndarray:
    """Return (H, W, 3) in [0, 1] (DICOM PS3.3, C.7.6.3.1.5 and C.7.6.3.1.6)."""
    for keyword in (f"{color}PaletteColorLookupTableData" for color in ("Red", "Green", "Blue")):
        if ds.original_encoding[1] is False and keyword in ds and ds[keyword].VR == "OW":
            ds[keyword].value = np.frombuffer(ds[keyword].value, ">u2").astype("<u2").tobytes()  # pydicom reads "<"
    colors = apply_color_lut(stored, ds)[..., :3]
    return colors.astype(np.float32) / (65535 if colors.max() > 255 else 255)  # 16-bit tables may hold 8-bit values


def _monochrome(ds: Dataset, stored: np.ndarray, bits: int, name: str) -> tuple[np.ndarray, str]:
    """Return (H, W) in [0, 1], and the window in words."""
    values = apply_modality_lut(stored, ds)
    center, width = _first(ds, "WindowCenter"), _first(ds, "WindowWidth")
    if center is not None and width is not None and width > 0:
        function = str(ds.get("VOILUTFunction") or "LINEAR").upper()
        if function != "LINEAR" or width >= 1:
            if not np.isfinite(values).all():
                raise not_finite(name)
            return _window(values, center, width, function), f"center {center:g}, width {width:g}, {function}"
    if ds.get("VOILUTSequence"):
        # The LUT's own depth is its third descriptor (PS3.3, C.11.2.1.1).
        depth = int(ds.VOILUTSequence[0].LUTDescriptor[2])
        return apply_voi(values.astype(np.int64), ds).astype(np.float64) / (2**depth - 1), "VOI LUT"
    if values is stored and stored.dtype.kind in "iu" and bits <= 8:
        low = -(2 ** (bits - 1)) if stored.dtype.kind == "i" else 0
        return (values.astype(np.float64) - low) / (2**bits - 1), "full range"
    return unit_range(values, name, keep=~_padding(ds, stored))


def _window(values: np.ndarray, center: float, width: float, function: str) -> np.ndarray:
    """Apply a VOI window (DICOM PS3.3, C.11.2.1.2 and C.11.2.1.3): values in [0, 1]."""
    values = values.astype(np.float64)
    if function == "SIGMOID":
        return 1 / (1 + np.exp((-4 * (values - center) / width).clip(-50, 50)))
    if function == "LINEAR_EXACT":
        return ((values - center) / width + 0.5).clip(0, 1)
    if width == 1:
        return (values > center - 0.5).astype(np.float64)
    return ((values - (center - 0.5)) / (width - 1) + 0.5).clip(0, 1)


def _padding(ds: Dataset, stored: np.ndarray) -> np.ndarray:
    """Return where there is no image, (H, W) bool (DICOM PS3.3, C.7.5.1.1.2)."""
    value, limit = ds.get("PixelPaddingValue"), ds.get("PixelPaddingRangeLimit")
    if not isinstance(value, int):
        return np.zeros(stored.shape, bool)
    other = limit if isinstance(limit, int) else value
    return (stored >= min(value, other)) & (stored <= max(value, other))


def _spacing(ds: Dataset) -> tuple[float, float] | None:
    for keyword in ("PixelSpacing", "ImagerPixelSpacing", "NominalScannedPixelSpacing"):
        numbers = _numbers(ds, keyword)
        if len(numbers) == 2 and min(numbers) > 0:
            return numbers[0], numbers[1]
    return None


def _position(ds: Dataset) -> float | None:
    """Return the place along the slice normal in mm (DICOM PS3.3, C.7.6.2.1.1), else SliceLocation, else None."""
    corner, cosines = _numbers(ds, "ImagePositionPatient"), _numbers(ds, "ImageOrientationPatient")
    if len(corner) == 3 and len(cosines) == 6:
        return float(np.dot(np.cross(cosines[:3], cosines[3:]), corner))
    return _first(ds, "SliceLocation")


def _first(ds: Dataset, keyword: str) -> float | None:
    numbers = _numbers(ds, keyword)
    return numbers[0] if numbers else None


def _numbers(ds: Dataset, keyword: str) -> list[float]:
    """Return the finite numbers of an attribute; absent, empty and malformed ones are no numbers."""
    value = ds.get(keyword)
    values = [] if value in (None, "") else list(value) if isinstance(value, Sequence | np.ndarray) else [value]
    try:
        numbers = [float(number) for number in values]
    except (TypeError, ValueError):
        return []
    return numbers if np.isfinite(numbers).all() else []


def _derived_uid(uid: str, what: str) -> UID:
    """Return a UID that the same input gives again: 2.25 and 128 bits (DICOM PS3.5, annex B.2)."""
    digest = hashlib.sha256(f"{uid} {what}".encode()).digest()[:16]
    return UID(f"2.25.{int.from_bytes(digest, 'big')}")


def _decimal(value: float) -> str:
    """Return a number in the at most 16 characters of a decimal string."""
    return f"{float(value):.10g}" if abs(value) >= 1e-4 or value == 0 else f"{float(value):.8e}"
