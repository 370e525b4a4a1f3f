"""One judged image, shown: pictures, verdict in words, place among the healthy scores, component maps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import streamlit as st

from anogan.dashboard import case_chart, viewer, widgets
from anogan.dashboard.widgets import number, p_text, plain
from anogan.detector.calibration import of_group
from anogan.io.stack import Stack
from anogan.results import heatmap
from anogan.scan import Outcome

COMPONENTS = {
    "discriminator": ("Discriminator", "how little the discriminator takes this place for a real healthy one"),
    "residual": ("Pixel residual", "how far the pixels are from the healthy reconstruction"),
    "feature_residual": ("Feature residual", "the same distance in the discriminator's features"),
    "gaussian": ("Healthy reference", "how unusual the features are for this position"),
    "neighbors": ("Nearest healthy", "distance to the most similar healthy patches"),
    "spectrum": ("Spectrum", "how unusual the amount of fine and coarse detail is for this position"),
    "noise": ("Noise", "how unlike the rest of the photo the finest detail is, at the photo's own resolution"),
}

MOST_NAMED = 8
"""So many top slices of a series have a button."""

EXAMPLE_SIDE = 150
"""Width of a healthy example in pixels of the page."""

COMPONENT_SIDE = 512
"""About the largest side, in pixels, that a component map is shown with."""


def show(
    case: Mapping[str, Any],
    maps: Mapping[str, np.ndarray],
    summary: Mapping[str, Any],
    folders: Path,
    stack: Stack | None = None,
) -> None:
    """Show one scored case.

    Parameters
    ----------
    case
        An entry of `cases` in results.json.
    maps
        What `read_case` returns: image, anomaly_map, reconstruction, perhaps mask and component_*.
    summary
        The detector's summary; its `map_range` is the one color scale of all cases.
    folders
        Where the folders of the cases lie.
    stack
        All slices of a series, where they were kept.
    """
    pictures(case["case"], maps, map_range(summary), case["score"], stack, case.get("top_slices", ()))
    evidence(case, maps, summary, folders)


def map_range(summary: Mapping[str, Any]) -> tuple[float, float]:
    """Return the ends of the one color scale of a detector."""
    low, high = (float(limit) for limit in summary["map_range"])
    return low, high


def evidence(
    case: Mapping[str, Any], maps: Mapping[str, np.ndarray], summary: Mapping[str, Any], folders: Path
) -> None:
    """Show what stands below the pictures: what to know of it, its place among healthy scores, numbers, components."""
    why(case, summary)
    left, right = st.columns([3, 2], gap="large")
    with left:
        distribution(case, summary)
    with right:
        numbers(case, summary)
    examples(case, folders)
    components(case, maps, map_range(summary))


def judgment(case: Mapping[str, Any], summary: Mapping[str, Any]) -> str:
    """Say in words what the score and the p-value of a case mean.

    Examples
    --------
    >>> case = {"status": "scored", "score": 5.0, "p_value": 0.2, "flagged": True}
    >>> judgment(case, {"threshold": 4.0, "calibration_scores": [1.0, 2.0, 3.0, 4.0]})  # doctest: +ELLIPSIS
    'The score 5.00 reaches the threshold 4.00, so this case is flagged. None of the 4 healthy calibration images ...'
    """
    if widgets.outcome_of(case) is Outcome.NOT_SCORED:
        reason = (case.get("reason") or "no reason recorded").rstrip(".")
        return f"This file was not scored, so nothing is known about it: {reason}."
    summary = of_group(case, summary)
    if case.get("p_value") is None or summary.get("threshold") is None:
        if case.get("reason"):
            return f"The score is {number(case['score'])}, and nothing was decided: {case['reason']}."
        return (
            f"The score is {number(case['score'])}. This detector is not calibrated, so there is no p-value "
            "and no threshold: compare scores with each other only."
        )
    healthy, unit = np.asarray(summary["calibration_scores"], dtype=float), summary.get("unit", "images")
    above, n = int((healthy >= case["score"]).sum()), healthy.size
    outcome = widgets.outcome_of(case)
    if outcome is Outcome.UNDECIDED:
        verdict = "nothing was decided" + (f": {case['reason'].rstrip('.')}" if case.get("reason") else "")
    else:
        verdict = f"this case is {outcome}"
    side = "reaches" if case["score"] >= summary["threshold"] else "stays below"
    if above:
        counted = (
            f"{above} of the {n} healthy calibration {unit} scored as high or higher: p = {p_text(case['p_value'])}"
        )
    else:
        counted = (
            f"None of the {n} healthy calibration {unit} scored as high: p = {p_text(case['p_value'])}, "
            f"and {n} {unit} cannot give a smaller one than 1 / {n + 1}"
        )
    threshold, joined = number(summary["threshold"]), "and" if outcome is Outcome.UNDECIDED else "so"
    return f"The score {number(case['score'])} {side} the threshold {threshold}, {joined} {verdict}. {counted}."


@st.fragment
def pictures(
    name: str,
    maps: Mapping[str, np.ndarray],
    map_range: tuple[float, float] | None,
    score: float | None = None,
    stack: Stack | None = None,
    top: Sequence[int] = (),
) -> None:
    """Show the image, and its map and healthy counterpart where they may be seen; of a series, any slice.

    Parameters
    ----------
    name
        Names what is looked at.
    maps
        What `read_case` returns.
    map_range
        The one color scale, or None where no map may be seen.
    score
        Of the case.
    stack, top
        All slices of a series, and the numbers of its top slices, the most unusual first.
    """
    shown, alt = maps, f"Heat map over the image, score {number(score)}"
    if stack is not None and stack.count > 1:
        place = slice_number(name, stack.count, top)
        try:
            shown, alt = kept_slice(stack, place), f"Heat map over slice {place}"
        except ValueError as error:
            widgets.problem(error)
            return
    viewer.show(name, shown, map_range, alt)
    height, width = shown["image"].shape[:2]
    window = "; level and window count its 256 shades as it was read" if shown["image"].ndim == 2 else ""
    colors = " The colors mean the same in every case." if map_range is not None else ""
    st.caption(
        f"{width} × {height} pixels, the image's own resolution{window}.{colors} "
        "Drag to move; plus, minus, or Ctrl with the wheel zoom."
    )


def slice_number(name: str, count: int, top: Sequence[int]) -> int:
    """Ask for a slice, counted from 1: a slider, and a button for each top slice; it starts at the first of them."""
    key = f"slice-{name}"
    start = top[0] if top else (count + 1) // 2
    if top:
        with st.container(horizontal=True, vertical_alignment="center"):
            st.markdown("Most unusual slices", width="content")
            for rank, place in enumerate(top[:MOST_NAMED], start=1):
                words = f"Slice {place}" if rank > 1 else f"Slice {place}, the most"
                st.button(words, key=f"{key}-{place}", on_click=_go_to, args=(key, place), type="tertiary")
    st.session_state.setdefault(key, start)
    place = int(st.slider("Slice", 1, count, key=key, help="The arrow keys turn from slice to slice."))
    if place in top:
        st.caption(f"Slice {place} is number {top.index(place) + 1} of the {len(top)} most unusual.")
    return place


def kept_slice(stack: Stack, place: int) -> Mapping[str, np.ndarray]:
    """Return a slice, which the session keeps until another is looked at."""
    key = (stack, place)
    kept = st.session_state.get("slice")
    if kept is None or kept[0] != key:
        kept = st.session_state["slice"] = (key, stack.read(place))
    found: Mapping[str, np.ndarray] = kept[1]
    return found


def _go_to(key: str, place: int) -> None:
    st.session_state[key] = place


def why(case: Mapping[str, Any], summary: Mapping[str, Any]) -> None:
    """Say what a reader should know of the image and of how far to trust its score."""
    said = [case.get("notes") or "", certainty(case, summary)]
    decided = widgets.outcome_of(case) in (Outcome.FLAGGED, Outcome.NOT_FLAGGED)
    if case.get("reason") and decided:  # without a decision the judgment says it
        said.insert(0, f"{case['reason'].rstrip('.')}.")
    for words in filter(None, said):
        st.markdown(plain(words[:1].upper() + words[1:]))


def certainty(case: Mapping[str, Any], summary: Mapping[str, Any]) -> str:
    """Say in words what the spread of the score over restarts of the inversion means for this case; "" without one.

    Examples
    --------
    >>> certainty({"score": 4.5, "uncertainty": 0.1}, {"threshold": 4.0})
    'Searched again from other starts, the score moves by about 0.10; the threshold is 0.50 away, so the judgment \
does not hang on chance.'
    """
    spread, threshold = case.get("uncertainty"), of_group(case, summary).get("threshold")
    if spread is None:
        return ""
    words = f"Searched again from other starts, the score moves by about {number(spread)}"
    if threshold is None:
        return f"{words}."
    away = abs(case["score"] - threshold)
    sure = "does not hang on chance" if away > 2 * spread else "could change on another try"
    return f"{words}; the threshold is {number(away)} away, so the judgment {sure}."


def distribution(case: Mapping[str, Any], summary: Mapping[str, Any]) -> None:
    """Show where the case's score stands among the healthy calibration scores."""
    st.subheader(f"Among healthy {summary.get('unit', 'images')}", anchor=False)
    words, summary = judgment(case, summary), of_group(case, summary)
    healthy = summary.get("calibration_scores") or []
    if not healthy:
        st.info("This detector is not calibrated, so there is no healthy distribution to compare with.")
        return
    unit = summary.get("unit", "images")
    case_chart.show(healthy, summary.get("threshold"), case["score"], unit, words)
    promise = summary.get("promise")
    if promise:
        st.caption(plain(promise))


def numbers(case: Mapping[str, Any], summary: Mapping[str, Any]) -> None:
    """Show the case's numbers as a short table."""
    st.subheader("In numbers", anchor=False)
    rows = {
        "Score": number(case["score"]),
        "Threshold": number(of_group(case, summary).get("threshold")),
        "p-value": p_text(case.get("p_value")),
        "Spread between restarts": number(case.get("uncertainty")),
        "Label in the data set": plain(case.get("label") or "—"),
        "Size": f"{case['width']} × {case['height']} pixels",
        "Time to score": f"{number(case.get('seconds'))} s",
        "Detector": plain(f"{summary.get('name', '—')}, {str(summary.get('hash', ''))[:12]}"),
        "Case": plain(case.get("case") or "—"),
    }
    widgets.facts({name: value for name, value in rows.items() if value != "—"})


def examples(case: Mapping[str, Any], folders: Path) -> None:
    """Show the healthy training images most like this one, as far as this machine has judged them, too."""
    nearest = case.get("nearest") or {}
    if not nearest:
        return
    st.subheader("Nearest healthy images", anchor=False)
    here = {name: share for name, share in nearest.items() if (folders / name / "thumbnail.png").is_file()}
    if here:
        with st.container(horizontal=True):
            for rank, (name, share) in enumerate(here.items(), start=1):
                with st.container(width=EXAMPLE_SIDE):
                    widgets.picture(folders / name / "thumbnail.png", f"Healthy training image {rank} like this one")
                    st.caption(f"{share:.0%} of the places")
        st.caption(
            "Healthy images of the training whose patches are nearest to this one's. What none of them has is what the "
            "detector has never seen."
        )
    else:
        st.caption(
            "The healthy training images most like this one are not among the cases on this machine, so they cannot be "
            f"shown beside it: {', '.join(nearest)}. Score them with this run, and they appear here."
        )


def components(case: Mapping[str, Any], maps: Mapping[str, np.ndarray], map_range: tuple[float, float]) -> None:
    """Show the component maps in a row, on the scale of the fused map."""
    names = [name for name in maps if name.startswith("component_")]
    if not names:
        return
    st.subheader("What each part of the score saw", anchor=False)
    st.caption("The same color scale. A part that disagrees with the others is a reason to look twice.")
    # Small pictures: every nth pixel is enough, and a large image stays quick.
    step = max(1, max(maps["image"].shape[:2]) // COMPONENT_SIDE)
    under = maps["image"][::step, ::step] // 3  # dark enough for the colors, light enough to see where they are
    sharp = "pixels" if max(maps["image"].shape[:2]) <= 256 else "smooth"
    with st.container(key=f"{sharp}-components"):
        for column, key in zip(st.columns(len(names)), names, strict=True):
            name = key.removeprefix("component_")
            title, meaning = COMPONENTS.get(name, (name.replace("_", " "), ""))
            with column:
                st.markdown(f"**{title}**")
                widgets.picture(
                    heatmap.overlay(under, maps[key][::step, ::step], map_range, 1.0), f"Component map: {title}"
                )
                st.caption(f"score {number((case.get('components') or {}).get(name))}", help=meaning or None)
