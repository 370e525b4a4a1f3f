"""Commands that make a detector."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from anogan.cli.app import Data, Run, app, load_detector, refuse_full
from anogan.console import Bar

if TYPE_CHECKING:
    from anogan.config import Config


@app.command()
def train(
    data: Data,
    run: Annotated[Path, typer.Option("--run", help="The run folder to make.", show_default=False)],
    profile: Annotated[
        str, typer.Option("--profile", help="A profile of the package or a TOML file. May be left out with --resume.")
    ] = "",
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", help="One setting, for example training.steps=500. Repeat for more.", show_default=False),
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on where a stopped training was; start if there is none.")
    ] = False,
) -> None:
    """Learn from the healthy images of a data set."""
    from anogan.config import load_config

    if not profile and not (resume and (run / "profile.toml").is_file()):
        raise typer.BadParameter("name one, for example --profile brain-mri", param_hint="'--profile'")
    config = load_config(profile or run / "profile.toml", settings or [])
    speaks = os.environ.get("RANK", "0") == "0"  # torchrun starts several of us, and one of them speaks
    if not resume and speaks:
        refuse_full(run, "add --resume to go on with it, or choose another --run")
    if resume and _already_trained(run, config):
        typer.echo(f"{run} is trained already")
        return

    from anogan.checkpoint import read_json, write_text
    from anogan.dataset import open_dataset
    from anogan.detector import Detector

    scans = open_dataset(data, config).train
    if speaks:
        write_text(run / "profile.toml", config.to_toml())  # so that --resume needs no other setting
        typer.echo(f"training {config.name} on {len(scans)} healthy images of {len(set(scans.subjects))} subjects")
    try:
        with Bar("training") as bar:
            detector = Detector.train(scans, config, run=run, resume=resume, callback=bar.training)
    except KeyboardInterrupt:
        typer.echo(f"anogan: stopped; go on with: anogan train {data} --run {run} --resume", err=True)
        raise SystemExit(130) from None
    if speaks:
        detector.save(run)
        for phase, found in read_json(run / "training" / "progress.json").items():
            typer.echo(
                f"{phase}: {found['steps']} steps, {found['word']} ({found['reason']}); kept: step {found['best']}"
            )
        typer.echo(f"{run} holds the detector; next: anogan calibrate {run} {data}")


def _already_trained(run: Path, config: Config) -> bool:
    """Tell whether the run is finished; refuse to mix two sets of settings in one run."""
    from anogan.config import load_config

    if (run / "profile.toml").is_file() and load_config(run / "profile.toml") != config:
        raise ValueError(
            f"{run}: was started with other settings; choose another --run, or leave out --profile and --set"
        )
    return (run / "detector.safetensors").is_file()


@app.command()
def calibrate(
    run: Run,
    data: Data,
    false_alarm_rate: Annotated[
        float | None,
        typer.Option(help="Share of healthy images that may be flagged. Default: the profile's."),
    ] = None,
) -> None:
    """Set the threshold on healthy images that training has not seen."""
    detector = load_detector(run)
    from anogan.dataset import open_dataset

    scans = open_dataset(data, detector.config).calibration
    with Bar("scoring healthy images") as bar:
        bar(0, len(scans))
        detector = detector.calibrate(scans, false_alarm_rate)
        bar(len(scans), len(scans))
    detector.save(run)
    if detector.calibration is not None:
        typer.echo(detector.calibration.promise())
