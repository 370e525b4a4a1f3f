"""A case of the desk as one reader opened it: read once, and kept by the session."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import streamlit as st

from anogan.dashboard import case_view
from anogan.dashboard import desk as review
from anogan.io.stack import Stack, open_stack
from anogan.results.reading import read_case
from anogan.review import Case, Decision, Desk
from anogan.review.arrivals import judged


@dataclass(frozen=True)
class Opened:
    """A case as this reader opened it: read once, so that the log has one row for it and not one for each click.

    `judged` is its entry in results.json and its detector, once this reader may see them; `no_picture` says why there
    is no picture.
    """

    case: Case
    refusal: str
    decisions: tuple[Decision, ...]
    earlier: tuple[Case, ...]
    maps: Mapping[str, np.ndarray]
    stack: Stack | None
    judged: tuple[Mapping[str, Any], Mapping[str, Any]] | None
    no_picture: str


def opened(desk: Desk, id: int) -> Opened:
    """Return the case from the session, which keeps the last one; no cache shared by users ever holds one."""
    key = (review.database(), desk.user, id)
    kept = st.session_state.get("desk_case")
    if kept is None or kept[0] != key:
        kept = st.session_state["desk_case"] = (key, _open(desk, id))
    found: Opened = kept[1]
    return found


def reload(notice: str = "") -> None:
    """Read the case anew, and say why."""
    st.session_state.pop("desk_case", None)
    st.session_state["desk_notice"] = notice
    st.rerun()


def _open(desk: Desk, id: int) -> Opened:
    """Lease the case if it waits for this reader, or else only look at it."""
    refusal = ""
    try:
        case = desk.lease(id)
    except ValueError as error:
        case = desk.case(id)
        if case.state in review.WAITING and desk.reader.may("read"):
            refusal = str(error)
    past = tuple(one for one in desk.history(case.subject) if (one.added, one.id) < (case.added, case.id))
    return Opened(case, refusal, desk.decisions(id), past, *_pictures(desk, case))


def _pictures(
    desk: Desk, case: Case
) -> tuple[Mapping[str, np.ndarray], Stack | None, tuple[Mapping[str, Any], Mapping[str, Any]] | None, str]:
    """Return maps, slices, the entry and detector of the results they belong to, and why there is no picture."""
    try:
        if (said := judged(case)) is not None:
            folder = Path(case.folder)
            maps = read_case(folder.parent.parent, folder.name)
            maps.pop("mask", None)
            return maps, open_stack(folder, case_view.map_range(said[1])), said, ""
        if case.kind == "series" and (stack := desk.slices(case.id)) is not None:
            return {}, stack, None, ""
        return {"image": desk.image(case.id)}, None, None, ""
    except ValueError as error:
        return {}, None, None, str(error)
