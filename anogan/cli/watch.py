"""Commands about a detector in service: does its calibration still hold, and is another version better."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from anogan.cli.app import Run, app, finish, load_detector, say, tell_notes
from anogan.cli.console import Bar


@app.command()
def drift(
    run: Run,
    reset: Annotated[
        bool, typer.Option("--reset", help="Start anew with the same calibration; flags are decided again.")
    ] = False,
    abnormal_share: Annotated[
        float | None,
        typer.Option(
            help="Share of abnormal cases that is no drift, with --reset. More makes the watch slower. Default: 0.05.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Tell whether the calibration still holds for the cases that `anogan inspect --monitor` has counted.

    The exit code is 1 when it does not.
    """
    if abnormal_share is not None and not reset:
        raise typer.BadParameter("changes what is counted; add --reset", param_hint="'--abnormal-share'")
    from anogan.assurance.drift import FALSE_ALARM, Monitor

    monitor = Monitor.reset(run, abnormal_share) if reset else Monitor.open(run)
    noun = "case" if len(monitor.scores) == 1 else "cases"
    say(
        f"{len(monitor.scores)} {noun} counted beside {len(monitor.calibration)} calibration images, "
        f"up to {monitor.abnormal_share:.1%} abnormal ones allowed for"
    )
    say(
        f"evidence against the calibration: {monitor.total:.3g}, at its highest {monitor.highest:.3g}; "
        f"the alarm is at {1 / FALSE_ALARM:g}, without drift at most one monitor in {1 / FALSE_ALARM:g} ever reaches it"
    )
    for moved in monitor.feature_drift():
        side = "above" if moved.shift > 0 else "below"
        say(
            f"{moved.component.replace('_', ' ')}: the last {len(monitor.recent)} cases lie "
            f"{abs(moved.shift):.2f} standard deviations {side} the calibration images "
            f"(Kolmogorov-Smirnov {moved.distance:.2f}, p = {moved.p_value:.2g})"
        )
    if words := monitor.warning():
        raise ValueError(words)
    say("the calibration holds as far as these cases tell" if monitor.scores else "no routine case counted yet")


@app.command()
def compare(
    first: Annotated[Path, typer.Argument(metavar="RUN_A", help="The run in service.", show_default=False)],
    second: Annotated[Path, typer.Argument(metavar="RUN_B", help="The run that may replace it.", show_default=False)],
    paths: Annotated[
        list[Path], typer.Argument(help="Images without labels, or folders with them.", show_default=False)
    ],
    out: Annotated[
        Path | None, typer.Option(help="Where comparison.json and comparison.csv go. Default: RUN_B/comparison.")
    ] = None,
    group: Annotated[
        str,
        typer.Option(help="The images' scanner, site or sex, where the runs were calibrated for each by itself."),
    ] = "",
) -> None:
    """Judge an upgrade on unlabeled images: where two detectors agree, and which finds more planted anomalies."""
    from anogan.io.files import survey

    files, others = survey(paths)
    if others:
        tell_notes([f"no images, and passed over: {others}"])
    detectors = load_detector(first), load_detector(second)
    from anogan.assurance import comparison

    with Bar("comparing") as bar:
        found = comparison.compare(*detectors, files, groups=[group] * len(files), progress=bar)
    folder = out or second / "comparison"
    found.save(folder)
    say(str(found))
    say(f"comparison.json and comparison.csv, most disputed case first, are in {folder}")
    finish([(Path(row["file"]), row["reason"]) for row in found.not_scored], "not scored")
