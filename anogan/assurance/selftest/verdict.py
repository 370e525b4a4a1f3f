"""What a run folder says of its self-test. Plain files in, a sentence out: commands and pages show it."""

from __future__ import annotations

import hashlib
from pathlib import Path

from anogan.storage.documents import json_value

FILE, CHART = "selftest.json", "selftest.svg"


def fingerprint(run: Path) -> str:
    """Return the SHA-256 of `detector.json`, which changes with the weights and with the calibration."""
    path = run / "detector.json"
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else ""


def mark(run: Path) -> str:
    """Return the sentence that marks a run whose self-test failed, is out of date or damaged; "" otherwise."""
    path = run / FILE
    if not path.is_file():
        return ""
    try:
        found = json_value(path.read_text(encoding="utf-8"))
        passed, tested, reasons = bool(found["passed"]), str(found["detector"]), [str(r) for r in found["reasons"]]
    except (OSError, ValueError, TypeError, KeyError):
        return f"{path}: not a readable self-test; run `anogan selftest` again."
    if tested != fingerprint(run):
        return "The detector was changed after its self-test; run `anogan selftest` again."
    return "" if passed else f"This detector failed its self-test: {'; '.join(reasons)}."
