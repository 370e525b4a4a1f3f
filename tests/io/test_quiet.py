"""What DICOM libraries log for this package is dropped; what they log for others is not."""

from __future__ import annotations

import logging
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from anogan.io.dicom.quiet import keep_quiet, silent


def test_what_is_logged_for_others_is_heard(caplog: pytest.LogCaptureFixture) -> None:
    logger = logging.getLogger("some library.part")
    keep_quiet("some library")
    keep_quiet("some library")
    assert len(logger.filters) == 1
    logger.warning("heard")
    called_by_us = {"__name__": "anogan.io.somewhere", "logger": logger}
    exec("logger.warning('not heard')", called_by_us)
    exec("logger.warning('heard, too')", {"__name__": "anogana", "logger": logger})
    assert caplog.messages == ["heard", "heard, too"]


def test_silence_ends_with_its_last_block() -> None:
    logger = logging.getLogger("another library")
    logger.setLevel(logging.INFO)
    with silent("another library"):
        with silent("another library"):
            assert not logger.isEnabledFor(logging.CRITICAL)
        assert not logger.isEnabledFor(logging.CRITICAL)
    assert logger.level == logging.INFO


def test_importing_us_changes_no_level_and_reading_logs_no_value(tmp_path: Path) -> None:
    """In a process of its own, which turns the logs of these libraries on."""
    from anogan.io.dicom import write_dicom

    write_dicom(tmp_path / "a.dcm", np.arange(64, dtype=np.uint16).reshape(8, 8), patient_id="secret")
    code = (
        "import logging, sys; logging.basicConfig(level=0)\n"
        "import anogan.pacs.header, anogan.privacy.deidentify, anogan.results.dicom\n"
        "from anogan.io import read_scan; import pydicom, io\n"
        "names = ('pydicom', 'pynetdicom', 'highdicom', 'dicomweb_client')\n"
        "assert all(logging.getLogger(name).level in (0, logging.WARNING) for name in names)\n"
        "pydicom.config.debug(True)\n"
        "read_scan(sys.argv[1]); print('READ', file=sys.stderr)\n"
        "pydicom.dcmread(sys.argv[1])\n"
    )
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path / "a.dcm")], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    ours, theirs = done.stderr.split("READ")
    assert "secret" not in ours
    assert "secret" in theirs
