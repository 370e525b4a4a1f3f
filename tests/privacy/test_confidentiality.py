"""The rules, line by line: the whole table of annex E, at the top and in sequences, and what no table names."""

import datetime
from collections import Counter
from io import BytesIO
from typing import Any

import pytest
from dicomanonymizer.dicom_anonymization_databases import dicomfields_2026c
from pydicom import dcmread
from pydicom.datadict import dictionary_has_tag, dictionary_VR
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.tag import Tag
from pydicom.uid import UID, ExplicitVRLittleEndian, MRImageStorage

from anogan.privacy.confidentiality import EMPTIED, KEPT, MAPPED, REMOVED, REPLACED, RULES, clean, new_uid

pytestmark = pytest.mark.filterwarnings("ignore:Invalid value:UserWarning")

TOKEN, LONG_UID = "ZQXWTOKEN", "1.2.826.0.1.3680043.8.498.31415926535897"
TEXTS = ("AE", "CS", "LO", "LT", "PN", "SH", "ST", "UC", "UT", "UR")
VALUES: dict[str, Any] = {
    **dict.fromkeys(TEXTS, TOKEN), "UI": LONG_UID, "DA": "18370519", "DT": "18370519113355.271828",
    "TM": "113355.271828", "AS": "097Y", "DS": "31415.9265", "IS": "31415926", "AT": 0x31415926,
    **dict.fromkeys(("FD", "FL"), 31415.9265), **dict.fromkeys(("SL", "UL", "SV", "UV"), 31415926),
    **dict.fromkeys(("SS", "US"), 31415),
    **dict.fromkeys(("OB", "OW", "UN", "OD", "OF", "OL", "OV"), b"ZQXWTOKEN0000000"),
}  # fmt: skip
ELSEWHERE = "SharedFunctionalGroupsSequence"  # the table does not name it, so it stays


def vr_of(tag: int) -> str:
    return dictionary_VR(tag).split(" or ")[0] if dictionary_has_tag(tag) else "LO"


def value_of(vr: str) -> Any:
    if vr != "SQ":
        return VALUES[vr]
    item = Dataset()
    item.PatientName, item.CodeMeaning, item.ReferencedSOPInstanceUID = TOKEN, "kept with its sequence", LONG_UID
    return [item]


def every_line() -> Dataset:
    ds = Dataset()
    for tag in RULES:
        if tag >> 16 >= 0x0008:  # commands and file meta information do not belong into a data set
            ds.add_new(tag, vr_of(tag), value_of(vr_of(tag)))
    return ds


def written(ds: Dataset) -> bytes:
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    ds.file_meta.MediaStorageSOPClassUID, ds.file_meta.MediaStorageSOPInstanceUID = MRImageStorage, "2.25.1"
    buffer = BytesIO()
    ds.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()


def cleaned(ds: Dataset, shift_dates: bool = False) -> tuple[Dataset, dict[str, Counter[str]], bytes]:
    """Clean what comes out of a file, not what the test has just made."""
    ds, tally = dcmread(BytesIO(written(ds))), {}
    clean(ds, "subject", shift_dates, tally)
    data = written(ds)
    return dcmread(BytesIO(data)), tally, data


def test_the_table_is_whole() -> None:
    lines = [tag for tag in dicomfields_2026c.ALL_TAGS if len(tag) == 2]
    assert len(RULES) == len(lines) == len(set(lines)) > 640
    assert Counter(RULES.values()).keys() == {REMOVED, EMPTIED, REPLACED, MAPPED, KEPT}
    by_hand = {  # PS3.15, table E.1-1
        "PatientName": EMPTIED, "PatientID": REPLACED, "PatientBirthDate": EMPTIED, "OtherPatientIDs": REMOVED,
        "AccessionNumber": EMPTIED, "InstitutionName": REPLACED, "InstitutionAddress": REMOVED, "StudyDate": EMPTIED,
        "StudyInstanceUID": MAPPED, "FrameOfReferenceUID": MAPPED, "SeriesDescription": REMOVED, "PatientAge": REMOVED,
        "ContentDate": REPLACED, "DeviceSerialNumber": REPLACED, "ReferencedImageSequence": KEPT,
        "OperatorsName": REPLACED, "IconImageSequence": REMOVED, "RequestAttributesSequence": REMOVED,
    }  # fmt: skip
    assert {keyword: RULES[Tag(keyword)] for keyword in by_hand} == by_hand


@pytest.mark.parametrize("nested", [False, True])
def test_every_line_of_the_table(nested: bool) -> None:
    before = every_line()
    holder = Dataset()
    if nested:
        setattr(holder, ELSEWHERE, [before])
    after, _, data = cleaned(holder if nested else before)
    after = after[ELSEWHERE][0] if nested else after
    assert TOKEN.encode() not in data
    for tag, action in RULES.items():
        if tag >> 16 < 0x0008:
            continue
        name, vr = f"{Tag(tag)} {vr_of(tag)}", vr_of(tag)
        if action == REMOVED or (action == MAPPED and vr != "UI"):
            assert tag not in after, name
        elif action == EMPTIED:
            assert after[tag].is_empty, name
        elif action == MAPPED:
            assert after[tag].value == new_uid(LONG_UID), name
        elif action == KEPT:
            assert after[tag][0].ReferencedSOPInstanceUID == new_uid(LONG_UID), name
        elif vr == "SQ":
            item = after[tag][0]
            assert (item.PatientName, item.CodeMeaning) == ("ANONYMIZED", "ANONYMIZED"), name
            assert item.ReferencedSOPInstanceUID == new_uid(LONG_UID), name
        else:
            assert not after[tag].is_empty, name
            assert after[tag].value != before[tag].value, name


def test_private_unknown_and_repeating_attributes_go_whatever_they_hold() -> None:
    ds = Dataset()
    for number, (vr, value) in enumerate(VALUES.items()):
        for group in (0x0009, 0x0029, 0x7FE1):
            ds.private_block(group, TOKEN, create=True).add_new(number, vr, value)
    ds.private_block(0x0029, TOKEN).add_new(0xF0, "SQ", value_of("SQ"))
    for tag in (0x60000022, 0x60003000, 0x60024000, 0x50000030, 0x50123000, 0x00110010, 0x0019FFFE, 0x0020FFF0):
        vr = "OW" if tag & 0xFFFF == 0x3000 else "LO"
        ds.add_new(tag, vr, VALUES[vr])
    ds.KVP = "120"
    inner = dcmread(BytesIO(written(ds)))
    inner.add_new(0x00001000, "UI", LONG_UID)
    inner.add_new(0x00020016, "AE", TOKEN)
    setattr(ds, ELSEWHERE, [inner])
    after, tally, data = cleaned(ds)
    assert LONG_UID.encode() not in data
    assert [element.keyword for element in after] == ["KVP", ELSEWHERE]
    assert [element.keyword for element in after[ELSEWHERE][0]] == ["KVP"]
    assert TOKEN.encode() not in data
    assert tally["private"][REMOVED] == 2 * (3 * (len(VALUES) + 1) + 1 + 2)


def test_what_no_line_names_but_is_a_person_a_date_or_of_a_wrong_form_goes() -> None:
    ds = Dataset()
    ds.add_new("ImageType", "PN", TOKEN)
    ds.add_new("KVP", "LO", TOKEN)
    ds.add_new("Rows", "OB", TOKEN.encode() + b"0")
    ds.add_new("ReferencedImageSequence", "LO", TOKEN)
    ds.add_new("SOPClassUID", "UI", TOKEN)
    ds.EchoTime, ds.EchoTrainLength, ds.Columns = "1.5", 1234, 2
    after = dcmread(BytesIO(written(ds).replace(b"1.5 ", b"ZQXW").replace(b"1234", b"ZQXW")))
    clean(after, "subject", False, {})
    assert [element.keyword for element in after] == ["SOPClassUID", "Columns"]
    assert after.SOPClassUID == new_uid(TOKEN)


def test_text_that_repeats_the_person_goes_and_other_text_stays() -> None:
    ds = Dataset()
    ds.PatientName, ds.PatientID, ds.InstitutionName = "Müller^Anna", "ID-31415926", "Sankt Nirgendwo"
    ds.SpecificCharacterSet = "ISO_IR 192"
    ds.ManufacturerModelName = "MULLER scanner of Nirgendwo"
    ds.SoftwareVersions = ["1.0", "for müller"]
    ds.ConvolutionKernel = "K-ID31415926x"
    ds.Manufacturer = "Annapurna Imaging"  # "anna" is no word of it
    ds.ScanningSequence = "SE"
    after, _, _ = cleaned(ds)
    kept = {element.keyword for element in after} - {"SpecificCharacterSet", "PatientName", "PatientID"}
    assert kept == {"Manufacturer", "ScanningSequence", "InstitutionName"}


def test_uids_stay_apart_and_together_but_those_of_the_standard_stay() -> None:
    ds = Dataset()
    ds.StudyInstanceUID, ds.SOPClassUID, ds.IrradiationEventUID = "1.2.3", MRImageStorage, ["1.2.3", "1.2.4"]
    ds.FrameOfReferenceUID = "1.2.840.10008.1.4.1.1"  # Talairach brain atlas
    after, _, _ = cleaned(ds)
    assert after.StudyInstanceUID == new_uid("1.2.3")
    assert list(after.IrradiationEventUID) == [new_uid("1.2.3"), new_uid("1.2.4")]
    assert new_uid("1.2.3") != new_uid("1.2.4")
    assert UID(new_uid("1.2.3")).is_valid
    assert (after.SOPClassUID, after.FrameOfReferenceUID) == (MRImageStorage, "1.2.840.10008.1.4.1.1")


def test_dates_move_together_and_those_of_the_person_go() -> None:
    ds = Dataset()
    ds.StudyDate, ds.SeriesDate, ds.ContentDate = "20240229", "2024.03.01", "2024022X"
    ds.AcquisitionDateTime, ds.StudyTime = ["20240302101500.5+0100", "2024"], "101500.25"
    ds.FrameReferenceDateTime = "20240302101500.5+0100"
    ds.PatientBirthDate, ds.LastMenstrualDate = "18370519", "20240101"
    ds.SeriesTime = "ZQXW"
    after, _, data = cleaned(ds, shift_dates=True)
    days = datetime.date(2024, 2, 29) - datetime.date.fromisoformat(after.StudyDate)
    assert datetime.timedelta(1) <= days <= datetime.timedelta(3652)
    assert after.SeriesDate == f"{datetime.date(2024, 3, 1) - days:%Y%m%d}"
    assert after.FrameReferenceDateTime == f"{datetime.date(2024, 3, 2) - days:%Y%m%d}101500.5+0100"
    assert after.StudyTime == "101500.25"
    assert after.ContentDate == "19000101"  # no date: as without the option
    assert after.AcquisitionDateTime == "19000101000000"  # half a date
    assert after.PatientBirthDate == ""
    assert "LastMenstrualDate" not in after
    assert b"ZQXW" not in data
    other = dcmread(BytesIO(written(ds)))
    clean(other, "another subject", True, {})
    assert other.StudyDate != after.StudyDate


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("ALPHA^ANNA", "for anna"),
        ("ALPHA^ANNA", "AlphaAnna_T1"),
        ("ALPHA^ANNA", "annaalpha"),
        ("Li^Bo", "coil of LI"),
        ("Müller^Jörg", "MUELLER t1"),
        ("Müller^Jörg", "joerg"),
        ("Ångström^Åsa", "ANGSTROM"),
        ("ＡＬＰＨＡ^ANNA", "alpha"),
        ("王^小东", "王小东 t1"),
        ("王^小东", "小东"),
        ("Yamada^Tarou=山田^太郎=やまだ^たろう", "太郎"),
        ("Yamada^Tarou=山田^太郎=やまだ^たろう", "やまだ"),
        ("김^민수", "민수 coil"),
        ("Yıldız^Ayşe", "YILDIZ"),
        ("YILDIZ^A", "yıldız"),
        ("Łukasz^Wójcik", "lukasz"),
        ("Đorđević^X", "Dordevic"),
        ("MUELLER^A", "Müller t1"),
        ("D'Arcy^Sean", "DARCY"),
        ("Van der Berg^Jan", "vanderberg"),
        ("ALPHA^ANNA", "A l p h a"),
        ("ALPHA^ANNA", "al\u00adpha"),
    ],
)
def test_a_part_of_a_name_goes_from_every_text(name: str, text: str) -> None:
    ds = Dataset()
    ds.SpecificCharacterSet = "ISO_IR 192"
    ds.PatientName, ds.PatientID, ds.PatientBirthDate = name, "ID-31415926", "19701231"
    ds.WindowCenterWidthExplanation, ds.RescaleType, ds.SoftwareVersions = text, text[:16], ["1.0", text]
    ds.PixelSpacingCalibrationDescription = ds.SequenceName = ds.ReceiveCoilName = text[:16]
    item = Dataset()
    item.LUTExplanation = item.ModalityLUTType = text
    ds.VOILUTSequence = [item]
    after, _, data = cleaned(ds)
    assert text not in str(after)
    assert text[:16].encode() not in data


@pytest.mark.parametrize(
    "text",
    [
        *("born 31.12.1970", "1970-12-31", "12/31/1970", "31 Dec 1970", "DEC-31-1970", "31.12.70", "701231"),
        *("ID-31415926", "31-415-926", "id 31415926", "ST 99887", "rp4455667", "ORD_778811", "1.2.826.0.1.99887766"),
        *("2024-02-29", "20240229", "29 feb 2024", "1.3.2024", "blacksmith"),
    ],
)
def test_a_number_or_a_date_goes_in_every_spelling(text: str) -> None:
    ds = Dataset()
    ds.PatientName, ds.PatientID, ds.PatientBirthDate, ds.Occupation = "A^B", "ID-031415926", "19701231", "Blacksmith"
    ds.StudyID, ds.RequestedProcedureID, ds.StudyInstanceUID = "ST99887", "RP4455667", "1.2.826.0.1.99887766"
    ds.PlacerOrderNumberImagingServiceRequest = "ORD778811"
    ds.StudyDate, ds.AcquisitionDateTime = "20240229", "20240301101500"
    ds.WindowCenterWidthExplanation = text
    for shift in (False, True):
        assert text not in str(cleaned(ds, shift)[0])


def test_a_number_that_is_the_persons_goes_from_numbers_and_uids() -> None:
    ds = Dataset()
    ds.PatientName, ds.PatientID, ds.PatientBirthDate = "A^B", "0020240117", "19701231"
    ds.SeriesNumber, ds.AcquisitionNumber, ds.InstanceNumber, ds.EchoTime = "20240117", "19701231", "17", "20240117"
    item = Dataset()
    item.ReferencedSOPClassUID = "1.2.3.20240117"
    ds.ReferencedImageSequence = [item]
    after, _, data = cleaned(ds)
    assert (after.SeriesNumber, after.AcquisitionNumber, after.InstanceNumber) == (None, None, 17)
    assert b"20240117" not in data
    assert b"19701231" not in data


def test_what_every_scanner_writes_stays() -> None:
    """A date, a UID or a number of the file is not taken for a word in what only resembles it."""
    ds = Dataset()
    ds.PatientName, ds.PatientID, ds.PatientBirthDate = "Li^Bo", "12345", "19701231"
    ds.StudyDate, ds.StudyInstanceUID, ds.StudyID, ds.AccessionNumber = "20240229", "1.2.840.113619.2", "1", "7"
    ds.PatientComments, ds.SOPClassUID = "none", MRImageStorage
    ds.Manufacturer, ds.SoftwareVersions, ds.ConvolutionKernel = "Maker of 2024", ["syngo MR 2024.1", "VB17"], "B30f"
    ds.ImageType, ds.SeriesNumber, ds.PixelSpacing = ["ORIGINAL", "PRIMARY", "AXIAL"], "12", ["0.976562", "0.976562"]
    after, _, _ = cleaned(ds)
    kept = [
        "Manufacturer",
        "SoftwareVersions",
        "ConvolutionKernel",
        "ImageType",
        "SeriesNumber",
        "PixelSpacing",
        "SOPClassUID",
    ]
    assert all(after[keyword] == ds[keyword] for keyword in kept)


def test_free_text_and_binary_data_that_nobody_needs_go_whatever_they_say() -> None:
    ds = Dataset()
    ds.PatientName = "A^B"
    ds.SequenceName, ds.ReceiveCoilName, ds.FilterType = "for Mrs Example", "hers", "x"
    ds.ICCProfile, ds.PositionReferenceIndicator = b"made for Mrs Example", "Mrs Example"
    ds.WindowCenterWidthExplanation, ds.Manufacturer, ds.RescaleType = ["BRAIN", "BONE"], "Maker", "HU"
    after, _, data = cleaned(ds)
    assert b"Example" not in data
    assert b"hers" not in data
    assert list(after.WindowCenterWidthExplanation) == ["BRAIN", "BONE"]
    assert (after.Manufacturer, after.RescaleType, after.PositionReferenceIndicator) == ("Maker", "HU", "")
