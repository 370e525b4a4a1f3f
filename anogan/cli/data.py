"""Commands about images: write the demo's, look at any."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from anogan.cli.app import app, finish, sentence, unpack
from anogan.console import Bar

if TYPE_CHECKING:
    from anogan.scan import Scan


@app.command()
def synth(
    out: Annotated[Path, typer.Argument(help="The folder to write into.", show_default=False)],
    subjects: Annotated[
        tuple[int, int, int, int],
        typer.Option(
            help="How many healthy subjects train, calibrate and are tested, and how many abnormal are tested."
        ),
    ] = (200, 60, 40, 60),
    seed: Annotated[int, typer.Option(help="The same seed writes the same images.")] = 0,
) -> None:
    """Write the demo's images: brain MR slices of many subjects, as DICOM, some with lesions."""
    from anogan.synthetic import write_phantom

    with Bar("writing subjects") as bar:
        manifest = write_phantom(out, subjects=subjects, seed=seed, progress=bar)
    typer.echo(f"{manifest} lists what was written")


@app.command()
def info(
    context: typer.Context,
    files: Annotated[list[Path], typer.Argument(help="Images of any kind, folders or zip files.", show_default=False)],
) -> None:
    """Show what the reader sees in each file."""
    from rich.console import Console
    from rich.table import Table

    from anogan.io import find_images, read_scan

    archives = unpack(context, files)
    problems = archives.problems
    for path in find_images(archives.paths):
        try:
            scan = read_scan(path)
        except (ValueError, OSError) as error:
            problems.append((path, archives.name(sentence(error))))
            continue
        table = Table(title=archives.name(path), title_justify="left", show_header=False)
        for name, value in _facts(scan):
            table.add_row(name, value)
        Console().print(table)
    finish(problems, "could not be read")


def _facts(scan: Scan) -> Iterator[tuple[str, str]]:
    height, width = scan.pixels.shape[:2]
    yield "format", scan.format
    yield "size", f"{height} x {width} pixels, {'gray' if scan.pixels.ndim == 2 else 'color'}"
    yield "range", f"{scan.pixels.min():.3f} to {scan.pixels.max():.3f} of [0, 1]"
    for name, text in (("modality", scan.modality), ("subject", scan.subject), ("series", scan.series_uid)):
        if text:
            yield name, text
    if scan.spacing:
        yield "spacing", f"{scan.spacing[0]:g} x {scan.spacing[1]:g} mm (row, column)"
    if scan.position is not None:
        yield "position", f"{scan.position:g} mm"
    yield from scan.details.items()
