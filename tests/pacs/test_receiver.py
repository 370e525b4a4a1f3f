"""Who may send, what is taken, and with which status (DICOM PS3.4, B.2.3; PS3.8, 9.3.4)."""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path

import pytest
from clinic import certificates, dcmtk, judge, listening, settings, storescu, uid, wait_for, write_study
from pydicom import dcmread
from pydicom.uid import Comprehensive3DSRStorage, JPEG2000Lossless, MRImageStorage, RLELossless
from pynetdicom import AE
from pynetdicom.association import Association
from pynetdicom.dimse_primitives import C_STORE

from anogan.pacs import open_node
from anogan.pacs.listener import Listener
from anogan.pacs.nodes import Unavailable
from anogan.pacs.receiver import decodable, image_classes


@pytest.fixture
def mr(tmp_path: Path) -> Path:
    write_study(tmp_path / "sent", "one", slices=1)
    (path,) = (tmp_path / "sent").iterdir()
    return path


@contextmanager
def association(
    port: int, called: str = "ANOGAN", calling: str = "SCANNER", **options: object
) -> Iterator[Association]:
    ae = AE(calling)
    ae.add_requested_context(MRImageStorage)
    ae.add_requested_context(Comprehensive3DSRStorage)
    assoc = ae.associate("127.0.0.1", port, ae_title=called)
    yield assoc
    if assoc.is_established:
        assoc.release()


def raw_store(assoc: Association, data: bytes, instance: str) -> int | None:
    """Send bytes that need be no data set, and return the status."""
    request = C_STORE()
    request.MessageID, request.Priority = 1, 2
    request.AffectedSOPClassUID, request.AffectedSOPInstanceUID = MRImageStorage, instance
    request.DataSet = BytesIO(data)
    (context,) = (each for each in assoc.accepted_contexts if each.abstract_syntax == MRImageStorage)
    assoc._reactor_checkpoint.clear()  # as send_c_store does: the answer is ours to read
    wait_for(lambda: assoc._is_paused)
    assoc.dimse.send_msg(request, context.context_id)
    _, answer = assoc.dimse.get_msg(block=True)
    assoc._reactor_checkpoint.set()
    return None if answer is None else answer.Status


def element(group: int, number: int, value: bytes, length: int | None = None) -> bytes:
    """Return an element in Implicit VR Little Endian."""
    return struct.pack("<HHL", group, number, len(value) if length is None else length) + value


@pytest.mark.parametrize(
    ("called", "calling", "hosts", "result"),
    [
        ("ANOGAN", "SCANNER", ["127.0.0.1"], None),
        ("ANOGAN", "SCANNER", [], None),
        ("ANOGAN", "STRANGER", [], (1, 1, 3)),
        ("ANOGAN", "SCANNER", ["10.0.0.5"], (1, 1, 3)),
        ("OTHER", "SCANNER", [], (1, 1, 7)),
    ],
)
def test_callers_are_checked(
    called: str, calling: str, hosts: list[str], result: tuple | None, our_port: int, tmp_path: Path
) -> None:
    chosen = settings(our_port, peers=[{"ae_title": "SCANNER", "hosts": hosts}])
    with listening(chosen, tmp_path), association(our_port, called, calling) as assoc:
        if result is None:
            assert assoc.is_established
        else:
            assert assoc.is_rejected
            said = assoc.acceptor.primitive
            assert said is not None
            assert (said.result, said.result_source, said.diagnostic) == result


def test_foreign_clients_are_answered(our_port: int, mr: Path, tmp_path: Path) -> None:
    with listening(settings(our_port), tmp_path / "store"):
        dcmtk("echoscu", "-aet", "SCANNER", "-aec", "ANOGAN", "127.0.0.1", our_port)
        said = dcmtk("echoscu", "-aet", "STRANGER", "-aec", "ANOGAN", "127.0.0.1", our_port, expect=None)
        assert "Calling AE Title Not Recognized" in said
        storescu(our_port, mr)


def test_only_images_are_accepted_in_all_syntaxes_that_can_be_decoded(our_port: int, tmp_path: Path) -> None:
    assert MRImageStorage in image_classes()
    assert Comprehensive3DSRStorage not in image_classes()
    assert {JPEG2000Lossless, RLELossless, "1.2.840.10008.1.2.4.201", "1.2.840.10008.1.2.4.70"} < set(decodable())
    assert "1.2.840.10008.1.2.4.102" not in decodable()  # MPEG-4
    with listening(settings(our_port), tmp_path), association(our_port) as assoc:
        assert [context.abstract_syntax for context in assoc.accepted_contexts] == [MRImageStorage]


def test_a_compressed_object_is_stored_as_it_came(our_port: int, mr: Path, tmp_path: Path) -> None:
    ds = dcmread(mr)
    ds.compress(RLELossless)
    ds.save_as(tmp_path / "rle.dcm")
    with listening(settings(our_port), tmp_path / "store") as listener:
        dcmtk("storescu", "-xr", "-aet", "SCANNER", "-aec", "ANOGAN", "127.0.0.1", our_port, tmp_path / "rle.dcm")
        (path,) = (listener.store.place(uid("one")) / "objects").iterdir()
    stored = dcmread(path)
    assert stored.file_meta.TransferSyntaxUID == RLELossless
    assert stored.PixelData == ds.PixelData


def send(listener: Listener, port: int, path: Path) -> int | None:
    with association(port) as assoc:
        return assoc.send_c_store(path).get("Status")


def test_a_full_store_says_so_and_keeps_nothing(our_port: int, mr: Path, tmp_path: Path) -> None:
    limits = {"store_gigabytes": 2.5 * mr.stat().st_size / 1e9}
    write_study(tmp_path / "more", "one", slices=4)
    with listening(settings(our_port, limits=limits), tmp_path / "store") as listener:
        said = [send(listener, our_port, path) for path in sorted((tmp_path / "more").iterdir())]
        assert said == [0x0000, 0x0000, 0xA700, 0xA700]
        assert send(listener, our_port, mr) == 0x0000  # a duplicate takes no room
        assert len(list((listener.store.place(uid("one")) / "objects").iterdir())) == 2
        assert not list(listener.store.incoming.iterdir())


def test_an_object_over_the_limit_is_cut_off(our_port: int, mr: Path, tmp_path: Path) -> None:
    ds = dcmread(mr)
    ds.Rows, ds.Columns, ds.PixelData = 512, 512, bytes(512 * 512 * 2)
    ds.save_as(tmp_path / "large.dcm")
    limits = {"object_megabytes": 0.2}
    with listening(settings(our_port, limits=limits), tmp_path / "store") as listener:
        with association(our_port) as assoc:
            assert assoc.send_c_store(tmp_path / "large.dcm").get("Status") is None
            wait_for(lambda: not list(listener.store.incoming.iterdir()))
        assert not listener.store.queue.entries()
        assert send(listener, our_port, mr) == 0x0000  # the limit is on each object


def test_bad_objects_get_their_status(our_port: int, mr: Path, tmp_path: Path) -> None:
    instance = uid("one 0")
    head = element(8, 0x16, MRImageStorage.encode() + b"\0") + element(8, 0x18, instance.encode())
    study, series = (element(0x20, number, b"2.25.1") for number in (0xD, 0xE))
    nested = (element(8, 0x1140, b"", 0xFFFFFFFF) + element(0xFFFE, 0xE000, b"", 0xFFFFFFFF)) * 20000
    cases = {
        b"no data set at all": 0xC000,
        head + series: 0xC000,  # no study
        head + element(0x20, 0xD, b"1." * 500) + series: 0xC000,
        head + element(0x20, 0xD, b"../../../etc/passwd") + series: 0xC000,
        head + nested: 0xC000,
        head + element(9, 0x1001, b"short", 0xFFFFFF00) + study + series: 0xC000,  # says that it is 4 GB long
        element(8, 0x16, b"1.2.3\0") + element(8, 0x18, instance.encode()) + study + series: 0xA900,
        element(8, 0x16, MRImageStorage.encode() + b"\0") + element(8, 0x18, b"1.2.3\0") + study + series: 0xA900,
        head + study + series: 0x0000,
        head + element(0x20, 0xD, b"2.25.2") + series: 0x0000,  # the same object, in another study: quarantined
    }
    with listening(settings(our_port), tmp_path / "store", judge) as listener:
        for data, status in cases.items():
            with association(our_port) as assoc:
                assert raw_store(assoc, data, instance) == status, data[:200]
        entries = [(entry.uid, entry.state, entry.objects) for entry in listener.store.queue.entries()]
        assert entries == [("2.25.1", "receiving", 1), ("2.25.2", "quarantined", 0)]
        assert not list(listener.store.incoming.iterdir())


def test_tls_wants_certificates_of_both_sides(our_port: int, mr: Path, tmp_path: Path) -> None:
    ours, stranger = certificates(tmp_path / "ours"), certificates(tmp_path / "stranger")
    chosen = settings(our_port, tls=ours)
    secure = ("storescu", "-aet", "SCANNER", "-aec", "ANOGAN", "+tls", ours["key"], ours["certificate"])
    with listening(chosen, tmp_path / "store") as listener:
        dcmtk(*secure, "+cf", ours["authorities"], "127.0.0.1", our_port, mr)
        assert [entry.objects for entry in listener.store.queue.entries()] == [1]
        storescu(our_port, mr, expect=None)  # plain
        dcmtk(
            *("storescu", "-aet", "SCANNER", "-aec", "ANOGAN", "+tls", stranger["key"], stranger["certificate"]),
            *("+cf", ours["authorities"], "127.0.0.1", our_port, mr),
            expect=1,
        )
        dcmtk(*secure, "+cf", ours["authorities"], "127.0.0.1", our_port, mr)  # it still serves
        node = {"ae_title": "ANOGAN", "port": our_port, "tls": True}
        open_node(settings(our_port, ae_title="SCANNER", tls=ours, nodes={"us": node}), "us").echo()
        with pytest.raises(Unavailable):
            open_node(settings(our_port, ae_title="SCANNER", tls=stranger, nodes={"us": node}), "us").echo()


@pytest.mark.parametrize("missing", ["AffectedSOPInstanceUID", "AffectedSOPClassUID"])
def test_a_request_that_does_not_name_what_it_sends_gets_a_status(
    our_port: int, mr: Path, tmp_path: Path, missing: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    died: list[object] = []
    monkeypatch.setattr(threading, "excepthook", died.append)
    with listening(settings(our_port), tmp_path / "store") as listener:
        with association(our_port) as assoc:
            request = C_STORE()
            request.MessageID, request.Priority = 1, 2
            request.AffectedSOPClassUID, request.AffectedSOPInstanceUID = MRImageStorage, uid("one 0")
            request.DataSet = BytesIO(mr.read_bytes()[400:])
            setattr(request, missing, None)
            (context,) = (each for each in assoc.accepted_contexts if each.abstract_syntax == MRImageStorage)
            assoc._reactor_checkpoint.clear()
            wait_for(lambda: assoc._is_paused)
            assoc.dimse.send_msg(request, context.context_id)
            _, answer = assoc.dimse.get_msg(block=True)
            assoc._reactor_checkpoint.set()
            assert answer is not None
            assert answer.Status == 0xA900
        assert died == []
        assert not list(listener.store.incoming.iterdir())
        assert send(listener, our_port, mr) == 0x0000


def test_a_unit_is_bounded_before_it_is_buffered(our_port: int, mr: Path, tmp_path: Path) -> None:
    """One that says that it is 4 GB long is cut off at once, whatever the association's state."""
    with listening(settings(our_port), tmp_path / "store") as listener:
        for kind in (1, 4, 7):
            with socket.create_connection(("127.0.0.1", our_port), 600) as line:
                line.sendall(struct.pack(">BBL", kind, 0, 0xFFFFFFFF))
                with contextlib.suppress(ConnectionError):
                    for _ in range(64):
                        line.sendall(bytes(1 << 16))
                with contextlib.suppress(ConnectionError):
                    line.settimeout(600)
                    while line.recv(4096):
                        pass
        assert send(listener, our_port, mr) == 0x0000


def test_a_unit_that_comes_too_slowly_is_given_up(
    our_port: int, mr: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("anogan.pacs.receiver.PDU_SECONDS", 0.2)
    with listening(settings(our_port), tmp_path / "store") as listener:
        lines = [socket.create_connection(("127.0.0.1", our_port), 600) for _ in range(4)]
        for line in lines:
            line.sendall(struct.pack(">BBL", 1, 0, 1000) + bytes(10))
        for line in lines:
            with contextlib.suppress(ConnectionError):
                while line.recv(4096):  # ends, because the listener hangs up
                    pass
            line.close()
        assert send(listener, our_port, mr) == 0x0000
