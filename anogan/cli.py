"""The commands: `anogan --help`.

Exit codes: 0 done; 1 the data or the model is at fault, or an image was not scored; 2 wrong usage; 130 interrupted.
Everything heavy is imported inside the commands, because `anogan --help` must not wait for torch.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from anogan.console import Bar, serve

if TYPE_CHECKING:
    from anogan.config import Config
    from anogan.detector import Detector
    from anogan.scan import Result, Scan

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    help="Learn what healthy images look like; then show where a new one differs, and how sure that is.\n\n"
    "Decision support for research, not a diagnosis.",
)

Run = Annotated[Path, typer.Argument(help="A run folder, as `anogan train` made it.", show_default=False)]
Data = Annotated[
    Path,
    typer.Argument(help="A folder with healthy/ (and abnormal/, masks/), or with a manifest.csv.", show_default=False),
]


def main(arguments: Sequence[str] | None = None) -> None:
    """Run one command; a fault of the data or the model becomes one sentence and exit code 1."""
    try:
        app(arguments, prog_name="anogan")
    except (ValueError, OSError) as error:
        raise SystemExit(f"anogan: {_sentence(error)}") from None


def _sentence(error: ValueError | OSError) -> str:
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename}: {error.strerror.lower()}" if error.filename else error.strerror
    return " ".join(str(error).split())


def _version(wanted: bool) -> None:
    if wanted:
        from anogan import __version__

        typer.echo(f"anogan {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    pass


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
def info(files: Annotated[list[Path], typer.Argument(help="Images of any kind.", show_default=False)]) -> None:
    """Show what the reader sees in each file."""
    from rich.console import Console
    from rich.table import Table

    from anogan.io import find_images, read_scan

    problems: list[tuple[Path, str]] = []
    for path in find_images(files):
        try:
            scan = read_scan(path)
        except (ValueError, OSError) as error:
            problems.append((path, _sentence(error)))
            continue
        table = Table(title=str(path), title_justify="left", show_header=False)
        for name, value in _facts(scan):
            table.add_row(name, value)
        Console().print(table)
    _finish(problems, "could not be read")


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
        _refuse_full(run, "add --resume to go on with it, or choose another --run")
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
    detector = _load(run)
    from anogan.dataset import open_dataset

    scans = open_dataset(data, detector.config).calibration
    with Bar("scoring healthy images") as bar:
        bar(0, len(scans))
        detector = detector.calibrate(scans, false_alarm_rate)
        bar(len(scans), len(scans))
    detector.save(run)
    if detector.calibration is not None:
        typer.echo(detector.calibration.promise())


@app.command()
def inspect(
    run: Run,
    paths: Annotated[list[Path], typer.Argument(help="Images, or folders with images.", show_default=False)],
    out: Annotated[
        Path | None,
        typer.Option(help="Where the heat maps, results.json and results.csv go. Default: RUN/results."),
    ] = None,
) -> None:
    """Score images, flag the unusual ones and draw where they differ.

    A file that cannot be scored is listed as "not scored", never as normal, and makes the exit code 1.
    """
    from anogan.io import find_images, read_scan
    from anogan.io.results import ResultsWriter

    files = find_images(paths)
    detector = _load(run)
    results: list[Result] = []
    problems: list[tuple[Path, str]] = []
    waiting: deque[tuple[Path, Scan]] = deque()  # read, not yet judged

    with ResultsWriter(out or run / "results", detector.summary()) as writer, Bar("scoring") as bar:

        def scans() -> Iterator[Scan]:
            for path in files:
                try:
                    scan = read_scan(path)
                except (ValueError, OSError) as error:
                    problems.append((path, _sentence(error)))
                    writer.add_failure(path, _sentence(error))
                    continue
                waiting.append((path, scan))
                yield scan

        for result in detector.inspect_many(scans()):
            path, scan = waiting.popleft()
            writer.add(scan, result)
            results.append(result)
            if result.status != "scored":
                problems.append((path, result.reason))
            bar(len(results) + len(problems), len(files))

    _print_results([result for result in results if result.status == "scored"])
    typer.echo(f"heat maps, results.json and results.csv are in {out or run / 'results'}")
    _finish(problems, "not scored")


def _print_results(results: list[Result], most: int = 20) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table("image", "score", "p-value", "verdict", title="most unusual first", title_justify="left")
    for result in sorted(results, key=lambda result: -result.score)[:most]:
        p_value = "-" if result.p_value is None else f"{result.p_value:.3f}"
        verdict = {None: "not calibrated", True: "flagged", False: "not flagged"}[result.flagged]
        table.add_row(result.source, f"{result.score:.3f}", p_value, verdict)
    console = Console()
    if results:
        console.print(table)
    if len(results) > most:
        console.print(f"and {len(results) - most} more in results.csv")
    flagged = sum(bool(result.flagged) for result in results)
    console.print(f"{len(results)} scored, {flagged} flagged", highlight=False)


@app.command()
def evaluate(
    run: Run,
    data: Data,
    out: Annotated[
        Path | None,
        typer.Option(help="Where evaluation.json and the scored cases go. Default: RUN/results."),
    ] = None,
) -> None:
    """Score a labeled data set and tell how good the detector is on it."""
    detector = _load(run)
    from anogan import evaluation
    from anogan.dataset import open_dataset

    with Bar("scoring") as bar:
        report = evaluation.evaluate(
            detector, open_dataset(data, detector.config).test, out=out or run / "results", progress=bar
        )
    typer.echo(str(report))


@app.command()
def dashboard(
    run: Run,
    port: Annotated[int, typer.Option(help="Port on this machine; the next free one if it is taken.")] = 8501,
) -> None:
    """Open the work list, the heat maps and the evaluation in a browser."""
    if not (run / "profile.toml").is_file():  # a training that still runs can be watched
        raise ValueError(f"{run}: not a run folder; make one with `anogan train`")
    raise SystemExit(serve(run, port))


def _load(run: Path) -> Detector:
    if not run.is_dir():
        raise ValueError(f"{run}: there is no such run folder; make one with `anogan train`")
    from anogan.detector import Detector

    return Detector.load(run)


def _refuse_full(folder: Path, way_out: str) -> None:
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ValueError(f"{folder}: exists already; {way_out}")


def _finish(problems: list[tuple[Path, str]], what: str) -> None:
    """List the files that failed and leave with exit code 1, if there are any."""
    for path, reason in problems:
        # Most reasons name their file already.
        typer.echo(reason if str(path) in reason else f"{path}: {reason}", err=True)
    if problems:
        raise SystemExit(f"anogan: {len(problems)} {'file' if len(problems) == 1 else 'files'} {what}")
