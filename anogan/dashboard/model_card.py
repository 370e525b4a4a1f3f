"""Model card: what the run's detector is, what it learned from, what it promises, and what it is not for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import streamlit as st

from anogan.dashboard import run_folder, upload, widgets
from anogan.dashboard.widgets import interval, plain


def page() -> None:
    """Show the model card of the run's detector."""
    run = widgets.require_run()
    st.title("Model card", anchor=False)
    widgets.selftest_banner(run)
    if not (run / "detector.safetensors").is_file():
        widgets.empty(
            "No detector yet",
            "This run holds no trained detector. When the training is done, its card is here.",
            f"anogan train DATA --profile NAME --run {run.as_posix()}",
        )
        return
    try:
        with st.spinner("Loading the detector"):
            card = described(str(run), upload.file_hash(run))
        evaluation = run_folder.read_evaluation(run / "results")
    except (ValueError, OSError) as error:
        widgets.problem(error)
        return
    show(card, evaluation)


@st.cache_data(max_entries=2, show_spinner=False)
def described(run: str, file_hash: str) -> dict[str, Any]:
    """Return the card of a detector, once for all users: it names no file and no subject."""
    from anogan.evaluation.cards import model_card  # here and not above: torch takes seconds

    return model_card(upload.load_detector(run, file_hash))


def show(card: Mapping[str, Any], evaluation: Mapping[str, Any] | None) -> None:
    """Show a card, and the figures of the evaluation where it is this detector's."""
    st.subheader(plain(card["name"]), anchor=False)
    st.markdown(plain(card["description"]))
    left, right = st.columns(2, gap="large")
    with left:
        widgets.facts(
            {
                "Method": "GAN-based anomaly detection, trained on healthy images only",
                "For": "ordering a work list and pointing to places, beside a reader",
                "Not for": "a decision without a reader; images unlike those that it was measured on",
                "Trained": _trained(card),
                "Hash of the model": card["hash"],
                "SHA-256 of its training files": card["data_sha256"] or "not recorded",
                "Code": str(card["git"] or "not a checkout"),
                **{f"Version of {name}": str(version) for name, version in card["versions"].items()},
            }
        )
    with right:
        promise(card)
        measured(card, evaluation)
        weights = {name.replace("_", " "): f"{weight:.2f}" for name, weight in card["fusion"].items()}
        if weights:
            st.markdown("**Weight of each component**")
            widgets.facts(weights)
    with st.expander("Settings"):
        st.caption("What is not listed has its default.")
        rows = card["settings"]
        st.table(
            {
                "setting": [row["name"] for row in rows],
                "value": [str(row["value"]) for row in rows],
                "": ["default" if row["default"] else "changed" for row in rows],
            },
            border="horizontal",
            hide_index=True,
        )


def promise(card: Mapping[str, Any]) -> None:
    """Show what the operating point promises."""
    st.markdown("**What its threshold promises**")
    st.markdown(plain(card["promise"] or "Not calibrated: it has no threshold and flags nothing."))


def measured(card: Mapping[str, Any], evaluation: Mapping[str, Any] | None) -> None:
    """Show the main figures of the evaluation, if it is of this very detector."""
    st.markdown("**What was measured**")
    if evaluation is None:
        st.caption("Not evaluated yet.")
        return
    known = (evaluation.get("model_card") or {}).get("hash")
    if known is not None and known != card["hash"]:
        st.warning(
            "The evaluation in this folder is of another detector; evaluate this one.", icon=":material/warning:"
        )
        return
    point = evaluation.get("operating_point") or {}
    shown = {
        "Images": f"{evaluation['n_healthy']} healthy, {evaluation['n_abnormal']} abnormal",
        "AUROC": interval(evaluation["auroc"]),
        "Sensitivity at its threshold": interval(point.get("sensitivity")),
        "False-alarm rate at its threshold": interval(point.get("realized")),
    }
    widgets.facts(shown)
    st.caption("In brackets: 95 % intervals. More on the page Evaluation.")


def _trained(card: Mapping[str, Any]) -> str:
    if not card["trained"]:
        return "not recorded"
    images = f", on {card['images']} images of {card['subjects']} subjects" if card["images"] else ""
    return f"{card['trained'][:10]}{images}" + (f", {card['holdout_images']} held out" if images else "")
