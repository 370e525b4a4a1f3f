"""The report: one HTML file that needs nothing else, beside `evaluation.json` and `evaluation.csv`."""

from __future__ import annotations

import datetime
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from anogan.data.dataset import Splits
from anogan.detector import Detector
from anogan.evaluation import figures, pictures
from anogan.evaluation.cards import data_card, model_card, versions
from anogan.evaluation.floors import floors
from anogan.evaluation.report import OperatingPoint, Report
from anogan.metrics import decision_curve, predictive_intervals
from anogan.storage import checkpoint, spreadsheet

PREVALENCES = (0.001, 0.01, 0.1)
"""Prevalences for which a report tells what a flag is worth, unless others are named."""


def write_report(
    folder: str | os.PathLike[str],
    report: Report,
    detector: Detector,
    scans: Splits,
    *,
    name: str = "",
    prevalences: Sequence[float] = PREVALENCES,
) -> Path:
    """Write report.html, evaluation.json and evaluation.csv.

    Parameters
    ----------
    folder
        The results folder that `evaluate` wrote `report` into: the pictures come from there.
    report, detector, scans
        What was measured, of which detector, on whose test images. The training images give the floors.
    name
        What the report calls the data set.
    prevalences
        Shares of abnormal images, each in (0, 1), for which PPV and NPV are told, and decision curves drawn.

    Returns
    -------
    Path
        report.html.

    Raises
    ------
    ValueError
        A prevalence is not in (0, 1), or a case is missing in the folder.
    """
    for prevalence in prevalences:
        if not 0 < prevalence < 1:
            raise ValueError(f"prevalence: expected a number between 0 and 1, got {prevalence:g}")
    folder, point = Path(folder), report.operating_point
    found = report.to_json() | {
        "created": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "data_card": data_card(name, scans, report, detector),
        "model_card": model_card(detector),
        "versions": versions(),
        "predictive_values": [_worth(point, prevalence) for prevalence in prevalences] if point else [],
        "decision_curves": [_decisions(report, prevalence) for prevalence in prevalences] if point else [],
        "floors": [
            {"name": floor.name, "auroc": list(floor.auroc), "difference": list(floor.difference)}
            for floor in floors(scans.train, scans.test, detector.config, report.scores)
        ],
    }
    page = render(found, folder)
    checkpoint.write_json(folder / "evaluation.json", found)
    checkpoint.write_text(folder / "evaluation.csv", _table(found))
    checkpoint.write_text(folder / "report.html", page)
    return folder / "report.html"


def render(found: Mapping[str, Any], folder: Path) -> str:
    """Return the page of what `evaluation.json` holds; the pictures come from the cases in the folder."""
    environment = Environment(
        loader=PackageLoader("anogan.evaluation", "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "number": _number,
        "share": _share,
        "interval": _interval,
        "shares": _shares,
        "percent": _percent,
    }
    return environment.get_template("report.html").render(
        found,
        found=found,
        figures=figures,
        areas=_areas(found),
        mistakes=pictures.worst(found, folder),
        color_bar=pictures.color_bar(),
    )


def _worth(point: OperatingPoint, prevalence: float) -> dict[str, Any]:
    """Return what a flag, and what no flag, means at a prevalence; None where nothing, or everything, is flagged."""
    found = predictive_intervals(point.sensitivity, point.false_alarm_rate.complement(), prevalence)
    sure = {name: list(value) if np.isfinite(value).all() else None for name, value in found._asdict().items()}
    return {"prevalence": prevalence} | sure


def _decisions(report: Report, prevalence: float) -> dict[str, Any]:
    """Return the decision curve from a tenth of the prevalence up to one half."""
    decided = [row for row in report.scores if row["flagged"] is not None]
    labels = np.array([row["label"] == "abnormal" for row in decided], dtype=int)
    flagged = np.array([row["flagged"] for row in decided], dtype=float)
    chance = np.geomspace(prevalence / 10, 0.5, 60)
    curve = decision_curve(labels, flagged, 1.0, prevalence, chance / (1 - chance))
    return {"prevalence": prevalence} | {key: np.asarray(values).tolist() for key, values in curve._asdict().items()}


def _data(value: float, words: str) -> Markup:
    """Return a number for people that carries the exact one for programs."""
    return Markup('<data value="{}">{}</data>').format(repr(float(value)), words)


def _number(value: float) -> Markup:
    return _data(value, f"{value:.3f}".replace("-", "\N{MINUS SIGN}"))


def _share(value: float) -> Markup:
    return _data(value, _percent(value))


def _percent(value: float) -> str:
    digits = 1
    while value not in (0, 1) and round(100 * value, digits) in (0, 100) and digits < 6:
        digits += 1  # what is nearly none or nearly all must not read as that
    return f"{100 * value:.{digits}f}\N{NO-BREAK SPACE}%"


def _interval(values: Sequence[float]) -> Markup:
    """Return value [low, high]."""
    return Markup("{} [{},\N{NO-BREAK SPACE}{}]").format(*map(_number, values))


def _shares(values: Sequence[float]) -> Markup:
    """Return value [low, high] in percent."""
    value, low, high = values
    limits = (_data(limit, _percent(limit).removesuffix("\N{NO-BREAK SPACE}%")) for limit in (low, high))
    return Markup("{} [{},\N{NO-BREAK SPACE}{}]").format(_share(value), *limits)


def _areas(found: Mapping[str, Any]) -> list[tuple[str, list[float], bool]]:
    """Return name, AUROC and whether it is ours: the detector, its components, the floors."""
    components = sorted(found["components"].items(), key=lambda part: -part[1])
    return [
        ("the detector", found["auroc"], True),
        *((f"{name.replace('_', ' ')} alone", [value], True) for name, value in components),
        *((floor["name"], floor["auroc"], False) for floor in found["floors"]),
    ]


def _table(found: Mapping[str, Any]) -> str:
    """Return evaluation.csv: a line per figure with its interval."""
    rows = (
        [name, *(values if isinstance(values, list) else [values])]
        for name, values in _figures(found)
        if values is not None
    )
    return spreadsheet.table(["figure", "value", "low", "high"], rows)


def _figures(found: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for name in ("n_healthy", "n_abnormal", "n_subjects", "auroc", "subject_auroc", "average_precision"):
        yield name, found[name]
    for specificity, values in found["sensitivity_at"].items():
        yield f"sensitivity at specificity {specificity}", values
    for name in ("pixel_auroc", "aupro", "best_dice", "dice"):
        yield name, found[name]
    if point := found["operating_point"]:
        yield "threshold", point["threshold"]
        yield "false-alarm rate asked for", point["false_alarm_rate"]
        yield "false-alarm rate realized", point["realized"]
        yield "sensitivity realized", point["sensitivity"]
    for worth in found["predictive_values"]:
        yield f"PPV at prevalence {worth['prevalence']:g}", worth["ppv"]
        yield f"NPV at prevalence {worth['prevalence']:g}", worth["npv"]
    for group in found["groups"]:
        for name in ("n_healthy", "n_abnormal", "auroc", "false_alarm_rate", "sensitivity"):
            yield f"{name}, {group['column']} {group['value']}", group[name]
    for species in (found["attacks"] or {"species": []})["species"]:
        for name in ("n", "apcer", "bpcer10", "bpcer20", "bpcer100", "d_eer"):
            yield f"{name}, species {species['name']}", species[name]
    for name, value in found["components"].items():
        yield f"AUROC of {name} alone", value
    for floor in found["floors"]:
        yield f"AUROC of floor: {floor['name']}", floor["auroc"]
