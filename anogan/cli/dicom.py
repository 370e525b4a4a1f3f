"""Commands that give results back to a DICOM archive."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from anogan.cli.app import Run, app, finish, load_detector, say, sentence
from anogan.cli.review import User, open_as

if TYPE_CHECKING:
    from anogan.results.dicom import Verification
    from anogan.review import Desk
    from anogan.scan import Series, SeriesResult


@app.command()
def export(
    run: Run,
    sources: Annotated[
        list[Path], typer.Argument(help="DICOM files, or folders with studies of any kind.", show_default=False)
    ],
    out: Annotated[Path, typer.Option(help="The folder to write into.", show_default=False)],
    kinds: Annotated[
        str,
        typer.Option(help="What to write: seg (segmentation), map (parametric map), sr (report), sc (overlay)."),
    ] = "seg,map,sr,sc",
    level: Annotated[
        float | None,
        typer.Option(
            help="Map value, in healthy standard deviations, from which a pixel belongs to a region. Default: the "
            "lower end of the color scale, which 95 % of healthy images do not reach.",
            show_default=False,
        ),
    ] = None,
    desk: Annotated[
        str,
        typer.Option(
            help="A review desk: what a reader has confirmed and signed there is written as verified.",
            show_default=False,
        ),
    ] = "",
    organization: Annotated[
        str,
        typer.Option(help="With --desk: whom the readers answer for; verified reports name it.", show_default=False),
    ] = "",
    user: User = "",
) -> None:
    """Score series and write the results as DICOM objects for the viewer that shows their sources.

    Each series gets a segmentation, a parametric map, a structured report and overlays in series of their own, all
    marked as unverified machine output. They hold the patient's name, as DICOM demands; their file names do not. What
    is not scored gets a report that says so, and makes the exit code 1.

    With --desk, what this detector, at this threshold, says of the same slices becomes verified objects where a reader
    has confirmed and signed it: the report names the reader, is final, and follows on the unverified one.
    """
    from anogan.io import iter_series
    from anogan.results.dicom import KINDS, write_derived
    from anogan.service import Inspector

    if bool(desk) != bool(organization):
        raise typer.BadParameter("give both, or neither", param_hint="'--desk', '--organization'")
    wanted = [kind.strip() for kind in kinds.split(",") if kind.strip()]
    if not wanted or set(wanted) - set(KINDS):
        raise typer.BadParameter(f"expected some of {','.join(KINDS)}, got {kinds!r}", param_hint="'--kinds'")
    for folder in sources:
        if out.resolve().is_relative_to(folder.resolve()):
            raise ValueError(f"{out}: lies in {folder}, where the results would be taken for images; write elsewhere")
    opened = open_as(desk, user) if desk else None
    if opened is not None:
        opened.reader.need("export")
    detector = load_detector(run)
    summary, inspector = detector.summary(series=True), Inspector(run, detector)
    problems: list[tuple[Path, str]] = []
    written, count = 0, 0
    for series in iter_series(sources, problems, detector.config.input.window):
        count += 1
        result = inspector.inspect_series(series)
        if result.status != "scored":
            problems.append((Path(series.source), result.reason))
        try:
            verified = _verification(opened, series, result, summary, organization) if opened is not None else None
            made = write_derived(series, series.files, result, summary, out, level, wanted, verified)
        except (ValueError, OSError) as error:
            problems.append((Path(series.source), sentence(error)))
            continue
        written += len(made)
        said = f"score {result.score:.3f}, {result.outcome}" if result.status == "scored" else result.outcome
        by = "" if verified is None else f", verified by {verified.reader}"
        say(f"{series.source}: {len(series.scans)} slices, {said}, {len(made)} objects{by}")
    if warning := inspector.alarm.warning():
        say(f"warning: {warning}", err=True)
    say(f"{written} objects of {count} series are in {out}")
    finish(problems, "or series not scored or not written")


def _verification(
    desk: Desk, series: Series, result: SeriesResult, summary: dict[str, Any], organization: str
) -> Verification | None:
    """Return who has confirmed and signed what the detector says of a series; None: nobody."""
    from anogan.results.dicom import Verification
    from anogan.results.reading import series_id
    from anogan.review import LOCAL
    from anogan.review.arrivals import key_of

    if result.status != "scored":
        return None
    found = desk.signed(key_of(series_id(series), summary, len(series.scans)))
    if found is None or found[0].verdict != "confirm":
        return None
    case, decision = found
    if case.signed_by == LOCAL:
        raise ValueError(
            f"case {case.id}: was signed on a desk without members, so nobody knows by whom; a verified report names "
            "its reader: make members with `anogan desk member`"
        )
    assert case.signed is not None
    return Verification(case.signed_by, organization, case.signed, decision.reason)
