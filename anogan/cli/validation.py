"""Commands that look for what is wrong before a detector is relied on."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from anogan.cli.app import Data, Run, app, finish, load_detector, say, tell_notes
from anogan.cli.console import Bar, plain_console

if TYPE_CHECKING:
    from anogan.assurance.contamination import Suspects


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
    from anogan.assurance.contamination import check
    from anogan.data.dataset import open_dataset
    from anogan.storage.checkpoint import write_json, write_text

    opened = open_dataset(data, detector.config)
    tell_notes(opened.notes)
    with Bar("scoring training images") as bar:
        suspects = check(detector, opened.train, bar)
    count = suspects.to_review(review)
    folder = out or run
    write_json(folder / "contamination.json", suspects.to_json())
    write_text(folder / "contamination.csv", suspects.to_csv())
    _print_suspects(suspects, count)
    say(f"the whole list is in {folder / 'contamination.csv'}")
    finish(list(suspects.not_scored), "not scored")


def _print_suspects(suspects: Suspects, count: int, most: int = 20) -> None:
    from rich.table import Table

    table = Table("rank", "image", "subject", "score", title="least like the others first", title_justify="left")
    for case in suspects.cases[: min(count, most)]:
        table.add_row(str(case.rank), case.file, case.subject, f"{case.score:.3f}")
    console = plain_console()
    console.print(table)
    share = f"{count / len(suspects.cases):.1%}"
    console.print(f"review the first {count} of {len(suspects.cases)} images ({share})", highlight=False)


@app.command()
def fairness(
    run: Run,
    data: Data,
    out: Annotated[
        Path | None, typer.Option(help="Where fairness.json and .md go. Default: RUN/results.", show_default=False)
    ] = None,
) -> None:
    """Tell how often genuine people are turned away, by sex, ethnicity and skin luminance, with intervals over people.

    The photos are the genuine ones of the test split. Sex and ethnicity are columns of the manifest; skin luminance is
    measured in the photo. A group with few people says so.
    """
    detector = load_detector(run)
    from anogan.data.dataset import open_dataset
    from anogan.evaluation import fairness as measured
    from anogan.storage.checkpoint import write_json, write_text

    if detector.config.input.align != "face":
        raise ValueError(f"{run}: its profile is not for photos of faces, so there is nobody to compare")
    column = "" if detector.calibration is None else detector.calibration.column
    opened = open_dataset(data, detector.config, group=column)
    tell_notes(opened.notes)
    test = opened.test
    genuine = test.subset([index for index, item in enumerate(test) if item.label == 0])
    problems: list[tuple[Path, str]] = []
    with Bar("judging genuine photos") as bar:
        rows = measured.fairness(measured.judge_genuine(detector, genuine, problems, bar))
    folder = out or run / "results"
    write_json(folder / "fairness.json", measured.to_json(rows))
    write_text(folder / "fairness.md", measured.table(rows))
    say(measured.table(rows))
    finish(problems, "not judged")


@app.command()
def selftest(run: Run, data: Data) -> None:
    """Put synthetic anomalies into held-out healthy images, and tell whether enough of them are found.

    Anomalies are put into the images of the calibration split; false alarms are counted on the healthy images of the
    test split. A detector that fails is marked wherever its results are shown, and the exit code is 1.
    """
    detector = load_detector(run, marked=False)
    from anogan.assurance.selftest import chart, measure, verdict
    from anogan.data.dataset import open_dataset
    from anogan.storage.checkpoint import write_json, write_text

    column = "" if detector.calibration is None else detector.calibration.column
    opened = open_dataset(data, detector.config, group=column)
    tell_notes(opened.notes)
    with Bar("groups of anomalies") as bar:
        test = measure.run(detector, opened, bar).to_json()
    write_text(run / verdict.CHART, chart.draw(test))
    write_json(run / verdict.FILE, test | {"detector": verdict.fingerprint(run)})
    _print_selftest(test)
    say(f"{run / verdict.CHART} shows it")
    if not test["passed"]:
        raise ValueError(verdict.mark(run))
    say("passed")


def _print_selftest(test: dict[str, Any]) -> None:
    from rich.table import Table

    for family in dict.fromkeys(cell["family"] for cell in test["cells"]):
        contrasts = [f"{contrast:.0%}" for contrast in test["contrasts"]]
        table = Table("diameter", *contrasts, title=f"found, by contrast: {family} kinds", title_justify="left")
        for row, size in enumerate(test["sizes"]):
            cells = [c for c in test["cells"] if (c["family"], c["size"]) == (family, size)]
            length = f", {test['millimeters'][row]:.1f} mm" if test["millimeters"] else ""
            table.add_row(f"{size:.0%}{length}", *(f"{c['found']} of {c['made']}" for c in cells))
        plain_console().print(table)
    alarms = test["false_alarms"]
    say(f"false alarms: {alarms['flagged']} of {alarms['images']} healthy test images")
