"""Commands that use a detector."""

from __future__ import annotations

import dataclasses
from collections import deque
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from anogan.cli.app import Data, Run, app, finish, load_detector, say, sentence, tell_notes, unpack
from anogan.cli.console import Bar, plain_console, serve
from anogan.cli.extras import need
from anogan.config import LOOPBACK

if TYPE_CHECKING:
    from anogan.io.archive import Unpacked
    from anogan.scan import Result, Scan, SeriesResult


@app.command()
def inspect(
    context: typer.Context,
    run: Run,
    paths: Annotated[list[Path], typer.Argument(help="Images, folders or zip files with images.", show_default=False)],
    out: Annotated[
        Path | None,
        typer.Option(help="Where the heat maps, results.json and results.csv go. Default: RUN/results."),
    ] = None,
    group: Annotated[
        str,
        typer.Option(help="The images' scanner, site or sex, where the detector was calibrated for each by itself."),
    ] = "",
    fdr: Annotated[
        float | None,
        typer.Option(
            help="Also mark discoveries (Benjamini-Hochberg): of those in the work list, at most this share is "
            "expected to be healthy, for example 0.1.",
            show_default=False,
        ),
    ] = None,
    monitor: Annotated[
        bool,
        typer.Option("--monitor", help="These are routine cases: count them in the watch over the calibration."),
    ] = False,
    series: Annotated[
        bool,
        typer.Option("--series", help="Judge each series of slices as one volume, as one case of the work list."),
    ] = False,
    desk: Annotated[
        str,
        typer.Option(
            help="Put the cases of the work list on this review desk: an SQLite file, or postgresql://USER@HOST/NAME.",
            show_default=False,
        ),
    ] = "",
) -> None:
    """Score images, flag the unusual ones and draw where they differ.

    A file that cannot be scored is listed as "not scored", never as normal, and makes the exit code 1. With --monitor
    the scores are compared with those of the calibration images (see `anogan drift`); when they have drifted, nothing
    is flagged automatically until the run is calibrated again or the monitor reset.

    With --series the p-values and flags are those of whole series, which `anogan calibrate --series` makes possible.
    """
    if desk:  # what is wrong with it should not come to light after the scoring
        from anogan.review import open_desk

        open_desk(desk).close()
    if series:
        if monitor or group:
            option = "'--monitor'" if monitor else "'--group'"
            raise typer.BadParameter("is for single images, not for --series", param_hint=option)
        _inspect_series(run, unpack(context, paths), out or run / "results", fdr, desk)
        return
    from anogan.assurance import drift
    from anogan.io import read_scan
    from anogan.io.files import survey
    from anogan.metrics.discovery import discoveries
    from anogan.results.writing import ResultsWriter
    from anogan.service import Inspector

    archives = unpack(context, paths)
    files, others = survey(archives.paths)
    if others:
        tell_notes([f"no images, and passed over: {others}"])
    detector = load_detector(run)
    if fdr is not None:
        discoveries([], fdr)  # refuses what is no rate before the scoring
        if detector.calibration is None:
            raise ValueError(f"{run}: is not calibrated, so there are no p-values for --fdr; run `anogan calibrate`")
    inspector = Inspector(run, detector)
    if detector.calibration is None and monitor:
        raise ValueError(f"{run}: is not calibrated, so there is nothing to monitor; run `anogan calibrate` first")
    cases: list[drift.Case] = []
    results: list[Result] = []
    problems = archives.problems
    waiting: deque[tuple[Path, Path, Scan]] = deque()  # read, not yet judged

    with ResultsWriter(out or run / "results", detector.summary(), fdr) as writer, Bar("scoring") as bar:
        for path, reason in problems:  # of archives
            writer.add_failure(path, reason)

        def scans() -> Iterator[Scan]:
            for path in files:
                name = Path(archives.name(path))
                try:
                    scan = read_scan(path, detector.config.input.window)
                    scan = dataclasses.replace(scan, source=str(name), group=group)
                except (ValueError, OSError) as error:
                    reason = archives.name(sentence(error))
                    problems.append((name, reason))
                    writer.add_failure(name, reason, file=path)
                    continue
                waiting.append((path, name, scan))
                yield scan

        for result in inspector.inspect_many(scans(), examples=True):
            path, name, scan = waiting.popleft()
            case = writer.add(scan, result, file=path)
            # Of what was drawn, the maps of hundreds of large images are more than a machine's memory.
            results.append(dataclasses.replace(result, anomaly_map=None, reconstruction=None, component_maps={}))
            if result.status != "scored":
                problems.append((name, result.reason))
            elif result.p_value is not None:  # else its group is not calibrated: there is nothing to compare with
                cases.append(drift.Case(case, scan.subject, result.score, result.components))
            bar(len(results) + len(problems), len(files))

        if monitor and not inspector.count(cases):
            say(f"warning: {run} was calibrated again meanwhile: nothing was counted", err=True)
        results = inspector.settle(writer, results)

    _print_results([result for result in results if result.status == "scored"])
    if warning := inspector.alarm.warning():
        say(f"warning: {warning}", err=True)
    elif fdr is not None:
        found = writer.discoveries
        say(f"{sum(map(bool, found))} of {len(found)} in the work list are discoveries at {fdr:.1%}")
    say(f"heat maps, results.json and results.csv are in {out or run / 'results'}")
    _hand_over(out or run / "results", desk)
    finish(problems, "not scored")


def _inspect_series(run: Path, archives: Unpacked, out: Path, fdr: float | None, desk: str) -> None:
    from anogan.io import iter_series
    from anogan.metrics.discovery import discoveries
    from anogan.results.writing import ResultsWriter
    from anogan.service import Inspector

    detector = load_detector(run)
    if fdr is not None:
        discoveries([], fdr)
        if detector.series_calibration is None:
            raise ValueError(
                f"{run}: is not calibrated for series, so there are no p-values for --fdr; run `anogan calibrate "
                f"{run} DATA --series`"
            )
    inspector = Inspector(run, detector)
    results: list[SeriesResult] = []
    problems = archives.problems
    unread: list[tuple[Path, str]] = []
    with ResultsWriter(out, detector.summary(series=True), fdr) as writer, Bar("scoring series") as bar:
        for one in iter_series(archives.paths, unread, detector.config.input.window):
            one = dataclasses.replace(one, source=archives.name(one.source))
            result = inspector.inspect_series(one)
            result = dataclasses.replace(result, reason=archives.name(result.reason))
            writer.add_series(one, result)
            results.append(dataclasses.replace(result, slices=()))
            bar(len(results), len(results))  # how many there are shows only once the last file is read
        problems += [(Path(archives.name(path)), archives.name(reason)) for path, reason in unread]
        for path, reason in problems:
            writer.add_failure(path, reason)
    problems += [(Path(result.source), result.reason) for result in results if result.status != "scored"]
    _print_results([result for result in results if result.status == "scored"])
    if warning := inspector.alarm.warning():
        say(f"warning: {warning}", err=True)
    elif fdr is not None:
        say(f"{sum(map(bool, writer.discoveries))} of the work list are discoveries at {fdr:.1%}")
    say(f"pictures of the top slices, results.json and results.csv are in {out}")
    _hand_over(out, desk)
    finish(problems, "not scored")


def _hand_over(results: Path, database: str) -> None:
    """Put a work list on a review desk, if one is named."""
    if not database:
        return
    from anogan.service import put_on_desk

    count = put_on_desk(results, database)
    say(f"{count} {'case is' if count == 1 else 'cases are'} on the review desk")


def _print_results(results: Sequence[Result | SeriesResult], most: int = 20) -> None:
    from rich.table import Table

    from anogan.scan import Outcome

    table = Table("image or series", "score", "p-value", "verdict", title="most unusual first", title_justify="left")
    for result in sorted(results, key=lambda result: -result.score)[:most]:
        p_value = "-" if result.p_value is None else f"{result.p_value:.3f}"
        table.add_row(result.source, f"{result.score:.3f}", p_value, result.outcome)
    console = plain_console()
    if results:
        console.print(table)
    if len(results) > most:
        console.print(f"and {len(results) - most} more in results.csv")
    flagged = sum(result.outcome is Outcome.FLAGGED for result in results)
    open_cases = [result for result in results if result.outcome in (Outcome.UNDECIDED, Outcome.NOT_CALIBRATED)]
    more = f", {len(open_cases)} not decided" if open_cases else ""
    console.print(f"{len(results)} scored, {flagged} flagged{more}", highlight=False)
    if open_cases and open_cases[0].reason:
        console.print(f"the first that is not decided: {open_cases[0].reason}", highlight=False)


@app.command()
def evaluate(
    run: Run,
    data: Data,
    out: Annotated[
        Path | None,
        typer.Option(help="Where evaluation.json and the scored cases go. Default: RUN/results."),
    ] = None,
    report: Annotated[
        bool, typer.Option("--report", help="Write report.html too: one file for reading, printing and handing on.")
    ] = False,
    prevalence: Annotated[
        list[float] | None,
        typer.Option(
            help="A share of abnormal images for which the report tells what a flag is worth. Repeat for more.",
            show_default="0.001, 0.01, 0.1",
        ),
    ] = None,
) -> None:
    """Score a labeled data set and tell how good the detector is on it."""
    if prevalence and not report:
        raise typer.BadParameter("is for the report; add --report", param_hint="'--prevalence'")
    if wrong := [share for share in prevalence or [] if not 0 < share < 1]:
        raise typer.BadParameter(f"expected a number between 0 and 1, got {wrong[0]:g}", param_hint="'--prevalence'")
    detector = load_detector(run)
    from anogan import evaluation
    from anogan.data.dataset import open_dataset
    from anogan.data.seen import UNKNOWN, Seen

    column = "" if detector.calibration is None else detector.calibration.column
    folder, scans = out or run / "results", open_dataset(data, detector.config, group=column)
    tell_notes([*scans.notes, *([] if Seen.of(detector.provenance).known else [UNKNOWN])])
    with Bar("scoring") as bar:
        found = evaluation.evaluate(detector, scans.test, out=folder, progress=bar)
    say(str(found))
    if report:
        page = evaluation.write_report(
            folder,
            found,
            detector,
            scans,
            name=(data if data.is_dir() else data.parent).resolve().name,
            prevalences=prevalence or evaluation.PREVALENCES,
        )
        say(f"{page} is the report; evaluation.csv beside it holds its figures, results.csv each case")


@app.command()
def dashboard(
    run: Run,
    port: Annotated[int, typer.Option(help="Port on this machine; the next free one if it is taken.")] = 8501,
    desk: Annotated[
        str,
        typer.Option(
            metavar="DATABASE",
            envvar="ANOGAN_DESK",
            help="Show this review desk, too: an SQLite file, or postgresql://USER@HOST/NAME.",
            show_default=False,
        ),
    ] = "",
    sign_in: Annotated[
        Path | None,
        typer.Option(
            metavar="SETTINGS",
            help="Have people sign in with OpenID Connect, as this TOML file says; the desk's members come in.",
            show_default=False,
        ),
    ] = None,
    host: Annotated[
        str, typer.Option(help="Address to listen on; another than this machine's needs --sign-in.")
    ] = "127.0.0.1",
) -> None:
    """Open the work list, the heat maps, the evaluation and a review desk in a browser."""
    need("streamlit")
    if not (run / "profile.toml").is_file():  # a training that still runs can be watched
        raise ValueError(f"{run}: not a run folder; make one with `anogan train`")
    if host not in LOOPBACK and sign_in is None:
        raise ValueError(f"--host {host}: the whole network could look at the images; give --sign-in, too")
    address = ""
    if sign_in is not None:
        if not desk:
            raise ValueError("--sign-in: needs --desk, whose members may come in")
        from anogan.review.openid import read_settings

        address = read_settings(sign_in)
    if desk:
        from anogan.review import open_desk
        from anogan.review.database import absolute

        opened = open_desk(desk)
        alone = opened.reader.may("administer")  # without members, on behalf of nobody
        opened.close()
        if sign_in is not None and alone:
            raise ValueError(
                "--sign-in: nobody is a member of the desk yet; begin with `anogan desk member DATABASE NAME admin`"
            )
        desk = absolute(desk)
    if host not in LOOPBACK:
        say("warning: images cross the network unencrypted unless a proxy with TLS stands before this", err=True)
    raise SystemExit(serve(run, port, desk, host, sign_in, address))
