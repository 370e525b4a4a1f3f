"""Malformed units and commands, byte by byte: each costs its sender the association, and nobody else anything.

By hand from DICOM PS3.8, 9.3 (units) and PS3.7, 6.3 and E (commands).
"""

from __future__ import annotations

import logging
import socket
import struct
import threading
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
from clinic import judge, listening, settings, uid, wait_for, write_study
from pydicom import dcmread
from pydicom.uid import ImplicitVRLittleEndian, MRImageStorage
from pynetdicom.dsutils import split_dataset

from anogan.cli.console import free_port

MR, ECHO, FIND, SYNTAX = str(MRImageStorage), "1.2.840.10008.1.1", "1.2.840.10008.5.1.4.1.2.2.1", "1.2.840.10008.1.2"
STORE, VERIFY = 1, 3  # presentation contexts
CLASS, FIELD, ID, PRIORITY, FLAG, INSTANCE = 0x2, 0x100, 0x110, 0x700, 0x800, 0x1000


def unit(kind: int, body: bytes) -> bytes:
    return struct.pack(">BBL", kind, 0, len(body)) + body


def item(kind: int, body: bytes) -> bytes:
    return struct.pack(">BBH", kind, 0, len(body)) + body


def request(*contexts: tuple[int, str, list[str]]) -> bytes:
    """Return an A-ASSOCIATE-RQ with presentation contexts (id, abstract syntax, transfer syntaxes)."""
    body = struct.pack(">HH", 1, 0) + b"ANOGAN".ljust(16) + b"SCANNER".ljust(16) + bytes(32)
    body += item(0x10, b"1.2.840.10008.3.1.1.1")
    for number, abstract, transfer in contexts:
        names = item(0x30, abstract.encode()) + b"".join(item(0x40, name.encode()) for name in transfer)
        body += item(0x20, bytes([number, 0, 0, 0]) + names)
    return unit(1, body + item(0x50, item(0x51, struct.pack(">L", 16384)) + item(0x52, b"1.2.3")))


ASKED = request((STORE, MR, [SYNTAX]), (VERIFY, ECHO, [SYNTAX]))


def fragment(context: int, control: int, body: bytes) -> bytes:
    """Return a P-DATA-TF of one fragment; control: 1 command, 2 last, 3 both, 0 neither."""
    return unit(4, struct.pack(">LBB", len(body) + 2, context, control) + body)


def short(number: int) -> bytes:
    return struct.pack("<H", number)


def element(number: int, value: bytes) -> bytes:
    value += b"\0" * (len(value) % 2)
    return struct.pack("<HHL", 0, number, len(value)) + value


def command(basis: dict[int, bytes], changes: dict[int, bytes | None] | None = None) -> bytes:
    chosen = {number: value for number, value in (basis | (changes or {})).items() if value is not None}
    body = b"".join(element(number, chosen[number]) for number in sorted(chosen))
    return element(0, struct.pack("<L", len(body))) + body


TO_STORE = {
    CLASS: MR.encode(), FIELD: short(1), ID: short(1), PRIORITY: short(0), FLAG: short(0),
    INSTANCE: uid("one 0").encode(),
}  # fmt: skip
TO_ECHO = {CLASS: ECHO.encode(), FIELD: short(0x30), ID: short(1), FLAG: short(0x101)}


@pytest.fixture(scope="module")
def listener(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SimpleNamespace]:
    folder = tmp_path_factory.mktemp("malformed")
    write_study(folder / "sent", "one", slices=1)
    (path,) = (folder / "sent").iterdir()
    ds = dcmread(path)
    ds.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian
    ds.save_as(path, implicit_vr=True, little_endian=True)
    _, start = split_dataset(path)
    port = free_port()
    with listening(settings(port, quiet=9999), folder / "store", judge) as running:
        yield SimpleNamespace(port=port, incoming=running.store.incoming, body=path.read_bytes()[start:])


def read(line: socket.socket) -> str:
    """Return what the next unit is; "" where the connection ends without one."""

    def exactly(count: int) -> bytes:
        found = b""
        while len(found) < count and (more := line.recv(count - len(found))):
            found += more
        return found

    try:
        head = exactly(6)
        if len(head) < 6:
            return ""
        kind, _, length = struct.unpack(">BBL", head)
        body = exactly(length)
    except ConnectionError:
        return ""
    if kind == 4:
        at = body.index(struct.pack("<HHL", 0, 0x900, 2)) + 8
        return f"{struct.unpack('<H', body[at : at + 2])[0]:04X}"
    return {2: "accepted", 3: "rejected", 6: "released", 7: "aborted"}[kind]


def talk(listener: SimpleNamespace, *sent: bytes, asked: bytes = ASKED) -> list[str]:
    """Open an association, send units, and return what is answered until something is."""
    with socket.create_connection(("127.0.0.1", listener.port), 600) as line:
        line.sendall(asked)
        answers = [read(line)]
        if answers == ["accepted"]:
            for units in sent:
                line.sendall(units)
            answers.append(read(line))
    return answers


def serves(listener: SimpleNamespace) -> bool:
    return talk(listener, fragment(VERIFY, 3, command(TO_ECHO))) == ["accepted", "0000"]


@pytest.fixture
def unharmed(
    listener: SimpleNamespace, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> Iterator[None]:
    """Look afterwards whether a thread ended, a file or an association was left, or more than one line was logged."""
    died: list[str] = []
    monkeypatch.setattr(threading, "excepthook", lambda end: died.append(f"{end.exc_type.__name__}: {end.exc_value}"))
    before = threading.active_count()
    with caplog.at_level(logging.INFO):
        yield
        wait_for(lambda: not [*listener.incoming.iterdir()])
        wait_for(lambda: threading.active_count() <= before)
    lines = [record.getMessage() for record in caplog.records]
    assert died == []
    assert len(lines) <= 1
    assert "Doe" not in "".join(lines)
    assert serves(listener)


@pytest.mark.usefixtures("unharmed")
@pytest.mark.parametrize(
    ("changes", "answer"),
    [
        ({}, "0000"),
        ({CLASS: None}, "A900"),
        ({CLASS: b"Doe^Jane"}, "aborted"),
        ({CLASS: b"1." * 40}, "aborted"),
        ({CLASS: b"\xff\xfe\xfd"}, "aborted"),
        ({INSTANCE: None}, "A900"),
        ({INSTANCE: b"Doe^Jane"}, "C000"),
        ({INSTANCE: b"1" * 200}, "aborted"),
        ({INSTANCE: b"1.2\\1.3"}, "C000"),
        ({ID: None}, "aborted"),
        ({ID: b""}, "aborted"),
        ({PRIORITY: b"HIGH"}, "aborted"),
        ({PRIORITY: b""}, "aborted"),
        ({PRIORITY: short(9)}, "aborted"),
        ({FLAG: None}, "aborted"),
        ({FIELD: None}, "aborted"),
        ({FIELD: b""}, "aborted"),
        ({FIELD: b"AB"}, "aborted"),
        ({FIELD: b"ABCD"}, "aborted"),
        ({FIELD: short(0x7777)}, "aborted"),
        ({FIELD: short(0x8001)}, "aborted"),  # an answer that nobody waits for
        ({FIELD: short(0x110)}, "aborted"),  # N-GET
        ({FIELD: short(0x130)}, "aborted"),  # N-ACTION
        ({FIELD: short(0x100), CLASS: None, INSTANCE: None}, "aborted"),  # N-EVENT-REPORT of nothing
    ],
)
def test_a_command_to_store(listener: SimpleNamespace, changes: dict[int, bytes | None], answer: str) -> None:
    sent = fragment(STORE, 3, command(TO_STORE, changes)) + fragment(STORE, 2, listener.body)
    # A system that hangs up with something unread resets the connection, which may overtake the abort.
    assert talk(listener, sent)[1] in ((answer, "") if answer == "aborted" else (answer,))


@pytest.mark.usefixtures("unharmed")
@pytest.mark.parametrize(
    "sent",
    [
        fragment(STORE, 3, b""),
        fragment(STORE, 3, b"\xff" * 40),
        fragment(STORE, 3, command(TO_STORE)[:40]),
        fragment(99, 3, command(TO_STORE)) + fragment(99, 2, b"Doe^Jane"),
        fragment(2, 3, command(TO_STORE)),
        fragment(STORE, 3, command(TO_STORE)) + fragment(VERIFY, 2, b"Doe^Jane"),  # its data in another context
        fragment(STORE, 2, b"Doe^Jane") + fragment(STORE, 3, command(TO_STORE)),
        fragment(STORE, 1, command(TO_STORE)[:20]) + fragment(STORE, 2, b"Doe^Jane"),
        unit(4, struct.pack(">L", 0)),
        unit(4, struct.pack(">LB", 1, STORE)),
        unit(4, struct.pack(">LBB", 5000, STORE, 3) + b"cut"),
        fragment(VERIFY, 3, command(TO_ECHO, {CLASS: None})),
        fragment(VERIFY, 3, command(TO_ECHO, {CLASS: b"1.2.3"})),
        fragment(VERIFY, 3, command(TO_ECHO, {ID: None})),
        fragment(VERIFY, 3, command(TO_ECHO, {CLASS: FIND.encode(), FIELD: short(0x20), PRIORITY: b"HIGH"})),
        fragment(VERIFY, 3, command(TO_ECHO, {CLASS: None, FIELD: short(0x20)})),
        fragment(VERIFY, 3, command(TO_ECHO, {CLASS: b"1.2.840.10008.5.1.4.1.2.2.2", FIELD: short(0x21)})),
        unit(0x55, b"what"),
        unit(7, b""),
        ASKED,
    ],
)
def test_units_out_of_place(listener: SimpleNamespace, sent: bytes) -> None:
    assert talk(listener, sent)[1] in ("aborted", "")


@pytest.mark.usefixtures("unharmed")
def test_an_object_of_which_no_data_come(listener: SimpleNamespace) -> None:
    assert talk(listener, fragment(STORE, 3, command(TO_STORE, {FLAG: short(0x101)}))) == ["accepted", "C000"]


@pytest.mark.usefixtures("unharmed")
@pytest.mark.parametrize("length", [0, 7, 0xFFFFFFFF])
def test_a_group_length_that_is_wrong_decides_nothing(listener: SimpleNamespace, length: int) -> None:
    sent = element(0, struct.pack("<L", length)) + command(TO_ECHO)[12:]
    assert talk(listener, fragment(VERIFY, 3, sent)) == ["accepted", "0000"]


@pytest.mark.usefixtures("unharmed")
@pytest.mark.parametrize("end", [unit(7, bytes(4)), unit(5, bytes(4)), b""], ids=["abort", "release", "hang up"])
@pytest.mark.parametrize("control", [0, 2], ids=["within an object", "after it"])
def test_who_leaves_at_once_leaves_no_file(listener: SimpleNamespace, end: bytes, control: int) -> None:
    with socket.create_connection(("127.0.0.1", listener.port), 600) as line:
        line.sendall(ASKED)
        assert read(line) == "accepted"
        line.sendall(fragment(STORE, 3, command(TO_STORE)) + fragment(STORE, control, listener.body) + end)


@pytest.mark.usefixtures("unharmed")
@pytest.mark.parametrize(
    ("asked", "accepted"),
    [
        (request(*((2 * number % 256 + 1, MR, [SYNTAX]) for number in range(1000)), (VERIFY, ECHO, [SYNTAX])), True),
        (request(), False),
        (request((0, MR, [SYNTAX])), False),
        (request((2, MR, [SYNTAX])), False),
        (request((STORE, MR, [])), False),
        (request((STORE, "Doe^Jane", [SYNTAX])), False),
        (request((STORE, "", [SYNTAX])), False),
        (request((STORE, "1." * 50, [SYNTAX])), False),
        (unit(1, b""), False),
        (ASKED[:74] + struct.pack(">BBH", 0x10, 0, 60000) + ASKED[78:], False),
    ],
)
def test_a_request_for_an_association(listener: SimpleNamespace, asked: bytes, accepted: bool) -> None:
    answers = talk(listener, fragment(VERIFY, 3, command(TO_ECHO)), asked=asked)
    assert answers[-1] in (("0000",) if accepted else ("aborted", "rejected", ""))


def test_the_places_of_those_who_failed_are_free_again(tmp_path: Path) -> None:
    port = free_port()
    with listening(settings(port, limits={"associations": 1}), tmp_path / "store", judge):
        place = SimpleNamespace(port=port)
        for _ in range(3):
            talk(place, fragment(STORE, 3, command(TO_STORE, {FIELD: None})))
            wait_for(lambda: serves(place))
