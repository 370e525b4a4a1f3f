"""Every notebook runs from top to bottom and shows what it promises."""

from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

NOTEBOOKS = Path(__file__).parents[1] / "notebooks"


@pytest.mark.slow
def test_train_and_score() -> None:
    notebook = nbformat.read(NOTEBOOKS / "01_train_and_score.ipynb", as_version=4)
    NotebookClient(notebook, timeout=300, kernel_name="python3").execute()  # raises on the first cell that fails
    outputs = [output for cell in notebook.cells if cell.cell_type == "code" for output in cell.outputs]
    text = "\n".join(output.get("text", "") for output in outputs)
    assert "AUROC" in text
    assert "p-value" in text
    assert any("image/png" in output.get("data", {}) for output in outputs)


def test_no_notebook_carries_outputs() -> None:
    for path in NOTEBOOKS.glob("*.ipynb"):
        cells = nbformat.read(path, as_version=4).cells
        assert not any(cell.get("outputs") or cell.get("execution_count") for cell in cells), (
            f"clear the outputs of {path}"
        )
