"""Upload: judge one file of one's own with the run's detector. Nothing of it is kept on disk."""

from __future__ import annotations

import hashlib
import tempfile
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Any

import numpy as np
import streamlit as st

from anogan.dashboard import case_view, widgets
from anogan.dashboard.widgets import plain
from anogan.io import read_scan
from anogan.io.pixels import WindowChoice
from anogan.service import Inspector

if TYPE_CHECKING:
    from anogan.detector import Detector
    from anogan.scan import Result, Scan

LARGEST_UPLOAD = 64
"""MB; .streamlit/config.toml sets the same limit for the server."""


def page() -> None:
    """Show the upload form and, once a file was judged, its case view."""
    run = widgets.require_run()
    st.title("Judge a file", anchor=False)
    widgets.selftest_banner(run)
    if not (run / "detector.safetensors").is_file():
        name = run.as_posix()
        widgets.empty(
            "No detector yet",
            "This run holds no trained detector. When the training is done, files can be judged here.",
            f"anogan train DATA --profile NAME --run {name}",
        )
        return
    st.caption(
        f"DICOM, PNG, JPEG, TIFF and others, up to {LARGEST_UPLOAD} MB. The file is judged on this machine, not kept: "
        "it is gone when you close or reload this page."
    )
    upload = st.file_uploader("Image file", max_upload_size=LARGEST_UPLOAD, key="upload")
    if upload is None:
        st.session_state.pop("judged", None)
        return
    content = upload.getvalue()
    key = (str(run), file_hash(run), upload.file_id)
    if st.session_state.get("judged", {}).get("key") != key:
        try:
            judged = judge(run, PurePath(upload.name).name, content)
        except (ValueError, OSError) as error:
            st.session_state.pop("judged", None)
            widgets.problem(error)
            return
        st.session_state["judged"] = {"key": key, **judged}
    judged = st.session_state["judged"]
    st.divider()
    with st.container(horizontal=True, vertical_alignment="center"):
        st.subheader(plain(judged["case"]["file"]), anchor=False, width="content")
        widgets.verdict_badge(judged["case"])
    st.markdown(plain(case_view.judgment(judged["case"], judged["summary"])))
    if judged["case"]["status"] == "scored":
        case_view.show(judged["case"], judged["maps"], judged["summary"], run / "results" / "cases")


def judge(run: Path, name: str, content: bytes) -> dict[str, Any]:
    """Read a file's bytes, inspect them, and return {case, maps, summary}; raise ValueError in the file's own name."""
    place = st.empty()
    try:
        with place.status("Loading the detector") as status:
            detector = load_detector(str(run), file_hash(run))
            status.update(label="Reading the file")
            scan = scan_of(name, content, detector.config.input.window)
            status.update(label="Looking for what is unusual")
            result = Inspector(run, detector).inspect(scan)
    finally:
        place.empty()
    case, maps = as_case(name, content, scan, result)
    return {"case": case, "maps": maps, "summary": detector.summary()}


def scan_of(name: str, content: bytes, window: WindowChoice = "first") -> Scan:
    """Read a scan from bytes by way of a file that is removed at once; errors name the file as the user knows it."""
    name = PurePath(name).name.replace("\0", "").lstrip(".")[-120:] or "upload"
    with tempfile.TemporaryDirectory(prefix="anogan-") as folder:
        path = Path(folder) / name
        path.write_bytes(content)
        try:
            return read_scan(path, window)
        except ValueError as error:
            raise ValueError(str(error).replace(str(path), name)) from None


def as_case(name: str, content: bytes, scan: Scan, result: Result) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Put a fresh result into the shape that results.json and maps.npz give to a stored one."""
    height, width = scan.pixels.shape[:2]
    case = {
        "case": hashlib.sha256(content).hexdigest()[:16],
        "file": name,
        "subject": scan.subject,
        "label": None,
        "height": height,
        "width": width,
    }
    copied = ("status", "reason", "score", "p_value", "flagged", "uncertainty", "components", "nearest", "seconds")
    case |= {field: getattr(result, field) for field in copied}
    maps = {"image": bytes_of(scan.pixels)}
    if result.anomaly_map is not None:
        maps["anomaly_map"] = result.anomaly_map
    if result.reconstruction is not None:
        maps["reconstruction"] = bytes_of(result.reconstruction)
    return case, maps | {f"component_{part}": values for part, values in result.component_maps.items()}


def bytes_of(pixels: np.ndarray) -> np.ndarray:
    """Return pixels in [0, 1] as uint8."""
    return np.asarray(np.clip(np.rint(pixels * 255), 0, 255), dtype=np.uint8)


def file_hash(run: Path) -> str:
    """Return a hash of the detector's files, so that a detector trained anew is loaded anew."""
    digest = hashlib.sha256()
    for name in ("detector.json", "detector.safetensors"):
        path = run / name
        if path.is_file():
            with path.open("rb") as file:
                digest.update(hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()


@st.cache_resource(max_entries=2, show_spinner=False)
def load_detector(run: str, file_hash: str) -> Detector:
    """Load the run's detector once for all users: it holds no patient's data."""
    from anogan.detector import Detector  # here and not above: torch takes seconds, and only this page needs it

    return Detector.load(run)
