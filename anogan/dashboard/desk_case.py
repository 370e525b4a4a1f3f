"""Case of the desk: look, decide, sign; on a desk read blind first the judgment comes after the first decision."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import streamlit as st

from anogan.dashboard import case_view, widgets
from anogan.dashboard import desk as review
from anogan.dashboard.widgets import number, p_text, plain
from anogan.io.results import read_case, read_results
from anogan.review import REASONS, Case, Conflict, Decision, Desk, Query, cases_of

LONGEST_TEXT = 2000


@dataclass(frozen=True)
class Opened:
    """A case as this reader opened it: read once, so that the log has one row for it and not one for each click."""

    case: Case
    refusal: str
    decisions: tuple[Decision, ...]
    earlier: tuple[Case, ...]
    maps: Mapping[str, np.ndarray]
    judged: tuple[Mapping[str, Any], Mapping[str, Any]] | None
    no_picture: str


def page() -> None:
    """Show the case that the address names by its number."""
    with st.container(horizontal=True, vertical_alignment="bottom"):
        back = st.button(
            "To the desk",
            key="back",
            icon=":material/arrow_back:",
            type="tertiary",
            help="Gives the case back if you have it.",
        )
        st.space("stretch")
        desk = review.require_desk()
    wanted = st.query_params.get("case", "")
    if not wanted.isdecimal():
        if back:
            widgets.open_page("desk")
        widgets.empty("No case open", "Take the next case on the desk, or open one there.")
        return
    try:
        if back:
            leave(desk, int(wanted))
        opened = _opened(desk, int(wanted))
        show(desk, opened)
    except ValueError as error:
        widgets.problem(error)


def leave(desk: Desk, id: int) -> None:
    """Give the case back and go to the queue."""
    st.session_state.pop("desk_case", None)
    if desk.reader.may("read"):
        desk.release(id)
    widgets.open_page("desk")


def show(desk: Desk, opened: Opened) -> None:
    """Show one case: what it is, its pictures, the decision, what came before."""
    case = opened.case
    header(case)
    notice = st.session_state.pop("desk_notice", "")
    if notice and notice != opened.refusal:
        widgets.problem(notice)
    left, right = st.columns([5, 2], gap="large")
    with left:
        pictures(opened)
    with right:
        if opened.refusal:
            st.warning(plain(opened.refusal), icon=":material/lock:")
        elif case.state in review.WAITING and desk.reader.may("read"):
            form(desk, case)
        elif case.state == "decided":
            closing(desk, opened)
        if case.state not in review.WAITING and desk.reader.may("read"):
            take_next(desk)
        decisions(opened.decisions)
        earlier(opened)
        with st.container(horizontal=True):
            review.export_buttons(desk, Query(search=case.key, order="age"), f"case-{case.id}", only=case.id)
    if opened.judged is not None:
        entry, summary = opened.judged
        case_view.evidence(entry, opened.maps, summary)


def header(case: Case) -> None:
    """Show what the case is and how far it is."""
    with st.container(horizontal=True, vertical_alignment="center"):
        st.title(plain(case.title), anchor=False, width="content")
        review.state_badge(case)
        review.judgment_badge(case)
    name, _, hash = case.detector.rpartition(" ")
    detector = f"{name} {hash[:12]}".strip()
    facts = [f"Case {case.id}", case.kind, case.subject, f"came {review.moment(case.added)}", detector]
    st.caption(plain(" · ".join(filter(None, facts))))
    if case.signed is not None:
        st.caption(plain(f"Signed by {case.signed_by}, {review.moment(case.signed)}."))


def pictures(opened: Opened) -> None:
    """Show what the detector says in words, the image, and its map once it may be seen."""
    case = opened.case
    if case.status != "scored":
        st.markdown(plain(case_view.judgment({"status": case.status, "reason": case.reason}, {})))
    elif case.blind:
        st.info("Score and heat map come after your first decision.", icon=":material/lock:")
    elif opened.judged is not None:
        st.markdown(plain(case_view.judgment(*opened.judged)))
    else:
        st.markdown(f"The score is {number(case.score)}, p = {p_text(case.p_value)}. {plain(case.reason)}")
        st.caption("The heat map is not shown: the folder of results is not here, or was made anew since.")
    if opened.no_picture:
        st.info(plain(opened.no_picture), icon=":material/image_not_supported:")
    elif opened.judged is not None:
        entry, summary = opened.judged
        case_view.pictures(entry, opened.maps, case_view.map_range(summary))
    else:
        sharp = "pixels" if max(opened.maps["image"].shape[:2]) <= 256 else "smooth"
        with st.container(key=f"pictures-{sharp}"), st.container(key=f"{sharp}-pictures"):
            widgets.picture(opened.maps["image"], "The image as it was read")


def form(desk: Desk, case: Case) -> None:
    """Ask for a decision; nothing is chosen beforehand."""
    st.subheader("Your first decision, before the score" if case.blind else "Your decision", anchor=False)
    key = f"{case.id}-{case.version}-{desk.user}"
    verdict = st.segmented_control("Verdict", tuple(REASONS), format_func=str.capitalize, key=f"verdict-{key}")
    if verdict is None:
        st.caption("Confirm: something is wrong with it. Dismiss: nothing is. Unsure: somebody else should look.")
        return
    reason = st.selectbox("Reason", REASONS[verdict], None, key=f"reason-{key}-{verdict}", placeholder="Choose one")
    text = st.text_area(
        "In words", key=f"text-{key}", max_chars=LONGEST_TEXT, placeholder="Needed for another reason. Name nobody."
    )
    if st.button("Record", type="primary", disabled=reason is None, key="record"):
        assert reason is not None
        try:
            desk.decide(case.id, case.version, verdict, reason, text or "")
        except Conflict as error:
            _reload(str(error))
        except ValueError as error:
            widgets.problem(error)
        else:
            _reload()


def closing(desk: Desk, opened: Opened) -> None:
    """Offer what can be done with a decided case: its reader signs it, or takes the decision back."""
    case = opened.case
    readers = {decision.reader for decision in opened.decisions}
    may_sign = desk.reader.may("read") and desk.user in readers and case.verdict != "unsure"
    last = opened.decisions[-1].reader if opened.decisions else ""
    may_reopen = desk.reader.may("read") and (last == desk.user or desk.reader.may("arbitrate"))
    if not may_sign and not may_reopen:
        return
    st.caption("A signed case does not change any more. Until then its decision can be taken back.")
    with st.container(horizontal=True):
        sign = may_sign and st.button("Sign", type="primary", icon=":material/signature:", key="sign")
        reopen = may_reopen and st.button("Reopen", icon=":material/undo:", key="reopen")
    if not sign and not reopen:
        return
    try:
        (desk.sign if sign else desk.reopen)(case.id, case.version)
    except ValueError as error:
        _reload(str(error))
    _reload()


def take_next(desk: Desk) -> None:
    """Go on with the next case of the queue."""
    if not st.button("Take the next case", icon=":material/play_arrow:", key="take", shortcut="T"):
        return
    case = desk.take(st.session_state.get("desk_query"))
    if case is not None:
        review.open_case(case.id)
    st.info("No case under the filters of the desk waits for you.", icon=":material/inbox:")


def decisions(made: tuple[Decision, ...]) -> None:
    """List what was decided so far, as far as this reader may see it."""
    if not made:
        return
    st.subheader("Decisions", anchor=False)
    for one in made:
        blind = ", before the score was shown" if one.blind else ""
        words = f": {one.text}" if one.text else ""
        st.markdown(
            f"**{plain(one.verdict.capitalize())}**, {plain(one.reason + words)}  \n"
            f"{plain(one.reader)}, {one.stage} reading{blind}, {review.moment(one.decided)}, {one.seconds:.0f} s"
        )


def earlier(opened: Opened) -> None:
    """List the earlier cases of the same subject; what the detector said of them waits for the blind decision, too."""
    if not opened.earlier:
        return
    st.subheader("Earlier cases of this subject", anchor=False)
    for case in reversed(opened.earlier):
        words = [review.moment(case.added), case.title, case.state + (f": {case.verdict}" if case.verdict else "")]
        if not opened.case.blind and case.p_value is not None:
            words.append(f"p = {p_text(case.p_value)}")
        with st.container(horizontal=True, vertical_alignment="center"):
            st.markdown(plain(" · ".join(words)), width="stretch")
            if st.button(f"Case {case.id}", key=f"earlier-{case.id}", type="tertiary"):
                review.open_case(case.id)


def _opened(desk: Desk, id: int) -> Opened:
    """Return the case from the session, which keeps the last one; no cache shared by users ever holds one."""
    key = (review.database(), desk.user, id)
    kept = st.session_state.get("desk_case")
    if kept is None or kept[0] != key:
        kept = st.session_state["desk_case"] = (key, _open(desk, id))
    opened: Opened = kept[1]
    return opened


def _open(desk: Desk, id: int) -> Opened:
    """Lease the case if it waits for this reader, or else only look at it."""
    refusal = ""
    try:
        case = desk.lease(id)
    except ValueError as error:
        case = desk.case(id)
        if case.state in review.WAITING and desk.reader.may("read"):
            refusal = str(error)
    maps, judged, no_picture = _pictures(desk, case)
    past = tuple(one for one in desk.history(case.subject) if (one.added, one.id) < (case.added, case.id))
    return Opened(case, refusal, desk.decisions(id), past, maps, judged, no_picture)


def _pictures(
    desk: Desk, case: Case
) -> tuple[Mapping[str, np.ndarray], tuple[Mapping[str, Any], Mapping[str, Any]] | None, str]:
    """Return the maps, the entry and detector of the results they belong to, and why there is no picture."""
    try:
        if (judged := _judged(case)) is not None:
            folder = Path(case.folder)
            maps = read_case(folder.parent.parent, folder.name)
            maps.pop("mask", None)
            return maps, judged, ""
        return {"image": desk.image(case.id)}, None, ""
    except ValueError as error:
        return {}, None, str(error)


def _judged(case: Case) -> tuple[Mapping[str, Any], Mapping[str, Any]] | None:
    """Return a case's entry in results.json and its detector, unless the results were made anew since."""
    if not case.folder:
        return None
    own, results = Path(case.folder), Path(case.folder).parent.parent
    try:
        if (own / "results.json").is_file():  # a screening's pictures have a list of their own
            alone = read_results(own)
            return alone["cases"][0], alone["detector"]
        found = read_results(results)
        keys = [new.key for new in cases_of(results)]
    except ValueError:
        return None
    entries = dict(zip(keys, found["cases"], strict=True))
    if case.key not in entries:
        return None
    return entries[case.key] | {"label": None}, found["detector"]  # who decides is not told the answer


def _reload(notice: str = "") -> None:
    """Read the case anew, and say why."""
    st.session_state.pop("desk_case", None)
    st.session_state["desk_notice"] = notice
    st.rerun()
