"""A storage SCP (DICOM PS3.4, annex B): what others send, as files that are not decoded."""

from __future__ import annotations

import ssl
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pydicom.pixels import get_decoder
from pydicom.uid import UID
from pynetdicom import AE, _config, evt
from pynetdicom._globals import ALL_TRANSFER_SYNTAXES
from pynetdicom.dimse_primitives import C_STORE
from pynetdicom.sop_class import _STORAGE_CLASSES, Verification  # type: ignore[attr-defined]
from sqlalchemy.exc import SQLAlchemyError

from anogan.pacs.header import Header, read_header
from anogan.pacs.settings import TLS, Settings
from anogan.pacs.store import Full

# An object goes into a file as it arrives, not into memory; no identifier is written into a log.
_config.STORE_RECV_CHUNKED_DATASET = True
_config.LOG_REQUEST_IDENTIFIERS = _config.LOG_RESPONSE_IDENTIFIERS = False

SUCCESS, OUT_OF_RESOURCES, OTHER_CLASS, CANNOT_UNDERSTAND = 0x0000, 0xA700, 0xA900, 0xC000  # PS3.4, B.2.3

Keep = Callable[[Path, Header], object]


def image_classes() -> list[str]:
    """Return the UIDs of the storage classes of images; results such as SEG and SR are none."""
    return sorted(uid for keyword, uid in _STORAGE_CLASSES.items() if "ImageStorage" in keyword)


def decodable() -> list[str]:
    """Return the transfer syntaxes that pydicom can decode here, Explicit VR Little Endian first."""
    explicit, implicit = "1.2.840.10008.1.2.1", "1.2.840.10008.1.2"
    return [
        explicit,
        implicit,
        *(uid for uid in ALL_TRANSFER_SYNTAXES if uid not in (explicit, implicit) and _can(uid)),
    ]


def _can(uid: str) -> bool:
    try:
        return bool(get_decoder(UID(uid)).is_available)
    except NotImplementedError:
        return False


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
            (evt.EVT_REQUESTED, self._check_caller),
            (evt.EVT_PDU_RECV, self._check_size),
            (evt.EVT_DIMSE_RECV, self._end_of_message),
            (evt.EVT_CONN_CLOSE, self._end_of_connection),
            (evt.EVT_C_STORE, self.store),
        ]
        with receiving_into(self.folder):
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
        if size > self.settings.limits.object_megabytes * 1e6:
            event.assoc.abort()

    def _end_of_message(self, event: evt.Event) -> None:
        self._arrived.pop(event.assoc, None)

    def _end_of_connection(self, event: evt.Event) -> None:
        self._end_of_message(event)
        unfinished = getattr(event.assoc.dimse.message, "_data_set_path", None)  # pynetdicom would leave it there
        if unfinished is not None:
            unfinished.unlink(missing_ok=True)

    def store(self, event: evt.Event) -> int:
        path: Path = event.dataset_path
        try:
            header = read_header(path)
        except ValueError:
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
