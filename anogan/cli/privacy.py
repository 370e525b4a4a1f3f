"""Commands about the people in the images: de-identify for sharing, erase one of them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from anogan.cli.app import app, finish
from anogan.console import Bar


@app.command()
def deidentify(
    sources: Annotated[list[Path], typer.Argument(help="DICOM images, or folders with them.", show_default=False)],
    out: Annotated[Path, typer.Option(help="The folder for the new files.", show_default=False)],
    shift_dates: Annotated[
        bool,
        typer.Option("--shift-dates", help="Shift dates, all of one person by as many days, instead of removing them."),
    ] = False,
    accept_burned_in: Annotated[
        bool,
        typer.Option("--accept-burned-in", help="Take images that may show text, too: you have looked at them."),
    ] = False,
) -> None:
    """Copy DICOM images without what identifies people, to share a calibration set (DICOM PS3.15, basic profile).

    Pixels are not cleaned: ultrasound, secondary captures and what says that text is burnt in are refused. Files of one
    person stay together in a folder named by a pseudonym, files of one series keep one new series UID.
    """
    from anogan.io import find_images
    from anogan.io.deidentify import REPORT, deidentify

    files = find_images(sources)
    if inside := [source for source in sources if out.resolve().is_relative_to(source.resolve())]:
        raise ValueError(f"{out}: lies in {inside[0]}, which is to be de-identified; choose another --out")
    with Bar("de-identifying") as bar:
        report, problems = deidentify(
            files, out, shift_dates=shift_dates, accept_burned_in=accept_burned_in, progress=bar
        )
    typer.echo(f"{report['files']} files of {report['subjects']} subjects are in {out}; {REPORT} tells what was done")
    typer.echo("pixels are as they were; a head that was scanned in thin slices still shows its face")
    finish(problems, "not de-identified")
