"""The command that looks for one photo, face or background in several applications."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from anogan.cli.app import app, finish, say, sentence
from anogan.cli.console import Bar


@app.command()
def link(
    paths: Annotated[list[Path], typer.Argument(help="Photos, or folders with photos.", show_default=False)],
    database: Annotated[
        Path | None,
        typer.Option(
            help="Keep the hashes in this file, and look among those kept before. Default: among these photos alone.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """List photos that share a whole picture, a picture of a face or a background with others.

    Only hashes are kept, under the hash of the file, but they are personal data still. A link is a reason to look, not
    a proof: two honest people may sit in one photo booth.
    """
    from anogan.io import find_images, read_scan
    from anogan.linkage import Linkage, in_words, make_prints
    from anogan.results.reading import case_id

    files = find_images(paths)
    names: dict[str, Path] = {}
    again: list[tuple[Path, Path]] = []
    problems: list[tuple[Path, str]] = []
    faceless = 0
    with Linkage.open(database) as linkage, Bar("reading") as bar:
        for done, path in enumerate(files, 1):
            key = case_id(path)
            if key in names:
                again.append((path, names[key]))
            else:
                try:
                    prints = make_prints(read_scan(path))
                    linkage.add_prints({key: prints})
                    names[key] = path
                    faceless += "face" not in prints.codes
                except (ValueError, OSError) as error:
                    problems.append((path, sentence(error)))
            bar(done, len(files))
        found = {key: linkage.links(key) for key in names}
        kept = len(linkage)
    for path, first in again:
        say(f"{path}: is the same file as {first}")
    for key, links in found.items():
        if links:
            say(f"{names[key]}: {'; '.join(in_words(links))}")
        for one in links:
            say(f"  {names.get(one.other, f'submission {one.other}')}: {one.words} ({one.distance:.2f})")
    linked = sum(map(bool, found.values()))
    say(f"{linked} of {len(found)} photos are linked with others; {kept} submissions were looked through")
    if faceless:
        say(f"{faceless} photos show no single face; they were compared as whole pictures alone")
    finish(problems, "not looked at")
