"""A storage SCP (DICOM PS3.4, annex B): what others send, as files that are not decoded."""

from __future__ import annotations

import ssl
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pydicom.dataset import Dataset
from pydicom.uid import UID
from pynetdicom import AE, _config, dimse_messages, evt
from pynetdicom._globals import ALL_TRANSFER_SYNTAXES
from pynetdicom.dimse_primitives import C_STORE
from pynetdicom.dsutils import decode
from pynetdicom.sop_class import _STORAGE_CLASSES, Verification  # type: ignore[attr-defined]
from sqlalchemy.exc import SQLAlchemyError

from anogan.io.dicom.decoding import can_decode
from anogan.io.dicom.quiet import silent
from anogan.pacs.associations import guard
from anogan.pacs.header import Header, read_header
from anogan.pacs.settings import TLS, Settings
from anogan.pacs.store import Full

# An object goes into a file as it arrives, not into memory; no identifier is written into a log.
_config.STORE_RECV_CHUNKED_DATASET = True
_config.LOG_REQUEST_IDENTIFIERS = _config.LOG_RESPONSE_IDENTIFIERS = False

MOST_PDU = 1 << 20
"""Bytes of a protocol data unit. Requests of all storage classes take a quarter; data come in units of 16 kB."""
PDU_SECONDS = 30.0
"""In which a unit has to be there once it has begun (the ARTIM timer, PS3.8, 9.1.5)."""
C_STORE_RQ = 0x0001  # the command field (PS3.7, E.1)
_UNNAMED = UID("0.0")  # what a request that names no object or class is kept under until it is refused

SUCCESS, OUT_OF_RESOURCES, OTHER_CLASS, CANNOT_UNDERSTAND = 0x0000, 0xA700, 0xA900, 0xC000  # PS3.4, B.2.3


def _decoded(*arguments: Any) -> Dataset:
    """Return a data set as pynetdicom decodes it; a request to store that does not name what it sends gets names.

    Without them pynetdicom would end in a traceback, and its sender would get no answer.
    """
    ds = decode(*arguments)
    if ds.get("CommandField") == C_STORE_RQ:
        for keyword in ("AffectedSOPClassUID", "AffectedSOPInstanceUID"):
            if not ds.get(keyword):
                setattr(ds, keyword, _UNNAMED)
    return ds


dimse_messages.decode = _decoded  # type: ignore[assignment]

Keep = Callable[[Path, Header], object]


def image_classes() -> list[str]:
    """Return the UIDs of the storage classes of images; results such as SEG and SR are none."""
    return sorted(uid for keyword, uid in _STORAGE_CLASSES.items() if "ImageStorage" in keyword)


def decodable() -> list[str]:
    """Return the transfer syntaxes that can be decoded here, Explicit VR Little Endian first."""
    explicit, implicit = "1.2.840.10008.1.2.1", "1.2.840.10008.1.2"
    return [
        explicit,
        implicit,
        *(uid for uid in ALL_TRANSFER_SYNTAXES if uid not in (explicit, implicit) and can_decode(UID(uid))),
    ]


class Receiver:
    """Accepts C-STORE and C-ECHO from the peers of the settings, and from `trusted` AE titles.

    Parameters
    ----------
    settings
        AE title, address, peers, limits and TLS.
    folder
        Where objects lie while they arrive.
    keep
        Called with each file and its header; moves the file away. Full means out of resources, another ValueError that
        the object is refused.
    trusted
        AE titles of any host that may send too.
    """

    def __init__(self, settings: Settings, folder: Path, keep: Keep, trusted: tuple[str, ...] = ()) -> None:
        self.settings, self.folder, self.keep = settings, folder, keep
        self._hosts = {peer.ae_title: peer.hosts for peer in settings.peers} | dict.fromkeys(trusted, ())
        self._arrived: dict[Any, int] = {}  # bytes of the message that each association is sending
        self._unnamed: set[Any] = set()  # associations whose last request did not name what it sends

    @contextmanager
    def running(self) -> Iterator[None]:
        """Listen until the block is left.

        Raises
        ------
        ValueError
            The address cannot be listened on.
        """
        settings = self.settings
        ae = AE(settings.ae_title)
        ae.require_called_aet = True
        ae.maximum_associations = settings.limits.associations
        ae.add_supported_context(Verification)
        for uid in image_classes():
            ae.add_supported_context(uid, decodable())
        handlers: list[evt.EventHandlerType] = [
            (evt.EVT_CONN_OPEN, _bound_units),
            (evt.EVT_CONN_OPEN, lambda event: guard(event.assoc)),
            (evt.EVT_REQUESTED, self._check_caller),
            (evt.EVT_PDU_RECV, self._check_size),
            (evt.EVT_DIMSE_RECV, self._end_of_message),
            (evt.EVT_CONN_CLOSE, self._end_of_connection),
            (evt.EVT_C_STORE, self.store),
        ]
        with silent("pynetdicom"), silent("pydicom"), receiving_into(self.folder):
            try:
                context = None if settings.tls is None else tls_context(settings.tls, server=True)
                ae.start_server((settings.host, settings.port), block=False, evt_handlers=handlers, ssl_context=context)
            except OSError as error:
                raise ValueError(
                    f"{settings.host} port {settings.port}: cannot listen there ({error.strerror or error}); "
                    "is another listener running?"
                ) from None
            try:
                yield
            finally:
                ae.shutdown()

    def _check_caller(self, event: evt.Event) -> None:
        assoc = event.assoc
        assert assoc.requestor.primitive is not None
        title, host = assoc.requestor.primitive.calling_ae_title.strip(), assoc.requestor.address
        hosts = self._hosts.get(title)
        if hosts is None or (hosts and host not in hosts):
            assoc.acse.send_reject(0x01, 0x01, 0x03)  # calling AE title not recognized (PS3.8, 9.3.4)
            assoc.kill()

    def _check_size(self, event: evt.Event) -> None:
        size = self._arrived.get(event.assoc, 0) + getattr(event.pdu, "pdu_length", 0)
        self._arrived[event.assoc] = size
        contexts = {part.presentation_context_id for part in getattr(event.pdu, "presentation_data_value_items", ())}
        begun = getattr(event.assoc.dimse.message, "context_id", None)  # a message has one context (PS3.8, E.2)
        if size > self.settings.limits.object_megabytes * 1e6 or (begun is not None and contexts - {begun}):
            event.assoc.abort()

    def _end_of_message(self, event: evt.Event) -> None:
        self._arrived.pop(event.assoc, None)
        if isinstance(message := event.message, dimse_messages.C_STORE_RQ):
            command: Any = message.command_set
            if _UNNAMED not in (command.AffectedSOPClassUID, command.AffectedSOPInstanceUID):
                return
            self._unnamed.add(event.assoc)
            # The class of its context leads it to `store`, which refuses it.
            context = next(cx for cx in event.assoc.accepted_contexts if cx.context_id == message.context_id)
            command.AffectedSOPClassUID = context.abstract_syntax

    def _end_of_connection(self, event: evt.Event) -> None:
        self._arrived.pop(event.assoc, None)
        self._unnamed.discard(event.assoc)
        unfinished = getattr(event.assoc.dimse.message, "_data_set_path", None)  # pynetdicom would leave it there
        if unfinished is not None:
            unfinished.unlink(missing_ok=True)

    def store(self, event: evt.Event) -> int:
        if event.assoc in self._unnamed:
            self._unnamed.discard(event.assoc)
            return OTHER_CLASS
        try:
            path: Path = event.dataset_path
            header = read_header(path)
        except (ValueError, TypeError, AttributeError, OSError):  # or there is no data set at all
            return CANNOT_UNDERSTAND
        said = event.request
        assert isinstance(said, C_STORE)
        if (header.sop_class, header.uid) != (said.AffectedSOPClassUID, said.AffectedSOPInstanceUID):
            return OTHER_CLASS
        try:
            self.keep(path, header)
        except (Full, OSError, SQLAlchemyError):
            return OUT_OF_RESOURCES
        except ValueError:
            return CANNOT_UNDERSTAND
        return SUCCESS


def _bound_units(event: evt.Event) -> None:
    """Let the connection read no unit that is too long, or that comes too slowly: both would be held in memory."""
    connection: Any = event.assoc.dul.socket

    def receive(count: int) -> bytearray:
        line, end, data = connection.socket, time.monotonic() + PDU_SECONDS, bytearray()
        if count > MOST_PDU:
            connection.close()
            raise OSError("a protocol data unit is too long")
        before = line.gettimeout()
        try:
            while len(data) < count:
                line.settimeout(max(end - time.monotonic(), 1e-3))
                some = line.recv(min(count - len(data), 1 << 16))
                if not some:
                    break
                data += some
            line.settimeout(before)
        except OSError:
            connection.close()
            raise
        return data

    connection.recv = receive


@contextmanager
def receiving_into(folder: Path) -> Iterator[None]:
    """Let pynetdicom write what arrives into a folder; it knows of no other way than the process's temporary one."""
    before, tempfile.tempdir = tempfile.tempdir, str(folder)
    try:
        yield
    finally:
        tempfile.tempdir = before


def tls_context(tls: TLS, server: bool = False) -> ssl.SSLContext:
    """Return a TLS context in which both sides show certificates (PS3.15, B.12).

    Raises
    ------
    ValueError
        A file is not what it should be.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER if server else ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.verify_mode = ssl.CERT_REQUIRED
    try:
        context.load_cert_chain(tls.certificate, tls.key)
        context.load_verify_locations(tls.authorities)
    except OSError as error:  # ssl.SSLError is one
        raise ValueError(f"{tls.certificate.parent}: certificate, key or authorities do not fit ({error})") from None
    return context
