"""Commands that make a detector."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from anogan.cli.app import Data, app, finish, load_detector, refuse_full, say, tell_notes, telling
from anogan.cli.console import Bar

if TYPE_CHECKING:
    from anogan.config import Config
    from anogan.data.dataset import ScanSet
    from anogan.detector import Detector
    from anogan.scan import Series


@app.command()
def train(
    context: typer.Context,
    data: Data,
    run: Annotated[Path, typer.Option("--run", help="The run folder to make.", show_default=False)],
    profile: Annotated[
        str, typer.Option("--profile", help="A profile of the package or a TOML file. May be left out with --resume.")
    ] = "",
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", help="One setting, for example training.steps=500. Repeat for more.", show_default=False),
    ] = None,
    group: Annotated[
        str,
        typer.Option(
            help="Column of the manifest, such as site: a profile that judges noise learns that of each by itself.",
            show_default=False,
        ),
    ] = "",
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
    trained = resume and _already_trained(run, config)
    from anogan.data.dataset import open_dataset
    from anogan.detector import Detector
    from anogan.storage.atomic import alone
    from anogan.storage.checkpoint import read_json, write_text

    opened = open_dataset(data, config, group=group)
    scans = opened.train
    if trained:
        _refuse_others(run, scans, config)
        say(f"{run} is trained already")
        return
    if speaks:
        busy = f"{run}: another training works there; wait for it, or choose another --run"
        run.mkdir(parents=True, exist_ok=True)
        context.with_resource(alone(run / "training.lock", busy))
        if not resume and (run / "profile.toml").exists():  # somebody was faster
            raise ValueError(busy)
        tell_notes(opened.notes)
        write_text(run / "profile.toml", config.to_toml())  # so that --resume needs no other setting
        say(f"reading {len(scans)} healthy images of {len(set(scans.subjects))} subjects to train {config.name}")
    left_out: list[tuple[Path, str]] = []
    try:
        with telling(left_out), Bar("training") as bar:
            detector = Detector.train(scans, config, run=run, resume=resume, callback=bar.training, left_out=left_out)
    except KeyboardInterrupt:
        own = f" --group {group}" if group else ""
        say(f"anogan: stopped; go on with: anogan train {data} --run {run}{own} --resume", err=True)
        raise SystemExit(130) from None
    if speaks:
        detector.save(run)
        for phase, found in read_json(run / "training" / "progress.json").items():
            say(f"{phase}: {found['steps']} steps, {found['word']} ({found['reason']}); kept: step {found['best']}")
        origin, people = detector.provenance, detector.provenance["people"]
        count, subjects = origin["images"] + origin["holdout_images"], len({*people["train"], *people["holdout"]})
        say(f"{run} holds the detector, trained on {count} images of {subjects} subjects")
        say(f"next: anogan calibrate {run} {data}")
        finish(left_out, "left out")


def _already_trained(run: Path, config: Config) -> bool:
    """Tell whether the run is finished; refuse to mix two sets of settings in one run."""
    from anogan.config import load_config

    if (run / "profile.toml").is_file() and load_config(run / "profile.toml") != config:
        raise ValueError(
            f"{run}: was started with other settings; choose another --run, or leave out --profile and --set"
        )
    return (run / "detector.json").is_file()  # written last


def _refuse_others(run: Path, scans: ScanSet, config: Config) -> None:
    """Raise ValueError if the run is trained, but not on an image of these that could train."""
    from anogan.data.seen import Seen

    seen = Seen.of(load_detector(run).provenance)
    if not seen.known:  # of before it was noted what was held back
        return
    others = scans.subset(index for index, item in enumerate(scans) if not seen.by_file(item.path))
    _, usable, _ = others.load(config)
    if usable:
        first = others[usable[0]].path
        raise ValueError(f"{run}: was trained on other images than these, without {first}; choose another --run")


@app.command()
def calibrate(
    run: Annotated[Path | None, typer.Argument(help="A run folder.", show_default=False)] = None,
    data: Annotated[
        Path | None,
        typer.Argument(help="A folder with healthy/, or with a manifest.csv.", show_default=False),
    ] = None,
    false_alarm_rate: Annotated[
        float | None,
        typer.Option(help="Share of healthy images that may be flagged. Default: the profile's.", show_default=False),
    ] = None,
    confidence: Annotated[
        float | None,
        typer.Option(
            help="Keep the rate with this confidence, for example 0.95. Default: on average over calibration sets.",
            show_default=False,
        ),
    ] = None,
    group: Annotated[
        str, typer.Option(help="A column of the manifest, for example scanner: calibrate each of its values by itself.")
    ] = "",
    out: Annotated[
        Path | None,
        typer.Option(
            help="For another site: leave RUN as it is and make this run folder, whose only threshold is from all "
            "healthy images of DATA (or its calibration split). Nothing is trained again.",
            show_default=False,
        ),
    ] = None,
    series: Annotated[
        bool,
        typer.Option("--series", help="Set the threshold of whole series instead: one series of each healthy subject."),
    ] = False,
    plan: Annotated[
        float | None,
        typer.Option(
            help="Only tell how many healthy images a false-alarm rate takes, for example 0.01.", show_default=False
        ),
    ] = None,
) -> None:
    """Set the threshold on healthy images that training has not seen."""
    if plan is not None:
        _plan(plan, confidence)
        return
    if run is None or data is None:
        raise typer.BadParameter("missing; give both, or --plan RATE alone", param_hint="'RUN' 'DATA'")
    if series and group:
        raise typer.BadParameter("is for single images, not for --series", param_hint="'--group'")
    if out is not None:
        refuse_full(out, "choose another --out")
    detector = load_detector(run)
    from anogan.data.dataset import open_dataset, open_healthy

    other_site = out is not None
    config, before = detector.config, detector.calibration
    if other_site:
        # What was set on one site's images or series promises nothing at another.
        detector = dataclasses.replace(detector, calibration=None, series_calibration=None)
        notes: list[str] = []
        scans = open_healthy(data, group, config.input.window, notes)
        tell_notes(notes)
    else:
        opened = open_dataset(data, config, group=group)
        tell_notes(opened.notes)
        scans = opened.calibration
    if series:
        _calibrate_series(detector, scans, false_alarm_rate, confidence, out or run)
        return
    left_out: list[tuple[Path, str]] = []
    with telling(left_out), Bar("scoring healthy images") as bar:
        bar(0, len(scans))
        calibrated = detector.calibrate(scans, false_alarm_rate, confidence=confidence, group=group, left_out=left_out)
        bar(len(scans), len(scans))
    calibrated.save(out or run)
    after = calibrated.calibration
    assert after is not None
    if other_site and before is not None and not before.groups:
        count, n = int((after.scores >= before.threshold).sum()), len(after.scores)
        say(
            f"the threshold of {run} would flag {count} of these {n} healthy images ({count / n:.1%}); "
            f"it was set for {before.false_alarm_rate:.1%}"
        )
    say(after.promise())
    images, subjects = (calibrated.provenance["calibrations"][-1][what] for what in ("images", "subjects"))
    if subjects < images:
        say(
            f"These {images} images are of {subjects} subjects, and images of one subject are alike: "
            f"what is promised with confidence is less sure than {images} subjects would make it."
        )
    if other_site:
        say(f"{out} holds the detector with its new threshold; {run} is as it was")
    finish(left_out, "left out")


def _calibrate_series(
    detector: Detector, scans: ScanSet, false_alarm_rate: float | None, confidence: float | None, out: Path
) -> None:
    left_out: list[tuple[Path, str]] = []
    subjects = len(set(scans.subjects))

    def healthy() -> Iterator[Series]:
        with Bar("scoring healthy series") as bar:
            for done, series in enumerate(scans.read_series(left_out)):
                bar(done, subjects)
                yield series
            bar(subjects, subjects)

    with telling(left_out):
        calibrated = detector.calibrate_series(healthy(), false_alarm_rate, confidence=confidence, left_out=left_out)
    calibrated.save(out)
    assert calibrated.series_calibration is not None
    say(calibrated.series_calibration.promise())
    if missing := subjects - len(calibrated.series_calibration.scores):
        say(f"{missing} of {subjects} subjects have no series that can be scored")
    finish(left_out, "or series left out")


def _plan(rate: float, confidence: float | None) -> None:
    from anogan.detector.calibration import CONFIDENCE, images_needed

    sure = confidence or CONFIDENCE
    say(
        f"{images_needed(rate)} healthy images keep false alarms at {rate:g} on average over calibration sets\n"
        f"{images_needed(rate, sure)} healthy images keep them at {rate:g} with {100 * sure:g} % confidence\n"
        "with so many the highest of their scores is the threshold; more images find more anomalies at the same rate\n"
        "where a subject has several images, count subjects: images of one subject are alike"
    )
