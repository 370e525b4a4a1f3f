"""OFIQ, the reference implementation of ISO/IEC 29794-5, as an optional program beside `anogan.faces.quality`.

`$ANOGAN_OFIQ` holds the command of its sample program with its settings, for example
"/opt/ofiq/bin/OFIQSampleApp -c /opt/ofiq/data/ofiq_config.jaxn". It writes a table with semicolons: a file's name, the
native and the scalar value (0 to 100, more is better; -1 where it failed) of each quality component, and milliseconds.
"""

from __future__ import annotations

import os
import shlex
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

UNIFIED = "UnifiedQualityScore"
_SCALAR = ".scalar"


def named() -> bool:
    """Tell whether there is a command."""
    return bool(os.environ.get("ANOGAN_OFIQ", "").strip())


def assess(paths: Sequence[str | os.PathLike[str]]) -> list[dict[str, float]]:
    """Return the scalar value of each component by its name in OFIQ, for each image in order.

    All images are handed over at once, because the program takes long to start. What it fails at is left out: an image
    in which it finds no face, or that it cannot read (it takes JPEG and PNG), has nothing.

    Raises
    ------
    ValueError
        No command is named, it is not there or fails, or its table is none.
    """
    command = shlex.split(os.environ.get("ANOGAN_OFIQ", ""))
    if not command:
        raise ValueError("OFIQ: $ANOGAN_OFIQ names no command; set it, for example to OFIQSampleApp -c CONFIG")
    files = [str(Path(path).resolve()) for path in paths]
    skipped = 0
    while skipped < len(files):
        head, *rows = _table(command, files[skipped:])
        names = [name.removesuffix(_SCALAR) for name in head.split(";") if name.endswith(_SCALAR)]
        if names:
            return [{} for _ in range(skipped)] + [_measures(row, names) for row in rows]
        skipped += 1  # the heading is that of the first image; it has no columns where that cannot be read
    return [{} for _ in files]


def _table(command: Sequence[str], files: Sequence[str]) -> list[str]:
    """Return the lines of the program's table: the heading, then a line for each file."""
    with tempfile.TemporaryDirectory() as folder:
        listing, table = Path(folder) / "images.txt", Path(folder) / "measures.csv"
        listing.write_text("".join(f"{file}\n" for file in files), encoding="utf-8")
        try:
            subprocess.run([*command, "-i", str(listing), "-o", str(table)], check=True, capture_output=True)
            lines = table.read_text(encoding="utf-8").splitlines()
        except (OSError, subprocess.CalledProcessError) as error:
            raise ValueError(f"OFIQ failed ({error}); check the command in $ANOGAN_OFIQ") from None
    if len(lines) != len(files) + 1:
        raise ValueError(
            f"OFIQ gave {max(len(lines) - 1, 0)} lines for {len(files)} images; check the command in $ANOGAN_OFIQ"
        )
    return lines


def _measures(line: str, names: Sequence[str]) -> dict[str, float]:
    cells = line.rstrip(";").rsplit(";", 2 * len(names) + 1)  # from the right: names of files may hold a semicolon
    if len(cells) != 2 * len(names) + 2:
        return {}
    try:
        values = [float(cell) for cell in cells[-1 - len(names) : -1]]
    except ValueError:
        raise ValueError("OFIQ gave a value that is no number; check the command in $ANOGAN_OFIQ") from None
    return {name: value for name, value in zip(names, values, strict=True) if value >= 0}
