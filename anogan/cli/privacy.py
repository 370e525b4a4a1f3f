"""Commands about the people in the images: de-identify for sharing, erase one of them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from anogan.cli.app import Run, app, finish, say
from anogan.cli.console import Bar


@app.command()
def deidentify(
    sources: Annotated[list[Path], typer.Argument(help="DICOM images, or folders with them.", show_default=False)],
    out: Annotated[Path, typer.Option(help="The folder for the new files.", show_default=False)],
    shift_dates: Annotated[
        bool,
        typer.Option("--shift-dates", help="Shift dates, all of one person by as many days, instead of removing them."),
    ] = False,
    accept_burned_in: Annotated[
        bool,
        typer.Option("--accept-burned-in", help="Take images that may show text, too: you have looked at them."),
    ] = False,
) -> None:
    """Copy DICOM images without what identifies people, to share a calibration set (DICOM PS3.15, basic profile).

    Pixels are not cleaned: ultrasound, secondary captures and what says that text is burnt in are refused. Files of one
    person stay together in a folder named by a pseudonym, files of one series keep one new series UID.
    """
    from anogan.io import find_images
    from anogan.privacy.deidentify import REPORT, deidentify

    files = find_images(sources)
    if inside := [source for source in sources if out.resolve().is_relative_to(source.resolve())]:
        raise ValueError(f"{out}: lies in {inside[0]}, which is to be de-identified; choose another --out")
    with Bar("de-identifying") as bar:
        report, problems = deidentify(
            files, out, shift_dates=shift_dates, accept_burned_in=accept_burned_in, progress=bar
        )
    say(f"{report['files']} files of {report['subjects']} subjects are in {out}; {REPORT} tells what was done")
    say("pixels are as they were; a head that was scanned in thin slices still shows its face")
    finish(problems, "not de-identified")


@app.command()
def erase(
    run: Run,
    subject: Annotated[
        str, typer.Argument(help="The person, as lists of results show him or her.", show_default=False)
    ] = "",
    file: Annotated[
        Path | None, typer.Option(help="Instead of SUBJECT: a DICOM file of the person.", show_default=False)
    ] = None,
    reference: Annotated[
        str, typer.Option(help="Instead of SUBJECT: the reference that a client of the API gave.", show_default=False)
    ] = "",
    client: Annotated[
        str,
        typer.Option(help="Whose reference it is, where several clients of the API have given it.", show_default=False),
    ] = "",
    results: Annotated[
        list[Path] | None,
        typer.Option(help="A folder with results outside of RUN. Repeat for more.", show_default=False),
    ] = None,
    store: Annotated[
        Path | None, typer.Option(help="The folder of a listener: the person's studies leave it.", show_default=False)
    ] = None,
    database: Annotated[
        str,
        typer.Option(
            help="That of `anogan serve`: the person's screenings go, with their pictures, prints, links and cases on "
            "the review desk.",
            show_default=False,
        ),
    ] = "",
    screenings: Annotated[
        Path | None,
        typer.Option(help="The folder of `anogan serve --store`. Default: RUN/screenings.", show_default=False),
    ] = None,
) -> None:
    """Erase one person from a run, a listener and the API: studies, results, screenings, drift monitor, bank, pictures.

    Other cases on a review desk go by `anogan desk erase`.

    Networks and thresholds are made of many people's images at once and cannot forget one; the command says so.
    """
    if [bool(subject), file is not None, bool(reference)].count(True) != 1:
        raise typer.BadParameter("give SUBJECT, --file or --reference, one of them", param_hint="'SUBJECT'")
    if (reference or screenings) and not database:
        raise typer.BadParameter("names where the screenings are; it is missing", param_hint="'--database'")
    from anogan.io import read_subject

    if file is not None and not (subject := read_subject(file)):
        raise ValueError(f"{file}: names no person; give the SUBJECT as lists of results show it")
    if not (run / "detector.json").is_file():
        raise ValueError(f"{run}: not a run folder of anogan (it has no detector.json)")
    if missing := [folder for folder in [*(results or []), *([store] if store else [])] if not folder.is_dir()]:
        raise ValueError(f"{missing[0]}: there is no such folder")
    from anogan.privacy import erasure

    studies = 0
    if subject and store is not None:  # a listener knows no references
        from anogan.pacs.store import Store

        studies = Store(store).erase(subject)  # first, so that none of them brings results any more
    # What a listener keeps for the review desk is a folder of results, too.
    folders = [*(results or ()), *([store / "desk"] if store is not None else [])]
    found = erasure.erase(run, subject, folders) if subject else erasure.Erasure()
    if studies:
        found.done.append(f"{studies} {'study' if studies == 1 else 'studies'} in {store}")
    if database:
        from anogan.api.erasing import erase_screenings, person_of

        place = screenings or run / "screenings"
        count, elsewhere = erase_screenings(run, database, place, subject, reference, client)
        for person in dict.fromkeys((person_of(reference, client), "" if client else reference)):
            found.done += erasure.erase_counted(run, person) if person else []
        if count:
            found.done.append(f"{count} {'screening' if count == 1 else 'screenings'} in {place}, prints and cases too")
        found.problems += [(place, f"does not hold screening {number}; name its own store") for number in elsewhere]
    for sentence in found.done:
        say(f"erased: {sentence}")
    if not found.done and not found.problems:
        raise ValueError(
            f"{run}: keeps nothing that is known to be of this person; give the SUBJECT as lists of results show it"
        )
    say(f"not erased: {erasure.AGGREGATES}")
    finish(found.problems, "not erased")
