"""What anybody may have written is damaged when it is nested too deep; what is written is valid JSON."""

from __future__ import annotations

import ast
import json
import math
import re
from pathlib import Path

import numpy as np
import pytest

from anogan.config import load_config
from anogan.results.reading import read_results
from anogan.storage.checkpoint import read_json
from anogan.storage.documents import TOML_CHARACTERS, json_text, json_value, toml_table

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


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ({"cases": [{"score": 1.0}, {"score": math.nan}]}, "cases[1].score is nan"),
        ([0.5, -math.inf], "[1] is -inf"),
        (math.inf, "the value is inf"),
        ({"figures": ({"area": np.float64("nan")},)}, "figures[0].area is nan"),
    ],
)
def test_a_figure_that_json_cannot_hold_is_named(value: object, said: str) -> None:
    with pytest.raises(ValueError, match=re.escape(said) + ", which JSON cannot hold"):
        json_text(value)


def test_what_is_written_is_read_back() -> None:
    value = {"b": [1, 0.1, None, True], "a": "\u00e4"}
    assert json.loads(json_text(value)) == value
    assert json_text(value, sort_keys=True, separators=(",", ":")) == '{"a":"\\u00e4","b":[1,0.1,null,true]}'
    assert json_text(value, ensure_ascii=False).endswith('"a": "\u00e4"}')


def test_json_is_written_in_one_place() -> None:
    """Python's own writer takes NaN for a number, which no other reader does."""
    root = Path(__file__).parents[2]
    sources = [*(root / "anogan").rglob("*.py"), *(root / "benchmarks").rglob("*.py"), root / "app.py"]
    users = {
        path.relative_to(root).as_posix()
        for path in sources
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Attribute) and node.attr in ("dumps", "dump") and ast.unparse(node.value) == "json"
    }
    assert users == {"anogan/storage/documents.py"}
