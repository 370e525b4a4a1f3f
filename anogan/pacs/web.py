"""A node that speaks DICOMweb (DICOM PS3.18): QIDO-RS, WADO-RS and STOW-RS."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import requests
from dicomweb_client.api import DICOMwebClient
from pydicom import dcmread
from pydicom.dataset import Dataset

from anogan.pacs.header import file_name
from anogan.pacs.nodes import Found, Query, Unavailable, found_study
from anogan.pacs.settings import TLS, Node

_REFUSALS = (400, 409, 413, 415, 422)  # said of the object; all others of the hour or of the settings


class WebNode:
    """See `anogan.pacs.nodes.Node`."""

    def __init__(self, name: str, node: Node, tls: TLS | None = None) -> None:
        self.name, self.node = name, node
        session = _Session(node.timeout)
        if tls is not None and node.url.startswith("https:"):
            session.verify, session.cert = str(tls.authorities), (str(tls.certificate), str(tls.key))
        self._client = DICOMwebClient(node.url, session=session)
        self._client.set_http_retry_params(retry=False)  # the queue waits longer, and remembers

    def echo(self) -> None:
        """Ask for one study; DICOMweb has no C-ECHO."""
        with self._asking():
            self._client.search_for_studies(limit=1)

    def find(self, query: Query) -> list[Found]:
        """QIDO-RS."""
        if query.patient:
            raise ValueError(
                f"node {self.name}: a web query would write the patient's number into an address, and so into logs; "
                "look by date and modality, or ask a DIMSE node"
            )
        asked = {"StudyDate": query.date, "ModalitiesInStudy": query.modality, "StudyInstanceUID": query.study}
        with self._asking():
            rows = self._client.search_for_studies(
                search_filters={keyword: value for keyword, value in asked.items() if value},
                fields=["ModalitiesInStudy", "NumberOfStudyRelatedSeries", "NumberOfStudyRelatedInstances"],
            )
        return [found_study(Dataset.from_json(row)) for row in rows]

    def holds(self, study: str, series: str, instance: str) -> bool:
        """QIDO-RS for one instance."""
        with self._asking():
            found = self._client.search_for_instances(
                study_instance_uid=study, series_instance_uid=series, search_filters={"SOPInstanceUID": instance}
            )
        return bool(found)

    def fetch(self, study: str, folder: Path) -> list[Path]:
        """WADO-RS, in the transfer syntax in which the node has it."""
        folder.mkdir(parents=True, exist_ok=True)
        kept = []
        with self._asking():
            for ds in self._client.iter_study(study, media_types=(("application/dicom", "*"),)):
                path = folder / f"{file_name(str(ds.SOPInstanceUID))}.dcm"
                partial = path.with_suffix(".part")
                ds.save_as(partial, enforce_file_format=True)
                partial.replace(path)
                kept.append(path)
        if not kept:
            raise ValueError(f"node {self.name}: has no study {study}")
        return sorted(kept)

    def send(self, files: Sequence[Path]) -> Iterator[tuple[Path, str]]:
        """STOW-RS, one request a file, so that it is known of each whether it is stored."""
        for path in files:
            refused = ""
            try:
                with self._asking():
                    answer = self._client.store_instances([dcmread(path)])
                for failed in answer.get("FailedSOPSequence") or []:  # which may be there and empty
                    refused = f"node {self.name} refused it (reason {failed.get('FailureReason', 0):04X})"
            except Unavailable:
                raise
            except ValueError as error:
                refused = str(error)
            yield path, refused

    @contextmanager
    def _asking(self) -> Iterator[None]:
        try:
            yield
        except requests.HTTPError as error:
            assert error.response is not None
            code = error.response.status_code
            sentence = f"node {self.name}: answers {code} {error.response.reason}"
            raise (ValueError if code in _REFUSALS else Unavailable)(sentence) from None
        except requests.RequestException as error:  # their words hold the address, with its query
            raise Unavailable(f"node {self.name}: does not answer ({type(error).__name__})") from None


class _Session(requests.Session):
    """A session in which no request waits for ever."""

    def __init__(self, timeout: float) -> None:
        super().__init__()
        self._timeout = timeout

    def request(self, *args, **kwargs):  # type: ignore[no-untyped-def]
        kwargs.setdefault("timeout", self._timeout)
        return super().request(*args, **kwargs)
