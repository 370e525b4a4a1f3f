"""Commands that look for what is wrong before a detector is relied on."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from anogan.cli.app import Data, Run, app, finish, load_detector
from anogan.console import Bar

if TYPE_CHECKING:
    from anogan.contamination import Suspects


@app.command()
def contamination(
    run: Run,
    data: Data,
    review: Annotated[
        float, typer.Option(help="Share of the training images to look through, twice what may be mislabeled.")
    ] = 0.04,
    out: Annotated[
        Path | None, typer.Option(help="Where contamination.json and .csv go. Default: RUN.", show_default=False)
    ] = None,
) -> None:
    """List the training images that may be mislabeled: those least like the images of other subjects."""
    detector = load_detector(run)
    from anogan.checkpoint import write_json, write_text
    from anogan.contamination import check
    from anogan.dataset import open_dataset

    with Bar("scoring training images") as bar:
        suspects = check(detector, open_dataset(data, detector.config).train, bar)
    count = suspects.to_review(review)
    folder = out or run
    write_json(folder / "contamination.json", suspects.to_json())
    write_text(folder / "contamination.csv", suspects.to_csv())
    _print_suspects(suspects, count)
    typer.echo(f"the whole list is in {folder / 'contamination.csv'}")
    finish(list(suspects.not_scored), "not scored")


def _print_suspects(suspects: Suspects, count: int, most: int = 20) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table("rank", "image", "subject", "score", title="least like the others first", title_justify="left")
    for case in suspects.cases[: min(count, most)]:
        table.add_row(str(case.rank), case.file, case.subject, f"{case.score:.3f}")
    console = Console()
    console.print(table)
    share = f"{count / len(suspects.cases):.1%}"
    console.print(f"review the first {count} of {len(suspects.cases)} images ({share})", highlight=False)
