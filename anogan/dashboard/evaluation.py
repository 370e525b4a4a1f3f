"""Evaluation: how good the detector is on labeled images, and what another operating point would cost."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import streamlit as st

from anogan import metrics
from anogan.dashboard import case_view, charts, run_folder, widgets, workload
from anogan.dashboard.widgets import interval, number, plain
from anogan.metrics import Estimate

SHOWN_MISTAKES = 6


def page() -> None:
    """Show the evaluation of the run."""
    run = widgets.require_run()
    st.title("Evaluation", anchor=False)
    widgets.selftest_banner(run)
    try:
        evaluation = run_folder.read_evaluation(run / "results")
    except ValueError as error:
        widgets.problem(error)
        return
    if evaluation is None:
        text = "Measure this run on images whose truth is known, healthy and abnormal:"
        widgets.empty("Not evaluated yet", text, f"anogan evaluate {run.as_posix()} DATA")
        return
    headline(evaluation)
    scored = [entry for entry in evaluation["scores"] if entry.get("score") is not None]
    abnormal = [entry["label"] in (1, "abnormal") for entry in scored]
    if not scored or all(abnormal) or not any(abnormal):
        st.info("A curve needs scores of healthy and of abnormal images; this evaluation holds only one kind.")
    else:
        operating_point(run, evaluation, scored, abnormal)
    parts(evaluation)
    not_scored(evaluation)


def headline(evaluation: Mapping[str, Any]) -> None:
    """Show the figures that do not depend on an operating point."""
    subjects = evaluation.get("n_subjects")
    of_subjects = f" of {subjects} subjects" if subjects else ""
    st.caption(
        f"{evaluation['n_healthy']} healthy and {evaluation['n_abnormal']} abnormal images{of_subjects}. "
        "In brackets: 95% intervals."
    )
    at = evaluation.get("sensitivity_at") or {}
    figures = {"AUROC": evaluation["auroc"], "AUROC by subject": evaluation.get("subject_auroc")}
    figures |= {"Average precision": evaluation["average_precision"]}
    figures |= {f"Sensitivity at {float(level):.0%} specificity": values for level, values in sorted(at.items())}
    figures |= {"Pixel AUROC": [evaluation.get("pixel_auroc")], "AUPRO": [evaluation.get("aupro")]}
    shown = {name: values for name, values in figures.items() if values and values[0] is not None}
    cells = "".join(
        f'<div class="figure"><span>{name}</span><b>{number(values[0], 3)}</b>'
        f"<span>{f'({number(values[1], 3)} to {number(values[2], 3)})' if len(values) == 3 else '&nbsp;'}</span></div>"
        for name, values in shown.items()
    )
    st.html(f'<div class="figures">{cells}</div>')
    for note in evaluation.get("notes") or []:
        st.caption(plain(note))


def operating_point(
    run: Path, evaluation: Mapping[str, Any], scored: Sequence[Mapping[str, Any]], abnormal: list[bool]
) -> None:
    """Show the curve with a movable threshold, the confusion table and the work it gives, and the mistakes it makes."""
    st.subheader("Operating point", anchor=False)
    scores = [float(entry["score"]) for entry in scored]
    calibrated = (evaluation.get("operating_point") or {}).get("threshold")
    low, high = min(scores), max(scores)
    step = (high - low) / 400 or 0.01
    start = float(np.clip(np.median(scores) if calibrated is None else calibrated, low, high + step))
    place = st.container()
    if calibrated is not None:
        # A callback: a widget's value may only be set before the widget is drawn.
        reset = "Back to the calibrated threshold"
        st.button(reset, icon=":material/restart_alt:", on_click=st.session_state.update, kwargs={"threshold": start})
    threshold = place.slider(
        "Threshold: a score at or above it is flagged", low, high + step, start, step, format="%.2f", key="threshold"
    )
    # The slider moves in steps, so where it starts it may miss the calibrated threshold by a hair.
    at_start = calibrated is not None and abs(threshold - start) <= step / 2
    if calibrated is not None and at_start:
        threshold = float(calibrated)
    counts = metrics.confusion(np.asarray(abnormal), np.asarray(scores), threshold)
    words = "calibrated" if at_start else "here"
    left, right = st.columns(2, gap="large")
    with left:
        roc = evaluation["roc"]
        here = (counts.false_positive / abnormal.count(False), counts.true_positive / abnormal.count(True))
        figure = charts.roc_curve(roc["false_alarm_rate"], roc["sensitivity"], here, words)
        alt = (
            f"ROC curve, AUROC {interval(evaluation['auroc'])}; sensitivity {here[1]:.1%} at {here[0]:.1%} false alarms"
        )
        st.plotly_chart(figure, config=charts.PLAIN_BAR, alt=alt)
    with right:
        table(counts)
        sensitivity, specificity = rates(counts, evaluation, at_start)
        if not at_start:
            workload.command(run, threshold)
    workload.show(sensitivity, specificity)
    spread(scores, abnormal, threshold)
    mistakes(scored, abnormal, threshold)


def table(counts: metrics.Confusion) -> None:
    """Show the confusion table."""
    st.html(
        '<table class="confusion"><caption class="quiet">Images at this threshold</caption>'
        '<tr><td style="background:none"></td><th scope="col">flagged</th><th scope="col">not flagged</th></tr>'
        f'<tr><th scope="row">abnormal</th><td class="right"><b>{counts.true_positive}</b>found</td>'
        f'<td class="wrong"><b>{counts.false_negative}</b>missed</td></tr>'
        f'<tr><th scope="row">healthy</th><td class="wrong"><b>{counts.false_positive}</b>false alarms</td>'
        f'<td class="right"><b>{counts.true_negative}</b>left alone</td></tr></table>'
    )


def rates(counts: metrics.Confusion, evaluation: Mapping[str, Any], calibrated: bool) -> tuple[Estimate, Estimate]:
    """Show and return sensitivity and specificity, at the calibrated threshold with the evaluation's own intervals."""
    point = (evaluation.get("operating_point") or {}) if calibrated else {}
    if point.get("sensitivity") and point.get("realized"):
        sensitivity, alarms = Estimate(*point["sensitivity"]), Estimate(*point["realized"])
    else:
        sensitivity = metrics.binomial(counts.true_positive, counts.true_positive + counts.false_negative)
        alarms = metrics.binomial(counts.false_positive, counts.false_positive + counts.true_negative)
    specificity = alarms.complement()
    shown = {"Sensitivity": sensitivity, "Specificity": specificity, "False-alarm rate": alarms}
    widgets.facts({name: interval(values) for name, values in shown.items()})
    if point:
        promised = point.get("false_alarm_rate")
        st.caption(
            f"This is the calibrated threshold, set so that about {promised:.0%} of healthy images are flagged."
            if promised
            else ""
        )
    else:
        st.caption("Exact intervals, images taken as independent. A threshold chosen on these "
                   "images looks better here than it will be on others.")  # fmt: skip
    return sensitivity, specificity


def spread(scores: Sequence[float], abnormal: Sequence[bool], threshold: float) -> None:
    """Show how the scores of both kinds lie around the threshold."""
    st.subheader("Scores", anchor=False)
    groups = {
        "healthy": [score for score, positive in zip(scores, abnormal, strict=True) if not positive],
        "abnormal": [score for score, positive in zip(scores, abnormal, strict=True) if positive],
    }
    figure = charts.score_histogram(groups, threshold)
    st.plotly_chart(figure, config=charts.PLAIN_BAR, alt="Histogram of the scores of healthy and abnormal images")


def mistakes(scored: Sequence[Mapping[str, Any]], abnormal: Sequence[bool], threshold: float) -> None:
    """List the worst mistakes at the threshold, each with a way to its case."""
    pairs = list(zip(scored, abnormal, strict=True))
    missed = [entry for entry, positive in pairs if positive and entry["score"] < threshold]
    alarms = [entry for entry, positive in pairs if not positive and entry["score"] >= threshold]
    missed.sort(key=lambda entry: entry["score"])
    alarms.sort(key=lambda entry: -entry["score"])
    kinds = (("Missed", missed, "No abnormal image is missed."), ("False alarms", alarms, "There are no false alarms."))
    for column, (title, entries, none) in zip(st.columns(2, gap="large"), kinds, strict=True):
        with column, st.container(key=f"list-{title.split()[0].lower()}", gap="xxsmall"):
            st.subheader(f"{title} ({len(entries)})", anchor=False)
            if not entries:
                st.caption(none)
            for index, entry in enumerate(entries[:SHOWN_MISTAKES]):
                named = filter(
                    None, (entry.get("subject"), Path(entry["file"]).name, f"score {number(entry['score'])}")
                )
                words = plain(" · ".join(named))
                if not entry.get("case"):
                    st.markdown(words)
                elif st.button(words, key=f"{title}-{index}", type="tertiary", icon=":material/image_search:"):
                    widgets.open_page("case", case=entry["case"])
            if len(entries) > SHOWN_MISTAKES:
                st.caption(f"and {len(entries) - SHOWN_MISTAKES} more")


def parts(evaluation: Mapping[str, Any]) -> None:
    """Show how each component would do alone: the fusion should not be worse than its best part."""
    areas = {name: area for name, area in (evaluation.get("components") or {}).items() if area is not None}
    if not areas:
        return
    st.subheader("Each component alone", anchor=False)
    named = {case_view.COMPONENTS.get(name, (name.replace("_", " "), ""))[0]: area for name, area in areas.items()}
    figure = charts.component_bars(named, (evaluation["auroc"] or [None])[0])
    words = ", ".join(f"{name} {area:.3f}" for name, area in named.items())
    st.plotly_chart(figure, config=charts.PLAIN_BAR, alt=f"AUROC of each component: {words}")


def not_scored(evaluation: Mapping[str, Any]) -> None:
    """List what could not be scored and so stands in no figure above."""
    missing = evaluation.get("not_scored") or []
    if missing:
        lines = [
            f"- **{plain(Path(entry['file']).name)}**: {plain(entry.get('reason') or '')}" for entry in missing[:20]
        ]
        lines += [f"- and {len(missing) - 20} more"] if len(missing) > 20 else []
        title = f"**Not scored, and in no figure above: {len(missing)}**"
        st.warning("\n".join([title, *lines]), icon=":material/visibility_off:")
