"""JSON and TOML from files that anybody may have written: what is nested too deep is damaged, not a crash."""

from __future__ import annotations

import json
import tomllib
from typing import Any

TOML_CHARACTERS = 1 << 14
"""Longer settings are refused: tomllib takes memory with the square of a dotted key's length. Profiles have 3000."""


def json_value(text: str) -> Any:
    """Return what a JSON text says. Raises json.JSONDecodeError, also where it is nested too deep."""
    try:
        return json.loads(text)
    except RecursionError:
        raise json.JSONDecodeError("nested too deep", text[:1], 0) from None


def toml_table(text: str) -> dict[str, Any]:
    """Return what a TOML text says. Raises tomllib.TOMLDecodeError, also where it is too long or nested too deep."""
    if len(text) > TOML_CHARACTERS:
        raise tomllib.TOMLDecodeError(f"{len(text)} characters are more than the {TOML_CHARACTERS} that are read")
    try:
        return tomllib.loads(text)
    except RecursionError:
        raise tomllib.TOMLDecodeError("nested too deep") from None
