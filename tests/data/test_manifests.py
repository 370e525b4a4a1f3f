"""No line of a manifest is lost to the way it is written, and no file is in two places by a link."""

from __future__ import annotations

from pathlib import Path

import pytest

from anogan.data.listing import read_listing

GOOD = "0.png,healthy,x\n"


@pytest.mark.parametrize(
    ("lines", "why"),
    [
        ('1.png,healthy,"5 inch\n2.png,healthy,x\n', "is not CSV .*close its quotes"),  # took in the line behind it
        ("1.png,healthy,x,y\n", "line 3: has 4 cells for 3 columns"),
        ("a" * 300 + ".png,healthy,x\n", "line 3: the file .* is missing"),
    ],
)
def test_line_that_cannot_be_told_is_refused(tmp_path: Path, lines: str, why: str) -> None:
    for number in range(3):
        (tmp_path / f"{number}.png").write_bytes(b"\x89PNG")
    (tmp_path / "manifest.csv").write_text("file,label,notes\n" + GOOD + lines)
    with pytest.raises(ValueError, match=why):
        read_listing(tmp_path)


def test_empty_cells_behind_the_last_column_pass(tmp_path: Path) -> None:
    (tmp_path / "0.png").write_bytes(b"\x89PNG")
    (tmp_path / "manifest.csv").write_text("file,label,notes\n0.png,healthy,x,,\n")
    assert len(read_listing(tmp_path).entries) == 1


def test_split_that_is_a_link_to_another_is_refused(tmp_path: Path) -> None:
    (tmp_path / "train" / "good").mkdir(parents=True)
    (tmp_path / "train" / "good" / "0.png").write_bytes(b"\x89PNG")
    (tmp_path / "test").symlink_to(tmp_path / "train")
    with pytest.raises(ValueError, match="is the same file as .*by a link"):
        read_listing(tmp_path)
