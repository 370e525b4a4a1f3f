"""Commands that let dismissed cases into the healthy reference, version by version."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from anogan.cli.app import Data, Run, app, load_detector, say, tell_notes
from anogan.cli.console import Bar, plain_console
from anogan.cli.review import Database, User, open_as

if TYPE_CHECKING:
    from anogan.assurance.feedback.versions import Version

feedback = typer.Typer(
    no_args_is_help=True, help="Let dismissed cases into the healthy reference: propose, list, promote, roll back."
)
app.add_typer(feedback, name="feedback")

Desk = Annotated[str, typer.Option("--desk", help="The review desk, whose log names it.", show_default=False)]


@feedback.command()
def propose(run: Run, database: Database, data: Data, user: User = "") -> None:
    """Make a new version that knows signed dismissals ("normal variant") as healthy, and compare it with this one.

    Nothing is trained, and what works goes on working. DATA is what RUN was trained and calibrated on: its calibration
    images set the gate and the threshold again, and both versions are compared and self-tested on them.
    """
    detector = load_detector(run)
    from anogan.assurance.feedback import versions
    from anogan.assurance.feedback.cases import dismissed
    from anogan.assurance.feedback.proposal import propose
    from anogan.data.dataset import open_dataset

    desk = open_as(database, user)
    desk.reader.need("export")
    column = detector.calibration.column if detector.calibration is not None else ""
    splits = open_dataset(data, detector.config, group=column)
    tell_notes(splits.notes)
    images, others = dismissed(desk, detector.config.name)
    for case, reason in others:
        say(f"case {case}: {reason}")
    if not images:
        raise ValueError(f"{database}: no signed case was dismissed as a normal variant by this detector's readers")
    base = versions.keep(run)
    with Bar("looking at dismissed images") as bar:
        proposal = propose(detector, images, splits, lambda what, done, total: bar(done, total))
    made = versions.add(run, base, proposal)
    for case, reason in proposal.refused:
        say(f"case {case}: {reason}")
    for case, patches in proposal.admitted:
        say(f"case {case}: enters with {patches} {'patch' if patches == 1 else 'patches'}")
    say(str(proposal.comparison))
    for sentence in made.against:
        say(f"It cannot be promoted: {sentence}")
    say(f"version {made.number} is in {made.folder}; an admin may: anogan feedback promote {run} {made.number}")


@feedback.command("list")
def list_versions(run: Run) -> None:
    """List the versions of a run; the arrow marks the one that works."""
    from rich.table import Table

    from anogan.assurance.feedback import versions

    works, known = versions.current(run), versions.listed(run)
    table = Table("", "version", "made", "in place of", "detector", "cases", "planted, found", "promotion")
    for one in known:
        table.add_row("->" if one.number == works else "", *_row(one))
    if known:
        plain_console().print(table)
    say(f"{len(known)} {'version' if len(known) == 1 else 'versions'}")
    if known and works is None:
        say("what works is none of them: it was calibrated or altered since")


@feedback.command()
def promote(
    run: Run,
    number: Annotated[int, typer.Argument(metavar="VERSION", help="As `list` shows it.", show_default=False)],
    desk: Desk,
    user: User = "",
) -> None:
    """Let a version work from now on; it takes an admin of the desk. Listeners and servers need a restart."""
    from anogan.assurance.feedback import versions

    made = versions.promote(run, number, open_as(desk, user))
    say(f"version {made.number} works now: {made.note['detector']}; restart what uses {run}")


@feedback.command()
def rollback(run: Run, desk: Desk, user: User = "") -> None:
    """Undo the last promotion; it takes an admin of the desk. Listeners and servers need a restart."""
    from anogan.assurance.feedback import versions

    made = versions.rollback(run, open_as(desk, user))
    say(f"version {made.number} works again: {made.note['detector']}; restart what uses {run}")


def _row(version: Version) -> list[str]:
    note: dict[str, Any] = version.note
    base = "" if note["base"] is None else str(note["base"])
    planted = note.get("planted")
    found = "" if not planted else f"{planted[1][0]:.0%}, before {planted[0][0]:.0%}"
    allowed = "cannot be promoted" if version.against else ""
    return [
        str(version.number),
        note["made"],
        base,
        note["detector"],
        str(len(note.get("admitted", []))),
        found,
        allowed,
    ]
