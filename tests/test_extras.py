"""Without the extras pictures are trained on, scored and evaluated; what needs one says which, and exits with 2."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from anogan.cli.extras import EXTRAS

ROOT = Path(__file__).parents[1]
OPTIONAL = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["optional-dependencies"]

# Libraries of extras that a library of ours that is no extra looks for by itself, and goes on without.
PROBED = {"requests", "onnxruntime"}

WITHOUT = """
import sys
hidden = set(sys.argv[1].split(","))

class Hide:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in hidden:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Hide())
from anogan.cli import main
main(sys.argv[2:])
"""


def without_extras(*arguments: object) -> subprocess.CompletedProcess[str]:
    """Run a command in a process that cannot import any library of an extra."""
    hidden = ",".join(set(EXTRAS) - PROBED)
    command = [sys.executable, "-c", WITHOUT, hidden, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, cwd=ROOT)


def test_every_extra_is_known_by_what_it_imports() -> None:
    shipped = set(OPTIONAL) - {"all", "dev", "bench"}
    assert set(EXTRAS.values()) == shipped
    (everything,) = map(Requirement, OPTIONAL["all"])
    assert everything.extras == shipped


def test_without_extras_pictures_are_trained_on_scored_and_evaluated(tiny_folder: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    for arguments in (
        ("train", tiny_folder, "--profile", "tiny", "--run", run),
        ("calibrate", run, tiny_folder, "--false-alarm-rate", 0.2),
        ("inspect", run, tiny_folder / "abnormal"),
        ("evaluate", run, tiny_folder, "--report"),
    ):
        done = without_extras(*arguments)
        assert done.returncode == 0, done.stderr[-2000:]
    assert (run / "results" / "report.html").is_file()


@pytest.mark.parametrize(
    ("arguments", "extra"),
    [
        (("dashboard", "RUN"), "dashboard"),
        (("serve", "RUN", "--database", "a.db", "--store", "store"), "api"),
        (("desk", "list", "a.db"), "desk"),
        (("listen", "RUN", "--settings", "a.toml", "--store", "store"), "pacs"),
        (("deidentify", "DICOM", "--out", "out"), "dicom"),
        (("info", "DICOM"), "dicom"),
        (("quality", "FOLDER"), "faces"),
        (("synth", "out"), "dicom"),
    ],
)
def test_a_command_says_which_extra_it_needs(
    arguments: tuple[str, ...], extra: str, tiny_run: Path, tiny_folder: Path, tmp_path: Path
) -> None:
    import numpy as np

    from anogan.io.dicom import write_dicom

    write_dicom(tmp_path / "a.dcm", np.zeros((8, 8), np.uint16))
    places = {"RUN": tiny_run, "FOLDER": tiny_folder / "healthy", "DICOM": tmp_path / "a.dcm", "out": tmp_path / "out"}
    done = without_extras(*(places.get(argument, argument) for argument in arguments))
    assert done.returncode == 2, done.stderr
    assert f"which is not installed: pip install 'anogan[{extra}]' (or anogan[all])" in done.stderr
    assert "Traceback" not in done.stderr
