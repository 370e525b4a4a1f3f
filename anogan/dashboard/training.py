"""Training: losses, the timeline of snapshots, and how far a running training is."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import streamlit as st

from anogan.dashboard import charts, run_folder, widgets
from anogan.dashboard.run_folder import History, PhaseProgress, Snapshot
from anogan.dashboard.widgets import plain

PHASES = {
    "adversarial": ("Generator and discriminator", "Generated images: what the model of health can draw at this step."),
    "encoder": ("Encoder and generator", "Healthy images above, their reconstructions below."),
    "reference": ("Healthy reference", ""),
}
VERDICTS = {
    "improving": (":material/trending_up:", "green"),
    "stagnating": (":material/trending_flat:", "orange"),
    "degrading": (":material/trending_down:", "red"),
    "too early": (":material/hourglass_empty:", "gray"),
}


def page() -> None:
    """Show the training of the run; while it is at work the page renews itself every few seconds."""
    run = widgets.require_run()
    st.title("Training", anchor=False)
    busy = run_folder.is_training(run)
    st.fragment(show, run_every=5 if busy else None)(run, busy)


def show(run: Path, was_busy: bool) -> None:
    """Show progress, losses and snapshots as they are on disk now."""
    history, snapshots = run_folder.read_history(run), run_folder.read_snapshots(run)
    busy = run_folder.is_training(run)
    if was_busy and not busy:
        st.rerun()  # the whole page once more, without the timer
    if not history.steps and not snapshots:
        command = f"anogan train DATA --profile NAME --run {run.as_posix()}"
        widgets.empty(
            "No training recorded", "This run holds no history and no snapshots. They appear while it trains:", command
        )
        return
    if history.steps:
        progress(history, busy, finished=(run / "detector.json").is_file())
    if history.unreadable > 1:  # one half-written line is a training at work, more are damage
        st.caption(f"{history.unreadable} lines of history.jsonl could not be read and were left out.")
    phases = run_folder.read_progress(run)
    for phase in phases:
        verdict(phase)
    left, right = st.columns(2, gap="large")
    with right:
        snapshot = timeline(snapshots, {phase.phase: phase.best for phase in phases})
    with left:
        losses(history, snapshot, busy)


def progress(history: History, busy: bool, finished: bool) -> None:
    """Show the phase and step reached, and the time left while the training is at work."""
    last = history.steps[-1]
    name = PHASES.get(last["phase"], (last["phase"], ""))[0]
    words = f"{name}: step {last['step']} of {last['steps']}"
    if busy:
        left = history.seconds_left()
        words += "" if left is None else f", about {minutes(left)} left in this phase"
        st.badge("Training", icon=":material/sync:", color="blue")
    elif finished:
        st.badge("Finished", icon=":material/check:", color="blue")
    else:
        st.badge("Stopped before the end", icon=":material/pause:", color="orange")
        words += ". Go on with `anogan train ... --resume`"
    st.progress(min(1.0, last["step"] / max(1, last["steps"])), text=words)


def verdict(progress: PhaseProgress) -> None:
    """Show whether a phase improves, stagnates or degrades, by which signals, and which snapshot is kept."""
    icon, color = VERDICTS.get(progress.word, (":material/help:", "gray"))
    name = PHASES.get(progress.phase, (progress.phase, ""))[0]
    with st.container(horizontal=True):
        st.badge(progress.word.capitalize(), icon=icon, color=color)  # type: ignore[arg-type]
        st.markdown(f"**{name}.** {plain(progress.reason[:1].upper() + progress.reason[1:])}.")
    with st.expander(f"Signals on held-out healthy images; best snapshot: step {progress.best}"):
        curves = progress.signals()
        last = ", ".join(f"{name} {values[-1]:.3g}" for name, (_, values) in curves.items())
        st.plotly_chart(
            charts.signals(curves, progress.best), config=charts.PLAIN_BAR, alt=f"Signals; last values: {last}"
        )
        st.caption(
            "No abnormal image is involved. Two signals have to agree before a phase is called improving or degrading; "
            "the detector keeps the best snapshot, not the last."
        )


def minutes(seconds: float) -> str:
    """Write a time for people."""
    return f"{seconds:.0f} s" if seconds < 90 else f"{seconds / 60:.0f} min"


def losses(history: History, snapshot: Snapshot | None, busy: bool) -> None:
    """Show the loss curves of one phase, at first the one at work; the step of the chosen snapshot is marked."""
    st.subheader("Losses", anchor=False)
    phases = [phase for phase in history.phases() if history.losses(phase)]
    if not phases:
        st.info("No losses were logged yet.")
        return
    first = phases[-1] if busy else phases[0]
    phase = st.segmented_control(
        "Phase", phases, default=first, required=True, format_func=lambda name: PHASES.get(name, (name, ""))[0]
    )
    curves = history.losses(phase or first)
    mark = snapshot.step if snapshot and snapshot.phase == phase else None
    last = ", ".join(f"{name} {values[-1]:.3g}" for name, (_, values) in curves.items())
    st.plotly_chart(charts.loss_curves(curves, mark), config=charts.PLAIN_BAR, alt=f"Loss curves; last values: {last}")


def timeline(snapshots: list[Snapshot], kept: Mapping[str, int]) -> Snapshot | None:
    """Show the snapshots in time, with the step that is kept of each phase, and a slider; return the one chosen."""
    st.subheader("Snapshots", anchor=False)
    if not snapshots:
        st.info("The first snapshot is not there yet.")
        return None
    labels = {f"{snapshot.phase} {snapshot.step}": snapshot for snapshot in snapshots}
    chosen = list(labels)[-1]
    if len(labels) > 1:
        chosen = st.select_slider("Snapshot", list(labels), value=chosen)
    snapshot = labels[chosen]
    steps: dict[str, list[int]] = {}
    for one in snapshots:
        steps.setdefault(one.phase, []).append(one.step)
    words = ", ".join(f"step {step} of {phase}" for phase, step in kept.items()) or "not chosen yet"
    st.plotly_chart(
        charts.timeline(steps, kept, (snapshot.phase, snapshot.step)),
        config=charts.PLAIN_BAR,
        alt=f"Timeline of {len(snapshots)} snapshots; kept: {words}; on view: {chosen}",
    )
    if kept.get(snapshot.phase) == snapshot.step:
        st.badge("Kept by the detector", icon=":material/star:", color="orange")
    with st.container(key="pictures-snapshot"), st.container(key="pixels-snapshot"):
        widgets.picture(snapshot.image, f"Sample images at {chosen}")
    st.caption(PHASES.get(snapshot.phase, ("", ""))[1])
    if snapshot.metrics:
        widgets.facts({plain(name): f"{value:.4g}" for name, value in snapshot.metrics.items() if name != "step"})
    return snapshot
