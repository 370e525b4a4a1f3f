"""Health: what runs here, how much room is left, and whether what the dashboard leans on answers."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import streamlit as st

from anogan.assurance import drift
from anogan.dashboard import desk as review
from anogan.dashboard import widgets
from anogan.dashboard.widgets import plain
from anogan.review import database
from anogan.review.cases import moment

LEAST_FREE = 0.05
"""Share of a disk below which it is called nearly full."""


def page() -> None:
    """Show the state of the run, the listener, this machine and the review desk, in that order."""
    run = widgets.require_run()
    st.title("Health", anchor=False)
    left, right = st.columns(2, gap="large")
    with left:
        calibration(run)
        listener()
    with right:
        room(run)
        machine()
    desk()  # last, as it ends the page for who is not signed in


def good(words: str) -> None:
    """Say that something is as it should be."""
    st.badge(words, icon=":material/check:", color="blue")


def bad(words: str) -> None:
    """Say that something needs a look."""
    st.badge(words, icon=":material/warning:", color="orange")


def calibration(run: Path) -> None:
    """Show what the drift monitor has seen."""
    st.subheader("Drift monitor", anchor=False)
    if not (run / "drift.json").is_file():
        st.badge("Nothing counted yet", icon=":material/hourglass_empty:", color="gray")
        st.caption(f"`anogan inspect {run.as_posix()} IMAGES... --monitor` and `anogan serve --monitor` feed it.")
        return
    try:
        monitor = drift.Monitor.open(run)
    except ValueError as error:
        widgets.problem(error)
        return
    if monitor.alarm is None:
        good("The calibration holds as far as these cases tell")
    else:
        bad("The calibration no longer holds")
    alarm = 1 / drift.FALSE_ALARM
    facts = {
        "Cases counted": str(len(monitor.scores)),
        "Calibration images": str(len(monitor.calibration)),
        "Evidence against the calibration": f"{monitor.total:.3g}, at its highest {monitor.highest:.3g}",
        "Alarm": f"at {alarm:g}" if monitor.alarm is None else f"at case {monitor.alarm[0]}, {monitor.alarm[1]}",
        "Set back": ", ".join(monitor.resets) or "never",
    }
    for moved in monitor.feature_drift()[:3]:
        facts[f"Shift of {moved.component.replace('_', ' ')}"] = f"{moved.shift:+.2f} standard deviations"
    widgets.facts(facts)


def listener() -> None:
    """Show the queue of `anogan listen`, whose store the environment names."""
    st.subheader("Listener", anchor=False)
    named = os.environ.get("ANOGAN_STORE", "")
    if not named:
        st.caption("No listener named: start the dashboard with ANOGAN_STORE set to the --store of `anogan listen`.")
        return
    path = Path(named) / "queue.db"
    if not path.is_file():
        widgets.problem(f"{named}: holds no queue; name the --store of `anogan listen` in ANOGAN_STORE")
        return
    from anogan.pacs.queue import Queue  # here and not above: it takes a while, and most dashboards have no listener

    try:
        queue = Queue(path)
        try:
            counts, changed = queue.counts(), queue.changed()
        finally:
            queue.close()
    except ValueError as error:
        widgets.problem(error)
        return
    if failed := counts.get("failed", 0):
        bad(f"{failed} failed")
        st.caption(f"`anogan queue {plain(named)}` says why.")
    else:
        good("No study has failed")
    rows = {state.capitalize(): str(count) for state, count in counts.items()}
    last = "never" if changed is None else review.moment(moment(changed))
    widgets.facts({"Studies": str(sum(counts.values())), **rows, "Last change": last})


def room(run: Path) -> None:
    """Show how much room the run folder takes, and what is left on the disks of run, listener and desk."""
    st.subheader("Room", anchor=False)
    places = {"run folder": run, "listener": _folder(os.environ.get("ANOGAN_STORE", ""))}
    places["review desk"] = _folder(review.database())
    facts = {"Files of the run": size(sum(path.stat().st_size for path in run.rglob("*") if path.is_file()))}
    full = []
    for name, place in places.items():
        if place is None or not place.is_dir():
            continue
        usage = shutil.disk_usage(place)
        facts[f"Free on the disk of the {name}"] = f"{size(usage.free)} of {size(usage.total)}"
        if usage.free < LEAST_FREE * usage.total:
            full.append(name)
    if full:
        bad(f"Nearly full: the disk of the {' and the '.join(full)}")
    else:
        good("Room is left")
    widgets.facts(facts)


def machine() -> None:
    """Show versions and devices."""
    st.subheader("This machine", anchor=False)
    with st.spinner("Asking for versions and devices"):
        widgets.facts(_machine())


@st.cache_data(ttl=3600, show_spinner=False)
def _machine() -> dict[str, str]:
    """Return versions and devices: nobody's data."""
    import torch  # seconds, and only this page and those that judge need it

    from anogan.evaluation.cards import versions
    from anogan.gan.devices import has_bfloat16

    cards = [torch.cuda.get_device_name(number) for number in range(torch.cuda.device_count())]
    devices = {
        "processor cores": f"{os.cpu_count()}, of which PyTorch uses {torch.get_num_threads()}",
        "accelerators": ", ".join(cards) or "none",
        "bfloat16 in hardware": "yes" if has_bfloat16() else "no",
    }
    return devices | versions()


def desk() -> None:
    """Show whether the desk's database answers and is up to date, and what came last."""
    st.subheader("Review desk", anchor=False)
    if not review.database():
        st.caption("The dashboard was started without a review desk.")
        return
    try:
        found = database.state(review.database())
    except ValueError as error:
        widgets.problem(error)
        return
    if found.migrated:
        good("The database answers, and its tables are up to date")
    else:
        bad(f"The tables are of revision {found.revision or 'none'}, not {found.newest}")
    widgets.facts(
        {"Database": found.name, "Size": size(found.size), "Revision of its tables": found.revision or "none"}
    )
    opened = review.require_desk()
    try:
        arrivals = opened.arrivals()
    except ValueError as error:
        widgets.problem(error)
        return
    if not arrivals:
        st.caption("No case has come yet.")
        return
    rows = {f"Last {kind}": f"{review.moment(came.last)}, {came.cases} in all" for kind, came in arrivals.items()}
    widgets.facts(rows)


def size(count: float) -> str:
    """Write bytes for people.

    >>> size(999), size(2_500_000), size(3e12)
    ('999 B', '2.5 MB', '3.0 TB')
    """
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.0f} B" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} TB"


def _folder(place: str) -> Path | None:
    """Return the folder of a store or an SQLite file; None for what is elsewhere."""
    if not place or "://" in place:
        return None
    path = Path(place)
    return path if path.is_dir() else path.parent
