"""Write a folder of results, see `anogan.results.reading`."""

from __future__ import annotations

import contextlib
import datetime
import math
import os
import time
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

from anogan.io.raster import write_png
from anogan.io.stack import write_stack
from anogan.metrics.discovery import discoveries
from anogan.results.pictures import write_heat_map, write_maps, write_thumbnail
from anogan.results.reading import COLUMNS, FORMAT, case_id, read_results, series_id
from anogan.scan import Result, Scan, Series, SeriesResult
from anogan.storage import spreadsheet
from anogan.storage.atomic import alone, write_bytes
from anogan.storage.documents import json_text, json_value

_OPTIONAL = ("group", "notes", "slices", "top_slices", "discovery")
_LABELS = ("healthy", "abnormal")
LOCK = ".lock"
EVERY = 60.0  # seconds


@contextlib.contextmanager
def writing_alone(folder: Path, seconds: float = 0) -> Iterator[None]:
    """Let nobody else write results into a folder, which is made if need be; wait so many seconds for whoever does.

    Raises
    ------
    ValueError
        Somebody else still does, or nobody can.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ValueError(f"{folder}: cannot be made ({error.strerror}); choose another folder") from None
    busy = f"{folder}: results are being written there; try again when that is done, or choose another folder"
    with alone(folder / LOCK, busy, seconds):
        yield


class ResultsWriter:
    """Write results case by case; `close` writes the work list, which is also written every `EVERY` seconds.

    Until it is closed, nobody else can write into the folder. Cases that the same detector (by its summary) has left in
    the folder stay in the work list; a file or a series that is added again takes the place of its earlier result.
    Results of any other detector leave the list.

    Parameters
    ----------
    folder
        Where; it is made if need be.
    detector_summary
        What `Detector.summary` returns; `map_range` is the scale of the heat maps.
    fdr
        A false discovery rate in (0, 1): each case of the whole list says whether it is a `discovery`, see
        `anogan.metrics.discovery.discoveries`. None: they do not.

    Raises
    ------
    ValueError
        From any method: a file cannot be written, for example on a full disk. Files that were whole stay whole. At
        first: somebody else is writing there.
    """

    def __init__(
        self, folder: str | os.PathLike[str], detector_summary: Mapping[str, Any], fdr: float | None = None
    ) -> None:
        self.folder, self.fdr = Path(folder), fdr
        self.detector = dict(detector_summary)
        self._alone = contextlib.ExitStack()
        self._alone.enter_context(writing_alone(self.folder))
        self._written = time.monotonic()
        self._cases = {_key(case): case for case in self._earlier_cases()}
        self._added: set[str] = set()
        self.discoveries: list[bool | None] = []  # by case of the whole list, once it is closed with `fdr`

    def __enter__(self) -> ResultsWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        try:
            self.close()  # also after an error: what was done is done
        except ValueError:
            if error is None:
                raise

    def add(
        self,
        scan: Scan,
        result: Result,
        *,
        subject: str = "",
        label: int | str | None = None,
        mask: np.ndarray | None = None,
        file: str | os.PathLike[str] = "",
    ) -> str:
        """Write the pictures and maps of one result, and put it on the list.

        Parameters
        ----------
        scan, result
            What was looked at, and what was found.
        subject
            A pseudonym; "" takes the scan's.
        label
            0 or "healthy", 1 or "abnormal", None: not known.
        mask
            (H, W) bool, where the image is known to be abnormal, or None.
        file
            Where its bytes are, if the scan's source is only a name: that of an archive's member.

        Returns
        -------
        str
            The case.
        """
        case = case_id(file or scan.source)
        if result.status == "scored":
            self._draw(case, scan, result, mask)
        self._list(
            **_judgment(case, scan, result, label),
            file=scan.source,
            subject=subject or scan.subject,
            uncertainty=_number(result.uncertainty),
            **_known(scan, result),
        )
        return case

    def add_series(self, series: Series, result: SeriesResult, *, label: int | str | None = None) -> str:
        """Write the pictures of a series' top slices, and put it on the list as one case, which is returned.

        Heat map, thumbnail and maps are those of its top slice. Slices are counted from 1 in the order of the series.
        """
        case, place = series_id(series), result.top[0] if result.top else len(series.scans) // 2
        if result.status == "scored":
            for old in (self.folder / "cases" / case).glob("slice-*.png"):
                old.unlink()  # of an earlier result, whose top slices were others
            for index in reversed(result.top):  # the top slice last: its heat map stays
                heat = self._draw(case, series.scans[index], result.slices[index])
                write_png(self.folder / "cases" / case / f"slice-{index + 1:04d}.png", heat)
            write_stack(self.folder / "cases" / case, series, result, self._scale)
        self._list(
            **_judgment(case, series.scans[place], result, label),
            file=series.source,
            subject=series.subject,
            uncertainty=None,
            slices=len(series.scans),
            top_slices=[index + 1 for index in result.top],
            **({"notes": _sentences(series.notes)} if series.notes else {}),
        )
        return case

    def add_failure(
        self,
        path: str | os.PathLike[str],
        reason: str,
        *,
        subject: str = "",
        label: int | str | None = None,
        file: str | os.PathLike[str] = "",
    ) -> str:
        """Put a file on the list that could not be read or judged, and return its case; parameters as of `add`."""
        case = case_id(file or path)
        nothing = dict.fromkeys(("score", "p_value", "flagged", "uncertainty", "height", "width", "seconds"))
        self._list(
            case=case,
            file=os.fspath(path),
            subject=subject,
            label=_label(label),
            status="not scored",
            reason=reason,
            components={},
            **nothing,
        )
        return case

    def withhold(self, reason: str) -> None:
        """Take the decision from every case added here that has a p-value, and say why; there are no discoveries."""
        self.fdr = None
        for key in self._added:
            if self._cases[key]["p_value"] is not None:
                self._cases[key] |= {"flagged": None, "reason": reason}

    def close(self) -> None:
        """Write results.json and results.csv, and let others write into the folder."""
        with self._alone:
            self._write(self.fdr)

    def _write(self, fdr: float | None) -> None:
        cases = list(self._cases.values())
        for case in cases:  # an earlier list's discoveries are not this one's
            case.pop("discovery", None)
        if fdr is not None:
            self.discoveries = discoveries([case["p_value"] for case in cases], fdr)
            for case, discovery in zip(cases, self.discoveries, strict=True):
                case["discovery"] = discovery
        _write_list(self.folder, self.detector, cases, {} if fdr is None else {"fdr": fdr})
        write_bytes(self.folder / "results.csv", _encoded(_table(cases)))
        self._written = time.monotonic()

    def _draw(self, case: str, scan: Scan, result: Result, mask: np.ndarray | None = None) -> np.ndarray:
        """Write pictures and maps of one image; return its heat map."""
        place = self.folder / "cases" / case
        heat = write_heat_map(place, scan, result, self._scale)
        write_thumbnail(place, scan)
        write_maps(place, scan, result, mask)
        return heat

    @property
    def _scale(self) -> tuple[float, float]:
        low, high = self.detector["map_range"]
        return float(low), float(high)

    def _list(self, **case: Any) -> None:
        self._cases.pop(_key(case), None)  # an earlier one would keep its place in the order
        self._cases[_key(case)] = case
        self._added.add(_key(case))
        if time.monotonic() - self._written > EVERY:  # killed, it has left a list of nearly all that it has drawn
            self._write(None)  # which are discoveries shows at the end

    def _earlier_cases(self) -> list[dict[str, Any]]:
        try:
            earlier = read_results(self.folder)
        except ValueError:
            return []
        same = earlier["detector"] == json_value(json_text(self.detector))
        return list(earlier["cases"]) if same else []


def write_one(folder: Path, detector: Mapping[str, Any], case: str, scan: Scan, result: Result) -> None:
    """Write the list of one case alone into its own folder, beside its pictures, for `read_results`."""
    entry = _judgment(case, scan, result, None)
    entry |= {"file": scan.source, "subject": scan.subject, "uncertainty": _number(result.uncertainty)}
    entry |= _known(scan, result)
    _write_list(folder, detector, [entry], {})


def _write_list(folder: Path, detector: Mapping[str, Any], cases: list[dict[str, Any]], more: dict[str, Any]) -> None:
    created = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    document = {"format": FORMAT, "created": created, "detector": dict(detector), **more, "cases": cases}
    text = json_text(document, indent=1, ensure_ascii=False)
    write_bytes(folder / "results.json", _encoded(f"{text}\n"))


def _encoded(text: str) -> bytes:
    """Return UTF-8, and of a file name that is none what JSON reads back as that name."""
    return text.encode(errors="backslashreplace")


def _key(case: Mapping[str, Any]) -> str:
    """Return what is listed once: a file; or a series, as a folder may hold several."""
    return str(case["case"] if "slices" in case else case["file"])


def _judgment(case: str, scan: Scan, result: Result | SeriesResult, label: int | str | None) -> dict[str, Any]:
    height, width = scan.pixels.shape[:2]
    return {
        "case": case,
        "label": _label(label),
        "status": result.status,
        "reason": result.reason,
        "score": _number(result.score),
        "p_value": _number(result.p_value),
        "flagged": None if result.flagged is None else bool(result.flagged),
        "height": height,
        "width": width,
        "components": {name: _number(score) for name, score in result.components.items()},
        "seconds": _number(result.seconds),
    }


def _known(scan: Scan, result: Result) -> dict[str, Any]:
    """Return what not every image has."""
    found = {"group": scan.group, "notes": _sentences(result.notes), "nearest": dict(result.nearest)}
    return {name: value for name, value in found.items() if value}


def _sentences(notes: Iterable[str]) -> str:
    return " ".join(f"{note.rstrip('.')}." for note in notes)


def _label(label: int | str | None) -> str | None:
    if label is None or label in _LABELS:
        return None if label is None else str(label)
    if label in (0, 1):
        return _LABELS[int(label)]
    raise ValueError(f"label: expected 0, 1, healthy, abnormal or None, got {label!r}")


def _number(value: float | None) -> float | None:
    """Return a number as JSON knows them."""
    return None if value is None or not math.isfinite(value) else float(value)


def _table(cases: list[dict[str, Any]]) -> str:
    """Return results.csv: a line per case, a column per component."""
    names = list(dict.fromkeys(name for case in cases for name in case["components"]))
    columns = [*COLUMNS, *(column for column in _OPTIONAL if any(column in case for case in cases))]
    rows = []
    for case in cases:
        case = case | {"top_slices": " ".join(map(str, case.get("top_slices", [])))}
        rows.append([*(case.get(column) for column in columns), *(case["components"].get(name) for name in names)])
    return spreadsheet.table([*columns, *(f"component_{name}" for name in names)], rows)
