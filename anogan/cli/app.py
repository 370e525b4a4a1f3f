"""What all commands share: the application, its arguments, and how a fault becomes one sentence."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from anogan.cli.console import visible
from anogan.cli.extras import missing

if TYPE_CHECKING:
    from anogan.detector import Detector
    from anogan.io.archive import Unpacked

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


def say(text: str, err: bool = False, nl: bool = True) -> None:
    """Print a text; what is a control character in a name or a value is shown and does nothing."""
    typer.echo(visible(text), err=err, nl=nl)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run one command; a fault of the data or the model becomes one sentence and exit code 1.

    Where a library of an extra is missing, the sentence says which extra, and the exit code is 2.
    """
    try:
        app(arguments, prog_name="anogan")
    except (ValueError, OSError) as error:
        raise SystemExit(f"anogan: {visible(sentence(error), lines=False)}") from None
    except ModuleNotFoundError as error:
        if not (words := missing(error)):
            raise
        say(f"anogan: {words}", err=True)
        raise SystemExit(2) from None


def sentence(error: ValueError | OSError) -> str:
    """Return the fault on one line, with its file."""
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename}: {error.strerror.lower()}" if error.filename else error.strerror
    return " ".join(str(error).split())


def _version(wanted: bool) -> None:
    if wanted:
        from anogan._version import __version__

        say(f"anogan {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    pass


def load_detector(run: Path, marked: bool = True) -> Detector:
    """Return the detector of a run folder; ValueError where there is none.

    Says so if its self-test failed, unless the caller is about to repeat that (`marked` is False).
    """
    if not run.is_dir():
        raise ValueError(f"{run}: there is no such run folder; make one with `anogan train`")
    from anogan.assurance.selftest.verdict import mark
    from anogan.detector import Detector

    if marked and (words := mark(run)):
        say(f"warning: {words}", err=True)
    return Detector.load(run)


def unpack(context: typer.Context, paths: Sequence[Path]) -> Unpacked:
    """Unpack the archives among some paths until the command ends."""
    from anogan.io.archive import unpacked

    return context.with_resource(unpacked(paths))


def tell_notes(notes: Sequence[str]) -> None:
    """Say what a person should know of how a data set was read."""
    for note in notes:
        say(f"note: {note}", err=True)


def refuse_full(folder: Path, way_out: str) -> None:
    """Raise ValueError if the folder holds something; `way_out` says what to do then."""
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ValueError(f"{folder}: exists already; {way_out}")


def _tell(problems: list[tuple[Path, str]]) -> None:
    from anogan.io.files import named

    for path, reason in problems:
        say(visible(named(path, reason), lines=False), err=True)


@contextlib.contextmanager
def telling(left_out: list[tuple[Path, str]]) -> Iterator[None]:
    """Where the work fails, list the files that were left out: perhaps too few are left."""
    try:
        yield
    except ValueError:
        _tell(left_out)
        raise


def finish(problems: list[tuple[Path, str]], what: str) -> None:
    """List the files that failed and leave with exit code 1, if there are any."""
    if problems:
        _tell(problems)
        raise SystemExit(f"anogan: {len(problems)} {'file' if len(problems) == 1 else 'files'} {what}")
