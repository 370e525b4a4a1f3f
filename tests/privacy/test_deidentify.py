"""Files for sharing: the same pixels, nobody's name, series that stay together, and what is refused."""

import base64
import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydicom import dcmread, dcmwrite
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate
from pydicom.uid import (
    UID,
    ComprehensiveSRStorage,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    JPEGBaseline8Bit,
    SecondaryCaptureImageStorage,
    UltrasoundImageStorage,
)

from anogan.cli import main
from anogan.io import find_images, read_frames, read_scan
from anogan.io.dicom import write_dicom
from anogan.privacy.deidentify import REPORT, deidentify
from anogan.scan import Scan

TOKENS = ("ZQXWNAME", "ZQXW4711", "18370519", "ZQXWDOCTOR", "ZQXWPLACE", "ZQXWSECRET")
PIXELS = np.arange(12 * 10, dtype=np.uint16).reshape(12, 10) * 7


def made(path: Path, edit: Callable[[Dataset], object] | None = None, **details: Any) -> Path:
    """Write an image of a person with tokens in many places."""
    write_dicom(path, PIXELS, **{"patient_id": "ZQXW4711", "spacing": (0.7, 0.9), "position": (1, 2, 3)} | details)
    ds = dcmread(path)
    ds.preamble = b"ZQXWSECRET".ljust(128, b".")
    ds.file_meta.SourceApplicationEntityTitle = "ZQXWPLACE"
    ds.file_meta.PrivateInformationCreatorUID, ds.file_meta.PrivateInformation = "1.2.3", b"ZQXWSECRET"
    ds.PatientName, ds.PatientBirthDate, ds.StudyDate = "ZQXWNAME^Anna", "18370519", "20240229"
    ds.ReferringPhysicianName, ds.InstitutionName = "ZQXWDOCTOR", "ZQXWPLACE"
    ds.ManufacturerModelName = "scanner of ZQXWPLACE"
    ds.private_block(0x0009, "ZQXWSECRET", create=True).add_new(1, "OB", b"ZQXWSECRET")
    ds.add_new(0x60000010, "US", 12)
    ds.add_new(0x60000011, "US", 10)
    ds.add_new(0x60003000, "OW", b"ZQXWSECRET".ljust(16, b"0"))
    reference = Dataset()
    reference.ReferencedSOPClassUID, reference.ReferencedSOPInstanceUID = ds.SOPClassUID, "1.2.3.1"
    reference.PatientName = "ZQXWNAME"
    ds.ReferencedImageSequence = [reference]
    if edit is not None:
        edit(ds)
    ds.save_as(path)
    return path


def setting(**attributes: Any) -> Callable[[Dataset], object]:
    return lambda ds: [setattr(ds, keyword, value) for keyword, value in attributes.items()]


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def place_of(scan: Scan) -> tuple[Any, ...]:
    """Return where an image lies, but for the UID of the frame of reference, which is new."""
    lies = scan.geometry
    return scan.spacing, scan.position, lies and (lies.origin, lies.along_row, lies.along_column)


def test_pixels_and_places_stay_and_the_person_goes(tmp_path: Path) -> None:
    source = made(tmp_path / "a.dcm", uids=("1.2.1", "1.2.2", "1.2.3"))
    report, problems = deidentify([source], tmp_path / "out")
    assert problems == []
    (path,) = find_images([tmp_path / "out"])
    before, after = read_scan(source), read_scan(path)
    np.testing.assert_array_equal(before.pixels, after.pixels)
    assert place_of(after) == place_of(before)
    for name, data in contents(tmp_path / "out").items():
        for token in TOKENS:
            assert token not in name
            assert token.encode() not in data, name
    ds = dcmread(path)
    assert path == tmp_path / "out" / before.subject / f"{ds.SOPInstanceUID}.dcm"
    assert ds.PatientID == ds.PatientName == before.subject
    assert (ds.PatientBirthDate, ds.StudyDate, ds.PatientIdentityRemoved) == ("", "", "YES")
    assert ds.LongitudinalTemporalInformationModified == "REMOVED"
    assert [(code.CodeValue, code.CodingSchemeDesignator) for code in ds.DeidentificationMethodCodeSequence] == [
        ("113100", "DCM")
    ]
    assert ds.preamble == bytes(128)
    assert ds.file_meta.MediaStorageSOPInstanceUID == ds.SOPInstanceUID
    assert {element.keyword for element in ds.file_meta} == {
        "FileMetaInformationGroupLength", "FileMetaInformationVersion", "MediaStorageSOPClassUID", "TransferSyntaxUID",
        "MediaStorageSOPInstanceUID", "ImplementationClassUID", "ImplementationVersionName",
    }  # fmt: skip
    assert report == json.loads((tmp_path / "out" / REPORT).read_text())
    assert (report["files"], report["subjects"], report["refused"]) == (1, 1, {})
    assert report["attributes"]["PatientName"] == {"emptied": 2}
    assert report["attributes"]["ManufacturerModelName"] == {"removed": 1}


def test_series_stay_together_over_files_and_deliveries(tmp_path: Path) -> None:
    uids = [("1.2.1", "1.2.2", "1.2.3.1"), ("1.2.1", "1.2.2", "1.2.3.2"), ("1.2.9", "1.2.8", "1.2.7")]
    files = [made(tmp_path / f"{n}.dcm", uids=uid) for n, uid in enumerate(uids)]
    files.append(made(tmp_path / "other.dcm", uids=("1.3.1", "1.3.2", "1.3.3"), patient_id="ZQXW0815"))
    report, _ = deidentify(files, tmp_path / "out")
    assert (report["files"], report["subjects"]) == (4, 2)
    images = [dcmread(path) for path in find_images([tmp_path / "out"])]
    first, second, third, other = sorted(images, key=_rank)
    assert first.StudyInstanceUID == second.StudyInstanceUID != third.StudyInstanceUID
    assert first.SeriesInstanceUID == second.SeriesInstanceUID
    assert first.FrameOfReferenceUID == second.FrameOfReferenceUID != third.FrameOfReferenceUID
    assert first.PatientID == third.PatientID != other.PatientID
    assert second.ReferencedImageSequence[0].ReferencedSOPInstanceUID == first.SOPInstanceUID
    before = contents(tmp_path / "out")
    deidentify(files[1:2], tmp_path / "out")
    after = contents(tmp_path / "out")
    assert {name for name in before if before[name] != after[name]} == {REPORT}


def _rank(ds: Dataset) -> int:
    from anogan.privacy.confidentiality import new_uid

    return [new_uid(uid) for uid in ("1.2.3.1", "1.2.3.2", "1.2.7", "1.3.3")].index(ds.SOPInstanceUID)


def test_shifted_dates_keep_their_distance(tmp_path: Path) -> None:
    files = [made(tmp_path / f"{day}.dcm", setting(StudyDate=f"202402{day}")) for day in (11, 29)]
    deidentify(files, tmp_path / "out", shift_dates=True)
    images = [dcmread(path) for path in find_images([tmp_path / "out"])]
    early, late = sorted(np.datetime64(f"{d[:4]}-{d[4:6]}-{d[6:]}") for d in (ds.StudyDate for ds in images))
    assert late - early == np.timedelta64(18, "D")
    assert late < np.datetime64("2024-02-29")
    assert [code.CodeValue for code in images[0].DeidentificationMethodCodeSequence] == ["113100", "113107"]
    assert images[0].LongitudinalTemporalInformationModified == "MODIFIED"
    assert images[0].PatientBirthDate == ""


@pytest.mark.parametrize(
    ("edit", "words"),
    [
        (setting(BurnedInAnnotation="YES"), "says that text is burnt into its pixels"),
        (setting(RecognizableVisualFeatures="YES"), "says that a person can be recognized"),
        (setting(SOPClassUID=SecondaryCaptureImageStorage), "is a secondary capture"),
        (setting(SOPClassUID=UID("1.2.840.10008.5.1.4.1.1.7.4")), "is a secondary capture"),
        (setting(ConversionType="WSD"), "is a secondary capture"),
        (setting(SOPClassUID=UltrasoundImageStorage), "is an ultrasound image"),
        (setting(Modality="US"), "is an ultrasound image"),
        (setting(ImageType=["DERIVED", "SECONDARY", "SCREEN SAVE"]), "is a picture of a screen"),
    ],
)
def test_what_may_show_a_name_is_refused_until_somebody_has_looked(tmp_path: Path, edit: Any, words: str) -> None:
    path = made(tmp_path / "a.dcm", edit)
    report, problems = deidentify([path], tmp_path / "out")
    assert report["files"] == 0
    assert problems[0][1].startswith(words)
    assert problems[0][1].endswith("and pixels are not cleaned; if it shows no name, add --accept-burned-in")
    report, problems = deidentify([path], tmp_path / "out", accept_burned_in=True)
    assert (report["files"], report["accept_burned_in"], problems) == (1, True, [])


def test_it_goes_on_past_what_it_refuses(tmp_path: Path) -> None:
    def without_pixels(ds: Dataset) -> None:
        ds.SOPClassUID = ComprehensiveSRStorage
        del ds.PixelData, ds.Rows

    good = made(tmp_path / "good.dcm", uids=("1.2.1", "1.2.2", "1.2.3"))
    files = {
        made(tmp_path / "sr.dcm", without_pixels): "without pixels (Comprehensive SR Storage)",
        made(tmp_path / "cut.dcm", setting(Rows=1000)): "but its header describes 20,000",
        made(tmp_path / "twice.dcm", setting(InstanceNumber=9), uids=("1.2.1", "1.2.2", "1.2.3")): "of an earlier file",
        tmp_path / "none.dcm": "cannot be opened (No such file or directory)",
        tmp_path / "text.dcm": "is not a DICOM file",
        tmp_path / "cut2.dcm": "is ",
    }
    (tmp_path / "text.dcm").write_text("no DICOM at all, ZQXWNAME")
    (tmp_path / "cut2.dcm").write_bytes(good.read_bytes()[:900])
    report, problems = deidentify([good, *files], tmp_path / "out")
    assert [path for path, _ in problems] == list(files)
    for path, reason in problems:
        assert files[path] in reason
    assert report["files"] == 1
    assert sum(report["refused"].values()) == 6
    assert not any(token in json.dumps(report) for token in (*TOKENS, "twice", str(tmp_path)))
    assert len(find_images([tmp_path / "out"])) == 1


def test_what_hides_in_the_pixel_data_goes(tmp_path: Path) -> None:
    import cv2

    gray = (PIXELS // 4).astype(np.uint8)
    jpeg = cv2.imencode(".jpg", gray)[1].tobytes()
    comment = b"ZQXWSECRET"
    jpeg = jpeg[:2] + b"\xff\xfe" + (len(comment) + 2).to_bytes(2, "big") + comment + jpeg[2:]

    def compressed(ds: Dataset) -> None:
        ds.BitsAllocated, ds.BitsStored, ds.HighBit = 8, 8, 7
        ds.PixelData = encapsulate([jpeg])
        ds["PixelData"].VR = "OB"
        ds.file_meta.TransferSyntaxUID = JPEGBaseline8Bit

    def longer(ds: Dataset) -> None:
        ds.PixelData += b"ZQXWSECRET"

    file = made(tmp_path / "jpeg.dcm", compressed)
    assert file.read_bytes().count(b"ZQXWSECRET") > 3
    deidentify([file], tmp_path / "out")
    (path,) = find_images([tmp_path / "out"])
    assert b"ZQXWSECRET" not in path.read_bytes()
    np.testing.assert_array_equal(read_scan(path).pixels, read_scan(file).pixels)
    _, problems = deidentify([made(tmp_path / "longer.dcm", longer)], tmp_path / "none")
    assert problems[0][1].startswith("holds 250 bytes of pixels, but its header describes 240")


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("high", [11, 15])
def test_an_overlay_that_hides_in_unused_bits_goes(tmp_path: Path, high: int, order: str) -> None:
    values = PIXELS.astype(np.int64) - 60  # signed, of 12 bits
    words = (values & 0xFFF) << (high - 11) | (0x8000 if high == 11 else 1)
    ds = dcmread(made(tmp_path / "a.dcm"))
    ds.BitsStored, ds.HighBit, ds.PixelRepresentation = 12, high, 1
    ds.PixelData = words.astype(f"{order}u2").tobytes()
    little = order == "<"
    ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian if little else ExplicitVRBigEndian
    dcmwrite(tmp_path / "a.dcm", ds, implicit_vr=False, little_endian=little, force_encoding=True)
    _, problems = deidentify([tmp_path / "a.dcm"], tmp_path / "out")
    assert problems == []
    (path,) = find_images([tmp_path / "out"])
    np.testing.assert_array_equal(read_scan(path).pixels, read_scan(tmp_path / "a.dcm").pixels)
    ds = dcmread(path)
    assert (ds.BitsStored, ds.HighBit) == (12, 11)
    np.testing.assert_array_equal(np.frombuffer(ds.PixelData, f"{order}i2").reshape(values.shape), values)


def test_a_file_without_meta_information(tmp_path: Path) -> None:
    source = made(tmp_path / "a.dcm")
    old = dcmread(source)
    del old.file_meta, old.preamble
    old.save_as(tmp_path / "old.dcm", implicit_vr=True, little_endian=True)
    _, problems = deidentify([tmp_path / "old.dcm"], tmp_path / "out")
    assert problems == []
    (path,) = find_images([tmp_path / "out"])
    np.testing.assert_array_equal(read_scan(path).pixels, read_scan(source).pixels)
    assert not any(token.encode() in path.read_bytes() for token in TOKENS)


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made(tmp_path / "in" / "a.dcm", uids=("1.2.1", "1.2.2", "1.2.3"))
    made(tmp_path / "in" / "b.dcm", setting(BurnedInAnnotation="YES"))
    with pytest.raises(SystemExit, match="^anogan: 1 file not de-identified$"):
        main(["deidentify", str(tmp_path / "in"), "--out", str(tmp_path / "out")])
    told = capsys.readouterr()
    assert f"1 files of 1 subjects are in {tmp_path / 'out'}" in " ".join(told.out.split())
    assert told.err.splitlines()[-1].startswith(f"{tmp_path / 'in' / 'b.dcm'}: says that text is burnt into its pixels")
    with pytest.raises(SystemExit, match=r"lies in .*, which is to be de-identified; choose another --out$"):
        main(["deidentify", str(tmp_path / "in"), "--out", str(tmp_path / "in" / "out")])


@pytest.mark.skipif(shutil.which("dciodvfy") is None, reason="needs dciodvfy of dicom3tools")
def test_a_foreign_validator_finds_nothing_new(tmp_path: Path) -> None:
    def errors(path: Path) -> set[str]:
        told = subprocess.run(["dciodvfy", path], capture_output=True, text=True).stderr
        return {line for line in told.splitlines() if line.startswith("Error")}

    source = tmp_path / "a.dcm"
    write_dicom(source, PIXELS, patient_id="1")
    deidentify([source], tmp_path / "out")
    (path,) = find_images([tmp_path / "out"])
    assert errors(path) <= errors(source)


@pytest.mark.realdata
@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:Invalid value:UserWarning")
def test_real_files_keep_their_pixels_and_lose_their_people(data_root: Path, tmp_path: Path) -> None:
    files = find_images([data_root / "dicom" / "pydicom_data", data_root / "dicom" / "t1_series"])
    kept = 0
    for number, file in enumerate(files):
        out = tmp_path / str(number)
        report, _ = deidentify([file], out, accept_burned_in=True)
        if not report["files"]:
            continue
        (path,) = find_images([out])
        before, after = dcmread(file, force=True), dcmread(path)
        data = path.read_bytes()
        for keyword in ("PatientName", "PatientID", "OtherPatientIDs", "AccessionNumber", "InstitutionName"):
            value = str(before.get(keyword) or "").encode()
            assert len(value) < 5 or value not in data, (file.name, keyword)
        for keyword in ("SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID", "FrameOfReferenceUID"):
            value = str(before.get(keyword) or "").encode()
            assert not value or value not in data, (file.name, keyword)
        assert not any(element.tag.is_private for element in after.iterall())
        try:
            frames = read_frames(file)
        except ValueError:  # the reader refuses it
            continue
        again = read_frames(path)
        assert len(again) == len(frames), file.name
        for one, other in zip(frames, again, strict=True):
            np.testing.assert_array_equal(one.pixels, other.pixels, err_msg=file.name)
            assert place_of(one) == place_of(other), file.name
        kept += 1
    assert kept >= 125


def test_what_is_shared_names_no_old_file(tmp_path: Path) -> None:
    """Of those that are refused, for whatever reason, by whichever reader."""
    folder = tmp_path / "Zqxwfolder"
    folder.mkdir()
    for number in range(6):
        write_dicom(folder / f"Zqxwfile{number}.dcm", np.full((4, 4), number, np.uint16), patient_id="Zqxwid")
    whole = (folder / "Zqxwfile1.dcm").read_bytes()
    (folder / "Zqxwfile1.dcm").write_bytes(whole[: len(whole) // 2])
    (folder / "Zqxwfile2.dcm").write_bytes(b"")
    (folder / "Zqxwfile3.dcm").write_bytes(whole[:132] + b"Zqxwheader" * 20)
    ds = dcmread(folder / "Zqxwfile4.dcm")
    ds.Rows, ds.PhotometricInterpretation = 40, "ZQXWCOLOR"
    ds.save_as(folder / "Zqxwfile4.dcm")
    report, problems = deidentify(sorted(folder.iterdir()), tmp_path / "out")
    assert (report["files"], len(problems), sum(report["refused"].values())) == (2, 4, 4)
    for path in (tmp_path / "out").rglob("*"):
        for data in (str(path.relative_to(tmp_path)).encode(), path.read_bytes() if path.is_file() else b""):
            for word in ("zqxw", "Zqxw".lower()):
                for form in (word.encode(), word.encode("utf-16-le"), word.encode("utf-16-be")):
                    assert form not in data.lower(), path
            for shift in range(3):
                for spelled in (b"Zqxwfile", b"Zqxwfolder"):
                    text = base64.b64encode(bytes(shift) + spelled).rstrip(b"=")[(0, 2, 3)[shift] : -1]
                    assert text not in data, path
