"""One judged image, shown: pictures, verdict in words, place among the healthy scores, component maps."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import streamlit as st

from anogan import heatmap
from anogan.dashboard import charts, widgets
from anogan.dashboard.widgets import number, p_text, plain

COMPONENTS = {
    "discriminator": ("Discriminator", "how little the discriminator takes this place for a real healthy one"),
    "residual": ("Pixel residual", "how far the pixels are from the healthy reconstruction"),
    "feature_residual": ("Feature residual", "the same distance in the discriminator's features"),
    "gaussian": ("Healthy reference", "how unusual the features are for this position"),
    "neighbors": ("Nearest healthy", "distance to the most similar healthy patches"),
    "spectrum": ("Spectrum", "how unusual the amount of fine and coarse detail is for this position"),
    "noise": ("Noise", "how unlike the rest of the photo the finest detail is, at the photo's own resolution"),
}

COMPONENT_SIDE = 512
"""About the largest side, in pixels, that a component map is shown with."""


def show(case: Mapping[str, Any], maps: Mapping[str, np.ndarray], summary: Mapping[str, Any]) -> None:
    """Show one scored case.

    Parameters
    ----------
    case
        An entry of `cases` in results.json.
    maps
        What `read_case` returns: image, anomaly_map, reconstruction, perhaps mask and component_*.
    summary
        The detector's summary; its `map_range` is the one color scale of all cases.
    """
    pictures(case, maps, map_range(summary))
    evidence(case, maps, summary)


def map_range(summary: Mapping[str, Any]) -> tuple[float, float]:
    """Return the ends of the one color scale of a detector."""
    low, high = (float(limit) for limit in summary["map_range"])
    return low, high


def evidence(case: Mapping[str, Any], maps: Mapping[str, np.ndarray], summary: Mapping[str, Any]) -> None:
    """Show what stands below the pictures: the place among healthy scores, the numbers, the component maps."""
    left, right = st.columns([3, 2], gap="large")
    with left:
        distribution(case, summary)
    with right:
        numbers(case, summary)
    components(case, maps, map_range(summary))


def judgment(case: Mapping[str, Any], summary: Mapping[str, Any]) -> str:
    """Say in words what the score and the p-value of a case mean.

    Examples
    --------
    >>> case = {"status": "scored", "score": 5.0, "p_value": 0.2, "flagged": True}
    >>> judgment(case, {"threshold": 4.0, "calibration_scores": [1.0, 2.0, 3.0, 4.0]})  # doctest: +ELLIPSIS
    'The score 5.00 reaches the threshold 4.00, so this case is flagged. None of the 4 healthy calibration images ...'
    """
    if case["status"] != "scored":
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
    if case["flagged"] is None:
        verdict = "nothing was decided" + (f": {case['reason'].rstrip('.')}" if case.get("reason") else "")
    else:
        verdict = f"this case is {'flagged' if case['flagged'] else 'not flagged'}"
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
    threshold, joined = number(summary["threshold"]), "and" if case["flagged"] is None else "so"
    return f"The score {number(case['score'])} {side} the threshold {threshold}, {joined} {verdict}. {counted}."


def of_group(case: Mapping[str, Any], summary: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return what is said of the operating point that decided the case: its group's, where groups have their own."""
    groups = summary.get("groups") or {}
    return groups.get(case.get("group"), {}) if groups else summary


@st.fragment
def pictures(case: Mapping[str, Any], maps: Mapping[str, np.ndarray], map_range: tuple[float, float]) -> None:
    """Show image, heat map and healthy reconstruction side by side, with the opacity slider and the color bar."""
    opacity_place, bar_place, mask_place = st.columns([3, 3, 2], gap="medium", vertical_alignment="center")
    opacity = opacity_place.slider(
        "Heat map opacity", 0, 100, 55, step=5, format="%d %%", key="opacity", persist_state="session"
    )
    with bar_place:
        color_bar(map_range)
    outlined = "mask" in maps and mask_place.toggle("Outline the mask", key="outline", persist_state="session")
    image, heat = maps["image"], heatmap.overlay(maps["image"], maps["anomaly_map"], map_range, opacity / 100)
    if outlined:
        image, heat = outline(image, maps["mask"]), outline(heat, maps["mask"])
    shown = {
        "Image": (image, "The image as it was read"),
        "Heat map": (heat, f"Heat map over the image, score {number(case['score'])}"),
    }
    if "reconstruction" in maps:
        shown["Healthy counterpart"] = (maps["reconstruction"], "The nearest image the model of health can draw")
    sharp = "pixels" if max(image.shape[:2]) <= 256 else "smooth"
    with st.container(key=f"pictures-{sharp}"), st.container(key=f"{sharp}-pictures"):
        for column, (title, (pixels, alt)) in zip(st.columns(len(shown)), shown.items(), strict=True):
            with column:
                st.markdown(f"**{title}**")
                widgets.picture(pixels, alt)
    height, width = maps["image"].shape[:2]
    st.caption(
        f"{width} × {height} pixels, the image's own resolution. The colors mean the same in every case. "
        "Point at a picture to open it full screen."
    )


def color_bar(map_range: tuple[float, float]) -> None:
    """Show the heat map's fixed color scale, made by the same function that colors the maps."""
    low, high = map_range
    ramp = np.tile(np.linspace(low, high, 512, dtype=np.float32), (20, 1))
    bar = heatmap.overlay(np.zeros(ramp.shape, dtype=np.uint8), ramp, map_range, 1.0)
    widgets.picture(bar, f"Color scale from {low:.1f} to {high:.1f} healthy standard deviations")
    middle = "healthy standard deviations"
    st.html(f'<div class="scale"><span>≤ {low:.1f}</span><span>{middle}</span><span>≥ {high:.1f}</span></div>')


def outline(image: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Draw the edge of a mask (H, W) into an image uint8 (H, W[, 3]) as a line, white over black."""
    drawn = np.repeat(image[..., None], 3, axis=2) if image.ndim == 2 else image[..., :3].copy()
    inside = np.pad(np.asarray(mask) > 0, 2, mode="edge")

    def grown(area: np.ndarray) -> np.ndarray:
        middle = area[1:-1, 1:-1]
        return middle | area[:-2, 1:-1] | area[2:, 1:-1] | area[1:-1, :-2] | area[1:-1, 2:]

    once = grown(inside)
    twice = grown(once)
    drawn[twice & ~once[1:-1, 1:-1]] = 0
    drawn[once[1:-1, 1:-1] & ~inside[2:-2, 2:-2]] = 255
    return drawn


def distribution(case: Mapping[str, Any], summary: Mapping[str, Any]) -> None:
    """Show where the case's score stands among the healthy calibration scores."""
    st.subheader(f"Among healthy {summary.get('unit', 'images')}", anchor=False)
    words, summary = judgment(case, summary), of_group(case, summary)
    healthy = summary.get("calibration_scores") or []
    if not healthy:
        st.info("This detector is not calibrated, so there is no healthy distribution to compare with.")
        return
    figure = charts.score_histogram(
        {f"healthy calibration {summary.get('unit', 'images')}": healthy}, summary.get("threshold"), case["score"]
    )
    st.plotly_chart(figure, config=charts.PLAIN_BAR, alt=words)
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
