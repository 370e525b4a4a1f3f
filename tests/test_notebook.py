"""Every notebook runs from top to bottom and shows what it promises."""

import re
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient
from nbformat import NotebookNode

NOTEBOOKS = Path(__file__).parents[1] / "notebooks"


def outputs_of(name: str) -> tuple[list[NotebookNode], str]:
    """Run a notebook, which raises on the first cell that fails, and return its outputs and their text."""
    notebook = nbformat.read(NOTEBOOKS / name, as_version=4)
    NotebookClient(notebook, timeout=None, kernel_name="python3").execute()
    outputs = [output for cell in notebook.cells if cell.cell_type == "code" for output in cell.outputs]
    return outputs, "\n".join(output.get("text", "") for output in outputs)


@pytest.mark.slow
def test_train_and_score() -> None:
    outputs, text = outputs_of("01_train_and_score.ipynb")
    assert "AUROC" in text
    assert "p-value" in text
    assert any("image/png" in output.get("data", {}) for output in outputs)


@pytest.mark.slow
def test_dicom_round_trip() -> None:
    _, text = outputs_of("03_dicom_round_trip.ipynb")
    assert re.search(r"planted at .* mm, found at .* mm apart", text)  # how far apart, the notebook itself asserts
    assert "UNVERIFIED" in text
    assert "'SEG', 'SR'" in text or "Orthanc is not installed here" in text


@pytest.mark.slow
def test_id_photos() -> None:
    outputs, text = outputs_of("04_id_photos.ipynb")
    assert "two people: failure to acquire: two faces were found" in text
    assert "it is blurred" in text
    assert "APCER" in text
    assert re.search(r"skin luminance +\w+", text)
    assert text.count("the same background behind another face") >= 8  # of the linkage, then of the API
    assert "this background was seen in 4 other applications" in text.partition("on the desk:")[0]
    assert "erased: 204 then 404" in text
    assert any("image/png" in output.get("data", {}) for output in outputs)


def test_no_notebook_carries_outputs() -> None:
    for path in NOTEBOOKS.glob("*.ipynb"):
        cells = nbformat.read(path, as_version=4).cells
        assert not any(cell.get("outputs") or cell.get("execution_count") for cell in cells), (
            f"clear the outputs of {path}"
        )
