"""What every object says of itself: that a machine made it, which one, and that nobody has verified it."""

from __future__ import annotations

import datetime
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from highdicom import AlgorithmIdentificationSequence
from pydicom.sr.codedict import codes
from pydicom.sr.coding import Code
from pydicom.uid import UID

from anogan._version import __version__
from anogan.io.uids import derived_uid
from anogan.results.dicom.source import MAKER, Origin
from anogan.scan import SeriesResult
from anogan.storage.documents import json_text

UNVERIFIED, VERIFIED = "UNVERIFIED", "VERIFIED"  # the content label, of at most 16 capitals
HEALTHY_SD = Code("{SD}", "UCUM", "standard deviations of healthy images")
_SERIES = {"seg": "anomaly regions", "map": "anomaly map", "sr": "anomaly report", "sc": "anomaly overlay"}


@dataclass(frozen=True)
class Verification:
    """Who answers for a result (PS3.3, C.17.2: the Verifying Observer), since when, and what was found.

    Attributes
    ----------
    reader
        As the review desk knows the person: nothing else is known of him or her.
    organization
        For which the reader is accountable.
    signed
        With a time zone.
    reason
        The reason code of the reader's "confirm".

    Raises
    ------
    ValueError
        A name is empty, too long, or holds what delimits values in DICOM (PS3.5, 6.2).
    """

    reader: str
    organization: str
    signed: datetime.datetime
    reason: str

    def __post_init__(self) -> None:
        for name, delimiters in (("reader", "\\^="), ("organization", "\\")):
            value = getattr(self, name)
            if not value.strip() or len(value) > 63 or not value.isprintable() or set(value) & set(delimiters):
                raise ValueError(
                    f"{name}: expected 1 to 63 printable characters without {' '.join(delimiters)}, got {value!r}; a "
                    "verified report must name it"
                )


@dataclass(frozen=True, eq=False)
class Marks:
    """The detector, the series and the hour, as all objects of one result state them.

    Attributes
    ----------
    origin, result
        What was looked at, and what was found.
    detector
        `Detector.summary()`.
    level
        The map value, in healthy standard deviations, from which a pixel belongs to a region.
    verified
        Who has signed it; None: nobody.
    now
        When the objects are made.
    """

    origin: Origin
    result: SeriesResult
    detector: Mapping[str, Any]
    level: float
    verified: Verification | None = None
    now: datetime.datetime = field(default_factory=datetime.datetime.now)

    @property
    def name(self) -> str:
        """The detector's profile."""
        return str(self.detector.get("name") or MAKER)[:64]

    @property
    def hash(self) -> str:
        """That of the detector's weights."""
        return str(self.detector.get("hash") or "")

    @property
    def version(self) -> str:
        """The version of anogan that trained the detector, and the hash of its weights."""
        return f"{self.detector.get('version') or __version__}, detector {self.hash}"

    @property
    def series_name(self) -> str:
        """The source series, as people count them."""
        number = self.origin.header.get("SeriesNumber")
        return "the series" if number in (None, "") else f"series {number}"

    @property
    def label(self) -> str:
        """Whether anybody answers for it, in capitals."""
        return UNVERIFIED if self.verified is None else VERIFIED

    @property
    def caveat(self) -> str:
        """What a reader must know first, at most 64 characters."""
        return f"{self.label} machine output; decision support, not a diagnosis"

    def uid(self, what: str) -> UID:
        """Return a UID that the same files, detector, operating point and verdict give again, and no others do.

        It is that of an object that nobody has verified, and of what all versions of a result share.
        """
        seed = {
            "files": sorted((scan.instance_uid, scan.frame) for scan in self.origin.series.scans),
            "detector": dict(self.detector),
            "level": self.level,
            "verdict": [self.result.status, self.result.flagged],
        }
        digest = hashlib.sha256(json_text(seed, sort_keys=True, default=str).encode()).hexdigest()
        return derived_uid(f"{self.origin.series.series_uid} {digest}", what)

    def own_uid(self, what: str) -> UID:
        """Return the UID of a series or an instance: verified, it is another than before."""
        if self.verified is None:
            return self.uid(what)
        signed = self.verified
        by = json_text([signed.reader, signed.organization, signed.signed.isoformat(), signed.reason])
        return derived_uid(f"{self.uid(what)} {hashlib.sha256(by.encode()).hexdigest()}", "verified")

    def keywords(self, kind: str, number: int = 1) -> dict[str, Any]:
        """Return what the constructors of highdicom take for series, equipment and instance."""
        return {
            "series_instance_uid": self.own_uid(kind),
            "series_number": self._series_number(kind),
            "series_description": f"{self.label} machine output: {_SERIES[kind]} of {self.series_name}"[:64],
            "series_date": self.now.date(),
            "series_time": self.now.time(),
            "sop_instance_uid": self.own_uid(f"{kind} {number}"),
            "instance_number": number,
            "content_date": self.now.date(),
            "content_time": self.now.time(),
            "manufacturer": MAKER,
            "manufacturer_model_name": self.name,
            "software_versions": __version__,
            "device_serial_number": self.hash or "none",
        }

    def algorithm(self) -> AlgorithmIdentificationSequence:
        """Identify the algorithm (PS3.3, table 10-19)."""
        return AlgorithmIdentificationSequence(
            name=f"{MAKER} {self.name}"[:64],
            family=codes.DCM.ArtificialIntelligence,
            version=self.version[:64],
            source=MAKER,
            parameters={"level": f"{self.level:g} SD"},
        )

    @property
    def tracking_id(self) -> str:
        """The name of the segment that the report and the segmentation share."""
        return f"{MAKER} anomaly regions"

    def _series_number(self, kind: str) -> int:
        """Return 40191 to 40194 for series 401: beside their source, and none that a scanner counts to."""
        try:
            number = abs(int(self.origin.header.get("SeriesNumber") or 0))
        except (TypeError, ValueError):
            number = 0
        return number % 10**7 * 100 + 91 + list(_SERIES).index(kind)
