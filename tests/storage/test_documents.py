"""What anybody may have written is damaged when it is nested too deep, and never a crash."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from anogan.config import load_config
from anogan.results.reading import read_results
from anogan.storage.checkpoint import read_json
from anogan.storage.documents import TOML_CHARACTERS, json_value, toml_table

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
        ("[" * 500 + "]" * 500, "nested too deep"),  # Python reads it, and cannot write it again within other calls
        ('{"a":' * 65 + "1" + "}" * 65, "nested too deep"),
        ("[" + "9" * 5000 + "]", "a number is too long"),
    ],
)
def test_json_that_python_reads_and_nobody_writes_is_damaged(text: str, why: str) -> None:
    with pytest.raises(json.JSONDecodeError, match=why):
        json_value(text)


def test_what_is_not_deep_is_read() -> None:
    assert json_value("[" * 20 + "]" * 20 + "\n") is not None
    assert toml_table("a.b.c = [[1], {d = 2}]") == {"a": {"b": {"c": [[1], {"d": 2}]}}}


def test_a_profile_that_is_no_text_is_named(tmp_path: Path) -> None:
    path = tmp_path / "own.toml"
    path.write_bytes(b'a = "\xff"')
    with pytest.raises(ValueError, match=r"own.toml: is not text in UTF-8"):
        load_config(path)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("a=" + "[" * 2000 + "]" * 2000, "nested too deep"),
        (".".join("a" * TOML_CHARACTERS) + "=1", "characters are more"),
        (".".join("a" * 3000) + "=1", "nested too deep"),
        ("[" + ".".join("a" * 500) + "]", "nested too deep"),
        ("a=" + "9" * 5000, "a number is too long"),
    ],
)
def test_deep_or_long_profile_is_not_valid(tmp_path: Path, text: str, why: str) -> None:
    path = tmp_path / "own.toml"
    path.write_text(text)
    with pytest.raises(ValueError, match=f"not valid TOML: .*{why}"):
        load_config(path)
