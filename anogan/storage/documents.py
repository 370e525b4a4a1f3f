"""JSON and TOML: what is read may be anybody's, so nested too deep is damaged; what is written is valid JSON."""

from __future__ import annotations

import json
import math
import tomllib
from collections.abc import Iterator, Mapping
from typing import Any

TOML_CHARACTERS = 1 << 14
"""Longer settings are refused: tomllib takes memory with the square of a dotted key's length. Profiles have 3000."""


_DEPTH = 64
"""More levels than any document of ours has; who prints or writes such a one again needs no more than Python allows."""


def json_value(text: str) -> Any:
    """Return what a JSON text says. Raises json.JSONDecodeError, also where it is nested too deep or has no number."""
    try:
        return _shallow(json.loads(text))
    except json.JSONDecodeError:
        raise
    except (RecursionError, ValueError) as error:
        raise json.JSONDecodeError(_why(error), text[:1], 0) from None


def json_text(value: Any, **layout: Any) -> str:
    """Return a value as JSON, which has neither NaN nor infinity (RFC 8259, section 6): the one writer of the package.

    Parameters
    ----------
    value
        Of plain values; a figure that is not defined is None.
    layout
        As `json.dumps` takes it: `indent`, `sort_keys`, `separators`, `ensure_ascii`, `default`.

    Raises
    ------
    ValueError
        A figure is NaN or infinite; the sentence says which one.
    """
    try:
        return json.dumps(value, allow_nan=False, **layout)
    except ValueError:
        for place, figure in _figures(value, ""):
            if not math.isfinite(figure):
                raise ValueError(
                    f"{place.lstrip('.')} is {figure}, which JSON cannot hold; nothing was written"
                ) from None
        raise


def _figures(value: Any, place: str) -> Iterator[tuple[str, float]]:
    if isinstance(value, float):
        yield place or "the value", value
    elif isinstance(value, Mapping):
        for key, one in value.items():
            yield from _figures(one, f"{place}.{key}")
    elif isinstance(value, list | tuple):
        for number, one in enumerate(value):
            yield from _figures(one, f"{place}[{number}]")


def toml_table(text: str) -> dict[str, Any]:
    """Return what a TOML text says.

    Raises
    ------
    tomllib.TOMLDecodeError
        It is no TOML, or too long, nested too deep, or has a number that is too long.
    """
    if len(text) > TOML_CHARACTERS:
        raise tomllib.TOMLDecodeError(f"{len(text)} characters are more than the {TOML_CHARACTERS} that are read")
    try:
        return _shallow(tomllib.loads(text))
    except tomllib.TOMLDecodeError:
        raise
    except (RecursionError, ValueError) as error:
        raise tomllib.TOMLDecodeError(_why(error)) from None


def _shallow(value: Any) -> Any:
    level = [value]
    for _ in range(_DEPTH):
        inner = [one.values() if isinstance(one, dict) else one for one in level if isinstance(one, dict | list)]
        if not inner:
            return value
        level = [each for one in inner for each in one]
    raise RecursionError


def _why(error: Exception) -> str:
    return (
        "nested too deep" if isinstance(error, RecursionError) else "a number is too long"
    )  # Python reads 4300 digits
