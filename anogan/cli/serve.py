"""Commands of the API: the server, and the keys that open it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from anogan.cli.app import Run, app, load_detector, say
from anogan.cli.console import plain_console
from anogan.cli.logs import server_log
from anogan.config import LOOPBACK

if TYPE_CHECKING:
    from anogan.api.keys import Key, Keys

key = typer.Typer(no_args_is_help=True, help="Make, list and revoke the keys that open the API.")
app.add_typer(key, name="key")

Database = Annotated[
    str,
    typer.Option(
        "--database",
        envvar="ANOGAN_DATABASE",
        help="That of the review desk: a file of SQLite, or postgresql://USER@HOST/NAME.",
    ),
]
DEFAULT = "desk.db"


@app.command()
def serve(
    run: Run,
    host: Annotated[str, typer.Option(help="Address to listen on; the default is this machine alone.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port.")] = 8000,
    database: Database = DEFAULT,
    store: Annotated[
        Path | None,
        typer.Option(
            help="The folder of the photos' pixels and heat maps. Default: RUN/screenings.", show_default=False
        ),
    ] = None,
    allow_host: Annotated[
        list[str] | None,
        typer.Option(help="Another name by which the server may be asked. Repeat for more.", show_default=False),
    ] = None,
    certificate: Annotated[
        Path | None, typer.Option(help="PEM file of the certificate chain, for TLS.", show_default=False)
    ] = None,
    private_key: Annotated[Path | None, typer.Option(help="PEM file of its key.", show_default=False)] = None,
    megabytes: Annotated[float, typer.Option(min=0.001, help="Longest request.")] = 20.0,
    megapixels: Annotated[
        float,
        typer.Option(
            min=0.001, max=64, help="Largest photo, and all large ones at once; each million takes some 50 MB."
        ),
    ] = 16.0,
    batch: Annotated[int, typer.Option(min=1, help="Most photos judged together; 1: each by itself.")] = 16,
    places: Annotated[int, typer.Option(min=1, help="Most photos inside at once; more are asked to come again.")] = 64,
    monitor: Annotated[
        bool, typer.Option("--monitor", help="Count the scores in the run's drift monitor, see `anogan drift`.")
    ] = False,
    keep_days: Annotated[
        float | None,
        typer.Option(
            min=0.0,
            help="Erase screenings that are older than so many days, unless they are still to be decided on the review "
            "desk. Default: all are kept.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Judge photos that come over HTTP; what a person must see is in the review queue at once.

    The address /docs describes it. Clients need a key of `anogan key create`. Ctrl-C finishes what has been accepted.
    """
    if (certificate is None) != (private_key is None):
        raise typer.BadParameter("name both, or neither", param_hint="'--certificate', '--private-key'")
    detector = load_detector(run)
    import uvicorn

    from anogan.api.app import Settings, create_app
    from anogan.api.connection import MOST_HEAD, Connection
    from anogan.api.keys import Keys
    from anogan.api.screening import Screener
    from anogan.api.tables import open_tables
    from anogan.review import open_desk

    engine = open_tables(database)
    keys = Keys(engine)
    if not any(not known.revoked for known in keys.all()):
        say("warning: there is no key yet, so nobody can ask; make one with `anogan key create`", err=True)
    _tell_shared(keys.all())
    if detector.calibration is None:
        say(f"warning: {run} is not calibrated, so no photo passes; run `anogan calibrate`", err=True)
    if host not in LOOPBACK and certificate is None:
        say("warning: photos and keys cross the network unencrypted; give --certificate", err=True)
    screener = Screener(
        run, detector, engine, store or run / "screenings", open_desk(database), monitor, round(megapixels * 1e6)
    )
    names = {f"[{host}]" if ":" in host else host.lower(), *(name.lower() for name in allow_host or ())}
    settings = Settings(
        hosts=(*Settings.hosts, *sorted(names)),
        most_bytes=round(megabytes * 1e6),
        batch=batch,
        places=places,
        keep_days=keep_days,
    )
    uvicorn.run(
        create_app(screener, keys, settings),
        host=host,
        port=port,
        ssl_certfile=certificate,
        ssl_keyfile=private_key,
        server_header=False,
        http=Connection,
        h11_max_incomplete_event_size=MOST_HEAD,
        log_config=server_log(),
        ws="none",  # it would take connections out of those bounds
        timeout_graceful_shutdown=60,
    )


@key.command()
def create(
    name: Annotated[
        str,
        typer.Argument(
            help="The client whose key it is. Keys of one name reach the same screenings, and no others.",
            show_default=False,
        ),
    ],
    scope: Annotated[
        list[str] | None,
        typer.Option(
            help="What it may do: screen, read, erase; with admin, with the screenings of every client; metrics, of "
            "all clients, only with admin. Repeat for more.",
            show_default="screen and read",
        ),
    ] = None,
    rate: Annotated[str, typer.Option(help="How often, for example 10/second.")] = "600/minute",
    database: Database = DEFAULT,
) -> None:
    """Make a key and print it, once: only its hash is kept."""
    made = _keys(database).create(name, scope or ["screen", "read"], rate)
    say("keep it safe, it is not shown again:", err=True)
    say(made)


@key.command("list")
def list_keys(database: Database = DEFAULT) -> None:
    """List the keys."""
    from rich.table import Table

    from anogan.api.keys import SCOPES

    table = Table("key", "client", "scopes", "rate", "made", "state")
    for known in (found := _keys(database).all()):
        scopes = ", ".join(scope for scope in SCOPES if scope in known.scopes)
        state = "revoked" if known.revoked else "valid"
        table.add_row(known.id, known.name, scopes, known.rate, f"{known.created:%Y-%m-%d}", state)
    if found:
        plain_console().print(table)
    say(f"{len(found)} {'key' if len(found) == 1 else 'keys'}")
    _tell_shared(found)


@key.command()
def revoke(
    number: Annotated[str, typer.Argument(metavar="KEY", help="Its id, as `list` shows it.", show_default=False)],
    database: Database = DEFAULT,
) -> None:
    """Have a key open nothing any more, from the next request on."""
    _keys(database).revoke(number)
    say(f"{number} is revoked")


def _tell_shared(keys: Sequence[Key]) -> None:
    """Say which keys are of one client, because earlier versions took a name for a mere label."""
    for client, count in Counter(known.name for known in keys if not known.revoked).items():
        if count > 1:
            say(
                f"note: {count} keys are named {client}, so they are of one client and reach the same screenings; if "
                "they are of several, make each a key of its own name and revoke these (what was sent stays with "
                f"{client})",
                err=True,
            )


def _keys(database: str) -> Keys:
    from anogan.api.keys import Keys
    from anogan.api.tables import open_tables

    return Keys(open_tables(database))
