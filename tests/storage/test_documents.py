"""What anybody may have written is damaged when it is nested too deep, and never a crash."""

from __future__ import annotations

from pathlib import Path

import pytest

from anogan.config import load_config
from anogan.results.reading import read_results
from anogan.storage.checkpoint import read_json
from anogan.storage.documents import TOML_CHARACTERS

DEEP = "[" * 100_000


def test_deep_json_is_damaged(tmp_path: Path) -> None:
    (tmp_path / "results.json").write_text(DEEP)
    with pytest.raises(ValueError, match="damaged, not readable as JSON .nested too deep"):
        read_json(tmp_path / "results.json")
    with pytest.raises(ValueError, match="is damaged or was not written by anogan"):
        read_results(tmp_path)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("a=" + "[" * 2000 + "]" * 2000, "nested too deep"),
        (".".join("a" * TOML_CHARACTERS) + "=1", "characters are more"),
    ],
)
def test_deep_or_long_profile_is_not_valid(tmp_path: Path, text: str, why: str) -> None:
    path = tmp_path / "own.toml"
    path.write_text(text)
    with pytest.raises(ValueError, match=f"not valid TOML: .*{why}"):
        load_config(path)
