"""A real PACS, asked by DIMSE and by DICOMweb."""

from __future__ import annotations

from pathlib import Path

import pytest
from clinic import Orthanc, dcmtk, settings, uid, write_study
from pydicom import dcmread
from pydicom.uid import RLELossless

from anogan.cli.console import free_port
from anogan.io.dicom import read_dicom_subject
from anogan.pacs import open_node
from anogan.pacs.nodes import Found, Query, Unavailable

WAYS = ("pacs", "web")


@pytest.fixture
def filled(orthanc: Orthanc, our_port: int, tmp_path: Path) -> Orthanc:
    """Return a PACS with two studies of MR, the first on 2024-02-29 and of an RLE image too."""
    write_study(tmp_path / "sent", "one", slices=2)
    write_study(tmp_path / "other", "two", slices=1)
    for path in (tmp_path / "sent").iterdir():
        ds = dcmread(path)
        ds.StudyDate = "20240229"
        if path.name == "one-1.dcm":
            ds.compress(RLELossless, generate_instance_uid=False)
        ds.save_as(path)
    node = open_node(settings(our_port, nodes=orthanc.nodes()), "pacs")
    files = [*(tmp_path / "sent").iterdir(), *(tmp_path / "other").iterdir()]
    assert sorted(node.send(files)) == sorted((path, "") for path in files)
    return orthanc


@pytest.mark.parametrize("way", WAYS)
def test_find(way: str, filled: Orthanc, our_port: int, tmp_path: Path) -> None:
    node = open_node(settings(our_port, nodes=filled.nodes()), way)
    node.echo()
    subject = read_dicom_subject(tmp_path / "sent" / "one-0.dcm")
    one = Found(uid("one"), "20240229", "MR", "1", "2", subject)
    for query in (Query(date="20240229"), Query(date="20240201-20240301"), Query(study=uid("one"))):
        assert node.find(query) == [one]
    assert {found.study for found in node.find(Query(modality="MR"))} == {uid("one"), uid("two")}
    assert node.find(Query(modality="CT")) == []
    assert node.holds(uid("one"), uid("one series"), uid("one 1"))
    assert not node.holds(uid("one"), uid("one series"), uid("one 7"))


def test_find_by_patient_never_writes_an_address(filled: Orthanc, our_port: int) -> None:
    chosen = settings(our_port, nodes=filled.nodes())
    assert [found.study for found in open_node(chosen, "pacs").find(Query(patient="secret two"))] == [uid("two")]
    with pytest.raises(ValueError, match="node web: a web query would write the patient's number into an address"):
        open_node(chosen, "web").find(Query(patient="secret two"))


@pytest.mark.parametrize("way", WAYS)
def test_fetched_is_what_was_sent(way: str, filled: Orthanc, our_port: int, tmp_path: Path) -> None:
    node = open_node(settings(our_port, nodes=filled.nodes()), way)
    files = node.fetch(uid("one"), tmp_path / "fetched")
    assert files == sorted((tmp_path / "fetched").iterdir())
    sent = {ds.SOPInstanceUID: ds for ds in map(dcmread, (tmp_path / "sent").iterdir())}
    fetched = {ds.SOPInstanceUID: ds for ds in map(dcmread, files)}
    assert set(fetched) == set(sent)
    for key, ds in fetched.items():
        assert (ds.pixel_array == sent[key].pixel_array).all()
        if way == "web":  # by C-GET the node may decompress
            assert ds == sent[key]
            assert ds.file_meta.TransferSyntaxUID == sent[key].file_meta.TransferSyntaxUID
    with pytest.raises(ValueError, match=f"node {way}: "):
        node.fetch(uid("unknown"), tmp_path / "nothing")
    assert not list((tmp_path / "nothing").iterdir())


def test_fetch_moves_where_the_node_does_not_let_us_get(our_port: int, tmp_path: Path) -> None:
    pacs = Orthanc(tmp_path / "strict", our_port, get=False)
    write_study(tmp_path / "sent", "one", slices=2)
    try:
        pacs.start()
        node = open_node(settings(our_port, nodes=pacs.nodes(), peers=[]), "pacs")
        assert all(not refused for _, refused in node.send([*(tmp_path / "sent").iterdir()]))
        files = node.fetch(uid("one"), tmp_path / "fetched")
        sent = {ds.SOPInstanceUID: ds for ds in map(dcmread, (tmp_path / "sent").iterdir())}
        assert {ds.SOPInstanceUID: ds for ds in map(dcmread, files)} == sent
    finally:
        pacs.stop(at_once=True)


@pytest.mark.parametrize("way", WAYS)
def test_what_was_sent_is_found_by_a_foreign_client(way: str, orthanc: Orthanc, our_port: int, tmp_path: Path) -> None:
    write_study(tmp_path / "sent", "one", slices=2)
    node = open_node(settings(our_port, nodes=orthanc.nodes()), way)
    for _ in range(2):  # what it has already is stored
        assert all(not refused for _, refused in node.send(sorted((tmp_path / "sent").iterdir())))
    keys = ("-k", "QueryRetrieveLevel=IMAGE", "-k", f"StudyInstanceUID={uid('one')}", "-k", "SOPInstanceUID")
    keys = (*keys, "-k", f"SeriesInstanceUID={uid('one series')}")
    said = dcmtk("findscu", "-S", "-aet", "ANOGAN", "-aec", "ORTHANC", *keys, "127.0.0.1", orthanc.port)
    assert all(uid(f"one {number}") in said for number in range(2))
    assert len(orthanc.stored()) == 2
    assert len(orthanc.arrivals()) == 4  # which shows that arrivals are counted


@pytest.mark.parametrize("way", WAYS)
def test_a_node_that_does_not_answer(way: str, our_port: int) -> None:
    port = free_port()
    nodes = {"pacs": {"ae_title": "ORTHANC", "port": port}, "web": {"url": f"http://127.0.0.1:{port}/dicom-web"}}
    node = open_node(settings(our_port, nodes=nodes), way)
    for ask in (node.echo, lambda: node.find(Query(modality="MR")), lambda: node.holds("1", "2", "3")):
        with pytest.raises(Unavailable, match=f"node {way}: does not answer"):
            ask()


def test_a_node_that_does_not_know_us(orthanc: Orthanc, our_port: int) -> None:
    node = {"ae_title": "ELSEWHERE", "port": orthanc.port}
    with pytest.raises(Unavailable, match=r"node pacs: rejects us \(are our AE titles known there\?\)"):
        open_node(settings(our_port, nodes={"pacs": node}), "pacs").echo()


@pytest.mark.parametrize("way", WAYS)
def test_a_refusal_is_told_and_the_rest_goes_on(way: str, orthanc: Orthanc, our_port: int, tmp_path: Path) -> None:
    write_study(tmp_path / "sent", "one", slices=2)
    first, second = sorted((tmp_path / "sent").iterdir())
    ds = dcmread(first)
    ds.SOPClassUID = ds.file_meta.MediaStorageSOPClassUID = "1.2.3.4"  # no class that anybody knows
    del ds.PixelData
    ds.save_as(first)
    node = open_node(settings(our_port, nodes=orthanc.nodes()), way)
    answers = dict(node.send([first, second]))
    assert answers[second] == ""
    if way == "pacs":
        assert answers[first] == "node pacs does not take this kind of object or its transfer syntax"
