"""Commands of the review desk: `anogan desk` for those without a browser, `anogan audit` for the log."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from anogan.cli.app import app, finish, say

if TYPE_CHECKING:
    from anogan.review import Desk, Head, Query

desk = typer.Typer(no_args_is_help=True, help="Review cases: list, show, decide, sign, export.")
log = typer.Typer(no_args_is_help=True, help="The log of who did what on a review desk.")
app.add_typer(desk, name="desk")
app.add_typer(log, name="audit")

Database = Annotated[
    str, typer.Argument(metavar="DATABASE", help="An SQLite file, or postgresql://USER@HOST/NAME.", show_default=False)
]
Number = Annotated[int, typer.Argument(metavar="CASE", help="The number of a case.", show_default=False)]
User = Annotated[str, typer.Option("--as", help="Who you are, on a desk with members.", show_default=False)]
State = Annotated[
    str, typer.Option(help="Only these: open, second reading, arbitration, decided, signed.", show_default=False)
]
Flagged = Annotated[bool | None, typer.Option("--flagged/--not-flagged", help="Only these.", show_default=False)]
Search = Annotated[str, typer.Option(help="How the case's key or the subject's pseudonym begins.", show_default=False)]


def open_as(database: str, user: str) -> Desk:
    """Return a desk on behalf of a user, or without one of who works alone."""
    from anogan.review import open_desk

    return open_desk(database, user) if user else open_desk(database)


def _query(opened: Desk, state: str, flagged: bool | None, search: str, order: str = "") -> Query:
    from anogan.review import Query

    order = order or ("age" if opened.policy.blind_first else "p-value")
    return Query(state=state or None, flagged=flagged, search=search, order=order)  # type: ignore[arg-type]


@desk.command("list")
def list_cases(
    database: Database,
    state: State = "",
    flagged: Flagged = None,
    search: Search = "",
    order: Annotated[
        str, typer.Option(help="p-value, age or priority.", show_default="p-value, or age on a desk read blind first")
    ] = "",
    most: Annotated[int, typer.Option(help="How many, up to 1000.")] = 20,
    user: User = "",
) -> None:
    """List cases: by p-value, what was not scored comes first."""
    from rich.table import Table

    from anogan.cli.console import plain_console

    opened = open_as(database, user)
    query = _query(opened, state, flagged, search, order)
    page, counts = opened.page(query, size=most), opened.counts(query)
    table = Table("case", "title", "subject", "p-value", "flag", "state", "reader")
    for case in page.cases:
        p_value = "-" if case.p_value is None else f"{case.p_value:.3f}"
        table.add_row(
            str(case.id),
            case.title,
            case.subject,
            p_value,
            case.status if case.blind else case.outcome,
            case.state,
            case.reader,
        )
    console = plain_console()
    if page.cases:
        console.print(table)
    words = ", ".join(f"{count} {name}" for name, count in counts.items()) or "none"
    console.print(f"{sum(counts.values())} cases: {words}", highlight=False)


@desk.command()
def show(database: Database, case: Number, user: User = "") -> None:
    """Show a case and the decisions on it, as JSON."""
    opened = open_as(database, user)
    found = opened.case(case)
    _print(_plain(found) | {"decisions": [_plain(decision) for decision in opened.decisions(case)]})


@desk.command()
def decide(
    database: Database,
    case: Number,
    verdict: Annotated[str, typer.Argument(help="confirm, dismiss or unsure.", show_default=False)],
    reason: Annotated[str, typer.Option(help="The reason code.", show_default=False)],
    text: Annotated[str, typer.Option(help="Free words; needed with --reason other. Name nobody.")] = "",
    sign: Annotated[bool, typer.Option("--sign", help="Sign at once, if that decides the case.")] = False,
    user: User = "",
) -> None:
    """Decide on a case, if nobody else is reading it."""
    opened = open_as(database, user)
    held = opened.lease(case)
    try:
        decided = opened.decide(case, held.version, verdict, reason, text)  # type: ignore[arg-type]
    except ValueError:
        opened.release(case)
        raise
    if held.blind:
        say(f"case {case}: noted before the score is shown; look at it with `anogan desk show`, decide again")
        return
    if sign and decided.state == "decided":
        decided = opened.sign(case, decided.version)
    say(f"case {case}: {decided.state}")


@desk.command()
def export(
    database: Database,
    out: Annotated[Path, typer.Argument(metavar="FILE", help="A new .csv or .json file.", show_default=False)],
    state: State = "",
    flagged: Flagged = None,
    search: Search = "",
    user: User = "",
) -> None:
    """Write cases and decisions to a file."""
    from anogan.review import export

    opened = open_as(database, user)
    count = export(opened, out, _query(opened, state, flagged, search))
    say(f"{count} cases are in {out}")


@desk.command()
def sheet(
    database: Database,
    case: Number,
    out: Annotated[Path, typer.Argument(metavar="FILE", help="A new .html file.", show_default=False)],
    user: User = "",
) -> None:
    """Write one case as a page to print: pictures, figures, decisions, signature."""
    from anogan.review.sheet import write_sheet

    write_sheet(open_as(database, user), case, out)
    say(f"case {case} is in {out}")


@desk.command()
def member(
    database: Database,
    name: Annotated[str, typer.Argument(metavar="USER", help="As the sign-in gives it.", show_default=False)],
    role: Annotated[str, typer.Argument(help="reader, second reader, admin, auditor or none.", show_default=False)],
    user: User = "",
) -> None:
    """Make somebody a member, or change a role. The first must be an admin; from then on everybody signs in."""
    opened = open_as(database, user)
    opened.set_role(name, None if role == "none" else role)  # type: ignore[arg-type]
    say(f"{name}: {'no member' if role == 'none' else role}")


@desk.command()
def policy(
    database: Database,
    readings: Annotated[int | None, typer.Option(help="Independent readings of each case: 1 or 2.")] = None,
    blind_first: Annotated[
        bool | None,
        typer.Option("--blind-first/--scores-first", help="Whether readers decide once before they see the score."),
    ] = None,
    lease: Annotated[int | None, typer.Option(help="Seconds for which a case belongs to who opened it.")] = None,
    user: User = "",
) -> None:
    """Show or change how the desk works."""
    import dataclasses

    opened = open_as(database, user)
    given = {"readings": readings, "blind_first": blind_first, "lease": lease}
    if changed := {name: value for name, value in given.items() if value is not None}:
        opened.set_policy(dataclasses.replace(opened.policy, **changed))  # type: ignore[arg-type]
    _print(_plain(opened.policy))


@desk.command()
def erase(
    database: Database,
    subject: Annotated[str, typer.Argument(help="The person, as lists show him or her.", show_default=False)],
    user: User = "",
) -> None:
    """Erase one person from the desk: pictures, cases, decisions. Runs and screenings: `anogan erase`."""
    erased = open_as(database, user).erase(subject)
    say(f"erased: {erased.cases} {'case' if erased.cases == 1 else 'cases'}")
    finish([(Path(folder), "is not on this machine; remove it where it is") for folder in erased.elsewhere], "left")


@desk.command()
def grant(
    database: Database,
    role: Annotated[str, typer.Argument(help="A role of PostgreSQL that exists.", show_default=False)],
) -> None:
    """Let a PostgreSQL role work with the desk without being able to change or remove rows of the audit log."""
    from anogan.review import database as place

    engine = place.connect(database)
    place.migrate(engine)
    place.grant(engine, role)
    say(f"{role} can work with the desk; open it as {role} from now on")


@log.command()
def verify(
    database: Database,
    anchor: Annotated[
        Path | None,
        typer.Option(
            help="The file of `anogan audit anchor`. It is checked, then renewed; only with it are rows found that "
            "were cut off at the end.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Find any altered, removed or reordered row of the log, and what was changed on the desk without it."""
    from anogan.review import audit

    kept = None if anchor is None else audit.read_anchor(anchor)
    head = _verified(database, kept)
    if anchor is not None:
        audit.write_anchor(anchor, head)
    since = f", those of the anchor ({kept.count}) among them" if kept else ""
    say(f"{head.count} rows hold{since}; the last is {head.hash}")


@log.command("anchor")
def make_anchor(
    database: Database,
    out: Annotated[Path, typer.Argument(metavar="FILE", help="A new .json file.", show_default=False)],
) -> None:
    """Verify the log and keep its end in a new file, to lie where the database's users cannot write."""
    from anogan.review import audit

    if out.exists():
        raise ValueError(f"{out}: exists already; `anogan audit verify DATABASE --anchor {out}` checks and renews it")
    head = _verified(database, None)
    audit.write_anchor(out, head)
    say(f"{out} keeps the end of the log: {head.count} rows, the last is {head.hash}")


def _verified(database: str, anchor: Head | None) -> Head:
    """Return the head of a log that holds, or say what does not and raise ValueError."""
    from anogan.review import audit
    from anogan.review import database as place

    engine = place.connect_to_read(database)
    with place.faults(engine), place.snapshot(engine) as connection:
        found = audit.verify(connection, anchor)
    for fault in found.faults:
        say(fault, err=True)
    if found.faults:
        raise ValueError(f"{place.name(engine.url)}: its audit log does not hold; restore the database from a backup")
    return found.head


def _plain(value: Any) -> dict[str, Any]:
    import dataclasses

    return dataclasses.asdict(value)


def _print(value: Any) -> None:
    from anogan.storage.documents import json_text

    say(json_text(value, indent=1, default=str, ensure_ascii=False))
