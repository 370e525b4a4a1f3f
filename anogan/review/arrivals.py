"""A folder of results as cases of the desk."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from anogan.results.reading import read_results
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
    name, threshold = judge_of(summary)
    return [
        NewCase(
            key=key_of(case["case"], summary, case.get("slices")),
            kind="series" if "slices" in case else "image",
            subject=case["subject"],
            title=_unicode(Path(case["file"]).name),
            detector=name,
            status=case["status"],
            reason=_unicode(case["reason"]),
            score=case["score"],
            p_value=case["p_value"],
            flagged=case["flagged"],
            folder=str(place / case["case"]) if case["status"] == "scored" else "",
            threshold=threshold,
        )
        for case in results["cases"]
    ]


def _unicode(text: str) -> str:
    """Return a text with bytes of file names, if they are no Unicode, as escapes: a database would refuse them."""
    return text.encode(errors="backslashreplace").decode()


def key_of(case: str, summary: Mapping[str, Any], slices: int | None = None) -> str:
    """Return the key of what a detector, by its summary, says of a case of its results; of a series with its slices.

    A series to which slices were added since is another case, because nobody has looked at these.
    """
    _, threshold = judge_of(summary)
    return "-".join([case, str(summary.get("hash", "")), threshold, *([] if slices is None else [str(slices)])])


def judge_of(summary: Mapping[str, Any]) -> tuple[str, str]:
    """Return how the desk calls a detector: its name and hash, and the version of its operating point, or ""."""
    name = f"{summary.get('name', '')} {summary.get('hash', '')}".strip()
    calibrated = summary.get("threshold") is not None
    return name, hashlib.sha256(canonical(dict(summary)).encode()).hexdigest()[:12] if calibrated else ""


def judged(case: Case) -> tuple[Mapping[str, Any], Mapping[str, Any]] | None:
    """Return a case's entry in results.json and its detector's summary, unless the results were made anew since.

    None, too, where the folder is not on this machine or withheld. The entry has no label: who decides is not told the
    answer that a data set holds.
    """
    if not case.folder:
        return None
    own, results = Path(case.folder), Path(case.folder).parent.parent
    try:
        if (own / "results.json").is_file():  # a screening's pictures have a list of their own
            alone = read_results(own)
            return alone["cases"][0], alone["detector"]
        found = read_results(results)
        keys = [new.key for new in cases_of(results)]
    except ValueError:
        return None
    entries = dict(zip(keys, found["cases"], strict=True))
    if case.key not in entries:
        return None
    return entries[case.key] | {"label": None}, found["detector"]
