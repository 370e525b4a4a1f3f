"""A folder of results as cases of the desk."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from anogan.io.results import read_results
from anogan.review.audit import canonical
from anogan.review.cases import Case, NewCase


def cases_of(folder: str | os.PathLike[str]) -> list[NewCase]:
    """Return a case for each image or series of a work list.

    What the same detector, at the same threshold, says of the same image again has the same key.

    Raises
    ------
    ValueError
        There is no work list, or it is damaged.
    """
    results, place = read_results(folder), Path(folder).resolve() / "cases"
    summary = results["detector"]
    name = f"{summary.get('name', '')} {summary.get('hash', '')}".strip()
    calibrated = summary.get("threshold") is not None
    threshold = hashlib.sha256(canonical(summary).encode()).hexdigest()[:12] if calibrated else ""
    return [
        NewCase(
            key=f"{case['case']}-{summary.get('hash', '')}-{threshold}",
            kind="series" if "slices" in case else "image",
            subject=case["subject"],
            title=Path(case["file"]).name,
            detector=name,
            status=case["status"],
            reason=case["reason"],
            score=case["score"],
            p_value=case["p_value"],
            flagged=case["flagged"],
            folder=str(place / case["case"]) if case["status"] == "scored" else "",
            threshold=threshold,
        )
        for case in results["cases"]
    ]


def judged(case: Case) -> tuple[Mapping[str, Any], Mapping[str, Any]] | None:
    """Return a case's entry in results.json and its detector's summary, unless the results were made anew since.

    None, too, where the folder is not on this machine or withheld. The entry has no label: who decides is not told the
    answer that a data set holds.
    """
    if not case.folder:
        return None
    results = Path(case.folder).parent.parent
    try:
        found = read_results(results)
        keys = [new.key for new in cases_of(results)]
    except ValueError:
        return None
    entries = dict(zip(keys, found["cases"], strict=True))
    if case.key not in entries:
        return None
    return entries[case.key] | {"label": None}, found["detector"]
