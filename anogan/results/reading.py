"""A folder of results: a work list for people (CSV), for programs (JSON), and pictures and maps of each case.

    results.json, results.csv
    cases/<case>/heatmap.png, thumbnail.png, maps.npz
    cases/<case>/slice-0031.png, slices.npz             of a series: its top slices, and all to scroll through

A case is named by the SHA-256 of its file's bytes or of its series UID, so that no name of a person or folder gets into
a path.
"""

from __future__ import annotations

import hashlib
import os
import re
import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np

from anogan.scan import Series
from anogan.storage.documents import json_value
from anogan.storage.fingerprint import file_hash

FORMAT = 1
COLUMNS = (
    "case", "file", "subject", "label", "status", "reason", "score", "p_value", "flagged", "uncertainty",
    "height", "width", "seconds",
)  # fmt: skip


def case_id(path: str | os.PathLike[str]) -> str:
    """Return the name of a file's case: 16 hex digits of the SHA-256 of its bytes.

    A file that cannot be read (any more) is named by its path in place of its bytes.
    """
    try:
        return file_hash(path)
    except (OSError, ValueError):
        return hashlib.sha256(os.fsencode(path)).hexdigest()[:16]


def series_id(series: Series) -> str:
    """Return the name of a series' case: 16 hex digits of the SHA-256 of its UID; without one, `case_id` of its file.

    So a series that is sent again is the same case. Of several stacks in one series, each is a case by its first image.
    """
    uid, first = series.series_uid, series.scans[0]
    if uid and series.stacks == 1:
        return hashlib.sha256(uid.encode()).hexdigest()[:16]
    case = case_id(first.source)  # a series without a UID is one file
    if series.stacks == 1:
        return case
    image = f"{uid or case} {first.instance_uid} {first.frame}"
    if first.instance_uid and len(series.images) < len(series.scans):  # of several stacks, each might begin with it
        image = f"{image} {case}"
    return hashlib.sha256(image.encode()).hexdigest()[:16]


def read_results(folder: str | os.PathLike[str]) -> dict[str, Any]:
    """Read the work list of a folder.

    Returns
    -------
    dict
        format, created, detector (the summary) and cases, each with case, file, subject, label, status, reason, score,
        p_value, flagged, uncertainty, height, width, components, seconds, and perhaps group, notes, nearest (see
        `Result`; a file's hash names its case, too), slices (how many; then it is a series), top_slices and discovery.

    Raises
    ------
    ValueError
        There is none, or it is damaged.
    """
    path = Path(folder) / "results.json"
    damaged = ValueError(f"{path}: is damaged or was not written by anogan; score the images again")
    try:
        document = json_value(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ValueError(f"{path}: there is no such file; score images first") from None
    except OSError as error:
        raise ValueError(f"{path}: cannot be read ({error.strerror})") from None
    except ValueError:  # JSON or Unicode
        raise damaged from None
    if not isinstance(document, dict) or document.get("format") != FORMAT:
        raise damaged
    cases, detector = document.get("cases"), document.get("detector")
    if not isinstance(detector, dict) or not isinstance(cases, list) or not all(map(_is_case, cases)):
        raise damaged
    return document


def read_case(folder: str | os.PathLike[str], case: str) -> dict[str, np.ndarray]:
    """Read the arrays of one case.

    Returns
    -------
    dict
        image uint8 (H, W[, 3]); anomaly_map float32 (H, W); reconstruction uint8, mask uint8 0 or 1, component_<name>
        float32, where there are such.

    Raises
    ------
    ValueError
        There is no such case, or its file is damaged.
    """
    if not re.fullmatch("[0-9a-f]{16}", case):
        raise ValueError(f"case {case!r}: expected 16 hex digits")
    path = Path(folder) / "cases" / case / "maps.npz"
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
    except FileNotFoundError:
        raise ValueError(f"{path}: there is no such file; score the image again") from None
    except (OSError, ValueError, EOFError, KeyError, RuntimeError, zipfile.BadZipFile, zlib.error):
        raise ValueError(f"{path}: is damaged; score the image again") from None
    shape = arrays["image"].shape[:2] if "image" in arrays else ()
    if "anomaly_map" not in arrays or any(array.shape[:2] != shape for array in arrays.values()):
        raise ValueError(f"{path}: is damaged; score the image again")
    return {name: array.astype(np.float32) if array.dtype == np.float16 else array for name, array in arrays.items()}


def _is_case(case: object) -> bool:
    return (
        isinstance(case, dict)
        and set(COLUMNS) | {"components"} <= set(case)
        and isinstance(case["components"], dict)
        and re.fullmatch("[0-9a-f]{16}", str(case["case"])) is not None
        and case["status"] in ("scored", "not scored")
        and (case["status"] == "not scored" or isinstance(case["score"], int | float))
    )
