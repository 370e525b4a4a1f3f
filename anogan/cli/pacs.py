"""Commands that talk with a PACS."""

from __future__ import annotations

import signal
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from anogan.cli.app import Run, app, finish, load_detector, say
from anogan.cli.console import Bar, VisibleFormatter, plain_console
from anogan.cli.extras import need

if TYPE_CHECKING:
    from anogan.pacs.nodes import Node

pacs = typer.Typer(no_args_is_help=True, help="Ask a PACS for studies, bring them here, send files there.")
app.add_typer(pacs, name="pacs")

File = Annotated[Path, typer.Option("--settings", help="The file that names the nodes.")]
Name = Annotated[str, typer.Argument(metavar="NODE", help="A node of the settings.", show_default=False)]
DEFAULT = Path("pacs.toml")


@app.command()
def listen(
    run: Run,
    store: Annotated[
        Path,
        typer.Option(
            "--store",
            envvar="ANOGAN_STORE",
            help="The folder of the queue; it holds patients' images.",
            show_default=False,
        ),
    ],
    settings: Annotated[Path, typer.Option("--settings", help="Who may send, and where results go.")] = DEFAULT,
    desk: Annotated[
        str, typer.Option(help="Put each series on this review desk, too, with its pictures.", show_default=False)
    ] = "",
) -> None:
    """Receive studies from a PACS, score each once it is complete, and send the results back.

    What is sent says that nobody has verified it. With --desk readers decide on each series; what they sign is
    written as verified by `anogan export --desk`.

    Ctrl-C finishes what is being scored and leaves the rest for the next start; so does a crash.
    """
    need("pynetdicom")
    import logging

    from anogan.pacs.listener import Listener
    from anogan.pacs.settings import load_settings

    chosen = load_settings(settings)
    detector = load_detector(run)
    from anogan.pacs.judging import judge_with
    from anogan.review import open_desk

    handler = logging.StreamHandler()  # on stderr
    handler.setFormatter(VisibleFormatter("%(asctime)s %(message)s"))
    logging.basicConfig(handlers=[handler])
    logging.getLogger("anogan").setLevel(logging.INFO)
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    opened = open_desk(desk) if desk else None
    listener = Listener(chosen, store, judge_with(run, detector, opened, store.resolve() / "desk"))
    listener.run(stop)


@app.command()
def queue(
    store: Annotated[Path, typer.Argument(help="The --store of `anogan listen`.", show_default=False)],
    retry: Annotated[bool, typer.Option("--retry", help="Try the failed studies again.")] = False,
    study: Annotated[
        list[str] | None, typer.Option(help="With --retry: only this StudyInstanceUID. Repeat for more.")
    ] = None,
    keep_first: Annotated[
        str,
        typer.Option(
            metavar="STUDY",
            help="Let a quarantined study, by its StudyInstanceUID, go on with the objects that came first. Those that "
            "contradict them are deleted.",
            show_default=False,
        ),
    ] = "",
) -> None:
    """Show where each study of a listener stands. The exit code is 1 while one has failed or is quarantined."""
    from rich.table import Table

    from anogan.pacs.queue import STATES, Queue

    if study and not retry:
        raise typer.BadParameter("is for --retry", param_hint="'--study'")
    if not (store / "queue.db").is_file():
        raise ValueError(f"{store}: holds no queue; name the --store of `anogan listen`")
    listed = Queue(store / "queue.db")
    if retry:
        say(f"{listed.retry(study or ())} to be tried again")
    if keep_first:
        from anogan.pacs.store import Store

        count = Store(store).keep_first(keep_first)
        say(f"{count} {'object' if count == 1 else 'objects'} deleted, the study goes on without")
    entries = listed.entries()
    table = Table("study", "subject", "state", "objects", "results", "reason")
    for entry in entries:
        table.add_row(entry.uid, entry.subject, entry.state, str(entry.objects), str(entry.results), entry.reason)
    if entries:
        plain_console().print(table)
    counts = {state: sum(entry.state == state for entry in entries) for state in STATES}
    say(", ".join(f"{count} {state}" for state, count in counts.items() if count) or "nothing has come yet")
    if counts["quarantined"]:
        say(
            f"anogan: {counts['quarantined']} quarantined, whose objects are of several patients; to keep what came "
            f"first: anogan queue {store} --keep-first STUDY; to erase a person: anogan erase --help",
            err=True,
        )
    if counts["failed"]:
        raise SystemExit(f"anogan: {counts['failed']} failed; once the cause is gone: anogan queue {store} --retry")
    if counts["quarantined"]:
        raise SystemExit(1)


@pacs.command()
def echo(node: Name, settings: File = DEFAULT) -> None:
    """Ask whether a node answers."""
    _open(settings, node).echo()
    say(f"{node} answers")


@pacs.command()
def find(
    node: Name,
    date: Annotated[str, typer.Option(help="YYYYMMDD, or YYYYMMDD-YYYYMMDD.")] = "",
    modality: Annotated[str, typer.Option(help="For example MR.")] = "",
    study: Annotated[str, typer.Option(help="A StudyInstanceUID.")] = "",
    patient: Annotated[
        bool,
        typer.Option("--patient", help="Ask for a patient's number; it is read without echo, for no list of commands."),
    ] = False,
    settings: File = DEFAULT,
) -> None:
    """List studies; persons are shown by their pseudonyms."""
    from rich.table import Table

    from anogan.pacs.nodes import Query

    if not (date or modality or study or patient):
        raise typer.BadParameter("name at least one of --date, --modality, --study, --patient")
    chosen = _open(settings, node)
    number = typer.prompt("patient's number", hide_input=True, err=True) if patient else ""
    found = chosen.find(Query(date, modality, study, number))
    table = Table("study", "date", "modalities", "series", "images", "subject")
    for row in sorted(found, key=lambda row: (row.date, row.study)):
        table.add_row(row.study, row.date, row.modalities, row.series, row.instances, row.subject)
    if found:
        plain_console().print(table)
    say(f"{len(found)} {'study' if len(found) == 1 else 'studies'} found")


@pacs.command()
def fetch(
    node: Name,
    study: Annotated[str, typer.Argument(help="A StudyInstanceUID, as `find` shows it.", show_default=False)],
    out: Annotated[Path, typer.Argument(help="The folder to write into.", show_default=False)],
    settings: File = DEFAULT,
) -> None:
    """Bring a study into a folder. Its files name the patient; their names do not."""
    files = _open(settings, node).fetch(study, out)
    say(f"{len(files)} {'file' if len(files) == 1 else 'files'} in {out}")


@pacs.command()
def send(
    node: Name,
    paths: Annotated[list[Path], typer.Argument(help="DICOM files, or folders with them.", show_default=False)],
    settings: File = DEFAULT,
) -> None:
    """Send DICOM files to a node."""
    from anogan.pacs.header import read_header

    chosen = _open(settings, node)
    problems: list[tuple[Path, str]] = []
    files: list[Path] = []
    for path in _files(paths):
        try:
            read_header(path)
            files.append(path)
        except ValueError as error:
            problems.append((path, str(error)))
    with Bar("sending") as bar:
        for done, (path, refused) in enumerate(chosen.send(files) if files else (), start=1):
            if refused:
                problems.append((path, refused))
            bar(done, len(files))
    finish(problems, "not sent")
    say(f"{len(files)} sent to {node}")


def _files(paths: list[Path]) -> list[Path]:
    found: list[Path] = []
    for path in paths:
        if not path.exists():
            raise ValueError(f"{path}: there is no such file or folder")
        found += sorted(each for each in path.rglob("*") if each.is_file()) if path.is_dir() else [path]
    return found


def _open(settings: Path, node: str) -> Node:
    from anogan.pacs.settings import load_settings

    chosen = load_settings(settings)
    chosen.node(node)  # before pydicom is imported
    from anogan.pacs import open_node

    return open_node(chosen, node)
