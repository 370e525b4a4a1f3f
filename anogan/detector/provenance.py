"""Where a detector comes from: data hashes, versions, seed, revision."""

from __future__ import annotations

import datetime
import hashlib
import subprocess
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from anogan._version import __version__
from anogan.data.dataset import ScanSet
from anogan.results.reading import case_id
from anogan.storage.fingerprint import file_hash
from anogan.storage.pseudonym import key_name, person_hash


def describe(train: ScanSet, kept: list[int], holdout: ScanSet, kept_holdout: list[int], seed: int) -> dict[str, Any]:
    """Return what is worth knowing of a training run, JSON-ready.

    Parameters
    ----------
    train, holdout
        The scans that trained, and those that were held out.
    kept, kept_holdout
        Indices of the usable scans among each; only these are counted.
    seed
        The run's seed.

    Returns
    -------
    dict
        `files` are 16 hex digits of each file's SHA-256, sorted: enough to notice a training image among calibration
        images, and nothing that names a file or a subject. `order` are the same in the order in which they trained,
        which is how the healthy bank counts them; what feedback lets in comes after them. `people` says whose each
        image is, in the order in which they trained, by hashes under the key that `key` names: what
        `anogan.privacy.erasure` goes by. `held_files` are those that were held out: they have been seen, too, see
        `anogan.data.seen`.
    """
    order = [file_hash(train.items[index].path) for index in kept]
    files = sorted(order)
    return {
        "trained": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "data": data_hash(files),
        "files": files,
        "order": order,
        "held_files": sorted(file_hash(holdout.items[index].path) for index in kept_holdout),
        "images": len(kept),
        "holdout_images": len(kept_holdout),
        "subjects": len({train[index].subject for index in kept}),
        "people": {
            "key": key_name(),
            "train": [person_hash(train[index].subject) for index in kept],
            "holdout": [person_hash(holdout[index].subject) for index in kept_holdout],
        },
        "seed": seed,
        "versions": {"anogan": __version__, "torch": torch.__version__, "numpy": np.__version__},
        "git": git_revision(),
    }


def describe_calibration(paths: Iterable[Path], subjects: Iterable[str]) -> dict[str, Any]:
    """Return what is worth knowing of the healthy images that set a threshold, JSON-ready; `files` as in `describe`."""
    files = sorted(map(file_hash, paths))
    return {
        "calibrated": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "data": data_hash(files),
        "files": files,
        "images": len(files),
        "subjects": len(set(subjects)),
        "versions": {"anogan": __version__},
    }


def describe_feedback(files: Iterable[str], subjects: Iterable[str], patches: int) -> dict[str, Any]:
    """Return what is worth knowing of dismissed images that enter the healthy reference; `files` as in `describe`."""
    return {
        "admitted": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "files": sorted(files),
        "people": sorted({person_hash(subject) for subject in subjects if subject}),
        "patches": patches,
        "versions": {"anogan": __version__},
    }


def refuse_reviewed(provenance: Mapping[str, Any], scans: ScanSet) -> None:
    """Raise ValueError if a set to measure with holds an image, or a person, that the detector learned from reviews.

    What readers dismissed and the healthy reference took in is known to the detector; figures on it would flatter it.
    """
    feedback = provenance.get("feedback", [])
    if not feedback:
        return
    files = {file for each in feedback for file in each["files"]}
    people = {person for each in feedback for person in each["people"]}
    seen = [item for item in scans if person_hash(item.subject) in people or case_id(item.path) in files]
    if seen:
        raise ValueError(
            f"{scans.name}: {len(seen)} of its images are of reviewed cases, or of their people, that the detector has "
            f"taken in as healthy, the first: {seen[0].path}; leave them out"
        )


def data_hash(files: Iterable[str]) -> str:
    """Return one SHA-256 of many `file_hash`es, whatever their order."""
    return hashlib.sha256("".join(sorted(files)).encode()).hexdigest()


def git_revision() -> str | None:
    """Return the revision of the checkout this package runs from; None when it is not a checkout."""
    command = ["git", "-C", str(Path(__file__).parent), "rev-parse", "HEAD"]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=5).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return None
