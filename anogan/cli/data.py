"""Commands about images: write the demo's, look at any, measure the quality of portraits."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from anogan.cli.app import app, finish, say, sentence, unpack
from anogan.cli.console import Bar, plain_console

if TYPE_CHECKING:
    from anogan.config import QualityConfig
    from anogan.scan import Scan, Series


@app.command()
def synth(
    out: Annotated[Path, typer.Argument(help="The folder to write into.", show_default=False)],
    subjects: Annotated[
        tuple[int, int, int, int],
        typer.Option(
            help="How many healthy subjects train, calibrate and are tested, and how many abnormal are tested."
        ),
    ] = (200, 60, 40, 60),
    slices: Annotated[int, typer.Option(help="Slices per subject, about the lateral ventricles.")] = 5,
    spacing: Annotated[float, typer.Option(help="mm from slice to slice.")] = 8.0,
    seed: Annotated[int, typer.Option(help="The same seed writes the same images.")] = 0,
) -> None:
    """Write the demo's images: brain MR slices of many subjects, as DICOM, some with lesions."""
    from anogan.data.synthetic import write_phantom

    with Bar("writing subjects") as bar:
        manifest = write_phantom(out, subjects=subjects, slices=slices, spacing=spacing, seed=seed, progress=bar)
    say(f"{manifest} lists what was written")


@app.command()
def info(
    context: typer.Context,
    files: Annotated[list[Path], typer.Argument(help="Images of any kind, folders or zip files.", show_default=False)],
    profile: Annotated[
        str,
        typer.Option("--profile", help="For portraits: also show the face and its quality, as id-photo takes them."),
    ] = "",
) -> None:
    """Show what the reader sees in each file, and in each series of DICOM or NIfTI slices."""
    from rich.table import Table

    from anogan.config import load_config
    from anogan.io import iter_series

    config = load_config(profile) if profile else None
    archives = unpack(context, files)
    problems = archives.problems
    for series in iter_series(archives.paths, problems):
        table = Table(title=archives.name(series.source), title_justify="left", show_header=False)
        table.add_column(no_wrap=True)
        table.add_column(overflow="fold")
        for name, value in _facts(series):
            table.add_row(name, value)
        if config is not None and config.input.align == "face":
            for name, value in _face_facts(series.scans[0], config.quality):
                table.add_row(name, value)
        plain_console().print(table)
    finish([(Path(archives.name(path)), archives.name(why)) for path, why in problems], "could not be read")


@app.command("quality")
def quality_table(
    context: typer.Context,
    paths: Annotated[list[Path], typer.Argument(help="Portraits, folders or zip files.", show_default=False)],
    out: Annotated[
        Path | None, typer.Option(help="The CSV file to write. Default: it is printed.", show_default=False)
    ] = None,
    profile: Annotated[str, typer.Option("--profile", help="Whose least values decide.")] = "id-photo",
    with_ofiq: Annotated[
        bool, typer.Option("--ofiq", help="Add the measures of OFIQ, whose command is in $ANOGAN_OFIQ.")
    ] = False,
) -> None:
    """List the quality of portraits as CSV, in the words of ISO/IEC 29794-5; whether they are genuine is no part of it.

    The outcome is accepted, refused (the quality is too low), failure to acquire (no face, several, too small), or
    unreadable; the reason says more.
    """
    from anogan.config import QualityConfig, load_config
    from anogan.faces import detection, ofiq, quality
    from anogan.io import find_images, read_scan
    from anogan.storage import spreadsheet
    from anogan.storage.checkpoint import write_text

    if with_ofiq and not ofiq.named():
        ofiq.assess([])  # says what is missing before the work begins
    archives = unpack(context, paths)
    limits = load_config(profile).quality
    names = [name for name in QualityConfig.model_fields if name != "refuse"]
    rows, files = [], find_images(archives.paths)
    problems = archives.problems
    with Bar("measuring") as bar:
        for path in files:
            row: dict[str, str | float] = {"file": archives.name(path)}
            try:
                scan = read_scan(path)
            except (ValueError, OSError) as error:
                row |= {"outcome": "unreadable", "reason": archives.name(sentence(error))}
                problems.append((Path(archives.name(path)), str(row["reason"])))
            else:
                try:
                    found = quality.assess(scan, detection.align(scan, quality.SIZE), limits)
                except ValueError as error:
                    row |= {"outcome": detection.FAILURE, "reason": str(error).removeprefix(f"{detection.FAILURE}: ")}
                else:
                    outcome = "refused" if found.refused else "accepted"
                    row |= {"outcome": outcome, "reason": "; ".join((*found.refused, *found.noted))}
                    row |= {name: round(value, 4) for name, value in found.measures.items()}
            rows.append(row)
            bar(len(rows), len(files))
    columns = ["file", "outcome", "reason", *names]
    if with_ofiq:
        for row, measures in zip(rows, ofiq.assess(files), strict=True):
            row |= {f"OFIQ {name}": value for name, value in measures.items()}
        columns += list(dict.fromkeys(name for row in rows for name in row if name.startswith("OFIQ ")))
    table = spreadsheet.table(columns, ([row.get(column) for column in columns] for row in rows))
    if out is None:
        say(table, nl=False)
    else:
        write_text(out, table)
        say(f"{out} lists {len(rows)} images")
    finish(problems, "could not be read")


def _face_facts(scan: Scan, limits: QualityConfig) -> Iterator[tuple[str, str]]:
    from anogan.faces import detection, ofiq, quality

    try:
        aligned = detection.align(scan, quality.SIZE)
    except ValueError as failure:
        yield "face", str(failure)
        return
    left, top, right, bottom = aligned.face.box
    yield "face", f"columns {left:.0f} to {right:.0f}, rows {top:.0f} to {bottom:.0f}"
    found = quality.assess(scan, aligned, limits)
    for name, value in found.measures.items():
        yield name.replace("_", " "), f"{value:.3g}, least {getattr(limits, name):g}"
    if ofiq.named():
        unified = ofiq.assess([scan.source])[0].get(ofiq.UNIFIED)
        yield "unified quality score", "none, by OFIQ" if unified is None else f"{unified:g} of 100, by OFIQ"
    for reason in found.refused:
        yield "not scored", reason
    for note in found.noted:
        yield "note", note


def _facts(series: Series) -> Iterator[tuple[str, str]]:
    from anogan.io.places import orientation

    scan, scans = series.scans[0], series.scans
    height, width = scan.pixels.shape[:2]
    yield "format", scan.format
    if len(scans) > 1:
        yield "slices", str(len(scans))
    yield "size", f"{height} x {width} pixels, {'gray' if scan.pixels.ndim == 2 else 'color'}"
    low, high = min(scan.pixels.min() for scan in scans), max(scan.pixels.max() for scan in scans)
    yield "range", f"{low:.3f} to {high:.3f} of [0, 1]"
    named = ("modality", scan.modality), ("body part", scan.body_part), ("view", scan.view), ("subject", scan.subject)
    for name, text in (*named, ("study", scan.study_uid), ("series", scan.series_uid)):
        if text:
            yield name, text
    if scan.spacing:
        yield "spacing", f"{scan.spacing[0]:g} x {scan.spacing[1]:g} mm (row, column)"
    if series.step is not None:
        yield "step", f"{series.step:g} mm from slice to slice"
    if scan.geometry is not None:
        yield "orientation", orientation(scan.geometry)
    places = [scan.position for scan in scans if scan.position is not None]
    if places:
        yield "position", f"{places[0]:g} mm" if len(scans) == 1 else f"{places[0]:g} to {places[-1]:g} mm"
    clipped = [scan.clipped for scan in scans if scan.clipped is not None]
    if clipped:
        yield "clipped", f"{sum(clipped) / len(clipped):.1%} of the pixels are black or white by the window"
    if scan.burned_in is not None:
        yield "burned-in text", "yes, says the header" if scan.burned_in else "no, says the header"
    yield from scan.details.items()
    for note in series.notes:
        yield "note", note
