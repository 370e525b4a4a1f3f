"""A node that speaks DIMSE (DICOM PS3.7): C-ECHO, C-FIND, C-GET, C-MOVE and C-STORE."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pydicom.dataset import Dataset
from pydicom.uid import (
    Comprehensive3DSRStorage,
    ComprehensiveSRStorage,
    DeflatedExplicitVRLittleEndian,
    EnhancedSRStorage,
    ExplicitVRLittleEndian,
    GrayscaleSoftcopyPresentationStateStorage,
    ImplicitVRLittleEndian,
    KeyObjectSelectionDocumentStorage,
    ParametricMapStorage,
    SegmentationStorage,
)
from pynetdicom import AE, build_role, evt
from pynetdicom.association import Association
from pynetdicom.sop_class import StudyRootQueryRetrieveInformationModelFind as FIND  # type: ignore[attr-defined]
from pynetdicom.sop_class import StudyRootQueryRetrieveInformationModelGet as GET  # type: ignore[attr-defined]
from pynetdicom.sop_class import StudyRootQueryRetrieveInformationModelMove as MOVE  # type: ignore[attr-defined]
from pynetdicom.sop_class import Verification  # type: ignore[attr-defined]

from anogan.io.dicom.quiet import silent
from anogan.pacs.header import Header, file_name, read_header, transfer_syntax
from anogan.pacs.nodes import Found, Query, Unavailable, found_study
from anogan.pacs.receiver import Receiver, decodable, image_classes, receiving_into, tls_context
from anogan.pacs.settings import Node, Settings

_PENDING = (0xFF00, 0xFF01)
_DUPLICATE, _PROCESSING_FAILURE = 0x0111, 0x0110  # PS3.7, annex C: it has it already; something broke there
_RESULT_CLASSES = [
    *(SegmentationStorage, ParametricMapStorage, Comprehensive3DSRStorage, ComprehensiveSRStorage),
    *(EnhancedSRStorage, GrayscaleSoftcopyPresentationStateStorage, KeyObjectSelectionDocumentStorage),
]


class DimseNode:
    """See `anogan.pacs.nodes.Node`."""

    def __init__(self, name: str, node: Node, settings: Settings) -> None:
        self.name, self.node, self.settings = name, node, settings

    def echo(self) -> None:
        """C-ECHO."""
        with self._associated([Verification]) as assoc:
            self._check(assoc.send_c_echo(), "C-ECHO")

    def find(self, query: Query) -> list[Found]:
        """C-FIND at the level of studies."""
        asked = Dataset()
        asked.QueryRetrieveLevel = "STUDY"
        asked.StudyDate, asked.ModalitiesInStudy, asked.StudyInstanceUID = query.date, query.modality, query.study
        asked.PatientID = query.patient
        asked.IssuerOfPatientID = asked.NumberOfStudyRelatedSeries = asked.NumberOfStudyRelatedInstances = ""
        return [found_study(ds) for ds in self._find(asked)]

    def holds(self, study: str, series: str, instance: str) -> bool:
        """C-FIND at the level of instances."""
        asked = Dataset()
        asked.QueryRetrieveLevel = "IMAGE"
        asked.StudyInstanceUID, asked.SeriesInstanceUID, asked.SOPInstanceUID = study, series, instance
        try:
            return any(ds.get("SOPInstanceUID") == instance for ds in self._find(asked))
        except Unavailable:
            raise
        except ValueError:  # a node that only stores
            return False

    def _find(self, asked: Dataset) -> list[Dataset]:
        with self._associated([FIND]) as assoc:
            found = []
            for status, ds in assoc.send_c_find(asked, FIND):
                if status.get("Status") in _PENDING:
                    if ds is not None:
                        found.append(ds)
                else:
                    self._check(status, "C-FIND")
            return found

    def fetch(self, study: str, folder: Path) -> list[Path]:
        """C-GET, or else C-MOVE to a receiver of our own at the address of the settings.

        The node chooses the transfer syntax, and may decompress.
        """
        folder.mkdir(parents=True, exist_ok=True)
        kept: dict[Path, None] = {}

        def keep(path: Path, header: Header) -> None:
            if header.study != study:
                raise ValueError(f"{path}: of another study")
            target = folder / f"{file_name(header.uid)}.dcm"
            os.replace(path, target)
            kept[target] = None

        with tempfile.TemporaryDirectory(dir=folder, prefix=".") as arriving:
            try:
                self._get(study, Path(arriving), keep)
            except ValueError:  # nodes refuse C-GET in many ways
                self._move(study, Path(arriving), keep)
        if not kept:
            raise ValueError(f"node {self.name}: has no images of study {study}")
        return sorted(kept)

    def _get(self, study: str, folder: Path, keep: Any) -> None:
        classes = [*image_classes(), *_RESULT_CLASSES]
        receiver = Receiver(self.settings, folder, keep)
        with (
            receiving_into(folder),
            self._associated(
                [GET, *((uid, decodable()) for uid in classes)],
                ext_neg=[build_role(uid, scp_role=True) for uid in classes],
                evt_handlers=[(evt.EVT_C_STORE, receiver.store)],
            ) as assoc,
        ):
            if GET not in {context.abstract_syntax for context in assoc.accepted_contexts}:
                raise ValueError(f"node {self.name}: does not offer C-GET")
            answers = assoc.send_c_get(_study(study), GET)
            self._follow(answers, "C-GET")

    def _move(self, study: str, folder: Path, keep: Any) -> None:
        receiver = Receiver(self.settings, folder, keep, trusted=(self.node.ae_title or "",))
        with receiver.running(), self._associated([MOVE]) as assoc:
            self._follow(assoc.send_c_move(_study(study), self.settings.ae_title, MOVE), "C-MOVE")

    def _follow(self, answers: Iterator[tuple[Dataset, Dataset | None]], what: str) -> None:
        for status, _ in answers:
            if status.get("Status") not in _PENDING:
                self._check(status, what)

    def send(self, files: Sequence[Path]) -> Iterator[tuple[Path, str]]:
        """C-STORE, one association for all; each file in its own transfer syntax, or uncompressed as the node likes."""
        kinds: dict[Path, tuple[str, str]] = {
            path: (read_header(path).sop_class, transfer_syntax(path)) for path in files
        }
        contexts = sorted({(sop_class, _offers(syntax)) for sop_class, syntax in kinds.values()})
        # At most 128 contexts an association (PS3.8, 9.3.2.2).
        for start in range(0, len(contexts), 128):
            chosen = contexts[start : start + 128]
            part = [path for path, (sop_class, syntax) in kinds.items() if (sop_class, _offers(syntax)) in chosen]
            with self._associated([(uid, list(syntaxes)) for uid, syntaxes in chosen]) as assoc:
                for path in part:
                    yield path, self._send_one(assoc, path)

    def _send_one(self, assoc: Association, path: Path) -> str:
        try:
            status = assoc.send_c_store(path)
        except ValueError:
            return f"node {self.name} does not take this kind of object or its transfer syntax"
        except (RuntimeError, AttributeError):
            raise Unavailable(f"node {self.name}: broke the connection") from None
        code = status.get("Status")
        if code is None:
            raise Unavailable(f"node {self.name}: no answer to C-STORE")
        if code & 0xFF00 == 0xA700 or code == _PROCESSING_FAILURE:
            raise Unavailable(f"node {self.name}: cannot store now (status {code:04X})")
        if code in (0x0000, _DUPLICATE) or code & 0xF000 == 0xB000:  # warnings: it is stored
            return ""
        return f"node {self.name} refused it (status {code:04X})"

    @contextmanager
    def _associated(self, contexts: Sequence[Any], **options: Any) -> Iterator[Association]:
        node = self.node
        ae = AE(self.settings.ae_title)
        ae.acse_timeout = ae.dimse_timeout = ae.network_timeout = ae.connection_timeout = node.timeout
        for context in contexts:
            ae.add_requested_context(*context) if isinstance(context, tuple) else ae.add_requested_context(context)
        if node.tls:
            assert self.settings.tls is not None
            options["tls_args"] = (tls_context(self.settings.tls), node.host)
        assert node.port is not None
        with silent("pynetdicom"):
            assoc = ae.associate(node.host, node.port, ae_title=node.ae_title or "", **options)
            if not assoc.is_established:
                why = "rejects us (are our AE titles known there?)" if assoc.is_rejected else "does not answer"
                raise Unavailable(f"node {self.name}: {why}")
            try:
                yield assoc
            finally:
                if assoc.is_established:
                    assoc.release()

    def _check(self, status: Dataset, what: str) -> None:
        code = status.get("Status")
        if code is None:
            raise Unavailable(f"node {self.name}: no answer to {what}")
        if code != 0x0000:
            raise ValueError(f"node {self.name}: refused {what} or did not finish it (status {code:04X})")


def _study(uid: str) -> Dataset:
    asked = Dataset()
    asked.QueryRetrieveLevel, asked.StudyInstanceUID = "STUDY", uid
    return asked


def _offers(syntax: str) -> tuple[str, ...]:
    plain = (ExplicitVRLittleEndian, ImplicitVRLittleEndian)
    return (
        (syntax, *(uid for uid in plain if uid != syntax))
        if syntax in (*plain, DeflatedExplicitVRLittleEndian)
        else (syntax,)
    )
